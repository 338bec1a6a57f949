//! Each text by itself and as a whole, on tensors and without a cache: what the fast ways are compared with, and what is used where
//! all tokens of a text count anyway.

use super::encoder_decoder::SpanScorer;
use super::masked::MaskScorer;
use super::{Scorer, SpecialIds};
use crate::error::ScoreError;
use crate::question::Question;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_transformer::{AnyModel, Decoder, FactorizationOrder, Model, Permutation};

/// What predicts the tokens of a text from those before, and the order in which it is asked.
#[derive(Debug)]
enum Predictor {
    /// A model that reads from left to right.
    Decoder(Box<Decoder>),
    /// Asked from left to right, which is one order among others to it.
    Permutation(Box<Permutation>),
}

impl Predictor {
    /// Where its weights are.
    fn device(&self) -> Device {
        match self {
            Self::Decoder(model) => model.device(),
            Self::Permutation(model) => model.device(),
        }
    }

    /// `−log P` of each id but the first, from those before: `[rows, seq + 1]` to `[rows · seq]`.
    fn nats(&self, ids: Tensor<2, Int>) -> Tensor<1> {
        let [rows, len] = ids.dims();
        let seq = len - 1;
        let targets = ids.clone().narrow(1, 1, seq).reshape([rows * seq]);
        let flat = |states: Tensor<3>| {
            let d_model = states.dims()[2];
            states.reshape([rows * seq, d_model])
        };
        match self {
            Self::Decoder(model) => {
                let states = model.hidden(ids.narrow(1, 0, seq), &AttentionMask::Causal, None);
                model.nats(flat(states), targets)
            }
            Self::Permutation(model) => {
                let orders = vec![FactorizationOrder::left_to_right(len); rows];
                model.decoder().nats(flat(model.predictions(ids, &orders, None)), targets)
            }
        }
    }

    /// `log P` of each row from its `given`-th id on, which is at least 1, in batches of rows of like length.
    fn log_probs(&self, rows: &[(Vec<u32>, usize)]) -> Vec<f64> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&row| std::cmp::Reverse(rows[row].0.len()));
        let mut all = vec![0.0; rows.len()];
        let mut rest = order.as_slice();
        while let Some(&longest) = rest.first() {
            let seq = rows[longest].0.len() - 1;
            let (now, later) = rest.split_at((4096 / seq.max(1)).clamp(1, rest.len()));
            let id = |row: usize, at: usize| rows[row].0.get(at).map_or(0, |&id| id as i32);
            let ids: Vec<i32> = now.iter().flat_map(|&row| (0..=seq).map(move |at| id(row, at))).collect();
            let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [now.len(), seq + 1]), &self.device());
            let nats: Vec<f32> = self
                .nats(ids)
                .into_data()
                .convert::<f32>()
                .try_into_vec()
                .expect("converted to f32 just now");
            for (&row, nats) in now.iter().zip(nats.chunks_exact(seq)) {
                let (ids, given) = &rows[row];
                all[row] = -nats[given - 1..ids.len() - 1].iter().map(|&nats| f64::from(nats)).sum::<f64>();
            }
            rest = later;
        }
        all
    }
}

/// The log-probabilities of the candidates of each question: each is read anew and as a whole, whatever it shares with others.
///
/// # Errors
/// As those of a [`Scorer`].
pub fn one_by_one(
    model: &AnyModel,
    special: &SpecialIds,
    questions: &[Question],
) -> Result<Vec<Vec<f64>>, ScoreError> {
    let begin = special.end_of_text;
    let read = |predictor: &Predictor, questions: &[Question]| -> Vec<Vec<f64>> {
        let row = |question: &Question, ids: &[u32]| {
            let before = begin.filter(|_| question.begins);
            let given = (question.given + usize::from(before.is_some())).max(1);
            (before.iter().chain(ids).copied().collect::<Vec<u32>>(), given)
        };
        let rows: Vec<(Vec<u32>, usize)> = questions
            .iter()
            .flat_map(|question| {
                question.candidates.iter().map(move |candidate| row(question, &candidate.ids))
            })
            .collect();
        let mut all = predictor.log_probs(&rows).into_iter();
        questions.iter().map(|question| all.by_ref().take(question.candidates.len()).collect()).collect()
    };
    let decoder = |decoder: Decoder| Predictor::Decoder(Box::new(decoder));
    Ok(match model {
        AnyModel::Decoder(model) => read(&decoder(model.as_ref().clone().reading_causally()), questions),
        AnyModel::Permutation(model) => read(&Predictor::Permutation(model.clone()), questions),
        AnyModel::Bidirectional(model) => {
            let reversed: Vec<Question> = questions.iter().map(Question::reversed).collect();
            let forward = read(&decoder(model.forward()), questions);
            let backward = read(&decoder(model.backward()), &reversed);
            let mean = |(forward, backward): (f64, f64)| (forward + backward) / 2.0;
            let of_question = |(forward, backward): (Vec<f64>, Vec<f64>)| {
                forward.into_iter().zip(backward).map(mean).collect()
            };
            forward.into_iter().zip(backward).map(of_question).collect()
        }
        // These share nothing when they are asked by themselves.
        AnyModel::Encoder(model) => alone(&MaskScorer::new(model, special)?, questions)?,
        AnyModel::EncoderDecoder(model) => alone(&SpanScorer::new(model, special)?, questions)?,
    })
}

/// Asks for each candidate by itself.
fn alone(scorer: &dyn Scorer, questions: &[Question]) -> Result<Vec<Vec<f64>>, ScoreError> {
    let ask = |question: &Question, index: usize| {
        let only = Question { candidates: vec![question.candidates[index].clone()], ..question.clone() };
        Ok(scorer.score(&[only], &mut |_| {})?[0][0].log_prob)
    };
    questions
        .iter()
        .map(|question| (0..question.candidates.len()).map(|index| ask(question, index)).collect())
        .collect()
}
