//! One record.

use std::path::Path;
use std::sync::Arc;

use crate::error::CorpusError;
use crate::nearest::{did_you_mean, nearest};

/// What a field holds, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing: `null`.
    Null,
    /// A string.
    Text(String),
    /// A number, a boolean, a date as text; a list or an object as JSON.
    Other(String),
}

/// The fields of one record, in the order of the file.
#[derive(Clone, Debug)]
pub struct Record {
    pub(super) path: Arc<Path>,
    /// `line` or `row`.
    pub(super) unit: &'static str,
    pub(super) number: u64,
    pub(super) names: Arc<[String]>,
    /// One for each name.
    pub(super) values: Vec<Value>,
}

impl Record {
    /// The names of its fields.
    pub fn fields(&self) -> &[String] {
        &self.names
    }

    /// A field as text: strings as they are, numbers and booleans written out, nested values as JSON. `None` where there
    /// is no such field or it is null.
    pub fn get(&self, field: &str) -> Option<&str> {
        match self.value(field)? {
            Value::Null => None,
            Value::Text(text) | Value::Other(text) => Some(text),
        }
    }

    /// What a field holds; `None` where there is no such field.
    pub fn value(&self, field: &str) -> Option<&Value> {
        let index = self.names.iter().position(|name| name == field)?;
        Some(&self.values[index])
    }

    /// A field that must be there and hold a string; `None` where it is null.
    ///
    /// # Errors
    /// There is no such field, which names the nearest one, or it holds something else.
    pub fn text(&self, field: &str) -> Result<Option<&str>, CorpusError> {
        match self.value(field) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            Some(Value::Other(value)) => {
                let shown: String = value.chars().take(40).collect();
                Err(self.error(format!("the field `{field}` is no text: it holds {shown}")))
            }
            None => Err(self.error(no_such_field(field, &self.names))),
        }
    }

    /// [`Record::text`], taken out of the record without a copy.
    ///
    /// # Errors
    /// As [`Record::text`].
    pub fn take_text(&mut self, field: &str) -> Result<Option<String>, CorpusError> {
        if self.text(field)?.is_none() {
            return Ok(None);
        }
        let value = self.names.iter().position(|name| name == field).map(|index| &mut self.values[index]);
        match value.map(|value| std::mem::replace(value, Value::Null)) {
            Some(Value::Text(text)) => Ok(Some(text)),
            _ => Ok(None),
        }
    }

    /// Where it begins: the line, counted from 1; in a Parquet file the row.
    pub fn line(&self) -> u64 {
        self.number
    }

    /// An error about this record, which says where it is.
    pub fn error(&self, reason: impl Into<String>) -> CorpusError {
        CorpusError::Record {
            path: self.path.to_path_buf(),
            unit: self.unit,
            number: self.number,
            reason: reason.into(),
        }
    }

    /// The error for a text that is empty.
    pub(crate) fn empty_text(&self, field: String) -> CorpusError {
        CorpusError::EmptyText { path: self.path.to_path_buf(), unit: self.unit, number: self.number, field }
    }
}

/// What to say of a field that is not there.
pub(crate) fn no_such_field(field: &str, names: &[String]) -> String {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let hint = did_you_mean(nearest(field, &known));
    format!("there is no field `{field}`: name one of {}{hint}", list(names))
}

fn list(names: &[String]) -> String {
    const MOST: usize = 20;
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut list: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    if names.len() > MOST {
        list.push(format!("and {} more", names.len() - MOST));
    }
    list.join(", ")
}
