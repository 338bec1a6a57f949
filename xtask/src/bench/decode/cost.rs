//! The cost model: what decoding takes by the formulas, fitted to passes of their own, beside what it takes.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::Deserialize;

use super::folder;
use crate::bench::figure::Figure;
use crate::bench::{Bench, Options, json, without_overrides};
use crate::process;

pub(super) const COST: &str = "cost";
/// What a prediction is beside.
const MEASURED: &str = "measured";

/// What `firebrand bench-cost` prints.
#[derive(Debug, Deserialize)]
struct Printed {
    rows: Vec<Row>,
}

/// A generation: `t` new tokens, `K` hypotheses, `|V|` logits, a prompt of `p` tokens.
#[derive(Debug, Deserialize)]
struct Row {
    t: u32,
    #[serde(rename = "K")]
    hypotheses: u32,
    #[serde(rename = "V")]
    vocab: u32,
    p: u32,
    with_cache: Side,
    without_cache: Side,
}

/// In seconds.
#[derive(Debug, Deserialize)]
struct Side {
    predicted: f64,
    measured: f64,
}

/// Measures in one process, which fits and draws too.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let plot = folder("")?.join("cost.svg");
    let mut command = Command::new(firebrand);
    command.args(["bench-cost", "--runs", &options.rounds.to_string(), "--plot"]).arg(&plot);
    command.args(["--device", "cpu", "--threads", &options.threads.to_string(), "--json", "--quiet"]);
    without_overrides(&mut command);
    eprintln!("{COST}: 28 generations, {} times each", options.rounds);
    let printed: Printed = json(&process::output("measure what decoding costs", &mut command)?)?;
    eprintln!("{COST}: the plot is {}", plot.display());
    Ok(figures(&printed.rows))
}

/// Two for each generation.
fn figures(rows: &[Row]) -> Vec<Figure> {
    let figures = rows.iter().flat_map(|row| {
        let Row { t, hypotheses, vocab, p, with_cache, without_cache } = row;
        let case = format!("{COST}, t {t}, K {hypotheses}, V {vocab}, p {p}");
        [("ms predicted with the cache", with_cache), ("ms predicted without it", without_cache)].map(
            |(unit, side)| {
                let figure = Figure::new(Bench::Decode.name(), &case, unit, &[1e3 * side.predicted]);
                figure.map(|figure| figure.beside(MEASURED, &[1e3 * side.measured]))
            },
        )
    });
    figures.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_stand_beside_what_was_measured() {
        let printed = r#"{"layers":4,"rows":[{"t":16,"K":2,"V":512,"p":64,
            "with_cache":{"predicted":0.02,"measured":0.025},"without_cache":{"predicted":0.3,"measured":0.2}}]}"#;
        let printed: Printed = json(printed).expect("as bench-cost prints");
        let figures = figures(&printed.rows);
        let shown = figures
            .iter()
            .map(|figure| (figure.case.as_str(), figure.value, figure.peer_value, figure.ratio));
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                ("cost, t 16, K 2, V 512, p 64", 20.0, Some(25.0), Some(0.8)),
                ("cost, t 16, K 2, V 512, p 64", 300.0, Some(200.0), Some(1.5)),
            ]
        );
    }
}
