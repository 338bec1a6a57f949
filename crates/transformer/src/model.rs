//! What all models have in common: they are made from a config, and written to folders and read from them.

use crate::TransformerError;
use crate::bidirectional::Bidirectional;
use crate::characters::Spellings;
use crate::config::{ModelConfig, ModelKind};
use crate::decoder::Decoder;
use crate::encoder::Encoder;
use crate::encoder_decoder::EncoderDecoder;
use crate::permutation::Permutation;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

/// A model that a [`ModelConfig`] describes.
pub trait Model: Module {
    /// Which kind of config describes it.
    const KIND: ModelKind;

    /// A model on `device` with fresh weights, which depend on `config` and `seed` only; without a seed as [`blank`](Self::blank) says.
    ///
    /// # Errors
    /// When `config` describes no model, or one of another kind.
    fn made(config: &ModelConfig, seed: Option<u64>, device: &Device) -> Result<Self, TransformerError>;

    /// A fresh model on `device` (one with autodiff, to train it). The weights depend on `config` and `seed` only.
    ///
    /// # Errors
    /// When `config` describes no model, or one of another kind.
    fn new(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self, TransformerError> {
        Self::made(config, Some(seed), device)
    }

    /// A model on `device` whose weights are to be read: its matrices are zero.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    fn blank(config: &ModelConfig, device: &Device) -> Result<Self, TransformerError> {
        Self::made(config, None, device)
    }

    /// What this model is.
    fn config(&self) -> &ModelConfig;

    /// Where its weights are.
    fn device(&self) -> Device;

    /// This model with activation checkpointing [Chen 2016] on or off: in training each layer keeps only its input, and
    /// is run a second time in the backward pass. It changes no number. On devices other than `cpu` nothing changes.
    #[must_use]
    fn with_checkpointing(self, checkpointing: bool) -> Self;
}

/// Refuses configs that describe no model of this kind.
pub(crate) fn check(config: &ModelConfig, wanted: ModelKind) -> Result<(), TransformerError> {
    config.validate()?;
    let tokens = config.spellings.as_ref().map_or(0, Spellings::len);
    if config.characters.is_some() && tokens != config.vocab_size {
        return Err(TransformerError::Config(format!(
            "embeddings are computed from characters, and the bytes of {tokens} of {} tokens are known",
            config.vocab_size
        )));
    }
    match config.kind == wanted {
        true => Ok(()),
        false => Err(TransformerError::Config(format!(
            "this is a {} model, and a {} model is wanted",
            config.kind.name(),
            wanted.name()
        ))),
    }
}

/// A model of whatever kind a folder holds.
#[derive(Debug)]
pub enum AnyModel {
    /// [`ModelKind::Decoder`]
    Decoder(Box<Decoder>),
    /// [`ModelKind::Bidirectional`]
    Bidirectional(Box<Bidirectional>),
    /// [`ModelKind::EncoderDecoder`]
    EncoderDecoder(Box<EncoderDecoder>),
    /// [`ModelKind::Permutation`]
    Permutation(Box<Permutation>),
    /// [`ModelKind::Encoder`]
    Encoder(Box<Encoder>),
}

impl AnyModel {
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

    /// The states of each layer for `ids` `[batch, seq]`: `n_layers + 1` of `[batch, seq, d]`, the embedding first. Of a bidirectional
    /// model `d` is twice `d_model`; where prompts see all of themselves, so do `ids`; of an encoder–decoder they are the encoder's.
    pub fn layer_states(&self, ids: Tensor<2, Int>) -> Vec<Tensor<3>> {
        match self {
            Self::Decoder(model) => model.layer_states(ids, &model.prompt_mask()),
            Self::Bidirectional(model) => model.layer_states(ids),
            Self::EncoderDecoder(model) => model.layer_states(ids),
            Self::Permutation(model) => model.layer_states(ids),
            Self::Encoder(model) => model.layer_states(ids),
        }
    }

    /// What of it predicts the next token from those before: a decoder itself, of a bidirectional model the forward half.
    ///
    /// # Errors
    /// When no part of it does that as a decoder.
    pub fn into_causal(self) -> Result<Decoder, TransformerError> {
        match self {
            Self::Decoder(model) => Ok(*model),
            Self::Bidirectional(model) => Ok(model.forward()),
            Self::EncoderDecoder(_) => Err(TransformerError::NotCausal(ModelKind::EncoderDecoder.name())),
            Self::Permutation(_) => Err(TransformerError::Config(
                "a permutation model does not go on with a text; score and embed use it".into(),
            )),
            Self::Encoder(_) => Err(TransformerError::Config(
                "an encoder sees both sides of every token and predicts none from those before it alone"
                    .into(),
            )),
        }
    }
}
