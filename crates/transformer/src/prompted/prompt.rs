//! What is trained in the place of words: a soft prompt, or a prefix.

use super::check;
use crate::TransformerError;
use crate::cache::Cache;
use crate::classifier::Body;
use crate::config::ModelConfig;
use crate::decoder::Decoder;
use crate::init::Init;
use crate::layer::Linear;
use crate::model::Model;
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Keeps draws for prompts apart from those of models' weights.
const PURPOSE: u64 = 0x7072_6f6d_7074;

/// A prompt that no words are.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one, and burn's modules are not boxed")]
pub enum TrainedPrompt {
    /// Vectors in the place of those of tokens.
    Soft(SoftPrompt),
    /// Keys and values in every layer.
    Prefix(Prefix),
}

/// Vectors that stand where those of tokens stand, in the place of the id that a text begins with [Lester 2021,
/// <https://arxiv.org/abs/2104.08691>].
#[derive(Module, Debug)]
pub struct SoftPrompt {
    /// `[n, d_model]`
    vectors: Param<Tensor<2>>,
}

/// Keys and values in front of those of all tokens, in every layer [Li & Liang 2021, <https://arxiv.org/abs/2101.00190>].
///
/// With `mlp` what it puts out is added to `keys_values`, which stay as they are, and it is what is trained: a reparameterization that
/// training is steadier with, and of which [`TrainedPrompt::matrix`] has the sum.
#[derive(Module, Debug)]
pub struct Prefix {
    /// `[n, n_layers · 2 · n_kv_heads · d_head]`: of each layer the keys, then the values; keys as they are after their rotation.
    keys_values: Param<Tensor<2>>,
    mlp: Option<PrefixMlp>,
}

/// From a vector for each place to keys and values of all layers.
#[derive(Module, Debug)]
struct PrefixMlp {
    /// `[n, d_model]`
    input: Param<Tensor<2>>,
    hidden: Linear,
    output: Linear,
}

/// What a prompt is before it is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Beginning {
    /// These tokens.
    Ids(Vec<u32>),
    /// So many vectors of chance, as large as those of tokens are.
    Random(usize),
}

impl TrainedPrompt {
    /// A soft prompt for `body`, on its device.
    ///
    /// # Errors
    /// When it is empty, or too long, or not for this kind of model.
    pub fn soft(body: &Body, beginning: &Beginning, seed: u64) -> Result<Self, TransformerError> {
        let vectors = beginning.vectors(body, seed)?;
        Self::checked(Self::Soft(SoftPrompt { vectors: parameter(vectors, &body.device()) }), body)
    }

    /// A prefix for `body`, on its device: at first what its layers make of the beginning. With an `mlp_width` above 0 it is trained by
    /// an MLP of that width, whose output is zero at first.
    ///
    /// # Errors
    /// When it is empty, or too long, or not for this kind of model.
    pub fn prefix(
        body: &Body,
        beginning: &Beginning,
        mlp_width: usize,
        seed: u64,
    ) -> Result<Self, TransformerError> {
        let vectors = beginning.vectors(body, seed)?;
        let device = body.device();
        let Body::Decoder(decoder) = body else {
            // What it would be does not matter: no other kind takes one.
            let prefix = Prefix { keys_values: parameter(vectors, &device), mlp: None };
            return Self::checked(Self::Prefix(prefix), body);
        };
        let n = vectors.dims()[0];
        if n > decoder.config().seq_len {
            let seq_len = decoder.config().seq_len;
            let message =
                format!("a prompt of {n} has no room in the model's context of {seq_len}: make it shorter");
            return Err(TransformerError::Config(message));
        }
        let mut cache = Cache::new(decoder.config().n_layers, 1);
        decoder.step_vectors(vectors, &mut cache);
        let of_layers = cache.held().flatten().map(|held| {
            let [_, n, heads, d_head] = held.dims();
            held.reshape([n, heads * d_head])
        });
        let keys_values = parameter(Tensor::cat(of_layers.collect(), 1), &device);
        let mlp = (mlp_width > 0).then(|| {
            let mut init = Init::stream(seed ^ PURPOSE, 1, &device);
            let (d_model, width) = (decoder.config().d_model, keys_values.dims()[1]);
            PrefixMlp {
                input: init.normal([n, d_model], 1.0),
                hidden: Linear::new(d_model, mlp_width, true, 1.0 / (d_model as f64).sqrt(), &mut init),
                output: Linear::new(mlp_width, width, true, 0.0, &mut init),
            }
        });
        Self::checked(Self::Prefix(Prefix { keys_values, mlp }), body)
    }

    /// The prompt of these numbers, `[n, width]`, as [`matrix`](Self::matrix) has them.
    pub(crate) fn from_matrix(is_prefix: bool, shape: [usize; 2], values: Vec<f32>, device: &Device) -> Self {
        let matrix = Param::from_data(TensorData::new(values, shape), device);
        match is_prefix {
            true => Self::Prefix(Prefix { keys_values: matrix, mlp: None }),
            false => Self::Soft(SoftPrompt { vectors: matrix }),
        }
    }

