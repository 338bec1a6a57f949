//! Models that only decode.

use super::super::narrow::{narrow, say_size};
use crate::args::{Global, WeightsName};
use firebrand_decode::DecoderModel;
use firebrand_transformer::{CpuDecoder, Decoder, Model, ModelConfig, WeightFormat};
use std::borrow::Cow;

/// A model for decoding. On the CPU its weights are laid out for that, and the tensors are given back.
pub(super) enum Loaded {
    Slices(Box<CpuDecoder>),
    Tensors(Box<Decoder>),
}

impl Loaded {
    /// `decoder` with its weights as the user wants them.
    pub(super) fn new(
        decoder: Decoder,
        weights: WeightsName,
        device: &str,
        global: &Global,
    ) -> anyhow::Result<Self> {
        let slices = match narrow(&decoder, weights, device)? {
            Some(narrow) => {
                say_size(&narrow, global);
                narrow
            }
            None => match CpuDecoder::new(&decoder, WeightFormat::F32) {
                Ok(wide) => wide,
                Err(_) => return Ok(Self::Tensors(Box::new(decoder))),
            },
        };
        drop(decoder);
        firebrand_backend::memory::give_back();
        Ok(Self::Slices(Box::new(slices)))
    }

    /// The same without its upper layers; what is left is shared.
    pub(super) fn lower_layers(&self, n_layers: usize) -> Self {
        match self {
            Self::Slices(decoder) => Self::Slices(Box::new(decoder.lower_layers(n_layers))),
            Self::Tensors(decoder) => Self::Tensors(Box::new(decoder.lower_layers(n_layers))),
        }
    }

    pub(super) fn config(&self) -> &ModelConfig {
        match self {
            Self::Slices(decoder) => decoder.config(),
            Self::Tensors(decoder) => decoder.config(),
        }
    }

    pub(super) fn n_layers(&self) -> usize {
        self.config().n_layers
    }

    pub(super) fn model(&self) -> DecoderModel<'_> {
        match self {
            Self::Slices(decoder) => DecoderModel::on_cpu(Cow::Borrowed(decoder)),
            Self::Tensors(decoder) => DecoderModel::on_tensors(decoder),
        }
    }
}
