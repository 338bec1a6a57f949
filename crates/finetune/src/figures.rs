//! What the answers of a model to examples come to.

use crate::example::Target;

/// What a model said of one example, and what was to be said.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The outputs of the head: logits, or a number.
    pub outputs: Vec<f32>,
    /// What was to be said.
    pub target: Target,
}

impl Answer {
    /// The most likely class: of equal ones the first.
    pub fn class(&self) -> usize {
        likeliest(&self.outputs)
    }

    /// The labels that are more likely than not.
    pub fn labels(&self) -> Vec<usize> {
        (0..self.outputs.len()).filter(|&label| self.outputs[label] > 0.0).collect()
    }

    /// Whether class or labels are the right ones.
    fn is_right(&self) -> bool {
        match &self.target {
            Target::Class(class) => self.class() == *class,
            Target::Labels(labels) => &self.labels() == labels,
            Target::Number(_) | Target::Tags(_) => false,
        }
    }
}

/// The place of the highest of these, of equal ones the first.
pub(crate) fn likeliest<T: PartialOrd>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, other| if row[other] > row[best] { other } else { best })
}

/// The answers of an evaluation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers(pub Vec<Answer>);

impl Answers {
    /// The part of them that is right.
    pub fn accuracy(&self) -> f64 {
        let right = self.0.iter().filter(|answer| answer.is_right()).count();
        right as f64 / self.0.len().max(1) as f64
    }

    /// The mean over classes or labels of the harmonic mean of precision and recall. One that is neither there nor said counts for
    /// nothing.
    pub fn macro_f1(&self) -> f64 {
        let outputs = self.0.first().map_or(0, |answer| answer.outputs.len());
        let (mut said, mut there, mut both) = (vec![0u64; outputs], vec![0u64; outputs], vec![0u64; outputs]);
        for answer in &self.0 {
            let (given, wanted) = match &answer.target {
                Target::Class(class) => (vec![answer.class()], vec![*class]),
                Target::Labels(labels) => (answer.labels(), labels.clone()),
                Target::Number(_) | Target::Tags(_) => continue,
            };
            given.iter().for_each(|&label| said[label] += 1);
            wanted.iter().for_each(|&label| there[label] += 1);
            given.iter().filter(|label| wanted.contains(label)).for_each(|&label| both[label] += 1);
        }
        let scores: Vec<f64> = (0..outputs)
            .filter(|&label| said[label] + there[label] > 0)
            .map(|label| 2.0 * both[label] as f64 / (said[label] + there[label]) as f64)
            .collect();
        scores.iter().sum::<f64>() / scores.len().max(1) as f64
    }

    /// The numbers that were said and that were to be said.
    fn numbers(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.0.iter().filter_map(|answer| match answer.target {
            Target::Number(number) => Some((f64::from(answer.outputs[0]), number)),
            _ => None,
        })
    }

    /// The correlation of what was said with what was to be said; 0 where one of them is always the same.
    pub fn pearson(&self) -> f64 {
        let n = self.numbers().count().max(1) as f64;
        let (x, y) = self.numbers().fold((0.0, 0.0), |(x, y), (said, wanted)| (x + said / n, y + wanted / n));
        let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
        for (said, wanted) in self.numbers() {
            let (a, b) = (said - x, wanted - y);
            (xx, yy, xy) = (xx + a * a, yy + b * b, xy + a * b);
        }
        let scale = f64::sqrt(xx * yy);
        if scale > 0.0 { xy / scale } else { 0.0 }
    }

    /// The root of the mean squared error.
    pub fn rmse(&self) -> f64 {
        let n = self.numbers().count().max(1) as f64;
        f64::sqrt(self.numbers().map(|(said, wanted)| (said - wanted).powi(2) / n).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-9, "{actual} should be {expected}");
    }

    #[test]
    fn classes_are_counted_and_absent_ones_left_out() {
        let answer = |said: usize, class: usize| {
            let mut outputs = vec![0.0; 4];
            outputs[said] = 1.0;
            Answer { outputs, target: Target::Class(class) }
        };
        // Of class 0: 2 there, 1 found, 1 said. Of class 1: 1 there and found, 2 said. Class 2: 1 there, 1 found, 1 said.
        let answers = Answers(vec![answer(0, 0), answer(1, 0), answer(1, 1), answer(2, 2)]);
        close(answers.accuracy(), 0.75);
        close(answers.macro_f1(), (2.0 / 3.0 + 2.0 / 3.0 + 1.0) / 3.0);
    }

    #[test]
    fn labels_are_right_when_all_of_them_are() {
        let answer = |outputs: [f32; 2], labels: &[usize]| Answer {
            outputs: outputs.to_vec(),
            target: Target::Labels(labels.to_vec()),
        };
        let answers =
            Answers(vec![answer([1.0, -1.0], &[0]), answer([1.0, 2.0], &[0]), answer([-1.0, -1.0], &[])]);
        close(answers.accuracy(), 2.0 / 3.0);
        close(answers.macro_f1(), (1.0 + 0.0) / 2.0);
    }

    #[test]
    fn numbers_correlate_whatever_their_scale_is() {
        let answer = |said: f32, wanted: f64| Answer { outputs: vec![said], target: Target::Number(wanted) };
        let line = Answers(vec![answer(1.0, 10.0), answer(2.0, 30.0), answer(3.0, 50.0)]);
        close(line.pearson(), 1.0);
        let flat = Answers(vec![answer(1.0, 10.0), answer(1.0, 30.0)]);
        close(flat.pearson(), 0.0);
        close(flat.rmse(), f64::sqrt((81.0 + 841.0) / 2.0));
    }
}
