//! A task's results, of one run or several.

use super::answers::Answers;
use super::metrics::{Better, Metric, metrics, of_groups};
use crate::statistics::{Bootstrap, Interval, Paired};
use serde::Serialize;

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskReport {
    /// Its name.
    pub task: String,
    /// Its kind.
    pub kind: &'static str,
    /// How many examples were answered.
    pub examples: usize,
    /// The metric that counts most first.
    pub metrics: Vec<MetricReport>,
    /// The first metric by group, where there are groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupReport>,
}

/// A metric of some of the examples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupReport {
    /// What they have in common.
    pub group: String,
    /// How many there are.
    pub examples: usize,
    /// The metric.
    #[serde(flatten)]
    pub metric: MetricReport,
}

/// A metric of every run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricReport {
    /// Its name.
    pub metric: String,
    /// Which way is up.
    pub better: Better,
    /// What guessing gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// One a run, in order; none of a run whose kind of model has no such figure, or whose ids have no bytes to count.
    pub runs: Vec<Option<Value>>,
}

/// A figure of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Value {
    /// On all examples.
    pub value: f64,
    /// The ends of its interval; absent with fewer than two examples.
    pub low: Option<f64>,
    /// The same.
    pub high: Option<f64>,
    /// How it differs from the first run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// A run's figure less the first run's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// On all examples.
    pub value: f64,
    /// The ends of its interval, by resamples that are the same for both runs.
    pub low: Option<f64>,
    /// The same.
    pub high: Option<f64>,
    /// How likely a difference as large is if there is none; absent where no test suits.
    pub p: Option<f64>,
    /// The test.
    pub test: Option<&'static str>,
}

/// The report of a task that every run has answered, one run after the other.
///
/// # Panics
/// If runs answered other numbers of examples: these are not the same examples.
pub fn report(task: &str, kind: &'static str, runs: &[Answers], bootstrap: &Bootstrap) -> TaskReport {
    let examples = runs.first().map_or(0, Answers::len);
    assert!(runs.iter().all(|answers| answers.len() == examples), "all runs answer the same examples");
    let of_runs: Vec<Vec<Metric>> = runs.iter().map(metrics).collect();
    // Those of the first run in its order, then what only others have: of an encoder and a decoder each shows its own.
    let mut names: Vec<&str> = Vec::new();
    for metric in of_runs.iter().flatten() {
        if !names.contains(&metric.name.as_str()) {
            names.push(&metric.name);
        }
    }
    let found = |name: &str| -> MetricReport {
        let of_run = |run: &'_ [Metric]| run.iter().position(|metric| metric.name == name);
        let metrics: Vec<Option<&Metric>> =
            of_runs.iter().map(|run| of_run(run).map(|at| &run[at])).collect();
        compare(&metrics, bootstrap)
    };
    let groups: Vec<Vec<(String, Metric)>> = runs.iter().map(of_groups).collect();
    let group = |i: usize| {
        let of_runs: Vec<Option<&Metric>> = groups.iter().map(|groups| Some(&groups[i].1)).collect();
        let (name, first) = &groups[0][i];
        GroupReport {
            group: name.clone(),
            examples: first.statistic.len(),
            metric: compare(&of_runs, bootstrap),
        }
    };
    TaskReport {
        task: task.into(),
        kind,
        examples,
        metrics: names.into_iter().map(found).collect(),
        groups: (0..groups.first().map_or(0, Vec::len)).map(group).collect(),
    }
}

