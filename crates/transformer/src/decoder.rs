//! The decoder: embeddings, layers, a final norm, a head over the vocabulary.

use crate::TransformerError;
use crate::cache::Cache;
use crate::checkpoint;
use crate::config::{ModelConfig, ModelKind};
use crate::dropout::Dropout;
use crate::init::{Init, STD};
use crate::layer::{Layer, Norm, angles, drop};
use crate::lstm::LstmLayer;
use crate::model::{self, Model};
use crate::stack::Stack;
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::{self, AttentionMask, Scores};

/// A stack of layers that predicts the next token. Its layers are a transformer's; those of a half of a bidirectional model may be
/// an LSTM's.
#[derive(Module, Debug)]
pub struct Decoder {
    pub(crate) token_embedding: Param<Tensor<2>>,
    pub(crate) position_embedding: Option<Param<Tensor<2>>>,
    pub(crate) layers: Vec<Layer>,
    /// In the place of `layers`.
    pub(crate) lstm: Vec<LstmLayer>,
    pub(crate) norm: Option<Norm>,
    pub(crate) head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    pub(crate) config: ModelConfig,
    /// Layers keep only their inputs for the backward pass.
    pub(crate) checkpointing: bool,
}

impl Decoder {
    fn with(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let d = config.d_model;
        let token_embedding = init.normal([config.vocab_size, d], STD);
        let Stack { position_embedding, layers, lstm, norm } = Stack::new(config, init);
        Self {
            token_embedding,
            position_embedding,
            layers,
            lstm,
            norm,
            head: (!config.tied_head).then(|| init.normal([config.vocab_size, d], STD)),
            config: config.clone(),
            checkpointing: false,
        }
    }
}

impl Model for Decoder {
    const KIND: ModelKind = ModelKind::Decoder;

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

impl Decoder {
    /// This model without its upper layers: what it predicts from the state after the first `n_layers` through its own last norm
    /// and head (early exit; Elbayad et al. 2020, <https://arxiv.org/abs/1910.10073>). As many as it has at most.
    #[must_use]
    pub fn lower_layers(&self, n_layers: usize) -> Self {
        let mut lower = self.clone();
        lower.layers.truncate(n_layers);
        lower.lstm.truncate(n_layers);
        lower.config.n_layers = lower.n_layers();
        lower
    }

    fn n_layers(&self) -> usize {
        self.layers.len() + self.lstm.len()
    }

    /// The output head, `[vocab, d_model]`: its own, or the token embedding when tied.
    pub fn head(&self) -> Tensor<2> {
        self.head.as_ref().unwrap_or(&self.token_embedding).val()
    }

    /// Final hidden states, normalized. `ids` is `[batch, seq]` and stands at positions `0 .. seq`; returns
    /// `[batch, seq, d_model]`.
    pub fn hidden(
        &self,
        ids: Tensor<2, Int>,
        mask: &AttentionMask,
        dropout: Option<&mut Dropout>,
    ) -> Tensor<3> {
        let positions = vec![(0..ids.dims()[1]).collect()];
        self.hidden_at(ids, &positions, mask, dropout)
    }

    /// [`hidden`](Self::hidden) of ids that stand at `positions`, `[batch or 1][seq]`.
    pub(crate) fn hidden_at(
        &self,
        ids: Tensor<2, Int>,
        positions: &[Vec<usize>],
        mask: &AttentionMask,
        dropout: Option<&mut Dropout>,
    ) -> Tensor<3> {
        self.run(ids, positions, mask, None, dropout, &mut |_| {})
    }

    /// The states of each layer, `n_layers + 1` of `[batch, seq, d_model]`: first the token embedding (with positions, where they
    /// are learned), then the residual stream after each layer, the last one normalized, as Hugging Face's `hidden_states`.
    pub fn layer_states(&self, ids: Tensor<2, Int>, mask: &AttentionMask) -> Vec<Tensor<3>> {
        self.states(ids, mask, None)
    }

    /// [`layer_states`](Self::layer_states) with dropout.
    pub(crate) fn states(
        &self,
        ids: Tensor<2, Int>,
        mask: &AttentionMask,
        dropout: Option<&mut Dropout>,
    ) -> Vec<Tensor<3>> {
        let positions = vec![(0..ids.dims()[1]).collect()];
        let mut states = Vec::with_capacity(self.n_layers() + 1);
        let last = self.run(ids, &positions, mask, None, dropout, &mut |x| states.push(x.clone()));
        states.pop();
        states.push(last);
        states
    }

    /// What the tokens of a text may see that is all there from the start.
    pub fn prompt_mask(&self) -> AttentionMask {
        if self.config.prefix_attention { AttentionMask::Full } else { AttentionMask::Causal }
    }

    /// This model with a prompt read as everything else: every token from those before it, as after a prompt of one token.
    #[must_use]
    pub fn reading_causally(mut self) -> Self {
        self.config.prefix_attention = false;
        self
    }

    /// Feeds each row's new ids after what `cache` holds; what a row is fed first is its prompt. Returns `[rows, longest, d_model]`; where a row has fewer ids
    /// than the longest, what stands after its last id means nothing.
    ///
    /// # Panics
    /// When the rows are not those of the cache.
    pub fn step(&self, rows: &[&[u32]], cache: &mut Cache) -> Tensor<3> {
        assert_eq!(rows.len(), cache.rows(), "one row of ids for each row of the cache");
        let lens: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        let prompts: Vec<bool> =
            (0..cache.rows()).map(|row| self.reads_prompt(cache.is_empty(row))).collect();
        let positions = cache.extend(&lens);
        let device = self.device();
        let ids = padded(rows, &device);
        let mask = cache.mask(ids.dims()[1], &prompts, &device);
        self.run(ids, &positions, &mask, Some(cache), None, &mut |_| {})
    }

