//! One layer: attention and a feed-forward part, each added to the residual stream, with a norm before or after it.

use crate::cache::LayerCache;
use crate::config::{MlpKind, ModelConfig, NormKind, NormPlacement, PositionKind};
use crate::dropout::Dropout;
use crate::init::{Init, STD};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use firebrand_backend::ops::{self, Activation, AttentionMask, Before, Map};

/// A linear map with a weight `[d_in, d_out]` and perhaps a bias.
#[derive(Module, Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Param<Tensor<2>>,
    pub(crate) bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    pub(crate) fn new(d_in: usize, d_out: usize, bias: bool, std: f64, init: &mut Init<'_>) -> Self {
        Self { weight: init.normal([d_in, d_out], std), bias: bias.then(|| init.constant(d_out, 0.0)) }
    }

    /// `[…, d_in]` to `[…, d_out]`.
    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    pub(crate) fn parameters(&self) -> Map {
        Map { weight: self.weight.val(), bias: self.bias.as_ref().map(Param::val) }
    }
}

/// RMS or layer norm over the last dimension; which of the two stands in the config.
#[derive(Module, Debug)]
pub(crate) struct Norm {
    pub(crate) weight: Param<Tensor<1>>,
    pub(crate) bias: Option<Param<Tensor<1>>>,
    rms: bool,
    eps: f64,
}

impl Norm {
    pub(crate) fn new(config: &ModelConfig, width: usize, init: &Init<'_>) -> Self {
        let rms = config.norm == NormKind::Rms;
        let bias = (config.bias && !rms).then(|| init.constant(width, 0.0));
        Self { weight: init.constant(width, 1.0), bias, rms, eps: config.norm_eps }
    }

    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::norm(x, self.parameters())
    }

    fn parameters(&self) -> ops::Norm {
        ops::Norm {
            kind: if self.rms { ops::NormKind::Rms } else { ops::NormKind::Layer },
            gain: self.weight.val(),
            bias: self.bias.as_ref().map(Param::val),
            eps: self.eps,
        }
    }
}

/// Cosines and sines of the rotary angles, each `[batch or 1, seq, d_head/2]`.
pub(crate) type Angles = (Tensor<3>, Tensor<3>);

/// Grouped-query attention: of a sequence to itself, or to another.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    pub(crate) output: Linear,
    pub(crate) query_norm: Option<Norm>,
    pub(crate) key_norm: Option<Norm>,
    n_heads: usize,
    n_kv_heads: usize,
    scale: f64,
}

impl Attention {
    fn new(config: &ModelConfig, residual_std: f64, init: &mut Init<'_>) -> Self {
        let (d, bias) = (config.d_model, config.bias);
        let (queries, keys) = (config.d_queries(), config.d_keys());
        let head_norm = |init: &Init<'_>| config.qk_norm.then(|| Norm::new(config, config.d_head(), init));
        Self {
            query: Linear::new(d, queries, bias, STD, init),
            key: Linear::new(d, keys, bias, STD, init),
            value: Linear::new(d, keys, bias, STD, init),
            output: Linear::new(queries, d, bias, residual_std, init),
            query_norm: head_norm(init),
            key_norm: head_norm(init),
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads,
            scale: config.attention_scale(),
        }
    }

    /// The maps to queries, keys and values.
    fn inputs(&self) -> Vec<Map> {
        [&self.query, &self.key, &self.value].map(Linear::parameters).to_vec()
    }

    /// From queries, keys and values, `[batch, seq, (n_heads + 2 n_kv_heads) · d_head]`, to `[batch, seq, n_heads · d_head]`. `bias`,
    /// `[batch or 1, n_heads, seq, keys]`, is added to the scores.
    fn attend(
        &self,
        qkv: Tensor<3>,
        angles: Option<&Angles>,
        mask: &AttentionMask,
        bias: Option<Tensor<4>>,
        cache: Option<LayerCache<'_>>,
    ) -> Tensor<3> {
        let [batch, seq, width] = qkv.dims();
        let (n_heads, n_kv_heads) = (self.n_heads, self.n_kv_heads);
        let d_head = width / (n_heads + 2 * n_kv_heads);
        let heads = ops::Heads { heads: n_heads, kv_heads: n_kv_heads, d_head };
        if cache.is_none() && self.query_norm.is_none() && bias.is_none() {
            return ops::self_attention(qkv, heads, angles, mask, self.scale);
        }
        // [batch, seq, heads, d_head]
        let [mut q, mut k, mut v] = heads.split(ops::wide(qkv));
        if let (Some(query_norm), Some(key_norm)) = (&self.query_norm, &self.key_norm) {
            (q, k) = (query_norm.forward(q), key_norm.forward(k));
        }
        if let Some((cos, sin)) = angles {
            (q, k) = (ops::rope(q, cos.clone(), sin.clone()), ops::rope(k, cos.clone(), sin.clone()));
        }
        if let Some(cache) = cache {
            (k, v) = cache.append(k, v);
        }
        ops::attention(q, k, v, mask, bias, self.scale).reshape([batch, seq, n_heads * d_head])
    }

