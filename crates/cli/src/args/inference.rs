//! Arguments of the commands that use a trained model.

use super::Boundary;
use clap::{Args, ValueEnum};
use firebrand_decode::DraftLength;
use firebrand_transformer::WeightFormat;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firebrand generate runs/quickstart --prompt \"Once\"
  firebrand generate runs/quickstart --prompt \"Once\" --temperature 0.8 --seed 3
  firebrand generate runs/quickstart --prompt \"Once\" --beams 4 --n-best 3
  firebrand generate runs/quickstart --prompt \"Once\" --top-p 0.9 --best-of 8
  firebrand generate runs/quickstart --prompt \"Once\" --strategy contrastive
  firebrand generate runs/quickstart --prompt \"Once\" --draft runs/draft
  firebrand generate runs/quickstart --prompt \"Once\" --explain-cost
  firebrand generate runs/quickstart --prompt \"Once\" --stop \".\"
  firebrand generate runs/quickstart --prompt \"Once\" --regex \"[a-z ,]+[.]\"
  firebrand generate runs/quickstart --prompt \"Once\" --json-schema story.json
  firebrand generate runs/quickstart --prompt-ids 12,7,431 --json
  firebrand generate runs/fim --fill \"The fox [Z] and went home.\"
  firebrand generate runs/quickstart --prompt \"Once\" --beams 4 --trace tree.html
  firebrand generate runs/bert --fill \"The [Z] went home.\" --n-best 3
  firebrand generate runs/quickstart --prompt \"Once\" --weights int8
  firebrand generate runs/t5 --fill \"The [Z] went home.\"
  printf 'Once\\nOne day\\n' | firebrand generate runs/quickstart")]
