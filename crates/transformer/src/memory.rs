//! How much a model keeps for its backward pass, counted in numbers.
//!
//! This is the one place that says what each operation keeps: whoever changes that in `backend::fused` or in
//! [`layer`](crate::layer) changes it here, and `cargo test -p firebrand-cli the_estimate -- --include-ignored --nocapture`
//! prints estimates beside what was measured.

use crate::characters::Spellings;
use crate::config::{LayerKind, ModelConfig, ModelKind, NormPlacement, PositionKind};
use firebrand_backend::Precision;

/// What the forward pass of one micro-batch leaves for its backward pass, in numbers (f32 each).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activations {
    /// In each layer, its input among it.
    pub layer: usize,
    /// A layer's input alone: all that a checkpointed layer keeps.
    pub layer_input: usize,
    /// After the last layer: the final norm's input and output.
    pub top: usize,
    /// Gradients and outputs that one layer's backward pass has beside what is kept.
    pub working: usize,
    /// The chunk of logits that cross-entropy works on, and the gradient of the hidden states.
    pub loss: usize,
}

impl Activations {
    /// The most that is there at once in a forward and backward pass over `layers` layers.
    pub fn peak(&self, layers: usize, checkpointing: bool) -> usize {
        let working = self.working.max(self.loss);
        match checkpointing {
            false => layers * self.layer + self.top + working,
            true => layers * self.layer_input + self.top + (self.layer + self.working).max(self.loss),
        }
    }
}

impl ModelConfig {
    /// What training on `tokens` tokens at once keeps.
    pub fn activations(&self, tokens: usize, precision: Precision) -> Activations {
        let (d, ff) = (self.d_model, self.d_ff);
        if self.layers == LayerKind::Lstm {
            return self.lstm_activations(tokens);
        }
        // Of a permutation one in six is predicted, for which it is read a second time; in an encoder what is masked.
        let (tokens, predicted) = match self.kind {
            ModelKind::Decoder | ModelKind::Bidirectional | ModelKind::EncoderDecoder => (tokens, tokens),
            ModelKind::Permutation => (tokens + tokens.div_ceil(6), tokens.div_ceil(6)),
            ModelKind::Encoder => (tokens, (tokens * 15).div_ceil(100)),
        };
        let (dq, kv) = (self.d_queries(), self.d_keys());
        let (gated, cross) = (self.mlp.is_gated(), self.kind == ModelKind::EncoderDecoder);
        // What products of bf16 read is kept in bf16, two to the f32.
        let narrow = |numbers: usize| if precision == Precision::Bf16 { numbers / 2 } else { numbers };
        // What goes into the norms before attention and before the feed-forward part: the residual stream in f32, or
        // normalized rows in bf16. Norms that come after keep their input beside what the next projection keeps.
        let normalized = narrow(2 * d)
            + 4
            + match self.norm_placement {
                NormPlacement::Pre => 0,
                NormPlacement::Post => 2 * d,
            };
        // Queries, keys and values as attention reads them, what it returns, two numbers for each head.
        let heads = dq + 2 * kv + dq;
        let attention = (if self.qk_norm { heads } else { narrow(heads) }) + 2 * self.n_heads;
        // Heads are taken out to be normalized, and kept before and after.
        let qk_norm = if self.qk_norm { 2 * (dq + kv) + self.n_heads + self.n_kv_heads } else { 0 };
        // What the activation takes; what it gives is computed again.
        let mlp = narrow((if gated { 2 } else { 1 }) * ff);
        // What both branches add, and its mask.
        let dropout = if self.dropout > 0.0 { 4 * d } else { 0 };
        // The gradient of the residual stream and of the branch, and those of the feed-forward part.
        let working = 2 * d + narrow((if gated { 3 } else { 1 }) * ff);
        // What an encoder–decoder has beyond two stacks is counted in every layer, although the encoder's have it not: attention
        // to the other stack, and both states where a layer keeps its input.
        let cross = if cross { narrow(d) + 4 + heads + 2 * self.n_heads } else { 0 };
        let bias = if self.position == PositionKind::RelativeBias {
            2 * self.n_heads * self.seq_len * self.seq_len
        } else {
            0
        };
        let inputs = if self.kind == ModelKind::EncoderDecoder { 2 * d } else { d };
        let generator = self.generator_layers().map_or(0, |generator| {
            let of_layers = generator.activations(tokens, precision);
            generator.n_layers * of_layers.layer + of_layers.top
        });
        Activations {
            layer: tokens * (normalized + attention + qk_norm + mlp + dropout + cross) + bias,
            layer_input: tokens * inputs,
            top: self.n_stacks() * tokens * (2 * d + 2) + self.embedding_activations(tokens) + generator,
            working: tokens * working,
            loss: self.logits_at_once(predicted) + tokens * d,
        }
    }

    /// The same with LSTM layers, which keep f32 always.
    fn lstm_activations(&self, tokens: usize) -> Activations {
        let (d, cell) = (self.d_model, self.d_ff);
        let dropout = if self.dropout > 0.0 { 2 * d } else { 0 };
        Activations {
            // What the gates are computed from; gates, cell states and outputs.
            layer: tokens * (d + 4 * cell + cell + d + dropout),
            layer_input: tokens * d,
            top: self.n_stacks() * tokens * (d + dropout) + self.embedding_activations(tokens),
            // What was projected; gradients of outputs, of inputs, and the outputs of the steps before.
            working: tokens * (cell + 3 * d),
            loss: self.logits_at_once(tokens) + tokens * d,
        }
    }

    /// What computing the embeddings of a batch from characters keeps: each of its tokens is another one at most.
    fn embedding_activations(&self, tokens: usize) -> usize {
        let Some(characters) = &self.characters else { return 0 };
        let longest = self.spellings.as_ref().map_or(characters.max_bytes, Spellings::longest);
        let len = (longest + 2).min(characters.max_bytes);
        let table = self.vocab_size * self.d_model;
        tokens.min(self.vocab_size) * characters.activations(len, self.d_model) + table
    }

    /// Logits in one chunk of cross-entropy: as `backend`'s kernel cuts them.
    fn logits_at_once(&self, tokens: usize) -> usize {
        const CHUNK: usize = 1 << 21;
        (CHUNK / self.vocab_size).clamp(256, 2048).min(tokens) * self.vocab_size
    }

    /// Numbers in the token embedding, and as many in its gradient.
    pub fn embedding_numbers(&self) -> usize {
        // Of the head, where the embedding is computed: it is as large.
        self.vocab_size * self.d_model
    }

    /// Numbers in the matrices of the layers, which Muon updates.
    pub fn layer_matrix_numbers(&self) -> usize {
        if self.layers == LayerKind::Lstm {
            return 0;
        }
        let ups = self.mlp.activation().inputs();
        let attention = self.attention_products();
        let cross =
            if self.kind == ModelKind::EncoderDecoder { self.decoder_layers() * attention } else { 0 };
        let generator = self.generator_layers().map_or(0, |generator| generator.layer_matrix_numbers());
        self.layers_in_all() * (attention + (ups + 1) * self.d_model * self.d_ff) + cross + generator
    }

    /// Numbers in the largest of them.
    pub fn largest_layer_matrix(&self) -> usize {
        self.d_model * self.d_ff.max(self.d_queries()).max(self.d_keys())
    }
}
