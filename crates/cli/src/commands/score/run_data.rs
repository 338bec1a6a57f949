//! The text that a run learned from, and what was held out of it.

use crate::args::Global;
use crate::config::PretrainConfig;
use crate::exit::usage;
use crate::run::{self, RunFile};
use crate::text;
use firebrand_corpus::shards::Shards;
use firebrand_corpus::sources::Split;
use firebrand_tokenizer::TokenTable;
use std::path::Path;

/// The data of a run as its config names them.
pub(super) struct RunData {
    shards: Shards,
    pub(super) table: TokenTable,
}

impl RunData {
    /// For `option`, which messages name.
    pub(super) fn open(dir: &Path, option: &str, global: &Global) -> anyhow::Result<Self> {
        if !run::file(dir).exists() {
            return Err(usage(format!(
                "{option}: {} has no run.toml, which says what a run was trained on: use --file",
                dir.display()
            )));
        }
        let file = RunFile::<PretrainConfig>::read(dir)?;
        let (_, shards) = text::load(&file.config.data, global)?;
        if shards.provenance().is_some_and(|provenance| provenance.key != file.data_key) {
            return Err(usage(format!(
                "{option}: the text or the tokenizer that {} was trained with has changed since",
                dir.display()
            )));
        }
        let table = shards.token_table()?;
        Ok(Self { shards, table })
    }

    /// The documents of a split, each after an end of text and with one at its end; where nothing ends them, all as one.
    pub(super) fn documents(&self, split: Split) -> anyhow::Result<Vec<Vec<u32>>> {
        let Some(tokens) = self.shards.get(split).filter(|tokens| !tokens.is_empty()) else {
            return Err(usage(format!("the data of the run have no {split} part")));
        };
        let ids = tokens.slice(0..tokens.len())?;
        let Some(end) = self.shards.end_of_text() else { return Ok(vec![ids]) };
        let documents = ids.split(|&id| id == end).filter(|document| !document.is_empty());
        Ok(documents.map(|document| [&[end], document, &[end]].concat()).collect())
    }

    /// Every id of the data is below this.
    pub(super) fn vocab_size(&self) -> usize {
        self.shards.vocab_size()
    }
}
