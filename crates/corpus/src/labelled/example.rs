//! One example.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Turn;

/// A text, perhaps a second one, and what is said about them.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The text; never empty. Of a chat, all that is said before the last turn.
    pub text: String,
    /// The second text of a pair.
    pub text_b: Option<String>,
    /// What is said about it.
    pub target: Target,
    /// Where it stands.
    pub place: Place,
}

/// What is said about a text. Labels are places in [`Labels`](super::Labels).
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Nothing: the file is read without labels.
    None,
    /// Nothing, of words that are to be tagged: the bytes of each in the text of the example.
    Words(Vec<Range<usize>>),
    /// One label.
    Class(usize),
    /// Any number of labels, each once, in rising order.
    Classes(Vec<usize>),
    /// A finite number.
    Number(f64),
    /// A tag for each word.
    Tags(Vec<TaggedWord>),
    /// The text it is to become.
    Text(String),
    /// All turns of a chat, those of the text among them; one at least is the assistant's.
    Turns(Vec<Turn>),
}

impl Target {
    /// The labels that are said of an example; none of numbers and texts.
    pub fn labels(&self) -> BTreeSet<usize> {
        match self {
            Self::Class(label) => BTreeSet::from([*label]),
            Self::Classes(labels) => labels.iter().copied().collect(),
            Self::Tags(words) => words.iter().map(|word| word.tag).collect(),
            Self::None | Self::Words(_) | Self::Number(_) | Self::Text(_) | Self::Turns(_) => BTreeSet::new(),
        }
    }
}

/// A word and its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedWord {
    /// The bytes of the word in the text of its example.
    pub range: Range<usize>,
    /// Its tag.
    pub tag: usize,
}

/// Where an example stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The number of the file, in the order they were read in, from 0.
    pub file: usize,
    /// Its line, from 1; in a Parquet file the row.
    pub line: u64,
}
