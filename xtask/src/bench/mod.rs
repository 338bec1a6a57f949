//! `cargo xtask bench`: how fast Firebrand is and what it learns, beside what else does the same work.

mod decode;
mod figure;
mod finetune;
mod generate;
mod generator;
mod kept;
mod objectives;
mod peer;
mod prepare;
mod prompt;
mod shakespeare;
mod tokenizer;
mod tokenizer_peers;
mod train;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::{machine, process, workspace};
use figure::Figure;

/// Measure, beside PyTorch where it is installed.
///
/// Values are medians of several rounds, in which both sides take turns. Targets are reported and fail nothing.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this benchmark. [default: all]
    #[arg(value_name = "NAME")]
    bench: Option<Bench>,
    /// Say what there is, and run nothing.
    #[arg(long)]
    list: bool,
    /// Print JSON, a line a figure, instead of a table.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print a table to paste into BENCHMARKS.md.
    #[arg(long)]
    markdown: bool,
    /// Use this firebrand binary instead of compiling one.
    #[arg(long, value_name = "FILE", env = "FIREBRAND_BIN")]
    binary: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// How to measure.
#[derive(clap::Args)]
struct Options {
    /// How often each speed is measured.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Training steps a round. [default: 100 at 0.9 M parameters, 8 at 11 M, 4 at 50 M; of objectives 1200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    /// Threads on each side.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// Only cases whose name contains this, such as llama or 11m; several are separated by commas.
    #[arg(long, value_name = "PART,…", value_delimiter = ',')]
    only: Vec<String>,
    /// Of objectives: as many floating-point operations for each as the causal model's steps take, instead of as many steps.
    #[arg(long)]
    flops: bool,
    /// Of objectives: leave out speed and memory, which a busy machine would distort; a call without this adds them.
    #[arg(long)]
    no_speed: bool,
}

impl Options {
    /// The defaults, but for the rounds.
    #[cfg(test)]
    fn of_rounds(rounds: u32) -> Self {
        Self { rounds, steps: None, threads: 2, only: Vec::new(), flops: false, no_speed: false }
    }

    fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| case.contains(part.as_str()))
    }
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench --list
  cargo xtask bench train
  cargo xtask bench train --only gpt2-11m --rounds 5 --json
  cargo xtask bench shakespeare --markdown >> BENCHMARKS.md
  cargo xtask bench objectives --only causal,bidirectional --steps 300

Each line of --json has bench, case, value, unit, peer, peer_value,
ratio (value / peer_value), target, target_is (least-ratio, most-ratio,
least-value or most-value) and met; where there is one, a goal beyond the
target. What is unknown is null.

Utilization is of the GEMM rate measured in the same run on the shapes of the
model's own products, forward and backward; attention is counted as causal
attention needs it, half of the square. Page faults are beside those with the
C library's allocator as it comes.

Peers run ../shared/peers/train_gpt.py, generate_hf.py and bpe.py with the first that has it of
$FIREBRAND_PYTHON (which, if set, is the only one), ~/.venvs/peers/bin/python
and python3.";

