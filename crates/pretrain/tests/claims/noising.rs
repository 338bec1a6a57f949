//! What objectives for encoder–decoders make of a text: how many spans there are, how long, where; and that nothing is lost.

use crate::objectives::{Case, OfDenoising, OfMixture, OfSpanCorruption, special};
use crate::{batch, device, far_from_first};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_pretrain::{
    Denoising, DenoisingConfig, EncoderDecoderLm, Mixture, MixtureConfig, ModeTokens, Noising, Pair,
    Sentinels, SpanCorruption, SpanCorruptionConfig, Spans,
};
use firebrand_training::{BatchKey, Objective};
use firebrand_transformer::{EncoderDecoder, Model};
use std::collections::BTreeMap;

const END: u32 = 9_999;

fn key(step: u64) -> BatchKey {
    BatchKey { seed: 3, step, first_example: 0, training: true }
}

/// The sentinels of a vocabulary of 10,000 tokens, and below them three modes.
fn id(name: &str) -> Option<u32> {
    let number = name.strip_prefix("<extra_id_").and_then(|rest| rest.strip_suffix('>'));
    match number {
        Some(number) => {
            number.parse::<u32>().ok().filter(|&number| number < 100).map(|number| 9_998 - number)
        }
        None => ModeTokens::NAMES.iter().position(|mode| *mode == name).map(|at| 9_000 + at as u32),
    }
}

fn ids(len: usize) -> Vec<u32> {
    (0..len as u32).collect()
}

fn t5() -> SpanCorruption {
    let spans = SpanCorruptionConfig::default().spans();
    SpanCorruption { spans, sentinels: Sentinels::of(id), end_of_text: END }
}

/// Tokens in spans and spans, in whole numbers.
fn expected_counts(len: usize) -> (usize, usize) {
    let (whole, rest) = (15 * len / 100, 15 * len % 100);
    let up = rest > 50 || (rest == 50 && whole % 2 == 1);
    let noise = (whole + usize::from(up)).clamp(1, len - 1);
    // Thirds have no halves.
    let spans = ((noise + 1) / 3).max(1);
    (noise, spans.min(noise).min(len - noise))
}

/// `Σ (found − expected)² / expected`.
fn chi_squared(found: &[usize], expected: &[f64]) -> f64 {
    found.iter().zip(expected).map(|(&found, expected)| (found as f64 - expected).powi(2) / expected).sum()
}

/// Exceeded once in a thousand times by chance.
fn limit(freedom: usize) -> f64 {
    // Wilson and Hilferty's approximation.
    let n = freedom as f64;
    n * (1.0 - 2.0 / (9.0 * n) + 3.09 * (2.0 / (9.0 * n)).sqrt()).powi(3)
}

/// Spans and what stays before each, by the sentinels of input and target; checks how both are laid out.
fn laid_out(pair: &Pair, front: usize) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
    let sentinels = Sentinels::of(id);
    let split = |ids: &[u32]| {
        let (&end, ids) = ids.split_last().expect("an end of text at least");
        assert_eq!(end, END);
        let mut parts = vec![Vec::new()];
        for &id in ids {
            match id > 9_898 {
                true => {
                    assert_eq!(id, sentinels.id(parts.len() - 1), "sentinels count down from the top");
                    parts.push(Vec::new());
                }
                false => parts.last_mut().expect("one at least").push(id),
            }
        }
        parts
    };
    let (kept, mut spans) = (split(&pair.input[front..]), split(&pair.target));
    assert!(spans.remove(0).is_empty(), "a target begins with a sentinel");
    assert_eq!(kept.len(), spans.len() + 1, "as many sentinels in the input as in the target");
    (kept, spans)
}

fn restored(kept: &[Vec<u32>], spans: &[Vec<u32>]) -> Vec<u32> {
    let mut restored = kept[0].clone();
    for (span, kept) in spans.iter().zip(&kept[1..]) {
        restored.extend(span);
        restored.extend(kept);
    }
    restored
}

