//! AdamW [Loshchilov & Hutter 2019].

use super::Optimizer;
use burn::tensor::Tensor;
use firebrand_backend::ops::{AdamwStep, adamw};

impl Optimizer {
    /// Decay is decoupled and only for matrices.
    pub(super) fn adamw(
        &mut self,
        name: &str,
        decays: bool,
        value: Tensor<1>,
        gradient: Tensor<1>,
        schedule: f64,
        clip: f64,
    ) -> Tensor<1> {
        let config = &self.config;
        let updates = self.updates as i32;
        let step = AdamwStep {
            lr: config.lr * schedule,
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.eps,
            weight_decay: if decays { config.weight_decay } else { 0.0 },
            correction1: 1.0 - config.beta1.powi(updates),
            correction2: 1.0 - config.beta2.powi(updates),
            gradient_scale: clip,
        };
        let (m, v) = (self.take("m", name, &gradient), self.take("v", name, &gradient));
        let (value, m, v) = adamw(value, gradient, m, v, &step);
        self.put("m", name, m);
        self.put("v", name, v);
        value
    }
}
