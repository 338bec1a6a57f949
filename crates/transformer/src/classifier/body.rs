//! The part of a model that reads: any kind of it.

use super::Padded;
use crate::TransformerError;
use crate::bidirectional::Bidirectional;
use crate::config::{ModelConfig, ModelKind};
use crate::decoder::Decoder;
use crate::dropout::Dropout;
use crate::encoder::Encoder;
use crate::encoder_decoder::EncoderDecoder;
use crate::model::{AnyModel, Model};
use crate::permutation::Permutation;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use firebrand_backend::ops::AttentionMask;

/// A model as a reader of texts.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one, and burn's modules are not boxed")]
pub enum Body {
    /// [`ModelKind::Decoder`]
    Decoder(Decoder),
    /// [`ModelKind::Bidirectional`]
    Bidirectional(Bidirectional),
    /// [`ModelKind::EncoderDecoder`], of which only the encoder reads.
    EncoderDecoder(EncoderDecoder),
    /// [`ModelKind::Permutation`]
    Permutation(Permutation),
    /// [`ModelKind::Encoder`]
    Encoder(Encoder),
}

impl From<AnyModel> for Body {
    fn from(model: AnyModel) -> Self {
        match model {
            AnyModel::Decoder(model) => Self::Decoder(*model),
            AnyModel::Bidirectional(model) => Self::Bidirectional(*model),
            AnyModel::EncoderDecoder(model) => Self::EncoderDecoder(*model),
            AnyModel::Permutation(model) => Self::Permutation(*model),
            AnyModel::Encoder(model) => Self::Encoder(*model),
        }
    }
}

impl Body {
    /// A model of whatever kind `config` describes; see [`Model::made`].
    ///
    /// # Errors
    /// When it describes none.
    pub fn made(config: &ModelConfig, seed: Option<u64>, device: &Device) -> Result<Self, TransformerError> {
        Ok(match config.kind {
            ModelKind::Decoder => Self::Decoder(Decoder::made(config, seed, device)?),
            ModelKind::Bidirectional => Self::Bidirectional(Bidirectional::made(config, seed, device)?),
            ModelKind::EncoderDecoder => Self::EncoderDecoder(EncoderDecoder::made(config, seed, device)?),
            ModelKind::Permutation => Self::Permutation(Permutation::made(config, seed, device)?),
            ModelKind::Encoder => Self::Encoder(Encoder::made(config, seed, device)?),
        })
    }

    /// What this model is.
    pub fn config(&self) -> &ModelConfig {
        match self {
            Self::Decoder(model) => model.config(),
            Self::Bidirectional(model) => model.config(),
            Self::EncoderDecoder(model) => model.config(),
            Self::Permutation(model) => model.config(),
            Self::Encoder(model) => model.config(),
        }
    }

    /// Where its weights are.
    pub fn device(&self) -> Device {
        match self {
            Self::Decoder(model) => model.device(),
            Self::Bidirectional(model) => model.device(),
            Self::EncoderDecoder(model) => model.device(),
            Self::Permutation(model) => model.device(),
            Self::Encoder(model) => model.device(),
        }
    }

    /// As [`Model::with_checkpointing`].
    #[must_use]
    pub fn with_checkpointing(self, checkpointing: bool) -> Self {
        match self {
            Self::Decoder(model) => Self::Decoder(model.with_checkpointing(checkpointing)),
            Self::Bidirectional(model) => Self::Bidirectional(model.with_checkpointing(checkpointing)),
            Self::EncoderDecoder(model) => Self::EncoderDecoder(model.with_checkpointing(checkpointing)),
            Self::Permutation(model) => Self::Permutation(model.with_checkpointing(checkpointing)),
            Self::Encoder(model) => Self::Encoder(model.with_checkpointing(checkpointing)),
        }
    }

    /// How many numbers the state of a token has.
    pub fn width(&self) -> usize {
        width(self.config())
    }

    /// The states of each layer, `n_layers + 1` of `[batch, longest, width]`, the embedding first. A token sees what the model was
    /// trained to see: a decoder's those before it, any other's all of its row.
    pub fn layer_states(&self, rows: &Padded, mut dropout: Option<&mut Dropout>) -> Vec<Tensor<3>> {
        if let Some(dropout) = &mut dropout {
            dropout.for_lens(rows.lens());
        }
        match self {
            Self::Decoder(model) => {
                let mask = match model.prompt_mask() {
                    AttentionMask::Full => rows.both_sides(),
                    causal => causal,
                };
                model.states(rows.ids(), &mask, dropout)
            }
            Self::Bidirectional(model) => model.padded_states(rows, dropout),
            Self::EncoderDecoder(model) => model.states(rows.ids(), rows.lens(), dropout),
            Self::Permutation(model) => model.decoder().states(rows.ids(), &rows.both_sides(), dropout),
            Self::Encoder(model) => {
                let types = rows.types().filter(|_| model.config().token_types > 1);
                model.states(rows.ids(), types, &rows.both_sides(), dropout)
            }
        }
    }
}

/// How many numbers the state of a token has in a model of this config.
pub(super) fn width(config: &ModelConfig) -> usize {
    // Both directions beside each other.
    if config.kind == ModelKind::Bidirectional { 2 * config.d_model } else { config.d_model }
}
