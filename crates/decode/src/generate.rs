//! The loop that feeds the model, lets the strategy choose, and hands out tokens.

use std::ops::ControlFlow;

use crate::choose::Chooser;
use crate::error::{DecodeError, PromptError};
use crate::model::{LanguageModel, Logits, Positions};
use crate::processors;
use crate::strategy::GenerateConfig;

/// What was generated for one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The new ids, without the prompt; the end-of-text id is the last when it was generated.
    pub ids: Vec<u32>,
    /// The log-probability of each new id, in nats, given all before it: under the model itself, before
    /// penalties, temperature or truncation.
    pub log_probs: Vec<f64>,
    /// Why there are no more.
    pub finish_reason: FinishReason,
}

impl Generation {
    /// The log-probability of all new ids given the prompt, in nats, under the model itself.
    pub fn log_prob(&self) -> f64 {
        self.log_probs.iter().sum()
    }
}

/// Why a sequence ended. When several reasons meet, it is the first of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The end-of-text id was generated.
    EndOfText,
    /// The caller asked for no more.
    Stopped,
    /// The configured number of ids was reached.
    MaxNewTokens,
    /// The model's context is full: the id after its last position was the last that could be predicted.
    ContextFull,
}

/// Continues each prompt, all of them in one batch, and returns their generations in the order of the prompts.
///
/// `on_token(i, id)` is called for each id of `prompts[i]`'s generation, end-of-text included, as soon as it is
/// known; when it breaks, that sequence ends with [`FinishReason::Stopped`] and the others go on (to stop
/// everything, break for each). Sequences that ended are no longer fed to the model.
///
/// The result for a prompt does not depend on the other prompts, as far as the model's logits don't.
///
/// # Errors
/// Wrong configuration or prompts, found before the model is run; later, a model that fails or returns logits
/// from which nothing can be chosen. Ids handed to `on_token` until then remain valid.
pub fn generate<M: LanguageModel>(
    model: &M,
    prompts: &[Vec<u32>],
    config: &GenerateConfig,
    on_token: &mut dyn FnMut(usize, u32) -> ControlFlow<()>,
) -> Result<Vec<Generation>, DecodeError> {
    config.validate(model.vocab_size())?;
    check_prompts(model, prompts)?;
    let mut sequences: Vec<Sequence> = prompts.iter().map(|prompt| Sequence::new(prompt)).collect();
    // Row `r` of the model's state holds the sequence `live[r]`.
    let mut live: Vec<usize> = if config.max_new_tokens > 0 { (0..prompts.len()).collect() } else { vec![] };
    let mut state = model.start(live.len());
    let mut chooser = Chooser::new(config);
    while !live.is_empty() {
        let logits = feed(model, &mut state, &mut sequences, &live)?;
        let mut remaining = Vec::with_capacity(live.len());
        for (row, &index) in live.iter().enumerate() {
            let sequence = &mut sequences[index];
            let logits = logits.last(row);
            let id = chooser.choose(logits, index, &sequence.ids, sequence.prompt_len)?;
            sequence.push(id, processors::log_prob(logits, id));
            let flow = on_token(index, id);
            match finish_reason(sequence, id, flow, config, model.max_len()) {
                Some(reason) => sequence.finish_reason = reason,
                None => remaining.push(row),
            }
        }
        if remaining.len() < live.len() && !remaining.is_empty() {
            model.reorder(&mut state, &remaining);
        }
        live = remaining.iter().map(|&row| live[row]).collect();
    }
    Ok(sequences.into_iter().map(Sequence::into_generation).collect())
}

/// A prompt and what was generated for it so far.
struct Sequence {
    /// The prompt, then the new ids.
    ids: Vec<u32>,
    prompt_len: usize,
    /// How many of the ids have been fed to the model.
    fed: usize,
    log_probs: Vec<f64>,
    finish_reason: FinishReason,
}

impl Sequence {
    fn new(prompt: &[u32]) -> Self {
        Self {
            ids: prompt.to_vec(),
            prompt_len: prompt.len(),
            fed: 0,
            log_probs: Vec::new(),
            // What holds of a sequence that is never extended, with `max_new_tokens: 0`.
            finish_reason: FinishReason::MaxNewTokens,
        }
    }

    fn push(&mut self, id: u32, log_prob: f64) {
        self.ids.push(id);
        self.log_probs.push(log_prob);
    }

    fn new_tokens(&self) -> usize {
        self.ids.len() - self.prompt_len
    }

    fn into_generation(mut self) -> Generation {
        Generation {
            ids: self.ids.split_off(self.prompt_len),
            log_probs: self.log_probs,
            finish_reason: self.finish_reason,
        }
    }
}

fn check_prompts<M: LanguageModel>(model: &M, prompts: &[Vec<u32>]) -> Result<(), PromptError> {
    let vocab_size = model.vocab_size();
    for (prompt, ids) in prompts.iter().enumerate() {
        if ids.is_empty() {
            return Err(PromptError::Empty { prompt });
        }
        if let Some(position) = ids.iter().position(|&id| id as usize >= vocab_size) {
            let id = ids[position];
            return Err(PromptError::IdOutsideVocabulary { prompt, position, id, vocab_size });
        }
        match model.max_len() {
            Some(max_len) if ids.len() > max_len => {
                return Err(PromptError::TooLong { prompt, len: ids.len(), max_len });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Feeds each live sequence what it has not been fed yet, whole prompts at first and one id a step later, and
/// returns the logits after its last id.
fn feed<M: LanguageModel>(
    model: &M,
    state: &mut M::State,
    sequences: &mut [Sequence],
    live: &[usize],
) -> Result<Logits, DecodeError> {
    let rows: Vec<&[u32]> = live.iter().map(|&index| &sequences[index].ids[sequences[index].fed..]).collect();
    let logits =
        model.step(state, &rows, Positions::Last).map_err(|error| DecodeError::Model(Box::new(error)))?;
    let (got, expected) = ((logits.rows(), logits.vocab_size()), (live.len(), model.vocab_size()));
    assert_eq!(got, expected, "the model returned logits of another shape (rows, vocab_size)");
    for &index in live {
        sequences[index].fed = sequences[index].ids.len();
    }
    Ok(logits)
}

/// Why a sequence ends with the id it just got, if it does.
fn finish_reason(
    sequence: &Sequence,
    id: u32,
    flow: ControlFlow<()>,
    config: &GenerateConfig,
    max_len: Option<usize>,
) -> Option<FinishReason> {
    if config.end_of_text == Some(id) {
        Some(FinishReason::EndOfText)
    } else if flow.is_break() {
        Some(FinishReason::Stopped)
    } else if sequence.new_tokens() >= config.max_new_tokens {
        Some(FinishReason::MaxNewTokens)
    } else if max_len.is_some_and(|max_len| sequence.ids.len() > max_len) {
        Some(FinishReason::ContextFull)
    } else {
        None
    }
}