    /// Feeds vectors, `[n, d_model]`, in the place of those of tokens to the one row of `cache`. Returns `[1, n, d_model]`.
    pub(crate) fn step_vectors(&self, vectors: Tensor<2>, cache: &mut Cache) -> Tensor<3> {
        let n = vectors.dims()[0];
        let positions = cache.extend(&[n]);
        let mask = cache.mask(n, &[false], &self.device());
        self.through_layers(vectors.unsqueeze(), &positions, &mask, Some(cache), None, &mut |_| {})
    }

    /// Whether what a row is fed sees all of itself; the row was empty before, or not.
    fn reads_prompt(&self, is_first: bool) -> bool {
        self.config.prefix_attention && is_first
    }

    /// Logits of hidden states: `[n, d_model]` to `[n, vocab]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        ops::vocabulary_logits(hidden, self.head(), self.config.soft_cap())
    }

    /// `−log P(target)` in nats for each hidden state: `[n, d_model]` and `[n]` to `[n]`.
    pub fn nats(&self, hidden: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        ops::cross_entropy(hidden, self.head(), targets, self.config.soft_cap())
    }

    /// What the logits of hidden states, `[n, d_model]`, are made of.
    pub fn scores(&self, hidden: Tensor<2>) -> Scores {
        Scores { hidden, head: self.head(), soft_cap: self.config.soft_cap() }
    }

    fn run(
        &self,
        ids: Tensor<2, Int>,
        positions: &[Vec<usize>],
        mask: &AttentionMask,
        cache: Option<&mut Cache>,
        dropout: Option<&mut Dropout>,
        on_state: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        self.through_layers(self.embed(ids), positions, mask, cache, dropout, on_state)
    }

    /// Token embeddings: `[batch, seq]` to `[batch, seq, d_model]`.
    pub(crate) fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = ids.dims();
        let embedded = self.token_embedding.val().select(0, ids.reshape([batch * seq]));
        embedded.reshape([batch, seq, self.config.d_model])
    }

    /// From embeddings without positions to final states, both `[batch, seq, d_model]`. `on_state` sees the residual stream before the
    /// first layer and after each.
    pub(crate) fn through_layers(
        &self,
        mut x: Tensor<3>,
        positions: &[Vec<usize>],
        mask: &AttentionMask,
        mut cache: Option<&mut Cache>,
        mut dropout: Option<&mut Dropout>,
        on_state: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let seq = x.dims()[1];
        if let Some(table) = &self.position_embedding {
            x = x + select_positions(table.val(), positions);
        }
        x = drop(x, &mut dropout);
        let angles = angles(&self.config, positions, &x.device());
        let checkpointing = self.checkpointing && cache.is_none() && ops::can_checkpoint(&x);
        on_state(&x);
        for (index, layer) in self.layers.iter().enumerate() {
            x = match checkpointing {
                true => {
                    let (angles, mask) = (angles.clone(), mask.clone());
                    checkpoint::forward(layer, x, &mut dropout, move |layer: &Layer, x, dropout| {
                        layer.forward(x, angles.as_ref(), &mask, None, dropout)
                    })
                }
                false => {
                    let cache = cache.as_mut().map(|cache| cache.layer(index, seq));
                    layer.forward(x, angles.as_ref(), mask, cache, &mut dropout)
                }
            };
            on_state(&x);
        }
        for (index, layer) in self.lstm.iter().enumerate() {
            // All but the lowest are added to what they read.
            let below = (index > 0).then(|| x.clone());
            let h = if index > 0 { drop(x, &mut dropout) } else { x };
            let h = match checkpointing {
                true => {
                    checkpoint::forward(layer, h, &mut None, |layer: &LstmLayer, x, _| layer.forward(x, None))
                }
                false => layer.forward(h, cache.as_mut().map(|cache| cache.layer(index, seq))),
            };
            x = match below {
                Some(below) => below + h,
                None => h,
            };
            on_state(&x);
        }
        match &self.norm {
            Some(norm) => norm.forward(x),
            None => drop(x, &mut dropout),
        }
    }
}

/// Rows of ids as `[rows, longest]`; what stands behind a shorter row is 0.
pub(crate) fn padded(rows: &[&[u32]], device: &Device) -> Tensor<2, Int> {
    let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let ids: Vec<i32> =
        rows.iter().flat_map(|row| (0..longest).map(|i| row.get(i).copied().unwrap_or(0) as i32)).collect();
    Tensor::from_data(TensorData::new(ids, [rows.len(), longest]), device)
}

/// The vectors of `positions` `[rows][seq]` from `table` `[seq_len, d_model]`, as `[rows, seq, d_model]`.
pub(crate) fn select_positions(table: Tensor<2>, positions: &[Vec<usize>]) -> Tensor<3> {
    let (rows, seq, d_model) = (positions.len(), positions[0].len(), table.dims()[1]);
    let first = positions[0][0];
    if rows == 1 && positions[0].iter().enumerate().all(|(i, &position)| position == first + i) {
        return table.narrow(0, first, seq).unsqueeze::<3>();
    }
    let index: Vec<i32> = positions.iter().flatten().map(|&position| position as i32).collect();
    let index = Tensor::<1, Int>::from_data(TensorData::new(index, [rows * seq]), &table.device());
    table.select(0, index).reshape([rows, seq, d_model])
}