pub(crate) struct GenerateArgs {
    /// A run, a Hugging Face folder (Llama, GPT-2, BERT, T5), or a model of llama2.c (.bin)
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Text to continue; may be given several times [default: stdin, a prompt a line]
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Vec<String>,
    /// Ids to continue, separated by commas; may be given several times
    #[arg(long, value_name = "IDS")]
    pub(crate) prompt_ids: Vec<String>,
    /// Answer the prompts as a chat, by the template in the run; a JSON list of messages is one too
    #[arg(long, conflicts_with_all = ["prompt_ids", "fill"])]
    pub(crate) chat: bool,
    /// What a chat begins with: how the model is to answer
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub(crate) system: Option<String>,
    /// Say what stands in the blank `[Z]` of a text, for models that can; may be given several times
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["prompt", "prompt_ids", "sliding_window", "guidance"])]
    pub(crate) fill: Vec<String>,
    /// How many tokens a blank takes, for a model that fills masks
    #[arg(long, value_name = "N", default_value_t = 1, requires = "fill")]
    pub(crate) blank_tokens: usize,
    /// At most so many new tokens; never more than the model's context holds
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) max_new_tokens: usize,
    /// No end of text before so many new tokens
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) min_new_tokens: usize,
    /// How to choose tokens [default: greedy; with options of another strategy, that one]
    #[arg(long, value_enum)]
    pub(crate) strategy: Option<StrategyName>,
    /// Below 1 sharper, above 1 flatter [default: 1]
    #[arg(long, value_name = "T", help_heading = SAMPLING)]
    pub(crate) temperature: Option<f64>,
    /// Only the K most likely tokens [default: all]
    #[arg(long, value_name = "K", help_heading = SAMPLING)]
    pub(crate) top_k: Option<usize>,
    /// Only the most likely tokens that make up P together [default: 1]
    #[arg(long, value_name = "P", help_heading = SAMPLING)]
    pub(crate) top_p: Option<f64>,
    /// Only tokens at least M times as likely as the likeliest
    #[arg(long, value_name = "M", help_heading = SAMPLING)]
    pub(crate) min_p: Option<f64>,
    /// Only the tokens of the most typical surprise that make up P together
    #[arg(long, value_name = "P", help_heading = SAMPLING)]
    pub(crate) typical_p: Option<f64>,
    /// Only tokens above a probability that falls with the entropy, E at most
    #[arg(long, value_name = "E", help_heading = SAMPLING)]
    pub(crate) eta: Option<f64>,
    /// The same seed gives the same text
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = SAMPLING)]
    pub(crate) seed: u64,
    /// Mirostat: keep the text at so many bits of surprise a token, its perplexity at 2^X
    #[arg(long, value_name = "X", help_heading = SAMPLING)]
    pub(crate) mirostat: Option<f64>,
    /// How fast mirostat makes up for surprise [default: 0.1]
    #[arg(long, value_name = "X", requires = "mirostat", help_heading = SAMPLING)]
    pub(crate) mirostat_rate: Option<f64>,
    /// Draw N texts for each prompt and keep the best
    #[arg(long, value_name = "N", help_heading = SAMPLING)]
    pub(crate) best_of: Option<usize>,
    /// Which of them is best [default: log-prob]
    #[arg(long, value_enum, value_name = "WHAT", requires = "best_of", help_heading = SAMPLING)]
    pub(crate) best_by: Option<BestBy>,
    /// How many hypotheses a search keeps [default: 4]
    #[arg(long, value_name = "K", help_heading = SEARCH)]
    pub(crate) beams: Option<usize>,
    /// Compare sums of log-probabilities over length^X; above 0 favours longer texts [default: 0]
    #[arg(long, value_name = "X", allow_hyphen_values = true, help_heading = SEARCH)]
    pub(crate) length_penalty: Option<f64>,
    /// Divide the hypotheses into so many groups that avoid each other's tokens [default: 1]
    #[arg(long, value_name = "G", help_heading = SEARCH)]
    pub(crate) beam_groups: Option<usize>,
    /// What a token costs that another group took, in nats [default: 0.5 where there are groups]
    #[arg(long, value_name = "X", requires = "beam_groups", help_heading = SEARCH)]
    pub(crate) diversity: Option<f64>,
    /// What proposes tokens, of which the model verifies many at a time: a run with the same tokenizer; ngram, what followed the
    /// last tokens before; ngram:FILE, what mostly follows them in a text file; self:N, the model's own N lower layers
    #[arg(long, value_name = "RUN|ngram|ngram:FILE|self:N", help_heading = SPECULATION)]
    pub(crate) draft: Option<String>,
    /// How many tokens are proposed at a time: a number, or auto for what is fastest by the acceptance and times measured so far, 0
    /// to 4. [default: auto; with sampling 4, so that a seed always gives the same text]
    #[arg(long, value_name = "N|auto", value_parser = parse_draft_length, help_heading = SPECULATION)]
    pub(crate) draft_length: Option<DraftLength>,
    /// Decode without the draft too, and say by how much that is slower
    #[arg(long, requires = "draft", help_heading = SPECULATION)]
    pub(crate) compare: bool,
    /// How many of the likeliest tokens are looked at [default: 4]
    #[arg(long, value_name = "K", help_heading = CONTRASTIVE)]
    pub(crate) contrastive_k: Option<usize>,
    /// How much being unlike the text so far counts, beside being likely: 0 to 1 [default: 0.6]
    #[arg(long, value_name = "X", allow_hyphen_values = true, help_heading = CONTRASTIVE)]
    pub(crate) contrastive_alpha: Option<f64>,
    /// Keep nothing between tokens and read the whole text again for each: for learning what the cache saves
    #[arg(long, help_heading = COST)]
    pub(crate) no_cache: bool,
    /// Say what was spent where, what the formulas predict, and what it takes without the cache, which is measured too
    #[arg(long, conflicts_with_all = ["no_cache", "sliding_window", "guidance", "trace"], help_heading = COST)]
    pub(crate) explain_cost: bool,
    /// Draw time over new tokens here, predicted and measured
    #[arg(long, value_name = "FILE.svg", requires = "explain_cost", help_heading = COST)]
    pub(crate) cost_plot: Option<PathBuf>,
    /// Go on when the context is full, and take longer prompts: the older half of what is seen is forgotten
    #[arg(long)]
    pub(crate) sliding_window: bool,
    /// Classifier-free guidance: how far to go from what follows the negative prompt, or the last token alone; 1 changes nothing
    #[arg(long, value_name = "X")]
    pub(crate) guidance: Option<f64>,
    /// The prompt that guidance goes away from
    #[arg(long, value_name = "TEXT", requires = "guidance")]
    pub(crate) negative_prompt: Option<String>,
    /// Show so many texts for each prompt, the best first, with their scores
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) n_best: usize,
    /// Above 1: tokens seen before become less likely
    #[arg(long, value_name = "X", default_value_t = 1.0, help_heading = TOKENS)]
    pub(crate) repetition_penalty: f64,
    /// Taken once from the logits of tokens seen before
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_hyphen_values = true, help_heading = TOKENS)]
    pub(crate) presence_penalty: f64,
    /// Taken from the logits of tokens seen before as often as they were seen
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_hyphen_values = true, help_heading = TOKENS)]
    pub(crate) frequency_penalty: f64,
    /// No N tokens come twice in the same order; 0 allows all
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = TOKENS)]
    pub(crate) no_repeat_ngram: usize,
    /// Tokens that are never chosen; may be given several times
    #[arg(long, value_name = "IDS", help_heading = TOKENS)]
    pub(crate) ban: Vec<String>,
    /// Add X to the logit of a token; may be given several times
    #[arg(long, value_name = "ID=X", value_parser = parse_bias, allow_hyphen_values = true, help_heading = TOKENS)]
    pub(crate) bias: Vec<(u32, f32)>,
    /// The text begins with this
    #[arg(long, value_name = "TEXT", help_heading = TOKENS)]
    pub(crate) force: Option<String>,
    /// The text matches this regular expression as a whole
    #[arg(long, value_name = "PATTERN", conflicts_with = "json_schema", help_heading = TOKENS)]
    pub(crate) regex: Option<String>,
    /// The text is JSON that the schema in this file allows
    #[arg(long, value_name = "FILE", help_heading = TOKENS)]
    pub(crate) json_schema: Option<PathBuf>,
    /// End before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// Write a page here that shows how each text came about: what else there was to choose, the tree of a search, a draft's proposals
    #[arg(long, value_name = "FILE.html")]
    pub(crate) trace: Option<PathBuf>,
    /// How weights are stored: less memory to read for each token, and another rounding (see `score --weights`)
    #[arg(long, value_enum, default_value_t = WeightsName::F32)]
    pub(crate) weights: WeightsName,
}

