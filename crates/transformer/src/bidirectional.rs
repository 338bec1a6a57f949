//! The bidirectional language model of ELMo [Peters 2018]: a stack of layers that reads forwards and one that reads
//! backwards, each blind to the other's side; they share the token embedding and the head.

use crate::TransformerError;
use crate::characters::CharacterCnn;
use crate::classifier::{Padded, Sequence};
use crate::config::{LayerKind, ModelConfig, ModelKind};
use crate::decoder::Decoder;
use crate::dropout::Dropout;
use crate::init::{Init, STD};
use crate::model::{self, Model};
use crate::stack::Stack;
use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Int, Tensor};
use firebrand_backend::ops::AttentionMask;
use std::collections::BTreeSet;

/// Standard deviation of a table that an LSTM reads.
const LSTM_EMBEDDING_STD: f64 = 0.5;

/// Two decoders over one token embedding and one head, the second of which reads texts from their end. The embedding is a table, or
/// computed from the bytes of tokens.
#[derive(Module, Debug)]
pub struct Bidirectional {
    token_embedding: Option<Param<Tensor<2>>>,
    /// In the place of `token_embedding`.
    characters: Option<CharacterCnn>,
    forward: Stack,
    backward: Stack,
    head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: ModelConfig,
    checkpointing: bool,
}

impl Bidirectional {
    /// The half that predicts each token from those before it. It shares its weights with this model, and their gradients.
    pub fn forward(&self) -> Decoder {
        self.reading(&self.forward, self.embedding(None))
    }

    /// The half that predicts each token from those after it: a decoder for texts whose tokens stand in reverse order.
    pub fn backward(&self) -> Decoder {
        self.reading(&self.backward, self.embedding(None))
    }

    /// Both halves, to read `ids` and no others: embeddings that are computed are computed once, and of these alone.
    pub fn halves(&self, ids: &[u32]) -> [Decoder; 2] {
        let embedding = self.embedding(Some(ids));
        [self.reading(&self.forward, embedding.clone()), self.reading(&self.backward, embedding)]
    }

    /// The token embedding, `[vocab, d_model]`; where it is computed, only that of the ids in `only` if those are given. As a part
    /// of a decoder it stays a part of the graph of gradients.
    fn embedding(&self, only: Option<&[u32]>) -> Param<Tensor<2>> {
        match (&self.token_embedding, &self.characters) {
            (Some(table), _) => table.clone(),
            (None, Some(characters)) => {
                let only =
                    only.map(|ids| ids.iter().copied().collect::<BTreeSet<u32>>().into_iter().collect());
                let only: Option<Vec<u32>> = only;
                Param::initialized(ParamId::new(), characters.table(only.as_deref()))
            }
            (None, None) => unreachable!("a model has an embedding of either kind"),
        }
    }

    fn reading(&self, stack: &Stack, token_embedding: Param<Tensor<2>>) -> Decoder {
        let kind = ModelKind::Decoder;
        Decoder {
            token_embedding,
            position_embedding: stack.position_embedding.clone(),
            layers: stack.layers.clone(),
            lstm: stack.lstm.clone(),
            norm: stack.norm.clone(),
            head: self.head.clone(),
            config: ModelConfig { kind, characters: None, spellings: None, ..self.config.clone() },
            checkpointing: self.checkpointing,
        }
    }

    /// This model with its directions exchanged: what it says of a text is what the other says of the reversed one.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        std::mem::swap(&mut self.forward, &mut self.backward);
        self
    }

    /// The states of each layer, `n_layers + 1` of `[batch, seq, 2 · d_model]`: those of the forward half in front, then those of the
    /// backward half at the same token. The lowest is the token embedding twice, without positions [Peters 2018].
    pub fn layer_states(&self, ids: Tensor<2, Int>) -> Vec<Tensor<3>> {
        let seq = ids.dims()[1];
        let read: Vec<u32> = ids.to_data().iter::<i64>().map(|id| id as u32).collect();
        let rows = read.chunks_exact(seq).map(|ids| Sequence { ids, second: None });
        self.padded_states(&Padded::new(rows, &ids.device()), None)
    }

    /// The same of rows of different lengths.
    pub(crate) fn padded_states(&self, rows: &Padded, mut dropout: Option<&mut Dropout>) -> Vec<Tensor<3>> {
        let ids = rows.ids();
        let [batch, seq] = ids.dims();
        let [forward, backward] = self.halves(&rows.rows().concat());
        let embedding = forward.token_embedding.val().select(0, ids.clone().reshape([batch * seq]));
        let embedding = embedding.reshape([batch, seq, self.config.d_model]);
        let forward = forward.states(ids, &AttentionMask::Causal, dropout.as_deref_mut());
        let backward = backward.states(rows.reversed(), &AttentionMask::Causal, dropout);
        let both = |(forward, backward): (Tensor<3>, Tensor<3>)| {
            Tensor::cat(vec![forward, rows.in_order(backward)], 2)
        };
        let layers = forward.into_iter().zip(backward).skip(1).map(both);
        std::iter::once(Tensor::cat(vec![embedding.clone(), embedding], 2)).chain(layers).collect()
    }
}

impl Bidirectional {
    fn with(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let table = |std: f64, init: &mut Init<'_>| init.normal([config.vocab_size, config.d_model], std);
        let characters = config.characters.as_ref().zip(config.spellings.as_ref());
        // No norm makes the input of an LSTM larger; a head of small numbers begins with even predictions.
        let std = match config.layers {
            LayerKind::Lstm if !config.tied_head => LSTM_EMBEDDING_STD,
            _ => STD,
        };
        Self {
            token_embedding: characters.is_none().then(|| table(std, init)),
            characters: characters
                .map(|(sizes, spellings)| CharacterCnn::new(sizes, spellings, config, init)),
            forward: Stack::new(config, init),
            backward: Stack::new(config, init),
            head: (!config.tied_head).then(|| table(STD, init)),
            config: config.clone(),
            checkpointing: false,
        }
    }
}

impl Model for Bidirectional {
    const KIND: ModelKind = ModelKind::Bidirectional;

    fn made(config: &ModelConfig, seed: Option<u64>, device: &Device) -> Result<Self, TransformerError> {
        model::check(config, Self::KIND)?;
        Ok(Self::with(config, &mut Init::new(seed, device)))
    }

    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn device(&self) -> Device {
        // One of them there is: a computed embedding is no head.
        let table = self.head.as_ref().or(self.token_embedding.as_ref());
        table.expect("a model has a head, its own or the embedding").val().device()
    }

    fn with_checkpointing(self, checkpointing: bool) -> Self {
        Self { checkpointing, ..self }
    }
}
