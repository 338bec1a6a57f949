//! Saying something about whole texts: maximize `P(y | x_1 … x_|x|)` over labelled examples.
//!
//! One objective for three tasks, which differ in what the outputs of the head mean: classes (cross-entropy of their softmax), labels
//! (cross-entropy of each one's sigmoid), a number (squared error).

use crate::config::{HeadOptions, TASK, rank_of_task};
use crate::example::{Example, Examples, Target};
use crate::figures::Answers;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use firebrand_corpus::batches::keyed_rng;
use firebrand_training::{BatchKey, Evaluation, Figure, Objective, Term, TrainingError};
use firebrand_transformer::{Classifier, Dropout, Padded, TaskKind, hugging_face};
use rand::Rng;
use std::path::Path;

/// Classification, several labels, or regression: what the head says.
#[derive(Debug, Clone)]
pub struct Labelling {
    /// The loss, and by what the best weights are chosen.
    pub options: HeadOptions,
    /// What each class counts; empty where all count 1.
    pub class_weights: Vec<f64>,
    /// The id that ends a document, for the exported folder.
    pub end_of_text: Option<u32>,
}

/// Texts, and what is to be said of them.
#[derive(Debug)]
pub struct LabelledBatch {
    rows: Padded,
    targets: Vec<Target>,
    next_tokens: u64,
    dropout: Option<Dropout>,
}

impl Labelling {
    /// The sum of the loss over a batch, `[1]`, from the outputs of a head `[batch, outputs]`.
    fn nats(&self, task: TaskKind, outputs: Tensor<2>, targets: &[Target]) -> Tensor<1> {
        let [batch, width] = outputs.dims();
        let device = outputs.device();
        let wanted =
            |numbers: Vec<f32>| Tensor::<2>::from_data(TensorData::new(numbers, [batch, width]), &device);
        let numbers: Vec<f32> = targets.iter().flat_map(|target| self.wanted(target, width)).collect();
        match task {
            TaskKind::Classification => (wanted(numbers) * log_softmax(outputs, 1)).sum().neg(),
            // log(1 + e^x) − y·x, without large numbers: max(x, 0) + log(1 + e^−|x|) − y·x.
            TaskKind::MultiLabel => {
                let softplus = outputs.clone().clamp_min(0.0) + outputs.clone().abs().neg().exp().log1p();
                (softplus - wanted(numbers) * outputs).sum()
            }
            TaskKind::Regression => (outputs - wanted(numbers)).powi_scalar(2).sum(),
            TaskKind::Tagging => unreachable!("tags have an objective of their own"),
        }
    }

    /// What a row of outputs is compared with.
    fn wanted(&self, target: &Target, width: usize) -> Vec<f32> {
        match target {
            Target::Class(class) => {
                let weight = self.class_weights.get(*class).copied().unwrap_or(1.0);
                let smoothing = self.options.label_smoothing;
                let of = |output: usize| {
                    smoothing / width as f64 + if output == *class { 1.0 - smoothing } else { 0.0 }
                };
                (0..width).map(|output| (weight * of(output)) as f32).collect()
            }
            Target::Labels(labels) => {
                (0..width).map(|output| if labels.contains(&output) { 1.0 } else { 0.0 }).collect()
            }
            Target::Number(number) => vec![*number as f32; width],
            Target::Tags(_) => unreachable!("tags have an objective of their own"),
        }
    }

    /// An example without the tokens that are left out in this step, where it has a place of its own.
    fn shortened(&self, example: &Example, key: BatchKey, place: usize) -> Example {
        let mut rng = keyed_rng(key.seed, "tokens left out", key.step << 24 | place as u64);
        let last = example.ids.len() - 1;
        // What begins the second text stays too.
        let stays = |i: usize| i == 0 || i == last || Some(i) == example.second;
        let kept: Vec<usize> =
            (0..=last).filter(|&i| rng.random::<f64>() >= self.options.token_dropout || stays(i)).collect();
        Example {
            ids: kept.iter().map(|&i| example.ids[i]).collect(),
            second: example.second.map(|second| kept.partition_point(|&i| i < second)),
            target: example.target.clone(),
        }
    }

    fn has_next_tokens(&self) -> bool {
        self.options.lm_weight > 0.0
    }

