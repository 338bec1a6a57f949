//! The way in: prompts and a configuration are checked, a strategy runs, generations come out.

use std::ops::ControlFlow;

use crate::error::{DecodeError, PromptError};
use crate::model::{LanguageModel, Logits, Positions};
use crate::observe::{Event, Observer};
use crate::strategy::{GenerateConfig, Strategy};
use crate::{beam, best_of, follow};

/// What was generated for one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The new ids, without the prompt; the end-of-text id is the last when it was generated.
    pub ids: Vec<u32>,
    /// The log-probability of each new id, in nats, given all before it: under the model itself, before
    /// penalties, temperature or truncation.
    pub log_probs: Vec<f64>,
    /// What the strategy compares sequences by: of a search the log-probability after processors over the length penalty, of
    /// several draws what says which is best, else [`log_prob`](Self::log_prob).
    pub score: f64,
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
    /// What the configuration stops at was reached.
    Stop,
    /// The constraint is met and nothing may follow.
    Complete,
    /// The caller asked for no more.
    Stopped,
    /// The configured number of ids was reached.
    MaxNewTokens,
    /// The model's context is full: the id after its last position was the last that could be predicted.
    ContextFull,
}

/// Continues each prompt and returns its best generation, in the order of the prompts.
///
/// [`Observer::on_token`] (or the closure that stands for an observer) is called with `(i, id)` for each id of `prompts[i]`'s generation, end-of-text included, as soon as it is known: by
/// strategies that compare whole sequences, at the end. When it breaks, that sequence ends with [`FinishReason::Stopped`] and
/// the others go on (to stop everything, break for each). Sequences that ended are no longer fed to the model.
///
/// The result for a prompt does not depend on the other prompts, as far as the model's logits don't.
///
/// # Errors
/// Wrong configuration or prompts, found before the model is run; later, a model that fails or returns logits
/// from which nothing can be chosen. Ids handed out until then remain valid.
pub fn generate<M: LanguageModel>(
    model: &M,
    prompts: &[Vec<u32>],
    config: &GenerateConfig,
    observer: &mut dyn Observer,
) -> Result<Vec<Generation>, DecodeError> {
    let all = generate_n_best(model, prompts, config, observer)?;
    Ok(all.into_iter().map(|mut n_best| n_best.swap_remove(0)).collect())
}

/// [`generate`] with up to `n_best` different generations of each prompt, the best first; there is always one.
///
/// # Errors
/// As [`generate`].
pub fn generate_n_best<M: LanguageModel>(
    model: &M,
    prompts: &[Vec<u32>],
    config: &GenerateConfig,
    observer: &mut dyn Observer,
) -> Result<Vec<Vec<Generation>>, DecodeError> {
    config.validate(model.vocab_size())?;
    check_prompts(model, prompts)?;
    model.throughout(|| by_strategy(model, prompts, config, observer))
}

fn by_strategy<M: LanguageModel>(
    model: &M,
    prompts: &[Vec<u32>],
    config: &GenerateConfig,
    observer: &mut dyn Observer,
) -> Result<Vec<Vec<Generation>>, DecodeError> {
    let one = |generations: Vec<Generation>| generations.into_iter().map(|one| vec![one]).collect();
    let mut found: Vec<Vec<Generation>> = match &config.strategy {
        Strategy::Greedy => return Ok(one(follow::follow(model, prompts, config, None, observer)?)),
        Strategy::Sample(sampling) => {
            return Ok(one(follow::follow(model, prompts, config, Some(sampling), observer)?));
        }
        Strategy::Beam(options) => (0..)
            .zip(prompts)
            .map(|(sequence, prompt)| beam::search(model, prompt, sequence, config, options, observer))
            .collect::<Result<_, _>>()?,
        Strategy::BestOf(options) => best_of::draw(model, prompts, config, options, observer)?,
    };
    for (index, n_best) in found.iter_mut().enumerate() {
        if observer.candidates() > 0 {
            observer.on_event(&Event::Ranked { sequence: index, generations: n_best });
        }
        n_best.truncate(config.n_best);
        hand_out(&mut n_best[0], &mut |id| observer.on_token(index, id));
    }
    Ok(found)
}

/// Hands out the ids of a generation; it ends where no more are wanted.
fn hand_out(generation: &mut Generation, on_token: &mut dyn FnMut(u32) -> ControlFlow<()>) {
    let last = generation.ids.len().saturating_sub(1);
    let Some(at) = generation.ids.iter().position(|&id| on_token(id).is_break()) else { return };
    if at < last {
        generation.ids.truncate(at + 1);
        generation.log_probs.truncate(at + 1);
        generation.finish_reason = FinishReason::Stopped;
    }
}

pub(crate) fn check_prompts<M: LanguageModel>(model: &M, prompts: &[Vec<u32>]) -> Result<(), PromptError> {
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

/// Feeds each row some ids and returns the logits after its last one.
pub(crate) fn feed<M: LanguageModel>(
    model: &M,
    state: &mut M::State,
    rows: &[&[u32]],
) -> Result<Logits, DecodeError> {
    let logits =
        model.step(state, rows, Positions::Last).map_err(|error| DecodeError::Model(Box::new(error)))?;
    check_logits(&logits, rows.len(), model.vocab_size());
    Ok(logits)
}

/// A model that breaks its contract is found where it does.
pub(crate) fn check_logits(logits: &Logits, rows: usize, vocab_size: usize) {
    let got = (logits.rows(), logits.vocab_size());
    assert_eq!(got, (rows, vocab_size), "the model returned logits of another shape (rows, vocab_size)");
}

/// Why a sequence of a prompt and new ids ends, if it does.
pub(crate) fn finish_reason(
    prompt_len: usize,
    ids: &[u32],
    flow: ControlFlow<()>,
    config: &GenerateConfig,
    max_len: Option<usize>,
) -> Option<FinishReason> {
    let new = &ids[prompt_len..];
    if config.end_of_text.is_some() && config.end_of_text == new.last().copied() {
        Some(FinishReason::EndOfText)
    } else if config.stop.ends(new) {
        Some(FinishReason::Stop)
    } else if config.constraint.is_complete(new) {
        Some(FinishReason::Complete)
    } else if flow.is_break() {
        Some(FinishReason::Stopped)
    } else if new.len() >= config.max_new_tokens {
        Some(FinishReason::MaxNewTokens)
    } else if max_len.is_some_and(|max_len| ids.len() > max_len) {
        Some(FinishReason::ContextFull)
    } else {
        None
    }
}
