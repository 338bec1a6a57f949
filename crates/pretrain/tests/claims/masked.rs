//! What BERT's objective promises: which tokens it hides, how, and that predictions do not see them.

use crate::{VOCAB_SIZE, batch, device, far_from_first, noise, tiny};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::batches::TokenBatch;
use firebrand_corpus::shards::TokenSplit;
use firebrand_pretrain::{MaskedConfig, MaskedLm, Masking, NextSentence, Noised};
use firebrand_tokenizer::{TokenEntry, TokenTable};
use firebrand_training::{BatchKey, Objective};
use firebrand_transformer::{Encoder, EncoderHeads, Model, ModelConfig, ModelKind, Preset};

const KEY: BatchKey = BatchKey { seed: 3, step: 4, first_example: 0, training: true };
/// Behind the ordinary tokens.
const MASK: u32 = VOCAB_SIZE as u32;
const CLS: u32 = MASK + 1;
const SEP: u32 = MASK + 2;

/// The ids 1 to 10 are ordinary, even ones start a word; 0 ends a text.
fn table() -> TokenTable {
    let entry = |id: usize| TokenEntry {
        bytes: if id.is_multiple_of(2) { b" a".to_vec() } else { b"a".to_vec() },
        special: id == 0 || id >= VOCAB_SIZE,
    };
    TokenTable::new((0..VOCAB_SIZE + 3).map(entry))
}

pub(crate) fn masking() -> Masking {
    Masking::new(&table(), MASK)
}

pub(crate) fn masked_lm() -> MaskedLm {
    MaskedLm { masking: masking(), next_sentence: None, dropout: 0.0, end_of_text: Some(0) }
}

pub(crate) fn next_sentence(context: usize) -> NextSentence {
    let texts = TokenSplit::from_ids(noise(300, 21), VOCAB_SIZE, 300, 1).expect("ids of the vocabulary");
    NextSentence { cls: CLS, sep: SEP, context, training: texts.clone(), evaluation: texts }
}

pub(crate) fn tiny_encoder(preset: Preset) -> ModelConfig {
    let heads = EncoderHeads { masked: true, ..EncoderHeads::default() };
    ModelConfig { kind: ModelKind::Encoder, vocab_size: VOCAB_SIZE + 3, heads, ..tiny(preset) }
}

/// The row with what is to be predicted in its place.
fn reconstructed(noised: &Noised) -> Vec<u32> {
    let mut ids = noised.ids.clone();
    noised.targets.iter().for_each(|&(position, id)| ids[position] = id);
    ids
}

/// `Σ (observed − expected)² / expected`.
fn chi_squared(observed: &[usize], expected: &[f64]) -> f64 {
    observed.iter().zip(expected).map(|(&o, e)| (o as f64 - e).powi(2) / e).sum()
}

#[test]
fn as_many_ordinary_tokens_are_chosen_as_the_rate_says_and_one_at_least() {
    let masking = masking();
    // Of 10 · 0.15 = 1.5 two, half going to the even number; of 30 · 0.15 = 4.5 four; special tokens do not count.
    for (ordinary, special, chosen) in
        [(1, 0, 1), (3, 5, 1), (10, 0, 2), (10, 7, 2), (20, 0, 3), (30, 3, 4), (100, 1, 15)]
    {
        let ids = [vec![5; ordinary], vec![0; special]].concat();
        for row in 0..20 {
            let noised = masking.noise(&ids, KEY, row);
            assert_eq!(noised.targets.len(), chosen, "of {ordinary}");
            assert!(noised.targets.windows(2).all(|pair| pair[0].0 < pair[1].0), "each once, in order");
            assert!(noised.targets.iter().all(|&(position, _)| position < ordinary));
        }
    }
    let nothing = masking.noise(&[0, 0, MASK, CLS], KEY, 0);
    assert_eq!(nothing, Noised { ids: vec![0, 0, MASK, CLS], targets: vec![] });
}

