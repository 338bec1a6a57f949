//! The one description of a model.

use crate::TransformerError;
use crate::characters::{Characters, Spellings};
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
    fn is_pre(&self) -> bool {
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
    fn is_none(&self) -> bool {
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
    fn is_decoder(&self) -> bool {
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
    fn is_transformer(&self) -> bool {
        *self == Self::Transformer
    }
}

/// As in ELMo.
fn default_lstm_clip() -> f64 {
    3.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_default_lstm_clip(clip: &f64) -> bool {
    *clip == default_lstm_clip()
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
        self.d_model / self.n_heads
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

    /// Checks that the numbers describe a model.
    ///
    /// # Errors
    /// Names the field and its value.
    pub fn validate(&self) -> Result<(), TransformerError> {
        let fail = |message: String| Err(TransformerError::Config(message));
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("n_kv_heads", self.n_kv_heads),
            ("d_ff", self.d_ff),
            ("seq_len", self.seq_len),
            ("n_decoder_layers", self.decoder_layers()),
        ];
        for (name, value) in sizes {
            if value == 0 {
                return fail(format!("{name} must be at least 1"));
            }
            if value > 1 << 30 {
                return fail(format!("{name} {value} is beyond any machine this runs on"));
            }
        }
        if !self.d_model.is_multiple_of(self.n_heads) {
            return fail(format!("d_model {} is not divisible by n_heads {}", self.d_model, self.n_heads));
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return fail(format!(
                "n_heads {} is not divisible by n_kv_heads {}",
                self.n_heads, self.n_kv_heads
            ));
        }
        if self.position == PositionKind::Rope && !self.d_head().is_multiple_of(2) {
            return fail(format!(
                "rotary positions need an even head width, but d_model {} / n_heads {} = {}",
                self.d_model,
                self.n_heads,
                self.d_head()
            ));
        }
        self.validate_kind()?;
        if !(0.0..1.0).contains(&self.dropout) {
            return fail(format!("dropout {} is not in [0, 1)", self.dropout));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return fail(format!("norm_eps {} is not in (0, 1)", self.norm_eps));
        }
        if !(self.rope_theta > 1.0 && self.rope_theta.is_finite()) {
            return fail(format!("rope_theta {} is not above 1", self.rope_theta));
        }
        if self.prefix_attention && self.kind != ModelKind::Decoder {
            return fail(format!(
                "prefix_attention is for a decoder, and this is a {} model",
                self.kind.name()
            ));
        }
        if !(self.logit_soft_cap >= 0.0 && self.logit_soft_cap.is_finite()) {
            return fail(format!("logit_soft_cap {} is negative; 0 means none", self.logit_soft_cap));
        }
        self.validate_elmo()?;
        self.validate_encoder()
    }

    /// What only bidirectional models have.
    fn validate_elmo(&self) -> Result<(), TransformerError> {
        let fail = |message: &str| Err(TransformerError::Config(message.into()));
        let bidirectional = self.kind == ModelKind::Bidirectional;
        if self.layers == LayerKind::Lstm {
            if !bidirectional {
                return fail("layers \"lstm\" are for bidirectional models (objective = \"bidirectional\")");
            }
            if self.position != PositionKind::None {
                return fail("LSTM layers know where a token stands: position must be \"none\"");
            }
        }
        if !(self.lstm_clip >= 0.0 && self.lstm_clip.is_finite()) {
            let message = format!("lstm_clip {} is negative or no number; 0 means none", self.lstm_clip);
            return Err(TransformerError::Config(message));
        }
        let Some(characters) = &self.characters else { return Ok(()) };
        if !bidirectional {
            return fail("characters are for bidirectional models (objective = \"bidirectional\")");
        }
        if self.tied_head {
            return fail("an embedding computed from characters is no head: tied_head must be false");
        }
        characters.validate()
    }

    /// What only an encoder has.
    fn validate_encoder(&self) -> Result<(), TransformerError> {
        let fail = |message: String| Err(TransformerError::Config(message));
        let only = [
            ("norm_placement = \"post\"", self.norm_placement == NormPlacement::Post),
            ("token_types", self.token_types > 0),
            ("embedding_norm", self.embedding_norm),
            ("heads", self.heads != EncoderHeads::default()),
            ("generator", self.generator.is_some()),
        ];
        if self.kind != ModelKind::Encoder {
            return match only.iter().find(|(_, is_set)| *is_set) {
                Some((name, _)) => fail(format!(
                    "{name} is for an encoder, and this is a {} model: the preset bert and its options go with the \
                     objectives that train an encoder (masked, replaced-token)",
                    self.kind.name()
                )),
                None => Ok(()),
            };
        }
        if self.position == PositionKind::None {
            return fail("an encoder without positions cannot tell its tokens apart: position is to be learned or rope".into());
        }
        if self.token_types > 1 << 20 {
            return fail(format!("token_types {} is beyond any machine this runs on", self.token_types));
        }
        if self.heads.next_sentence && self.token_types == 1 {
            return fail(
                "token_types 1 does not tell two segments apart: 2 do, and 0 leaves it to what is between"
                    .into(),
            );
        }
        match self.generator_layers() {
            Some(generator) => generator
                .validate()
                .map_err(|error| TransformerError::Config(format!("of the generator: {error}"))),
            None => Ok(()),
        }
    }

    /// Refuses parts that models of this kind do not have.
    fn validate_kind(&self) -> Result<(), TransformerError> {
        let fail = |message: String| Err(TransformerError::Config(message));
        if self.position == PositionKind::RelativeBias {
            let (buckets, distance) = (self.relative_buckets, self.relative_max_distance);
            // The encoder halves them by direction, and half of those are for single distances.
            if buckets < 4 || !buckets.is_multiple_of(4) || buckets > 1 << 16 {
                return fail(format!("relative_buckets {buckets} is no multiple of 4 from 4 on"));
            }
            if distance <= buckets / 2 || distance > 1 << 30 {
                return fail(format!(
                    "relative_max_distance {distance} should be above half of the {buckets} relative_buckets"
                ));
            }
        }
        if self.kind == ModelKind::EncoderDecoder {
            return Ok(());
        }
        if self.kind == ModelKind::Permutation && self.position == PositionKind::None {
            return fail("without positions all predictions of a permutation are the same: position is to be learned or rope".into());
        }
        for (is_there, what) in [
            (self.position == PositionKind::RelativeBias, "position relative-bias"),
            (self.unscaled_attention, "unscaled_attention"),
            (self.scaled_head, "scaled_head"),
            (self.n_decoder_layers.is_some(), "n_decoder_layers"),
        ] {
            if is_there {
                return fail(format!(
                    "{what} is for encoder-decoder models only (as the preset t5 describes one), and this is a {} model",
                    self.kind.name()
                ));
            }
        }
        Ok(())
    }

    /// How many stacks of layers there are.
    pub fn n_stacks(&self) -> usize {
        match self.kind {
            ModelKind::Decoder | ModelKind::Permutation | ModelKind::Encoder => 1,
            ModelKind::Bidirectional | ModelKind::EncoderDecoder => 2,
        }
    }

    /// Numbers in a norm of `width`: a gain, and a bias where it is a layer norm with biases.
    fn norm_numbers(&self, width: usize) -> usize {
        let bias = self.bias && self.norm == NormKind::Layer;
        width * (1 + usize::from(bias))
    }

    /// Numbers in the layers of a stack, without the norm that comes last.
    fn layer_numbers(&self) -> usize {
        let (d, kv) = (self.d_model, self.n_kv_heads * self.d_head());
        let bias = usize::from(self.bias);
        let ups = self.mlp.activation().inputs();
        let attention = 2 * d * d + 2 * d * kv + bias * (2 * d + 2 * kv);
        let mlp = (ups + 1) * d * self.d_ff + bias * (ups * self.d_ff + d);
        let qk = if self.qk_norm { 2 * self.norm_numbers(self.d_head()) } else { 0 };
        self.n_layers * (attention + mlp + 2 * self.norm_numbers(d) + qk)
    }

    /// Numbers in the norm behind the layers of a stack: there is none where each layer ends in one.
    fn last_norm_numbers(&self) -> usize {
        match self.norm_placement {
            NormPlacement::Pre => self.norm_numbers(self.d_model),
            NormPlacement::Post => 0,
        }
    }

    /// Number of trainable numbers.
    pub fn n_params(&self) -> usize {
        let d = self.d_model;
        if self.kind == ModelKind::Encoder {
            return self.vocab_size * d + self.stack_params() + self.encoder_numbers();
        }
        let embeddings = match &self.characters {
            None => self.vocab_size * d * if self.tied_head { 1 } else { 2 },
            // While the tokens are not known, an end of text is taken to be the only one without bytes.
            Some(characters) => {
                characters.n_params(d, self.spellings.as_ref().map_or(1, Spellings::without_bytes))
                    + self.vocab_size * d
            }
        };
        // From which queries start.
        let query = if self.kind == ModelKind::Permutation { d } else { 0 };
        if self.kind == ModelKind::EncoderDecoder {
            let layer = self.layer_numbers() / self.n_layers;
            let (kv, bias) = (self.n_kv_heads * self.d_head(), usize::from(self.bias));
            let qk = if self.qk_norm { 2 * self.norm_numbers(self.d_head()) } else { 0 };
            let cross = 2 * d * d + 2 * d * kv + bias * (2 * d + 2 * kv) + qk + self.norm_numbers(d);
            let ends = 2 * (self.stack_params() - self.layer_numbers());
            return embeddings + ends + self.layers_in_all() * layer + self.decoder_layers() * cross;
        }
        embeddings + query + self.n_stacks() * self.stack_params()
    }

    fn stack_params(&self) -> usize {
        let d = self.d_model;
        if self.layers == LayerKind::Lstm {
            let gates = 4 * self.d_ff;
            return self.n_layers * (2 * d * gates + gates + self.d_ff * d);
        }
        let positions = match self.position {
            PositionKind::Learned => self.seq_len * d,
            PositionKind::RelativeBias => self.relative_buckets * self.n_heads,
            PositionKind::Rope | PositionKind::None => 0,
        };
        positions + self.layer_numbers() + self.last_norm_numbers()
    }

    /// Numbers that only an encoder has: embeddings beside those of tokens and positions, and heads.
    fn encoder_numbers(&self) -> usize {
        let d = self.d_model;
        let linear = |d_in: usize, d_out: usize| d_in * d_out + if self.bias { d_out } else { 0 };
        let of = |is_there: bool, numbers: usize| if is_there { numbers } else { 0 };
        // Dense, norm, the decoder's bias.
        let masked = |d_in: usize| linear(d_in, d) + self.norm_numbers(d) + of(self.bias, self.vocab_size);
        let generator = self.generator_layers().map_or(0, |generator| {
            let projection = of(generator.d_model != d, linear(d, generator.d_model));
            let layers = generator.layer_numbers() + generator.last_norm_numbers();
            projection + layers + masked(generator.d_model)
        });
        let predicts_tokens = self.heads.masked || self.generator.is_some();
        self.token_types * d
            + of(self.embedding_norm, self.norm_numbers(d))
            + of(predicts_tokens && !self.tied_head, self.vocab_size * d)
            + of(self.heads.masked, masked(d))
            + of(self.heads.next_sentence, linear(d, d) + linear(d, 2))
            + of(self.heads.replaced, linear(d, d) + linear(d, 1))
            + generator
    }

    /// Floating-point operations to train on one token: three times the forward pass's multiply–adds, each two
    /// [Chowdhery 2022, PaLM]. Attention over a full context of `seq_len` is counted as causal attention needs it: half of
    /// the square. What is computed a second time to save memory is not counted. A token that is predicted from both sides is
    /// read twice; one that is predicted in an order of its own, too, but that is only one in six [Yang 2019], and the others need no
    /// logits. In an encoder every token sees the whole context, and the heads over the vocabulary read
    /// the 15 % of the tokens that are masked. Of an encoder–decoder a token counts in both stacks, as where the target is as long
    /// as the input. An embedding computed from characters is not counted: it is computed once for each different token of a batch.
    pub fn training_flops_per_token(&self, seq_len: usize) -> f64 {
        if self.kind == ModelKind::EncoderDecoder {
            let (d, kv) = (self.d_model, self.n_kv_heads * self.d_head());
            let (attention, layer) = (2 * d * d + 2 * d * kv, self.layer_products() / self.n_layers);
            let (causal, full) = (d * (seq_len + 1), 2 * d * seq_len);
            let encoder = self.n_layers * (layer + full);
            let decoder = self.decoder_layers() * (layer + causal + attention + full);
            return 6.0 * (encoder + decoder + self.vocab_size * d) as f64;
        }
        // Scores and their use: two products of d numbers for each key, and half of the keys on average.
        let attention = match self.layers {
            LayerKind::Transformer => self.n_layers * self.d_model * (seq_len + 1),
            LayerKind::Lstm => 0,
        };
        if self.kind != ModelKind::Encoder {
            let (layers, head) =
                ((self.layer_products() + attention) as f64, (self.vocab_size * self.d_model) as f64);
            return match self.kind {
                ModelKind::Permutation => 6.0 * (layers * 7.0 + head) / 6.0,
                _ => 6.0 * self.n_stacks() as f64 * (layers + head),
            };
        }
        const MASKED: f64 = 0.15;
        let d = self.d_model;
        let layers = |of: &Self| (of.layer_products() + 2 * of.n_layers * of.d_model * seq_len) as f64;
        let masked = |d_in: usize| MASKED * (d_in * d + self.vocab_size * d) as f64;
        let generator = self.generator_layers().map_or(0.0, |generator| {
            let projection = if generator.d_model == d { 0 } else { d * generator.d_model };
            layers(&generator) + projection as f64 + masked(generator.d_model)
        });
        let head = if self.heads.masked { masked(d) } else { 0.0 };
        let replaced = if self.heads.replaced { (d * d + d) as f64 } else { 0.0 };
        6.0 * (layers(self) + head + replaced + generator)
    }

    /// Multiply–adds of a token in the layers of a stack, attention's own products left out.
    fn layer_products(&self) -> usize {
        let (d, kv) = (self.d_model, self.n_kv_heads * self.d_head());
        if self.layers == LayerKind::Lstm {
            return self.n_layers * 9 * d * self.d_ff;
        }
        let ups = self.mlp.activation().inputs();
        self.n_layers * (2 * d * d + 2 * d * kv + (ups + 1) * d * self.d_ff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(change: impl FnOnce(&mut ModelConfig)) -> String {
        let mut config = ModelConfig::preset(Preset::Llama, 256, 96, 2, 6, 32);
        change(&mut config);
        config.validate().expect_err("this config describes no model").to_string()
    }

    #[test]
    fn impossible_shapes_are_named() {
        assert_eq!(message(|c| c.d_model = 100), "d_model 100 is not divisible by n_heads 6");
        assert_eq!(message(|c| c.n_kv_heads = 4), "n_heads 6 is not divisible by n_kv_heads 4");
        assert_eq!(message(|c| c.n_layers = 0), "n_layers must be at least 1");
        assert!(message(|c| c.d_model = 6 * 15).contains("even head width"));
        assert!(message(|c| c.dropout = 1.0).contains("dropout 1"));
        assert!(
            message(|c| c.token_types = 2).contains("token_types is for an encoder, and this is a decoder")
        );
    }
}
