//! The one description of a model: what it is made of (`parts`), which numbers make sense (`checks`), what it takes (`counts`).

mod checks;
mod counts;
mod parts;

pub use parts::{
    EncoderHeads, GeneratorConfig, LayerKind, MlpKind, ModelKind, NormKind, NormPlacement, PositionKind,
    Preset,
};

use crate::characters::{Characters, Spellings};
use serde::{Deserialize, Serialize};

/// As in ELMo.
fn default_lstm_clip() -> f64 {
    3.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_default_lstm_clip(clip: &f64) -> bool {
    *clip == default_lstm_clip()
}

/// Everything that decides a model's shape and function. Sizes are counts of numbers, `seq_len` of tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// What it is made of.
    #[serde(default, skip_serializing_if = "ModelKind::is_decoder")]
    pub kind: ModelKind,
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of layers in a stack.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Number of key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Width of one head, where it is not `d_model / n_heads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub d_head: Option<usize>,
    /// What the layers are. Those of an LSTM have no heads, norms, positions or kind of feed-forward part.
    #[serde(default, skip_serializing_if = "LayerKind::is_transformer")]
    pub layers: LayerKind,
    /// Cell states and outputs of LSTM layers are kept within this distance of 0; 0 for none.
    #[serde(default = "default_lstm_clip", skip_serializing_if = "is_default_lstm_clip")]
    pub lstm_clip: f64,
    /// Token embeddings are computed from the bytes of tokens, in bidirectional models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<Characters>,
    /// The bytes of all tokens, for [`characters`](Self::characters).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spellings: Option<Spellings>,
    /// Inner width of the feed-forward part; of an LSTM's layers the numbers in a cell.
    pub d_ff: usize,
    /// The longest context, in tokens.
    pub seq_len: usize,
    /// Normalization.
    pub norm: NormKind,
    /// Added to the variance before the root.
    pub norm_eps: f64,
    /// Position information.
    pub position: PositionKind,
    /// The slowest rotary wavelength over 2π.
    pub rope_theta: f64,
    /// Feed-forward part.
    pub mlp: MlpKind,
    /// The output head is the token embedding.
    pub tied_head: bool,
    /// Linear layers and layer norms have biases.
    pub bias: bool,
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// `c` of `c · tanh(logits / c)`; 0 for none.
    pub logit_soft_cap: f64,
    /// Queries and keys are normalized in each head [Henry 2020].
    pub qk_norm: bool,
    /// Of an encoder–decoder: layers of the decoder, where they are not as many as the encoder's `n_layers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_decoder_layers: Option<usize>,
    /// Of an encoder–decoder: attention scores are not divided by `√d_head` [Raffel 2020].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unscaled_attention: bool,
    /// Of an encoder–decoder: hidden states are divided by `√d_model` before the head [Raffel 2020].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scaled_head: bool,
    /// Relative bias: how many numbers a head has.
    #[serde(default = "default_buckets", skip_serializing_if = "is_default_buckets")]
    pub relative_buckets: usize,
    /// Relative bias: from this distance on all share one number.
    #[serde(default = "default_distance", skip_serializing_if = "is_default_distance")]
    pub relative_max_distance: usize,
    /// Of an encoder–decoder: the id that the decoder begins with, where it is not the end of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_start: Option<u32>,
    /// All tokens of a prompt see each other, and only what comes behind it looks back [Raffel 2020, the prefix language model]: a
    /// prompt is what a row is fed first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prefix_attention: bool,
    /// Where the norms of a layer stand; after its parts in an encoder only.
    #[serde(default, skip_serializing_if = "NormPlacement::is_pre")]
    pub norm_placement: NormPlacement,
    /// An encoder's number of token types, each with a vector that is added to the embedding; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub token_types: usize,
    /// An encoder's embeddings are normalized before the first layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub embedding_norm: bool,
    /// An encoder's heads.
    #[serde(default, skip_serializing_if = "EncoderHeads::is_none")]
    pub heads: EncoderHeads,
    /// The generator beside an encoder, for replaced-token detection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<GeneratorConfig>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// As T5.
fn default_buckets() -> usize {
    32
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_default_buckets(buckets: &usize) -> bool {
    *buckets == default_buckets()
}

/// As T5.
fn default_distance() -> usize {
    128
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_default_distance(distance: &usize) -> bool {
    *distance == default_distance()
}

impl ModelConfig {
    /// The preset's model at a size. `d_ff` is 4 · `d_model` for GPT-2, T5 and BERT and 8/3 · `d_model`, rounded up to a
    /// multiple of 32, for Llama.
    pub fn preset(
        preset: Preset,
        vocab_size: usize,
        d_model: usize,
        n_layers: usize,
        n_heads: usize,
        seq_len: usize,
    ) -> Self {
        let (t5, bert) = (preset == Preset::T5, preset == Preset::Bert);
        let mlp = match preset {
            Preset::Llama => MlpKind::Swiglu,
            Preset::Gpt2 => MlpKind::GeluTanh,
            Preset::T5 => MlpKind::Relu,
            Preset::Bert => MlpKind::Gelu,
        };
        Self {
            kind: match preset {
                Preset::Llama | Preset::Gpt2 => ModelKind::Decoder,
                Preset::T5 => ModelKind::EncoderDecoder,
                Preset::Bert => ModelKind::Encoder,
            },
            vocab_size,
            d_model,
            n_layers,
            n_heads,
            n_kv_heads: n_heads,
            d_head: None,
            layers: LayerKind::default(),
            lstm_clip: default_lstm_clip(),
            characters: None,
            spellings: None,
            d_ff: Self::default_d_ff(mlp, d_model),
            seq_len,
            norm: match preset {
                Preset::Llama | Preset::T5 => NormKind::Rms,
                Preset::Gpt2 | Preset::Bert => NormKind::Layer,
            },
            norm_eps: match preset {
                Preset::Llama | Preset::Gpt2 => 1e-5,
                Preset::T5 => 1e-6,
                Preset::Bert => 1e-12,
            },
            position: match preset {
                Preset::Llama => PositionKind::Rope,
                Preset::Gpt2 | Preset::Bert => PositionKind::Learned,
                Preset::T5 => PositionKind::RelativeBias,
            },
            rope_theta: 10_000.0,
            mlp,
            tied_head: preset != Preset::Llama,
            bias: matches!(preset, Preset::Gpt2 | Preset::Bert),
            dropout: 0.0,
            logit_soft_cap: 0.0,
            qk_norm: false,
            n_decoder_layers: None,
            unscaled_attention: t5,
            scaled_head: t5,
            relative_buckets: default_buckets(),
            relative_max_distance: default_distance(),
            decoder_start: None,
            prefix_attention: false,
            norm_placement: if bert { NormPlacement::Post } else { NormPlacement::Pre },
            token_types: if bert { 2 } else { 0 },
            embedding_norm: bert,
            heads: EncoderHeads { masked: bert, ..EncoderHeads::default() },
            generator: None,
        }
    }

    /// The layers of the generator, as an encoder's config of its own without heads.
    pub fn generator_layers(&self) -> Option<Self> {
        let GeneratorConfig { d_model, n_layers, n_heads, d_ff } = self.generator?;
        let heads = EncoderHeads::default();
        let sizes = Self { d_model, n_layers, n_heads, n_kv_heads: n_heads, d_ff, ..self.clone() };
        Some(Self { heads, generator: None, ..sizes })
    }

    /// The usual inner width: as many weights in the feed-forward part whatever its kind.
    pub fn default_d_ff(mlp: MlpKind, d_model: usize) -> usize {
        match mlp {
            MlpKind::Swiglu | MlpKind::Geglu => (8 * d_model / 3).div_ceil(32) * 32,
            MlpKind::Gelu | MlpKind::GeluTanh | MlpKind::Relu | MlpKind::Relu2 => 4 * d_model,
        }
    }

    /// Width of one head.
    pub fn d_head(&self) -> usize {
        self.d_head.unwrap_or(self.d_model / self.n_heads)
    }

    /// Width of the queries of all heads together, and of what attention gives back.
    pub fn d_queries(&self) -> usize {
        self.n_heads * self.d_head()
    }

    /// Width of the keys of all heads together, and of their values.
    pub fn d_keys(&self) -> usize {
        self.n_kv_heads * self.d_head()
    }

    /// Layers of the decoder stack of an encoder–decoder.
    pub fn decoder_layers(&self) -> usize {
        self.n_decoder_layers.unwrap_or(self.n_layers)
    }

    /// Layers of all stacks together.
    pub fn layers_in_all(&self) -> usize {
        match self.kind {
            ModelKind::Decoder | ModelKind::Permutation | ModelKind::Encoder => self.n_layers,
            ModelKind::Bidirectional => 2 * self.n_layers,
            ModelKind::EncoderDecoder => self.n_layers + self.decoder_layers(),
        }
    }

    /// What attention scores are multiplied by.
    pub(crate) fn attention_scale(&self) -> f64 {
        if self.unscaled_attention { 1.0 } else { 1.0 / (self.d_head() as f64).sqrt() }
    }

    /// The soft cap as an option.
    pub fn soft_cap(&self) -> Option<f64> {
        (self.logit_soft_cap > 0.0).then_some(self.logit_soft_cap)
    }

    /// How many stacks of layers there are.
    pub fn n_stacks(&self) -> usize {
        match self.kind {
            ModelKind::Decoder | ModelKind::Permutation | ModelKind::Encoder => 1,
            ModelKind::Bidirectional | ModelKind::EncoderDecoder => 2,
        }
    }
}
