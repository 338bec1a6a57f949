//! Byte-pair-encoding tokenizers: train, encode, decode, file formats.
//!
//! A [`Tokenizer`] turns text into token ids and back. It is made by training ([`Tokenizer::train_byte_level`],
//! or [`ByteLevelTrainer`] and [`LongestPrefixTrainer`] for texts that do not fit in memory), from the characters of a text
//! ([`Tokenizer::characters`]), or from files ([`Tokenizer::load`]); [`Tokenizer::save`] writes the
//! `tokenizer.json` of Hugging Face, which gives the same ids there.
//!
//! Files of other programs: [`Tokenizer::load_gpt2`] reads GPT-2's pair, [`Tokenizer::load_tiktoken`] tiktoken's ranks, which
//! [`Tokenizer::save_tiktoken`] writes where that is exact, and `load` the `tok512.bin` of llama2.c.
//!
//! ```no_run
//! # use firebrand_tokenizer::{Pattern, Tokenizer};
//! // A folder or file of Hugging Face.
//! let tokenizer = Tokenizer::load("runs/book".as_ref())?;
//! // GPT-2's own files.
//! let gpt2 = Tokenizer::load_gpt2("encoder.json".as_ref(), "vocab.bpe".as_ref())?;
//! // tiktoken's: a published one by its name, any other with its pattern and special tokens.
//! let gpt4 = Tokenizer::load("cl100k_base.tiktoken".as_ref())?;
//! let mine = Tokenizer::load_tiktoken("mine.tiktoken".as_ref(), Pattern::Gpt2, &[("<|endoftext|>".into(), 50256)])?;
//! // llama2.c's. Its texts begin with a space of the tokenizer's own, which decoding takes off.
//! let stories = Tokenizer::load("tok512.bin".as_ref())?;
//! assert_eq!(stories.id_to_token(stories.encode("Once upon")[0]), Some(" Once"));
//! assert_eq!(stories.decode(&stories.encode("Once upon"))?, "Once upon");
//! # Ok::<(), firebrand_tokenizer::TokenizerError>(())
//! ```
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
mod decoding;
mod double_array;
mod encoding;
mod error;
mod files;
mod hugging_face;
mod llama2c;
mod longest_prefix;
mod merging;
mod normalization;
mod pair;
mod pattern;
mod piece_map;
mod pieces;
mod queue;
mod scored;
mod seen;
mod splits;
mod stream;
mod table;
mod tiktoken;
mod tokenizer;
mod vocabulary;
mod windows;

pub use byte_level::{ByteLevelConfig, ByteLevelTrainer, END_OF_TEXT};
pub use error::TokenizerError;
pub use longest_prefix::{LongestPrefixConfig, LongestPrefixTrainer, UNKNOWN, VocabularySize};
pub use normalization::Normalization;
pub use pattern::Pattern;
pub use pieces::{Cutter, PieceCounts, Pruned};
pub use stream::StreamDecoder;
pub use table::{TokenEntry, TokenTable};
pub use tokenizer::Tokenizer;