#[test]
fn spans_are_as_many_and_as_long_as_the_formula_says() {
    let t5 = t5();
    for (len, noise, spans) in
        [(2, 1, 1), (3, 1, 1), (10, 2, 1), (30, 4, 1), (50, 8, 3), (70, 10, 3), (512, 77, 26)]
    {
        assert_eq!(expected_counts(len), (noise, spans), "worked out by hand for {len}");
    }
    for len in 2..600 {
        assert_eq!(t5.spans.counts(len), expected_counts(len), "{len} tokens");
        let pair = t5.pair(&ids(len), key(len as u64), 0);
        let (kept, spans) = laid_out(&pair, 0);
        let noise: usize = spans.iter().map(Vec::len).sum();
        assert_eq!((noise, spans.len()), expected_counts(len), "{len} tokens");
        assert!(spans.iter().all(|span| !span.is_empty()), "{len} tokens");
        let (last, before) = kept.split_last().expect("one at least");
        assert!(
            last.is_empty() && before.iter().all(|kept| !kept.is_empty()),
            "{len} tokens: kept and span in turn"
        );
        assert_eq!(restored(&kept, &spans), ids(len));
    }
    // Half of the tokens, each a span of its own: as many as can stand between others.
    assert_eq!(Spans { rate: 0.9, mean_span: 1.0 }.counts(10), (9, 1));
}

#[test]
fn a_worked_example_is_laid_out_like_t5s() {
    // With 4 tokens there is one way: noise 1, one span, and what stays in front of it.
    let pair = t5().pair(&[5, 6, 7, 8], key(0), 0);
    assert_eq!(pair.input, [5, 6, 7, 9_998, END]);
    assert_eq!(pair.target, [9_998, 8, END]);
}

#[test]
fn each_way_to_cut_spans_is_as_likely_as_the_others() {
    // 9 tokens in 3 spans: 28 ways. 15 others before them: 91 ways.
    let noising = SpanCorruption { spans: Spans { rate: 0.375, mean_span: 3.0 }, ..t5() };
    assert_eq!(noising.spans.counts(24), (9, 3));
    let n = 20_000;
    let (mut of_spans, mut of_kept) = (BTreeMap::new(), BTreeMap::new());
    for step in 0..n {
        let (kept, spans) = laid_out(&noising.pair(&ids(24), key(step), 0), 0);
        let lens = |parts: &[Vec<u32>]| parts.iter().map(Vec::len).collect::<Vec<usize>>();
        *of_spans.entry(lens(&spans)).or_insert(0) += 1;
        *of_kept.entry(lens(&kept)).or_insert(0) += 1;
    }
    for (found, ways) in [(of_spans, 28), (of_kept, 91)] {
        assert_eq!(found.len(), ways);
        let found: Vec<usize> = found.into_values().collect();
        let chi_squared = chi_squared(&found, &vec![n as f64 / ways as f64; ways]);
        assert!(chi_squared < limit(ways - 1), "{chi_squared} for {ways} ways");
    }
}

fn bart(rate: f64, permute_sentences: bool) -> Denoising {
    let config = DenoisingConfig { rate, permute_sentences, ..DenoisingConfig::default() };
    // A sentence ends with 2.
    Denoising { config, mask: 9_998, end_of_text: END, ends_sentence: vec![false, false, true].into() }
}

#[test]
fn lengths_of_masked_spans_are_poisson_numbers_and_cover_their_part() {
    let mut found = vec![0; 9];
    for step in 0..20 {
        let text = ids(4_000);
        let Pair { input, target } = bart(0.3, false).pair(&text, key(step), 0);
        assert_eq!(target, [text.as_slice(), &[END]].concat(), "the target is the whole original");
        let kept = input.iter().filter(|&&id| id < 9_000).count();
        assert_eq!(kept, 2_800, "exactly 30 % is covered");
        // Where a mask stands alone, its span is what is missing between its neighbours.
        for around in
            input.windows(3).filter(|around| around[0] < 9_000 && around[1] == 9_998 && around[2] < 9_000)
        {
            found[((around[2] - around[0] - 1) as usize).min(8)] += 1;
        }
    }
    let n: usize = found.iter().sum();
    assert!(n > 4_000, "{n}");
    let mut expected: Vec<f64> = Vec::new();
    let mut probability = (-3.0_f64).exp();
    for k in 0..8 {
        expected.push(n as f64 * probability);
        probability *= 3.0 / (k + 1) as f64;
    }
    expected.push(n as f64 - expected.iter().sum::<f64>());
    let chi_squared = chi_squared(&found, &expected);
    assert!(chi_squared < limit(8), "{chi_squared}: {found:?} and {expected:?}");
}

#[test]
fn a_masked_span_stands_anywhere_and_what_is_kept_keeps_its_order() {
    let mut found = vec![0; 7];
    for step in 0..20_000 {
        let Pair { input, .. } = bart(0.25, false).pair(&ids(8), key(step), 0);
        let kept: Vec<u32> = input.iter().copied().filter(|&id| id < 9_000).collect();
        assert!(kept.is_sorted() && kept.len() == 6, "{input:?}");
        assert!(input.len() <= 10, "{input:?} is longer than the context that it is given");
        if input.len() == 8 {
            found[input.iter().position(|&id| id == 9_998).expect("one mask")] += 1;
        }
    }
    let n: usize = found.iter().sum();
    assert!(n > 10_000, "{n}");
    let chi_squared = chi_squared(&found, &[n as f64 / 7.0; 7]);
    assert!(chi_squared < limit(6), "{chi_squared}: {found:?}");
}

