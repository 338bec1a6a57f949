//! The encoder: embeddings and layers in which every token sees every other, and heads for what it is trained on.
//!
//! BERT [Devlin 2018, <https://arxiv.org/abs/1810.04805>] is one of its configs: norms after each part, token types, a norm
//! behind the embeddings. Beside it may stand a small generator on the same embeddings, as in ELECTRA
//! [Clark 2020, <https://arxiv.org/abs/2003.10555>].

mod heads;

use crate::TransformerError;
use crate::checkpoint;
use crate::config::{EncoderHeads, ModelConfig, ModelKind, NormPlacement, PositionKind};
use crate::dropout::Dropout;
use crate::init::{Init, STD};
use crate::layer::{Layer, Linear, Norm, angles, drop};
use crate::model::{self, Model};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use firebrand_backend::ops::{self, AttentionMask};
use heads::{MaskedHead, NextSentenceHead, ReplacedHead};

/// An encoder-only transformer.
#[derive(Module, Debug)]
pub struct Encoder {
    pub(crate) token_embedding: Param<Tensor<2>>,
    position_embedding: Option<Param<Tensor<2>>>,
    /// `[token_types, d_model]`
    token_type_embedding: Option<Param<Tensor<2>>>,
    embedding_norm: Option<Norm>,
    layers: Vec<Layer>,
    /// Behind the layers, where they do not end in a norm.
    norm: Option<Norm>,
    /// The vectors of tokens that predictions are compared with, where they are not those of the embedding.
    head: Option<Param<Tensor<2>>>,
    masked_head: Option<MaskedHead>,
    next_sentence_head: Option<NextSentenceHead>,
    replaced_head: Option<ReplacedHead>,
    generator: Option<Generator>,
    #[module(skip)]
    config: ModelConfig,
    /// Layers keep only their inputs for the backward pass.
    checkpointing: bool,
}

/// Layers of their own, mostly narrower ones, on an encoder's embeddings, with a head for masked tokens.
#[derive(Module, Debug)]
pub struct Generator {
    /// From the embeddings to its width, where that is another.
    projection: Option<Linear>,
    layers: Vec<Layer>,
    norm: Option<Norm>,
    masked_head: MaskedHead,
    #[module(skip)]
    config: ModelConfig,
}

impl Generator {
    /// `layers` is the config of the layers, `config` the encoder's.
    fn with(layers: ModelConfig, config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let (d, width) = (config.d_model, layers.d_model);
        Self {
            projection: (width != d).then(|| Linear::new(d, width, config.bias, STD, init)),
            layers: (0..layers.n_layers).map(|_| Layer::new(&layers, init)).collect(),
            norm: last_norm(&layers, init),
            masked_head: MaskedHead::new(width, config, init),
            config: layers,
        }
    }
}

fn last_norm(config: &ModelConfig, init: &Init<'_>) -> Option<Norm> {
    (config.norm_placement == NormPlacement::Pre).then(|| Norm::new(config, config.d_model, init))
}

impl Encoder {
    fn with(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let d = config.d_model;
        let predicts_tokens = config.heads.masked || config.generator.is_some();
        Self {
            token_embedding: init.normal([config.vocab_size, d], STD),
            position_embedding: (config.position == PositionKind::Learned)
                .then(|| init.normal([config.seq_len, d], STD)),
            token_type_embedding: (config.token_types > 0).then(|| init.normal([config.token_types, d], STD)),
            embedding_norm: config.embedding_norm.then(|| Norm::new(config, d, init)),
            layers: (0..config.n_layers).map(|_| Layer::new(config, init)).collect(),
            norm: last_norm(config, init),
            head: (predicts_tokens && !config.tied_head).then(|| init.normal([config.vocab_size, d], STD)),
            masked_head: config.heads.masked.then(|| MaskedHead::new(d, config, init)),
            next_sentence_head: config.heads.next_sentence.then(|| NextSentenceHead::new(config, init)),
            replaced_head: config.heads.replaced.then(|| ReplacedHead::new(config, init)),
            generator: config.generator_layers().map(|layers| Generator::with(layers, config, init)),
            config: config.clone(),
            checkpointing: false,
        }
    }
}

impl Model for Encoder {
    const KIND: ModelKind = ModelKind::Encoder;

    fn made(config: &ModelConfig, seed: Option<u64>, device: &Device) -> Result<Self, TransformerError> {
        model::check(config, Self::KIND)?;
        Ok(Self::with(config, &mut Init::new(seed, device)))
    }

    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn device(&self) -> Device {
        self.token_embedding.val().device()
    }

    fn with_checkpointing(self, checkpointing: bool) -> Self {
        Self { checkpointing, ..self }
    }
}

