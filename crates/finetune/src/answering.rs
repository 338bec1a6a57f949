//! Learning which answer stands in a blank: cross-entropy over the labels, of which each is as probable as the model finds its best answer.
//!
//! With a whole model, or its adapters, this is what pattern-exploiting training learns from a template [Schick & Schütze 2021,
//! <https://arxiv.org/abs/2001.07676>]; with a model that stays as it is, what a soft prompt or a prefix learns.

use crate::config::{BestBy, TASK, rank_of_task};
use crate::example::{Examples, Item, Target};
use crate::figures::Answers;
use crate::predict::rows;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::threads;
use firebrand_training::{BatchKey, Evaluation, Figure, Objective, Term, TrainingError};
use firebrand_transformer::lora::merged;
use firebrand_transformer::{Body, Dropout, Prompted, hugging_face};
use std::path::{Path, PathBuf};

/// A text with a blank, and the answers that may stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloze {
    /// What is read: answers that are predicted from the same text share it. At least one id each.
    pub texts: Vec<Vec<u32>>,
    /// For each answer, in the order of all examples' answers: which text, and from the state at which of its places which id is predicted.
    pub answers: Vec<(usize, Vec<(usize, u32)>)>,
    /// The number of the right label.
    pub label: usize,
    /// The text of an answer of the right label: what is learned of language besides is learned from it.
    pub right: usize,
}

impl Item for Cloze {
    fn tokens(&self) -> usize {
        self.texts.iter().map(Vec::len).sum()
    }
}

/// The labels, by the answers that stand for them.
#[derive(Debug, Clone)]
pub struct Answering {
    /// For each label its answers, and the logarithm of what the probability of each is multiplied by.
    pub labels: Vec<Vec<(usize, f64)>>,
    /// Probability of dropping an activation in training; behind a prompt nothing is dropped.
    pub dropout: f64,
    /// The weight of predicting each token of the right text from those before it, for decoders.
    pub lm_weight: f64,
    /// By what the best weights are chosen.
    pub best_by: BestBy,
    /// The folder of the model that a trained prompt is for.
    pub base: PathBuf,
    /// The id that ends a document, for the exported folder.
    pub end_of_text: Option<u32>,
}

/// Texts, what is predicted in them, and what is to come of it.
#[derive(Debug)]
pub struct AnsweringBatch {
    rows: Vec<Vec<u32>>,
    /// Where what predicts stands in the states of all rows, `[batch · longest]`, and what it is to predict: `[predictions]` each.
    predictions: [Tensor<1, Int>; 2],
    /// Which predictions an answer is the sum of: 1 where it is so, `[examples · answers, predictions]`.
    sums: Tensor<2>,
    /// The same as `predictions`, of all tokens of the right texts.
    language: Option<[Tensor<1, Int>; 2]>,
    labels: Vec<usize>,
    dropout: Option<Dropout>,
}

impl AnsweringBatch {
    fn language_targets(&self) -> Option<u64> {
        self.language.as_ref().map(|[_, targets]| targets.dims()[0] as u64)
    }
}

impl Answering {
    /// How probable each label is, `[examples, labels]`: logarithms that are not normalized. With the hidden states that they come from,
    /// `[rows · longest, d_model]`.
    fn scores(&self, model: &Prompted, batch: &mut AnsweringBatch) -> (Tensor<2>, Tensor<2>) {
        let rows: Vec<&[u32]> = batch.rows.iter().map(Vec::as_slice).collect();
        let states = model.states(&rows, batch.dropout.as_mut());
        let [rows, longest, d_model] = states.dims();
        let states = states.reshape([rows * longest, d_model]);
        let [places, targets] = batch.predictions.clone();
        // [predictions, 1]
        let nats = model.nats(states.clone().select(0, places), targets).unsqueeze_dim(1);
        let examples = batch.labels.len();
        let answers = batch.sums.dims()[0] / examples;
        let device = nats.device();
        let sums =
            if device.is_autodiff() { Tensor::from_inner(batch.sums.clone()) } else { batch.sums.clone() };
        // [examples, answers]
        let scores = sums.matmul(nats).neg().reshape([examples, answers]);
        let of_label = |answers: &Vec<(usize, f64)>| {
            let (numbers, weights): (Vec<i32>, Vec<f32>) =
                answers.iter().map(|&(answer, log_weight)| (answer as i32, log_weight as f32)).unzip();
            let n = numbers.len();
            let numbers = Tensor::<1, Int>::from_data(TensorData::new(numbers, [n]), &device);
            let weights = Tensor::<2>::from_data(TensorData::new(weights, [1, n]), &device);
            (scores.clone().select(1, numbers) + weights).max_dim(1)
        };
        (Tensor::cat(self.labels.iter().map(of_label).collect(), 1), states)
    }

