//! The command lines of the quickstart: everything it asks of the `firebrand` binary, in the order it asks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tokens in the vocabulary, when there is text enough to learn so many.
pub(super) const VOCAB_SIZE: u64 = 2_048;
/// A vocabulary holds at least the 256 bytes, special tokens and some merges.
const SMALLEST_VOCAB_SIZE: u64 = 320;
/// Fewer bytes of text a token than this, and most tokens would be seen too seldom to be learned.
const BYTES_PER_TOKEN: u64 = 64;

const TRAIN_BYTES: &str = "12MB";
const VALIDATION_BYTES: &str = "200KB";

/// A file of the built-in corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    Train,
    Validation,
}

/// What is learned.
#[derive(Clone, Debug)]
pub(super) enum Text {
    /// Stories of the built-in grammar, generated into the data folder.
    Stories,
    /// A file of the user's, of this many bytes.
    File { path: PathBuf, bytes: u64 },
}

/// Everything the command lines depend on.
#[derive(Clone, Debug)]
pub(super) struct Stages {
    pub(super) firebrand: PathBuf,
    /// The run directory.
    pub(super) run: PathBuf,
    /// Generated text and the tokenizer.
    pub(super) data: PathBuf,
    pub(super) text: Text,
    pub(super) device: Option<String>,
    pub(super) seed: u64,
}

impl Stages {
    /// Writes one file of the built-in corpus. The corpus is always that of seed 0, whatever the run's seed.
    pub(super) fn generate_data(&self, split: Split) -> Command {
        let (name, bytes) = match split {
            Split::Train => ("train", TRAIN_BYTES),
            Split::Validation => ("validation", VALIDATION_BYTES),
        };
        let mut command = Command::new(&self.firebrand);
        command.args([
            "data", "generate", "--kind", "stories", "--split", name, "--bytes", bytes, "--seed", "0",
        ]);
        command.arg("--out").arg(self.stories(split));
        command
    }

    /// Learns a byte-level tokenizer from the training text.
    pub(super) fn train_tokenizer(&self) -> Command {
        let mut command = Command::new(&self.firebrand);
        command.args(["tokenizer", "train"]).arg(self.training_text()).arg("--out").arg(self.tokenizer());
        command.args(["--algorithm", "byte", "--vocab-size", &self.vocab_size().to_string()]);
        command
    }

    /// Trains the model, or goes on training it.
    pub(super) fn pretrain(&self, resume: bool) -> Command {
        let mut command = Command::new(&self.firebrand);
        command.args(["pretrain", "--config", "quickstart"]);
        command.arg("--set").arg(format!("data.texts={}", toml_paths(&self.training_text())));
        match &self.text {
            Text::Stories => {
                let validation = toml_paths(&self.stories(Split::Validation));
                command.arg("--set").arg(format!("data.held_out={validation}"));
            }
            Text::File { .. } => {
                // One document: the model sees the text as it stands, and the held-out part is its last tenth.
                command.args(["--set", "data.boundary=\"file\"", "--set", "data.held_out=0.1"]);
            }
        }
        command.arg("--set").arg(format!("data.tokenizer={}", toml_path(&self.tokenizer())));
        command.arg("--set").arg(format!("seed={}", self.seed));
        command.arg("--out").arg(&self.run);
        command.args(self.device());
        if resume {
            command.arg("--resume");
        }
        command
    }

    /// Measures the model on the validation stories, as JSON.
    pub(super) fn score(&self) -> Command {
        let mut command = Command::new(&self.firebrand);
        command.arg("score").arg(&self.run).arg("--file").arg(self.stories(Split::Validation)).arg("--json");
        command.args(self.device());
        command
    }

    /// Lets the model write on from `prompt`, as JSON. `number` tells the samples of one report apart.
    pub(super) fn generate(&self, prompt: &str, number: u64) -> Command {
        let mut command = Command::new(&self.firebrand);
        command.arg("generate").arg(&self.run).args(["--prompt", prompt]);
        command.args(["--strategy", "sample", "--temperature", "0.8", "--max-new-tokens", "200"]);
        command.args(["--seed", &self.seed.wrapping_add(number).to_string(), "--json"]);
        command.args(self.device());
        command
    }

