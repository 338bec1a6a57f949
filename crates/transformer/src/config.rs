//! The one description of a model.

use crate::TransformerError;
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
    /// Squared ReLU [So 2021].
    Relu2,
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
    /// A stack that predicts tokens in any order, each from those before it there: [`Permutation`](crate::Permutation).
    Permutation,
}

impl ModelKind {
    /// The name written in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decoder => "decoder",
            Self::Bidirectional => "bidirectional",
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
}

impl Preset {
    /// The name written in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Gpt2 => "gpt2",
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
    /// All tokens of a prompt see each other, and only what comes behind it looks back [Raffel 2020, the prefix language model]: a
    /// prompt is what a row is fed first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub prefix_attention: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl ModelConfig {
    /// The preset's decoder at a size. `d_ff` is 4 · `d_model` for GPT-2 and 8/3 · `d_model`, rounded up to a
    /// multiple of 32, for Llama.
    pub fn preset(
        preset: Preset,
        vocab_size: usize,
        d_model: usize,
        n_layers: usize,
        n_heads: usize,
        seq_len: usize,
    ) -> Self {
        let llama = preset == Preset::Llama;
        Self {
            kind: ModelKind::Decoder,
            vocab_size,
            d_model,
            n_layers,
            n_heads,
            n_kv_heads: n_heads,
            d_ff: Self::default_d_ff(if llama { MlpKind::Swiglu } else { MlpKind::GeluTanh }, d_model),
            seq_len,
            norm: if llama { NormKind::Rms } else { NormKind::Layer },
            norm_eps: 1e-5,
            position: if llama { PositionKind::Rope } else { PositionKind::Learned },
            rope_theta: 10_000.0,
            mlp: if llama { MlpKind::Swiglu } else { MlpKind::GeluTanh },
            tied_head: !llama,
            bias: !llama,
            dropout: 0.0,
            logit_soft_cap: 0.0,
            qk_norm: false,
            prefix_attention: false,
        }
    }

    /// The usual inner width: as many weights in the feed-forward part whatever its kind.
    pub fn default_d_ff(mlp: MlpKind, d_model: usize) -> usize {
        match mlp {
            MlpKind::Swiglu => (8 * d_model / 3).div_ceil(32) * 32,
            MlpKind::Gelu | MlpKind::GeluTanh | MlpKind::Relu2 => 4 * d_model,
        }
    }

    /// Width of one head.
    pub fn d_head(&self) -> usize {
        self.d_model / self.n_heads
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

    /// How many stacks of `n_layers` layers there are.
    pub fn n_stacks(&self) -> usize {
        match self.kind {
            ModelKind::Decoder | ModelKind::Permutation => 1,
            ModelKind::Bidirectional => 2,
        }
    }

    /// Number of trainable numbers.
    pub fn n_params(&self) -> usize {
        let (d, kv) = (self.d_model, self.n_kv_heads * self.d_head());
        let bias = usize::from(self.bias);
        // A gain, and a bias where it is a layer norm with biases.
        let norm_vectors = 1 + bias * usize::from(self.norm == NormKind::Layer);
        let norm = norm_vectors * d;
        let ups = if self.mlp == MlpKind::Swiglu { 2 } else { 1 };
        let attention = 2 * d * d + 2 * d * kv + bias * (2 * d + 2 * kv);
        let mlp = (ups + 1) * d * self.d_ff + bias * (ups * self.d_ff + d);
        let qk = if self.qk_norm { 2 * norm_vectors * self.d_head() } else { 0 };
        let embeddings = self.vocab_size * d * if self.tied_head { 1 } else { 2 };
        let positions = if self.position == PositionKind::Learned { self.seq_len * d } else { 0 };
        let stack = positions + self.n_layers * (attention + mlp + 2 * norm + qk) + norm;
        // From which queries start.
        let query = if self.kind == ModelKind::Permutation { d } else { 0 };
        embeddings + query + self.n_stacks() * stack
    }

    /// Floating-point operations to train on one token: three times the forward pass's multiply–adds, each two
    /// [Chowdhery 2022, PaLM]. Attention over a full context of `seq_len` is counted as causal attention needs it: half of
    /// the square. What is computed a second time to save memory is not counted. A token that is predicted from both sides is
    /// read twice; one that is predicted in an order of its own, too, but that is only one in six [Yang 2019], and the others need no
    /// logits.
    pub fn training_flops_per_token(&self, seq_len: usize) -> f64 {
        let (d, kv) = (self.d_model, self.n_kv_heads * self.d_head());
        let ups = if self.mlp == MlpKind::Swiglu { 2 } else { 1 };
        let layers = self.n_layers * (2 * d * d + 2 * d * kv + (ups + 1) * d * self.d_ff);
        // Scores and their use: two products of d numbers for each key, and half of the keys on average.
        let attention = self.n_layers * d * (seq_len + 1);
        let (layers, head) = ((layers + attention) as f64, (self.vocab_size * d) as f64);
        match self.kind {
            ModelKind::Decoder | ModelKind::Bidirectional => 6.0 * self.n_stacks() as f64 * (layers + head),
            ModelKind::Permutation => 6.0 * (layers * 7.0 + head) / 6.0,
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