    /// Refuses a model that it is not for.
    pub(crate) fn check_for(&self, config: &ModelConfig) -> Result<(), TransformerError> {
        check(config, Some(self))
    }

    fn checked(self, body: &Body) -> Result<Self, TransformerError> {
        check(body.config(), Some(&self))?;
        Ok(self)
    }

    /// All that it is, `[n, width]`: vectors, or keys and values with what the MLP puts out.
    pub fn matrix(&self) -> Tensor<2> {
        match self {
            Self::Soft(prompt) => prompt.vectors(),
            Self::Prefix(prefix) => prefix.keys_values(),
        }
    }

    /// Whether a tensor of [`Prompted`](super::Prompted) is trained when a prompt is: those of the prompt are, but not what an MLP adds to.
    pub fn is_trained(names: &[&str], tensor: &str) -> bool {
        let has_mlp = names.iter().any(|name| name.starts_with("prompt.Prefix.mlp."));
        tensor.starts_with("prompt.") && !(has_mlp && tensor == "prompt.Prefix.keys_values")
    }

    /// `[n, width]`
    pub(crate) fn shape(&self) -> [usize; 2] {
        match self {
            Self::Soft(prompt) => prompt.vectors.dims(),
            Self::Prefix(prefix) => prefix.keys_values.dims(),
        }
    }

    /// The width that it has for a model.
    pub(crate) fn width_for(&self, config: &ModelConfig) -> usize {
        match self {
            Self::Soft(_) => config.d_model,
            Self::Prefix(_) => config.n_layers * 2 * config.d_keys(),
        }
    }

    /// How many places of the context it takes beside that of the id that a text begins with.
    pub fn taken(&self) -> usize {
        match self {
            Self::Soft(prompt) => prompt.len() - 1,
            Self::Prefix(_) => self.shape()[0],
        }
    }

    /// What a decoder holds once it has read this prompt, for one row, and the state of its last vector, `[1, 1, d_model]`, if it has any.
    pub fn read_by(&self, decoder: &Decoder) -> (Cache, Option<Tensor<3>>) {
        let config = decoder.config();
        match self {
            Self::Soft(prompt) => {
                let mut cache = Cache::new(config.n_layers, 1);
                let states = decoder.step_vectors(prompt.vectors(), &mut cache);
                (cache, Some(states.narrow(1, prompt.len() - 1, 1)))
            }
            Self::Prefix(prefix) => {
                let [n, _] = self.shape();
                let (heads, d_head) = (config.n_kv_heads, config.d_head());
                // [n, layers · 2, n_kv_heads, d_head]
                let all = prefix.keys_values().reshape([n, 2 * config.n_layers, heads, d_head]);
                let held = |index| all.clone().narrow(1, index, 1).reshape([1, n, heads, d_head]);
                let layers = (0..config.n_layers).map(|layer| [held(2 * layer), held(2 * layer + 1)]);
                (Cache::holding(layers.collect()), None)
            }
        }
    }
}

impl SoftPrompt {
    /// `[n, d_model]`
    pub fn vectors(&self) -> Tensor<2> {
        self.vectors.val()
    }

    /// How many vectors it has, at least one.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.vectors.dims()[0]
    }
}

impl Prefix {
    /// `[n, n_layers · 2 · n_kv_heads · d_head]`
    fn keys_values(&self) -> Tensor<2> {
        match &self.mlp {
            None => self.keys_values.val(),
            Some(PrefixMlp { input, hidden, output }) => {
                self.keys_values.val() + output.forward(hidden.forward(input.val()).tanh())
            }
        }
    }
}

impl Beginning {
    /// The vectors of it, `[n, d_model]`, outside of any graph.
    fn vectors(&self, body: &Body, seed: u64) -> Result<Tensor<2>, TransformerError> {
        let table = match body {
            Body::Decoder(decoder) => decoder.token_embedding.val(),
            Body::Encoder(encoder) => encoder.token_embedding.val(),
            _ => return Err(check(body.config(), None).expect_err("this kind is refused")),
        };
        let device = body.device();
        let n = match self {
            Self::Ids(ids) => ids.len(),
            Self::Random(n) => *n,
        };
        if n == 0 {
            return Err(TransformerError::Config(
                "a prompt of no vectors is none: it has at least one".into(),
            ));
        }
        let [vocab_size, d_model] = table.dims();
        match self {
            Self::Ids(ids) => {
                if let Some(id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
                    let message = format!("id {id} is outside the vocabulary of {vocab_size} tokens");
                    return Err(TransformerError::Config(message));
                }
                let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
                Ok(table.select(0, Tensor::<1, Int>::from_data(TensorData::new(ids, [n]), &device)).detach())
            }
            Self::Random(_) => {
                let size = f64::from(table.powi_scalar(2).mean().into_scalar::<f32>()).sqrt();
                Ok(Init::stream(seed ^ PURPOSE, 0, &device).normal([n, d_model], size).val().detach())
            }
        }
    }
}

/// A parameter of its own with the numbers of a tensor.
fn parameter(tensor: Tensor<2>, device: &Device) -> Param<Tensor<2>> {
    Param::from_data(tensor.into_data(), device)
}