#[test]
fn sentences_change_places_within_their_document() {
    let text = [10, 11, 2, 12, 2, 13, END, 20, 2, 21, 2];
    let mut found: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    for step in 0..12_000 {
        let Pair { input, target } = bart(0.0, true).pair(&text, key(step), 0);
        assert_eq!(target[..11], text);
        *found.entry(input).or_insert(0) += 1;
    }
    // Six orders of the first document's three sentences, two of the second's.
    let first = [
        [10, 11, 2, 12, 2, 13],
        [10, 11, 2, 13, 12, 2],
        [12, 2, 10, 11, 2, 13],
        [12, 2, 13, 10, 11, 2],
        [13, 10, 11, 2, 12, 2],
        [13, 12, 2, 10, 11, 2],
    ];
    let second = [[20, 2, 21, 2], [21, 2, 20, 2]];
    let expected: Vec<Vec<u32>> = first
        .iter()
        .flat_map(|first| second.iter().map(move |second| [&first[..], &[END], second, &[END]].concat()))
        .collect();
    let counts: Vec<usize> = expected.iter().map(|input| found.remove(input).unwrap_or(0)).collect();
    assert!(found.is_empty(), "{found:?}");
    let chi_squared = chi_squared(&counts, &[1_000.0; 12]);
    assert!(chi_squared < limit(11), "{chi_squared}: {counts:?}");
}

fn ul2() -> Mixture {
    let modes = ModeTokens::of(id).expect("all three are there");
    Mixture { config: MixtureConfig::default(), modes, sentinels: Sentinels::of(id), end_of_text: END }
}

/// Mode, tokens to write, spans.
fn kind(pair: &Pair) -> (u32, usize, usize) {
    let (_, spans) = laid_out(pair, 1);
    (pair.input[0], spans.iter().map(Vec::len).sum(), spans.len())
}

#[test]
fn the_seven_denoisers_are_equally_likely_and_led_by_their_mode() {
    let [r, s, x] = [9_000, 9_001, 9_002];
    let seven = [(r, 77, 26), (r, 77, 10), (s, 128, 1), (x, 256, 85), (x, 256, 32), (x, 77, 1), (x, 256, 4)];
    let mut found: BTreeMap<(u32, usize, usize), usize> = BTreeMap::new();
    let text = ids(512);
    for step in 0..7_000 {
        let pair = ul2().pair(&text, key(step), 0);
        let (kept, spans) = laid_out(&pair, 1);
        assert_eq!(restored(&kept, &spans), text);
        if pair.input[0] == s {
            assert_eq!(spans[0], text[384..], "the end of the text");
        }
        *found.entry(kind(&pair)).or_insert(0) += 1;
    }
    let counts = seven.map(|kind| found.remove(&kind).unwrap_or(0));
    assert!(found.is_empty(), "{found:?}");
    let chi_squared = chi_squared(&counts, &[1_000.0; 7]);
    assert!(chi_squared < limit(6), "{chi_squared}: {counts:?}");
}

#[test]
fn weights_say_how_often_a_denoiser_is_taken() {
    let mut mixture = ul2();
    mixture.config.denoisers.truncate(3);
    for (denoiser, weight) in mixture.config.denoisers.iter_mut().zip([0.0, 3.0, 1.0]) {
        denoiser.weight = weight;
    }
    let kinds: Vec<_> = (0..4_000).map(|step| kind(&mixture.pair(&ids(512), key(step), 0))).collect();
    let count = |kind| kinds.iter().filter(|&&other| other == kind).count();
    let counts = [count((9_000, 77, 10)), count((9_001, 128, 1))];
    assert_eq!(counts.iter().sum::<usize>(), 4_000);
    assert!(chi_squared(&counts, &[3_000.0, 1_000.0]) < limit(1), "{counts:?}");
}