    /// Terms, and the outputs they come from.
    fn terms(&self, model: &Classifier, batch: &mut LabelledBatch) -> (Vec<Term>, Tensor<2>) {
        let task = model.head_config().task;
        let states = model.states(&batch.rows, batch.dropout.as_mut());
        let next_tokens = self.has_next_tokens().then(|| {
            let nats = model.next_token_nats(states.clone(), &batch.rows);
            nats.unwrap_or_else(|| states.clone().sum() * 0.0)
        });
        let outputs = model.outputs(states, &batch.rows, batch.dropout.as_mut());
        let nats = self.nats(task, outputs.clone(), &batch.targets);
        let mut terms = vec![Term { name: TASK, weight: 1.0, nats }];
        terms.extend(next_tokens.map(|nats| Term { name: "lm", weight: self.options.lm_weight, nats }));
        (terms, outputs)
    }
}

impl Objective for Labelling {
    type Model = Classifier;
    type Rows = Examples<Example>;
    type Batch = LabelledBatch;
    type Answers = Answers;

    fn prepare(&self, rows: &Examples<Example>, key: BatchKey, device: &Device) -> LabelledBatch {
        let shortened = (key.training && self.options.token_dropout > 0.0).then(|| {
            let placed = (key.first_example..).zip(&rows.0);
            placed.map(|(place, example)| self.shortened(example, key, place)).collect::<Vec<Example>>()
        });
        let examples = shortened.as_ref().unwrap_or(&rows.0);
        LabelledBatch {
            rows: Padded::new(examples.iter().map(Example::sequence), device),
            targets: examples.iter().map(|example| example.target.clone()).collect(),
            next_tokens: examples.iter().map(|example| example.ids.len() as u64 - 1).sum(),
            dropout: key.dropout(self.options.dropout, examples.len()),
        }
    }

    fn counts(&self, batch: &LabelledBatch) -> Vec<u64> {
        let mut counts = vec![batch.targets.len() as u64];
        counts.extend(self.has_next_tokens().then_some(batch.next_tokens));
        counts
    }

    fn loss(&self, model: &Classifier, mut batch: LabelledBatch) -> Vec<Term> {
        self.terms(model, &mut batch).0
    }

    fn judge(&self, model: &Classifier, mut batch: LabelledBatch, answers: &mut Answers) -> Vec<Term> {
        let (terms, outputs) = self.terms(model, &mut batch);
        answers.add(outputs, batch.targets);
        terms
    }

    fn figures(&self, answers: &Answers) -> Vec<Figure> {
        answers.figures()
    }

    fn rank(&self, evaluation: &Evaluation) -> f64 {
        rank_of_task(self.options.best_by, evaluation)
    }

    fn export(&self, model: &Classifier, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save_classifier(dir, model, self.end_of_text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::device;
    use firebrand_training::Rows;

    fn examples() -> Examples<Example> {
        let example = |i: u32| Example {
            ids: (0..20).map(|at| at + 20 * (i % 5)).collect(),
            second: (i % 2 == 1).then_some(9),
            target: Target::Class(0),
        };
        Examples((0..400).map(example).collect())
    }

    fn read(rows: &Examples<Example>, first_example: usize, training: bool) -> LabelledBatch {
        let options = HeadOptions { token_dropout: 0.3, ..HeadOptions::default() };
        let objective = Labelling { options, class_weights: Vec::new(), end_of_text: None };
        objective.prepare(rows, BatchKey { seed: 1, step: 3, first_example, training }, &device("cpu"))
    }

    #[test]
    fn tokens_are_left_out_in_training_as_often_as_asked_and_never_the_first_or_last() {
        let all = examples();
        let batch = read(&all, 0, true);
        let mut kept = 0;
        for (row, example) in batch.rows.rows().iter().zip(&all.0) {
            assert_eq!((row.first(), row.last()), (example.ids.first(), example.ids.last()));
            assert!(row.is_sorted(), "the order stays: {row:?}");
            kept += row.len() - 2;
        }
        let (asked, n) = (0.7, 400.0 * 18.0);
        let share = kept as f64 / n;
        // The first token of a second text stays, one of 18 in every other example. Four standard deviations around that.
        let expected = asked + (1.0 - asked) / 36.0;
        assert!((share - expected).abs() < 4.0 * (asked * (1.0 - asked) / n).sqrt(), "{share}");
        assert_eq!(read(&all, 0, false).rows.lens(), [20; 400]);
    }

    #[test]
    fn which_tokens_are_left_out_does_not_depend_on_what_a_step_is_cut_into() {
        let all = examples();
        let whole = read(&all, 0, true);
        let second = read(&all.part(150..400), 150, true);
        assert_eq!(whole.rows.rows()[150..], *second.rows.rows());
    }
}
