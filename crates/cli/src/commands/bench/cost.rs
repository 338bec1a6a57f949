//! What decoding costs over new tokens, hypotheses, vocabulary and prompt: predicted by the formulas and measured, with and without the
//! cache.

use crate::args::{BenchCostArgs, Global};
use crate::exit::usage;
use crate::output::{line, say};
use crate::plot::{self, BLUE, Chart, Curve, Drawn, ORANGE, Scale};
use crate::run;
use firebrand_corpus::batches::{below, keyed_rng};
use firebrand_decode::cost::{Calibration, Cost, Measured};
use firebrand_decode::{Beam, DecoderModel, GenerateConfig, Strategy, Uncached};
use firebrand_transformer::{Decoder, Model, ModelConfig, Preset};
use serde_json::{Value, json};

/// Of the model, besides its vocabulary.
const LAYERS: usize = 4;
const HEADS: usize = 4;
const D_MODEL: usize = 256;
/// After so many seconds a generation is not measured again: all of it is to take three minutes at most.
const ENOUGH_SECONDS: f64 = 4.0;

/// What is generated.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Case {
    /// New tokens: `t`, which is also `k`.
    new: usize,
    /// `K`; one is greedy decoding.
    hypotheses: usize,
    /// `|V|`.
    vocab: usize,
    /// `p`.
    prompt: usize,
}

/// Where the lines through the cases cross.
const BASE: Case = Case { new: 32, hypotheses: 1, vocab: 2048, prompt: 64 };

/// One letter of the formulas, and the cases in which it alone changes.
struct Sweep {
    axis: &'static str,
    of: fn(&Case) -> usize,
    cases: Vec<Case>,
}

/// A case with what it takes, in seconds.
struct Row {
    case: Case,
    with_cache: Side,
    without_cache: Side,
}

struct Side {
    predicted: f64,
    measured: f64,
}

/// Decoding with models of random weights.
pub(crate) fn cost(args: &BenchCostArgs, global: &Global) -> anyhow::Result<()> {
    if args.runs == 0 {
        return Err(usage("--runs 0: there is nothing to time"));
    }
    if let Some(path) = &args.plot {
        plot::check("--plot", path)?;
    }
    let sweeps = sweeps();
    let mut cases: Vec<Case> = sweeps.iter().flat_map(|sweep| sweep.cases.iter().copied()).collect();
    cases.sort_by_key(|case| (case.vocab, case.hypotheses, case.prompt, case.new));
    cases.dedup();
    let mut rows = Vec::new();
    for same in cases.chunk_by(|a, b| (a.vocab, a.hypotheses) == (b.vocab, b.hypotheses)) {
        rows.extend(measure(same, args.runs, global)?);
    }
    if let Some(path) = &args.plot {
        let charts: Vec<Chart> = sweeps.iter().map(|sweep| chart(sweep, &rows)).collect();
        plot::write(path, &charts)?;
    }
    let rows: Vec<Value> = rows
        .iter()
        .map(|Row { case, with_cache, without_cache }| {
            let side = |side: &Side| json!({"predicted": side.predicted, "measured": side.measured});
            json!({
                "t": case.new, "K": case.hypotheses, "V": case.vocab, "p": case.prompt,
                "with_cache": side(with_cache), "without_cache": side(without_cache),
            })
        })
        .collect();
    line(json!({"layers": LAYERS, "d_model": D_MODEL, "rows": rows}))
}

fn sweeps() -> [Sweep; 4] {
    [
        Sweep {
            axis: "t = k, new tokens",
            of: |case| case.new,
            cases: [16, 32, 64, 128].map(|new| Case { new, ..BASE }).to_vec(),
        },
        Sweep {
            axis: "K, hypotheses",
            of: |case| case.hypotheses,
            cases: [1, 2, 4, 8].map(|hypotheses| Case { hypotheses, ..BASE }).to_vec(),
        },
        Sweep {
            axis: "|V|, tokens of the vocabulary",
            of: |case| case.vocab,
            cases: [512, 2048, 8192, 32_768].map(|vocab| Case { vocab, ..BASE }).to_vec(),
        },
        Sweep {
            axis: "p, tokens of the prompt",
            of: |case| case.prompt,
            cases: [16, 64, 128, 256, 512].map(|prompt| Case { prompt, ..BASE }).to_vec(),
        },
    ]
}

