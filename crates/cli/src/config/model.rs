//! The section `[model]`.

use firebrand_transformer::{
    Characters, LayerKind, MlpKind, ModelConfig, NormKind, NormPlacement, PositionKind, Preset,
};
use serde::{Deserialize, Serialize};

/// A model by preset and size; every other key overrides what the preset says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelSection {
    pub(crate) preset: Preset,
    pub(crate) d_model: usize,
    pub(crate) n_layers: usize,
    pub(crate) n_heads: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) n_kv_heads: Option<usize>,
    /// Width of a head, where it is not `d_model / n_heads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) d_head: Option<usize>,
    /// `transformer` or `lstm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layers: Option<LayerKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lstm_clip: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) d_ff: Option<usize>,
    /// The longest context; `training.seq_len` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq_len: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) norm: Option<NormKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) norm_eps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<PositionKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rope_theta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mlp: Option<MlpKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tied_head: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bias: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dropout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logit_soft_cap: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) qk_norm: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) n_decoder_layers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unscaled_attention: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scaled_head: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) relative_buckets: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) relative_max_distance: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) norm_placement: Option<NormPlacement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_types: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) embedding_norm: Option<bool>,
    /// Token embeddings are computed from the bytes of tokens, by a network of these sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) characters: Option<Characters>,
}

impl ModelSection {
    /// The model for a vocabulary; `seq_len` is the training's.
    pub(super) fn resolve(&self, vocab_size: usize, seq_len: usize) -> ModelConfig {
        let seq_len = self.seq_len.unwrap_or(seq_len);
        let base =
            ModelConfig::preset(self.preset, vocab_size, self.d_model, self.n_layers, self.n_heads, seq_len);
        let mlp = self.mlp.unwrap_or(base.mlp);
        let layers = self.layers.unwrap_or(base.layers);
        // What a preset says of positions and of the head is said of transformers.
        let (position, d_ff) = match layers {
            LayerKind::Transformer => (base.position, ModelConfig::default_d_ff(mlp, self.d_model)),
            LayerKind::Lstm => (PositionKind::None, 4 * self.d_model),
        };
        let tied_head = self.tied_head.unwrap_or(base.tied_head && self.characters.is_none());
        ModelConfig {
            layers,
            lstm_clip: self.lstm_clip.unwrap_or(base.lstm_clip),
            characters: self.characters.clone().map(|characters| characters.resolved(self.d_model)),
            n_kv_heads: self.n_kv_heads.unwrap_or(base.n_kv_heads),
            d_head: self.d_head.filter(|&width| Some(self.d_model) != width.checked_mul(self.n_heads)),
            d_ff: self.d_ff.unwrap_or(d_ff),
            norm: self.norm.unwrap_or(base.norm),
            norm_eps: self.norm_eps.unwrap_or(base.norm_eps),
            position: self.position.unwrap_or(position),
            rope_theta: self.rope_theta.unwrap_or(base.rope_theta),
            mlp,
            tied_head,
            bias: self.bias.unwrap_or(base.bias),
            dropout: self.dropout.unwrap_or(base.dropout),
            logit_soft_cap: self.logit_soft_cap.unwrap_or(base.logit_soft_cap),
            qk_norm: self.qk_norm.unwrap_or(base.qk_norm),
            n_decoder_layers: self.n_decoder_layers.filter(|&layers| layers != self.n_layers),
            unscaled_attention: self.unscaled_attention.unwrap_or(base.unscaled_attention),
            // T5 scales a tied head only.
            scaled_head: self.scaled_head.unwrap_or(base.scaled_head && tied_head),
            relative_buckets: self.relative_buckets.unwrap_or(base.relative_buckets),
            relative_max_distance: self.relative_max_distance.unwrap_or(base.relative_max_distance),
            norm_placement: self.norm_placement.unwrap_or(base.norm_placement),
            token_types: self.token_types.unwrap_or(base.token_types),
            embedding_norm: self.embedding_norm.unwrap_or(base.embedding_norm),
            ..base
        }
    }
}