/// One metric of the runs that have it. Where the first run has not, there is nothing to compare the others with.
fn compare(all: &[Option<&Metric>], bootstrap: &Bootstrap) -> MetricReport {
    let runs: Vec<&Metric> = all.iter().flatten().copied().collect();
    let first = runs[0];
    let is_compared = all[0].is_some();
    let statistics: Vec<_> = runs.iter().map(|metric| &metric.statistic).collect();
    let many = first.statistic.len() > 1;
    let replicates: Vec<Vec<f64>> = match many {
        true => bootstrap.replicates(&statistics),
        false => vec![Vec::new(); runs.len()],
    };
    let figures = |metric: &Metric, replicates: &[f64]| -> Vec<f64> {
        replicates.iter().map(|&value| metric.figure(value)).collect()
    };
    let shown: Vec<Vec<f64>> =
        runs.iter().zip(&replicates).map(|(metric, replicates)| figures(metric, replicates)).collect();
    let ends = |interval: Option<Interval>| (interval.map(|ends| ends.low), interval.map(|ends| ends.high));
    let value_of = |metric: &Metric| metric.figure(metric.statistic.value());
    let difference = |i: usize| {
        let less_first: Vec<f64> =
            shown[i].iter().zip(&shown[0]).map(|(value, first)| value - first).collect();
        let (low, high) = ends(bootstrap.interval(&less_first));
        let paired = Paired::of(&first.statistic, statistics[i], bootstrap.seed, bootstrap.resamples);
        Difference {
            value: value_of(runs[i]) - value_of(first),
            low,
            high,
            p: paired.map(|paired| paired.p),
            test: paired.map(|paired| paired.test.name()),
        }
    };
    let value = |i: usize| {
        let (low, high) = ends(bootstrap.interval(&shown[i]));
        let difference = (i > 0 && is_compared).then(|| difference(i));
        Value { value: value_of(runs[i]), low, high, difference }
    };
    let mut values = (0..runs.len()).map(value);
    MetricReport {
        metric: first.name.clone(),
        better: first.better,
        chance: first.chance,
        runs: all.iter().map(|run| run.and_then(|_| values.next())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::answers::{ClozeAnswer, PairAnswer, Scored, TextAnswer};
    use super::*;

    fn of(metric: &MetricReport, run: usize) -> &Value {
        metric.runs[run].as_ref().expect("a figure")
    }

    const BOOTSTRAP: Bootstrap = Bootstrap { seed: 0, resamples: 500, confidence: 0.9 };

    fn cloze(right: &str) -> Answers {
        let scored = Scored { log_likelihood: -1.0, tokens: 1 };
        Answers::Cloze(right.chars().map(|c| ClozeAnswer { scored, greedy: c == '+' }).collect())
    }

    #[test]
    fn runs_are_compared_with_the_first_on_the_same_examples() {
        let report = report(
            "words",
            "cloze",
            &[cloze("++--------"), cloze("++++++++--"), cloze("++--------")],
            &BOOTSTRAP,
        );
        let accuracy = &report.metrics[0];
        assert_eq!([0, 1, 2].map(|run| of(accuracy, run).value), [0.2, 0.8, 0.2]);
        assert_eq!(of(accuracy, 0).difference, None);
        let better = of(accuracy, 1).difference.as_ref().expect("a difference");
        assert!((better.value - 0.6).abs() < 1e-12 && better.low.is_some_and(|low| low > 0.2), "{better:?}");
        assert_eq!(better.test, Some("McNemar, exact"));
        assert!(better.p.is_some_and(|p| (p - 2.0 / 64.0).abs() < 1e-12), "{better:?}");
        let same = of(accuracy, 2).difference.as_ref().expect("a difference");
        assert_eq!(
            (same.low, same.high, same.p),
            (Some(0.0), Some(0.0), Some(1.0)),
            "the same examples are drawn for both"
        );
    }

    #[test]
    fn tokens_of_other_tokenizers_are_not_tested_and_bytes_are() {
        let texts = |tokens: usize| {
            let text = |i: usize| TextAnswer {
                scored: Scored { log_likelihood: -(10.0 + (i * tokens % 3) as f64), tokens: tokens + i },
                bytes: 20,
                floor: None,
            };
            Answers::Texts((0..8).map(text).collect())
        };
        let report = report("t", "perplexity", &[texts(5), texts(7)], &BOOTSTRAP);
        let p = |metric: usize| of(&report.metrics[metric], 1).difference.as_ref().expect("a difference").p;
        assert_eq!(
            (report.metrics[0].metric.as_str(), report.metrics[1].metric.as_str()),
            ("bits per byte", "perplexity")
        );
        assert!(p(0).is_some() && p(1).is_none());
    }

    #[test]
    fn one_example_has_no_interval() {
        let report = report("words", "cloze", &[cloze("+"), cloze("-")], &BOOTSTRAP);
        let second = of(&report.metrics[0], 1);
        assert_eq!((second.low, second.value), (None, 0.0));
    }

    #[test]
    fn what_only_some_runs_have_is_shown_of_these() {
        let text = |nats: f64| TextAnswer {
            scored: Scored { log_likelihood: -nats, tokens: 5 },
            bytes: 20,
            floor: None,
        };
        let texts = |nats: f64| vec![text(nats), text(nats + 1.0)];
        let decoder = |nats| Answers::Texts(texts(nats));
        let runs = [Answers::PseudoTexts(texts(3.0)), decoder(10.0), decoder(12.0)];
        let report = report("t", "perplexity", &runs, &BOOTSTRAP);
        let there: Vec<(&str, [bool; 3])> = report
            .metrics
            .iter()
            .map(|metric| (metric.metric.as_str(), [0, 1, 2].map(|run| metric.runs[run].is_some())))
            .collect();
        let decoders = [false, true, true];
        let wanted = [
            ("pseudo-perplexity", [true, false, false]),
            ("bits per byte", decoders),
            ("perplexity", decoders),
        ];
        assert_eq!(there, wanted);
        assert!(of(&report.metrics[2], 1).value < of(&report.metrics[2], 2).value);
        assert_eq!(of(&report.metrics[2], 2).difference, None, "the first run has nothing to differ from");
    }

    #[test]
    fn groups_have_figures_of_their_own() {
        let scored = |log_likelihood| Scored { log_likelihood, tokens: 4 };
        let pair =
            |group: &str, good| PairAnswer { group: group.into(), good: scored(good), bad: scored(-2.0) };
        let pairs = Answers::Pairs(vec![pair("a", -1.0), pair("a", -3.0), pair("b", -1.0)]);
        let report = report("pairs", "minimal-pairs", &[pairs], &BOOTSTRAP);
        let groups: Vec<(&str, usize, f64)> = report
            .groups
            .iter()
            .map(|group| (group.group.as_str(), group.examples, of(&group.metric, 0).value))
            .collect();
        assert_eq!(groups, [("a", 2, 0.5), ("b", 1, 1.0)]);
        let json = serde_json::to_value(&report).expect("plain values");
        assert_eq!(json["groups"][1]["runs"][0]["value"], 1.0);
    }
}