/// Cases of one model and one strategy, with a fit that they share.
fn measure(cases: &[Case], runs: usize, global: &Global) -> anyhow::Result<Vec<Row>> {
    let Some(&Case { vocab, hypotheses, .. }) = cases.first() else { return Ok(Vec::new()) };
    say(global, format!("|V| = {vocab}, K = {hypotheses}"));
    let longest = cases.iter().map(|case| case.prompt + case.new).max().unwrap_or(0);
    let (_, device) = run::device(global)?;
    let config = ModelConfig::preset(Preset::Llama, vocab, D_MODEL, LAYERS, HEADS, longest);
    let decoder = Decoder::new(&config, 0, &device)?;
    let model = DecoderModel::new(&decoder);
    let mut rng = keyed_rng(0, "bench", 0);
    let text: Vec<u32> = (0..longest).map(|_| below(&mut rng, vocab as u64) as u32).collect();
    let strategy = match hypotheses {
        1 => Strategy::Greedy,
        width => Strategy::Beam(Beam { width, ..Beam::default() }),
    };
    let of =
        |new| GenerateConfig { strategy: strategy.clone(), max_new_tokens: new, ..GenerateConfig::default() };

    let mut lengths: Vec<usize> = cases
        .iter()
        .flat_map(|case| [case.prompt / 2, case.prompt, case.prompt + case.new / 2, case.prompt + case.new])
        .collect();
    lengths.sort_unstable();
    lengths.dedup();
    let calibration = Calibration::measure(&model, &text[..cases[0].prompt], &of(BASE.new), &lengths)?;
    let cost = Cost::fit(&calibration)?;
    let mut rows = Vec::new();
    for &case in cases {
        let (prompt, config) = (&text[..case.prompt], of(case.new));
        let cached = Measured::median(&model, prompt, &config, runs, ENOUGH_SECONDS)?;
        let uncached = Measured::median(&Uncached::new(&model), prompt, &config, runs, ENOUGH_SECONDS)?;
        // A search may end earlier; what is predicted is what was done.
        let side = |predict: fn(&Cost, usize, usize) -> Vec<f64>, measured: &Measured| Side {
            predicted: predict(&cost, case.prompt, measured.steps()).last().copied().unwrap_or(0.0),
            measured: measured.seconds(),
        };
        rows.push(Row {
            case,
            with_cache: side(Cost::with_cache, &cached),
            without_cache: side(Cost::without_cache, &uncached),
        });
    }
    Ok(rows)
}

fn chart(sweep: &Sweep, rows: &[Row]) -> Chart {
    let points = |of: fn(&Row) -> f64| {
        let row = |case: &Case| rows.iter().find(|row| row.case == *case);
        let point = |case: &Case| Some(((sweep.of)(case) as f64, of(row(case)?)));
        sweep.cases.iter().filter_map(point).collect::<Vec<_>>()
    };
    let curve = |name, colour, drawn, of| Curve { name, colour, drawn, points: points(of) };
    let fixed = [("t", BASE.new), ("K", BASE.hypotheses), ("|V|", BASE.vocab), ("p", BASE.prompt)];
    let others = fixed.iter().filter(|(letter, _)| !sweep.axis.starts_with(letter));
    let others: Vec<String> = others.map(|(letter, value)| format!("{letter} = {value}")).collect();
    Chart {
        title: format!("Decoding, {}", others.join(", ")),
        x: sweep.axis,
        y: "time (s)",
        scale: Scale::Logarithmic,
        curves: vec![
            curve("without the cache, predicted", ORANGE, Drawn::Line, |row| row.without_cache.predicted),
            curve("without the cache, measured", ORANGE, Drawn::Dots, |row| row.without_cache.measured),
            curve("with the cache, predicted", BLUE, Drawn::Line, |row| row.with_cache.predicted),
            curve("with the cache, measured", BLUE, Drawn::Dots, |row| row.with_cache.measured),
        ],
    }
}