impl Encoder {
    /// Final hidden states. `ids` is `[batch, seq]` and stands at positions `0 .. seq`; `types`, `[batch, seq]`, are the types of
    /// the tokens, all 0 where they are not given. Returns `[batch, seq, d_model]`.
    pub fn hidden(
        &self,
        ids: Tensor<2, Int>,
        types: Option<Tensor<2, Int>>,
        mask: &AttentionMask,
        mut dropout: Option<&mut Dropout>,
    ) -> Tensor<3> {
        let x = drop(self.embed(ids, types), &mut dropout);
        self.run(x, mask, dropout, &mut |_| {})
    }

    /// The states of each layer, `n_layers + 1` of `[batch, seq, d_model]`: first the embeddings as the first layer gets them, then
    /// the residual stream after each layer, the last one normalized, as Hugging Face's `hidden_states`.
    pub fn layer_states(&self, ids: Tensor<2, Int>) -> Vec<Tensor<3>> {
        self.states(ids, None, &AttentionMask::Full, None)
    }

    /// [`layer_states`](Self::layer_states) as [`hidden`](Self::hidden) computes them.
    pub(crate) fn states(
        &self,
        ids: Tensor<2, Int>,
        types: Option<Tensor<2, Int>>,
        mask: &AttentionMask,
        mut dropout: Option<&mut Dropout>,
    ) -> Vec<Tensor<3>> {
        let mut states = Vec::with_capacity(self.layers.len() + 1);
        let x = drop(self.embed(ids, types), &mut dropout);
        let last = self.run(x, mask, dropout, &mut |x| states.push(x.clone()));
        states.pop();
        states.push(last);
        states
    }

    /// The map from the first token's state to what is known of the whole, if a head for next sentences was trained with one.
    pub(crate) fn pooler(&self) -> Option<&Linear> {
        self.next_sentence_head.as_ref().map(|head| &head.pooler)
    }

    /// What reads alone: without heads, and without a generator beside it.
    #[must_use]
    pub fn without_heads(self) -> Self {
        let config = ModelConfig { heads: EncoderHeads::default(), generator: None, ..self.config };
        Self {
            // Without a head that compares states with the vectors of tokens there are none but the embedding's.
            config: ModelConfig { tied_head: true, ..config },
            head: None,
            masked_head: None,
            next_sentence_head: None,
            replaced_head: None,
            generator: None,
            ..self
        }
    }

    /// Logits over the vocabulary from hidden states, `[n, d_model]` to `[n, vocab]`, if it has such a head.
    pub fn masked_logits(&self, hidden: Tensor<2>) -> Option<Tensor<2>> {
        let head = self.masked_head.as_ref()?;
        Some(head.logits(hidden, self.token_vectors(), self.config.soft_cap()))
    }

    /// `−log P(target)` in nats for each hidden state, `[n, d_model]` and `[n]` to `[n]`.
    ///
    /// # Panics
    /// When it has no head for masked tokens.
    pub fn masked_nats(&self, hidden: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let head = self.masked_head.as_ref().expect("the config has a head for masked tokens");
        head.nats(hidden, self.token_vectors(), targets, self.config.soft_cap())
    }

    /// Logits that the second segment follows the first, and that it does not: `[batch, seq, d_model]` to `[batch, 2]`, if it has
    /// such a head.
    pub fn next_sentence_logits(&self, hidden: Tensor<3>) -> Option<Tensor<2>> {
        Some(self.next_sentence_head.as_ref()?.logits(hidden))
    }

    /// `−log P` of each target, 0 where the second segment follows the first and 1 where it does not: `[batch, seq, d_model]` and
    /// `[batch]` to `[batch]`.
    ///
    /// # Panics
    /// When it has no head for next sentences.
    pub fn next_sentence_nats(&self, hidden: Tensor<3>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.next_sentence_head
            .as_ref()
            .expect("the config has a head for next sentences")
            .nats(hidden, targets)
    }

    /// The log-odds that each token was replaced, `[n, d_model]` to `[n]`, if it has such a head.
    pub fn replaced_logits(&self, hidden: Tensor<2>) -> Option<Tensor<1>> {
        Some(self.replaced_head.as_ref()?.logits(hidden))
    }

    /// Hidden states of the generator for `ids` `[batch, seq]`: `[batch, seq, its width]`, if there is one.
    pub fn generator_hidden(
        &self,
        ids: Tensor<2, Int>,
        mask: &AttentionMask,
        mut dropout: Option<&mut Dropout>,
    ) -> Option<Tensor<3>> {
        let generator = self.generator.as_ref()?;
        let mut x = drop(self.embed(ids, None), &mut dropout);
        if let Some(projection) = &generator.projection {
            x = projection.forward(x);
        }
        let stack = Stack {
            layers: &generator.layers,
            norm: generator.norm.as_ref(),
            config: &generator.config,
            checkpointing: self.checkpointing,
        };
        Some(stack.run(x, mask, dropout, &mut |_| {}))
    }

