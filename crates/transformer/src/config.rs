//! The one description of a model.

use crate::TransformerError;
use crate::characters::{Characters, Spellings};
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
}

impl ModelKind {
    /// The name written in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decoder => "decoder",
            Self::Bidirectional => "bidirectional",
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
            layers: LayerKind::default(),
            lstm_clip: default_lstm_clip(),
            characters: None,
            spellings: None,
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
        if !(self.logit_soft_cap >= 0.0 && self.logit_soft_cap.is_finite()) {
            return fail(format!("logit_soft_cap {} is negative; 0 means none", self.logit_soft_cap));
        }
        self.validate_elmo()
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

    /// How many stacks of `n_layers` layers there are.
    pub fn n_stacks(&self) -> usize {
        match self.kind {
            ModelKind::Decoder => 1,
            ModelKind::Bidirectional => 2,
        }
    }

    /// Number of trainable numbers.
    pub fn n_params(&self) -> usize {
        let d = self.d_model;
        let embeddings = match &self.characters {
            None => self.vocab_size * d * if self.tied_head { 1 } else { 2 },
            // While the tokens are not known, an end of text is taken to be the only one without bytes.
            Some(characters) => {
                characters.n_params(d, self.spellings.as_ref().map_or(1, Spellings::without_bytes))
                    + self.vocab_size * d
            }
        };
        embeddings + self.n_stacks() * self.stack_params()
    }

    fn stack_params(&self) -> usize {
        let (d, kv) = (self.d_model, self.n_kv_heads * self.d_head());
        if self.layers == LayerKind::Lstm {
            let gates = 4 * self.d_ff;
            return self.n_layers * (2 * d * gates + gates + self.d_ff * d);
        }
        let bias = usize::from(self.bias);
        // A gain, and a bias where it is a layer norm with biases.
        let norm_vectors = 1 + bias * usize::from(self.norm == NormKind::Layer);
        let norm = norm_vectors * d;
        let ups = if self.mlp == MlpKind::Swiglu { 2 } else { 1 };
        let attention = 2 * d * d + 2 * d * kv + bias * (2 * d + 2 * kv);
        let mlp = (ups + 1) * d * self.d_ff + bias * (ups * self.d_ff + d);
        let qk = if self.qk_norm { 2 * norm_vectors * self.d_head() } else { 0 };
        let positions = if self.position == PositionKind::Learned { self.seq_len * d } else { 0 };
        positions + self.n_layers * (attention + mlp + 2 * norm + qk) + norm
    }

    /// Floating-point operations to train on one token: three times the forward pass's multiply–adds, each two
    /// [Chowdhery 2022, PaLM]. Attention over a full context of `seq_len` is counted as causal attention needs it: half of
    /// the square. What is computed a second time to save memory is not counted. A token that is predicted from both sides is
    /// read twice. An embedding computed from characters is not counted: it is computed once for each different token of a batch.
    pub fn training_flops_per_token(&self, seq_len: usize) -> f64 {
        let (d, kv) = (self.d_model, self.n_kv_heads * self.d_head());
        if self.layers == LayerKind::Lstm {
            let matmuls = self.n_layers * 9 * d * self.d_ff + self.vocab_size * d;
            return 6.0 * (self.n_stacks() * matmuls) as f64;
        }
        let ups = if self.mlp == MlpKind::Swiglu { 2 } else { 1 };
        let matmuls =
            self.n_layers * (2 * d * d + 2 * d * kv + (ups + 1) * d * self.d_ff) + self.vocab_size * d;
        // Scores and their use: two products of d numbers for each key, and half of the keys on average.
        let attention = self.n_layers * d * (seq_len + 1);
        6.0 * (self.n_stacks() * (matmuls + attention)) as f64
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
