//! The one description of a model.

use crate::TransformerError;
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
}

impl ModelKind {
    /// The name written in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decoder => "decoder",
            Self::Bidirectional => "bidirectional",
            Self::EncoderDecoder => "encoder-decoder",
            Self::Permutation => "permutation",
        }
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    fn is_decoder(&self) -> bool {
        *self == Self::Decoder
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
}

impl Preset {
    /// The name written in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Gpt2 => "gpt2",
            Self::T5 => "t5",
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
    /// Inner width of the feed-forward part.
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
    #[serde(default, skip_serializing_if = "is_false")]
    pub unscaled_attention: bool,
    /// Of an encoder–decoder: hidden states are divided by `√d_model` before the head [Raffel 2020].
    #[serde(default, skip_serializing_if = "is_false")]
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
    #[serde(default, skip_serializing_if = "is_false")]
    pub prefix_attention: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(value: &bool) -> bool {
    !value
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
    /// The preset's decoder at a size (of T5 the encoder–decoder). `d_ff` is 4 · `d_model` for GPT-2 and T5 and 8/3 · `d_model`,
    /// rounded up to a multiple of 32, for Llama.
    pub fn preset(
        preset: Preset,
        vocab_size: usize,
        d_model: usize,
        n_layers: usize,
        n_heads: usize,
        seq_len: usize,
    ) -> Self {
        let t5 = preset == Preset::T5;
        let mlp = match preset {
            Preset::Llama => MlpKind::Swiglu,
            Preset::Gpt2 => MlpKind::GeluTanh,
            Preset::T5 => MlpKind::Relu,
        };
        Self {
            kind: if t5 { ModelKind::EncoderDecoder } else { ModelKind::Decoder },
            vocab_size,
            d_model,
            n_layers,
            n_heads,
            n_kv_heads: n_heads,
            d_ff: Self::default_d_ff(mlp, d_model),
            seq_len,
            norm: if preset == Preset::Gpt2 { NormKind::Layer } else { NormKind::Rms },
            norm_eps: if t5 { 1e-6 } else { 1e-5 },
            position: match preset {
                Preset::Llama => PositionKind::Rope,
                Preset::Gpt2 => PositionKind::Learned,
                Preset::T5 => PositionKind::RelativeBias,
            },
            rope_theta: 10_000.0,
            mlp,
            tied_head: preset != Preset::Llama,
            bias: preset == Preset::Gpt2,
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
        }
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
            ModelKind::Decoder | ModelKind::Permutation => self.n_layers,
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
        Ok(())
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
            ModelKind::Decoder | ModelKind::Permutation => 1,
            ModelKind::Bidirectional | ModelKind::EncoderDecoder => 2,
        }
    }

    /// Number of trainable numbers.
    pub fn n_params(&self) -> usize {
        let (d, kv) = (self.d_model, self.n_kv_heads * self.d_head());
        let bias = usize::from(self.bias);
        // A gain, and a bias where it is a layer norm with biases.
        let norm_vectors = 1 + bias * usize::from(self.norm == NormKind::Layer);
        let norm = norm_vectors * d;
        let ups = self.mlp.activation().inputs();
        let attention = 2 * d * d + 2 * d * kv + bias * (2 * d + 2 * kv);
        let mlp = (ups + 1) * d * self.d_ff + bias * (ups * self.d_ff + d);
        let qk = if self.qk_norm { 2 * norm_vectors * self.d_head() } else { 0 };
        let embeddings = self.vocab_size * d * if self.tied_head { 1 } else { 2 };
        let positions = match self.position {
            PositionKind::Learned => self.seq_len * d,
            PositionKind::RelativeBias => self.relative_buckets * self.n_heads,
            PositionKind::Rope | PositionKind::None => 0,
        };
        let layers = self.layers_in_all() * (attention + mlp + 2 * norm + qk);
        let cross = if self.kind == ModelKind::EncoderDecoder {
            self.decoder_layers() * (attention + norm + qk)
        } else {
            0
        };
        // From which queries start.
        let query = if self.kind == ModelKind::Permutation { d } else { 0 };
        embeddings + query + self.n_stacks() * (positions + norm) + layers + cross
    }

    /// Floating-point operations to train on one token: three times the forward pass's multiply–adds, each two
    /// [Chowdhery 2022, PaLM]. Attention over a full context of `seq_len` is counted as causal attention needs it: half of
    /// the square. What is computed a second time to save memory is not counted. A token that is predicted from both sides is
    /// read twice; one that is predicted in an order of its own, too, but that is only one in six [Yang 2019], and the others need no
    /// logits. Of an encoder–decoder a token counts in both stacks, as where the target is as long as the input.
    pub fn training_flops_per_token(&self, seq_len: usize) -> f64 {
        let (d, kv) = (self.d_model, self.n_kv_heads * self.d_head());
        let ups = self.mlp.activation().inputs();
        let (attention, mlp) = (2 * d * d + 2 * d * kv, (ups + 1) * d * self.d_ff);
        // Scores and their use: two products of d numbers for each key, and half of the keys on average.
        let (causal, full) = (d * (seq_len + 1), 2 * d * seq_len);
        let head = (self.vocab_size * d) as f64;
        let layers = (self.n_layers * (attention + mlp + causal)) as f64;
        match self.kind {
            ModelKind::Decoder | ModelKind::Bidirectional => 6.0 * self.n_stacks() as f64 * (layers + head),
            ModelKind::Permutation => 6.0 * (layers * 7.0 + head) / 6.0,
            ModelKind::EncoderDecoder => {
                let encoder = self.n_layers * (attention + mlp + full);
                let decoder = self.decoder_layers() * (2 * attention + mlp + causal + full);
                6.0 * ((encoder + decoder) as f64 + head)
            }
        }
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
    }
}
