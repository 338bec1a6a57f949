//! What the answers of an evaluation come to: by the reports, which say the same of whole files.

use crate::example::Target;
use crate::predict::{probabilities, rows};
use crate::report::{Confusion, MultiLabelReport, RegressionReport};
use burn::tensor::Tensor;
use firebrand_training::Figure;
use firebrand_transformer::TaskKind;

/// What a model said of one example, and what was to be said.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The outputs of the head: logits, or a number.
    pub outputs: Vec<f32>,
    /// What was to be said.
    pub target: Target,
}

/// The place of the highest of these, of equal ones the first.
pub fn likeliest<T: PartialOrd>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, other| if row[other] > row[best] { other } else { best })
}

/// The answers of an evaluation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers(pub Vec<Answer>);

impl Answers {
    /// Adds what a model said of a batch, `[batch, outputs]`, and what was to be said.
    pub(crate) fn add(&mut self, outputs: Tensor<2>, targets: impl IntoIterator<Item = Target>) {
        let both = rows(outputs).into_iter().zip(targets);
        self.0.extend(both.map(|(outputs, target)| Answer { outputs, target }));
    }

    /// The figures that the best weights can be chosen by, and what else is shown of a run while it trains. Of several labels the
    /// `accuracy` is the part of the examples of which all are right. A correlation with what is always the same is 0.
    pub fn figures(&self) -> Vec<Figure> {
        let figures = match self.0.first().map(|answer| &answer.target) {
            Some(Target::Class(_)) => self.of_classes(),
            Some(Target::Labels(_)) => self.of_labels(),
            Some(Target::Number(_)) => self.of_numbers(),
            Some(Target::Tags(_)) | None => return Vec::new(),
        };
        figures.into_iter().map(|(name, value)| Figure { name, value }).collect()
    }

    fn of_classes(&self) -> [(&'static str, f64); 2] {
        let pairs = self.0.iter().filter_map(|answer| match answer.target {
            Target::Class(class) => Some((class, likeliest(&answer.outputs))),
            _ => None,
        });
        let confusion = Confusion::new(self.outputs(), pairs);
        [("accuracy", confusion.accuracy()), ("macro_f1", confusion.macro_scores().f1)]
    }

    fn of_labels(&self) -> [(&'static str, f64); 2] {
        let labelled = self.0.iter().filter_map(|answer| match &answer.target {
            Target::Labels(labels) => {
                Some((probabilities(TaskKind::MultiLabel, &answer.outputs), labels.clone()))
            }
            _ => None,
        });
        let (said, labels): (Vec<Vec<f64>>, Vec<Vec<usize>>) = labelled.unzip();
        // Nobody reads the names.
        let report = MultiLabelReport::new(&said, &labels, &vec![String::new(); self.outputs()]);
        [("accuracy", report.exact), ("macro_f1", report.macro_scores.f1)]
    }

    fn of_numbers(&self) -> [(&'static str, f64); 2] {
        let numbers = self.0.iter().filter_map(|answer| match answer.target {
            Target::Number(number) => Some((f64::from(answer.outputs[0]), number)),
            _ => None,
        });
        let (said, wanted): (Vec<f64>, Vec<f64>) = numbers.unzip();
        let report = RegressionReport::new(&said, &wanted);
        [("pearson", report.pearson.unwrap_or(0.0)), ("rmse", report.mean_squared_error.sqrt())]
    }

    /// How many outputs the head has.
    fn outputs(&self) -> usize {
        self.0.first().map_or(0, |answer| answer.outputs.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn come_to(answers: Vec<Answer>, expected: [(&str, f64); 2]) {
        let found = Answers(answers).figures();
        assert_eq!(found.len(), 2);
        for (figure, (name, value)) in found.iter().zip(expected) {
            assert!(
                figure.name == name && (figure.value - value).abs() < 1e-9,
                "{figure:?} for {name} {value}"
            );
        }
    }

    #[test]
    fn classes_are_counted_and_absent_ones_left_out() {
        let answer = |said: usize, class: usize| {
            let mut outputs = vec![0.0; 4];
            outputs[said] = 1.0;
            Answer { outputs, target: Target::Class(class) }
        };
        // Of class 0: 2 there, 1 found, 1 said. Of class 1: 1 there and found, 2 said. Class 2: 1 there, 1 found, 1 said.
        let answers = vec![answer(0, 0), answer(1, 0), answer(1, 1), answer(2, 2)];
        come_to(answers, [("accuracy", 0.75), ("macro_f1", (2.0 / 3.0 + 2.0 / 3.0 + 1.0) / 3.0)]);
    }

    #[test]
    fn labels_are_right_when_all_of_them_are() {
        let answer = |outputs: [f32; 2], labels: &[usize]| Answer {
            outputs: outputs.to_vec(),
            target: Target::Labels(labels.to_vec()),
        };
        let answers = vec![answer([1.0, -1.0], &[0]), answer([1.0, 2.0], &[0]), answer([-1.0, -1.0], &[])];
        come_to(answers, [("accuracy", 2.0 / 3.0), ("macro_f1", (1.0 + 0.0) / 2.0)]);
    }

    #[test]
    fn numbers_correlate_whatever_their_scale_is() {
        let answer = |said: f32, wanted: f64| Answer { outputs: vec![said], target: Target::Number(wanted) };
        let line = vec![answer(1.0, 10.0), answer(2.0, 30.0), answer(3.0, 50.0)];
        come_to(line, [("pearson", 1.0), ("rmse", f64::sqrt((81.0 + 784.0 + 2209.0) / 3.0))]);
        let flat = vec![answer(1.0, 10.0), answer(1.0, 30.0)];
        come_to(flat, [("pearson", 0.0), ("rmse", f64::sqrt((81.0 + 841.0) / 2.0))]);
        assert!(Answers::default().figures().is_empty());
    }
}