#[test]
fn inputs_and_targets_together_are_the_original_and_only_chosen_tokens_change() {
    let masking = masking();
    for row in 0..200 {
        let ids = noise(40, row);
        let noised = masking.noise(&ids, KEY, row as usize);
        assert_eq!(reconstructed(&noised), ids);
        for (position, (&seen, &id)) in noised.ids.iter().zip(&ids).enumerate() {
            let is_chosen = noised.targets.iter().any(|&(chosen, _)| chosen == position);
            assert!(seen == id || is_chosen, "{position} of row {row}");
            assert!(seen == id || seen == MASK || (1..VOCAB_SIZE as u32).contains(&seen));
        }
    }
}

#[test]
fn of_the_chosen_tokens_80_percent_are_masks_10_percent_others_10_percent_themselves() {
    let masking = masking();
    let ids = vec![5; 100];
    let mut observed = [0; 3];
    let mut random = [0; VOCAB_SIZE];
    let mut places = [0; 100];
    for row in 0..4000 {
        let noised = masking.noise(&ids, KEY, row);
        for &(position, _) in &noised.targets {
            places[position] += 1;
            match noised.ids[position] {
                MASK => observed[0] += 1,
                5 => observed[2] += 1,
                id => {
                    observed[1] += 1;
                    random[id as usize] += 1;
                }
            }
        }
    }
    // Of the tenth that becomes a random token one in ten is the token that was there.
    let all = 4000.0 * 15.0;
    let statistic = chi_squared(&observed, &[0.8 * all, 0.09 * all, 0.11 * all]);
    assert!(statistic < 13.8, "2 degrees of freedom, 0.1 %: {statistic}, {observed:?}");
    let others: Vec<usize> = (1..VOCAB_SIZE).filter(|&id| id != 5).map(|id| random[id]).collect();
    let statistic = chi_squared(&others, &[observed[1] as f64 / 9.0; 9]);
    assert!(statistic < 26.1, "8 degrees of freedom, 0.1 %: {statistic}, {others:?}");
    assert_eq!(random[0], 0, "special tokens are not drawn");
    // Without replacement the counts of places vary by a little less than a chi-squared of 99 degrees of freedom.
    let statistic = chi_squared(&places, &[all / 100.0; 100]);
    assert!((40.0..149.0).contains(&statistic), "{statistic}");
}

#[test]
fn words_are_chosen_as_a_whole() {
    let masking = Masking { whole_words: true, probability: 0.4, ..masking() };
    // Words: 2 1 | 4 | 6 1 3 | 8 5, an end of text, and 7, which starts one behind it.
    let ids = [2, 1, 4, 6, 1, 3, 8, 5, 0, 7];
    let words = [vec![0, 1], vec![2], vec![3, 4, 5], vec![6, 7], vec![9]];
    let mut seen = [0; 5];
    for row in 0..400 {
        let noised = masking.noise(&ids, KEY, row);
        let chosen: Vec<usize> = noised.targets.iter().map(|&(position, _)| position).collect();
        // round(0.4 · 9) = 4 tokens at most.
        assert!((1..=4).contains(&chosen.len()), "{chosen:?}");
        for (word, seen) in words.iter().zip(&mut seen) {
            let hit = word.iter().filter(|&position| chosen.contains(position)).count();
            assert!(hit == 0 || hit == word.len(), "{chosen:?} cuts {word:?}");
            *seen += usize::from(hit > 0);
        }
    }
    assert!(seen.iter().all(|&seen| seen > 100), "{seen:?}");
}

