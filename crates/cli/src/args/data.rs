//! The command line of `firebrand data`.

use super::{Boundary, parse_bytes};
use clap::{Args, Subcommand, ValueEnum};
use firebrand_corpus::{datasets, records};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Which datasets there are and which are here; with names, all that is known about them
    #[command(after_help = "Examples:
  firebrand data list
  firebrand data list sst2
  firebrand data list --json")]
    List(ListDataArgs),
    /// Bring datasets here: downloaded or copied, verified, unpacked
    #[command(after_help = "A download that was cut off goes on where it stopped. Nothing is used whose
checksum differs from the published one. Where none is published, that of the
first fetch is kept, and later fetches are held to it.

Examples:
  firebrand data fetch tinyshakespeare
  firebrand data fetch sst2 trec --from ~/Downloads
  firebrand data fetch wikitext2 --mirror https://hf-mirror.com
  firebrand data fetch --manifest mine.toml")]
    Fetch(FetchDataArgs),
    /// What is in datasets or files: counts, lengths, labels, duplicates, examples
    #[command(after_help = "Duplicates are examples with the same words in the same order. For each text
about a hundred bytes are kept in memory.

Examples:
  firebrand data inspect sst2
  firebrand data inspect trec --label fine --split train
  firebrand data inspect reviews.jsonl more.csv.gz --label label
  firebrand data inspect book.txt --boundary blank-line --json")]
    Inspect(InspectDataArgs),
    /// Write stories, labelled reviews or sentence pairs of any size, with their exact log-probability
    #[command(after_help = "Examples:
  firebrand data generate --kind stories --bytes 12MB --out train.txt
  firebrand data generate --split validation --bytes 200KB --out val.txt
  firebrand data generate --kind reviews --count 1000 --out reviews.jsonl")]
    Generate(GenerateDataArgs),
}

// Not a doc comment, which clap would print as the description of every command.
// Where datasets are.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Folder of the datasets [default: $FIREBRAND_DATA, else ./datasets if there, else ~/.cache/firebrand/datasets]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ListDataArgs {
    /// Show all that is known about these
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FetchDataArgs {
    /// Names of datasets, as `firebrand data list` shows them
    #[arg(value_name = "NAME", required_unless_present = "manifest")]
    pub(crate) names: Vec<String>,
    /// A manifest of your own; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Vec<PathBuf>,
    /// Copy from this folder instead of downloading
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
    /// Which form the files of --from have [default: found out]
    #[arg(long, value_name = "NAME", requires = "from")]
    pub(crate) variant: Option<String>,
    /// Try this address first: a host that mirrors the original one, or a folder that holds the files
    #[arg(long, value_name = "URL", value_parser = parse_address, conflicts_with = "from")]
    pub(crate) mirror: Vec<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Fetch again what is here
    #[arg(long)]
    pub(crate) force: bool,
    /// Give up on a server that sends nothing for so long
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, default_value = "30")]
    pub(crate) timeout: Duration,
    /// How often to try an address again after a failure that may pass
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) retries: u32,
}

#[derive(Debug, Args)]
pub(crate) struct InspectDataArgs {
    /// A dataset that was fetched, or files: text, JSON lines, CSV, TSV, Parquet, also .gz and .zst
    #[arg(required = true, value_name = "NAME|FILE")]
    pub(crate) what: Vec<String>,
    /// Datasets: only this split; may be given several times [default: all]
    #[arg(long, value_enum)]
    pub(crate) split: Vec<DataSplit>,
    /// Datasets: which labels, where there are several. Files: the field of the label [default: none]
    #[arg(long, value_name = "LABEL")]
    pub(crate) label: Option<String>,
    /// Files: what they are [default: by their names]
    #[arg(long, value_enum)]
    pub(crate) format: Option<RecordFormat>,
    /// Files: the field of the text [default: text]
    #[arg(long, value_name = "FIELD")]
    pub(crate) field: Option<String>,
    /// Files: the field of a second text
    #[arg(long, value_name = "FIELD")]
    pub(crate) field_b: Option<String>,
    /// CSV and TSV files: the first line is a record; its fields are called 0, 1, …
    #[arg(long)]
    pub(crate) no_header: bool,
    /// Plain text: where documents end [default: of datasets, as their manifest says; of files, line]
    #[arg(long, value_enum)]
    pub(crate) boundary: Option<Boundary>,
    /// How many examples to show of each
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) examples: usize,
    /// Which examples: the same seed shows the same ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// What files are, where their names do not say it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RecordFormat {
    Text,
    JsonLines,
    Csv,
    Tsv,
    Parquet,
}

impl From<RecordFormat> for records::Format {
    fn from(format: RecordFormat) -> Self {
        match format {
            RecordFormat::Text => Self::Text,
            RecordFormat::JsonLines => Self::JsonLines,
            RecordFormat::Csv => Self::Csv,
            RecordFormat::Tsv => Self::Tsv,
            RecordFormat::Parquet => Self::Parquet,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct GenerateDataArgs {
    /// What to write
    #[arg(long, value_enum, default_value_t = DataKind::Stories)]
    pub(crate) kind: DataKind,
    /// Which split; no document is in two, whatever the seeds
    #[arg(long, value_enum, default_value_t = DataSplit::Train)]
    pub(crate) split: DataSplit,
    /// Stories: at least so many bytes of text (500, 20KB, 12MB, 1GB)
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, default_value = "1MB")]
    pub(crate) bytes: u64,
    /// Reviews and pairs: so many documents
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) count: u64,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// File to write [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DataKind {
    /// Plain text, a blank line between two stories
    Stories,
    /// JSON lines: a review and the sentiment of each of its aspects
    Reviews,
    /// JSON lines: two sentences, and whether the second follows from the first
    Pairs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DataSplit {
    Train,
    Validation,
    Test,
}

/// A time that a server may take.
fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number of seconds; write 0.1 to 86400".to_string()),
    }
}

/// An address to download from.
fn parse_address(text: &str) -> Result<String, String> {
    match datasets::is_address(text) {
        true => Ok(text.to_string()),
        false => Err("not an address; write http://… or https://…".to_string()),
    }
}
