//! AdamW [Loshchilov & Hutter 2019].

use super::{Optimizer, TakenTensor, Updated};
use firebrand_backend::ops::{AdamwStep, AdamwTensors, adamw};

impl Optimizer {
    /// Updates all of `tensors` in one pass. Decay is decoupled and only for matrices.
    pub(super) fn adamw(
        &mut self,
        tensors: Vec<TakenTensor>,
        schedule: f64,
        clip: f64,
        updated: &mut Updated,
    ) {
        let config = &self.config;
        let step = AdamwStep {
            lr: config.lr * schedule,
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.eps,
            weight_decay: 0.0,
            correction1: 1.0,
            correction2: 1.0,
            gradient_scale: clip,
        };
        let (beta1, beta2, weight_decay) = (config.beta1, config.beta2, config.weight_decay);
        let (mut names, mut work) = (Vec::new(), Vec::new());
        for tensor in tensors {
            let decays = tensor.matrix().is_some();
            let TakenTensor { name, shape, value, gradient } = tensor;
            let (m, v) = (self.take("m", &name, &gradient), self.take("v", &name, &gradient));
            let rate = self.rates.of(&name);
            // The means of a tensor begin with the first step that trains it.
            let updates = self.updates.saturating_sub(rate.first_step).max(1) as i32;
            let step = AdamwStep {
                lr: step.lr * rate.factor,
                weight_decay: if decays { weight_decay } else { 0.0 },
                correction1: 1.0 - beta1.powi(updates),
                correction2: 1.0 - beta2.powi(updates),
                ..step
            };
            work.push((AdamwTensors { value, gradient, m, v }, step));
            names.push((name, shape));
        }
        for ((name, shape), tensors) in names.into_iter().zip(adamw(work)) {
            self.put("m", &name, tensors.m);
            self.put("v", &name, tensors.v);
            updated.insert(name, (tensors.value, shape));
        }
    }
}