    /// The generator's logits over the vocabulary, `[n, its width]` to `[n, vocab]`, if there is one.
    pub fn generator_logits(&self, hidden: Tensor<2>) -> Option<Tensor<2>> {
        let head = &self.generator.as_ref()?.masked_head;
        Some(head.logits(hidden, self.token_vectors(), self.config.soft_cap()))
    }

    /// As [`masked_nats`](Self::masked_nats), of the generator; and from the same logits an id for each state that is as likely as they
    /// say, drawn by its number of `uniform`, in [0, 1).
    ///
    /// # Panics
    /// When there is no generator, or not a number for each state.
    pub fn generator_nats_and_draws(
        &self,
        hidden: Tensor<2>,
        targets: Tensor<1, Int>,
        uniform: &[f64],
    ) -> (Tensor<1>, Vec<u32>) {
        let head = &self.generator.as_ref().expect("the config has a generator").masked_head;
        head.nats_and_draws(hidden, self.token_vectors(), targets, self.config.soft_cap(), uniform)
    }

    /// `[vocab, d_model]`
    fn token_vectors(&self) -> Tensor<2> {
        self.head.as_ref().unwrap_or(&self.token_embedding).val()
    }

    /// Hidden states where `vectors`, `[n, d_model]`, stand in the place of each row's first token, all of type 0: of `ids` `[batch, seq]`,
    /// of which `mask` hides what it hides with `n − 1` positions more in front. Returns `[batch, seq, d_model]`, first the state of the last
    /// vector.
    pub fn hidden_behind(&self, vectors: Tensor<2>, ids: Tensor<2, Int>, mask: &AttentionMask) -> Tensor<3> {
        let ([batch, seq], n) = (ids.dims(), vectors.dims()[0]);
        let vectors = vectors.unsqueeze::<3>().repeat_dim(0, batch);
        let x = match seq {
            1 => vectors,
            _ => Tensor::cat(vec![vectors, self.vectors(ids.narrow(1, 1, seq - 1))], 1),
        };
        self.run(self.placed(x, None), mask, None, &mut |_| {}).narrow(1, n - 1, seq)
    }

    /// `[batch, seq, d_model]`
    fn embed(&self, ids: Tensor<2, Int>, types: Option<Tensor<2, Int>>) -> Tensor<3> {
        self.placed(self.vectors(ids), types)
    }

    /// The vectors of tokens, `[batch, seq, d_model]`.
    fn vectors(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = ids.dims();
        self.token_embedding.val().select(0, ids.reshape([batch * seq])).reshape([
            batch,
            seq,
            self.config.d_model,
        ])
    }

    /// The vectors `x`, `[batch, seq, d_model]`, of what stands at positions `0 .. seq`, as the first layer gets them.
    fn placed(&self, mut x: Tensor<3>, types: Option<Tensor<2, Int>>) -> Tensor<3> {
        let [batch, seq, d_model] = x.dims();
        if let Some(table) = &self.position_embedding {
            x = x + table.val().narrow(0, 0, seq).unsqueeze::<3>();
        }
        if let Some(table) = &self.token_type_embedding {
            x = match types {
                Some(types) => {
                    let types = table.val().select(0, types.reshape([batch * seq]));
                    x + types.reshape([batch, seq, d_model])
                }
                None => x + table.val().narrow(0, 0, 1).unsqueeze::<3>(),
            };
        }
        match &self.embedding_norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }

    fn run(
        &self,
        x: Tensor<3>,
        mask: &AttentionMask,
        dropout: Option<&mut Dropout>,
        on_state: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let stack = Stack {
            layers: &self.layers,
            norm: self.norm.as_ref(),
            config: &self.config,
            checkpointing: self.checkpointing,
        };
        stack.run(x, mask, dropout, on_state)
    }
}

/// Layers and the norm behind them.
struct Stack<'a> {
    layers: &'a [Layer],
    norm: Option<&'a Norm>,
    config: &'a ModelConfig,
    checkpointing: bool,
}

impl Stack<'_> {
    /// `x` is `[batch, seq, d_model]`; `on_state` sees it before the first layer and after each.
    fn run(
        &self,
        mut x: Tensor<3>,
        mask: &AttentionMask,
        mut dropout: Option<&mut Dropout>,
        on_state: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let positions = vec![(0..x.dims()[1]).collect()];
        let angles = angles(self.config, &positions, &x.device());
        let checkpointing = self.checkpointing && ops::can_checkpoint(&x);
        on_state(&x);
        for layer in self.layers {
            x = match checkpointing {
                true => {
                    let (angles, mask) = (angles.clone(), mask.clone());
                    checkpoint::forward(layer, x, &mut dropout, move |layer: &Layer, x, dropout| {
                        layer.forward(x, angles.as_ref(), &mask, None, dropout)
                    })
                }
                false => layer.forward(x, angles.as_ref(), mask, None, &mut dropout),
            };
            on_state(&x);
        }
        match self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}
