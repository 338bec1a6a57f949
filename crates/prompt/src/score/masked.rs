//! Encoders with a head for masked tokens: answers are masks, as many as they have tokens.

use super::{NOTHING, Place, Scorer, SpecialIds, check, positions_at_once};
use crate::error::ScoreError;
use crate::question::{Candidate, Question, Score};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_transformer::{Encoder, Model, SoftPrompt};
use std::collections::BTreeMap;

/// About so many ids are read at once.
const TOGETHER: usize = 4096;

/// A text with masks in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slots {
    /// The text, with the masks and with what stands around it.
    pub ids: Vec<u32>,
    /// Where predictions are wanted.
    pub places: Vec<usize>,
}

/// The logits over the vocabulary at the places of each text, which all are of one length: `[places of all, vocab]`, row after row.
///
/// # Panics
/// When the model has no head for masked tokens.
fn mask_logits(model: &Encoder, prompt: Option<&SoftPrompt>, rows: &[&Slots]) -> Vec<f32> {
    let (batch, seq) = (rows.len(), rows[0].ids.len());
    let device = model.device();
    let ids: Vec<i32> = rows.iter().flat_map(|row| row.ids.iter().map(|&id| id as i32)).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [batch, seq]), &device);
    let place = |(number, row): (usize, &&Slots)| {
        row.places.iter().map(|&at| (number * seq + at) as i32).collect::<Vec<i32>>()
    };
    let places: Vec<i32> = rows.iter().enumerate().flat_map(place).collect();
    let count = places.len();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [count]), &device);
    let hidden = match prompt {
        Some(prompt) => model.hidden_behind(prompt.vectors(), ids, &AttentionMask::Full),
        None => model.hidden(ids, None, &AttentionMask::Full, None),
    };
    let hidden = hidden.reshape([batch * seq, model.config().d_model]).select(0, places);
    let logits = model.masked_logits(hidden).expect("a model with a head for masked tokens");
    logits.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now")
}

/// A scorer for encoders.
pub(super) struct MaskScorer<'a> {
    model: &'a Encoder,
    mask: u32,
    before: Option<u32>,
    after: Option<u32>,
    prompt: Option<SoftPrompt>,
}

/// Whom the predictions at a text's places are for: which candidate, and which of its tokens stand there.
struct Wanted {
    question: usize,
    candidate: usize,
    targets: Vec<u32>,
}

impl<'a> MaskScorer<'a> {
    pub(super) fn new(model: &'a Encoder, special: &SpecialIds) -> Result<Self, ScoreError> {
        if !model.config().heads.masked {
            return Err(ScoreError::PredictsNothing(
                "this encoder predicts no tokens: it has no head for masked ones, and so no probabilities; a model of the objective \
                 masked has",
            ));
        }
        let mask = special.mask.ok_or(ScoreError::NoToken {
            token: "[MASK]",
            reason: "what it hides is what such a model predicts",
        })?;
        Ok(Self { model, mask, before: special.before, after: special.after, prompt: None })
    }

    /// The same behind a soft prompt, in the place of what stands before a text.
    pub(super) fn behind(self, prompt: &SoftPrompt) -> Self {
        Self { before: Some(self.before.unwrap_or_default()), prompt: Some(prompt.clone()), ..self }
    }

    fn before(&self, begins: bool) -> Option<u32> {
        self.before.filter(|_| begins || self.prompt.is_some())
    }

    /// The text of a candidate with masks at some of its places.
    fn hide(&self, candidate: &Candidate, places: &[usize], begins: bool) -> Slots {
        let mut ids = candidate.ids.clone();
        places.iter().for_each(|&at| ids[at] = self.mask);
        let before = self.before(begins);
        let offset = usize::from(before.is_some());
        let ids = before.into_iter().chain(ids).chain(self.after.filter(|_| begins)).collect();
        Slots { ids, places: places.iter().map(|&at| at + offset).collect() }
    }

    /// The texts with masks that the questions come to, each once, with those who want its predictions.
    fn hidden(&self, questions: &[Question]) -> Vec<(Slots, Vec<Wanted>)> {
        let mut all: BTreeMap<Slots, Vec<Wanted>> = BTreeMap::new();
        for (number, question) in questions.iter().enumerate() {
            for (index, candidate) in question.candidates.iter().enumerate() {
                let one_by_one = (question.given..candidate.ids.len()).map(|at| vec![at]);
                let places: Vec<Vec<usize>> = match candidate.answers.is_empty() {
                    true => one_by_one.collect(),
                    false => vec![candidate.answers.iter().cloned().flatten().collect()],
                };
                for places in places {
                    let targets = places.iter().map(|&at| candidate.ids[at]).collect();
                    let wanted = Wanted { question: number, candidate: index, targets };
                    all.entry(self.hide(candidate, &places, question.begins)).or_default().push(wanted);
                }
            }
        }
        let mut all: Vec<(Slots, Vec<Wanted>)> = all.into_iter().collect();
        // Rows of one batch are of one length; the order changes no row's result.
        all.sort_by_key(|(slots, _)| std::cmp::Reverse(slots.ids.len()));
        all
    }
}

impl Scorer for MaskScorer<'_> {
    fn most_ids(&self, begins: bool) -> usize {
        let around = [self.before, self.after].iter().flatten().count();
        let prompt = self.prompt.as_ref().map_or(0, |prompt| prompt.len() - 1);
        self.model.config().seq_len - prompt - if begins { around } else { 0 }
    }

    fn score(
        &self,
        questions: &[Question],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Score>>, ScoreError> {
        // Nothing has to stand before a token that is predicted from both sides.
        check(questions, self.model.config().vocab_size, |begins| self.most_ids(begins), |_| 1)?;
        let mut scores: Vec<Vec<Score>> =
            questions.iter().map(|question| vec![NOTHING; question.candidates.len()]).collect();
        let hidden = self.hidden(questions);
        let vocab_size = self.model.config().vocab_size;
        let (mut done, mut told) = (0, 0);
        for of_length in hidden.chunk_by(|a, b| a.0.ids.len() == b.0.ids.len()) {
            let most_places = of_length.iter().map(|(slots, _)| slots.places.len()).max().unwrap_or(1);
            let prompt = self.prompt.as_ref().map_or(0, SoftPrompt::len);
            let rows = TOGETHER / (of_length[0].0.ids.len() + prompt);
            let rows = rows.min(positions_at_once(vocab_size) / most_places.max(1)).max(1);
            for batch in of_length.chunks(rows) {
                let slots: Vec<&Slots> = batch.iter().map(|(slots, _)| slots).collect();
                let logits = mask_logits(self.model, self.prompt.as_ref(), &slots);
                let mut places = logits.chunks_exact(vocab_size);
                for (slots, wanted) in batch {
                    for (index, logits) in places.by_ref().take(slots.places.len()).enumerate() {
                        let place = Place::new(logits)?;
                        for Wanted { question, candidate, targets } in wanted {
                            place.add(targets[index], &mut scores[*question][*candidate]);
                        }
                    }
                }
                done += batch.len();
                let of_questions = done * questions.len() / hidden.len();
                progress(of_questions - told);
                told = of_questions;
            }
        }
        Ok(scores)
    }
}
