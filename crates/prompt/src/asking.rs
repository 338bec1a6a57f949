//! A question as what a model reads and what it is to predict there, all at once: what training on answers is made of.
//!
//! The sum of what is predicted for a candidate is what a [`Scorer`](crate::Scorer) says of it.

use crate::error::ScoreError;
use crate::question::Question;
use crate::score::SpecialIds;
use firebrand_transformer::{ModelConfig, ModelKind};

/// How a model is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// What stands before a text.
    before: Option<u32>,
    /// What stands behind it.
    after: Option<u32>,
    /// In the place of the tokens of an answer; `None` where tokens are predicted from those before them.
    mask: Option<u32>,
    /// The most ids that the model reads at once, with what stands around a text.
    room: usize,
}

/// What is read and predicted for a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// What is read, each text once: candidates that differ only in what is predicted share one.
    pub texts: Vec<Vec<u32>>,
    /// For each candidate.
    pub candidates: Vec<Predicted>,
}

/// What is predicted for a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicted {
    /// In which text.
    pub text: usize,
    /// From the state at which place of it which id.
    pub ids: Vec<(usize, u32)>,
}

impl Asking {
    /// How a model of `config` is asked, at most `seq_len` of whose places are used, `taken` of them by a trained prompt.
    ///
    /// # Errors
    /// When the model has no probabilities that could be trained so, or lacks a token.
    pub fn new(
        config: &ModelConfig,
        special: &SpecialIds,
        seq_len: usize,
        taken: usize,
    ) -> Result<Self, ScoreError> {
        let room = seq_len.min(config.seq_len).saturating_sub(taken);
        match config.kind {
            ModelKind::Decoder => Ok(Self { before: special.end_of_text, after: None, mask: None, room }),
            ModelKind::Encoder if config.heads.masked => {
                let mask = special.mask.ok_or(ScoreError::NoToken {
                    token: "[MASK]",
                    reason: "what it hides is what such a model predicts",
                })?;
                Ok(Self { before: special.before, after: special.after, mask: Some(mask), room })
            }
            _ => Err(ScoreError::PredictsNothing(
                "only decoders and encoders with a head for masked tokens are trained on answers",
            )),
        }
    }

    /// The same with a soft prompt before each text, in the place of an id that no model reads then.
    #[must_use]
    pub fn behind_soft_prompt(self) -> Self {
        Self { before: Some(self.before.unwrap_or_default()), ..self }
    }

    /// The most ids of a filled text.
    pub fn most_ids(&self) -> usize {
        let around = [self.before, self.after].iter().flatten().count();
        // The last id is predicted and not read, where ids are predicted from those before.
        (self.room + usize::from(self.mask.is_none())).saturating_sub(around)
    }

    /// What is read and predicted for a question whose texts begin.
    pub fn ask(&self, question: &Question) -> Reading {
        let mut reading = Reading::default();
        for candidate in &question.candidates {
            let offset = usize::from(self.before.is_some());
            let mut ids: Vec<u32> =
                self.before.iter().chain(&candidate.ids).chain(&self.after).copied().collect();
            let predicted: Vec<(usize, u32)> = match self.mask {
                Some(mask) => {
                    let places: Vec<usize> = candidate.answers.iter().cloned().flatten().collect();
                    let predicted = places.iter().map(|&at| (at + offset, candidate.ids[at])).collect();
                    places.iter().for_each(|&at| ids[at + offset] = mask);
                    predicted
                }
                None => {
                    let first = (question.given + offset).max(1);
                    let predicted = (first..ids.len()).map(|at| (at - 1, ids[at])).collect();
                    ids.pop();
                    predicted
                }
            };
            let text = reading.texts.iter().position(|text| *text == ids).unwrap_or_else(|| {
                reading.texts.push(ids);
                reading.texts.len() - 1
            });
            reading.candidates.push(Predicted { text, ids: predicted });
        }
        reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Candidate;
    use firebrand_transformer::Preset;

    fn question(answers: &[&[u32]], behind: &[u32]) -> Question {
        let candidate = |answer: &&[u32]| Candidate {
            ids: [&[10, 11], *answer, behind].concat(),
            answers: std::iter::once(2..2 + answer.len()).collect(),
        };
        Question::compare(answers.iter().map(candidate).collect())
    }

    fn asking(kind: ModelKind) -> Asking {
        let mut config = ModelConfig::preset(Preset::Llama, 19, 16, 2, 4, 8);
        (config.kind, config.heads.masked) = (kind, true);
        let special = SpecialIds {
            end_of_text: Some(0),
            before: Some(1),
            after: Some(2),
            mask: Some(3),
            ..SpecialIds::default()
        };
        Asking::new(&config, &special, 8, 2).expect("a kind that is asked so")
    }

    #[test]
    fn answers_of_one_token_at_the_end_are_read_once() {
        let asked = asking(ModelKind::Decoder).ask(&question(&[&[5], &[6]], &[]));
        assert_eq!(asked.texts, [[0, 10, 11]]);
        let [one, other] = &asked.candidates[..] else { panic!("two candidates") };
        assert_eq!((one.ids.as_slice(), other.ids.as_slice()), (&[(2, 5)][..], &[(2, 6)][..]));
    }

    #[test]
    fn what_stands_behind_an_answer_counts_where_it_is_predicted_from_it() {
        let asked = asking(ModelKind::Decoder).ask(&question(&[&[5, 7], &[6]], &[12]));
        assert_eq!(asked.texts, [vec![0, 10, 11, 5, 7], vec![0, 10, 11, 6]]);
        assert_eq!(asked.candidates[0].ids, [(2, 5), (3, 7), (4, 12)]);
        assert_eq!(asked.candidates[1].ids, [(2, 6), (3, 12)]);
    }

    #[test]
    fn an_encoder_reads_a_mask_for_each_token_of_an_answer() {
        let asked = asking(ModelKind::Encoder).ask(&question(&[&[5, 7], &[6], &[8]], &[12]));
        assert_eq!(asked.texts, [vec![1, 10, 11, 3, 3, 12, 2], vec![1, 10, 11, 3, 12, 2]]);
        assert_eq!(asked.candidates[0].ids, [(3, 5), (4, 7)]);
        assert_eq!((asked.candidates[1].text, asked.candidates[2].text), (1, 1));
    }

    #[test]
    fn a_prompt_takes_room_from_texts() {
        // 8 places, 2 taken; one is the end of text, and the last token is not read.
        assert_eq!(asking(ModelKind::Decoder).most_ids(), 6);
        assert_eq!(asking(ModelKind::Encoder).most_ids(), 4);
    }
}
