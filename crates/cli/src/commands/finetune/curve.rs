//! `--curve`: how good runs on few and on many examples are.

use super::report::figures;
use super::{Change, runs};
use crate::args::{FinetuneArgs, Global};
use crate::output::line;
use crate::report::shown;
use crate::table::{self, Column};
use anyhow::Context;
use firebrand_finetune::report::Spread;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What the file in the folder of all runs is called.
const FILE: &str = "curve.json";

/// The figures of runs on so many examples.
struct Point {
    examples: usize,
    figures: Vec<Spread>,
    runs: Vec<Value>,
}

/// Makes the runs of each size in a folder of its own. All hold out the same examples.
pub(super) fn run(args: &FinetuneArgs, dir: &Path, global: &Global) -> anyhow::Result<()> {
    let mut points = Vec::new();
    for wanted in &args.curve {
        let change = Change { examples: Some(wanted.get()), ..Change::default() };
        let summaries = runs(args, &dir.join(format!("examples-{wanted}")), change, global)?;
        points.push(Point {
            examples: summaries.first().map_or(0, |summary| summary.examples),
            figures: figures(&summaries),
            runs: summaries.iter().map(|summary| summary.json()).collect(),
        });
    }
    let json = json!({"points": points.iter().map(as_json).collect::<Vec<_>>()});
    let path = dir.join(FILE);
    let text = serde_json::to_string_pretty(&json)? + "\n";
    firebrand_durable::write(&path, text.as_bytes()).with_context(|| path.display().to_string())?;
    match global.json {
        true => line(json),
        false => lines(&points).into_iter().try_for_each(line),
    }
}

fn as_json(point: &Point) -> Value {
    let figure =
        |spread: &Spread| (spread.name.clone(), json!({"mean": spread.mean, "deviation": spread.deviation}));
    let figures: Map<String, Value> = point.figures.iter().map(figure).collect();
    json!({"examples": point.examples, "figures": figures, "runs": point.runs})
}

/// A line a size, a column a figure.
fn lines(points: &[Point]) -> Vec<String> {
    let names: Vec<&str> = points
        .first()
        .map_or(Vec::new(), |point| point.figures.iter().map(|figure| figure.name.as_str()).collect());
    let cell = |point: &Point, name: &str| {
        let figure = point.figures.iter().find(|figure| figure.name == name);
        figure.map_or("—".to_owned(), |figure| match figure.values.len() {
            1 => format!("{:.4}", figure.mean),
            _ => format!("{:.4} ± {:.4}", figure.mean, figure.deviation),
        })
    };
    let examples = points.iter().map(|point| point.examples.to_string()).collect();
    let column = |(place, name): (usize, &&str)| {
        let cells = points.iter().map(|point| cell(point, name)).collect();
        Column::new(&shown(name), true, 8_u8.saturating_sub(place as u8), cells)
    };
    let columns = std::iter::once(Column::new("examples", true, 9, examples));
    let columns = columns.chain(names.iter().enumerate().map(column)).collect();
    table::lines(&table::fit(columns, table::terminal_width()).0)
}
