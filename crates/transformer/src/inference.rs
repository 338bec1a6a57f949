//! A decoder that runs on slices instead of tensors: for decoding on the CPU.
//!
//! A token of a small model takes less time than its tensors take to be made. [`CpuDecoder`] computes what
//! [`Decoder::step`] and [`Decoder::logits`] compute, up to rounding, in buffers that its [`CpuCache`] keeps; a step
//! allocates nothing but the logits that it returns, once the buffers have grown. Its matrices may be stored in less
//! than 32 bits ([`WeightFormat`]); embeddings, biases and norms are f32 always.

mod cache;
mod forward;
mod lstm;

pub use cache::CpuCache;

use crate::TransformerError;
use crate::config::{ModelConfig, NormKind, PositionKind};
use crate::decoder::Decoder;
use crate::layer::{Linear, Norm};
use crate::model::Model;
use burn::module::Param;
use burn::tensor::Tensor;
pub use firebrand_backend::inference::WeightFormat;
use firebrand_backend::inference::{self as slices, Matrix, Scratch, Vector, Write};
use lstm::CpuLstm;
use std::sync::Arc;

/// Which of the fed positions get logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Every one.
    All,
    /// The last one of each row that was fed.
    Last,
}

/// A decoder for the CPU. Its matrices are copies of those of the [`Decoder`] that it was made of, laid out for products; what
/// else there is it shares.
#[derive(Debug, Clone)]
pub struct CpuDecoder {
    config: ModelConfig,
    format: WeightFormat,
    /// `[vocab, d_model]`
    token_embedding: Vector,
    /// `[seq_len, d_model]`
    position_embedding: Option<Vector>,
    layers: Vec<Arc<CpuLayer>>,
    /// In the place of `layers`.
    lstm: Vec<Arc<CpuLstm>>,
    norm: Option<CpuNorm>,
    head: Arc<Matrix>,
    /// Radians a position for each pair of a head, for rotary positions.
    frequencies: Vec<f64>,
}

#[derive(Debug, Clone)]
struct CpuLayer {
    attention_norm: CpuNorm,
    /// Queries, keys and values of a row, one after the other.
    query_key_value: CpuLinear,
    output: CpuLinear,
    query_norm: Option<CpuNorm>,
    key_norm: Option<CpuNorm>,
    mlp_norm: CpuNorm,
    /// Gates first, if there are any.
    up: CpuLinear,
    down: CpuLinear,
}

#[derive(Debug, Clone)]
struct CpuLinear {
    weight: Matrix,
    bias: Option<Vector>,
}

#[derive(Debug, Clone)]
struct CpuNorm {
    weight: Vector,
    bias: Option<Vector>,
    rms: bool,
    eps: f64,
}

impl CpuDecoder {
    /// `decoder` with its matrices stored as `format`.
    ///
    /// # Errors
    /// When the decoder is not on the CPU (`--device cpu`), or is one with autodiff.
    pub fn new(decoder: &Decoder, format: WeightFormat) -> Result<Self, TransformerError> {
        Self::of(decoder, format).ok_or(TransformerError::NotOnCpu)
    }

    fn of(decoder: &Decoder, format: WeightFormat) -> Option<Self> {
        let config = decoder.config().clone();
        let linear = |linears: &[&Linear]| CpuLinear::of(linears, format);
        let norm = |norm: &Norm| CpuNorm::of(norm, &config);
        let layers = decoder.layers.iter().map(|layer| {
            let (attention, mlp) = (&layer.attention, &layer.mlp);
            Some(Arc::new(CpuLayer {
                attention_norm: norm(&layer.attention_norm)?,
                query_key_value: linear(&[&attention.query, &attention.key, &attention.value])?,
                output: linear(&[&attention.output])?,
                query_norm: if_there(attention.query_norm.as_ref(), norm)?,
                key_norm: if_there(attention.key_norm.as_ref(), norm)?,
                mlp_norm: norm(&layer.mlp_norm)?,
                up: linear(&mlp.gate.iter().chain([&mlp.up]).collect::<Vec<_>>())?,
                down: linear(&[&mlp.down])?,
            }))
        });
        let lstm = decoder.lstm.iter().map(|layer| CpuLstm::of(layer, format).map(Arc::new));
        let half = if config.position == PositionKind::Rope { config.d_head() / 2 } else { 0 };
        Some(Self {
            format,
            token_embedding: vector(&decoder.token_embedding)?,
            position_embedding: if_there(decoder.position_embedding.as_ref(), vector)?,
            layers: layers.collect::<Option<_>>()?,
            lstm: lstm.collect::<Option<_>>()?,
            norm: if_there(decoder.norm.as_ref(), norm)?,
            head: Arc::new(Matrix::new(decoder.head().transpose(), format)?),
            frequencies: (0..half).map(|i| config.rope_theta.powf(-(i as f64) / half as f64)).collect(),
            config,
        })
    }

