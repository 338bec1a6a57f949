//! A pseudo-random order of any number of things that takes no memory.

use rand_chacha::rand_core::RngCore;

/// Rounds of the network. Four make a good permutation of large domains [Luby & Rackoff 1988]; small ones, whose round
/// functions have few values, need more to look random.
const ROUNDS: usize = 8;

/// A pseudo-random permutation of `0..len`, computed for one index at a time.
///
/// A Feistel network permutes the numbers of `2 · half_bits` bits; an image outside `0..len` is permuted again until
/// it is inside ("cycle walking"), which stays a permutation and takes four steps at most on average.
#[derive(Clone, Debug)]
pub struct Permutation {
    len: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// The permutation of `0..len` that the generator's next draws stand for.
    ///
    /// # Panics
    /// If `len` is 0.
    pub fn new(len: u64, rng: &mut impl RngCore) -> Self {
        assert!(len > 0, "there is nothing to permute");
        let bits = u64::BITS - (len - 1).leading_zeros();
        Self { len, half_bits: bits.div_ceil(2), keys: std::array::from_fn(|_| rng.next_u64()) }
    }

    /// Where `index` goes.
    ///
    /// # Panics
    /// If `index` is not below the length.
    pub fn image(&self, index: u64) -> u64 {
        assert!(index < self.len, "index {index} is outside a permutation of {}", self.len);
        let mut image = self.network(index);
        while image >= self.len {
            image = self.network(image);
        }
        image
    }

    /// The permutation of all numbers of `2 · half_bits` bits.
    fn network(&self, value: u64) -> u64 {
        let half_mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & half_mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & half_mask));
        }
        left << self.half_bits | right
    }
}

/// Spreads every bit of the input over the whole output: the finalizer of SplitMix64 [Steele 2014].
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batches::keyed_rng;

    fn images(len: u64, seed: u64) -> Vec<u64> {
        let permutation = Permutation::new(len, &mut keyed_rng(seed, "test", 0));
        (0..len).map(|index| permutation.image(index)).collect()
    }

    proptest! {
        #[test]
        fn every_image_occurs_once(len in 1u64..3000, seed: u64) {
            let mut images = images(len, seed);
            images.sort_unstable();
            prop_assert_eq!(images, (0..len).collect::<Vec<_>>());
        }

        #[test]
        fn images_of_the_largest_domains_stay_inside(len in (u64::MAX - 1000)..=u64::MAX, seed: u64, index: u64) {
            let permutation = Permutation::new(len, &mut keyed_rng(seed, "test", 0));
            prop_assert!(permutation.image(index % len) < len);
        }
    }

    #[test]
    fn every_place_is_about_equally_likely() {
        for len in [2, 3, 5, 10, 16] {
            let mut counts = vec![vec![0; len as usize]; len as usize];
            let trials = 500 * len;
            for seed in 0..trials {
                for (index, image) in images(len, seed).into_iter().enumerate() {
                    counts[index][image as usize] += 1;
                }
            }
            // 500 each, standard deviation below 23.
            assert!(counts.iter().flatten().all(|count| (385..615).contains(count)), "{len}: {counts:?}");
        }
    }

    #[test]
    fn neighbours_are_torn_apart() {
        let images = images(10_000, 1);
        let adjacent = images.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        // Two are expected of a random order.
        assert!(adjacent < 12, "{adjacent} of 9999 neighbours stayed neighbours");
    }
}