    /// Keys and values of another sequence, `memory` `[batch, t, d_model]`.
    pub(crate) fn keys_values(&self, memory: Tensor<3>) -> KeysValues {
        let [batch, t, _] = memory.dims();
        let maps = [&self.key, &self.value].map(Linear::parameters).to_vec();
        let both = ops::wide(ops::project_narrow(memory, Before::Nothing, maps));
        let d_head = both.dims()[2] / (2 * self.n_kv_heads);
        let both = both.reshape([batch, t, 2 * self.n_kv_heads, d_head]);
        let keys = both.clone().narrow(2, 0, self.n_kv_heads);
        let keys = match &self.key_norm {
            Some(norm) => norm.forward(keys),
            None => keys,
        };
        KeysValues { keys, values: both.narrow(2, self.n_kv_heads, self.n_kv_heads) }
    }

    /// Attention of queries, `[batch, s, n_heads · d_head]`, to another sequence; returns the like. Rows may share one `memory`, of which they
    /// then see everything.
    fn look(&self, q: Tensor<3>, memory: &KeysValues, mask: &AttentionMask) -> Tensor<3> {
        let [batch, s, width] = q.dims();
        let shared = memory.keys.dims()[0] == 1;
        let rows = if shared { [1, batch * s] } else { [batch, s] };
        let q = ops::wide(q).reshape([rows[0], rows[1], self.n_heads, width / self.n_heads]);
        let q = match &self.query_norm {
            Some(norm) => norm.forward(q),
            None => q,
        };
        let KeysValues { keys, values } = memory.clone();
        ops::attention(q, keys, values, mask, None, self.scale).reshape([batch, s, width])
    }
}

/// The feed-forward part.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) gate: Option<Linear>,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
    #[module(skip)]
    kind: MlpKind,
}

impl Mlp {
    fn new(config: &ModelConfig, residual_std: f64, init: &mut Init<'_>) -> Self {
        let (d, d_ff, bias) = (config.d_model, config.d_ff, config.bias);
        Self {
            gate: config.mlp.is_gated().then(|| Linear::new(d, d_ff, bias, STD, init)),
            up: Linear::new(d, d_ff, bias, STD, init),
            down: Linear::new(d_ff, d, bias, residual_std, init),
            kind: config.mlp,
        }
    }

    /// The maps to what the activation takes: the gate first, where there is one.
    fn inputs(&self) -> Vec<Map> {
        self.gate.iter().chain([&self.up]).map(Linear::parameters).collect()
    }

    fn activation(&self) -> Activation {
        self.kind.activation()
    }
}

/// Keys and values of another sequence, each `[batch, t, n_kv_heads, d_head]`.
#[derive(Debug, Clone)]
pub(crate) struct KeysValues {
    keys: Tensor<4>,
    values: Tensor<4>,
}

/// The part of a layer that looks at another sequence.
#[derive(Module, Debug)]
pub(crate) struct Cross {
    pub(crate) norm: Norm,
    pub(crate) attention: Attention,
}

/// One layer of a stack.
#[derive(Module, Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Norm,
    pub(crate) attention: Attention,
    /// In the decoder of an encoder–decoder.
    pub(crate) cross: Option<Cross>,
    pub(crate) mlp_norm: Norm,
    pub(crate) mlp: Mlp,
    #[module(skip)]
    norms: NormPlacement,
}

impl Layer {
    /// The projections back into the residual stream start smaller, by `1/√(2 · n_layers)`, so that the stream's
    /// variance does not grow with depth [GPT-2].
    pub(crate) fn new(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        Self::with(config, 2 * config.n_layers, false, init)
    }

    /// The same with attention to another sequence, in a stack of `n_layers`.
    pub(crate) fn with_cross(config: &ModelConfig, n_layers: usize, init: &mut Init<'_>) -> Self {
        Self::with(config, 3 * n_layers, true, init)
    }

    /// A layer of a stack with so many projections back into the residual stream.
    fn with(config: &ModelConfig, projections: usize, cross: bool, init: &mut Init<'_>) -> Self {
        let residual_std = STD / (projections as f64).sqrt();
        Self {
            attention_norm: Norm::new(config, config.d_model, init),
            attention: Attention::new(config, residual_std, init),
            cross: cross.then(|| Cross {
                norm: Norm::new(config, config.d_model, init),
                attention: Attention::new(config, residual_std, init),
            }),
            mlp_norm: Norm::new(config, config.d_model, init),
            mlp: Mlp::new(config, residual_std, init),
            norms: config.norm_placement,
        }
    }

