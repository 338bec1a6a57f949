//! What answers are worth.

use super::answers::{Answers, ChoiceAnswer, LabelAnswer, PairAnswer};
use crate::statistics::Statistic;
use serde::Serialize;
use std::f64::consts::LN_2;

/// A figure of merit.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name, such as `accuracy`.
    pub name: String,
    /// What it is of the examples.
    pub statistic: Statistic,
    /// How the statistic becomes the figure.
    pub shown: Shown,
    /// Which way is up.
    pub better: Better,
    /// What guessing gives, where it is known.
    pub chance: Option<f64>,
}

/// How a statistic becomes a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// As it is.
    Plain,
    /// Its exponential: a perplexity, of nats a token.
    Exponential,
}

/// Which values are the better ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Accuracies.
    Higher,
    /// Losses.
    Lower,
}

impl Metric {
    fn accuracy(name: &str, right: impl IntoIterator<Item = bool>, chance: Option<f64>) -> Self {
        let statistic = Statistic::accuracy(right);
        Self { name: name.into(), statistic, shown: Shown::Plain, better: Better::Higher, chance }
    }

    fn lower(name: &str, shown: Shown, numerators: Vec<f64>, denominators: Vec<f64>) -> Self {
        let statistic = Statistic::Ratio { numerators, denominators };
        Self { name: name.into(), statistic, shown, better: Better::Lower, chance: None }
    }

    /// The figure that a value of the statistic is.
    pub fn figure(&self, value: f64) -> f64 {
        match self.shown {
            Shown::Plain => value,
            Shown::Exponential => value.exp(),
        }
    }
}

/// The metrics of some answers, the one that counts most first.
pub fn metrics(answers: &Answers) -> Vec<Metric> {
    match answers {
        Answers::Texts(texts) => {
            let nats = || texts.iter().map(|text| -text.scored.log_likelihood).collect::<Vec<f64>>();
            let bits = |nats: f64| nats / LN_2;
            let bytes: Vec<f64> = texts.iter().map(|text| text.bytes as f64).collect();
            let tokens: Vec<f64> = texts.iter().map(|text| text.scored.tokens as f64).collect();
            let mut metrics = Vec::new();
            if bytes.iter().sum::<f64>() > 0.0 {
                let of_texts = nats().into_iter().map(bits).collect();
                metrics.push(Metric::lower("bits per byte", Shown::Plain, of_texts, bytes.clone()));
            }
            metrics.push(Metric::lower("perplexity", Shown::Exponential, nats(), tokens));
            if let Some(floor) = texts.iter().map(|text| text.floor.map(bits)).collect::<Option<Vec<f64>>>() {
                let above =
                    nats().into_iter().map(bits).zip(floor).map(|(nats, floor)| nats - floor).collect();
                metrics.push(Metric::lower("bits above floor", Shown::Plain, above, bytes));
            }
            metrics
        }
        Answers::PseudoTexts(texts) => {
            let nats = texts.iter().map(|text| -text.scored.log_likelihood).collect();
            let tokens = texts.iter().map(|text| text.scored.tokens as f64).collect();
            vec![Metric::lower("pseudo-perplexity", Shown::Exponential, nats, tokens)]
        }
        Answers::Pairs(pairs) => vec![of_pairs(pairs.iter())],
        Answers::Choices(choices) => {
            let chance = choices.iter().map(|choice| 1.0 / choice.choices.len() as f64).sum::<f64>();
            let chance = Some(chance / choices.len() as f64);
            let accuracy = |name: &str, is_right: &dyn Fn(&ChoiceAnswer) -> bool| {
                Metric::accuracy(name, choices.iter().map(is_right), chance)
            };
            vec![
                accuracy("accuracy", &|choice| choice.is_right(|_| 1.0)),
                accuracy("accuracy, per token", &|choice| {
                    choice.is_right(|choice| choice.0.tokens.max(1) as f64)
                }),
                accuracy("accuracy, per byte", &|choice| choice.is_right(|choice| choice.1.max(1) as f64)),
            ]
        }
        Answers::Cloze(words) => {
            let nats = words.iter().map(|word| -word.scored.log_likelihood).collect();
            vec![
                Metric::accuracy("accuracy", words.iter().map(|word| word.greedy), None),
                Metric::lower("word perplexity", Shown::Exponential, nats, vec![1.0; words.len()]),
            ]
        }
        Answers::Labels { labels, measures, answers } => {
            let chance = Some(1.0 / labels.len() as f64);
            let accuracy = |(i, measure): (usize, &&str)| {
                let name = if i == 0 { "accuracy".to_owned() } else { format!("accuracy, {measure}") };
                Metric::accuracy(&name, answers.iter().map(|answer| answer.chosen[i] == answer.right), chance)
            };
            let mut metrics: Vec<Metric> = measures.iter().enumerate().map(accuracy).collect();
            metrics.insert(metrics.len().min(1), macro_f1(labels.len(), answers));
            metrics
        }
    }
}

