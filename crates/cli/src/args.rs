//! The command line.

mod data;
mod eval;
mod finetune;
mod inference;
mod prompt;
mod tokenizer;

use clap::{Args, Parser, Subcommand, ValueEnum};
pub(crate) use data::{
    DataCommand, DataKind, DataSplit, FetchDataArgs, GenerateDataArgs, InspectDataArgs, ListDataArgs,
};
pub(crate) use eval::EvalArgs;
pub(crate) use finetune::{ClassifyArgs, FinetuneArgs};
use firebrand_corpus::sources::{DocumentBoundary, FormatChoice, HeldOut, InvalidUtf8, Sources};
pub(crate) use inference::{
    BenchCostArgs, BenchGenerateArgs, BestBy, EmbedArgs, GenerateArgs, Layer, Pool, RunOrder, ScoreArgs,
    ShowArgs, StrategyName, WeightsName,
};
pub(crate) use prompt::{BenchPromptArgs, MeasureName, PromptArgs, ShotsBy};
use std::num::NonZeroUsize;
use std::path::PathBuf;
pub(crate) use tokenizer::{
    Algorithm, BenchTokenizerArgs, Normalize, SpecialInText, TokenizerCommand, TokenizerEncodeArgs,
    TokenizerInspectArgs, TokenizerTrainArgs, TokenizerUseArgs,
};

/// Trains small language models from scratch and puts them to use.
#[derive(Debug, Parser)]
#[command(name = "firebrand", version = VERSION, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Examples:
  firebrand data generate --kind stories --bytes 12MB --out train.txt
  firebrand tokenizer train train.txt --out tok --vocab-size 2048
  firebrand pretrain --config shakespeare-char \\
    --set data.texts=input.txt --out runs/bard
  firebrand generate runs/bard --prompt \"ROMEO:\" --temperature 0.8
  firebrand score runs/bard --text \"To be, or not to be\"")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What `--config` knows by name.
const CONFIGS: &str = "Built-in configs:
  causal-smoke           a few seconds, to see that everything works
  bidirectional-smoke    the same for each objective:
  fill-in-the-middle-smoke, prefix-smoke, permutation-smoke,
  masked-smoke, replaced-token-smoke, elmo-smoke,
  span-corruption-smoke, denoising-smoke, mixture-smoke
  quickstart             about 1 M parameters, a few minutes
  shakespeare-char       0.8 M parameters, by character
  shakespeare-char-best  the best within five minutes, by character
  bidirectional          about 2 M parameters that read both ways
  elmo                   the same of ELMo's parts: LSTMs, a character CNN
  span-corruption        about 2 M parameters that fill blanks, as T5
  denoising              about 2 M parameters that mend texts, as BART
  mixture                about 2 M parameters that do several things, as UL2
  fill-in-the-middle     about 1 M parameters that also fill gaps in a text
  prefix                 about 1 M parameters that see all of a prompt
  permutation            about 1 M parameters, predicts in any order (XLNet)
  masked                 about 2 M parameters that fill masks, as BERT
  replaced-token         about 1 M parameters that find replaced tokens
  stories                12 M parameters, for the built-in stories
  draft-quickstart       0.1 M parameters, to draft for the quickstart's model
  draft-stories          0.5 M parameters, to draft for that of stories

";

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (devices: cpu, ndarray, wgpu)");

