//! Random draws of an objective: keyed by the seed, what they are for, the step and the example, never by the place in a
//! micro-batch.

use firebrand_training::BatchKey;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The draws for one example.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// For the row at place `row` of the batch that `key` is of. In evaluation they are the same every time, so that the losses of
    /// two evaluations compare.
    ///
    /// # Panics
    /// When `purpose` has more than 15 bytes.
    pub(crate) fn new(purpose: &str, key: BatchKey, row: usize) -> Self {
        let mut bytes = [0_u8; 32];
        bytes[..8].copy_from_slice(&key.seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&if key.training { key.step } else { 0 }.to_le_bytes());
        bytes[16] = u8::from(key.training);
        bytes[17..17 + purpose.len()].copy_from_slice(purpose.as_bytes());
        let mut generator = ChaCha8Rng::from_seed(bytes);
        generator.set_stream((key.first_example + row) as u64);
        Self(generator)
    }

    /// A number in [0, 1), each as likely as the others.
    pub(crate) fn uniform(&mut self) -> f64 {
        /// Numbers that an `f64` tells apart in [0, 1).
        const STEPS: f64 = (1_u64 << 53) as f64;
        (self.0.next_u64() >> 11) as f64 / STEPS
    }

    /// Whether something of this probability happens.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// A number below `end`, each as likely as the others.
    ///
    /// # Panics
    /// When `end` is 0: there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        // The last, incomplete run of `end` numbers is drawn again.
        let first_too_high = u64::MAX - u64::MAX % end;
        loop {
            let number = self.0.next_u64();
            if number < first_too_high {
                return (number % end) as usize;
            }
        }
    }

    /// Puts items in an order of which each is as likely as the others [Fisher–Yates].
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
