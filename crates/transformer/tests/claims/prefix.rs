//! Models that read a prompt with every token of it seeing the others.

use crate::{SEQ_LEN, VOCAB_SIZE, configs, device, difference, ids, logits_of, model, uncached};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_transformer::{
    Cache, CpuCache, CpuDecoder, Decoder, Model, ModelConfig, Preset, Wanted, WeightFormat,
};

/// How far the order of a sum may move a logit of about 1.
const ROUNDING: f32 = 1e-5;

/// Of every config, with the CPU's fused operations and with burn's.
fn models() -> Vec<(String, Decoder)> {
    let on = |name: &'static str| {
        configs().into_iter().map(move |(case, config)| {
            let config = ModelConfig { prefix_attention: true, ..config };
            (format!("{case} on {name}"), model(&config, &device(name)))
        })
    };
    on("cpu").chain(on("ndarray")).collect()
}

/// The logits at every position of `ids`, of which the first `prefix` see each other.
fn expected(model: &Decoder, ids: &[u32], prefix: usize) -> Vec<Vec<f32>> {
    let numbers: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(numbers, [1, ids.len()]), &model.device());
    let [_, seq] = ids.dims();
    let hidden = model.hidden(ids, &AttentionMask::Prefix(vec![prefix].into()), None);
    logits_of(model, hidden.reshape([seq, model.config().d_model]))
}

/// A decoder on tensors, or on slices, with what it remembers.
enum Way<'m> {
    Tensors(&'m Decoder, Cache),
    Slices(Box<(CpuDecoder, CpuCache)>),
}

impl<'m> Way<'m> {
    /// All ways that there are on the decoder's device.
    fn all(decoder: &'m Decoder, rows: usize) -> Vec<Self> {
        let tensors = Self::Tensors(decoder, Cache::new(decoder.config().n_layers, rows));
        let slices = CpuDecoder::new(decoder, WeightFormat::F32).ok().map(|decoder| {
            let cache = decoder.start(rows);
            Self::Slices(Box::new((decoder, cache)))
        });
        std::iter::once(tensors).chain(slices).collect()
    }

    /// The logits of every id that is fed, row after row.
    fn feed(&mut self, rows: &[&[u32]]) -> Vec<Vec<Vec<f32>>> {
        let mut logits = match self {
            Self::Slices(way) => {
                let (decoder, cache) = &mut **way;
                let logits = decoder.step(cache, rows, Wanted::All);
                logits.chunks(VOCAB_SIZE).map(<[f32]>::to_vec).collect::<Vec<_>>().into_iter()
            }
            Self::Tensors(decoder, cache) => {
                let hidden = decoder.step(rows, cache);
                let [n_rows, longest, d_model] = hidden.dims();
                let all = logits_of(decoder, hidden.reshape([n_rows * longest, d_model]));
                let of_row = |(row, ids): (usize, &&[u32])| all[row * longest..][..ids.len()].to_vec();
                rows.iter().enumerate().flat_map(of_row).collect::<Vec<_>>().into_iter()
            }
        };
        rows.iter().map(|row| logits.by_ref().take(row.len()).collect()).collect()
    }

    fn truncate(&mut self, row: usize, len: usize) {
        match self {
            Self::Tensors(_, cache) => cache.truncate(row, len),
            Self::Slices(way) => way.1.truncate(row, len),
        }
    }
}

#[track_caller]
fn check(actual: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
    let difference = difference(actual, expected);
    assert!(difference <= ROUNDING, "{what}: logits differ by {difference:e}");
}

#[test]
fn what_is_fed_first_is_the_prefix_and_what_comes_later_looks_back() {
    for (name, decoder) in models() {
        let ids = ids(1, SEQ_LEN);
        for prompt in [1, 2, 5, SEQ_LEN - 1, SEQ_LEN] {
            let expected = expected(&decoder, &ids, prompt);
            for mut way in Way::all(&decoder, 1) {
                let mut logits = way.feed(&[&ids[..prompt]]).remove(0);
                for later in ids[prompt..].chunks(3) {
                    logits.extend(way.feed(&[later]).remove(0));
                }
                check(&logits, &expected, &format!("{name}, a prompt of {prompt}"));
            }
        }
    }
}

#[test]
fn rows_of_a_batch_have_prompts_of_their_own_whenever_they_come() {
    for (name, decoder) in models() {
        let rows: Vec<Vec<u32>> = (0..3).map(|row| ids(row, SEQ_LEN)).collect();
        // The second row begins when the others have begun, and the third one is begun again.
        let steps = [[4, 0, 2], [3, 5, 0], [1, 2, 0]];
        for mut way in Way::all(&decoder, 3) {
            let (mut fed, mut logits) = ([0; 3], vec![Vec::new(); 3]);
            for step in steps {
                let new: Vec<&[u32]> = (0..3).map(|row| &rows[row][fed[row]..fed[row] + step[row]]).collect();
                for (row, new) in way.feed(&new).into_iter().enumerate() {
                    logits[row].extend(new);
                    fed[row] += step[row];
                }
            }
            way.truncate(2, 0);
            logits[2] = way.feed(&[&[], &[], &rows[2][..6]]).remove(2);
            for (row, (prompt, len)) in [(4, 8), (5, 7), (6, 6)].into_iter().enumerate() {
                let expected = expected(&decoder, &rows[row][..len], prompt);
                check(&logits[row], &expected, &format!("{name}, row {row}"));
            }
        }
    }
}

#[test]
fn a_long_prompt_is_read_as_a_whole() {
    let config = ModelConfig {
        prefix_attention: true,
        ..ModelConfig::preset(Preset::Llama, VOCAB_SIZE, 48, 2, 4, 700)
    };
    let decoder = model(&config, &device("cpu"));
    let ids = ids(1, 600);
    let expected = expected(&decoder, &ids, 590);
    let on_slices = CpuDecoder::new(&decoder, WeightFormat::F32).expect("it is on the CPU");
    let cache = on_slices.start(1);
    let mut way = Way::Slices(Box::new((on_slices, cache)));
    let logits = [&ids[..590], &ids[590..]].map(|ids| way.feed(&[ids]).remove(0)).concat();
    let difference = difference(&logits, &expected);
    assert!(difference <= 1e-4, "{difference:e}");
}

#[test]
fn reading_causally_is_a_prompt_of_one_token() {
    for (name, decoder) in models() {
        let ids = ids(1, SEQ_LEN);
        check(&uncached(&decoder, &ids), &expected(&decoder, &ids, 1), &name);
        let causal = decoder.clone().reading_causally();
        for mut way in Way::all(&causal, 1) {
            check(&way.feed(&[&ids]).remove(0), &uncached(&decoder, &ids), &name);
        }
    }
}