// Not a doc comment, which clap would print as the description of every command.
// Options that every command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N [default: a GPU if there is one, else cpu]
    #[arg(long, global = true, value_name = "DEVICE", display_order = 100)]
    pub(crate) device: Option<String>,
    /// Threads to use on the CPU [default: all]
    #[arg(long, global = true, value_name = "N", value_parser = parse_threads, display_order = 100)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Print results as JSON: one document, or a line each for several results
    #[arg(long, global = true, display_order = 100)]
    pub(crate) json: bool,
    /// No progress, no messages but errors
    #[arg(long, short, global = true, display_order = 100)]
    pub(crate) quiet: bool,
    /// More messages
    #[arg(long, short, global = true, conflicts_with = "quiet", display_order = 100)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Datasets by name, and the built-in corpus, whose exact log-probability is known
    #[command(subcommand)]
    Data(DataCommand),
    /// Train and use tokenizers
    #[command(subcommand)]
    Tokenizer(TokenizerCommand),
    /// Turn text into token shards; if stopped, the same command goes on
    Prepare(PrepareArgs),
    /// Train a model from scratch, or go on from another run
    Pretrain(PretrainArgs),
    /// Train a model further on labelled texts: classes, labels, numbers
    Finetune(Box<FinetuneArgs>),
    /// Give texts labels: by a fine-tuned model's head, or by what any model answers in a template's blank
    Classify(Box<ClassifyArgs>),
    /// A folder of adapters (LoRA) into one of a model that needs no other
    Merge(MergeArgs),
    /// Continue prompts with a trained model
    Generate(Box<GenerateArgs>),
    /// How likely a model finds a text: log-likelihood, perplexity, bits per byte, logits
    Score(ScoreArgs),
    /// Ask runs the tasks of a suite: how well they do, how sure that is, how they differ
    Eval(EvalArgs),
    /// What a model makes of each token: states of its layers, for other programs
    Embed(EmbedArgs),
    /// What a run is, how it was made, its curve
    Show(ShowArgs),
    /// What devices are there and which would be used
    #[command(after_help = "Examples:
  firebrand device
  firebrand device --json")]
    Device,
    /// Print completions for a shell
    #[command(after_help = "Examples:
  source <(firebrand completions bash)
  firebrand completions fish > ~/.config/fish/completions/firebrand.fish")]
    Completions {
        /// Which shell
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    #[command(hide = true)]
    BenchTrain(BenchTrainArgs),
    #[command(hide = true)]
    BenchGenerate(BenchGenerateArgs),
    #[command(hide = true)]
    BenchLstm(BenchLstmArgs),
    #[command(hide = true)]
    BenchCost(BenchCostArgs),
    #[command(hide = true)]
    BenchPrompt(BenchPromptArgs),
    #[command(hide = true)]
    BenchGenerator,
    #[command(hide = true)]
    BenchTokenizer(BenchTokenizerArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firebrand prepare train.txt --tokenizer tok --out shards --boundary blank-line
  firebrand prepare corpus/ --tokenizer tok --out shards
  firebrand prepare c4.jsonl.zst --tokenizer tok --out shards --held-out 0.01
  firebrand prepare reviews.csv --field review --tokenizer tok --out shards
  firebrand prepare --check shards
  firebrand pretrain --config quickstart \\
    --set data.shards=shards --set data.tokenizer=tok --out runs/mine")]
pub(crate) struct PrepareArgs {
    /// Text, JSON lines, CSV, TSV or Parquet; also .gz and .zst; or folders of such files
    #[arg(required_unless_present = "check", value_name = "TEXT")]
    pub(crate) texts: Vec<PathBuf>,
    /// tokenizer.json or a folder that holds one
    #[arg(long, value_name = "PATH", required_unless_present = "check")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Folder to write the shards and their manifest into
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    /// Where documents of plain text end
    #[arg(long, value_enum, default_value_t = Boundary::File)]
    pub(crate) boundary: Boundary,
    /// The last part of the text to keep away from training; 0 keeps nothing
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    pub(crate) held_out: f64,
    /// Only check that shards are what was written (and made by --tokenizer, if given)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["texts", "out"])]
    pub(crate) check: Option<PathBuf>,
}

// Not a doc comment, which clap would print as the description of every command.
// How files of text are read.
#[derive(Debug, Args)]
pub(crate) struct ReadingArgs {
    /// What the files are
    #[arg(long, value_enum, default_value_t = TextFormat::Auto)]
    pub(crate) format: TextFormat,
    /// JSON lines, CSV, TSV, Parquet: which field is the text
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub(crate) field: String,
    /// Replace what is not UTF-8 by U+FFFD, instead of refusing the file
    #[arg(long)]
    pub(crate) lossy: bool,
}

impl ReadingArgs {
    /// These texts, all of them to train on.
    pub(crate) fn sources(&self, texts: &[PathBuf]) -> Sources {
        Sources {
            texts: texts.to_vec(),
            format: self.format.into(),
            field: self.field.clone(),
            boundary: DocumentBoundary::File,
            held_out: HeldOut::None,
            invalid_utf8: if self.lossy { InvalidUtf8::Replace } else { InvalidUtf8::Refuse },
        }
    }
}

/// What files of text are.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TextFormat {
    /// What the name of each file says; plain text if it says nothing
    Auto,
    /// Plain text
    Text,
    /// A JSON object a line, each a document
    JsonLines,
    /// Comma-separated, with a header; each row a document
    Csv,
    /// Tab-separated, with a header; each line a document
    Tsv,
    /// Each row a document
    Parquet,
}

impl From<TextFormat> for FormatChoice {
    fn from(format: TextFormat) -> Self {
        match format {
            TextFormat::Auto => Self::Auto,
            TextFormat::Text => Self::Text,
            TextFormat::JsonLines => Self::JsonLines,
            TextFormat::Csv => Self::Csv,
            TextFormat::Tsv => Self::Tsv,
            TextFormat::Parquet => Self::Parquet,
        }
    }
}

/// Where a document ends and the next one begins.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Boundary {
    /// A file is one document
    File,
    /// Blank lines separate documents
    BlankLine,
    /// A line is a document
    Line,
}

