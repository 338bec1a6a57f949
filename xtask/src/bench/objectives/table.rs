//! The results as one table, a row a model.

use super::learned::Learned;
use super::probe::Probed;
use super::{Row, Speed, text};

const HEADER: [&str; 14] = [
    "objective",
    "parameters",
    "steps",
    "10¹² operations",
    "nats a target, held out",
    "bits per byte",
    "of the 5-gram model's",
    "left to right",
    "reviews: last / best layer / mix, any",
    "mix − best",
    "pairs: last / best layer / mix, any",
    "mix − best",
    "BLiMP",
    "tokens/s; peak, MiB",
];

/// A table for `BENCHMARKS.md`.
pub(super) fn markdown(rows: &[Row]) -> String {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut lines =
        vec![line(&HEADER.map(str::to_owned)), "|---".to_owned() + &"|---:".repeat(HEADER.len() - 1) + "|"];
    lines.extend(rows.iter().map(|row| line(&cells(row))));
    lines.join("\n") + "\n"
}

fn cells(Row { name, learned, speed }: &Row) -> Vec<String> {
    let Learned { size, steps, flops, loss, bits_per_byte, scored, ngram, probed, blimp, .. } = learned;
    let shown = |x: Option<f64>| x.map_or("—".to_owned(), |x| format!("{x:.3}"));
    let ratio = bits_per_byte.zip(*ngram).map(|(bits, ngram)| bits / ngram);
    let mut cells = vec![
        (*name).to_owned(),
        size.n_params.to_string(),
        steps.to_string(),
        format!("{:.1}", flops / 1e12),
        format!("{loss:.3}"),
        shown(*bits_per_byte),
        shown(ratio),
        shown(*scored),
    ];
    for task in 0..text::TASKS.len() {
        cells.extend(probed.get(task).map_or([String::new(), String::new()], probes));
    }
    cells.push(shown(*blimp));
    let speed = speed.map(|Speed { tokens_per_s, peak_bytes }| {
        format!("{tokens_per_s:.0}; {:.0}", peak_bytes / f64::from(1u32 << 20))
    });
    cells.push(speed.unwrap_or_else(|| "—".to_owned()));
    cells
}

/// The accuracies, and whether the mix is better than the best layer: by two standard errors, or it is not said.
fn probes(Probed { layers, mix, gain, error, any, .. }: &Probed) -> [String; 2] {
    let last = layers.last().unwrap_or(&f64::NAN);
    let best = layers.iter().copied().fold(0.0, f64::max);
    let verdict = match *gain {
        gain if gain > 2.0 * error => "better",
        gain if gain < -2.0 * error => "worse",
        _ => "even",
    };
    [
        format!("{last:.3} / {best:.3} / {mix:.3}, {any:.3}"),
        format!("{:+.1} ± {:.1} %: {verdict}", 100.0 * gain, 100.0 * error),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_called_better_only_beyond_two_standard_errors() {
        let probed = |gain: f64| Probed {
            layers: vec![0.5, 0.7, 0.6],
            mix: 0.7 + gain,
            shares: vec![],
            gain,
            error: 0.01,
            any: 0.9,
        };
        assert_eq!(probes(&probed(0.03)), ["0.600 / 0.700 / 0.730, 0.900", "+3.0 ± 1.0 %: better"]);
        assert!(probes(&probed(0.015))[1].ends_with("even") && probes(&probed(-0.03))[1].ends_with("worse"));
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let columns = markdown(&[]).lines().map(|line| line.matches('|').count()).collect::<Vec<_>>();
        assert_eq!(columns, [HEADER.len() + 1; 2]);
    }
}
