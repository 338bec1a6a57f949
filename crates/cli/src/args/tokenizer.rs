//! Arguments of the commands that make and use tokenizers.

use super::{ReadingArgs, parse_bytes};
use clap::{Args, Subcommand, ValueEnum};
use firebrand_tokenizer::Normalization;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenizerCommand {
    /// Learn a tokenizer from text files
    #[command(after_help = "Examples:
  firebrand tokenizer train books/ --out tok --vocab-size 8192
  firebrand tokenizer train books/ --out tok --algorithm longest-prefix
  firebrand tokenizer train c4.jsonl.zst --out tok --max-memory 1GB
  firebrand tokenizer train input.txt --out tok --algorithm characters")]
    Train(TokenizerTrainArgs),
    /// Text to ids
    #[command(after_help = "Examples:
  firebrand tokenizer encode --tokenizer tok story.txt
  echo \"A fox.\" | firebrand tokenizer encode --tokenizer tok --json
  firebrand tokenizer encode --tokenizer tok --special refuse chat.txt
  firebrand tokenizer encode --tokenizer tok --offsets --json story.txt")]
    Encode(TokenizerEncodeArgs),
    /// Ids (separated by commas or white space) to text
    #[command(after_help = "Examples:
  echo 12,7,431 | firebrand tokenizer decode --tokenizer tok
  firebrand tokenizer encode --tokenizer tok story.txt \\
    | firebrand tokenizer decode --tokenizer tok")]
    Decode(TokenizerUseArgs),
    /// What tokenizers are, what tokens they make of texts, and how many of each script
    #[command(after_help = "Examples:
  firebrand tokenizer inspect --tokenizer tok
  firebrand tokenizer inspect --tokenizer runs/quickstart --json
  firebrand tokenizer inspect --tokenizer tok --tokenizer other languages/
  firebrand tokenizer inspect --tokenizer tok --html tokens.html story.txt
  firebrand tokenizer inspect --tokenizer tok --tokenizer other \\
    --html tokens.html --html-bytes 1MB book.txt")]
    Inspect(TokenizerInspectArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerInspectArgs {
    /// tokenizer.json or a folder that holds one; several are compared
    #[arg(long = "tokenizer", value_name = "PATH", required = true)]
    pub(crate) tokenizers: Vec<PathBuf>,
    /// Texts to try them on, or folders of them
    #[arg(value_name = "TEXT")]
    pub(crate) texts: Vec<PathBuf>,
    /// Write a page that shows the tokens of the texts in colour; it needs nothing but a browser
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// How much of each text the page shows; its figures are those of the whole text
    #[arg(long, value_name = "SIZE", requires = "html", default_value = "200KB", value_parser = parse_bytes)]
    pub(crate) html_bytes: u64,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerTrainArgs {
    /// Text, JSON lines, CSV, TSV or Parquet; also .gz and .zst; or folders of such files
    #[arg(required = true, value_name = "TEXT")]
    pub(crate) texts: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    /// Folder to write tokenizer.json and tokenizer_config.json into
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// How tokens are found
    #[arg(long, value_enum, default_value_t = Algorithm::Byte)]
    pub(crate) algorithm: Algorithm,
    /// Number of tokens, the special ones included [default: 8192]
    #[arg(long, value_name = "N", conflicts_with = "merges")]
    pub(crate) vocab_size: Option<usize>,
    /// Number of merges, instead of the number of tokens
    #[arg(long, value_name = "K")]
    pub(crate) merges: Option<usize>,
    /// A special token; may be given several times, first ids first
    #[arg(long = "special", value_name = "TOKEN", default_value = "<|endoftext|>")]
    pub(crate) special_tokens: Vec<String>,
    /// How text is cut before merging: gpt2, cl100k, o200k, none, or a regular expression
    #[arg(long, default_value = "gpt2")]
    pub(crate) pattern: String,
    /// Pairs that occur less often are not merged
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min_frequency: u64,
    /// The most bytes a token has; longest-prefix, reference: characters
    #[arg(long, value_name = "N")]
    pub(crate) max_token_length: Option<usize>,
    /// longest-prefix, reference: unknown characters become their bytes, not `<unk>`
    #[arg(long)]
    pub(crate) byte_fallback: bool,
    /// Every digit is a token of its own, so that all numbers are spelled alike
    #[arg(long)]
    pub(crate) split_digits: bool,
    /// Unicode normalization of texts, at training and at encoding
    #[arg(long, value_enum, default_value_t = Normalize::None)]
    pub(crate) normalize: Normalize,
    /// The most memory that training takes, such as 1GB: the rarest pieces of text are forgotten
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) max_memory: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Normalize {
    /// Texts stay as they are
    None,
    /// Letters and their accents become one character
    Nfc,
    /// Also ligatures, wide and circled characters become plain ones
    Nfkc,
    /// As nfc, and letters become small ones
    Lowercase,
}

impl From<Normalize> for Normalization {
    fn from(normalize: Normalize) -> Self {
        match normalize {
            Normalize::None => Self::None,
            Normalize::Nfc => Self::Nfc,
            Normalize::Nfkc => Self::Nfkc,
            Normalize::Lowercase => Self::Lowercase,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct BenchTokenizerArgs {
    /// Texts to learn from
    #[arg(required = true)]
    pub(crate) texts: Vec<PathBuf>,
    #[arg(long, default_value_t = 8192)]
    pub(crate) vocab: usize,
    /// A text to encode
    #[arg(long, required_unless_present = "with")]
    pub(crate) encode: Option<PathBuf>,
    /// Encode the texts with this tokenizer instead of learning from them
    #[arg(long, conflicts_with = "encode")]
    pub(crate) with: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Algorithm {
    /// Byte-level BPE: any text can be encoded
    Byte,
    /// BPE on characters; a word becomes the longest prefix that is a token, again and again
    LongestPrefix,
    /// The same tokens as longest-prefix, found line by line as it is written down: slow
    Reference,
    /// One token a character of the text
    Characters,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerEncodeArgs {
    #[command(flatten)]
    pub(crate) common: TokenizerUseArgs,
    /// What a text does that spells a special token
    #[arg(long, value_enum, value_name = "HOW", default_value_t = SpecialInText::Text)]
    pub(crate) special: SpecialInText,
    /// With --json: which bytes of the text each token stands for
    #[arg(long, requires = "json", conflicts_with = "special")]
    pub(crate) offsets: bool,
    /// BPE-dropout: the probability by which a merge is skipped; another --seed skips others
    #[arg(long, value_name = "P", conflicts_with_all = ["special", "offsets"])]
    pub(crate) dropout: Option<f64>,
    /// What --dropout draws from
    #[arg(long, value_name = "N", default_value_t = 0, requires = "dropout")]
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SpecialInText {
    /// It is text like any other: a document cannot end itself
    Text,
    /// It is the special token
    Allow,
    /// It is an error
    Refuse,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerUseArgs {
    /// tokenizer.json or a folder that holds one
    #[arg(long, value_name = "PATH")]
    pub(crate) tokenizer: PathBuf,
    /// File to read [default: stdin]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}