#[test]
fn of_a_text_without_spaces_no_more_is_chosen_than_of_any_other() {
    let masking = Masking { whole_words: true, ..masking() };
    // One word of 40 tokens, of which round(0.15 · 40) = 6 are chosen, side by side.
    let mut starts = [0; 35];
    for row in 0..3500 {
        let noised = masking.noise(&[1; 40], KEY, row);
        let chosen: Vec<usize> = noised.targets.iter().map(|&(position, _)| position).collect();
        assert_eq!(chosen.len(), 6);
        assert!(chosen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{chosen:?}");
        starts[chosen[0]] += 1;
    }
    let statistic = chi_squared(&starts, &[100.0; 35]);
    assert!(statistic < 65.2, "34 degrees of freedom, 0.1 %: {statistic}, {starts:?}");
}

#[test]
fn ids_that_no_token_uses_are_neither_chosen_nor_drawn() {
    // Of ten ids every second one is a hole in the vocabulary.
    let entry = |id: usize| TokenEntry { bytes: vec![b'a'; id % 2], special: id == 0 };
    let table = TokenTable::new((0..10).map(entry));
    let masking = Masking { to_mask: 0.0, to_random: 1.0, ..Masking::new(&table, 0) };
    let ids = [1, 3, 4, 5, 6, 7, 8, 9, 12];
    let mut drawn = [0; 10];
    for row in 0..2000 {
        let noised = masking.noise(&ids, KEY, row);
        for &(position, id) in &noised.targets {
            assert!(id % 2 == 1, "{id} is no token");
            drawn[noised.ids[position] as usize] += 1;
        }
    }
    assert!((0..10).all(|id| (drawn[id] > 300) == (id % 2 == 1)), "{drawn:?}");
}

#[test]
fn masks_depend_on_the_step_and_the_example_and_in_evaluation_on_the_example_alone() {
    let masking = masking();
    let ids = noise(60, 1);
    let of = |key: BatchKey, row| masking.noise(&ids, key, row);
    assert_eq!(of(BatchKey { first_example: 2, ..KEY }, 1), of(KEY, 3), "not on the place in a micro-batch");
    assert_ne!(of(KEY, 0), of(KEY, 1));
    assert_ne!(of(KEY, 0), of(BatchKey { step: 5, ..KEY }, 0), "fresh masks");
    assert_ne!(of(KEY, 0), of(BatchKey { seed: 4, ..KEY }, 0));
    let evaluation = BatchKey { training: false, ..KEY };
    assert_eq!(of(evaluation, 0), of(BatchKey { step: 9, ..evaluation }, 0));
    assert_ne!(of(evaluation, 0), of(evaluation, 1));
}

fn logits(model: &Encoder, ids: &[u32]) -> Vec<Vec<f32>> {
    let numbers: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(numbers, [1, ids.len()]), &model.device());
    let hidden = model.hidden(ids.clone(), None, &AttentionMask::Full, None);
    let logits =
        model.masked_logits(hidden.reshape([ids.dims()[1], model.config().d_model])).expect("a head");
    let logits = logits.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
    logits.chunks(model.config().vocab_size).map(<[f32]>::to_vec).collect()
}

#[test]
fn a_prediction_does_not_see_the_masked_token_but_all_others() {
    for preset in [Preset::Bert, Preset::Llama] {
        let config = tiny_encoder(preset);
        let model = far_from_first(Encoder::new(&config, 7, &device("cpu")).expect("a model"));
        let masking = Masking { to_mask: 1.0, to_random: 0.0, ..masking() };
        let ids: Vec<u32> = noise(8, 4).iter().map(|id| id.max(&1)).copied().collect();
        let noised = masking.noise(&ids, KEY, 0);
        let [(masked, _)] = noised.targets[..] else { panic!("round(0.15 · 8) = 1") };
        let before = &logits(&model, &noised.ids)[masked];
        for at in 0..ids.len() {
            let mut changed = ids.clone();
            changed[at] = 1 + changed[at] % 10;
            // The draws depend on which tokens are special alone.
            let changed = masking.noise(&changed, KEY, 0);
            assert_eq!(changed.targets[0].0, masked);
            let after = &logits(&model, &changed.ids)[masked];
            assert_eq!(before == after, at == masked, "{at} changed");
        }
    }
}

#[test]
fn the_loss_is_that_of_the_chosen_tokens_alone() {
    let config = tiny_encoder(Preset::Bert);
    let model = far_from_first(Encoder::new(&config, 7, &device("cpu")).expect("a model"));
    let objective = masked_lm();
    let rows = batch(3, 9);
    let batch = objective.prepare(&rows, KEY, &device("cpu"));
    let mut expected = 0.0;
    for row in batch.rows() {
        let logits = logits(&model, &row.ids);
        for &(position, id) in &row.targets {
            let sum: f64 = logits[position].iter().map(|&logit| f64::from(logit).exp()).sum();
            expected += sum.ln() - f64::from(logits[position][id as usize]);
        }
    }
    let counts = objective.counts(&batch);
    assert_eq!(counts, [batch.rows().iter().map(|row| row.targets.len() as u64).sum::<u64>()]);
    let terms = objective.loss(&model, batch);
    assert_eq!((terms.len(), terms[0].name, terms[0].weight), (1, "mlm", 1.0));
    let nats = f64::from(terms.into_iter().map(|term| term.nats).next().expect("one").into_scalar::<f32>());
    assert!((nats - expected).abs() < 1e-3, "{nats} and {expected}");
    assert_eq!(objective.text_nats(&[("mlm", 1.0, 1)]), None, "not every token is predicted");
}