    /// `x` is `[batch, seq, d_model]`.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        angles: Option<&Angles>,
        mask: &AttentionMask,
        cache: Option<LayerCache<'_>>,
        dropout: &mut Option<&mut Dropout>,
    ) -> Tensor<3> {
        let x = self.attend(x, angles, mask, None, cache, dropout);
        self.feed_forward(x, dropout)
    }

    /// The first part: attention of `x` `[batch, seq, d_model]` to itself, with `bias` as [`Attention::attend`] takes it.
    pub(crate) fn attend(
        &self,
        x: Tensor<3>,
        angles: Option<&Angles>,
        mask: &AttentionMask,
        bias: Option<Tensor<4>>,
        cache: Option<LayerCache<'_>>,
        dropout: &mut Option<&mut Dropout>,
    ) -> Tensor<3> {
        let qkv = ops::project_narrow(x.clone(), self.before(&self.attention_norm), self.attention.inputs());
        let y = self.attention.attend(qkv, angles, mask, bias, cache);
        self.after(&self.attention_norm, add(x, y, Before::Nothing, &self.attention.output, dropout))
    }

    /// The part that an encoder–decoder has between: attention of `x` to another sequence.
    pub(crate) fn look(
        &self,
        x: Tensor<3>,
        memory: &KeysValues,
        mask: &AttentionMask,
        dropout: &mut Option<&mut Dropout>,
    ) -> Tensor<3> {
        let Some(Cross { norm, attention }) = &self.cross else { return x };
        let q = ops::project_narrow(x.clone(), self.before(norm), vec![attention.query.parameters()]);
        let y = attention.look(q, memory, mask);
        self.after(norm, add(x, y, Before::Nothing, &attention.output, dropout))
    }

    /// What `look` wants of another sequence's states, `[batch, t, d_model]`.
    ///
    /// # Panics
    /// In a layer that looks at no other sequence.
    pub(crate) fn remember(&self, memory: Tensor<3>) -> KeysValues {
        self.cross
            .as_ref()
            .expect("a layer of a decoder that looks at an encoder")
            .attention
            .keys_values(memory)
    }

    /// The last part.
    pub(crate) fn feed_forward(&self, x: Tensor<3>, dropout: &mut Option<&mut Dropout>) -> Tensor<3> {
        let up = ops::project_narrow(x.clone(), self.before(&self.mlp_norm), self.mlp.inputs());
        let activation = Before::Activation(self.mlp.activation());
        self.after(&self.mlp_norm, add(x, up, activation, &self.mlp.down, dropout))
    }

    /// What is done to the stream before one of the parts.
    fn before(&self, norm: &Norm) -> Before {
        match self.norms {
            NormPlacement::Pre => Before::Norm(norm.parameters()),
            NormPlacement::Post => Before::Nothing,
        }
    }

    /// What is done to the stream once the part has been added.
    fn after(&self, norm: &Norm, x: Tensor<3>) -> Tensor<3> {
        match self.norms {
            NormPlacement::Pre => x,
            NormPlacement::Post => norm.forward(x),
        }
    }
}

/// Adds the output of a map to the residual stream `x`.
fn add(
    x: Tensor<3>,
    y: Tensor<3>,
    before: Before,
    map: &Linear,
    dropout: &mut Option<&mut Dropout>,
) -> Tensor<3> {
    match dropout {
        None => ops::project(y, before, vec![map.parameters()], Some(x)),
        Some(dropout) => x + dropout.apply(ops::project(y, before, vec![map.parameters()], None)),
    }
}

/// Applies dropout where there is any.
pub(crate) fn drop(x: Tensor<3>, dropout: &mut Option<&mut Dropout>) -> Tensor<3> {
    match dropout {
        Some(dropout) => dropout.apply(x),
        None => x,
    }
}

/// Rotary angles of the given positions, `[rows][seq]`.
pub(crate) fn angles(
    config: &ModelConfig,
    positions: &[Vec<usize>],
    device: &burn::tensor::Device,
) -> Option<Angles> {
    if config.position != PositionKind::Rope {
        return None;
    }
    let half = config.d_head() / 2;
    let (rows, seq) = (positions.len(), positions[0].len());
    let mut cos = Vec::with_capacity(rows * seq * half);
    let mut sin = Vec::with_capacity(rows * seq * half);
    for &position in positions.iter().flatten() {
        for i in 0..half {
            let angle = position as f64 * config.rope_theta.powf(-(i as f64) / half as f64);
            cos.push(angle.cos() as f32);
            sin.push(angle.sin() as f32);
        }
    }
    let tensor = |values| Tensor::from_data(burn::tensor::TensorData::new(values, [rows, seq, half]), device);
    Some((tensor(cos), tensor(sin)))
}
