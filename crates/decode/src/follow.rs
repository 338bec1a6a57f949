//! Strategies that follow one sequence a prompt, one id after the other: greedy decoding and sampling.

use std::collections::HashMap;

use crate::choose::{Processor, Rule};
use crate::error::DecodeError;
use crate::generate::{Generation, feed, finish_reason};
use crate::model::{LanguageModel, Logits};
use crate::observe::{Event, Observer, Step};
use crate::processors;
use crate::sampler::{Sampling, Use};
use crate::sequence::Sequence;
use crate::strategy::GenerateConfig;

/// Continues all prompts in one batch, each by the likeliest id or one that is drawn.
pub(crate) fn follow<M: LanguageModel>(
    model: &M,
    prompts: &[Vec<u32>],
    config: &GenerateConfig,
    sampling: Option<&Sampling>,
    observer: &mut dyn Observer,
) -> Result<Vec<Generation>, DecodeError> {
    let mut sequences: Vec<Sequence> = prompts.iter().map(|prompt| Sequence::new(prompt)).collect();
    if config.max_new_tokens == 0 || prompts.is_empty() {
        return Ok(sequences.into_iter().map(Sequence::into_generation).collect());
    }
    // Row `r` of the model's state holds the sequence `live[r]`; row `rows[r]` of the logits is its own.
    let mut live: Vec<usize> = (0..prompts.len()).collect();
    let (mut state, mut logits, mut rows) = start(model, prompts)?;
    let (mut processor, rule) = (Processor::new(config), Rule::new(sampling));
    loop {
        let mut remaining = Vec::with_capacity(live.len());
        for (row, &index) in live.iter().enumerate() {
            let sequence = &mut sequences[index];
            let logits = logits.last(rows[row]);
            let place = sequence.place(index);
            let choice = processor.choice(logits, place, &rule)?;
            let id = rule.choose(&choice, place, Use::Choose);
            if observer.candidates() > 0 {
                let step = Step::new(index, id, logits, processor.processed(), observer.candidates());
                observer.on_event(&Event::Chosen(step));
            }
            sequence.push(id, processors::log_prob(logits, id));
            let flow = observer.on_token(index, id);
            match finish_reason(sequence.prompt_len, &sequence.ids, flow, config, model.max_len()) {
                Some(reason) => sequence.finish_reason = reason,
                None => remaining.push(row),
            }
        }
        if remaining.is_empty() {
            return Ok(sequences.into_iter().map(Sequence::into_generation).collect());
        }
        if remaining.len() < live.len() {
            model.reorder(&mut state, &remaining);
            live = remaining.iter().map(|&row| live[row]).collect();
        }
        let last: Vec<&[u32]> = live.iter().map(|&index| sequences[index].last()).collect();
        logits = feed(model, &mut state, &last)?;
        rows = (0..live.len()).collect();
    }
}

/// Feeds the prompts, each that is there several times once, and says which row of the logits is each one's.
fn start<M: LanguageModel>(
    model: &M,
    prompts: &[Vec<u32>],
) -> Result<(M::State, Logits, Vec<usize>), DecodeError> {
    let (mut different, mut row_of) = (Vec::<&[u32]>::new(), HashMap::new());
    let rows: Vec<usize> = prompts
        .iter()
        .map(|prompt| {
            *row_of.entry(prompt).or_insert_with(|| {
                different.push(prompt);
                different.len() - 1
            })
        })
        .collect();
    let mut state = model.start(different.len());
    let logits = feed(model, &mut state, &different)?;
    if different.len() < prompts.len() {
        state = model.fork(&state, &rows);
    }
    Ok((state, logits, rows))
}
