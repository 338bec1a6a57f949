//! Labelled data in files: a text, or two, and what is said about them.
//!
//! [`LabelledData`] is a section of a configuration: which files, which columns, what is held out. [`LabelledData::load`]
//! reads them, finds out which labels there are, divides the [`Example`]s by seed so that every part has its share of each
//! label, and reports texts that stand on both sides. [`read`] reads one file more under [`Labels`] that are known.
//!
//! | [`Kind`] | a record has | label columns that are found by name |
//! |---|---|---|
//! | `Words` | words, or a text, and nothing said of it | |
//! | `Class` | a text, perhaps a second one, one label | `label`, `class`, `category`, … |
//! | `Classes` | the same, with any number of labels: a JSON list, or text with a separator | `labels`, … |
//! | `Number` | the same, with a number | `score`, `rating`, … |
//! | `Tags` | words and as many tags, or a text and spans of it | `tags`, `ner_tags`, `spans`, … |
//! | `Text` | an input and the text it is to become | `target`, `output`, `summary`, … |
//! | `Turns` | a prompt and a response, or the messages of a chat | `messages`, `response`, … |
//!
//! All of it is in memory: labelled data is small, and it is divided by what stands in it. Knows nothing of tokens.

mod columns;
mod data;
mod duplicates;
mod example;
mod labels;
mod read;
mod split;
mod target;
mod turns;
mod words;

pub use columns::{Columns, EmptyTexts, Kind, Reading};
pub use data::{FoldOf, LabelledData, LabelledFile, Loaded};
pub(crate) use duplicates::hash_of_words;
pub use duplicates::{Duplicates, duplicates};
pub use example::{Example, Place, TaggedWord, Target};
pub use labels::Labels;
pub use read::{ExampleReader, Known, Read, read};
pub use split::{Fold, folds, held_out, strata, subset, tested};
pub use target::words_of;
pub use turns::{Role, Turn};
