//! Low-rank adapters [Hu 2021, <https://arxiv.org/abs/2106.09685>]: a matrix `W` that stays as it is, and `W + (α/r)·A·B` in its place,
//! of which `A` and `B` are trained.
//!
//! An adapter is a reparameterization of burn's, attached to a parameter: whoever asks that for its value gets the sum, as one tensor with
//! the adapter's graph, and so no layer and no operation knows of adapters. Adapters add their tensors to a module's under the names
//! `….weight.lora.a` and `….weight.lora.b`.

use crate::TransformerError;
use crate::groups::is_in_layer;
use crate::init::Init;
use crate::weights::{NamedTensor, named_tensors, tensor_names};
use burn::module::{Module, Param, Reparameterization, Reparameterizer};
use burn::tensor::{Tensor, TensorData};
use firebrand_backend::ops::{self, Before, Map};
use firebrand_backend::{Precision, precision};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which matrices get an adapter, and how large it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraConfig {
    /// `r`: columns of `A`, rows of `B`.
    pub rank: usize,
    /// `α`: the product is multiplied by `α / r`.
    pub alpha: f64,
    /// The maps of a layer that get one, by their names (`query`, `value`, `up`, …); none named: all of them.
    pub targets: Vec<String>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, targets: Vec::new() }
    }
}

impl LoraConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TransformerError> {
        if self.rank == 0 {
            return Err(TransformerError::Config("lora.rank must be at least 1".into()));
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return Err(TransformerError::Config(format!("lora.alpha {} is not above 0", self.alpha)));
        }
        Ok(())
    }
}

/// The two factors of one matrix's adapter.
#[derive(Module, Debug)]
struct LowRank {
    /// `[d_in, r]`
    a: Param<Tensor<2>>,
    /// `[r, d_out]`
    b: Param<Tensor<2>>,
    /// `α / r`
    scale: f64,
}

impl Reparameterization for LowRank {
    const NAME: &'static str = "lora";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let shape = base.shape();
        let [d_in, _] = self.a.dims();
        let [_, d_out] = self.b.dims();
        let map = Map { weight: self.b.val(), bias: None };
        let (a, base) = (self.a.val() * self.scale, base.reshape([d_in, d_out]));
        // Weights are f32 whatever products are rounded to, and so is what stands in their place.
        let sum =
            precision::scope(Precision::F32, || ops::project(a, Before::Nothing, vec![map], Some(base)));
        sum.reshape(shape)
    }
}

/// The end of the names of an adapter's two tensors, behind that of its matrix.
pub(crate) const FACTORS: [&str; 2] = [".lora.a", ".lora.b"];

/// Whether a tensor of this name belongs to an adapter.
pub fn is_adapter(name: &str) -> bool {
    FACTORS.iter().any(|end| name.ends_with(end))
}

/// The map that a tensor is the matrix of, by its own name: of `layers.0.mlp.up.weight` it is `up`.
fn map_name(tensor: &str) -> &str {
    let map = tensor.strip_suffix(".weight").unwrap_or(tensor);
    map.rsplit('.').next().unwrap_or(map)
}

/// `model` with an adapter on each matrix of its layers that `config` names. Nothing it computes changes, to the bit: `B` is zero.
/// `A` depends on `seed` and the shapes only. The matrices themselves are frozen; everything else is as it was.
///
/// # Errors
/// When `config` names what no layer has, or makes no sense.
pub fn with_adapters<M: Module>(model: M, config: &LoraConfig, seed: u64) -> Result<M, TransformerError> {
    config.validate()?;
    if tensor_names(&model).iter().any(|name| is_adapter(name)) {
        let message = "the model has adapters already; merge them before it gets new ones";
        return Err(TransformerError::Config(message.into()));
    }
    let (mut maps, mut draws) = (BTreeSet::new(), Draws { seed, drawn: 0 });
    let model = model.apply_reparameterization(Attach { config, draws: &mut draws, maps: &mut maps });
    match config.targets.iter().find(|target| !maps.contains(*target)) {
        Some(target) => Err(TransformerError::Config(format!(
            "lora.targets: no layer of this model has a map `{target}`; they have {}",
            maps.into_iter().collect::<Vec<_>>().join(", ")
        ))),
        None => Ok(model),
    }
}

