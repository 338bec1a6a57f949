//! Every strategy on a fake model that is small enough to enumerate; a real one keeps what the trait promises.

mod beam;
mod best_of;
mod constraint;
mod contrastive;
mod cost;
mod decoder;
mod errors;
mod fake;
mod golden;
mod greedy;
mod guided;
mod limits;
mod observe;
mod processors;
mod reference;
mod sampler;
mod sampling;
mod sliding;
mod speculative;
mod uncached;

use std::ops::ControlFlow;

use fake::FakeModel;
use firebrand_decode::{GenerateConfig, Generation, generate};

/// Generates without watching the tokens, and without an error.
fn run(model: &FakeModel, prompts: &[Vec<u32>], config: &GenerateConfig) -> Vec<Generation> {
    generate(model, prompts, config, &mut |_, _| ControlFlow::Continue(())).expect("a valid generation")
}

/// Like [`run`], for one prompt.
fn run_one(model: &FakeModel, prompt: &[u32], config: &GenerateConfig) -> Generation {
    run(model, &[prompt.to_vec()], config).remove(0)
}

/// All sequences of `len` ids.
fn all_sequences(vocab_size: u32, len: usize) -> Vec<Vec<u32>> {
    (0..len).fold(vec![vec![]], |shorter, _| {
        let longer = |ids: &Vec<u32>, id| ids.iter().copied().chain([id]).collect();
        shorter.iter().flat_map(|ids| (0..vocab_size).map(move |id| longer(ids, id))).collect()
    })
}

#[test]
fn all_sequences_are_enumerated() {
    assert_eq!(all_sequences(2, 2), [[0, 0], [0, 1], [1, 0], [1, 1]]);
    assert_eq!(all_sequences(3, 4).len(), 81);
}