const SAMPLING: &str = "Sampling";
const SEARCH: &str = "Beam search";
const SPECULATION: &str = "Speculative decoding";
const CONTRASTIVE: &str = "Contrastive search";
const COST: &str = "Cost";
const TOKENS: &str = "Tokens";

/// The most tokens that are proposed at a time if nobody says how many.
const MOST_PROPOSED: usize = 4;

fn parse_draft_length(text: &str) -> Result<DraftLength, String> {
    match text {
        "auto" => Ok(DraftLength::Adaptive { most: MOST_PROPOSED }),
        _ => text.parse().map(DraftLength::Fixed).map_err(|_| "is no number, and not auto".to_owned()),
    }
}

impl GenerateArgs {
    /// How many tokens a draft proposes at a time.
    pub(crate) fn draft_length(&self, is_greedy: bool) -> DraftLength {
        self.draft_length.unwrap_or(match is_greedy {
            true => DraftLength::Adaptive { most: MOST_PROPOSED },
            false => DraftLength::Fixed(4),
        })
    }
}

/// `ID=X`.
fn parse_bias(text: &str) -> Result<(u32, f32), String> {
    let parsed = text
        .split_once('=')
        .and_then(|(id, bias)| Some((id.trim().parse().ok()?, bias.trim().parse().ok()?)));
    parsed.ok_or_else(|| "is no id, `=` and a number, such as 42=-1.5".to_owned())
}