/// `model` with each adapter's product added to its matrix, and no adapters: it computes the same.
pub fn merged<M: Module>(model: M) -> M {
    model.materialize()
}

/// The tensors of all adapters of `model`, in the order of its fields.
pub fn adapter_tensors<M: Module>(model: &M) -> Vec<NamedTensor> {
    named_tensors(model).into_iter().filter(|tensor| is_adapter(&tensor.name)).collect()
}

/// Attaches fresh adapters.
struct Attach<'a> {
    config: &'a LoraConfig,
    draws: &'a mut Draws,
    /// The names of all maps that could have one.
    maps: &'a mut BTreeSet<String>,
}

/// Keeps their draws apart from those of the model's own weights.
const PURPOSE: u64 = 0x4c6f_5241;

/// Numbers for the factors `A`, each from a stream of its own.
struct Draws {
    seed: u64,
    drawn: u64,
}

impl Reparameterizer for Attach<'_> {
    type Reparam = LowRank;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<LowRank>) {
        let base = param.base();
        let &[d_in, d_out] = base.dims().as_slice() else { return (param, None) };
        if !is_in_layer(path) {
            return (param, None);
        }
        let map = map_name(path);
        self.maps.insert(map.to_string());
        if !(self.config.targets.is_empty() || self.config.targets.iter().any(|target| target == map)) {
            return (param, None);
        }
        let (rank, device) = (self.config.rank, base.device());
        // The variance that PyTorch's linear layers begin with, as in PEFT.
        let std = 1.0 / (3.0 * d_in as f64).sqrt();
        let a = Init::stream(self.draws.seed ^ PURPOSE, self.draws.drawn, &device).normal([d_in, rank], std);
        self.draws.drawn += 1;
        let b = Param::from_data(TensorData::new(vec![0.0_f32; rank * d_out], [rank, d_out]), &device);
        let scale = self.config.alpha / rank as f64;
        (param.set_require_grad(false), Some(LowRank { a, b, scale }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, ModelKind, Preset};
    use crate::weights::with_tensors;
    use crate::{Decoder, LayerKind, Model, PositionKind};
    use burn::tensor::{Device, Int};
    use firebrand_backend::device;
    use firebrand_backend::ops::AttentionMask;

    fn cpu() -> Device {
        device::resolve(Some("cpu")).expect("always there").1
    }

    fn decoder(device: &Device) -> Decoder {
        let config = ModelConfig::preset(Preset::Llama, 20, 16, 2, 2, 8);
        Decoder::new(&config, 3, device).expect("a small model")
    }

    fn ids(device: &Device) -> Tensor<2, Int> {
        Tensor::from_data(TensorData::new(vec![1, 5, 9, 19, 0, 7], [2, 3]), device)
    }

    fn states(model: &Decoder) -> Vec<f32> {
        let states = model.hidden(ids(&model.device()), &AttentionMask::Causal, None);
        states.into_data().convert::<f32>().try_into_vec().expect("f32")
    }

    /// Adapters whose `B` is no longer zero.
    fn trained(model: Decoder, config: &LoraConfig) -> Decoder {
        let model = with_adapters(model, config, 5).expect("a config that fits");
        let mut tensors = named_tensors(&model);
        for tensor in tensors.iter_mut().filter(|tensor| tensor.name.ends_with(".b")) {
            let numbers = tensor.values.iter_mut().enumerate();
            numbers.for_each(|(i, number)| *number = ((i * 7 % 13) as f32 - 6.0) * 0.02);
        }
        with_tensors(model, tensors).expect("the same tensors")
    }

    #[test]
    fn fresh_adapters_change_no_bit() {
        let plain = decoder(&cpu());
        let adapted = with_adapters(plain.clone(), &LoraConfig::default(), 0).expect("adapters");
        assert_eq!(adapter_tensors(&adapted).len(), 2 * 2 * 7);
        assert_eq!(states(&adapted), states(&plain));
    }

    #[test]
    fn a_merged_model_computes_the_same_without_adapters() {
        let adapted = trained(decoder(&cpu()), &LoraConfig { rank: 3, ..LoraConfig::default() });
        let merged = merged(adapted.clone());
        assert!(adapter_tensors(&merged).is_empty());
        let (expected, found) = (states(&adapted), states(&merged));
        assert_eq!(expected, found, "both multiply by the same sums");
        let plain = states(&decoder(&cpu()));
        assert!(plain.iter().zip(&found).any(|(a, b)| (a - b).abs() > 1e-2), "the adapters do something");
    }

    #[test]
    fn an_adapted_matrix_is_the_sum_by_definition() {
        let config = LoraConfig { rank: 3, alpha: 6.0, targets: vec!["value".into()] };
        let adapted = trained(decoder(&cpu()), &config);
        let get = |model: &Decoder, name: &str| {
            named_tensors(model).into_iter().find(|tensor| tensor.name == name).expect("it is there").values
        };
        let name = "layers.1.attention.value.weight";
        let (base, sum) = (get(&adapted, name), get(&merged(adapted.clone()), name));
        let a = get(&adapted, &format!("{name}.lora.a"));
        let b = get(&adapted, &format!("{name}.lora.b"));
        for (at, (base, sum)) in base.iter().zip(&sum).enumerate() {
            let (row, column) = (at / 16, at % 16);
            let product: f64 =
                (0..3).map(|k| f64::from(a[row * 3 + k]) * f64::from(b[k * 16 + column])).sum();
            assert!((f64::from(*base) + 2.0 * product - f64::from(*sum)).abs() < 1e-6, "{at}");
        }
        assert_eq!(adapter_tensors(&adapted).len(), 2 * 2, "the values of two layers");
    }

    #[test]
    fn only_adapters_of_adapted_matrices_have_gradients() {
        let device = cpu().autodiff();
        let adapted = trained(decoder(&device), &LoraConfig::default());
        let loss = adapted.hidden(ids(&device), &AttentionMask::Causal, None).powi_scalar(2).sum();
        let gradients = loss.backward();
        let query = &adapted.layers[0].attention.query.weight;
        let adapter: &LowRank = query.reparameterization().expect("it has one");
        assert!(query.base().grad(&gradients).is_none());
        assert!(adapter.a.val().grad(&gradients).is_some() && adapter.b.val().grad(&gradients).is_some());
        assert!(adapted.token_embedding.val().grad(&gradients).is_some(), "that is not the adapters' to say");
    }

    #[test]
    fn checkpointed_layers_give_adapters_the_same_gradients() {
        let device = cpu().autodiff();
        let gradient = |checkpointing: bool| {
            let adapted = trained(decoder(&device), &LoraConfig::default()).with_checkpointing(checkpointing);
            let loss = adapted.hidden(ids(&device), &AttentionMask::Causal, None).powi_scalar(2).sum();
            let gradients = loss.backward();
            let up: &LowRank = adapted.layers[0].mlp.up.weight.reparameterization().expect("it has one");
            let gradient = up.b.val().grad(&gradients).expect("it is trained");
            gradient.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32")
        };
        assert_eq!(gradient(true), gradient(false));
    }

    #[test]
    fn a_map_that_no_layer_has_is_refused_with_those_that_there_are() {
        let config = LoraConfig { targets: vec!["query".into(), "q_proj".into()], ..LoraConfig::default() };
        let error = with_adapters(decoder(&cpu()), &config, 0).expect_err("no such map").to_string();
        assert!(error.contains("`q_proj`") && error.contains("down, gate, key, output, query"), "{error}");
        let again = trained(decoder(&cpu()), &LoraConfig::default());
        assert!(with_adapters(again, &LoraConfig::default(), 0).is_err());
    }

    #[test]
    fn an_lstm_has_maps_too() {
        let config = ModelConfig {
            kind: ModelKind::Bidirectional,
            layers: LayerKind::Lstm,
            position: PositionKind::None,
            ..ModelConfig::preset(Preset::Llama, 20, 8, 1, 1, 8)
        };
        let model = crate::Bidirectional::new(&config, 0, &cpu()).expect("a small model");
        let adapted = with_adapters(model, &LoraConfig::default(), 0).expect("adapters");
        assert_eq!(adapter_tensors(&adapted).len(), 2 * 3 * 2, "three matrices in each direction");
    }
}