/// A benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// Training steps on random tokens, 0.9 M to 50 M parameters, f32 and bf16: speed, memory, use of the processor, page
    /// faults, one thread against two. Half an hour.
    Train,
    /// Greedy generation with a cache at three sizes, weights as f32, bf16 and int8: tokens/s, GB/s of weights. Minutes.
    Generate,
    /// Decoding with a llama of 14 M parameters against transformers and llama.cpp, prompts, beams, long contexts; what decoding costs by
    /// the formulas, with and without the cache, with a plot (target/bench/decode/cost.svg); speculation with models that are trained
    /// first, once: ten minutes, then three.
    Decode,
    /// The generator of the built-in corpus on one core: MB/s. Seconds.
    Generator,
    /// Text into token shards, 1 GB of it: MB/s, peak memory; less of it as JSON lines and compressed. A minute.
    Prepare,
    /// Training a tokenizer of 8,192 tokens on books, encoding and decoding one of them, on one thread. A minute.
    Tokenizer,
    /// Tinyshakespeare by character with nanoGPT's settings, three seeds: loss on held-out text. Ten minutes.
    Shakespeare,
    /// Every pretraining objective on the same stories, as many parameters each: bits per byte beside a 5-gram model's, probes on
    /// labelled texts, BLiMP, speed, memory; as a table, too (target/bench/objectives/table.md). What is measured stays for the next
    /// call with the same binary, so that it can be made in parts (--only). Two hours.
    Objectives,
    /// Four answers behind each of a thousand inputs, sharing what they share, against reading each text anew and transformers. Minutes.
    Prompt,
    /// Fine-tuning on the built-in reviews, and with ../shared/data on SST-2, TREC and AG News, with models that are pretrained first:
    /// accuracy beside bags of words. What was made stays for the next call (target/bench/finetune). Hours; a part with --only.
    Finetune,
}

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Generate => "generate",
            Self::Decode => "decode",
            Self::Generator => "generator",
            Self::Prepare => "prepare",
            Self::Tokenizer => "tokenizer",
            Self::Shakespeare => "shakespeare",
            Self::Objectives => "objectives",
            Self::Prompt => "prompt",
            Self::Finetune => "finetune",
        }
    }

    fn run(self, firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
        match self {
            Self::Train => train::run(firebrand, options),
            Self::Generate => generate::run(firebrand, options),
            Self::Decode => decode::run(firebrand, options),
            Self::Generator => generator::run(firebrand, options),
            Self::Prepare => prepare::run(firebrand, options),
            Self::Tokenizer => tokenizer::run(firebrand, options),
            Self::Shakespeare => shakespeare::run(firebrand, options),
            Self::Objectives => objectives::run(firebrand, options),
            Self::Prompt => prompt::run(firebrand, options),
            Self::Finetune => finetune::run(firebrand, options),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        return process::print(&list());
    }
    let benches = args.bench.as_ref().map_or(Bench::value_variants(), std::slice::from_ref);
    let firebrand = workspace::firebrand(args.binary.as_deref())?;
    if let Some(load) = machine::load() {
        eprintln!("The machine was busy in the last minute (load {load:.1}): speeds may be low and noisy.");
    }
    let mut figures = Vec::new();
    for bench in benches {
        let measured = bench.run(&firebrand, &args.options)?;
        if args.json {
            for figure in &measured {
                process::print(&serde_json::to_string(figure).context("cannot write a figure as JSON")?)?;
            }
        }
        figures.extend(measured);
    }
    match args.options.only.as_slice() {
        [_, ..] if figures.is_empty() => {
            let parts = args.options.only.join(",");
            Err(Failure::Usage(format!("--only {parts}: no case is called so")).into())
        }
        _ if args.json => Ok(()),
        _ if args.markdown => process::print(&figure::markdown(&figures, &commit()?)),
        _ => process::print(&figure::table(&figures)),
    }
}

fn list() -> String {
    let line = |bench: &Bench| {
        let help = bench.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        format!("{:<14}{}", bench.name(), help.unwrap_or_default())
    };
    Bench::value_variants().iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The commit that is measured, marked when files differ from it; `unknown` outside a git checkout.
fn commit() -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(workspace::root()?).args(["describe", "--always", "--dirty"]);
    Ok(process::output("name the commit", &mut git)
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned()))
}

/// Some machines carry settings for OpenBLAS that would distort a peer's speed; a benchmark runs without them.
fn without_overrides(command: &mut Command) {
    command.env_remove("OPENBLAS_CORETYPE").env_remove("OPENBLAS_L2_SIZE");
}

fn json<T: DeserializeOwned>(printed: &str) -> Result<T> {
    serde_json::from_str(printed.trim())
        .with_context(|| format!("firebrand printed unexpected JSON: {printed}"))
}