#[test]
fn wrong_numbers_are_named() {
    let error =
        |message: Result<(), firebrand_training::TrainingError>| message.expect_err("wrong").to_string();
    for (message, named) in [
        (error(SpanCorruptionConfig { rate: 1.0, ..Default::default() }.validate()), "rate 1"),
        (error(SpanCorruptionConfig { mean_span: 0.5, ..Default::default() }.validate()), "mean_span 0.5"),
        (error(DenoisingConfig { rate: f64::NAN, ..Default::default() }.validate()), "rate NaN"),
        (error(DenoisingConfig { mean_span: 0.0, ..Default::default() }.validate()), "mean_span 0"),
        (error(MixtureConfig { denoisers: vec![] }.validate()), "none that is ever taken"),
    ] {
        assert!(message.contains(named), "{message:?} should name {named}");
    }
    let mut config = MixtureConfig::default();
    config.denoisers[2].mean_span = Some(3.0);
    assert!(error(config.validate()).contains("mode S"));
    config = MixtureConfig::default();
    config.denoisers[0].mean_span = None;
    assert!(error(config.validate()).contains("mode R"));
}

#[test]
fn draws_go_with_the_example_and_in_evaluation_not_with_the_step() {
    let noisings: [&dyn Fn(BatchKey, usize) -> Pair; 3] = [
        &|key, row| t5().pair(&ids(100), key, row),
        &|key, row| bart(0.3, true).pair(&ids(100), key, row),
        &|key, row| ul2().pair(&ids(100), key, row),
    ];
    for pair in noisings {
        let later = BatchKey { first_example: 3, ..key(5) };
        assert_eq!(pair(later, 1), pair(key(5), 4), "the place in the micro-batch does not matter");
        assert_ne!(pair(key(5), 4), pair(key(5), 5), "each example has draws of its own");
        assert_ne!(pair(key(5), 4), pair(key(6), 4), "and each step");
        assert_ne!(pair(key(5), 4), pair(BatchKey { seed: 4, ..key(5) }, 4), "and each seed");
        let evaluation = |step| BatchKey { training: false, ..key(step) };
        assert_eq!(pair(evaluation(5), 4), pair(evaluation(6), 4), "evaluations compare");
        assert_ne!(pair(evaluation(0), 4), pair(key(0), 4));
    }
}

/// The loss of each row by itself, from its pair: the decoder has written the target up to the token that it predicts.
fn check_loss<C: Case<Objective = EncoderDecoderLm<N>>, N: Noising>() {
    let model = EncoderDecoder::new(&C::config(), 7, &device("cpu")).expect("the config is a model's");
    let (model, objective, rows) = (far_from_first(model), C::objective(0.0), batch(5, 9));
    let tensor = |ids: &[u32]| {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let len = ids.len();
        Tensor::<1, Int>::from_data(TensorData::new(ids, [len]), &device("cpu"))
    };
    let (mut nats, mut count) = (0.0, 0);
    for row in 0..rows.rows {
        let Pair { input, target } = objective.noising.pair(&rows.row(row)[..8], key(4), row);
        let (read, n) = (input.len(), target.len());
        let encoded = model.encode(tensor(&input).reshape([1, read]), &[read], None);
        let written = [&[0], &target[..n - 1]].concat();
        let hidden = model.hidden(&encoded, tensor(&written).reshape([1, n]), &[n], None);
        let sum = model.nats(hidden.reshape([n, model.config().d_model]), tensor(&target)).sum();
        nats += f64::from(sum.into_scalar::<f32>());
        count += n as u64;
    }
    let prepared = objective.prepare(&rows, key(4), &device("cpu"));
    assert_eq!(objective.counts(&prepared), [count]);
    let terms = objective.loss(&model, prepared);
    let [term] = terms.as_slice() else { panic!("one term") };
    let found = f64::from(term.nats.clone().into_scalar::<f32>());
    assert!((found / nats - 1.0).abs() < 1e-5, "{found} and {nats}");
}

#[test]
fn the_loss_counts_each_target_given_those_before_it_and_no_padding() {
    check_loss::<OfSpanCorruption, SpanCorruption>();
    check_loss::<OfDenoising, Denoising>();
    check_loss::<OfMixture, Mixture>();
}

/// The last window of a held-out text may have one token.
#[test]
fn of_a_row_of_one_token_nothing_is_taken() {
    let spans = SpanCorruptionConfig::default().spans();
    let noising = SpanCorruption { spans, sentinels: Sentinels::of(special), end_of_text: 0 };
    let pair = noising.pair(&[5], key(0), 0);
    assert_eq!((pair.input, pair.target), (vec![5, 0], vec![0]));
    let modes = ModeTokens::of(special).expect("all three are there");
    let mixture = Mixture {
        config: MixtureConfig::default(),
        modes,
        sentinels: Sentinels::of(special),
        end_of_text: 0,
    };
    for step in 0..20 {
        let pair = mixture.pair(&[5], key(step), 0);
        assert!(modes.contains(pair.input[0]) && pair.input[1..] == [5, 0] && pair.target == [0]);
    }
}
