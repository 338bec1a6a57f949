//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Trains small language models from scratch and puts them to use.
#[derive(Debug, Parser)]
#[command(name = "firebrand", version = VERSION, about, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Examples:
  firebrand data generate --kind stories --bytes 12MB --out train.txt
  firebrand tokenizer train train.txt --out tok --vocab-size 2048
  firebrand pretrain --config shakespeare-char --set 'data.texts=[\"input.txt\"]' --out runs/bard
  firebrand generate runs/bard --prompt \"ROMEO:\" --strategy sample --temperature 0.8
  firebrand score runs/bard --text \"To be, or not to be\"")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (devices: cpu, ndarray, wgpu)");

/// Options that every command has.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// cpu, ndarray, wgpu or wgpu:N; the best that is there by default
    #[arg(long, global = true, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Threads to use on the CPU; all by default
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress, no messages but errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// More messages
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The built-in corpus
    #[command(subcommand)]
    Data(DataCommand),
    /// Train and use tokenizers
    #[command(subcommand)]
    Tokenizer(TokenizerCommand),
    /// Turn text into token shards
    Prepare(PrepareArgs),
    /// Train a model from scratch, or go on from another run
    Pretrain(PretrainArgs),
    /// Continue prompts with a trained model
    Generate(GenerateArgs),
    /// How likely a model finds a text: log-likelihood, perplexity, bits per byte, logits
    Score(ScoreArgs),
    /// What a run is, how it was made, its curve
    Show(ShowArgs),
    /// What devices are there and which would be used
    Device,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    #[command(hide = true)]
    BenchTrain(BenchTrainArgs),
    #[command(hide = true)]
    BenchGenerator,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Write stories, labelled reviews or sentence pairs of any size, with their exact log-probability
    #[command(after_help = "Examples:
  firebrand data generate --kind stories --bytes 12MB --out train.txt
  firebrand data generate --kind stories --split validation --bytes 200KB --out val.txt
  firebrand data generate --kind reviews --count 1000 --out reviews.jsonl")]
    Generate(GenerateDataArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GenerateDataArgs {
    /// What to write
    #[arg(long, value_enum, default_value_t = DataKind::Stories)]
    pub(crate) kind: DataKind,
    /// No document is in two splits, whatever the seeds
    #[arg(long, value_enum, default_value_t = DataSplit::Train)]
    pub(crate) split: DataSplit,
    /// Stories: at least so many bytes of text (500, 20KB, 12MB, 1GB)
    #[arg(long, value_parser = parse_bytes, default_value = "1MB")]
    pub(crate) bytes: u64,
    /// Reviews and pairs: so many documents
    #[arg(long, default_value_t = 1000)]
    pub(crate) count: u64,
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Where to write; stdout when absent
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DataKind {
    Stories,
    Reviews,
    Pairs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DataSplit {
    Train,
    Validation,
    Test,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenizerCommand {
    /// Learn a tokenizer from text files
    #[command(after_help = "Example:
  firebrand tokenizer train books/ --out tok --vocab-size 8192")]
    Train(TokenizerTrainArgs),
    /// Text to ids
    Encode(TokenizerUseArgs),
    /// Ids (separated by commas or white space) to text
    Decode(TokenizerUseArgs),
    /// What a tokenizer is, its first and last tokens
    Inspect {
        /// tokenizer.json or a folder that holds one
        #[arg(long)]
        tokenizer: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerTrainArgs {
    /// Text files, or folders of .txt files
    #[arg(required = true)]
    pub(crate) texts: Vec<PathBuf>,
    /// Folder to write tokenizer.json and tokenizer_config.json into
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// byte: byte-level BPE; characters: one token a character
    #[arg(long, value_enum, default_value_t = Algorithm::Byte)]
    pub(crate) algorithm: Algorithm,
    /// Number of tokens, the special ones included
    #[arg(long, conflicts_with = "merges")]
    pub(crate) vocab_size: Option<usize>,
    /// Number of merges instead
    #[arg(long)]
    pub(crate) merges: Option<usize>,
    /// Special tokens, first ids first
    #[arg(long = "special", default_value = "<|endoftext|>")]
    pub(crate) special_tokens: Vec<String>,
    /// How text is cut into pieces: gpt2, cl100k, o200k, none, or a regular expression
    #[arg(long, default_value = "gpt2")]
    pub(crate) pattern: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Algorithm {
    Byte,
    Characters,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerUseArgs {
    /// tokenizer.json or a folder that holds one
    #[arg(long)]
    pub(crate) tokenizer: PathBuf,
    /// Input; stdin when absent
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PrepareArgs {
    /// Text files, or folders of .txt files
    #[arg(required = true)]
    pub(crate) texts: Vec<PathBuf>,
    /// tokenizer.json or a folder that holds one
    #[arg(long)]
    pub(crate) tokenizer: PathBuf,
    /// Folder to write
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Where documents end: file, blank-line or line
    #[arg(long, default_value = "file")]
    pub(crate) boundary: String,
    /// The last part of the text to keep away from training
    #[arg(long, default_value_t = 0.1)]
    pub(crate) held_out: f64,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firebrand pretrain --config shakespeare-char --set 'data.texts=[\"input.txt\"]' --out runs/bard
  firebrand pretrain --config shakespeare-char --set training.steps=4000 --set optimizer.lr=5e-4 --out runs/long
  firebrand pretrain --out runs/bard --resume
  firebrand pretrain --config causal-smoke --dry-run")]
pub(crate) struct PretrainArgs {
    /// A TOML file, or the name of a config that is built in
    #[arg(long, required_unless_present = "resume")]
    pub(crate) config: Option<String>,
    /// Set one key of the config: optimizer.lr=3e-4
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Folder of the run
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Start from the weights of another run
    #[arg(long)]
    pub(crate) from: Option<PathBuf>,
    /// Go on with the run in --out, or start it if it has no checkpoint yet
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
    /// Show what would be trained, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firebrand generate runs/quickstart --prompt \"Once\" --strategy sample --temperature 0.8 --seed 3
  firebrand generate runs/quickstart --prompt-ids 12,7,431 --max-new-tokens 20 --json
  printf 'Once\\nOne day\\n' | firebrand generate runs/quickstart")]
pub(crate) struct GenerateArgs {
    /// A run, or a Hugging Face folder (Llama, GPT-2)
    pub(crate) run: PathBuf,
    /// Text to continue; may be given several times. stdin, a prompt a line, when absent
    #[arg(long)]
    pub(crate) prompt: Vec<String>,
    /// Ids to continue, separated by commas; may be given several times
    #[arg(long)]
    pub(crate) prompt_ids: Vec<String>,
    /// The most new tokens
    #[arg(long, default_value_t = 200)]
    pub(crate) max_new_tokens: usize,
    /// No end of text before so many new tokens
    #[arg(long, default_value_t = 0)]
    pub(crate) min_new_tokens: usize,
    /// How to choose the next token
    #[arg(long, value_enum)]
    pub(crate) strategy: Option<StrategyName>,
    /// Sampling: below 1 sharper, above 1 flatter
    #[arg(long)]
    pub(crate) temperature: Option<f64>,
    /// Sampling: only the K most likely tokens
    #[arg(long)]
    pub(crate) top_k: Option<usize>,
    /// Sampling: only the most likely tokens that make up P together
    #[arg(long)]
    pub(crate) top_p: Option<f64>,
    /// Divide the logits of seen tokens by this
    #[arg(long, default_value_t = 1.0)]
    pub(crate) repetition_penalty: f64,
    /// Sampling: the same seed gives the same text
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StrategyName {
    Greedy,
    Sample,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firebrand score runs/quickstart --text \"Once there was a fox.\"
  firebrand score runs/quickstart --file val.txt --boundary blank-line --json
  firebrand score runs/quickstart --ids 1,2,3 --logits logits.json")]
pub(crate) struct ScoreArgs {
    /// A run, or a Hugging Face folder
    pub(crate) run: PathBuf,
    /// Text to score, after an end of text
    #[arg(long, group = "input")]
    pub(crate) text: Option<String>,
    /// File of documents to score, each after an end of text and with one at its end
    #[arg(long, group = "input")]
    pub(crate) file: Option<PathBuf>,
    /// Ids to score as they are; the first is given
    #[arg(long, group = "input")]
    pub(crate) ids: Option<String>,
    /// Where the documents of --file end: file, blank-line or line; as in the run's data by default
    #[arg(long)]
    pub(crate) boundary: Option<String>,
    /// Write the logits for --ids or --text here, as JSON
    #[arg(long)]
    pub(crate) logits: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A run, or a Hugging Face folder
    pub(crate) run: PathBuf,
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
    fn sizes_have_units() {
        assert_eq!(parse_bytes("500"), Ok(500));
        assert_eq!(parse_bytes("1.5kb"), Ok(1500));
        assert_eq!(parse_bytes("12MB"), Ok(12_000_000));
        assert!(parse_bytes("-1").is_err() && parse_bytes("many").is_err());
    }
}
