//! One measured figure beside its peer's and its target, as JSON and as a row of a table.

use serde::Serialize;

use crate::machine;

/// One figure. Its fields are what `--json` prints, one figure a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    /// The benchmark's name.
    pub(super) bench: &'static str,
    /// What was measured, such as `gpt2-11m`.
    pub(super) case: String,
    /// The median of all rounds.
    pub(super) value: f64,
    /// The unit of `value` and `peer_value`.
    pub(super) unit: &'static str,
    /// What else did the same work, if it could run here.
    pub(super) peer: Option<&'static str>,
    /// The peer's median.
    pub(super) peer_value: Option<f64>,
    /// `value / peer_value`.
    pub(super) ratio: Option<f64>,
    /// The number to reach: see `target_is`.
    pub(super) target: Option<f64>,
    /// What `target` bounds, and from which side.
    pub(super) target_is: Option<TargetIs>,
    /// Whether the target is reached; unknown without the peer that it needs.
    pub(super) met: Option<bool>,
    /// The number that is wished for, beyond the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) goal: Option<f64>,
}

/// What a target bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TargetIs {
    /// `ratio` is to be at least the target.
    LeastRatio,
    /// `ratio` is to be at most the target.
    MostRatio,
    /// `value` is to be at least the target.
    LeastValue,
    /// `value` is to be at most the target.
    MostValue,
}

impl Figure {
    /// A figure from the values of all rounds; `None` when there is none.
    pub(super) fn new(bench: &'static str, case: &str, unit: &'static str, values: &[f64]) -> Option<Self> {
        let value = median(values)?;
        let case = case.to_owned();
        let none = (None, None, None);
        let (peer, peer_value, ratio) = none;
        Some(Self {
            bench,
            case,
            value,
            unit,
            peer,
            peer_value,
            ratio,
            target: None,
            target_is: None,
            met: None,
            goal: None,
        })
    }

    /// Beside what a peer reached, if it ran.
    pub(super) fn beside(mut self, peer: &'static str, values: &[f64]) -> Self {
        if let Some(peer_value) = median(values) {
            self.peer = Some(peer);
            self.peer_value = Some(peer_value);
            self.ratio = Some(self.value / peer_value);
        }
        self
    }

    /// With a number to reach. Comes after [`Figure::beside`].
    pub(super) fn with_target(mut self, target_is: TargetIs, target: f64) -> Self {
        self.target = Some(target);
        self.target_is = Some(target_is);
        self.met = self.reaches(target);
        self
    }

    /// With a number beyond the target. Comes after [`Figure::with_target`].
    pub(super) fn with_goal(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Whether a number of the target's kind is reached; unknown without the peer that it needs.
    fn reaches(&self, number: f64) -> Option<bool> {
        match self.target_is? {
            TargetIs::LeastRatio => self.ratio.map(|ratio| ratio >= number),
            TargetIs::MostRatio => self.ratio.map(|ratio| ratio <= number),
            TargetIs::LeastValue => Some(self.value >= number),
            TargetIs::MostValue => Some(self.value <= number),
        }
    }

    fn target_cell(&self) -> String {
        let (Some(target), Some(target_is)) = (self.target, self.target_is) else { return String::new() };
        let bound = match target_is {
            TargetIs::LeastRatio => format!("≥ {} ×", number(target)),
            TargetIs::MostRatio => format!("≤ {} ×", number(target)),
            TargetIs::LeastValue => format!("≥ {}", number(target)),
            TargetIs::MostValue => format!("≤ {}", number(target)),
        };
        let met = match self.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "no peer",
        };
        let goal = match self.goal.map(|goal| (number(goal), self.reaches(goal))) {
            Some((goal, Some(true))) => format!(", goal {goal} met"),
            Some((goal, _)) => format!(", goal {goal}"),
            None => String::new(),
        };
        format!("{bound} {met}{goal}")
    }

    fn cells(&self) -> [String; 7] {
        [
            self.bench.to_owned(),
            self.case.clone(),
            number(self.value),
            self.unit.to_owned(),
            self.peer
                .zip(self.peer_value)
                .map_or_else(String::new, |(peer, value)| format!("{} ({peer})", number(value))),
            self.ratio.map_or_else(String::new, ratio),
            self.target_cell(),
        ]
    }
}

const HEADER: [&str; 7] = ["bench", "case", "value", "unit", "peer", "ratio", "target"];

