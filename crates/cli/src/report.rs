//! A report of predictions for people: figures, a table of labels, who was taken for whom, the surest mistakes.

use crate::table::{self, Column};
use anyhow::Context;
use firebrand_finetune::report::{Confusion, LabelScores, Mistake, Report, Spread};
use std::path::Path;

/// What a run's report is called.
pub(crate) const FILE: &str = "report.json";
/// Labels that a table of confusions shows at most.
const CONFUSED: usize = 12;
/// Characters of a text that are shown beside a mistake.
const SHOWN: usize = 60;

/// What the report of a run is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// What was held out: the weights were chosen by it.
    HeldOut,
    /// What nothing was chosen by. The weights were, if at all, by what was held out.
    Test { chosen: bool },
}

impl Basis {
    /// What the part is called.
    pub(crate) fn part(self) -> &'static str {
        match self {
            Self::HeldOut => "held-out",
            Self::Test { .. } => "test",
        }
    }

    /// The part that the weights were chosen on; without one they are the last ones.
    pub(crate) fn weights_chosen_on(self) -> Option<&'static str> {
        match self {
            Self::HeldOut | Self::Test { chosen: true } => Some(Self::HeldOut.part()),
            Self::Test { chosen: false } => None,
        }
    }

    fn explained(self) -> &'static str {
        match self {
            Self::HeldOut => {
                "on the held-out part, by which the weights were chosen too: data.test measures on what chooses nothing"
            }
            Self::Test { chosen: true } => {
                "on the test part, which chose nothing; the weights were chosen on the held-out part"
            }
            Self::Test { chosen: false } => {
                "on the test part, which chose nothing; the weights are those of the last step"
            }
        }
    }
}

/// Writes a report into the folder of a run.
pub(crate) fn write(dir: &Path, report: &Report, basis: Basis) -> anyhow::Result<()> {
    let path = dir.join(FILE);
    let mut all = serde_json::to_value(report)?;
    all["part"] = basis.part().into();
    all["weights_chosen_on"] = basis.weights_chosen_on().into();
    let text = serde_json::to_string_pretty(&all)? + "\n";
    firebrand_durable::write(&path, text.as_bytes()).with_context(|| path.display().to_string())
}

/// The lines of a report; `text` says what an example reads, where that is known, and `basis` what the report of a run is made on.
pub(crate) fn lines(
    report: &Report,
    basis: Option<Basis>,
    text: &dyn Fn(usize) -> Option<String>,
) -> Vec<String> {
    let mut lines = vec![headline(report)];
    lines.extend(basis.map(|basis| basis.explained().to_owned()));
    match report {
        Report::Classification(report) => {
            lines.push(String::new());
            lines.extend(labels("label", &report.labels));
            lines.push(String::new());
            lines.extend(confusion(&report.confusion, &names(&report.labels)));
        }
        Report::MultiLabel(report) => {
            lines.push(String::new());
            lines.extend(labels("label", &report.labels));
        }
        Report::Regression(report) => {
            if !report.errors.is_empty() {
                lines.extend([String::new(), "furthest off:".to_owned()]);
            }
            let error = |error: &firebrand_finetune::report::Error| {
                let shown =
                    text(error.example).map_or(String::new(), |text| format!("  {}", shortened(&text)));
                format!("  {:.4} for {:.4}{shown}", error.predicted, error.number)
            };
            lines.extend(report.errors.iter().map(error));
        }
        Report::Tagging(report) => {
            lines.push(String::new());
            match &report.spans {
                Some(spans) => lines.extend(labels("span", &spans.labels)),
                None => lines.extend(labels("tag", &report.tags)),
            }
        }
    }
    lines.extend(mistakes(report.mistakes(), text));
    lines
}

/// One line: how many examples, and the figures that say most.
pub(crate) fn headline(report: &Report) -> String {
    let figures: Vec<String> =
        report.figures().into_iter().map(|(name, value)| format!("{} {value:.4}", shown(name))).collect();
    let examples = report.examples();
    format!("{examples} example{}: {}", if examples == 1 { "" } else { "s" }, figures.join(", "))
}

/// A figure's name for people.
pub(crate) fn shown(name: &str) -> String {
    name.replace('_', " ")
}

/// The figures of several runs, a line each.
pub(crate) fn spreads(spreads: &[Spread]) -> Vec<String> {
    let column = |heading, right, cell: &dyn Fn(&Spread) -> String| {
        Column::new(heading, right, 9, spreads.iter().map(cell).collect())
    };
    table::lines(&[
        column("figure", false, &|spread| shown(&spread.name)),
        column("mean", true, &|spread| format!("{:.4}", spread.mean)),
        column("deviation", true, &|spread| format!("{:.4}", spread.deviation)),
        column("runs", true, &|spread| spread.values.len().to_string()),
    ])
}

fn names(labels: &[LabelScores]) -> Vec<String> {
    labels.iter().map(|label| label.label.clone()).collect()
}