    /// Tokens in the vocabulary: fewer for a small text.
    pub(super) fn vocab_size(&self) -> u64 {
        match &self.text {
            Text::Stories => VOCAB_SIZE,
            Text::File { bytes, .. } => (bytes / BYTES_PER_TOKEN).clamp(SMALLEST_VOCAB_SIZE, VOCAB_SIZE),
        }
    }

    /// The folder of the tokenizer.
    pub(super) fn tokenizer(&self) -> PathBuf {
        self.data.join("tokenizer")
    }

    /// A generated file of stories.
    pub(super) fn stories(&self, split: Split) -> PathBuf {
        self.data.join(match split {
            Split::Train => "train.txt",
            Split::Validation => "validation.txt",
        })
    }

    fn training_text(&self) -> PathBuf {
        match &self.text {
            Text::Stories => self.stories(Split::Train),
            Text::File { path, .. } => path.clone(),
        }
    }

    fn device(&self) -> impl Iterator<Item = OsString> {
        self.device.iter().flat_map(|device| ["--device".into(), device.into()])
    }
}

/// `path` as a TOML string, quoted.
fn toml_path(path: &Path) -> String {
    toml::Value::String(path.to_string_lossy().into_owned()).to_string()
}

fn toml_paths(path: &Path) -> String {
    format!("[{}]", toml_path(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::command_line;

    fn stages(text: Text) -> Stages {
        let (run, data) = ("runs/quickstart".into(), "runs/quickstart-data".into());
        Stages { firebrand: "firebrand".into(), run, data, text, device: None, seed: 7 }
    }

    #[test]
    fn the_stages_on_the_built_in_stories() {
        let stages = stages(Text::Stories);
        let lines = [
            stages.generate_data(Split::Train),
            stages.generate_data(Split::Validation),
            stages.train_tokenizer(),
            stages.pretrain(false),
            stages.score(),
            stages.generate("Once upon", 1),
        ]
        .map(|command| command_line(&command))
        .join("\n");
        let expected = "\
firebrand data generate --kind stories --split train --bytes 12MB --seed 0 --out runs/quickstart-data/train.txt
firebrand data generate --kind stories --split validation --bytes 200KB --seed 0 --out runs/quickstart-data/validation.txt
firebrand tokenizer train runs/quickstart-data/train.txt --out runs/quickstart-data/tokenizer --algorithm byte --vocab-size 2048
firebrand pretrain --config quickstart --set 'data.texts=[\"runs/quickstart-data/train.txt\"]' \
--set 'data.held_out=[\"runs/quickstart-data/validation.txt\"]' \
--set 'data.tokenizer=\"runs/quickstart-data/tokenizer\"' --set seed=7 --out runs/quickstart
firebrand score runs/quickstart --file runs/quickstart-data/validation.txt --json
firebrand generate runs/quickstart --prompt 'Once upon' --strategy sample --temperature 0.8 --max-new-tokens 200 --seed 8 --json";
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_text_of_ones_own_is_one_document_with_its_last_tenth_held_out() {
        let text = Text::File { path: "notes.txt".into(), bytes: 1 << 20 };
        let stages = Stages { device: Some("ndarray".into()), ..stages(text) };
        let expected = "firebrand pretrain --config quickstart --set 'data.texts=[\"notes.txt\"]' \
            --set 'data.boundary=\"file\"' --set data.held_out=0.1 \
            --set 'data.tokenizer=\"runs/quickstart-data/tokenizer\"' --set seed=7 --out runs/quickstart \
            --device ndarray --resume";
        assert_eq!(command_line(&stages.pretrain(true)), expected);
    }

    #[test]
    fn a_small_text_gets_a_small_vocabulary() {
        let vocab_size = |bytes| stages(Text::File { path: "notes.txt".into(), bytes }).vocab_size();
        assert_eq!([1, 64_000, 1 << 20].map(vocab_size), [320, 1_000, 2_048]);
    }

    #[test]
    fn quotes_in_a_path_survive_toml() {
        let path = Path::new(r#"a "b" \c.txt"#);
        let table: toml::Table = format!("text = {}", toml_paths(path)).parse().expect("it is TOML");
        assert_eq!(table["text"][0].as_str(), path.to_str());
    }
}
