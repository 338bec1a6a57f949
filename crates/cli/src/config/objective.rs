//! The objectives by name.

use super::MASK;
use firebrand_pretrain::{MiddleTokens, ModeTokens};
use firebrand_tokenizer::END_OF_TEXT;
use firebrand_transformer::ModelKind;
use serde::{Deserialize, Serialize};

/// The objectives there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ObjectiveName {
    #[default]
    Causal,
    Bidirectional,
    SpanCorruption,
    Denoising,
    Mixture,
    FillInTheMiddle,
    Prefix,
    Permutation,
    Masked,
    ReplacedToken,
}

impl ObjectiveName {
    /// The name written in configs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Causal => "causal",
            Self::Bidirectional => "bidirectional",
            Self::FillInTheMiddle => "fill-in-the-middle",
            Self::Prefix => "prefix",
            Self::Permutation => "permutation",
            Self::SpanCorruption => "span-corruption",
            Self::Denoising => "denoising",
            Self::Mixture => "mixture",
            Self::Masked => "masked",
            Self::ReplacedToken => "replaced-token",
        }
    }

    /// How many tokens it may add to a row: the end of text, a mask, a mode.
    pub(super) fn added_tokens(self) -> usize {
        match self {
            Self::SpanCorruption | Self::Denoising | Self::Mixture => 2,
            _ => 0,
        }
    }

    /// The kind of model that is trained for it.
    pub(crate) fn model_kind(self) -> ModelKind {
        match self {
            Self::Causal | Self::FillInTheMiddle | Self::Prefix => ModelKind::Decoder,
            Self::Bidirectional => ModelKind::Bidirectional,
            Self::Permutation => ModelKind::Permutation,
            Self::SpanCorruption | Self::Denoising | Self::Mixture => ModelKind::EncoderDecoder,
            Self::Masked | Self::ReplacedToken => ModelKind::Encoder,
        }
    }

    /// The special tokens that it needs whatever its options are.
    pub(super) fn special_tokens(self) -> Vec<String> {
        // A middle, and inputs and targets, end with an end of text, also where no document of the data does.
        let names: Vec<&str> = match self {
            Self::Causal | Self::Bidirectional | Self::Prefix | Self::Permutation => vec![],
            Self::FillInTheMiddle => [&[END_OF_TEXT], &MiddleTokens::NAMES[..]].concat(),
            Self::SpanCorruption => vec![END_OF_TEXT],
            Self::Denoising => vec![END_OF_TEXT, MASK],
            Self::Mixture => [&[END_OF_TEXT], &ModeTokens::NAMES[..]].concat(),
            Self::Masked | Self::ReplacedToken => vec![MASK],
        };
        names.into_iter().map(String::from).collect()
    }
}
