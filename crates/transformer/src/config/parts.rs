//! The parts that a model may be made of, by name.

use firebrand_backend::ops::Activation;
use serde::{Deserialize, Serialize};

/// How activations are normalized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// RMS norm [Zhang & Sennrich 2019], as Llama.
    Rms,
    /// Layer norm [Ba 2016], as GPT-2.
    Layer,
}

/// How a model knows where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PositionKind {
    /// Rotary embedding of queries and keys [Su 2021].
    Rope,
    /// A learned vector for each position.
    Learned,
    /// A learned number for each distance and head, added to the scores of self-attention [Raffel 2020]. Distances share numbers,
    /// the more the farther. For encoder–decoders.
    RelativeBias,
    /// Not at all: causal attention alone gives some sense of order.
    None,
}

/// The feed-forward part of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MlpKind {
    /// `down(silu(gate x) · up x)` [Shazeer 2020].
    Swiglu,
    /// GELU with the error function.
    Gelu,
    /// GELU with the tanh approximation, as GPT-2 (`gelu_new` in Hugging Face).
    GeluTanh,
    /// ReLU, as T5.
    Relu,
    /// Squared ReLU [So 2021].
    Relu2,
    /// `down(gelu_tanh(gate x) · up x)` [Shazeer 2020], as T5 1.1.
    Geglu,
}

impl MlpKind {
    /// Whether it has a gate beside the map up.
    pub fn is_gated(self) -> bool {
        self.activation().inputs() == 2
    }

    pub(crate) fn activation(self) -> Activation {
        match self {
            Self::Swiglu => Activation::Swiglu,
            Self::Gelu => Activation::Gelu,
            Self::GeluTanh => Activation::GeluTanh,
            Self::Relu => Activation::Relu,
            Self::Relu2 => Activation::Relu2,
            Self::Geglu => Activation::Geglu,
        }
    }
}

/// Where a layer's norms stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPlacement {
    /// Before attention and before the feed-forward part, and once more after the last layer [Xiong 2020].
    #[default]
    Pre,
    /// After each of them has been added to the residual stream, as BERT [Vaswani 2017].
    Post,
}

impl NormPlacement {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    pub(super) fn is_pre(&self) -> bool {
        *self == Self::Pre
    }
}

/// What an encoder predicts from its states. A head that is not asked for is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncoderHeads {
    /// Which token stands at a position: BERT's head for masked tokens.
    pub masked: bool,
    /// Whether a second segment follows the first: a pooler of the first token's state, and two classes.
    pub next_sentence: bool,
    /// Whether a token was replaced: ELECTRA's head.
    pub replaced: bool,
}

impl EncoderHeads {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The small generator beside an encoder that learns to find replaced tokens [Clark 2020, ELECTRA]. What is not here it has in
/// common with the encoder, the embeddings among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// Width of its residual stream.
    pub d_model: usize,
    /// Number of its layers.
    pub n_layers: usize,
    /// Number of its heads.
    pub n_heads: usize,
    /// Inner width of its feed-forward part.
    pub d_ff: usize,
}

/// What a model is made of, and which way it reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// One stack of layers that predicts the next token: [`Decoder`](crate::Decoder).
    #[default]
    Decoder,
    /// Two stacks, one in each direction, over the same token embedding and head: [`Bidirectional`](crate::Bidirectional).
    Bidirectional,
    /// A stack that reads a text as a whole, and one that writes another and looks at it: [`EncoderDecoder`](crate::EncoderDecoder).
    EncoderDecoder,
    /// A stack that predicts tokens in any order, each from those before it there: [`Permutation`](crate::Permutation).
    Permutation,
    /// One stack of layers in which every token sees every other: [`Encoder`](crate::Encoder).
    Encoder,
}

impl ModelKind {
    /// The name written in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decoder => "decoder",
            Self::Bidirectional => "bidirectional",
            Self::EncoderDecoder => "encoder-decoder",
            Self::Permutation => "permutation",
            Self::Encoder => "encoder",
        }
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    pub(super) fn is_decoder(&self) -> bool {
        *self == Self::Decoder
    }
}

/// What the layers of a model are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// Attention and a feed-forward part.
    #[default]
    Transformer,
    /// An LSTM with cells of `d_ff` numbers, projected to `d_model` [Sak 2014], in bidirectional models.
    Lstm,
}

impl LayerKind {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    pub(super) fn is_transformer(&self) -> bool {
        *self == Self::Transformer
    }
}

/// Well-known architectures to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// RMS norm, rotary positions, SwiGLU, no biases, a head of its own.
    Llama,
    /// Layer norm, learned positions, GELU (tanh), biases, tied head.
    Gpt2,
    /// For encoder–decoders [Raffel 2020]: RMS norm, relative bias, ReLU, no biases, attention scores as they are, a tied head
    /// that is scaled.
    T5,
    /// An encoder: layer norm after each part, learned positions, two token types, GELU, biases, tied head.
    Bert,
}

impl Preset {
    /// The name written in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Gpt2 => "gpt2",
            Self::T5 => "t5",
            Self::Bert => "bert",
        }
    }
}
