//! Where in a record a value is.

use serde::{Deserialize, Serialize};

use super::Record;
use crate::error::CorpusError;

/// Where a value is in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the name of a field, the number of a column, or a list of them")]
pub enum Field {
    /// By name.
    Name(String),
    /// By place, from 0, where columns have no names.
    Column(usize),
    /// Several, joined by a space.
    Joined(Vec<Field>),
}

impl Field {
    /// What a reader calls the fields that the value is made of.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Name(name) => vec![name.clone()],
            Self::Column(number) => vec![number.to_string()],
            Self::Joined(fields) => fields.iter().flat_map(Self::names).collect(),
        }
    }

    /// The value as text. Several fields are joined by a space; one that is null is empty.
    ///
    /// # Errors
    /// As [`Record::text`].
    pub fn text(&self, record: &Record) -> Result<String, CorpusError> {
        let mut text = String::new();
        for (i, name) in self.names().iter().enumerate() {
            if i > 0 {
                text.push(' ');
            }
            text.push_str(record.text(name)?.unwrap_or_default());
        }
        Ok(text)
    }
}
