//! Arguments of `firebrand eval`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "Built-in suites:
  smoke        a few seconds, on what the built-in grammar makes
  built-in     the same in earnest: stories, reviews, pairs of sentences
  blimp        67 paradigms of English grammar (data fetch blimp)

Examples:
  firebrand eval runs/quickstart --suite built-in
  firebrand eval runs/a runs/b --suite blimp --by-group
  firebrand eval runs/a --suite my.toml --examples answers.jsonl --json
  firebrand eval runs/a --suite blimp smoke --limit 500")]
pub(crate) struct EvalArgs {
    /// Runs or Hugging Face folders; several are compared with the first
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// What to ask: TOML files, or suites that are built in
    #[arg(long, value_name = "NAME|FILE", required = true, num_args = 1..)]
    pub(crate) suite: Vec<String>,
    /// Only this task; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) task: Vec<String>,
    /// At most so many examples a task, drawn by the suite's seed
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<std::num::NonZeroUsize>,
    /// Show the groups of minimal pairs, each by itself
    #[arg(long)]
    pub(crate) by_group: bool,
    /// Write each answer here, as JSON lines with its log-likelihoods
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) examples: Option<PathBuf>,
}