fn macro_f1(classes: usize, answers: &[LabelAnswer]) -> Metric {
    let truth = answers.iter().map(|answer| answer.right).collect();
    let chosen = answers.iter().map(|answer| answer.chosen[0]).collect();
    let statistic = Statistic::MacroF1 { truth, chosen, classes };
    Metric { name: "macro F1".into(), statistic, shown: Shown::Plain, better: Better::Higher, chance: None }
}

fn of_pairs<'a>(pairs: impl Iterator<Item = &'a PairAnswer>) -> Metric {
    Metric::accuracy("accuracy", pairs.map(PairAnswer::is_right), Some(0.5))
}

/// The first metric of each group, in the order in which groups come; nothing where there is one group or none.
pub fn of_groups(answers: &Answers) -> Vec<(String, Metric)> {
    let Answers::Pairs(pairs) = answers else { return Vec::new() };
    let mut names: Vec<&str> = Vec::new();
    for pair in pairs {
        if !names.contains(&pair.group.as_str()) {
            names.push(&pair.group);
        }
    }
    if names.len() < 2 {
        return Vec::new();
    }
    let metric = |name: &str| of_pairs(pairs.iter().filter(|pair| pair.group == name));
    names.into_iter().map(|name| (name.to_owned(), metric(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::answers::{ClozeAnswer, Scored, TextAnswer};
    use super::*;

    fn scored(log_likelihood: f64, tokens: usize) -> Scored {
        Scored { log_likelihood, tokens }
    }

    fn values(answers: &Answers) -> Vec<(String, f64)> {
        metrics(answers)
            .into_iter()
            .map(|metric| (metric.name.clone(), metric.figure(metric.statistic.value())))
            .collect()
    }

    #[test]
    fn texts_count_by_bytes_and_by_tokens_of_all_together() {
        let text = |nats: f64, tokens, bytes, floor| TextAnswer {
            scored: scored(-nats * LN_2, tokens),
            bytes,
            floor,
        };
        let texts = Answers::Texts(vec![text(8.0, 2, 4, None), text(4.0, 1, 8, None)]);
        let found = values(&texts);
        assert_eq!(found[0], ("bits per byte".into(), 1.0));
        assert!((found[1].1 - 16.0).abs() < 1e-9, "2^(12 / 3): {found:?}");
        assert_eq!(found.len(), 2, "no floor is known of one");
        let known =
            Answers::Texts(vec![text(8.0, 2, 4, Some(5.0 * LN_2)), text(4.0, 1, 8, Some(1.0 * LN_2))]);
        assert_eq!(values(&known)[2], ("bits above floor".into(), 0.5));
    }

    #[test]
    fn of_equals_no_sentence_is_preferred_and_groups_are_kept_apart() {
        let pair = |group: &str, good, bad| PairAnswer {
            group: group.into(),
            good: scored(good, 3),
            bad: scored(bad, 3),
        };
        let pairs = Answers::Pairs(vec![pair("b", -1.0, -2.0), pair("a", -2.0, -2.0), pair("b", -3.0, -2.0)]);
        assert_eq!(values(&pairs), [("accuracy".into(), 1.0 / 3.0)]);
        let groups: Vec<(String, f64)> =
            of_groups(&pairs).into_iter().map(|(name, metric)| (name, metric.statistic.value())).collect();
        assert_eq!(groups, [("b".into(), 0.5), ("a".into(), 0.0)]);
    }

    #[test]
    fn long_answers_are_weighed_by_their_length_too() {
        let choices = Answers::Choices(vec![ChoiceAnswer {
            choices: vec![(scored(-4.0, 1), 8), (scored(-6.0, 3), 6)],
            right: 1,
        }]);
        let expected = [("accuracy", 0.0), ("accuracy, per token", 1.0), ("accuracy, per byte", 0.0)];
        assert_eq!(values(&choices), expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn a_word_counts_as_one_however_many_tokens_it_has() {
        let word = |nats: f64, tokens, greedy| ClozeAnswer { scored: scored(-nats, tokens), greedy };
        let found = values(&Answers::Cloze(vec![word(2.0, 3, true), word(4.0, 1, false)]));
        assert_eq!(found[0].1, 0.5);
        assert!((found[1].1 - 3.0_f64.exp()).abs() < 1e-9);
    }

    #[test]
    fn labels_are_judged_by_each_measure() {
        let answer = |right, chosen: [usize; 2]| LabelAnswer {
            right,
            chosen: chosen.into(),
            log_likelihoods: Vec::new(),
        };
        let answers = Answers::Labels {
            labels: vec!["no".into(), "yes".into()],
            measures: vec!["sum", "calibrated"],
            answers: vec![answer(0, [1, 0]), answer(1, [1, 1])],
        };
        let found = values(&answers);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["accuracy", "macro F1", "accuracy, calibrated"]);
        assert_eq!((found[0].1, found[2].1), (0.5, 1.0));
    }
}
