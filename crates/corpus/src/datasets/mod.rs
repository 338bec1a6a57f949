//! Datasets by name: where their files come from, what is in them, and whether they are here.
//!
//! A [`Manifest`] describes a dataset: source, licence, checksums, splits, fields, labels. The built-in ones lie in
//! `datasets/<name>/dataset.toml` and are part of the program; anybody can write another. [`fetch`] brings the files
//! into a [`Store`], verified and unpacked, whole or not at all; [`Store::open`] gives the files of each split to
//! whoever reads them. Knows nothing of tokens or models.

mod built_in;
mod check;
mod convert;
mod download;
mod error;
mod examples;
mod fetch;
mod generate;
mod inspect;
mod labelled;
mod local;
mod manifest;
mod source;
mod store;
mod unpack;

pub use built_in::{built_in, nearest};
pub use error::{DatasetError, Rejection};
pub use examples::{Example, Examples, Layout};
pub use fetch::{Event, Fetched, Options, fetch};
pub use inspect::{Inspection, Lengths, MOST_PARTS, Part, PartStats, Sample, inspect};
pub use labelled::MinimalPair;
pub use manifest::{
    Convert, Encoding, Generate, GenerateKind, Kind, LabelSet, Manifest, Source, SplitName, SplitSpec,
    Unpack, Variant,
};
pub use source::is_address;
pub use store::{Dataset, DatasetSplit, Receipt, ReceivedFile, Store};
