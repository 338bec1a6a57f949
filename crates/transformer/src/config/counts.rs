//! How many numbers a model has, and what a token costs it.

use super::{LayerKind, ModelConfig, ModelKind, NormKind, NormPlacement, PositionKind};
use crate::characters::Spellings;

impl ModelConfig {
    /// Numbers in a norm of `width`: a gain, and a bias where it is a layer norm with biases.
    fn norm_numbers(&self, width: usize) -> usize {
        let bias = self.bias && self.norm == NormKind::Layer;
        width * (1 + usize::from(bias))
    }

    /// Numbers in the layers of a stack, without the norm that comes last.
    fn layer_numbers(&self) -> usize {
        let (d, bias) = (self.d_model, usize::from(self.bias));
        let ups = self.mlp.activation().inputs();
        let attention = self.attention_products() + bias * (d + self.d_queries() + 2 * self.d_keys());
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
            let bias = usize::from(self.bias) * (d + self.d_queries() + 2 * self.d_keys());
            let qk = if self.qk_norm { 2 * self.norm_numbers(self.d_head()) } else { 0 };
            let cross = self.attention_products() + bias + qk + self.norm_numbers(d);
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
            let (d, heads) = (self.d_model, self.d_queries());
            let (attention, layer) = (self.attention_products(), self.layer_products() / self.n_layers);
            let (causal, full) = (heads * (seq_len + 1), 2 * heads * seq_len);
            let encoder = self.n_layers * (layer + full);
            let decoder = self.decoder_layers() * (layer + causal + attention + full);
            return 6.0 * (encoder + decoder + self.vocab_size * d) as f64;
        }
        // Scores and their use: two products of all heads' numbers for each key, and half of the keys on average.
        let attention = match self.layers {
            LayerKind::Transformer => self.n_layers * self.d_queries() * (seq_len + 1),
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
        let layers = |of: &Self| (of.layer_products() + 2 * of.n_layers * of.d_queries() * seq_len) as f64;
        let masked = |d_in: usize| MASKED * (d_in * d + self.vocab_size * d) as f64;
        let generator = self.generator_layers().map_or(0.0, |generator| {
            let projection = if generator.d_model == d { 0 } else { d * generator.d_model };
            layers(&generator) + projection as f64 + masked(generator.d_model)
        });
        let head = if self.heads.masked { masked(d) } else { 0.0 };
        let replaced = if self.heads.replaced { (d * d + d) as f64 } else { 0.0 };
        6.0 * (layers(self) + head + replaced + generator)
    }

    /// Numbers in the four maps of attention, and multiply–adds of a token in them.
    pub(crate) fn attention_products(&self) -> usize {
        2 * self.d_model * (self.d_queries() + self.d_keys())
    }

    /// Multiply–adds of a token in the layers of a stack, attention's own products left out.
    fn layer_products(&self) -> usize {
        let d = self.d_model;
        if self.layers == LayerKind::Lstm {
            return self.n_layers * 9 * d * self.d_ff;
        }
        let ups = self.mlp.activation().inputs();
        self.n_layers * (self.attention_products() + (ups + 1) * d * self.d_ff)
    }
}
