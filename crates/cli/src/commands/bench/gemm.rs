//! The matrix products of a training step by themselves: what a step would take if nothing else had to be done.

use burn::tensor::{Device, Distribution, Tensor};
use firebrand_backend::ops::{linear, seed_gradient};
use firebrand_transformer::ModelConfig;
use std::time::Instant;

/// One shape of linear layer, with its three products: the output, the input's gradient, the weight's gradient.
#[derive(Debug)]
struct Product {
    /// How many layers of this shape a model has.
    count: usize,
    /// `[tokens, d_in]`
    x: Tensor<2>,
    /// `[d_in, d_out]`
    weight: Tensor<2>,
    /// `[tokens, d_out]`
    gradient: Tensor<2>,
    /// Seconds for the three, each time they were measured.
    seconds: Vec<f64>,
}

/// All linear layers of a model, its head among them, at a number of tokens.
#[derive(Debug)]
pub(super) struct Products(Vec<Product>);

impl Products {
    /// `device` has autodiff.
    pub(super) fn new(config: &ModelConfig, tokens: usize, device: &Device) -> Self {
        let (d, layers) = (config.d_model, config.n_layers);
        let kv = config.n_kv_heads * config.d_head();
        let ups = if config.mlp.is_gated() { 2 } else { 1 };
        let shapes = [
            (2 * layers, d, d),
            (2 * layers, d, kv),
            (ups * layers, d, config.d_ff),
            (layers, config.d_ff, d),
            (1, d, config.vocab_size),
        ];
        let random = |shape: [usize; 2]| {
            Tensor::<2>::random(shape, Distribution::Uniform(-1.0, 1.0), &device.clone().without_autodiff())
        };
        let leaf = |shape| Tensor::from_inner(random(shape)).require_grad();
        Self(
            shapes
                .map(|(count, d_in, d_out)| Product {
                    count,
                    x: leaf([tokens, d_in]),
                    weight: leaf([d_in, d_out]),
                    gradient: random([tokens, d_out]),
                    seconds: Vec::new(),
                })
                .into(),
        )
    }

    /// Computes each once, as a training step does.
    pub(super) fn measure(&mut self) {
        for product in &mut self.0 {
            let (x, weight) = (product.x.clone(), product.weight.clone());
            let started = Instant::now();
            let y = linear(x, weight, None);
            let gradients = seed_gradient(y, product.gradient.clone()).backward();
            // Reading one number makes sure that the products are there.
            let there =
                product.weight.grad(&gradients).map(|gradient| gradient.narrow(0, 0, 1).narrow(1, 0, 1));
            std::hint::black_box(there.map(Tensor::into_scalar::<f32>));
            product.seconds.push(started.elapsed().as_secs_f64());
        }
    }

    /// GFLOP/s over all products of a step, from the median of each; `None` before any was measured.
    pub(super) fn gflops(&self) -> Option<f64> {
        let (mut flops, mut seconds) = (0.0, 0.0);
        for product in &self.0 {
            let [d_in, d_out] = product.weight.dims();
            let tokens = product.x.dims()[0];
            flops += (product.count * 6 * tokens * d_in * d_out) as f64;
            seconds += product.count as f64 * super::median(&product.seconds)?;
        }
        Some(flops / seconds / 1e9)
    }
}
