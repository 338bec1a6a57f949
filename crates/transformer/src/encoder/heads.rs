//! What an encoder predicts from its states.

use crate::config::{MlpKind, ModelConfig};
use crate::init::{Init, STD};
use crate::layer::{Linear, Norm};
use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use firebrand_backend::ops::{self, Activation};

/// Which token stands at a position: a dense map, an activation and a norm, then the vectors of the tokens and a bias.
#[derive(Module, Debug)]
pub(crate) struct MaskedHead {
    pub(crate) dense: Linear,
    pub(crate) norm: Norm,
    /// `[vocab]`
    pub(crate) bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    mlp: MlpKind,
}

impl MaskedHead {
    /// For states of `d_in` numbers; what it compares with the vectors of tokens has `config.d_model`.
    pub(crate) fn new(d_in: usize, config: &ModelConfig, init: &mut Init<'_>) -> Self {
        Self {
            dense: Linear::new(d_in, config.d_model, config.bias, STD, init),
            norm: Norm::new(config, config.d_model, init),
            bias: config.bias.then(|| init.constant(config.vocab_size, 0.0)),
            mlp: config.mlp,
        }
    }

    /// What the vectors of tokens are multiplied by, and those vectors, for which `tokens` `[vocab, d_model]` is taken: of `n`
    /// states `[n, d_in]` `[n, d]` and `[vocab, d]`. The bias is a column of the vectors beside a column of ones, so that the
    /// operations over the vocabulary need not know of it.
    fn operands(&self, states: Tensor<2>, tokens: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let x = ops::activate(self.dense.forward(states), alone(self.mlp));
        let x = self.norm.forward(x);
        let Some(bias) = &self.bias else { return (x, tokens) };
        let ones = Tensor::ones([x.dims()[0], 1], &x.device());
        (Tensor::cat(vec![x, ones], 1), Tensor::cat(vec![tokens, bias.val().unsqueeze_dim(1)], 1))
    }

    pub(crate) fn logits(&self, states: Tensor<2>, tokens: Tensor<2>, soft_cap: Option<f64>) -> Tensor<2> {
        let (x, tokens) = self.operands(states, tokens);
        ops::vocabulary_logits(x, tokens, soft_cap)
    }

    pub(crate) fn nats(
        &self,
        states: Tensor<2>,
        tokens: Tensor<2>,
        targets: Tensor<1, Int>,
        soft_cap: Option<f64>,
    ) -> Tensor<1> {
        let (x, tokens) = self.operands(states, tokens);
        ops::cross_entropy(x, tokens, targets, soft_cap)
    }

    /// As [`nats`](Self::nats), and an id for each state, drawn by its number of `uniform`.
    pub(crate) fn nats_and_draws(
        &self,
        states: Tensor<2>,
        tokens: Tensor<2>,
        targets: Tensor<1, Int>,
        soft_cap: Option<f64>,
        uniform: &[f64],
    ) -> (Tensor<1>, Vec<u32>) {
        let (x, tokens) = self.operands(states, tokens);
        ops::cross_entropy_and_draws(x, tokens, targets, soft_cap, uniform)
    }
}

/// Whether the second of two segments follows the first in the text.
#[derive(Module, Debug)]
pub(crate) struct NextSentenceHead {
    pub(crate) pooler: Linear,
    pub(crate) classifier: Linear,
}

impl NextSentenceHead {
    pub(crate) fn new(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let d = config.d_model;
        Self {
            pooler: Linear::new(d, d, config.bias, STD, init),
            classifier: Linear::new(d, 2, config.bias, STD, init),
        }
    }

    /// `[batch, seq, d_model]` to `[batch, d_model]`: what is known of the whole from the first token's state.
    pub(crate) fn pooled(&self, states: Tensor<3>) -> Tensor<2> {
        let [batch, _, d] = states.dims();
        self.pooler.forward(states.narrow(1, 0, 1).reshape([batch, d])).tanh()
    }

    /// `[batch, seq, d_model]` to `[batch, 2]`: that it follows, and that it does not.
    pub(crate) fn logits(&self, states: Tensor<3>) -> Tensor<2> {
        self.classifier.forward(self.pooled(states))
    }

    /// `−log P` of each target, 0 where the second segment follows and 1 where it does not: `[batch]`.
    pub(crate) fn nats(&self, states: Tensor<3>, targets: Tensor<1, Int>) -> Tensor<1> {
        let log_probs = log_softmax(self.logits(states), 1);
        log_probs.gather(1, targets.unsqueeze_dim::<2>(1)).squeeze_dim::<1>(1).neg()
    }
}

/// Whether a token is another one than the text had there.
#[derive(Module, Debug)]
pub(crate) struct ReplacedHead {
    pub(crate) dense: Linear,
    pub(crate) classifier: Linear,
    #[module(skip)]
    mlp: MlpKind,
}

impl ReplacedHead {
    pub(crate) fn new(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let d = config.d_model;
        Self {
            dense: Linear::new(d, d, config.bias, STD, init),
            classifier: Linear::new(d, 1, config.bias, STD, init),
            mlp: config.mlp,
        }
    }

    /// `[n, d_model]` to `[n]`: the log-odds that the token was replaced.
    pub(crate) fn logits(&self, states: Tensor<2>) -> Tensor<1> {
        let n = states.dims()[0];
        self.classifier.forward(ops::activate(self.dense.forward(states), alone(self.mlp))).reshape([n])
    }
}

/// The activation of a head, which has one map before it: gates have two.
fn alone(mlp: MlpKind) -> Activation {
    match mlp {
        MlpKind::Swiglu => Activation::Gelu,
        MlpKind::Geglu => Activation::GeluTanh,
        MlpKind::Gelu | MlpKind::GeluTanh | MlpKind::Relu | MlpKind::Relu2 => mlp.activation(),
    }
}