fn labels(heading: &str, labels: &[LabelScores]) -> Vec<String> {
    let column = |heading, right, importance, cell: &dyn Fn(&LabelScores) -> String| {
        Column::new(heading, right, importance, labels.iter().map(cell).collect())
    };
    let score = |score: f64| format!("{score:.4}");
    let columns = vec![
        column(heading, false, 9, &|label| shortened(&label.label)),
        column("precision", true, 6, &|label| score(label.scores.precision)),
        column("recall", true, 7, &|label| score(label.scores.recall)),
        column("f1", true, 8, &|label| score(label.scores.f1)),
        column("examples", true, 5, &|label| label.examples.to_string()),
        column("predicted", true, 4, &|label| label.predicted.to_string()),
    ];
    table::lines(&table::fit(columns, table::terminal_width()).0)
}

/// A row a label, a column a prediction; of many labels the pairs that are confused most.
fn confusion(confusion: &Confusion, names: &[String]) -> Vec<String> {
    let counts = confusion.counts();
    let cells = |column: usize| counts.iter().map(|row| row[column].to_string()).collect();
    let columns: Vec<Column> = std::iter::once(Column::new("label, and predicted", false, 9, names.to_vec()))
        .chain(names.iter().enumerate().map(|(place, name)| Column::new(name, true, 1, cells(place))))
        .collect();
    if names.len() <= CONFUSED {
        let (columns, dropped) = table::fit(columns, table::terminal_width());
        if dropped.is_empty() {
            return table::lines(&columns);
        }
    }
    let mut pairs: Vec<(u64, usize, usize)> = Vec::new();
    for (label, row) in counts.iter().enumerate() {
        let others = row.iter().enumerate().filter(|(predicted, count)| *predicted != label && **count > 0);
        pairs.extend(others.map(|(predicted, &count)| (count, label, predicted)));
    }
    pairs.sort_by_key(|&(count, label, predicted)| (std::cmp::Reverse(count), label, predicted));
    pairs.truncate(CONFUSED);
    let line = |&(count, label, predicted): &(u64, usize, usize)| {
        format!("  {count} × {} taken for {}", names[label], names[predicted])
    };
    std::iter::once("confused most:".to_owned()).chain(pairs.iter().map(line)).collect()
}

fn mistakes(mistakes: &[Mistake], text: &dyn Fn(usize) -> Option<String>) -> Vec<String> {
    if mistakes.is_empty() {
        return Vec::new();
    }
    let line = |mistake: &Mistake| {
        let what = text(mistake.example).unwrap_or_else(|| format!("example {}", mistake.example + 1));
        let Mistake { label, predicted, probability, .. } = mistake;
        format!("  {predicted} {probability:.3}, is {label}: {}", shortened(&what))
    };
    let heading = [String::new(), "surest mistakes:".to_owned()];
    heading.into_iter().chain(mistakes.iter().map(line)).collect()
}

/// The beginning of a text, on one line.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firebrand_finetune::report::{ClassificationReport, RegressionReport, TaggingReport};

    fn classification(labels: usize) -> Report {
        let row = |label: usize| {
            let mut row = vec![0.1 / labels as f64; labels];
            row[label] += 0.9;
            row
        };
        let names: Vec<String> = (0..labels).map(|label| format!("label{label}")).collect();
        let report = ClassificationReport::new(&[row(0), row(1), row(1)], &[0, 1, 0], &names);
        Report::Classification(report)
    }

    #[test]
    fn a_report_shows_figures_labels_confusions_and_mistakes() {
        let found = lines(&classification(2), None, &|example| Some(format!("text\n{example}")));
        assert_eq!(
            found,
            [
                "3 examples: accuracy 0.6667, macro f1 0.6667, matthews 0.5000, calibration error 0.2833, loss 1.0328",
                "",
                "label   precision  recall      f1  examples  predicted",
                "label0     1.0000  0.5000  0.6667         2          1",
                "label1     0.5000  1.0000  0.6667         1          2",
                "",
                "label, and predicted  label0  label1",
                "label0                     1       1",
                "label1                     0       1",
                "",
                "surest mistakes:",
                "  label1 0.950, is label0: text 2",
            ]
        );
    }

    #[test]
    fn of_many_labels_the_pairs_that_are_confused_are_shown() {
        let found = lines(&classification(30), None, &|_| None);
        assert!(found.contains(&"confused most:".to_owned()), "{found:?}");
        assert!(found.contains(&"  1 × label0 taken for label1".to_owned()));
        assert!(found.last().is_some_and(|line| line.ends_with("is label0: example 3")), "{found:?}");
    }

    #[test]
    fn numbers_and_spans_have_reports_too() {
        let report = Report::Regression(RegressionReport::new(&[1.0, 2.0], &[1.0, 4.0]));
        let found = lines(&report, None, &|_| None);
        assert_eq!(found[0], "2 examples: pearson 1.0000, spearman 1.0000, mse 2.0000, mae 1.0000");
        assert_eq!(found[3], "  2.0000 for 4.0000");
        let names = ["B-A", "O"].map(str::to_owned);
        let report = Report::Tagging(TaggingReport::new(&[vec![0, 1]], &[vec![0, 0]], &names));
        let found = lines(&report, None, &|_| None);
        assert!(found[0].starts_with("1 example: span f1 0.6667"), "{found:?}");
        assert!(found[3].starts_with("A     "), "{found:?}");
    }
}