    /// What this model is.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The same as [`Decoder::lower_layers`]; the layers are shared.
    #[must_use]
    pub fn lower_layers(&self, n_layers: usize) -> Self {
        let mut lower = self.clone();
        lower.layers.truncate(n_layers);
        lower.lstm.truncate(n_layers);
        lower.config.n_layers = lower.layers.len() + lower.lstm.len();
        lower
    }

    /// How its matrices are stored.
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// Bytes that decoding a token reads: all matrices, the output head included.
    pub fn matrix_bytes(&self) -> usize {
        let of_layer = |layer: &Arc<CpuLayer>| {
            let CpuLayer { query_key_value, output, up, down, .. } = &**layer;
            [query_key_value, output, up, down].map(|linear| linear.weight.bytes()).iter().sum::<usize>()
        };
        let of_lstm: usize = self.lstm.iter().map(|layer| layer.matrix_bytes()).sum();
        self.layers.iter().map(of_layer).sum::<usize>() + of_lstm + self.head.bytes()
    }

    /// Bytes that all weights take. A tied head is there beside the embedding.
    pub fn weight_bytes(&self) -> usize {
        self.matrix_bytes() + 4 * self.f32_numbers()
    }

    /// Numbers that are not in matrices of layers or a head of its own.
    fn f32_numbers(&self) -> usize {
        let mut count = self.token_embedding.values().len();
        count += self.position_embedding.as_ref().map_or(0, |table| table.values().len());
        let of_norm = |norm: &CpuNorm| vector_len(Some(&norm.weight)) + vector_len(norm.bias.as_ref());
        count += self.norm.as_ref().map_or(0, of_norm);
        count += self.lstm.iter().map(|layer| layer.f32_numbers()).sum::<usize>();
        for layer in &self.layers {
            let norms = [Some(&layer.attention_norm), Some(&layer.mlp_norm)];
            let head_norms = [layer.query_norm.as_ref(), layer.key_norm.as_ref()];
            count += norms.into_iter().chain(head_norms).flatten().map(of_norm).sum::<usize>();
            let linears = [&layer.query_key_value, &layer.output, &layer.up, &layer.down];
            count += linears.map(|linear| vector_len(linear.bias.as_ref())).iter().sum::<usize>();
        }
        count
    }
}

fn vector_len(vector: Option<&Vector>) -> usize {
    vector.map_or(0, |vector| vector.values().len())
}

/// `f` of what may not be there: `None` only when `f` fails.
fn if_there<T, U>(x: Option<&T>, f: impl Fn(&T) -> Option<U>) -> Option<Option<U>> {
    match x {
        Some(x) => f(x).map(Some),
        None => Some(None),
    }
}

fn vector<const D: usize>(param: &Param<Tensor<D>>) -> Option<Vector> {
    Vector::new(param.val())
}

impl CpuLinear {
    /// Those of the same input, side by side.
    fn of(linears: &[&Linear], format: WeightFormat) -> Option<Self> {
        let weight = Matrix::joined(linears.iter().map(|linear| linear.weight.val()).collect(), format)?;
        let biases: Vec<Tensor<1>> =
            linears.iter().filter_map(|linear| Some(linear.bias.as_ref()?.val())).collect();
        let bias = match biases.len() {
            0 => None,
            // All of a layer's have one, or none.
            _ => Some(Vector::new(Tensor::cat(biases, 0))?),
        };
        Some(Self { weight, bias })
    }

    /// `[n, d_in]` to `y`, `[n, d_out]`, which takes that size.
    fn apply(&self, x: &[f32], y: &mut Vec<f32>, scratch: &mut Scratch) {
        let [d_in, d_out] = self.weight.shape();
        y.resize(x.len() / d_in * d_out, 0.0);
        self.weight.apply(x, self.bias.as_ref(), y, Write::Set, scratch);
    }

    /// Adds the result to `y`, `[n, d_out]`.
    fn add(&self, x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        self.weight.apply(x, self.bias.as_ref(), y, Write::Add, scratch);
    }
}

impl CpuNorm {
    fn of(norm: &Norm, config: &ModelConfig) -> Option<Self> {
        let bias = if_there(norm.bias.as_ref(), vector)?;
        Some(Self {
            weight: vector(&norm.weight)?,
            bias,
            rms: config.norm == NormKind::Rms,
            eps: config.norm_eps,
        })
    }

    /// The normalized rows of `x`, as wide as the gain, in `y`, which takes the size of `x`.
    fn apply(&self, x: &[f32], y: &mut Vec<f32>) {
        y.resize(x.len(), 0.0);
        if self.rms {
            slices::rms_norm(x, &self.weight, self.eps, y);
        } else {
            slices::layer_norm(x, &self.weight, self.bias.as_ref(), self.eps, y);
        }
    }
}
