//! One of the two stacks of an encoder–decoder: layers with their own positions and last norm.

use super::relative::Buckets;
use crate::cache::Cache;
use crate::checkpoint;
use crate::config::{ModelConfig, PositionKind};
use crate::decoder::select_positions;
use crate::dropout::Dropout;
use crate::init::{Init, STD};
use crate::layer::{KeysValues, Layer, Norm, angles, drop};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use firebrand_backend::ops::{self, AttentionMask};

/// Layers over one sequence; those of a decoder look at another one too.
#[derive(Module, Debug)]
pub(crate) struct Stack {
    position_embedding: Option<Param<Tensor<2>>>,
    /// `[buckets, heads]`
    relative_bias: Option<Param<Tensor<2>>>,
    pub(crate) layers: Vec<Layer>,
    norm: Norm,
}

/// The other sequence, as a decoder sees it.
#[allow(clippy::large_enum_variant, reason = "one a forward pass, and a tensor is a handle")]
pub(crate) enum Other<'a> {
    /// States `[batch, t, d_model]`, and what of them each query sees.
    States(Tensor<3>, AttentionMask),
    /// Keys and values of each layer, of which every query sees all.
    Kept(&'a [KeysValues]),
}

/// What the layers of a stack are told.
pub(crate) struct Given<'a> {
    pub(crate) config: &'a ModelConfig,
    /// Positions of the queries, `[rows][seq]`.
    pub(crate) positions: &'a [Vec<usize>],
    pub(crate) mask: &'a AttentionMask,
    pub(crate) other: Option<Other<'a>>,
    pub(crate) checkpointing: bool,
}

/// A layer with the table that its stack shares.
#[derive(Module, Debug)]
struct Part {
    layer: Layer,
    relative_bias: Option<Param<Tensor<2>>>,
}

impl Stack {
    /// An encoder's.
    pub(crate) fn encoder(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        Self::with(config, init, |init| (0..config.n_layers).map(|_| Layer::new(config, init)).collect())
    }

    /// A decoder's.
    pub(crate) fn decoder(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let n_layers = config.decoder_layers();
        Self::with(config, init, |init| {
            (0..n_layers).map(|_| Layer::with_cross(config, n_layers, init)).collect()
        })
    }

    fn with<'i>(
        config: &ModelConfig,
        init: &mut Init<'i>,
        layers: impl FnOnce(&mut Init<'i>) -> Vec<Layer>,
    ) -> Self {
        let table = |kind: PositionKind, shape: [usize; 2], init: &mut Init<'_>| {
            (config.position == kind).then(|| init.normal(shape, STD))
        };
        Self {
            position_embedding: table(PositionKind::Learned, [config.seq_len, config.d_model], init),
            relative_bias: table(PositionKind::RelativeBias, [config.relative_buckets, config.n_heads], init),
            layers: layers(init),
            norm: Norm::new(config, config.d_model, init),
        }
    }

    /// `x` `[batch, seq, d_model]` through all layers, normalized. `on_state` sees the residual stream before the first layer and
    /// after each.
    pub(crate) fn run(
        &self,
        x: Tensor<3>,
        given: &Given<'_>,
        mut cache: Option<&mut Cache>,
        dropout: &mut Option<&mut Dropout>,
        on_state: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let Given { config, positions, mask, other, checkpointing } = given;
        let seq = x.dims()[1];
        let mut x = match &self.position_embedding {
            Some(table) => x + select_positions(table.val(), positions),
            None => x,
        };
        x = drop(x, dropout);
        let angles = angles(config, positions, &x.device());
        let buckets = self.relative_bias.is_some().then(|| {
            let slots = cache.as_ref().map(|cache| cache.slot_positions());
            // A stack that looks at another one writes, and looks back only.
            Buckets::new(config, positions, slots.as_deref().unwrap_or(positions), other.is_none())
        });
        on_state(&x);
        let checkpointing = *checkpointing && cache.is_none() && ops::can_checkpoint(&x);
        for (index, layer) in self.layers.iter().enumerate() {
            if checkpointing {
                let (angles, mask, buckets) = (angles.clone(), (*mask).clone(), buckets.clone());
                let part = Part { layer: layer.clone(), relative_bias: self.relative_bias.clone() };
                let (memory, cross_mask) = match other {
                    Some(Other::States(memory, mask)) => (Some(memory.clone()), Some(mask.clone())),
                    _ => (None, None),
                };
                // A part keeps one input: the other sequence goes through it behind its own.
                let both = match memory {
                    Some(memory) => Tensor::cat(vec![x, memory], 1),
                    None => x,
                };
                let both = checkpoint::forward(&part, both, dropout, move |part: &Part, both, dropout| {
                    let [_, len, _] = both.dims();
                    let bias = bias(buckets.as_ref(), part.relative_bias.as_ref());
                    let x = both.clone().narrow(1, 0, seq);
                    let x = part.layer.attend(x, angles.as_ref(), &mask, bias, None, dropout);
                    let Some(cross_mask) = &cross_mask else { return part.layer.feed_forward(x, dropout) };
                    let memory = both.narrow(1, seq, len - seq);
                    let x = part.layer.look(x, &part.layer.remember(memory.clone()), cross_mask, dropout);
                    Tensor::cat(vec![part.layer.feed_forward(x, dropout), memory], 1)
                });
                x = both.narrow(1, 0, seq);
            } else {
                let bias = bias(buckets.as_ref(), self.relative_bias.as_ref());
                let cache = cache.as_mut().map(|cache| cache.layer(index, seq));
                x = layer.attend(x, angles.as_ref(), mask, bias, cache, dropout);
                x = match other {
                    Some(Other::States(memory, mask)) => {
                        layer.look(x, &layer.remember(memory.clone()), mask, dropout)
                    }
                    Some(Other::Kept(kept)) => layer.look(x, &kept[index], &AttentionMask::Full, dropout),
                    None => x,
                };
                x = layer.feed_forward(x, dropout);
            }
            on_state(&x);
        }
        self.norm.forward(x)
    }
}

fn bias(buckets: Option<&Buckets>, table: Option<&Param<Tensor<2>>>) -> Option<Tensor<4>> {
    Some(buckets?.bias(table?.val()))
}
