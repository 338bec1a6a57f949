//! What is made of the log-probabilities of answers: which of them is the best one, in one sense or another. Numbers only.

use crate::verbalizer::Verbalizer;

/// In which sense an answer is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// `log P` of what was scored.
    Sum,
    /// The same for each token scored.
    PerToken,
    /// For each character of the answer.
    PerCharacter,
    /// For each byte of it.
    PerByte,
    /// `log P(z | template filled) − log P(z | template with its fields empty)`: how much likelier the input makes the answer.
    Pmi,
    /// Contextual calibration [Zhao 2021, <https://arxiv.org/abs/2102.09690>]: `p / p_cf`, where `p` is normalized over the answers and `p_cf`
    /// is its mean over inputs without content.
    Calibrated,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Sum, Self::PerToken, Self::PerCharacter, Self::PerByte, Self::Pmi, Self::Calibrated];

    /// How it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::PerToken => "per-token",
            Self::PerCharacter => "per-character",
            Self::PerByte => "per-byte",
            Self::Pmi => "pmi",
            Self::Calibrated => "calibrated",
        }
    }
}

/// What inputs without content hold in all their fields, for calibration.
pub const CONTENT_FREE: [&str; 3] = ["N/A", "", "[MASK]"];

/// The answers of one input, with what they are compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerScores {
    /// `log P` of each answer, in nats.
    pub log_probs: Vec<f64>,
    /// How many tokens were scored for each.
    pub tokens: Vec<usize>,
    /// `log P` of each answer where the fields are empty.
    pub null: Vec<f64>,
    /// The probability of each answer among all of them where there is no content.
    pub content_free: Vec<f64>,
}

impl AnswerScores {
    /// The value of each answer; the largest is the best.
    pub fn values(&self, measure: Measure, verbalizer: &Verbalizer) -> Vec<f64> {
        let per = |count: &dyn Fn(usize) -> usize| -> Vec<f64> {
            self.log_probs.iter().enumerate().map(|(i, log_prob)| log_prob / count(i).max(1) as f64).collect()
        };
        let text = |i: usize| &verbalizer.answers()[i].text;
        match measure {
            Measure::Sum => self.log_probs.clone(),
            Measure::PerToken => per(&|i| self.tokens[i]),
            Measure::PerCharacter => per(&|i| text(i).chars().count()),
            Measure::PerByte => per(&|i| text(i).len()),
            Measure::Pmi => {
                self.log_probs.iter().zip(&self.null).map(|(log_prob, null)| log_prob - null).collect()
            }
            Measure::Calibrated => {
                let p = normalized(&self.log_probs);
                // What has probability 0 without content, to the last bit, is as likely as can be told.
                p.iter()
                    .zip(&self.content_free)
                    .map(|(p, cf)| p.ln() - cf.max(f64::MIN_POSITIVE).ln())
                    .collect()
            }
        }
    }

    /// The probability of each label: that of its best answer by its value and weight, among those of all labels. So the likeliest label
    /// is that of the best answer.
    pub fn label_probabilities(&self, measure: Measure, verbalizer: &Verbalizer) -> Vec<f64> {
        let values = self.values(measure, verbalizer);
        let weighted: Vec<f64> = values
            .iter()
            .zip(verbalizer.answers())
            .map(|(value, answer)| value + answer.weight.ln())
            .collect();
        let mut best = vec![f64::NEG_INFINITY; verbalizer.labels().len()];
        for (value, answer) in weighted.iter().zip(verbalizer.answers()) {
            best[answer.label] = best[answer.label].max(*value);
        }
        normalized(&best)
    }
}

/// Probabilities of what has these log-probabilities, if there is nothing else.
pub fn normalized(log_probs: &[f64]) -> Vec<f64> {
    let largest = log_probs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return vec![1.0 / log_probs.len() as f64; log_probs.len()];
    }
    let sum: f64 = log_probs.iter().map(|log_prob| (log_prob - largest).exp()).sum();
    log_probs.iter().map(|log_prob| (log_prob - largest).exp() / sum).collect()
}

