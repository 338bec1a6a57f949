//! Several runs: a table, the best first, and what is different about them.

use super::differences;
use super::record::{Record, State};
use super::sparkline::{on_scale, range};
use crate::args::RunOrder;
use crate::output::{duration, line, thousands};
use crate::table::{self, Column, shorten};

/// How wide a curve is.
const CURVE: usize = 12;

/// What runs are compared by.
fn score(record: &Record, by_bits: bool) -> Option<f64> {
    if by_bits { record.bits_per_byte() } else { record.best() }
}

/// Whether not all runs have the same tokenizer: a loss by token says nothing then.
fn tokenizers_differ(records: &[Record]) -> bool {
    let mut hashes = records.iter().filter_map(|record| Some(&record.run.as_ref()?.tokenizer_sha256));
    let first = hashes.next();
    hashes.any(|hash| Some(hash) != first)
}

fn data_differ(records: &[Record]) -> bool {
    let mut keys = records.iter().filter_map(|record| Some(&record.run.as_ref()?.data_key));
    let first = keys.next();
    keys.any(|key| Some(key) != first)
}

/// Puts runs in order; those that lack what they are ordered by come last.
pub(super) fn sort(records: &mut [Record], order: RunOrder) {
    let by_bits = tokenizers_differ(records);
    let number = |record: &Record| match order {
        RunOrder::Best => score(record, by_bits),
        RunOrder::Time => record.last("seconds"),
        RunOrder::Parameters => record.n_params.map(|count| count as f64),
        RunOrder::Name => None,
    };
    if order == RunOrder::Name {
        records.sort_by(|a, b| a.path.cmp(&b.path));
    }
    records.sort_by(|a, b| number(a).unwrap_or(f64::INFINITY).total_cmp(&number(b).unwrap_or(f64::INFINITY)));
}

pub(super) fn show(records: &[Record]) -> anyhow::Result<()> {
    let width = table::terminal_width();
    let by_bits = tokenizers_differ(records);
    let (columns, dropped) = table::fit(columns(records, by_bits, width), width);
    for text in table::lines(&columns) {
        line(text)?;
    }
    let mut notes = Vec::new();
    if by_bits {
        notes.push(
            "The tokenizers differ: losses by token cannot be compared, bits per byte can.".to_string(),
        );
    } else if data_differ(records) {
        notes.push("The data differ: each loss is of a run's own held-out text.".to_string());
    }
    if !dropped.is_empty() {
        notes.push(format!("Too wide for {width} columns: {}; --json has all.", dropped.join(", ")));
    }
    let differences = differences::tables(records, &columns[0], width)?;
    if !differences.is_empty() {
        notes.push("What differs:".to_string());
    }
    if !notes.is_empty() {
        line("")?;
    }
    notes.iter().chain(&differences).try_for_each(line)
}

fn columns(records: &[Record], by_bits: bool, width: usize) -> Vec<Column> {
    let scores: Vec<Option<f64>> = records.iter().map(|record| score(record, by_bits)).collect();
    let lowest = scores.iter().flatten().copied().reduce(f64::min);
    let mark = |record: &Record, text: String, of_bits: bool| {
        let lowest = of_bits == by_bits && records.len() > 1 && score(record, by_bits) == lowest;
        if lowest { format!("*{text}") } else { text }
    };
    let column = |heading: &str, right: bool, importance: u8, cell: &dyn Fn(&Record) -> Option<String>| {
        let cells = records.iter().map(|record| cell(record).unwrap_or_else(|| "—".into())).collect();
        Column::new(heading, right, importance, cells)
    };
    let name = |record: &Record| Some(shorten(&record.path.display().to_string(), (width / 4).max(12)));
    let steps = |record: &Record| {
        let steps = record.run.as_ref()?.config.steps();
        Some(match record.state {
            State::Finished => thousands(steps),
            _ => format!("{}/{}", thousands(record.step()), thousands(steps)),
        })
    };
    vec![
        column("run", false, 10, &name),
        column("state", false, 6, &|record| Some(record.state.name().into())),
        column("steps", true, 7, &steps),
        column("parameters", true, 5, &|record| Some(thousands(record.n_params? as u64))),
        column("tokens", true, 1, &|record| Some(thousands(record.tokens()?))),
        column("tokens/s", true, 3, &|record| Some(thousands(record.tokens_per_s()? as u64))),
        column("time", true, 4, &|record| Some(duration(record.last("seconds")?))),
        column("train", true, 2, &|record| Some(format!("{:.4}", record.last("train_loss")?))),
        column("held out", true, if by_bits { 7 } else { 9 }, &|record| {
            Some(mark(record, format!("{:.4}", record.best()?), false))
        }),
        column("bits/byte", true, if by_bits { 9 } else { 2 }, &|record| {
            Some(mark(record, format!("{:.4}", record.bits_per_byte()?), true))
        }),
        column("perplexity", true, 1, &|record| Some(format!("{:.3}", record.perplexity()?))),
        Column::new("curve", false, 8, curves(records, by_bits)),
    ]
}

/// The held-out curves, or the training ones where nothing was held out, on one scale.
fn curves(records: &[Record], by_bits: bool) -> Vec<String> {
    let keys = if by_bits { &["val_bits_per_byte"][..] } else { &["val_loss", "train_loss"] };
    let curves: Vec<Vec<(u64, f64)>> = keys
        .iter()
        .map(|key| records.iter().map(|record| record.curve(key)).collect::<Vec<_>>())
        .find(|curves| curves.iter().any(|curve| !curve.is_empty()))
        .unwrap_or_default();
    let values: Vec<f64> = curves.iter().flatten().map(|&(_, value)| value).collect();
    let steps = curves.iter().flatten().map(|&(step, _)| step).max().unwrap_or(0);
    let Some(scale) = range(&values) else { return vec![String::new(); records.len()] };
    curves.iter().map(|curve| on_scale(curve, CURVE, steps, scale)).collect()
}
