//! Prompts and responses into documents of ids: what is learned when a model learns to write.

use super::data::counts;
use super::measured::Of;
use crate::args::Global;
use crate::chat::{Chat, Part};
use crate::commands::generate::Knows;
use crate::config::Learn;
use crate::exit::usage;
use crate::output::{say, thousands};
use anyhow::Context;
use firebrand_corpus::labelled::{self, Loaded, Role, Target, Turn};
use firebrand_finetune::Written;
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::Pair;
use rayon::prelude::*;

/// Examples of something that is written.
pub(super) struct Examples<T> {
    pub(super) train: Vec<T>,
    pub(super) held_out: Vec<T>,
    pub(super) test: Vec<T>,
    /// How many were too long, and how many of these have nothing to learn where they were cut.
    cut: usize,
    left_out: usize,
}

/// How long examples may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// The most tokens that are read of one.
    pub(super) seq_len: usize,
    /// The most that the model could read.
    pub(super) context: usize,
}

/// What becomes of one example that may be too long.
enum Encoded<T> {
    Whole(T),
    Cut(T),
    LeftOut,
}

impl<T: Send> Examples<T> {
    fn new(
        loaded: &Loaded,
        room: Room,
        one: impl Fn(&labelled::Example) -> anyhow::Result<Encoded<T>> + Sync,
    ) -> anyhow::Result<Self> {
        let (mut cut, mut left_out) = (0, 0);
        let mut all = |examples: &[labelled::Example], files: &[labelled::LabelledFile]| {
            let encoded: anyhow::Result<Vec<Encoded<T>>> = examples
                .par_iter()
                .map(|example| {
                    one(example).with_context(|| {
                        let path = files.get(example.place.file).map(|file| file.path.display().to_string());
                        format!("{}, line {}", path.unwrap_or_default(), example.place.line)
                    })
                })
                .collect();
            let mut kept = Vec::new();
            for encoded in encoded? {
                match encoded {
                    Encoded::Whole(one) => kept.push(one),
                    Encoded::Cut(one) => {
                        cut += 1;
                        kept.push(one);
                    }
                    Encoded::LeftOut => left_out += 1,
                }
            }
            Ok::<_, anyhow::Error>(kept)
        };
        let train = all(&loaded.train, &loaded.files)?;
        let mut part = |of: Of| {
            let (examples, files) = of.examples(loaded);
            all(examples, files)
        };
        let (held_out, test) = (part(Of::HeldOut)?, part(Of::Test)?);
        if train.is_empty() {
            let Room { seq_len, context } = room;
            let way_out = match seq_len < context {
                true => format!("raise training.seq_len, up to {context}"),
                false => {
                    "the model reads no more: give shorter prompts, or a model of a longer context".to_owned()
                }
            };
            return Err(usage(format!(
                "nothing to learn is left of {} examples: all prompts fill the {seq_len} tokens that are read; {way_out}",
                loaded.train.len()
            )));
        }
        Ok(Self { train, held_out, test, cut, left_out })
    }

    /// Says what is learned from.
    pub(super) fn introduce(&self, seq_len: usize, global: &Global) {
        let count = |count: usize| thousands(count as u64);
        say(global, counts(self.train.len(), self.held_out.len(), self.test.len()));
        if self.cut > 0 {
            say(global, format!("{} are longer than {seq_len} tokens and were cut", count(self.cut)));
        }
        if self.left_out > 0 {
            let left_out = count(self.left_out);
            say(global, format!("{left_out} were left out: their first {seq_len} tokens hold no response"));
        }
    }
}

/// The turns of an example; an input and what is to be made of it are one of each.
fn turns(example: &labelled::Example) -> Vec<Turn> {
    match &example.target {
        Target::Turns(turns) => turns.clone(),
        Target::Text(text) => {
            vec![Turn::new(Role::User, example.text.as_str()), Turn::new(Role::Assistant, text.as_str())]
        }
        other => unreachable!("data of texts has texts, not {other:?}"),
    }
}

/// Chats as documents of at most `seq_len` tokens and one target more.
pub(super) fn documents(
    loaded: &Loaded,
    chat: &Chat<'_>,
    learn: Learn,
    room: Room,
) -> anyhow::Result<Examples<Written>> {
    let seq_len = room.seq_len;
    Examples::new(loaded, room, |example| {
        let parts = chat.encode(&turns(example), false)?;
        let learned = |part: &Part| part.response || learn == Learn::All;
        // What stands behind the last response is not read.
        let end = parts.iter().rposition(|part| part.response).map_or(0, |last| last + 1);
        let length: usize = parts[..end].iter().map(|part| part.ids.len()).sum();
        let parts = parts[..end].iter().map(|part| (part.ids.as_slice(), learned(part)));
        Ok(match Written::new(parts, seq_len + 1) {
            None => Encoded::LeftOut,
            Some(written) if length > seq_len + 1 => Encoded::Cut(written),
            Some(written) => Encoded::Whole(written),
        })
    })
}

/// Inputs and what is to be made of them, for an encoder and a decoder of at most `seq_len` tokens each.
pub(super) fn pairs(
    loaded: &Loaded,
    knows: &Knows,
    tokenizer: &Tokenizer,
    room: Room,
) -> anyhow::Result<Examples<Pair>> {
    let seq_len = room.seq_len;
    Examples::new(loaded, room, |example| {
        let Target::Text(text) = &example.target else {
            unreachable!("data of texts has texts, not {:?}", example.target)
        };
        let end = tokenizer.end_of_text();
        let asked = knows.ask(&example.text, tokenizer, end);
        let end = tokenizer.end_of_text();
        if seq_len <= asked.behind {
            let behind = asked.behind;
            return Err(usage(format!(
                "training.seq_len {seq_len} is too short: {behind} tokens stand behind a text"
            )));
        }
        let input_is_cut = asked.input.len() > seq_len;
        let cut = asked.cut(seq_len);
        let (input, mut target) = (cut.input, cut.begun);
        target.extend(tokenizer.encode(text));
        target.extend(end);
        let mut pair = Pair { input, target };
        if pair.input.is_empty() || pair.target.is_empty() {
            return Err(usage("the tokenizer makes no token of this text"));
        }
        let too_long = input_is_cut || pair.target.len() > seq_len;
        pair.target.truncate(seq_len);
        Ok(if too_long { Encoded::Cut(pair) } else { Encoded::Whole(pair) })
    })
}
