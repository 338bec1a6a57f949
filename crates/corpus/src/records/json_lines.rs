//! JSON lines: an object a line.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::reader::LONGEST_RECORD;
use super::{Record, Value};
use crate::error::CorpusError;
use crate::input::{BYTE_ORDER_MARK, Input, InvalidUtf8};

pub(super) struct JsonLines {
    path: Arc<Path>,
    input: BufReader<Input>,
    line: Vec<u8>,
    lines_read: u64,
    /// Those of the record read last, which most often are those of the next one.
    names: Arc<[String]>,
    /// The fields that are wanted; `None` for all.
    wanted: Option<Vec<String>>,
}

impl JsonLines {
    pub(super) fn open(path: &Path, invalid_utf8: InvalidUtf8) -> Result<Self, CorpusError> {
        Ok(Self {
            path: path.into(),
            input: BufReader::with_capacity(1 << 16, Input::open(path, invalid_utf8)?),
            line: Vec::new(),
            lines_read: 0,
            names: Arc::new([]),
            wanted: None,
        })
    }

    pub(super) fn only(&mut self, fields: &[&str]) {
        self.wanted = Some(fields.iter().map(ToString::to_string).collect());
    }

    pub(super) fn names(&self) -> &Arc<[String]> {
        &self.names
    }

    pub(super) fn input(&self) -> &Input {
        self.input.get_ref()
    }

    pub(super) fn next_record(&mut self) -> Result<Option<Record>, CorpusError> {
        while self.next_line()? {
            let line = match self.lines_read {
                1 => self.line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.line),
                _ => &self.line,
            };
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let mut json = serde_json::Deserializer::from_slice(line);
            let fields = Fields { wanted: self.wanted.as_deref() };
            let parsed = fields.deserialize(&mut json).and_then(|fields| json.end().map(|()| fields));
            let (names, values) = parsed.map_err(|error| self.malformed(line, &error))?;
            if *self.names != names {
                self.names = names.into();
            }
            let (path, names) = (self.path.clone(), self.names.clone());
            return Ok(Some(Record { path, unit: "line", number: self.lines_read, names, values }));
        }
        Ok(None)
    }

    /// Reads the next line; false at the end of the file.
    fn next_line(&mut self) -> Result<bool, CorpusError> {
        self.line.clear();
        let mut limited = (&mut self.input).take(LONGEST_RECORD + 1);
        let count = limited
            .read_until(b'\n', &mut self.line)
            .map_err(|error| Input::explain(&self.path, error))? as u64;
        if count > LONGEST_RECORD {
            let reason = format!("it is longer than {} MiB: are these JSON lines?", LONGEST_RECORD >> 20);
            return Err(self.error(self.lines_read + 1, reason));
        }
        self.lines_read += 1;
        Ok(count > 0)
    }

    fn malformed(&self, line: &[u8], error: &serde_json::Error) -> CorpusError {
        let mut reason = error.to_string();
        // The parser saw one line only.
        if let Some(place) = reason.rfind(" at line ") {
            reason.truncate(place);
            reason += &format!(" at column {}", error.column());
        }
        let first = self.lines_read == 1;
        if line.starts_with(b"[") {
            reason =
                "a list, where a JSON object a line is expected; `jq -c '.[]'` writes one of these".into();
        } else if first && error.is_eof() {
            reason += ": a JSON object must be on one line; `jq -c .` writes it so";
        }
        self.error(self.lines_read, reason)
    }

    fn error(&self, number: u64, reason: String) -> CorpusError {
        CorpusError::Record { path: self.path.to_path_buf(), unit: "line", number, reason }
    }
}

/// Reads the fields of an object, in their order, and the values of those that are wanted.
struct Fields<'a> {
    wanted: Option<&'a [String]>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = (Vec<String>, Vec<Value>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = (Vec<String>, Vec<Value>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            let value = match self.wanted {
                Some(wanted) if !wanted.contains(&name) => {
                    map.next_value::<IgnoredAny>()?;
                    Value::Null
                }
                _ => to_value(map.next_value()?),
            };
            names.push(name);
            values.push(value);
        }
        Ok((names, values))
    }
}

fn to_value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::String(text) => Value::Text(text),
        other => Value::Other(other.to_string()),
    }
}
