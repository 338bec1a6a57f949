//! What is kept away from training.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A part of the data with one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What the model learns from.
    Train,
    /// What the model is measured on and never learns from.
    HeldOut,
}

impl Split {
    /// All of them, in the order they are prepared in.
    pub const ALL: [Self; 2] = [Self::Train, Self::HeldOut];

    /// The name in manifests and file names: `train`, `held-out`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::HeldOut => "held-out",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is kept away from training. In a configuration: a number, a list of paths, or `"none"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "HeldOutConfig", into = "HeldOutConfig")]
pub enum HeldOut {
    /// The last part of the text. Whole files ([`DocumentBoundary::File`](super::DocumentBoundary::File)) count as one
    /// text, one after the other, of which the first `⌊(1 − fraction) · characters⌋` are trained on, as in nanoGPT; a
    /// file the cut falls into becomes two documents. Of smaller documents the first `⌊(1 − fraction) · documents⌋`
    /// are trained on and none is cut.
    Fraction(f64),
    /// These files (or the `.txt` files of these folders), cut into documents like the others. One that is among the
    /// texts as well is not trained on.
    Files(Vec<PathBuf>),
    /// Nothing.
    None,
}

impl Default for HeldOut {
    /// The last tenth, as in nanoGPT.
    fn default() -> Self {
        Self::Fraction(0.1)
    }
}

impl HeldOut {
    /// How many of `total` units (characters or documents) are trained on, when a fraction is held out.
    pub(super) fn train_units(fraction: f64, total: u64) -> u64 {
        // Rounding to f64 and truncating back is what Python's `int(0.9 * n)` does.
        ((1.0 - fraction) * total as f64) as u64
    }
}

/// [`HeldOut`] as it is written in a configuration.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a fraction such as 0.1, a list of files, or \"none\"")]
enum HeldOutConfig {
    Fraction(f64),
    Files(Vec<PathBuf>),
    Word(String),
}

impl TryFrom<HeldOutConfig> for HeldOut {
    type Error = String;

    fn try_from(config: HeldOutConfig) -> Result<Self, String> {
        match config {
            HeldOutConfig::Fraction(fraction) => Ok(Self::Fraction(fraction)),
            HeldOutConfig::Files(files) => Ok(Self::Files(files)),
            HeldOutConfig::Word(word) if word == "none" => Ok(Self::None),
            HeldOutConfig::Word(word) => Err(format!(
                "expected a fraction such as 0.1, a list of files, or \"none\", found \"{word}\""
            )),
        }
    }
}

impl From<HeldOut> for HeldOutConfig {
    fn from(held_out: HeldOut) -> Self {
        match held_out {
            HeldOut::Fraction(fraction) => Self::Fraction(fraction),
            HeldOut::Files(files) => Self::Files(files),
            HeldOut::None => Self::Word("none".to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Section {
        held_out: HeldOut,
    }

    #[test]
    fn configurations_round_trip() {
        let cases = [
            ("held_out = 0.1\n", HeldOut::Fraction(0.1)),
            ("held_out = [\"a.txt\"]\n", HeldOut::Files(vec!["a.txt".into()])),
            ("held_out = \"none\"\n", HeldOut::None),
        ];
        for (text, held_out) in cases {
            let section = Section { held_out };
            assert_eq!(toml::from_str::<Section>(text).unwrap(), section);
            assert_eq!(toml::to_string(&section).unwrap(), text);
        }
    }

    #[test]
    fn other_words_and_types_are_errors_that_say_what_is_expected() {
        for text in ["held_out = \"nothing\"", "held_out = true"] {
            let message = toml::from_str::<Section>(text).unwrap_err().to_string();
            assert!(message.contains("a fraction such as 0.1, a list of files, or \"none\""), "{message}");
        }
    }

    #[test]
    fn the_cut_is_pythons() {
        // tinyshakespeare: int(0.9 * 1115394) == 1003854.
        assert_eq!(HeldOut::train_units(0.1, 1_115_394), 1_003_854);
        assert_eq!(HeldOut::train_units(0.1, 10), 9);
        assert_eq!(HeldOut::train_units(0.1, 1), 0);
        assert_eq!(HeldOut::train_units(0.5, 3), 1);
    }
}
