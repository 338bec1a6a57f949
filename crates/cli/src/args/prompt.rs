//! The command line of prompts.

use clap::{Args, ValueEnum};
use firebrand_prompt::{Measure, ShotChoice};
use std::path::PathBuf;

const PROMPT: &str = "Prompts";
const EXAMPLES: &str = "Labelled examples for prompts";

// Not a doc comment, which clap would print as the description of the command.
// What a model is asked with.
#[derive(Debug, Args)]
pub(crate) struct PromptArgs {
    /// Ask by this template: a TOML file, or the name of a built-in one; several are an ensemble
    #[arg(long = "template", value_name = "FILE|NAME", help_heading = PROMPT)]
    pub(crate) templates: Vec<String>,
    /// No more records than this
    #[arg(long, value_name = "N", help_heading = PROMPT)]
    pub(crate) limit: Option<usize>,
    /// A line for each record of labelled data too, instead of what they have in common
    #[arg(long, requires = "file", help_heading = PROMPT)]
    pub(crate) each: bool,
    /// In which sense the best answer is the best
    #[arg(long, value_enum, default_value_t = MeasureName::Sum, requires = "templates", help_heading = PROMPT)]
    pub(crate) measure: MeasureName,
    /// Read every filled text anew and as a whole, whatever it shares with others: to see what that costs
    #[arg(long, requires = "templates", conflicts_with_all = ["measure", "each", "examples"], help_heading = PROMPT)]
    pub(crate) one_by_one: bool,
    /// Labelled records for what follows, read as --data is
    #[arg(long, value_name = "FILE", help_heading = EXAMPLES)]
    pub(crate) examples: Vec<PathBuf>,
    /// Use no more of them than this, the first ones
    #[arg(long, value_name = "N", requires = "examples", help_heading = EXAMPLES)]
    pub(crate) few: Option<usize>,
    /// Show so many of them before each input
    #[arg(long, value_name = "N", default_value_t = 0, requires = "templates", help_heading = EXAMPLES)]
    pub(crate) shots: usize,
    /// Which ones [default: balanced]
    #[arg(long, value_enum, requires = "templates", help_heading = EXAMPLES)]
    pub(crate) shots_by: Option<ShotsBy>,
    /// Of demonstrations chosen by chance: another seed, other ones [default: 0]
    #[arg(long, value_name = "N", requires = "templates", help_heading = EXAMPLES)]
    pub(crate) seed: Option<u64>,
    /// Use only the template that finds most of their labels
    #[arg(long, requires = "examples", help_heading = EXAMPLES)]
    pub(crate) choose: bool,
    /// Find so many answers for each label by them, in place of those of the template
    #[arg(long, value_name = "N", requires = "examples", help_heading = EXAMPLES)]
    pub(crate) find_answers: Option<usize>,
}

impl PromptArgs {
    /// The first of those that need a template.
    pub(crate) fn first_given(&self) -> Option<&'static str> {
        let given = [
            (self.limit.is_some(), "--limit"),
            (self.each, "--each"),
            (self.one_by_one, "--one-by-one"),
            (!self.examples.is_empty(), "--examples"),
        ];
        given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }
}

/// In which sense an answer is the best.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum MeasureName {
    /// The log-probability of what differs
    Sum,
    /// For each token of that
    PerToken,
    /// For each character of the answer
    PerCharacter,
    /// For each byte of it
    PerByte,
    /// How much likelier the input makes it than empty fields do
    Pmi,
    /// Compared with inputs that say nothing
    Calibrated,
}

impl From<MeasureName> for Measure {
    fn from(name: MeasureName) -> Self {
        match name {
            MeasureName::Sum => Self::Sum,
            MeasureName::PerToken => Self::PerToken,
            MeasureName::PerCharacter => Self::PerCharacter,
            MeasureName::PerByte => Self::PerByte,
            MeasureName::Pmi => Self::Pmi,
            MeasureName::Calibrated => Self::Calibrated,
        }
    }
}

/// How demonstrations are chosen.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ShotsBy {
    /// By the seed
    Random,
    /// By the seed, as many of each label
    Balanced,
    /// For each input those nearest to it by their embeddings, the nearest last
    Nearest,
}

impl From<ShotsBy> for ShotChoice {
    fn from(by: ShotsBy) -> Self {
        match by {
            ShotsBy::Random => Self::Random,
            ShotsBy::Balanced => Self::Balanced,
            ShotsBy::Nearest => Self::Nearest,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct BenchPromptArgs {
    #[arg(long, default_value_t = 4096)]
    pub(crate) vocab: usize,
    #[arg(long, default_value_t = 256)]
    pub(crate) seq: usize,
    #[arg(long, default_value_t = 4)]
    pub(crate) layers: usize,
    #[arg(long, default_value_t = 4)]
    pub(crate) heads: usize,
    #[arg(long, default_value_t = 128)]
    pub(crate) d_model: usize,
    #[arg(long, default_value_t = 1000)]
    pub(crate) inputs: usize,
    #[arg(long, default_value_t = 4)]
    pub(crate) answers: usize,
    /// Tokens of an input, in the mean.
    #[arg(long, default_value_t = 64)]
    pub(crate) tokens: usize,
    /// Tokens that all inputs begin with, as demonstrations are.
    #[arg(long, default_value_t = 0)]
    pub(crate) shared: usize,
    /// Write model and questions here, for a peer.
    #[arg(long)]
    pub(crate) save: Option<PathBuf>,
}