impl From<Boundary> for DocumentBoundary {
    fn from(boundary: Boundary) -> Self {
        match boundary {
            Boundary::File => Self::File,
            Boundary::BlankLine => Self::BlankLine,
            Boundary::Line => Self::Line,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = CONFIGS.to_string() + "Examples:
  firebrand pretrain --config shakespeare-char \\
    --set data.texts=input.txt --out runs/bard
  firebrand pretrain --config my.toml --set optimizer.lr=5e-4 --out runs/mine
  firebrand pretrain --out runs/bard --resume
  firebrand pretrain --config quickstart --tui --tensorboard
  firebrand pretrain --config causal-smoke --dry-run")]
pub(crate) struct PretrainArgs {
    /// A TOML file, or the name of a config that is built in
    #[arg(long, value_name = "FILE|NAME", required_unless_present = "resume")]
    pub(crate) config: Option<String>,
    /// Set one key of the config: optimizer.lr=3e-4; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Folder of the run [default: runs/NAME of the config]
    #[arg(long, value_name = "RUN")]
    pub(crate) out: Option<PathBuf>,
    /// Start from the weights of another run, or of a Hugging Face folder
    #[arg(long, value_name = "RUN")]
    pub(crate) from: Option<PathBuf>,
    /// Go on with the run in --out, or start it if it has no checkpoint yet
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
    /// Show what would be trained and the memory it would need, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Curves on the whole terminal while it trains; its keys: q saves and stops, ? tells the others
    #[arg(long)]
    pub(crate) tui: bool,
    /// Write RUN/tensorboard/ too; look at it by `tensorboard --logdir RUN`, or a folder of several runs
    #[arg(long)]
    pub(crate) tensorboard: bool,
    // For a command of which this is a part: what goes on with all of it.
    #[arg(skip)]
    pub(crate) go_on: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firebrand finetune --from runs/base --config classification \\
    --data labels.csv --set method.kind=lora --out runs/adapters
  firebrand merge runs/adapters --out runs/whole

Every command reads a folder of adapters as it is, as long as the model that
they are for is where their adapter_config.json says; PEFT reads it too.")]
pub(crate) struct MergeArgs {
    /// A run with adapters, or a folder of PEFT's
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Folder for the whole model
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BenchTrainArgs {
    #[arg(long, default_value = "gpt2")]
    pub(crate) arch: String,
    #[arg(long, default_value_t = 512)]
    pub(crate) vocab: usize,
    #[arg(long, default_value_t = 256)]
    pub(crate) seq: usize,
    #[arg(long, default_value_t = 6)]
    pub(crate) layers: usize,
    #[arg(long, default_value_t = 6)]
    pub(crate) heads: usize,
    #[arg(long, default_value_t = 384)]
    pub(crate) d_model: usize,
    #[arg(long, default_value_t = 8)]
    pub(crate) batch: usize,
    #[arg(long, default_value_t = 8)]
    pub(crate) steps: u64,
    #[arg(long, default_value = "f32")]
    pub(crate) precision: String,
    /// Leave the C library's allocator as it is: what a step costs without `memory::keep_pages`.
    #[arg(long)]
    pub(crate) plain_allocator: bool,
    /// Measure no matrix products.
    #[arg(long)]
    pub(crate) no_gemm: bool,
    #[arg(long)]
    pub(crate) activation_checkpointing: bool,
    #[arg(long, default_value_t = 1)]
    pub(crate) grad_accum_steps: usize,
}

#[derive(Debug, Args)]
pub(crate) struct BenchLstmArgs {
    #[arg(long, default_value_t = 128)]
    pub(crate) d_model: usize,
    /// Numbers in a cell.
    #[arg(long, default_value_t = 384)]
    pub(crate) cell: usize,
    #[arg(long, default_value_t = 2)]
    pub(crate) layers: usize,
    #[arg(long, default_value_t = 16)]
    pub(crate) batch: usize,
    #[arg(long, default_value_t = 128)]
    pub(crate) seq: usize,
    #[arg(long, default_value_t = 8)]
    pub(crate) steps: u64,
}

/// A number of threads that a machine can have; more would take minutes to start.
fn parse_threads(text: &str) -> Result<NonZeroUsize, String> {
    const MOST: usize = 1024;
    match text.parse::<NonZeroUsize>() {
        Ok(threads) if threads.get() <= MOST => Ok(threads),
        _ => Err(format!("not a number of threads; write 1 to {MOST}")),
    }
}

/// `500`, `20KB`, `12MB`, `1GB`; powers of a thousand.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let upper = text.trim().to_uppercase();
    let (number, factor) = [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000), ("B", 1)]
        .iter()
        .find_map(|&(unit, factor)| Some((upper.strip_suffix(unit)?, factor)))
        .unwrap_or((&upper, 1));
    match number.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok((number * factor as f64) as u64),
        _ => Err("not a size; write 500, 20KB, 12MB or 1GB".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_and_version_name_what_is_built_in() {
        for (name, _) in crate::config::BUILT_IN {
            assert!(CONFIGS.contains(name), "{name} is missing from the help of pretrain");
        }
        let help = Cli::command().find_subcommand_mut("eval").map(|eval| eval.render_long_help().to_string());
        for (name, _) in crate::commands::eval::BUILT_IN {
            assert!(
                help.as_ref().is_some_and(|help| help.contains(name)),
                "{name} is missing from the help of eval"
            );
        }
        for device in firebrand_backend::device::COMPILED {
            assert!(VERSION.contains(device), "{device} is missing from --version");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_bytes("500"), Ok(500));
        assert_eq!(parse_bytes("1.5kb"), Ok(1500));
        assert_eq!(parse_bytes("12MB"), Ok(12_000_000));
        assert!(parse_bytes("-1").is_err() && parse_bytes("many").is_err());
    }
}
