//! Arguments of the commands that train and use a head for texts.

use super::PromptArgs;
use crate::config::TaskName;
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "Built-in configs:
  classification  for small models and few texts [default]
  regularized     for some thousand texts: knows them by heart less soon
  smoke           a few seconds, to see that everything works
  prompt-tuning   a soft prompt for a template, on a few examples

Examples:
  firebrand finetune --from runs/stories --data reviews.csv \\
    --out runs/reviews
  firebrand finetune --from runs/bert --data dataset:sst2 --out runs/sst2
  firebrand finetune --from runs/stories --data pairs.jsonl \\
    --text question --text-b answer --label good --out runs/pairs
  firebrand finetune --from runs/stories --data ratings.csv \\
    --task regression --set training.epochs=10 --out runs/ratings
  firebrand finetune --from runs/stories --data chats.jsonl \\
    --task instruction --out runs/chat
  firebrand finetune --from runs/stories --data reviews.csv \\
    --set data.test=0.2 --out runs/tested
  firebrand finetune --from runs/stories --data reviews.csv --dry-run
  firebrand finetune --from runs/stories --data reviews.csv --seeds 3 \\
    --out runs/seeds
  firebrand finetune --from runs/stories --data few.jsonl \\
    --template reviews --out runs/pet
  firebrand finetune --from runs/stories --data few.jsonl \\
    --config prompt-tuning --set method.kind=prefix --out runs/prefix
  firebrand finetune --out runs/reviews --resume")]
pub(crate) struct FinetuneArgs {
    /// The run or Hugging Face folder to start from
    #[arg(long, value_name = "RUN", required_unless_present = "resume")]
    pub(crate) from: Option<PathBuf>,
    /// Labelled files: CSV, TSV, JSON lines, Parquet; also .gz and .zst; or dataset:NAME
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) data: Vec<PathBuf>,
    /// A TOML file, or the name of a config that is built in [default: classification]
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) config: Option<String>,
    /// What is to be said of a text [default: as the config says]
    #[arg(long, value_enum)]
    pub(crate) task: Option<TaskName>,
    /// Train by the answers of a template: a TOML file, or the name of a built-in one
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) template: Option<String>,
    /// The column of the text [default: found by its name]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text: Option<String>,
    /// The column of a second text [default: found by its name]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text_b: Option<String>,
    /// The column of the label [default: found by its name]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// Set one key of the config: optimizer.lr=3e-4; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Folder of the run [default: runs/NAME-finetuned of --from]
    #[arg(long, value_name = "RUN")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run in --out, or start it if it has no checkpoint yet
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
    /// Make a run for each of so many seeds, in folders of --out; print mean and deviation
    #[arg(long, value_name = "N")]
    pub(crate) seeds: Option<NonZeroUsize>,
    /// A cross-validation: make a run for each of so many parts, which it is measured on; of the rest data.held_out chooses the
    /// best weights
    #[arg(long, value_name = "N", conflicts_with = "curve")]
    pub(crate) folds: Option<NonZeroUsize>,
    /// A learning curve: make runs on so many training examples each, in folders of --out
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    pub(crate) curve: Vec<NonZeroUsize>,
    /// Show what would be trained, on what examples and in how much memory, and stop
    #[arg(long, conflicts_with_all = ["curve", "resume", "tui"])]
    pub(crate) dry_run: bool,
    /// Curves on the whole terminal while it trains; its keys: q saves and stops, ? tells the others
    #[arg(long)]
    pub(crate) tui: bool,
    /// Write RUN/tensorboard/ too
    #[arg(long)]
    pub(crate) tensorboard: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firebrand classify runs/reviews \"A lovely film.\" \"Not for me.\"
  firebrand classify runs/reviews --file reviews.txt
  firebrand classify runs/reviews --file new.csv --add-columns out.csv
  firebrand classify runs/reviews --file new.jsonl --text review --json
  firebrand classify runs/reviews --file test.csv --label stars
  tail -f log.txt | firebrand classify runs/reviews

With --template any run is asked, fine-tuned or not, which answer is the
likeliest in a blank; a run that was trained by a template is asked by that one.
Built-in templates: reviews, reviews-verdict. A file of
one's own is TOML:
  text = \"{text} It was [Z].\"
  [labels]
  positive = [\"great\", \"good\"]
  negative = [\"terrible\"]
where {text} is a field of the input and [Z] the blank; there is also
{if field}…{else}…{end}.
  firebrand classify runs/mine --template reviews \"The staff were kind.\"
  firebrand classify runs/mine --template reviews-verdict \\
    --file dataset:firebrand-reviews/test --measure calibrated
  firebrand classify runs/mine --template a.toml --template b.toml \\
    --examples few.jsonl --choose --file new.jsonl --json")]
pub(crate) struct ClassifyArgs {
    /// A fine-tuned run, or a Hugging Face folder with such a head; with --template any run
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Texts to classify [default: stdin, a text a line]
    #[arg(value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
    /// A text a line, or CSV, TSV, JSON lines, Parquet, read as in training; may be given several times; with --template also
    /// dataset:NAME/SPLIT
    #[arg(long, visible_alias = "data", value_name = "FILE", conflicts_with = "texts")]
    pub(crate) file: Vec<PathBuf>,
    /// The column of the text [default: as in training, or found by its name]
    #[arg(long, value_name = "COLUMN", requires = "file")]
    pub(crate) text: Option<String>,
    /// The column of the second text [default: as in training, or found by its name]
    #[arg(long, value_name = "COLUMN", requires = "file")]
    pub(crate) text_b: Option<String>,
    /// Judge what is said by the labels in this column: print a report; with --template the field of the label, or of a dataset with
    /// several sets of labels which set
    #[arg(long, value_name = "COLUMN", conflicts_with = "add_columns")]
    pub(crate) label: Option<String>,
    /// Write all columns of the file, and what is said of each text, to a .csv, .tsv or .jsonl
    #[arg(long, value_name = "OUT", requires = "file")]
    pub(crate) add_columns: Option<PathBuf>,
    /// Texts that are read together
    #[arg(
        long,
        value_name = "N",
        default_value_t = NonZeroUsize::new(64).expect("64 is not 0"),
        conflicts_with = "templates"
    )]
    pub(crate) batch_size: NonZeroUsize,
    #[command(flatten)]
    pub(crate) prompt: PromptArgs,
}
