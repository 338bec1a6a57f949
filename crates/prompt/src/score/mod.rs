//! How probable a model finds texts: a [`Scorer`] for each kind of model. Ids in, numbers out.
//!
//! - A model that reads from left to right (a decoder; one that sees all of a prompt is asked as any other) scores all tokens from the
//!   first in which the candidates differ, what stands behind the answer too: [`Causal`]. What candidates share is read once.
//! - A bidirectional model does so in both directions; the mean of the two is its score, as in `firebrand score`.
//! - A permutation model is asked from left to right, the candidates as branches of one tree.
//! - An encoder gets a mask for every token of the answer, all at once, and the score is the sum over the masks: an answer of several
//!   tokens is predicted whole, each token without the others. Without an answer each token is hidden in turn, the
//!   pseudo-log-likelihood [Salazar 2020]. Both are no probabilities of texts, but compare texts.
//! - An encoder–decoder gets a sentinel for every answer and scores the spans that its decoder would write, with the end of text that
//!   closes them; one that was trained to restore whole texts scores these. Without an answer the decoder writes the text for an
//!   input that says nothing.

mod both_ways;
mod causal;
mod encoder_decoder;
mod masked;
mod one_by_one;
mod permutation;

pub use causal::Causal;
pub use one_by_one::one_by_one;

use crate::error::ScoreError;
use crate::question::{Question, Score};
use both_ways::BothWays;
use encoder_decoder::SpanScorer;
use firebrand_decode::processors::{argmax, log_sum_exp};
use firebrand_decode::{DecoderModel, PromptedModel};
use firebrand_transformer::{AnyModel, TrainedPrompt};
use masked::MaskScorer;
use permutation::TreeScorer;

/// What a tokenizer knows by name, and a model's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// Between texts.
    pub end_of_text: Option<u32>,
    /// What stands before a text for an encoder.
    pub before: Option<u32>,
    /// What stands behind it.
    pub after: Option<u32>,
    /// In place of a hidden token.
    pub mask: Option<u32>,
    /// In place of a span, in their order.
    pub sentinels: Vec<u32>,
    /// What a mixture of denoisers reads before a text with spans in it.
    pub spans_mode: Option<u32>,
    /// What it reads before a text that goes on.
    pub text_mode: Option<u32>,
    /// What the decoder behind an encoder begins with.
    pub decoder_start: Option<u32>,
}

/// Says how probable texts are.
pub trait Scorer {
    /// The most ids that a candidate can have; one more, perhaps, where no end of text stands in front.
    fn most_ids(&self, begins: bool) -> usize;

    /// The scores of the candidates of each question, in their order. `progress` is told how many more questions are done.
    ///
    /// # Errors
    /// A candidate that is empty or too long, or of which everything is given; a model that fails.
    fn score(
        &self,
        questions: &[Question],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Score>>, ScoreError>;
}

/// A scorer for a model of any kind.
///
/// # Errors
/// When the model predicts no tokens, or a token that it needs is not known.
pub fn scorer<'a>(model: &'a AnyModel, special: &SpecialIds) -> Result<Box<dyn Scorer + 'a>, ScoreError> {
    Ok(match model {
        // A model that sees all of a prompt would see what it is to predict.
        AnyModel::Decoder(model) => {
            let decoder = DecoderModel::owning(model.as_ref().clone().reading_causally());
            Box::new(Causal::new(decoder, special.end_of_text))
        }
        AnyModel::Bidirectional(model) => Box::new(BothWays::new(model, special)),
        AnyModel::Permutation(model) => Box::new(TreeScorer::new(model, special)),
        AnyModel::Encoder(model) => Box::new(MaskScorer::new(model, special)?),
        AnyModel::EncoderDecoder(model) => Box::new(SpanScorer::new(model, special)?),
    })
}

/// A scorer for a model behind a prompt that was trained. A soft prompt stands in the place of what stands before texts otherwise.
///
/// # Errors
/// When there are no prompts for this kind of model, or as [`scorer`].
pub fn scorer_behind<'a>(
    model: &'a AnyModel,
    prompt: &TrainedPrompt,
    special: &SpecialIds,
) -> Result<Box<dyn Scorer + 'a>, ScoreError> {
    match (model, prompt) {
        (AnyModel::Decoder(model), _) => {
            let begin = match prompt {
                // Any id will do: it is not read.
                TrainedPrompt::Soft(_) => Some(special.end_of_text.unwrap_or_default()),
                TrainedPrompt::Prefix(_) => special.end_of_text,
            };
            Ok(Box::new(Causal::new(PromptedModel::new(model.as_ref().clone(), prompt), begin)))
        }
        (AnyModel::Encoder(model), TrainedPrompt::Soft(prompt)) => {
            Ok(Box::new(MaskScorer::new(model, special)?.behind(prompt)))
        }
        _ => Err(ScoreError::PredictsNothing(
            "a soft prompt is for decoders and masked encoders, a prefix for decoders, and this model is none of them",
        )),
    }
}

/// Refuses what no model can score. `most` is what [`Scorer::most_ids`] says, and `before` how many ids stand before a text, for
/// questions that begin and for others: without one the first id of a text is not predicted.
fn check(
    questions: &[Question],
    vocab_size: usize,
    most: impl Fn(bool) -> usize,
    before: impl Fn(bool) -> usize,
) -> Result<(), ScoreError> {
    for (number, question) in questions.iter().enumerate() {
        let most = most(question.begins);
        let given = question.given.max(1_usize.saturating_sub(before(question.begins)));
        for candidate in &question.candidates {
            let len = candidate.ids.len();
            if len <= given {
                return Err(ScoreError::Nothing { question: number });
            }
            if len > most {
                return Err(ScoreError::TooLong { question: number, tokens: len, most });
            }
            if let Some(&id) = candidate.ids.iter().find(|&&id| id as usize >= vocab_size) {
                return Err(ScoreError::Vocabulary { question: number, id, vocab_size });
            }
        }
    }
    Ok(())
}

/// The numbers of the questions, those with the longest candidates first: what is done together is of like length.
fn longest_first(questions: &[Question]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..questions.len()).collect();
    order.sort_by_key(|&number| std::cmp::Reverse(questions[number].longest()));
    order
}

/// What the logits at one place say of tokens that may stand there.
struct Place<'a> {
    logits: &'a [f32],
    log_sum: f64,
    likeliest: Option<u32>,
}

impl<'a> Place<'a> {
    fn new(logits: &'a [f32]) -> Result<Self, ScoreError> {
        let log_sum = log_sum_exp(logits);
        match log_sum.is_finite() {
            true => Ok(Self { logits, log_sum, likeliest: argmax(logits) }),
            false => Err(ScoreError::NotFinite),
        }
    }

    /// Adds that `id` stands there.
    fn add(&self, id: u32, score: &mut Score) {
        score.log_prob += f64::from(self.logits[id as usize]) - self.log_sum;
        score.tokens += 1;
        score.greedy &= self.likeliest == Some(id);
    }
}

/// A score of no tokens.
const NOTHING: Score = Score { log_prob: 0.0, tokens: 0, greedy: true };

/// How many positions of so large a vocabulary have their logits in memory at once.
fn positions_at_once(vocab_size: usize) -> usize {
    const NUMBERS: usize = 1 << 24;
    (NUMBERS / vocab_size.max(1)).clamp(1, 4096)
}
