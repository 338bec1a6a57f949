//! Where training data comes from: text sources, token shards, batch order, the built-in corpus.
//!
//! The way of the data: [`records`] reads JSON lines, CSV and Parquet, [`sources`] reads files as documents and holds some of them out; [`mod@prepare`] encodes
//! them, in parallel, into [`shards`], memory-mapped token files with a manifest; [`batches`] says which windows of
//! them make up which step; [`datasets`] fetches public data by name. Nothing here knows how a tokenizer works: text
//! goes into a function, ids come out.

pub mod batches;
pub mod datasets;
pub mod error;
pub mod generator;
pub mod prepare;
pub mod progress;
pub mod records;
pub mod shards;
pub mod sources;

mod digest;
mod input;
mod nearest;

pub use error::CorpusError;
pub use nearest::{did_you_mean, nearest};
pub use progress::{Progress, Stage};
