//! What fill-in-the-middle promises of the rows that are trained on, and of those that are evaluated on.

use crate::statistics::check_frequencies;
use crate::{causal, device, noise, tiny};
use firebrand_corpus::batches::TokenBatch;
use firebrand_pretrain::{FillInTheMiddle, MiddleTokens};
use firebrand_training::{BatchKey, Objective};
use firebrand_transformer::{ModelConfig, Preset};

const TOKENS: MiddleTokens = MiddleTokens { prefix: 11, suffix: 12, middle: 13, end_of_text: 0 };
const KEY: BatchKey = BatchKey { seed: 3, step: 4, first_example: 0, training: true };

fn objective(probability: f64) -> FillInTheMiddle {
    FillInTheMiddle { probability, tokens: TOKENS, causal: causal(0.0) }
}

fn one(ids: &[u32]) -> TokenBatch {
    TokenBatch { ids: ids.to_vec(), rows: 1, len: ids.len() }
}

/// The text that a row was made of, and how many of its documents were rewritten.
fn undone(row: &[u32]) -> (Vec<u32>, usize) {
    let (mut text, mut rewritten, mut rest) = (Vec::new(), 0, row);
    while let Some((&first, behind)) = rest.split_first() {
        if first != TOKENS.prefix {
            text.push(first);
            rest = behind;
            continue;
        }
        let place = |id| behind.iter().position(|&other| other == id).expect("a whole document");
        let [suffix, middle, end] = [TOKENS.suffix, TOKENS.middle, TOKENS.end_of_text].map(place);
        assert!(suffix < middle && middle < end, "{row:?}");
        let parts = [&behind[..suffix], &behind[middle + 1..end], &behind[suffix + 1..middle], &[0]];
        text.extend(parts.concat());
        rewritten += 1;
        rest = &behind[end + 1..];
    }
    (text, rewritten)
}

/// A row of documents whose ids are not 0, each with an end of text behind it.
fn documents(lens: &[usize]) -> Vec<u32> {
    let ids = noise(lens.iter().sum::<usize>(), 7);
    let mut ids = ids.into_iter().map(|id| id.max(1));
    lens.iter().flat_map(|&len| ids.by_ref().take(len).chain([0]).collect::<Vec<u32>>()).collect()
}

#[test]
fn rewritten_rows_are_as_long_and_hold_the_text_exactly_but_for_what_is_lost_at_the_end() {
    let mut seen = [0; 4];
    for step in 0..500 {
        let row = [documents(&[5, 0, 1, 7, 4]), documents(&[9])[..9].to_vec()].concat();
        let key = BatchKey { step, ..KEY };
        let made = objective(0.4).rewrite(&one(&row), key);
        assert_eq!(made.ids.len(), row.len());
        let (mut text, rewritten) = undone(&made.ids);
        // A document that the row cuts has an end of text for its own when it is rewritten.
        let same = text.iter().zip(&row).take_while(|(a, b)| a == b).count();
        if same < text.len() {
            assert_eq!((same + 1, text.pop()), (text.len() + 1, Some(0)), "{:?} of {row:?}", made.ids);
        }
        assert!(text.len() >= row.len() - 4 * rewritten, "{rewritten} cost at most four each");
        assert_eq!(text, row[..text.len()]);
        seen[rewritten.min(3)] += 1;
    }
    assert!(seen.iter().all(|&times| times > 10), "{seen:?}");
}

#[test]
fn a_row_worked_by_hand() {
    // Always rewritten: the only cut of a document of one token is before it or behind it.
    let row = [5, 0, 7, 8, 9, 10];
    let expected = [[11, 5, 12, 13, 0, 7], [11, 12, 5, 13, 0, 7], [11, 12, 13, 5, 0, 7]];
    let mut found = [false; 3];
    for step in 0..50 {
        let made = objective(1.0).rewrite(&one(&row), BatchKey { step, ..KEY }).ids;
        let place = expected.iter().position(|row| row[..] == made[..]);
        found[place.unwrap_or_else(|| panic!("{made:?}"))] = true;
    }
    assert_eq!(found, [true; 3]);
}

#[test]
fn documents_are_rewritten_as_often_as_the_option_says_and_cut_anywhere() {
    const LEN: usize = 5;
    let lens = [LEN; 3];
    let row = [documents(&lens), vec![1; 12]].concat();
    let (mut times, mut cuts) = ([0_u64; 2], vec![0_u64; (LEN + 1) * (LEN + 1)]);
    for step in 0..2000 {
        let made = objective(0.3).rewrite(&one(&row), BatchKey { step, ..KEY }).ids;
        let mut rest = &made[..];
        for _ in lens {
            let end = rest.iter().position(|&id| id == 0).expect("documents end");
            let (document, behind) = rest.split_at(end);
            rest = &behind[1..];
            let is_rewritten = document[0] == TOKENS.prefix;
            times[usize::from(is_rewritten)] += 1;
            if is_rewritten {
                let place = |id| document.iter().position(|&other| other == id).expect("a whole document");
                let (start, end) =
                    (place(TOKENS.suffix) - 1, LEN - (place(TOKENS.middle) - place(TOKENS.suffix) - 1));
                cuts[start * (LEN + 1) + end] += 1;
            }
        }
    }
    check_frequencies(&times, &[0.7, 0.3]);
    // Two cuts, each anywhere, the first of them first: twice as likely where they differ.
    let all = ((LEN + 1) * (LEN + 1)) as f64;
    let expected: Vec<f64> = (0..(LEN + 1) * (LEN + 1))
        .map(|at| match (at / (LEN + 1)).cmp(&(at % (LEN + 1))) {
            std::cmp::Ordering::Less => 2.0 / all,
            std::cmp::Ordering::Equal => 1.0 / all,
            std::cmp::Ordering::Greater => 0.0,
        })
        .collect();
    check_frequencies(&cuts, &expected);
}

#[test]
fn draws_belong_to_the_example_and_the_step() {
    let rows = TokenBatch { ids: documents(&[7; 6]).repeat(2), rows: 4, len: 24 };
    let objective = objective(0.5);
    let whole = objective.rewrite(&rows, KEY);
    for row in 0..4 {
        let alone = objective.rewrite(&one(rows.row(row)), BatchKey { first_example: row, ..KEY });
        assert_eq!(alone.ids, whole.row(row));
    }
    assert_ne!(objective.rewrite(&rows, BatchKey { step: 5, ..KEY }).ids, whole.ids);
    assert_ne!(objective.rewrite(&rows, BatchKey { seed: 4, ..KEY }).ids, whole.ids);
    assert_eq!(objective.rewrite(&rows, KEY).ids, whole.ids);
}

#[test]
fn in_evaluation_the_loss_is_that_of_causal_language_modelling() {
    let config = ModelConfig { vocab_size: 14, ..tiny(Preset::Llama) };
    let (model, rows) = (crate::model(&config, &device("cpu")), one(&documents(&[3, 4])));
    let objective = objective(1.0);
    let causal = causal(0.0);
    let of_fill = |training| {
        let batch = objective.prepare(&rows, BatchKey { training, ..KEY }, &device("cpu"));
        objective.loss(&model, batch).remove(0).nats.into_scalar::<f32>()
    };
    let batch = causal.prepare(&rows, BatchKey { training: false, ..KEY }, &device("cpu"));
    let expected = causal.loss(&model, batch).remove(0).nats.into_scalar::<f32>();
    assert_eq!(of_fill(false), expected);
    assert_ne!(of_fill(true), expected);
    assert_eq!(objective.text_nats(&[("loss", 3.5, 2)]), Some(3.5));
}
