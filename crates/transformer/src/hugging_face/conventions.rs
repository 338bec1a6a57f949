//! What a folder says of how its model is used, beside what it is: `generation_config.json`, and where that is silent `config.json`.

use super::files::read_json;
use super::peft;
use crate::TransformerError;
use serde_json::{Value, json};
use std::path::Path;

/// The ids that steer a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conventions {
    /// Each of them ends a text that is generated; the first ends texts that are read, too.
    pub ends: Vec<u32>,
    /// Fills up texts that are shorter than others.
    pub pad: Option<u32>,
    /// What the decoder of an encoder–decoder begins with.
    pub decoder_start: Option<u32>,
    /// Whether Firebrand wrote the folder, and so whether its model reads texts as Firebrand trains it to.
    pub is_ours: bool,
}

impl Conventions {
    /// That of a model folder.
    ///
    /// # Errors
    /// When a file is damaged, or `config.json` absent.
    pub fn of(dir: &Path) -> Result<Self, TransformerError> {
        let path = dir.join("config.json");
        if let Some(base) = peft::base_of_adapter(dir)?.filter(|_| !path.is_file()) {
            return Self::of(&base);
        }
        let config = read_json(&path)?;
        let generation = dir.join("generation_config.json");
        let generation = if generation.is_file() { read_json(&generation)? } else { json!({}) };
        let ids = |key: &str| {
            let found = [&generation, &config].map(|json| ids(&json[key]));
            found.into_iter().find(|ids| !ids.is_empty()).unwrap_or_default()
        };
        let id = |key: &str| ids(key).first().copied();
        let pad = id("pad_token_id");
        Ok(Self {
            ends: ids("eos_token_id"),
            pad,
            // T5 begins with its padding.
            decoder_start: id("decoder_start_token_id").or(pad),
            is_ours: config.get("firebrand").is_some(),
        })
    }

    /// Whether an id is padding alone: some models end texts with what fills them up.
    pub fn is_padding(&self, id: u32) -> bool {
        self.pad == Some(id) && !self.ends.contains(&id)
    }
}

/// An id, or a list of them. What is no id, such as −1, says nothing.
fn ids(json: &Value) -> Vec<u32> {
    let id = |json: &Value| json.as_u64().and_then(|id| u32::try_from(id).ok());
    match json {
        Value::Array(list) => list.iter().filter_map(id).collect(),
        other => id(other).into_iter().collect(),
    }
}