#[test]
fn rows_of_special_tokens_alone_cost_nothing() {
    let model = Encoder::new(&tiny_encoder(Preset::Bert), 7, &device("cpu")).expect("a model");
    let rows = TokenBatch { ids: vec![0; 18], rows: 2, len: 9 };
    let objective = masked_lm();
    let batch = objective.prepare(&rows, KEY, &device("cpu"));
    assert_eq!(objective.counts(&batch), [0]);
    let nats = objective.loss(&model, batch).remove(0).nats.into_scalar::<f32>();
    assert_eq!(nats, 0.0);
}

#[test]
fn pairs_are_halves_of_a_row_and_every_second_one_ends_in_another_text() {
    let next = next_sentence(16);
    let ids: Vec<u32> = (0..16).map(|i| i % 10 + 1).collect();
    let mut random = 0;
    for row in 0..2000 {
        let pair = next.pair(&ids, KEY, row);
        // (16 − 3) / 2 = 6 tokens a segment.
        assert_eq!((pair.ids[0], pair.ids[7], pair.ids[14]), (CLS, SEP, SEP));
        assert_eq!(pair.ids[1..7], ids[..6]);
        assert_eq!(pair.types, [vec![0; 8], vec![1; 7]].concat());
        random += usize::from(pair.is_random);
        assert_eq!(pair.ids[8..14] == ids[6..12], !pair.is_random, "row {row}");
        if pair.is_random {
            let texts = noise(300, 21);
            assert!(texts.windows(6).any(|window| *window == pair.ids[8..14]), "from the text");
        }
    }
    // 1000 expected, standard deviation 22.
    assert!((930..=1070).contains(&random), "{random}");
    // A short row has short segments, and one token no pair.
    assert_eq!(next.pair(&ids[..5], KEY, 0).ids.len(), 3 + 2 * 2);
    assert_eq!(next.segment(1), 0);
}

#[test]
fn with_next_sentences_special_tokens_stay_and_both_terms_are_counted() {
    let objective = MaskedLm { next_sentence: Some(next_sentence(8)), ..masked_lm() };
    let rows = batch(6, 9);
    let batch = objective.prepare(&rows, KEY, &device("cpu"));
    for row in batch.rows() {
        // (8 − 3) / 2 = 2 tokens a segment.
        assert_eq!((row.ids.len(), row.ids[0], row.ids[3], row.ids[6]), (7, CLS, SEP, SEP));
    }
    assert_eq!(objective.counts(&batch)[1], 6);
    // A window too short for two segments is read as it is.
    let short = TokenBatch { ids: vec![5, 6], rows: 1, len: 2 };
    let batch = objective.prepare(&short, KEY, &device("cpu"));
    assert_eq!(objective.counts(&batch), [1, 0]);
    let config = ModelConfig {
        heads: EncoderHeads { masked: true, next_sentence: true, replaced: false },
        ..tiny_encoder(Preset::Bert)
    };
    let model = Encoder::new(&config, 7, &device("cpu")).expect("a model");
    let terms = objective.loss(&model, batch);
    assert_eq!(terms.iter().map(|term| term.name).collect::<Vec<_>>(), ["mlm", "nsp"]);
    assert_eq!(terms.into_iter().map(|term| term.nats).nth(1).expect("two").into_scalar::<f32>(), 0.0);
}

#[test]
fn options_that_make_no_sense_are_named() {
    let of = |config: MaskedConfig| config.validate().expect_err("no such rates").to_string();
    let default = MaskedConfig::default();
    assert!(default.validate().is_ok());
    assert!(of(MaskedConfig { probability: 0.0, ..default }).contains("masked.probability 0"));
    assert!(of(MaskedConfig { to_mask: 1.2, ..default }).contains("masked.to_mask 1.2"));
    assert!(of(MaskedConfig { to_random: 0.3, ..default }).contains("more than 1 together"));
}