/// The mean of the normalized probabilities of several inputs.
pub fn mean_probabilities<'a>(inputs: impl ExactSizeIterator<Item = &'a [f64]>) -> Vec<f64> {
    let count = inputs.len() as f64;
    let mut mean: Vec<f64> = Vec::new();
    for log_probs in inputs {
        mean.resize(log_probs.len(), 0.0);
        mean.iter_mut().zip(normalized(log_probs)).for_each(|(mean, p)| *mean += p / count);
    }
    mean
}

/// The place of the largest value, the first of these.
pub fn best(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbalizer(labels: &[&[(&str, f64)]]) -> Verbalizer {
        let label = |(i, answers): (usize, &&[(&str, f64)])| {
            (i.to_string(), answers.iter().map(|(text, weight)| ((*text).to_owned(), *weight)).collect())
        };
        Verbalizer::new(labels.iter().enumerate().map(label).collect()).expect("labels")
    }

    fn scores(p: &[f64], content_free: &[f64]) -> AnswerScores {
        AnswerScores {
            log_probs: p.iter().map(|p| p.ln()).collect(),
            tokens: vec![2; p.len()],
            null: content_free.iter().map(|p| p.ln()).collect(),
            content_free: content_free.to_vec(),
        }
    }

    #[test]
    fn each_measure_is_what_it_says() {
        let verbalizer = verbalizer(&[&[("so-so", 1.0)], &[("dürr", 1.0)]]);
        let scores = scores(&[0.2, 0.05], &[0.8, 0.2]);
        let values = |measure| scores.values(measure, &verbalizer);
        assert_eq!(values(Measure::Sum), [0.2_f64.ln(), 0.05_f64.ln()]);
        assert_eq!(values(Measure::PerToken), [0.2_f64.ln() / 2.0, 0.05_f64.ln() / 2.0]);
        assert_eq!(values(Measure::PerCharacter), [0.2_f64.ln() / 5.0, 0.05_f64.ln() / 4.0]);
        assert_eq!(values(Measure::PerByte), [0.2_f64.ln() / 5.0, 0.05_f64.ln() / 5.0]);
        assert_eq!(values(Measure::Pmi), [0.2_f64.ln() - 0.8_f64.ln(), 0.05_f64.ln() - 0.2_f64.ln()]);
        // 0.2 and 0.05 are 0.8 and 0.2 of both together: as without content.
        assert!(values(Measure::Calibrated).iter().all(|value| value.abs() < 1e-12));
    }

    #[test]
    fn calibration_takes_the_mean_of_probabilities_not_of_their_logarithms() {
        let inputs = [[0.9_f64.ln(), 0.1_f64.ln()], [0.05_f64.ln(), 0.05_f64.ln()]];
        let mean = mean_probabilities(inputs.iter().map(|input| input.as_slice()));
        assert!((mean[0] - 0.7).abs() < 1e-12 && (mean[1] - 0.3).abs() < 1e-12, "{mean:?}");
    }

    #[test]
    fn a_label_is_as_good_as_its_best_answer() {
        let verbalizer = verbalizer(&[&[("a", 1.0), ("b", 1.0)], &[("c", 1.0)]]);
        let scores = scores(&[0.3, 0.3, 0.4], &[1.0; 3]);
        let labels = scores.label_probabilities(Measure::Sum, &verbalizer);
        assert_eq!(best(&labels), 1, "the best answer decides, not the sum of several");
        assert!((labels[0] - 3.0 / 7.0).abs() < 1e-12);
    }

    #[test]
    fn a_weight_multiplies_the_probability_of_its_answer() {
        let verbalizer = verbalizer(&[&[("a", 0.5)], &[("b", 1.0)]]);
        let labels = scores(&[0.6, 0.4], &[1.0; 2]).label_probabilities(Measure::Sum, &verbalizer);
        assert!((labels[0] - 0.3 / 0.7).abs() < 1e-12, "{labels:?}");
    }

    #[test]
    fn equal_values_go_to_the_first_and_impossible_ones_are_as_good_as_each_other() {
        assert_eq!(best(&[1.0, 1.0]), 0);
        assert_eq!(normalized(&[f64::NEG_INFINITY; 2]), [0.5, 0.5]);
    }
}
