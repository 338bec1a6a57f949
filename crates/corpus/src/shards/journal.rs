//! How far shards in the making have come.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::ShardFile;
use crate::sources::Split;

/// What a later process needs to know to go on. Everything in it was on disk before it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    /// [`cache_key`](crate::prepare::cache_key) of the shards: with another one they are begun anew.
    pub(super) key: String,
    pub(super) splits: BTreeMap<Split, Written>,
}

/// What has been written of one split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// Files that are complete.
    pub(super) closed: Vec<ShardFile>,
    /// The file being written, without its sha256, as far as it is on disk. It may be longer.
    pub(super) open: Option<ShardFile>,
}
