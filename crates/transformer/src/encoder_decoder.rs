//! The encoder–decoder [Vaswani 2017; Raffel 2020, <https://arxiv.org/abs/1910.10683>]: a stack that reads a text as a whole, and one
//! that writes another text from left to right and looks at the states of the first. They share the token embedding.

mod relative;
mod stack;

use crate::TransformerError;
use crate::cache::Cache;
use crate::config::{ModelConfig, ModelKind};
use crate::decoder::padded;
use crate::dropout::Dropout;
use crate::init::{Init, STD};
use crate::layer::{KeysValues, drop};
use crate::model::{self, Model};
use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use firebrand_backend::ops::{self, AttentionMask};
use stack::{Given, Other, Stack};

/// An encoder and a decoder over one token embedding.
#[derive(Module, Debug)]
pub struct EncoderDecoder {
    token_embedding: Param<Tensor<2>>,
    encoder: Stack,
    decoder: Stack,
    head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: ModelConfig,
    checkpointing: bool,
}

/// Texts as the encoder sees them: its last states, `[batch, seq, d_model]`, of which the first `lens[row]` mean something.
#[derive(Debug, Clone)]
pub struct Encoded {
    states: Tensor<3>,
    lens: Vec<usize>,
}

impl Encoded {
    /// `[batch, seq, d_model]`
    pub fn states(&self) -> Tensor<3> {
        self.states.clone()
    }

    /// Some of the texts, one as often as it is named.
    pub fn select(&self, rows: &[usize]) -> Self {
        let index: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [rows.len()]), &self.states.device());
        Self {
            states: self.states.clone().select(0, index),
            lens: rows.iter().map(|&row| self.lens[row]).collect(),
        }
    }

    /// What of the texts `queries` positions in every row see: all but the padding.
    fn mask(&self, queries: usize) -> AttentionMask {
        hide_padding(&self.lens, queries, self.states.dims()[1], &self.states.device())
    }
}

/// One text as the decoder sees it: keys and values for each of its layers. However many texts are written to it, it is made once.
#[derive(Debug, Clone)]
pub struct Memory {
    layers: Vec<KeysValues>,
}

/// What of `[batch, keys]` each of so many queries sees, of rows that are so long.
fn hide_padding(lens: &[usize], queries: usize, keys: usize, device: &Device) -> AttentionMask {
    if lens.iter().all(|&len| len == keys) {
        return AttentionMask::Full;
    }
    let mut hidden = Vec::with_capacity(lens.len() * queries * keys);
    for &len in lens {
        (0..queries).for_each(|_| hidden.extend((0..keys).map(|key| key >= len)));
    }
    let hidden = TensorData::new(hidden, [lens.len(), queries, keys]);
    AttentionMask::Hidden(Tensor::<3, Bool>::from_data(hidden, device))
}

impl EncoderDecoder {
    fn with(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        // The head divides by √d_model where it is scaled: then the logits of a fresh model are those of any other.
        let std = if config.scaled_head { STD * (config.d_model as f64).sqrt() } else { STD };
        Self {
            token_embedding: init.normal([config.vocab_size, config.d_model], std),
            encoder: Stack::encoder(config, init),
            decoder: Stack::decoder(config, init),
            head: (!config.tied_head).then(|| init.normal([config.vocab_size, config.d_model], STD)),
            config: config.clone(),
            checkpointing: false,
        }
    }

    /// The texts `ids`, `[batch, seq]`, the first `lens[row]` of each row; what stands behind is seen by nothing.
    ///
    /// # Panics
    /// When there is not one length a row.
    pub fn encode(&self, ids: Tensor<2, Int>, lens: &[usize], mut dropout: Option<&mut Dropout>) -> Encoded {
        let states = self.run_encoder(ids, lens, &mut dropout, &mut |_| {});
        Encoded { states: drop(states, &mut dropout), lens: lens.to_vec() }
    }

    /// The states of each layer of the encoder, `n_layers + 1` of `[batch, seq, d_model]`: first the token embedding (with positions,
    /// where they are learned), then the residual stream after each layer, the last one normalized.
    pub fn layer_states(&self, ids: Tensor<2, Int>) -> Vec<Tensor<3>> {
        let [batch, seq] = ids.dims();
        let mut states = Vec::with_capacity(self.encoder.layers.len() + 1);
        let last = self.run_encoder(ids, &vec![seq; batch], &mut None, &mut |x| states.push(x.clone()));
        states.pop();
        states.push(last);
        states
    }

