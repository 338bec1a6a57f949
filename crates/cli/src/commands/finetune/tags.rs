//! Texts with tagged words into examples of ids.

use super::data::{Encoded, Part};
use crate::commands::tags::examples;
use crate::exit::usage;
use firebrand_corpus::labelled::{self, Loaded};
use firebrand_finetune::{Example, Frame};
use firebrand_tokenizer::Tokenizer;
use rayon::prelude::*;

/// The ids of all texts, those that are too long in several examples: the token that a word begins with has its tag.
pub(super) fn encode(
    loaded: &Loaded,
    tokenizer: &Tokenizer,
    frame: Frame,
    seq_len: usize,
) -> anyhow::Result<Encoded> {
    let needed = frame.around(false) + 1;
    if seq_len < needed {
        return Err(usage(format!(
            "training.seq_len {seq_len} is too short: a word and what stands around a text take {needed}"
        )));
    }
    let all = |labelled: &[labelled::Example]| -> Vec<Vec<Example>> {
        labelled.par_iter().map(|example| examples(example, tokenizer, frame, seq_len)).collect()
    };
    let parts = [&loaded.train, &loaded.held_out, &loaded.test].map(|labelled| all(labelled));
    let long = parts.iter().flatten().filter(|runs| runs.len() > 1).count();
    let [train, held_out, test] = parts;
    let train: Vec<Example> = train.into_iter().flatten().collect();
    if train.is_empty() {
        return Err(usage("the tokenizer makes no token of any word to train on"));
    }
    Ok(Encoded {
        train,
        held_out: Part::new(held_out),
        test: Part::new(test),
        seq_len,
        cut: 0,
        in_parts: long,
    })
}
