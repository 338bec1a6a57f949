//! Bidirectional models: from left to right and from right to left, each as a model that reads one way.

use super::{Causal, Scorer, SpecialIds};
use crate::error::ScoreError;
use crate::question::{Question, Score};
use firebrand_decode::DecoderModel;
use firebrand_transformer::Bidirectional;

/// The mean of what the two halves say.
pub(super) struct BothWays {
    forward: Causal<DecoderModel<'static>>,
    backward: Causal<DecoderModel<'static>>,
}

impl BothWays {
    pub(super) fn new(model: &Bidirectional, special: &SpecialIds) -> Self {
        let half = |decoder| Causal::new(DecoderModel::owning(decoder), special.end_of_text);
        Self { forward: half(model.forward()), backward: half(model.backward()) }
    }
}

impl Scorer for BothWays {
    fn most_ids(&self, begins: bool) -> usize {
        self.forward.most_ids(begins)
    }

    fn score(
        &self,
        questions: &[Question],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Score>>, ScoreError> {
        let reversed: Vec<Question> = questions.iter().map(Question::reversed).collect();
        let forward = self.forward.score(questions, &mut |_| {})?;
        let backward = self.backward.score(&reversed, progress)?;
        let mean = |(forward, backward): (Score, Score)| Score {
            log_prob: (forward.log_prob + backward.log_prob) / 2.0,
            // As many as are scored one way in the mean; the two need not begin at the same distance.
            tokens: (forward.tokens + backward.tokens).div_ceil(2),
            greedy: forward.greedy && backward.greedy,
        };
        let of_question =
            |(question, (forward, backward)): (&Question, (Vec<Score>, Vec<Score>))| match question.goes_on {
                true => forward,
                false => forward.into_iter().zip(backward).map(mean).collect(),
            };
        Ok(questions.iter().zip(forward.into_iter().zip(backward)).map(of_question).collect())
    }
}
