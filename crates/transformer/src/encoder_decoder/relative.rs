//! Relative positions as T5 has them [Raffel 2020, <https://arxiv.org/abs/1910.10683>]: the distance between query and key falls into
//! a bucket, and each head has a number for each bucket, which is added to the score.

use crate::config::ModelConfig;
use burn::tensor::{Int, Tensor, TensorData};
use std::sync::Arc;

/// The bucket of each query and key: `[rows, s, t]`. On the host, so that it goes with a graph and without.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    index: Arc<[i32]>,
    shape: [usize; 3],
}

impl Buckets {
    /// For queries and keys at these positions, `[rows][s]` and `[rows][t]`; where there is one row of keys, it is that of all rows.
    pub(crate) fn new(
        config: &ModelConfig,
        queries: &[Vec<usize>],
        keys: &[Vec<usize>],
        both_ways: bool,
    ) -> Self {
        let shape = [queries.len(), queries[0].len(), keys[0].len()];
        let mut index = Vec::with_capacity(shape.iter().product());
        for (row, queries) in queries.iter().enumerate() {
            let keys = &keys[row.min(keys.len() - 1)];
            for &query in queries {
                let of = |&key: &usize| bucket(config, key as i64 - query as i64, both_ways) as i32;
                index.extend(keys.iter().map(of));
            }
        }
        Self { index: index.into(), shape }
    }

    /// The numbers of `table` `[buckets, heads]` for them, `[rows, heads, s, t]`.
    pub(crate) fn bias(&self, table: Tensor<2>) -> Tensor<4> {
        let [rows, s, t] = self.shape;
        let heads = table.dims()[1];
        let index = TensorData::new(self.index.to_vec(), [rows * s * t]);
        let index = Tensor::<1, Int>::from_data(index, &table.device());
        table.select(0, index).reshape([rows, s, t, heads]).permute([0, 3, 1, 2])
    }
}

/// The bucket of a key that stands `distance` after the query. Half of the buckets are for distances of their own, the others for
/// ranges that grow, up to the greatest distance. Where queries look both ways, keys behind have their own half.
fn bucket(config: &ModelConfig, distance: i64, both_ways: bool) -> usize {
    let (buckets, first, distance) = match both_ways {
        true => {
            let half = config.relative_buckets / 2;
            (half, if distance > 0 { half } else { 0 }, distance.unsigned_abs() as usize)
        }
        // Keys that come later are hidden.
        false => (config.relative_buckets, 0, (-distance).max(0) as usize),
    };
    let exact = buckets / 2;
    if distance < exact {
        return first + distance;
    }
    // In f32, as the reference has it: where a range ends depends on the last bit.
    let ratio = (distance as f32 / exact as f32).ln()
        / (config.relative_max_distance as f64 / exact as f64).ln() as f32;
    let far = exact + (ratio * (buckets - exact) as f32) as usize;
    first + far.min(buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    /// What transformers' `T5Attention._relative_position_bucket` gives with 32 buckets and a greatest distance of 128.
    #[test]
    fn buckets_are_those_of_t5() {
        let config = ModelConfig::preset(Preset::T5, 10, 8, 1, 2, 8);
        let both = [
            (0, 0),
            (1, 17),
            (-1, 1),
            (7, 23),
            (-7, 7),
            (8, 24),
            (-8, 8),
            (11, 24),
            (12, 25),
            (-16, 10),
            (20, 26),
            (-31, 11),
            (32, 28),
            (-63, 13),
            (64, 30),
            (-127, 15),
            (128, 31),
            (-1000, 15),
        ];
        for (distance, expected) in both {
            assert_eq!(bucket(&config, distance, true), expected, "both ways, {distance}");
        }
        let back = [
            (0, 0),
            (5, 0),
            (-1, 1),
            (-15, 15),
            (-16, 16),
            (-18, 16),
            (-19, 17),
            (-32, 21),
            (-127, 31),
            (-500, 31),
        ];
        for (distance, expected) in back {
            assert_eq!(bucket(&config, distance, false), expected, "back, {distance}");
        }
    }
}
