//! Checkpointed parts against the same without.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Device, Tensor, tensor, values};
use crate::ops::{self, Before, Detached, Leaves, Map, Norm, NormKind};

/// A part with two parameters, `[6, 6]` and `[6]`.
fn part(x: Tensor<3>, weight: Tensor<2>, gain: Tensor<1>) -> Tensor<3> {
    let before = Before::Norm(Norm { kind: NormKind::Rms, gain, bias: None, eps: 1e-5 });
    ops::project(x.clone(), before, vec![Map { weight, bias: None }], Some(x))
}

struct Outcome {
    y: Vec<f32>,
    /// Of x, both weights, the gain.
    gradients: Vec<Option<Vec<f32>>>,
    runs: usize,
}

/// Two such parts after each other. `x` and the gain, which they share, may be frozen.
fn run(checkpointed: bool, x_tracked: bool, gain_tracked: bool) -> Outcome {
    let device = Device::flex().autodiff();
    let leaf = |len: usize, seed: usize, tracked: bool| {
        let leaf = tensor(len, seed, &device);
        if tracked { leaf.require_grad() } else { leaf }
    };
    let x = leaf(30, 1, x_tracked);
    let gain = leaf(6, 3, gain_tracked);
    let weights = [leaf(36, 2, true), leaf(36, 4, true)];
    let runs = Arc::new(AtomicUsize::new(0));
    let mut y = x.clone().reshape([1, 5, 6]);
    for weight in &weights {
        if !checkpointed {
            y = part(y, weight.clone().reshape([6, 6]), gain.clone());
            continue;
        }
        let mut parameters = Detached::default();
        let (weight, gain) = (parameters.detach(weight.clone()), parameters.detach(gain.clone()));
        let runs = runs.clone();
        let again = move |x: Tensor<3>, leaves: Option<&mut Leaves>| {
            runs.fetch_add(1, Ordering::Relaxed);
            let (weight, gain) = match leaves {
                Some(leaves) => (leaves.attach(weight.clone()), leaves.attach(gain.clone())),
                None => (weight.clone(), gain.clone()),
            };
            part(x, weight.reshape([6, 6]), gain)
        };
        y = ops::checkpoint(y, parameters, Arc::new(again));
    }
    let output = values(y.clone());
    let gradients = (y * tensor(30, 9, &device).reshape([1, 5, 6])).sum().backward();
    let [first, second] = weights;
    let gradients = [x, first, second, gain].map(|leaf| leaf.grad(&gradients).map(values));
    Outcome { y: output, gradients: gradients.into(), runs: runs.load(Ordering::Relaxed) }
}

#[test]
fn a_checkpointed_part_gives_the_same_bits_and_runs_twice() {
    for (x_tracked, gain_tracked) in [(true, true), (true, false), (false, true), (false, false)] {
        let (plain, again) = (run(false, x_tracked, gain_tracked), run(true, x_tracked, gain_tracked));
        assert_eq!(plain.y, again.y);
        assert_eq!(plain.gradients, again.gradients, "{x_tracked} {gain_tracked}");
        assert_eq!((again.runs, again.gradients[1].is_some()), (4, true));
    }
}
