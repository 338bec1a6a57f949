//! Random numbers that depend on what they are for, never on what was drawn before.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A generator for one thing: the `index`-th one (example, epoch, …) of a purpose under a seed.
///
/// Two generators that differ in any of the three are independent: seed and purpose make ChaCha's key, the index is
/// its stream. Of a purpose the first 24 bytes count. The same on every platform and in every version.
pub fn keyed_rng(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    for (slot, byte) in key[8..].iter_mut().zip(purpose.bytes()) {
        *slot = byte;
    }
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(index);
    rng
}

/// A number from 0 to `bound - 1`, uniform up to a bias of `bound / 2^64`, from one draw of 64 bits. (The methods of
/// the `rand` crate may give other numbers in its next version.)
///
/// # Panics
/// If `bound` is 0.
pub fn below(rng: &mut impl RngCore, bound: u64) -> u64 {
    assert!(bound > 0, "there is no number below 0");
    ((u128::from(rng.next_u64()) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_depends_on_seed_purpose_and_index() {
        let first = |seed, purpose, index| keyed_rng(seed, purpose, index).next_u64();
        let draws = [first(0, "a", 0), first(1, "a", 0), first(0, "b", 0), first(0, "a", 1)];
        for (i, draw) in draws.iter().enumerate() {
            assert!(!draws[..i].contains(draw), "{draws:?}");
        }
        assert_eq!(first(7, "order", 3), first(7, "order", 3));
    }

    #[test]
    fn the_numbers_are_pinned() {
        // Changing them would change every run: a resumed one would no longer equal an undisturbed one. A second
        // implementation, of ChaCha8 in Python, gave the same.
        let mut rng = keyed_rng(42, "pinned", 1);
        let drawn: Vec<u64> = (0..4).map(|_| below(&mut rng, 1000)).collect();
        assert_eq!(drawn, [748, 345, 80, 11]);
    }

    #[test]
    fn numbers_below_a_bound_are_all_drawn() {
        let mut rng = keyed_rng(0, "test", 0);
        let mut counts = [0; 5];
        for _ in 0..5000 {
            counts[below(&mut rng, 5) as usize] += 1;
        }
        // 1000 each, standard deviation 28.
        assert!(counts.iter().all(|&count| (850..1150).contains(&count)), "{counts:?}");
    }
}
