//! The bidirectional language model of ELMo [Peters 2018]: a stack of layers that reads forwards and one that reads
//! backwards, each blind to the other's side; they share the token embedding and the head.

use crate::TransformerError;
use crate::config::{ModelConfig, ModelKind, PositionKind};
use crate::decoder::Decoder;
use crate::init::{Init, STD};
use crate::layer::{Layer, Norm};
use crate::model::{self, Model};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use firebrand_backend::ops::AttentionMask;

/// Two decoders over one token embedding and one head, the second of which reads texts from their end.
#[derive(Module, Debug)]
pub struct Bidirectional {
    token_embedding: Param<Tensor<2>>,
    forward: Stack,
    backward: Stack,
    head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: ModelConfig,
    checkpointing: bool,
}

/// What belongs to one direction.
#[derive(Module, Debug)]
struct Stack {
    position_embedding: Option<Param<Tensor<2>>>,
    layers: Vec<Layer>,
    norm: Norm,
}

impl Stack {
    fn new(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        Self {
            position_embedding: (config.position == PositionKind::Learned)
                .then(|| init.normal([config.seq_len, config.d_model], STD)),
            layers: (0..config.n_layers).map(|_| Layer::new(config, init)).collect(),
            norm: Norm::new(config, config.d_model, init),
        }
    }
}

impl Bidirectional {
    /// The half that predicts each token from those before it. It shares its weights with this model, and their gradients.
    pub fn forward(&self) -> Decoder {
        self.reading(&self.forward)
    }

    /// The half that predicts each token from those after it: a decoder for texts whose tokens stand in reverse order.
    pub fn backward(&self) -> Decoder {
        self.reading(&self.backward)
    }

    fn reading(&self, stack: &Stack) -> Decoder {
        Decoder {
            token_embedding: self.token_embedding.clone(),
            position_embedding: stack.position_embedding.clone(),
            layers: stack.layers.clone(),
            norm: stack.norm.clone(),
            head: self.head.clone(),
            config: ModelConfig { kind: ModelKind::Decoder, ..self.config.clone() },
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
        let [batch, seq] = ids.dims();
        let embedding = self.token_embedding.val().select(0, ids.clone().reshape([batch * seq]));
        let embedding = embedding.reshape([batch, seq, self.config.d_model]);
        let forward = self.forward().layer_states(ids.clone(), &AttentionMask::Causal);
        let backward = self.backward().layer_states(ids.flip([1]), &AttentionMask::Causal);
        let both =
            |(forward, backward): (Tensor<3>, Tensor<3>)| Tensor::cat(vec![forward, backward.flip([1])], 2);
        let layers = forward.into_iter().zip(backward).skip(1).map(both);
        std::iter::once(Tensor::cat(vec![embedding.clone(), embedding], 2)).chain(layers).collect()
    }
}

impl Bidirectional {
    fn with(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let embedding = |init: &mut Init<'_>| init.normal([config.vocab_size, config.d_model], STD);
        Self {
            token_embedding: embedding(init),
            forward: Stack::new(config, init),
            backward: Stack::new(config, init),
            head: (!config.tied_head).then(|| embedding(init)),
            config: config.clone(),
            checkpointing: false,
        }
    }
}

impl Model for Bidirectional {
    const KIND: ModelKind = ModelKind::Bidirectional;

    fn new(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self, TransformerError> {
        model::check(config, Self::KIND)?;
        Ok(Self::with(config, &mut Init::new(Some(seed), device)))
    }

    fn blank(config: &ModelConfig, device: &Device) -> Result<Self, TransformerError> {
        model::check(config, Self::KIND)?;
        Ok(Self::with(config, &mut Init::new(None, device)))
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
