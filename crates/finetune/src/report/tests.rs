#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;

use super::*;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../tests/golden/report.json")).unwrap()
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

#[track_caller]
fn close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-12, "{what}: {found}, and by scikit-learn {expected}");
}

#[track_caller]
fn scores_are(found: &Scores, expected: &Value, what: &str) {
    close(found.precision, &expected["precision"], what);
    close(found.recall, &expected["recall"], what);
    close(found.f1, &expected["f1"], what);
}

#[track_caller]
fn row_is(found: &LabelScores, expected: &Value) {
    let Scores { precision, recall, f1 } = found.scores;
    for (place, value) in [precision, recall, f1, found.examples as f64].into_iter().enumerate() {
        close(value, &expected[place], &found.label);
    }
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|label| format!("label {label}")).collect()
}

#[test]
fn classification_is_judged_as_by_scikit_learn() {
    for expected in golden()["classification"].as_array().unwrap() {
        let probabilities: Vec<Vec<f64>> = read(&expected["probabilities"]);
        let labels: Vec<usize> = read(&expected["labels"]);
        let report = ClassificationReport::new(&probabilities, &labels, &names(probabilities[0].len()));
        close(report.accuracy, &expected["accuracy"], "accuracy");
        scores_are(&report.macro_scores, &expected["macro"], "macro");
        close(report.matthews, &expected["matthews"], "matthews");
        close(report.loss, &expected["loss"], "loss");
        close(report.calibration.error, &expected["calibration_error"], "calibration error");
        assert_eq!(report.confusion.counts(), read::<Vec<Vec<u64>>>(&expected["confusion"]));
        for (row, expected) in report.labels.iter().zip(expected["per_label"].as_array().unwrap()) {
            row_is(row, expected);
        }
    }
}

#[test]
fn several_labels_are_judged_as_by_scikit_learn() {
    let expected = &golden()["multi_label"];
    let probabilities: Vec<Vec<f64>> = read(&expected["probabilities"]);
    let labels: Vec<Vec<usize>> = read(&expected["labels"]);
    let report = MultiLabelReport::new(&probabilities, &labels, &names(probabilities[0].len()));
    scores_are(&report.micro, &expected["micro"], "micro");
    scores_are(&report.macro_scores, &expected["macro"], "macro");
    close(report.exact, &expected["exact"], "exact");
    close(report.loss, &expected["loss"], "loss");
}

#[test]
fn numbers_are_judged_as_by_scipy() {
    let expected = &golden()["regression"];
    let (predicted, numbers): (Vec<f64>, Vec<f64>) =
        (read(&expected["predicted"]), read(&expected["numbers"]));
    let report = RegressionReport::new(&predicted, &numbers);
    close(report.pearson.unwrap(), &expected["pearson"], "pearson");
    close(report.spearman.unwrap(), &expected["spearman"], "spearman");
    close(report.mean_squared_error, &expected["mse"], "mse");
    close(report.mean_absolute_error, &expected["mae"], "mae");
    close(report.r_squared.unwrap(), &expected["r2"], "r2");
}

#[test]
fn tags_and_spans_are_judged_as_by_seqeval() {
    let expected = &golden()["tagging"];
    let (predicted, tags): (Vec<Vec<usize>>, Vec<Vec<usize>>) =
        (read(&expected["predicted"]), read(&expected["tags"]));
    let names: Vec<String> = read(&expected["names"]);
    let report = TaggingReport::new(&predicted, &tags, &names);
    close(report.accuracy, &expected["accuracy"], "accuracy");
    close(report.macro_scores.f1, &expected["macro_f1"], "macro f1");
    let spans = report.spans.unwrap();
    for (scores, expected) in [(&spans.micro, &expected["micro"]), (&spans.macro_scores, &expected["macro"])]
    {
        close(scores.precision, &expected[0], "precision");
        close(scores.recall, &expected[1], "recall");
        close(scores.f1, &expected[2], "f1");
    }
    for row in &spans.labels {
        row_is(row, &expected["spans"][&row.label]);
    }
}