/// Which of several texts is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BestBy {
    /// The likeliest; see --length-penalty
    LogProb,
    /// The one most like the others (minimum Bayes risk)
    Agreement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StrategyName {
    /// The likeliest token every time
    Greedy,
    /// A token by chance, as likely as the model says
    Sample,
    /// The likeliest text that a search finds; with --temperature and the like, hypotheses are drawn
    Beam,
    /// Greedy, or sampling with --temperature and the like, by a draft: the same text, or texts as likely
    Speculative,
    /// A likely token that is least like the text so far, against repetition
    Contrastive,
}

/// How the matrices of a model are stored while it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightsName {
    /// 32 bits, as trained
    F32,
    /// 16 bits: half the memory
    Bf16,
    /// 8-bit integers, scaled for each output and 64 inputs: a quarter of the memory
    Int8,
}

impl From<WeightsName> for WeightFormat {
    fn from(name: WeightsName) -> Self {
        match name {
            WeightsName::F32 => Self::F32,
            WeightsName::Bf16 => Self::Bf16,
            WeightsName::Int8 => Self::Int8,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firebrand score runs/quickstart --text \"Once there was a fox.\"
  firebrand score runs/quickstart --file val.txt --boundary blank-line --json
  firebrand score runs/quickstart --file lines.txt --boundary line --each
  firebrand score runs/quickstart --ids 1,2,3 --logits logits.json
  firebrand score runs/quickstart --file val.txt --weights int8
  firebrand score runs/quickstart --held-out --ngram 5")]
pub(crate) struct ScoreArgs {
    /// A run, a Hugging Face folder (Llama, GPT-2, BERT, T5), or a model of llama2.c (.bin)
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Text to score, after an end of text; a masked model sees what it knows around a text, such as `[CLS]` and `[SEP]`
    #[arg(long, value_name = "TEXT", group = "input")]
    pub(crate) text: Option<String>,
    /// File of documents to score, each after an end of text and with one at its end; for a masked model as --text
    #[arg(long, value_name = "FILE", group = "input")]
    pub(crate) file: Option<PathBuf>,
    /// Ids to score as they are; the first is given, but a masked model scores all of them that stand for text
    #[arg(long, value_name = "IDS", group = "input")]
    pub(crate) ids: Option<String>,
    /// Score what the run held out of its data
    #[arg(long, group = "input")]
    pub(crate) held_out: bool,
    /// Where the documents of --file end [default: as in the run's data]
    #[arg(long, value_enum)]
    pub(crate) boundary: Option<Boundary>,
    /// A line of JSON for each document, in their order, instead of what all have in common
    #[arg(long, requires = "file", conflicts_with_all = ["text", "ids", "held_out", "ngram"])]
    pub(crate) each: bool,
    /// Score by n-grams of the run's training text too, of 1 to N tokens (modified Kneser-Ney): what a model has to beat
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) ngram: Option<u8>,
    /// Store weights like this, and show what that changes: perplexity and memory beside those of f32
    #[arg(long, value_enum, default_value_t = WeightsName::F32)]
    pub(crate) weights: WeightsName,
    /// Write the logits for --ids or --text here, as JSON: a row of the vocabulary's size for every token, about the one behind it; of a
    /// masked model about the token itself, which it sees
    #[arg(long, value_name = "FILE")]
    pub(crate) logits: Option<PathBuf>,
}

/// Which of a model's layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The last one, normalized.
    Last,
    /// 0 is the embedding.
    One(usize),
    /// The mean of all.
    Mix,
}

fn parse_layer(text: &str) -> Result<Layer, String> {
    match text {
        "last" => Ok(Layer::Last),
        "mix" => Ok(Layer::Mix),
        _ => text.parse().map(Layer::One).map_err(|_| "is no layer's number, and not last or mix".to_owned()),
    }
}

/// What becomes of the tokens of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pool {
    /// One vector a token
    None,
    /// Their mean
    Mean,
    /// The first token's: of the text itself, not of a `[CLS]` before it
    First,
    /// The last token's: of the text itself, not of a `[SEP]` behind it
    Last,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firebrand embed runs/elmo --text \"The fox went home.\" --layer mix
  firebrand embed runs/elmo --file lines.txt --pool mean --out lines.safetensors
  printf 'One day\\nOnce\\n' | firebrand embed runs/quickstart --layer 2")]
pub(crate) struct EmbedArgs {
    /// A run, a Hugging Face folder (Llama, GPT-2, BERT, T5), or a model of llama2.c (.bin)
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Text to embed; may be given several times [default: stdin, a text a line]
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Vec<String>,
    /// File of texts, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Ids to embed as they are; may be given several times
    #[arg(long, value_name = "IDS")]
    pub(crate) ids: Vec<String>,
    /// Which states: a layer's number (0 is the embedding), the last, or the mean of all, as ELMo's before any training
    #[arg(long, value_name = "K|last|mix", default_value = "last", value_parser = parse_layer)]
    pub(crate) layer: Layer,
    /// One vector a token, or one for the whole text
    #[arg(long, value_enum, default_value_t = Pool::None)]
    pub(crate) pool: Pool,
    /// Write a safetensors file: [tokens, d] for each text under its number, with --pool one [texts, d] [default: JSON lines on
    /// stdout]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firebrand show runs/quickstart
  firebrand show runs/quickstart --json
  firebrand show runs/a runs/b
  firebrand show runs --sort time
  firebrand show runs --tensorboard && tensorboard --logdir runs")]
pub(crate) struct ShowArgs {
    /// Runs, Hugging Face folders (Llama, GPT-2, BERT, T5), or folders of either; several are compared in a table
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// Several runs: in what order
    #[arg(long, value_enum, default_value_t = RunOrder::Best)]
    pub(crate) sort: RunOrder,
    /// Write RUN/tensorboard/ from the run's metrics, as `pretrain --tensorboard` does while it trains
    #[arg(long)]
    pub(crate) tensorboard: bool,
}

/// An order of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunOrder {
    /// The lowest held-out loss first; bits per byte where the tokenizers differ
    Best,
    /// By name
    Name,
    /// The fastest to its end first
    Time,
    /// The smallest first
    Parameters,
}

#[derive(Debug, Args)]
pub(crate) struct BenchGenerateArgs {
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
    /// Numbers in a cell, of the architecture lstm.
    #[arg(long, default_value_t = 1024)]
    pub(crate) cell: usize,
    /// Tokens of the prompt.
    #[arg(long, default_value_t = 64)]
    pub(crate) prompt: usize,
    /// Tokens to generate.
    #[arg(long, default_value_t = 128)]
    pub(crate) new: usize,
    #[arg(long, value_enum, default_value_t = WeightsName::F32)]
    pub(crate) weights: WeightsName,
    /// Use tensors, as on other devices.
    #[arg(long)]
    pub(crate) tensors: bool,
    /// The head is the token embedding.
    #[arg(long)]
    pub(crate) tied: bool,
    /// Measure a search with so many beams too.
    #[arg(long)]
    pub(crate) beams: Option<usize>,
    /// Measure a token behind so many others too.
    #[arg(long, value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// Write the model here, for a peer.
    #[arg(long)]
    pub(crate) save: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BenchCostArgs {
    /// How often each generation is measured.
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// Draw the curves here.
    #[arg(long)]
    pub(crate) plot: Option<PathBuf>,
}
