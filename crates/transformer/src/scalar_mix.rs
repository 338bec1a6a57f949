//! A learned mean of a model's layers [Peters 2018, <https://arxiv.org/abs/1802.05365>].

use crate::weights::NamedTensor;
use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

/// `γ · Σ_k softmax(w)_k · h_k` over the states `h_k` of `n_layers + 1` layers, the embedding among them.
#[derive(Module, Debug)]
pub struct ScalarMix {
    /// `w`, `[n_layers + 1]`
    weights: Param<Tensor<1>>,
    /// `γ`, `[1]`
    scale: Param<Tensor<1>>,
}

impl ScalarMix {
    /// The plain mean of so many states: `w = 0`, `γ = 1`.
    pub fn new(n_states: usize, device: &Device) -> Self {
        let constant =
            |len: usize, value: f32| Param::from_data(TensorData::new(vec![value; len], [len]), device);
        Self { weights: constant(n_states, 0.0), scale: constant(1, 1.0) }
    }

    /// Mixes states, each of the same shape.
    ///
    /// # Panics
    /// When there are not as many as this mix has weights.
    pub fn forward<const D: usize>(&self, states: Vec<Tensor<D>>) -> Tensor<D> {
        let weights = softmax(self.weights.val(), 0);
        assert_eq!(states.len(), weights.dims()[0], "as many states as the mix has weights");
        let weighted = states.into_iter().enumerate();
        let weighted = weighted.map(|(k, state)| state * weights.clone().narrow(0, k, 1).reshape([1; D]));
        let sum = weighted.reduce(|sum, state| sum + state).expect("a model has at least its embedding");
        sum * self.scale.val().reshape([1; D])
    }

    /// `softmax(w)` and `γ`, for whoever looks at what was learned.
    pub fn learned(&self) -> (Vec<f32>, f32) {
        let values = |tensor: Tensor<1>| {
            tensor.into_data().convert::<f32>().try_into_vec::<f32>().expect("converted to f32 just now")
        };
        (values(softmax(self.weights.val(), 0)), values(self.scale.val())[0])
    }
}

impl ScalarMix {
    /// A mix with these weights, for tests and for what was learned elsewhere.
    ///
    /// # Errors
    /// When their number is another one.
    pub fn with(self, weights: &[f32], scale: f32) -> Result<Self, crate::TransformerError> {
        let tensor = |name: &str, values: &[f32]| NamedTensor {
            name: name.into(),
            shape: vec![values.len()],
            values: values.to_vec(),
        };
        crate::weights::with_tensors(self, vec![tensor("weights", weights), tensor("scale", &[scale])])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(mix: &ScalarMix) -> Vec<f32> {
        let device = firebrand_backend::device::resolve(Some("cpu")).expect("always there").1;
        let state =
            |values: [f32; 2]| Tensor::<3>::from_data(TensorData::new(values.to_vec(), [1, 1, 2]), &device);
        let mixed = mix.forward(vec![state([1.0, 2.0]), state([3.0, -4.0]), state([5.0, 8.0])]);
        mixed.into_data().convert::<f32>().try_into_vec().expect("f32")
    }

    #[test]
    fn a_fresh_mix_is_the_mean_and_a_learned_one_the_weighted_sum() {
        let device = firebrand_backend::device::resolve(Some("cpu")).expect("always there").1;
        let fresh = ScalarMix::new(3, &device);
        let close = |actual: &[f32], expected: [f32; 2]| {
            assert!(actual.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{actual:?}");
        };
        close(&mixed(&fresh), [3.0, 2.0]);
        // softmax(ln 1, ln 2, ln 5) = (1, 2, 5) / 8.
        let learned = fresh.with(&[0.0, 2f32.ln(), 5f32.ln()], 2.0).expect("three weights");
        close(&mixed(&learned), [2.0 * (1.0 + 6.0 + 25.0) / 8.0, 2.0 * (2.0 - 8.0 + 40.0) / 8.0]);
        let (weights, scale) = learned.learned();
        close(&weights[1..], [0.25, 0.625]);
        assert_eq!(scale, 2.0);
        assert!(learned.with(&[0.0; 4], 1.0).is_err());
    }
}
