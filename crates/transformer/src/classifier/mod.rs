//! A model with a head that says something about texts: which class, which labels, what number; or of each token which tag.

mod body;
mod head;
mod padded;

pub use body::Body;
pub use head::{HeadConfig, Pooling, TaskKind};
pub use padded::{Padded, Sequence};

use crate::TransformerError;
use crate::config::{ModelConfig, ModelKind};
use crate::dropout::Dropout;
use crate::init::{Init, STD};
use crate::layer::{Linear, drop};
use crate::scalar_mix::ScalarMix;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

/// A [`Body`], a state of it for a whole text, and a linear map from that to outputs.
#[derive(Module, Debug)]
pub struct Classifier {
    body: Body,
    pub(crate) mix: Option<ScalarMix>,
    /// A map and a tanh between the state and the head, as BERT has it.
    pub(crate) pooler: Option<Linear>,
    pub(crate) head: Linear,
    #[module(skip)]
    config: HeadConfig,
}

impl Classifier {
    /// A fresh head on `body`, on its device; the head's weights depend on `config` and `seed` only. Heads of pretraining that read
    /// states of an encoder are left out, but a pooler that was trained with one goes on as the head's.
    ///
    /// # Errors
    /// When the two do not fit.
    pub fn new(body: Body, config: HeadConfig, seed: u64) -> Result<Self, TransformerError> {
        let device = body.device();
        let trained = match &body {
            Body::Encoder(encoder) => encoder.pooler().cloned(),
            _ => None,
        };
        let body = match body {
            Body::Encoder(encoder) => Body::Encoder(encoder.without_heads()),
            other => other,
        };
        let mut fresh = Self::with(body, config, &mut Init::new(Some(seed), &device))?;
        if let (Some(pooler), Some(trained)) = (&mut fresh.pooler, trained) {
            pooler.weight = trained.weight;
            // Without one there it is zeros.
            pooler.bias = trained.bias.or(pooler.bias.take());
        }
        Ok(fresh)
    }

    /// A classifier on `device` whose weights are to be read.
    pub(crate) fn blank(
        body: &ModelConfig,
        config: HeadConfig,
        device: &Device,
    ) -> Result<Self, TransformerError> {
        Self::with(Body::made(body, None, device)?, config, &mut Init::new(None, device))
    }

    fn with(body: Body, config: HeadConfig, init: &mut Init<'_>) -> Result<Self, TransformerError> {
        config.check(body.config())?;
        let width = body.width();
        Ok(Self {
            mix: config.mix.then(|| ScalarMix::new(body.config().n_layers + 1, &body.device())),
            pooler: config.pooler.then(|| Linear::new(width, width, true, STD, init)),
            head: Linear::new(config.pooled_width(width), config.outputs, config.bias, STD, init),
            body,
            config,
        })
    }

    /// What reads.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The same with another body, such as one whose weights are others.
    #[must_use]
    pub fn with_body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// What the head is.
    pub fn head_config(&self) -> &HeadConfig {
        &self.config
    }

    /// Where its weights are.
    pub fn device(&self) -> Device {
        self.body.device()
    }

    /// As [`Model::with_checkpointing`](crate::Model::with_checkpointing).
    #[must_use]
    pub fn with_checkpointing(self, checkpointing: bool) -> Self {
        Self { body: self.body.with_checkpointing(checkpointing), ..self }
    }

    /// The states that the head reads, `[batch, longest, width]`: the body's last ones, or a mix of all its layers'.
    pub fn states(&self, rows: &Padded, dropout: Option<&mut Dropout>) -> Tensor<3> {
        let mut states = self.body.layer_states(rows, dropout);
        match &self.mix {
            Some(mix) => mix.forward(states),
            None => states.pop().expect("a model has at least its embedding"),
        }
    }

    /// What the head makes of [`states`](Self::states): `[batch, outputs]`, or where it looks at each token,
    /// `[batch · longest, outputs]`, of which those of padding mean nothing.
    pub fn outputs(&self, states: Tensor<3>, rows: &Padded, mut dropout: Option<&mut Dropout>) -> Tensor<2> {
        let [batch, seq, width] = states.dims();
        let flat = |states: Tensor<3>| states.reshape([batch * seq, width]);
        let last = |states| flat(states).select(0, rows.places(|len| len - 1));
        let mean = |states: Tensor<3>| (states * rows.shares()).sum_dim(1).reshape([batch, width]);
        let max = |states: Tensor<3>| (states + rows.floor()).max_dim(1).reshape([batch, width]);
        let pooled = match self.config.pooling {
            Pooling::Last => last(states),
            Pooling::First => flat(states).select(0, rows.places(|_| 0)),
            Pooling::Mean => mean(states),
            Pooling::Max => max(states),
            Pooling::Concat => Tensor::cat(vec![last(states.clone()), max(states.clone()), mean(states)], 1),
            Pooling::Each => flat(states),
        };
        let pooled = match &self.pooler {
            Some(pooler) => pooler.forward(pooled).tanh(),
            None => pooled,
        };
        let [n, width] = pooled.dims();
        let pooled = drop(pooled.reshape([batch, n / batch, width]), &mut dropout);
        self.head.forward(pooled.reshape([n, width]))
    }

    /// [`outputs`](Self::outputs) of rows.
    pub fn forward(&self, rows: &Padded, mut dropout: Option<&mut Dropout>) -> Tensor<2> {
        let states = self.states(rows, dropout.as_deref_mut());
        self.outputs(states, rows, dropout)
    }

    /// `−log P` in nats of each token that follows another, summed over rows, `[1]`; from states of [`states`](Self::states). `None` where
    /// the body does not predict the next token from them, or no row has two tokens.
    pub fn next_token_nats(&self, states: Tensor<3>, rows: &Padded) -> Option<Tensor<1>> {
        let Body::Decoder(decoder) = &self.body else { return None };
        let (places, targets): (Tensor<1, Int>, Tensor<1, Int>) = rows.next_tokens()?;
        let [batch, seq, width] = states.dims();
        let states = states.reshape([batch * seq, width]).select(0, places);
        self.mix.is_none().then(|| decoder.nats(states, targets).sum())
    }

    /// Whether [`next_token_nats`](Self::next_token_nats) can be had.
    pub fn predicts_next_tokens(&self) -> bool {
        self.mix.is_none()
            && self.body.config().kind == ModelKind::Decoder
            && !self.body.config().prefix_attention
    }
}