/// Six examples by hand: labels a a a b b c, predicted a a b b b a.
fn by_hand() -> ClassificationReport {
    let sure = |label: usize, probability: f64| {
        let mut row = vec![(1.0 - probability) / 2.0; 3];
        row[label] = probability;
        row
    };
    let probabilities = [sure(0, 0.9), sure(0, 0.6), sure(1, 0.8), sure(1, 0.7), sure(1, 0.5), sure(0, 0.95)];
    ClassificationReport::new(&probabilities, &[0, 0, 0, 1, 1, 2], &["a".into(), "b".into(), "c".into()])
}

#[test]
fn a_report_of_six_examples_is_the_one_by_hand() {
    let report = by_hand();
    assert_eq!(report.confusion.counts(), [[2, 1, 0], [0, 2, 0], [1, 0, 0]]);
    assert_eq!(report.accuracy, 4.0 / 6.0);
    // a: two of three predictions and two of three examples; b: two of three, two of two; c: nothing.
    let f1: Vec<f64> = report.labels.iter().map(|label| label.scores.f1).collect();
    assert_eq!(f1, [2.0 / 3.0, 0.8, 0.0]);
    assert!((report.macro_scores.f1 - (2.0 / 3.0 + 0.8) / 3.0).abs() < 1e-15);
    // right · n − Σ there · predicted = 24 − (9 + 6 + 0); n² − Σ there² = 36 − 14; n² − Σ predicted² = 36 − 18.
    assert!((report.matthews - 9.0 / (22.0_f64 * 18.0).sqrt()).abs() < 1e-15);
    let nats = -(0.9_f64.ln() + 0.6_f64.ln() + 0.1_f64.ln() + 0.7_f64.ln() + 0.5_f64.ln() + 0.025_f64.ln());
    assert!((report.loss - nats / 6.0).abs() < 1e-12);
    // Each is alone in its bin: 0.1 + 0.4 + 0.8 + 0.3 + 0.5 for those below 14/15, 0.95 for the last.
    assert!((report.calibration.error - (0.1 + 0.4 + 0.8 + 0.3 + 0.5 + 0.95) / 6.0).abs() < 1e-12);
    let mistakes: Vec<_> = report
        .mistakes
        .iter()
        .map(|mistake| (mistake.example, &*mistake.label, &*mistake.predicted))
        .collect();
    assert_eq!(mistakes, [(5, "c", "a"), (2, "a", "b")], "the surest first");
}

#[test]
fn what_is_constant_correlates_with_nothing() {
    assert_eq!(pearson(&[1.0, 2.0], &[0.1, 0.1]), None);
    assert_eq!(spearman(&[], &[]), None);
    assert_eq!(pearson(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), Some(1.0));
    let report = RegressionReport::new(&[1.0, 1.0], &[1.0, 2.0]);
    assert_eq!(report.figures(), [("mse", 0.5), ("mae", 0.5)]);
    let constant = ClassificationReport::new(&[vec![1.0, 0.0], vec![0.9, 0.1]], &[0, 1], &names(2));
    assert_eq!(constant.matthews, 0.0);
}

#[test]
fn a_probability_of_nothing_is_a_finite_loss() {
    let report = ClassificationReport::new(&[vec![1.0, 0.0]], &[1], &names(2));
    assert!(report.loss.is_finite() && report.loss > 700.0, "{}", report.loss);
    assert_eq!(report.calibration.bins[0].up_to, 1.0);
}

#[test]
fn a_report_is_json_and_back() {
    let report = Report::Classification(by_hand());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["task"], "classification");
    assert_eq!(json["labels"][1]["f1"], 0.8);
    assert_eq!(json["confusion"][0][1], 1);
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}

#[test]
fn figures_of_several_runs_have_mean_and_deviation() {
    let spread = Spread::new("accuracy", vec![0.8, 0.9, 1.0]);
    assert!((spread.mean - 0.9).abs() < 1e-15 && (spread.deviation - 0.1).abs() < 1e-15);
    assert_eq!(Spread::new("accuracy", vec![0.8]).deviation, 0.0);
    let reports = [Report::Classification(by_hand()), Report::Classification(by_hand())];
    let spreads = spreads(&reports);
    assert_eq!((spreads.len(), &*spreads[0].name, spreads[0].deviation), (5, "accuracy", 0.0));
}
