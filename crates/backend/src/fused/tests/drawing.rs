//! Ids drawn by the logits that cross-entropy computes.

use super::{Device, Tensor, tensor, values};
use crate::ops;
use burn::tensor::{Int, TensorData};

#[test]
fn ids_are_drawn_from_the_logits_that_give_the_nats() {
    // More rows than a chunk of this vocabulary has.
    let (n, d, vocab) = (2500, 6, 40);
    let uniform: Vec<f64> = (0..n).map(|i| ((i * 7919) % n) as f64 / n as f64).collect();
    let (_, ndarray) = crate::device::resolve(Some("ndarray")).expect("it is always there");
    let on = |device: &Device| {
        let hidden = tensor(n * d, 1, device).reshape([n, d]) * 3.0;
        let head = tensor(vocab * d, 2, device).reshape([vocab, d]);
        let targets: Vec<i32> = (0..n).map(|i| (i % vocab) as i32).collect();
        let targets = || Tensor::<1, Int>::from_data(TensorData::new(targets.clone(), [n]), device);
        let alone = values(ops::cross_entropy(hidden.clone(), head.clone(), targets(), None));
        let (nats, drawn) = ops::cross_entropy_and_draws(hidden, head, targets(), None, &uniform);
        assert_eq!(values(nats), alone, "drawing changes nothing");
        drawn
    };
    let [fused, tracked, primitive] =
        [Device::flex(), Device::flex().autodiff(), ndarray].map(|device| on(&device));
    assert_eq!(fused, tracked);
    let same = fused.iter().zip(&primitive).filter(|(a, b)| a == b).count();
    assert!(primitive.len() == n && same >= n - 5, "rounding decides at borders alone: {same} of {n}");
    let kinds: std::collections::BTreeSet<u32> = fused.into_iter().collect();
    assert!(kinds.len() > vocab / 2, "{kinds:?}");
}