    /// Terms, and the scores that they come from.
    fn terms(&self, model: &Prompted, batch: &mut AnsweringBatch) -> (Vec<Term>, Tensor<2>) {
        let (scores, states) = self.scores(model, batch);
        let [examples, labels] = scores.dims();
        let mut wanted = vec![0.0_f32; examples * labels];
        batch.labels.iter().enumerate().for_each(|(example, label)| wanted[example * labels + label] = 1.0);
        let wanted = Tensor::<2>::from_data(TensorData::new(wanted, [examples, labels]), &scores.device());
        let nats = (wanted * log_softmax(scores.clone(), 1)).sum().neg();
        let mut terms = vec![Term { name: TASK, weight: 1.0, nats }];
        if let Some([places, targets]) = batch.language.take() {
            let nats = model.nats(states.select(0, places), targets).sum();
            terms.push(Term { name: "lm", weight: self.lm_weight, nats });
        }
        (terms, scores)
    }

    /// How probable each label is in each example, in their order: logarithms that are not normalized. `model` is without autodiff; so many
    /// examples go through it at once.
    pub fn answers(&self, model: &Prompted, examples: &[Cloze], at_once: usize) -> Vec<Vec<f32>> {
        let key = BatchKey { seed: 0, step: 0, first_example: 0, training: false };
        let mut all = Vec::with_capacity(examples.len());
        threads::together(|| {
            for part in examples.chunks(at_once.max(1)) {
                let mut batch = self.prepare(&Examples(part.to_vec()), key, &model.device());
                all.extend(rows(self.scores(model, &mut batch).0));
            }
        });
        all
    }
}

impl Objective for Answering {
    type Model = Prompted;
    type Rows = Examples<Cloze>;
    type Batch = AnsweringBatch;
    type Answers = Answers;

    fn prepare(&self, rows: &Examples<Cloze>, key: BatchKey, device: &Device) -> AnsweringBatch {
        let examples = &rows.0;
        let longest = examples.iter().flat_map(|example| &example.texts).map(Vec::len).max().unwrap_or(0);
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        let (mut places, mut targets, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let (mut all_places, mut all_targets) = (Vec::new(), Vec::new());
        for (index, example) in examples.iter().enumerate() {
            let first = texts.len();
            let place = |text: usize, at: usize| ((first + text) * longest + at) as i32;
            for (text, predicted) in &example.answers {
                places.extend(predicted.iter().map(|&(at, _)| place(*text, at)));
                targets.extend(predicted.iter().map(|&(_, id)| id as i32));
                ends.push(places.len());
            }
            if let Some(right) = example.texts.get(example.right).filter(|_| self.lm_weight > 0.0) {
                all_places.extend((0..right.len() - 1).map(|at| place(example.right, at)));
                all_targets.extend(right[1..].iter().map(|&id| id as i32));
            }
            // A text's draws depend on nothing but the example and which text of it this is.
            let row = (key.first_example + index) * example.answers.len();
            numbers.extend(row..row + example.texts.len());
            texts.extend(example.texts.iter().cloned());
        }
        let mut sums = vec![0.0_f32; ends.len() * places.len()];
        let mut start = 0;
        for (answer, &end) in ends.iter().enumerate() {
            sums[answer * places.len()..][start..end].fill(1.0);
            start = end;
        }
        let vector = |numbers: Vec<i32>| {
            let n = numbers.len();
            Tensor::<1, Int>::from_data(TensorData::new(numbers, [n]), device)
        };
        let sums = TensorData::new(sums, [ends.len(), places.len()]);
        let drops = key.training && self.dropout > 0.0;
        AnsweringBatch {
            rows: texts,
            sums: Tensor::from_data(sums, &device.clone().without_autodiff()),
            predictions: [vector(places), vector(targets)],
            language: (!all_places.is_empty()).then(|| [vector(all_places), vector(all_targets)]),
            labels: examples.iter().map(|example| example.label).collect(),
            dropout: drops.then(|| Dropout::of_rows(self.dropout, key.seed, key.step, numbers)),
        }
    }

    fn counts(&self, batch: &AnsweringBatch) -> Vec<u64> {
        std::iter::once(batch.labels.len() as u64).chain(batch.language_targets()).collect()
    }

    fn loss(&self, model: &Prompted, mut batch: AnsweringBatch) -> Vec<Term> {
        self.terms(model, &mut batch).0
    }

    fn judge(&self, model: &Prompted, mut batch: AnsweringBatch, answers: &mut Answers) -> Vec<Term> {
        let (terms, scores) = self.terms(model, &mut batch);
        answers.add(scores, batch.labels.into_iter().map(Target::Class));
        terms
    }

    fn figures(&self, answers: &Answers) -> Vec<Figure> {
        answers.figures()
    }

    fn rank(&self, evaluation: &Evaluation) -> f64 {
        rank_of_task(Some(self.best_by), evaluation)
    }

    fn export(&self, model: &Prompted, dir: &Path) -> Result<(), TrainingError> {
        if model.prompt().is_some() {
            return Ok(hugging_face::save_prompt(dir, model, &self.base)?);
        }
        match model.body() {
            Body::Decoder(decoder) => hugging_face::save(dir, &merged(decoder.clone()), self.end_of_text)?,
            Body::Encoder(encoder) => hugging_face::save(dir, &merged(encoder.clone()), self.end_of_text)?,
            _ => unreachable!("no other kind is asked so"),
        }
        Ok(())
    }
}