    fn run_encoder(
        &self,
        ids: Tensor<2, Int>,
        lens: &[usize],
        dropout: &mut Option<&mut Dropout>,
        on_state: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let [batch, seq] = ids.dims();
        assert_eq!(batch, lens.len(), "a length for each row");
        if let Some(dropout) = dropout {
            dropout.for_lens(lens);
        }
        let x = self.embed(ids);
        let mask = hide_padding(lens, seq, seq, &x.device());
        let given = Given {
            config: &self.config,
            positions: &[(0..seq).collect()],
            mask: &mask,
            other: None,
            checkpointing: self.checkpointing,
        };
        self.encoder.run(x, &given, None, dropout, on_state)
    }

    /// Final hidden states of the decoder for what it has written so far, `ids` `[batch, seq]`, of which `lens[row]` mean something;
    /// returns `[batch, seq, d_model]`. A state sees the ids up to its own, and all of the text.
    pub fn hidden(
        &self,
        encoded: &Encoded,
        ids: Tensor<2, Int>,
        lens: &[usize],
        mut dropout: Option<&mut Dropout>,
    ) -> Tensor<3> {
        let seq = ids.dims()[1];
        if let Some(dropout) = &mut dropout {
            dropout.for_lens(lens);
        }
        let given = Given {
            config: &self.config,
            positions: &[(0..seq).collect()],
            mask: &AttentionMask::Causal,
            other: Some(Other::States(encoded.states(), encoded.mask(seq))),
            checkpointing: self.checkpointing,
        };
        let states = self.decoder.run(self.embed(ids), &given, None, &mut dropout, &mut |_| {});
        drop(states, &mut dropout)
    }

    /// A text for [`step`](Self::step).
    pub fn remember(&self, ids: &[u32]) -> Memory {
        let encoded = self.encode(padded(&[ids], &self.device()), &[ids.len()], None);
        let layers = self.decoder.layers.iter().map(|layer| layer.remember(encoded.states()));
        Memory { layers: layers.collect() }
    }

    /// An empty cache for what is written, `rows` times.
    pub fn cache(&self, rows: usize) -> Cache {
        Cache::new(self.config.decoder_layers(), rows)
    }

    /// Feeds each row's new ids after what `cache` holds, all rows being written to one text. Returns `[rows, longest, d_model]`;
    /// where a row has fewer ids than the longest, what stands after its last id means nothing.
    ///
    /// # Panics
    /// When the rows are not those of the cache.
    pub fn step(&self, memory: &Memory, rows: &[&[u32]], cache: &mut Cache) -> Tensor<3> {
        assert_eq!(rows.len(), cache.rows(), "one row of ids for each row of the cache");
        let lens: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        let positions = cache.extend(&lens);
        let device = self.device();
        let ids = padded(rows, &device);
        let mask = cache.mask(ids.dims()[1], &vec![false; rows.len()], &device);
        let given = Given {
            config: &self.config,
            positions: &positions,
            mask: &mask,
            other: Some(Other::Kept(&memory.layers)),
            checkpointing: false,
        };
        self.decoder.run(self.embed(ids), &given, Some(cache), &mut None, &mut |_| {})
    }

    /// The output head, `[vocab, d_model]`: its own, or the token embedding when tied.
    fn head(&self) -> Tensor<2> {
        self.head.as_ref().unwrap_or(&self.token_embedding).val()
    }

    /// Hidden states as the head takes them.
    fn for_head(&self, hidden: Tensor<2>) -> Tensor<2> {
        if self.config.scaled_head { hidden / (self.config.d_model as f64).sqrt() } else { hidden }
    }

    /// Logits of the decoder's hidden states: `[n, d_model]` to `[n, vocab]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        ops::vocabulary_logits(self.for_head(hidden), self.head(), self.config.soft_cap())
    }

    /// `−log P(target)` in nats for each hidden state: `[n, d_model]` and `[n]` to `[n]`.
    pub fn nats(&self, hidden: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        ops::cross_entropy(self.for_head(hidden), self.head(), targets, self.config.soft_cap())
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = ids.dims();
        let rows = self.token_embedding.val().select(0, ids.reshape([batch * seq]));
        rows.reshape([batch, seq, self.config.d_model])
    }
}

impl Model for EncoderDecoder {
    const KIND: ModelKind = ModelKind::EncoderDecoder;

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
