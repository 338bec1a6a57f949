//! Dropout whose masks depend on (seed, step, example) only, never on how a batch was cut into pieces.

use burn::tensor::{Tensor, TensorData};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The masks of one forward pass over consecutive examples of a step.
#[derive(Debug, Clone)]
pub struct Dropout {
    probability: f64,
    // One generator an example; its masks follow one another in the order of the layers.
    examples: Vec<ChaCha8Rng>,
    /// How many positions of each example there are before its padding.
    lens: Option<Vec<usize>>,
}

impl Dropout {
    /// Masks for the examples `first .. first + count` of `step`.
    pub fn new(probability: f64, seed: u64, step: u64, first: usize, count: usize) -> Self {
        Self::of_rows(probability, seed, step, first..first + count)
    }

    /// Masks for rows of these numbers: of examples that are several rows each.
    pub fn of_rows(probability: f64, seed: u64, step: u64, rows: impl IntoIterator<Item = usize>) -> Self {
        let examples = rows
            .into_iter()
            .map(|example| {
                // The step goes into the key, the example into the stream.
                let mut key = [0u8; 32];
                key[..8].copy_from_slice(&seed.to_le_bytes());
                key[8..16].copy_from_slice(&step.to_le_bytes());
                key[16..23].copy_from_slice(b"dropout");
                let mut rng = ChaCha8Rng::from_seed(key);
                rng.set_stream(example as u64);
                rng
            })
            .collect();
        Self { probability, examples, lens: None }
    }

    /// From now on example `i` has `lens[i]` positions, and what stands behind them is padding, for which nothing is drawn: how far
    /// others make an example be padded changes none of its masks.
    pub(crate) fn for_lens(&mut self, lens: &[usize]) {
        self.lens = Some(lens.to_vec());
    }

    /// Drops each number of `x` `[batch, seq, d]` with the probability, and scales the rest to keep the mean.
    pub(crate) fn apply(&mut self, x: Tensor<3>) -> Tensor<3> {
        if self.probability == 0.0 {
            return x;
        }
        let [batch, seq, d] = x.dims();
        assert_eq!(batch, self.examples.len(), "one generator for each example of the batch");
        let threshold = (self.probability * (1u64 << 32) as f64) as u32;
        let kept = (1.0 / (1.0 - self.probability)) as f32;
        let mut mask = Vec::with_capacity(batch * seq * d);
        for (example, rng) in self.examples.iter_mut().enumerate() {
            let len = self.lens.as_ref().map_or(seq, |lens| lens[example].min(seq));
            mask.extend((0..len * d).map(|_| if rng.next_u32() < threshold { 0.0 } else { kept }));
            mask.resize((example + 1) * seq * d, 0.0);
        }
        let device = x.device().without_autodiff();
        let mask = Tensor::<3>::from_data(TensorData::new(mask, [batch, seq, d]), &device);
        // A checkpointed layer runs outside of any graph at first.
        if x.device().is_autodiff() { x * Tensor::from_inner(mask) } else { x * mask }
    }
}
