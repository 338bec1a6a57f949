//! Texts with tagged words into examples of ids.

use super::data::Encoded;
use crate::commands::tags::cut;
use crate::exit::usage;
use firebrand_corpus::labelled::{self, Loaded};
use firebrand_finetune::{Example, Frame, Target};
use firebrand_tokenizer::Tokenizer;
use rayon::prelude::*;
use std::ops::Range;

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
    let all = |examples: &[labelled::Example]| -> Vec<Vec<Example>> {
        examples.par_iter().map(|example| one(example, tokenizer, frame, seq_len)).collect()
    };
    let (train, held_out) = (all(&loaded.train), all(&loaded.held_out));
    let long = train.iter().chain(&held_out).filter(|runs| runs.len() > 1).count();
    let texts = held_out.iter().enumerate().flat_map(|(text, runs)| std::iter::repeat_n(text, runs.len()));
    let texts = texts.collect();
    let train: Vec<Example> = train.into_iter().flatten().collect();
    if train.is_empty() {
        return Err(usage("the tokenizer makes no token of any word to train on"));
    }
    Ok(Encoded { train, held_out: held_out.into_iter().flatten().collect(), texts, cut: long, seq_len })
}

fn one(example: &labelled::Example, tokenizer: &Tokenizer, frame: Frame, seq_len: usize) -> Vec<Example> {
    let labelled::Target::Tags(tagged) = &example.target else {
        unreachable!("data of tags has tags, not {:?}", example.target)
    };
    let words: Vec<Range<usize>> = tagged.iter().map(|word| word.range.clone()).collect();
    let of_run = |run: crate::commands::tags::Run| {
        let mut tags = vec![None; run.ids.len()];
        for (place, word) in run.places.into_iter().zip(&tagged[run.words]) {
            // Of two words in one token the first one's tag is learned.
            if let Some(tag) = place.and_then(|place| tags.get_mut(place)) {
                tag.get_or_insert(word.tag);
            }
        }
        Example { ids: run.ids, second: None, target: Target::Tags(tags) }
    };
    cut(&example.text, &words, tokenizer, frame, seq_len).into_iter().map(of_run).collect()
}
