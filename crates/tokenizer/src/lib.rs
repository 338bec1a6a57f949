//! Byte-pair-encoding tokenizers: train, encode, decode, file formats.
//!
//! A [`Tokenizer`] turns text into token ids and back. It is made by training ([`Tokenizer::train_byte_level`],
//! or [`ByteLevelTrainer`] and [`LongestPrefixTrainer`] for texts that do not fit in memory), from the characters of a text
//! ([`Tokenizer::characters`]), or from files ([`Tokenizer::load`]); [`Tokenizer::save`] writes the
//! `tokenizer.json` of Hugging Face, which gives the same ids there.
//!
//! Everything else in this workspace works on ids. What it needs to know of tokens is a [`TokenTable`], plain
//! data made by [`Tokenizer::token_table`]. This crate knows nothing of tensors, models or data sets.
//!
//! ```
//! use firebrand_tokenizer::{ByteLevelConfig, Tokenizer};
//!
//! let text = "to be or not to be, that is the question";
//! let config = ByteLevelConfig { vocab_size: 270, ..ByteLevelConfig::default() };
//! let tokenizer = Tokenizer::train_byte_level([text], &config)?;
//! let ids = tokenizer.encode(text);
//! assert!(ids.len() < text.len());
//! assert_eq!(tokenizer.decode(&ids)?, text);
//! # Ok::<(), firebrand_tokenizer::TokenizerError>(())
//! ```

mod added;
mod byte_level;
mod bytes;
mod encoding;
mod error;
mod files;
mod hugging_face;
mod longest_prefix;
mod merging;
mod pair;
mod pattern;
mod piece_map;
mod pieces;
mod splits;
mod stream;
mod table;
mod tiktoken;
mod tokenizer;
mod vocabulary;

pub use byte_level::{ByteLevelConfig, ByteLevelTrainer, END_OF_TEXT};
pub use error::TokenizerError;
pub use longest_prefix::{LongestPrefixConfig, LongestPrefixTrainer, UNKNOWN, VocabularySize};
pub use pattern::Pattern;
pub use pieces::Cutter;
pub use stream::StreamDecoder;
pub use table::{TokenEntry, TokenTable};
pub use tokenizer::Tokenizer;