/// The figures in aligned columns, for a terminal.
pub(super) fn table(figures: &[Figure]) -> String {
    let rows: Vec<[String; 7]> =
        [HEADER.map(str::to_owned)].into_iter().chain(figures.iter().map(Figure::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The figures as a table for `BENCHMARKS.md`, under a line that says where they were measured.
pub(super) fn markdown(figures: &[Figure], commit: &str) -> String {
    let row = |cells: &[String; 7]| format!("| {} |", cells.join(" | "));
    let mut lines = vec![format!("Commit {commit}, {}.", machine::processor()), String::new()];
    lines.push(row(&HEADER.map(str::to_owned)));
    lines.push("|---|---|---:|---|---:|---:|---|".to_owned());
    lines.extend(figures.iter().map(|figure| row(&figure.cells())));
    lines.join("\n")
}

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// A ratio with two decimals, or those that a small one needs.
fn ratio(ratio: f64) -> String {
    if ratio == 0.0 || ratio >= 0.1 { format!("{ratio:.2}") } else { format!("{ratio:.4}") }
}

/// A number with the digits that mean something: `2,310`, `47.3`, `1.893`.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => with_thousands(value),
        medium if medium >= 10.0 => format!("{value:.1}"),
        small if small == small.trunc() => format!("{value}"),
        _ => {
            let digits = format!("{value:.3}");
            digits.trim_end_matches('0').to_owned()
        }
    }
}

fn with_thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let starts_group = |index: usize| {
        index > 0 && (digits.len() - index).is_multiple_of(3) && !digits[..index].ends_with('-')
    };
    let grouped = digits
        .char_indices()
        .flat_map(|(index, digit)| starts_group(index).then_some(',').into_iter().chain([digit]));
    grouped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed() -> Figure {
        let figure =
            Figure::new("train", "gpt2-11m", "tokens/s", &[1900.0, 2100.0, 2000.0]).expect("it has values");
        figure.beside("PyTorch", &[2500.0, 2400.0, 2600.0]).with_target(TargetIs::LeastRatio, 0.8)
    }

    #[test]
    fn a_figure_is_a_median_beside_its_peer_and_a_target() {
        let figure = speed();
        assert_eq!(
            (figure.value, figure.peer_value, figure.ratio, figure.met),
            (2000.0, Some(2500.0), Some(0.8), Some(true))
        );
        let json = serde_json::to_string(&figure).expect("it serializes");
        let expected = "{\"bench\":\"train\",\"case\":\"gpt2-11m\",\"value\":2000.0,\"unit\":\"tokens/s\",\"peer\":\"PyTorch\",\
            \"peer_value\":2500.0,\"ratio\":0.8,\"target\":0.8,\"target_is\":\"least-ratio\",\"met\":true}";
        assert_eq!(json, expected);
    }

    #[test]
    fn without_its_peer_a_ratio_is_neither_met_nor_missed() {
        let alone = Figure::new("train", "gpt2-11m", "tokens/s", &[1.0]).expect("it has a value");
        let alone = alone.beside("PyTorch", &[]).with_target(TargetIs::LeastRatio, 0.8);
        assert_eq!((alone.peer, alone.ratio, alone.met), (None, None, None));
        let loss = Figure::new("shakespeare", "gpt2", "nats", &[1.91]).expect("it has a value");
        assert_eq!(loss.with_target(TargetIs::MostValue, 1.9).met, Some(false));
        assert_eq!(Figure::new("train", "none", "tokens/s", &[]), None);
    }

    #[test]
    fn a_bound_from_above_and_a_goal_are_said() {
        let faults = Figure::new("train", "gpt2-11m", "faults/step", &[12.0]).expect("it has a value");
        let faults = faults.beside("plain allocator", &[80_000.0]).with_target(TargetIs::MostRatio, 0.01);
        assert_eq!((faults.met, faults.target_cell()), (Some(true), "≤ 0.01 × met".to_owned()));
        let cell = |goal| speed().with_goal(goal).target_cell();
        assert_eq!(
            (cell(2.5).as_str(), cell(0.8).as_str()),
            ("≥ 0.8 × met, goal 2.5", "≥ 0.8 × met, goal 0.8 met")
        );
        assert_eq!((ratio(0.00015), ratio(0.0), ratio(2.1)), ("0.0001".into(), "0.00".into(), "2.10".into()));
    }

    #[test]
    fn tables_line_up() {
        let expected = "\
bench  case      value  unit      peer             ratio  target
train  gpt2-11m  2,000  tokens/s  2,500 (PyTorch)  0.80   ≥ 0.8 × met";
        assert_eq!(table(&[speed()]), expected);
        let markdown = markdown(&[speed()], "abc1234");
        assert!(markdown.starts_with("Commit abc1234, "), "{markdown}");
        assert!(
            markdown.ends_with(
                "\n| train | gpt2-11m | 2,000 | tokens/s | 2,500 (PyTorch) | 0.80 | ≥ 0.8 × met |"
            )
        );
    }

    #[test]
    fn numbers_show_what_they_mean() {
        let shown = [0.0, 0.8, 1.8934, 2.0, 47.26, 999.96, 1234.4, 1_234_567.0].map(number);
        assert_eq!(shown, ["0", "0.8", "1.893", "2", "47.3", "1000.0", "1,234", "1,234,567"]);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
