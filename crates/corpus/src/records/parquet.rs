//! Parquet: rows of columns, which may be nested.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::reader::RowIter;
use ::parquet::record::{Field, Row};
use ::parquet::schema::types::Type;
use serde_json::json;

use super::caught::caught;
use super::record::no_such_field;
use super::{Record, Value};
use crate::digest;
use crate::error::CorpusError;

/// Rows that are decoded at a time.
const BATCH: usize = 128;

pub(super) struct ParquetRows {
    path: Arc<Path>,
    rows: RowIter<'static>,
    /// The schema of all of the file.
    schema: Type,
    names: Arc<[String]>,
    bytes: u64,
    rows_read: u64,
    n_rows: u64,
}

impl ParquetRows {
    pub(super) fn open(path: &Path) -> Result<Self, CorpusError> {
        let file = File::open(path).map_err(CorpusError::io("read", path))?;
        let bytes = file.metadata().map_err(CorpusError::io("read", path))?.len();
        let reader = guarded(|| SerializedFileReader::new(file)).map_err(malformed(path, None))?;
        let metadata = reader.metadata().file_metadata();
        let schema = metadata.schema().clone();
        let names = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
        let n_rows = metadata.num_rows().max(0) as u64;
        let rows = RowIter::from_file_into(Box::new(reader)).with_batch_size(BATCH);
        Ok(Self { path: path.into(), rows, schema, names, bytes, rows_read: 0, n_rows })
    }

    pub(super) fn only(&mut self, fields: &[&str]) -> Result<(), CorpusError> {
        if let Some(missing) = fields.iter().find(|&&field| !self.names.iter().any(|name| name == field)) {
            let reason = no_such_field(missing, &self.names);
            return Err(CorpusError::Parquet { path: self.path.to_path_buf(), place: String::new(), reason });
        }
        let mut columns = self.schema.get_fields().to_vec();
        columns.retain(|column| fields.contains(&column.name()));
        let schema = Type::group_type_builder(self.schema.name()).with_fields(columns).build();
        let schema = schema.map_err(malformed(&self.path, None))?;
        let file = File::open(&self.path).map_err(CorpusError::io("read", &self.path))?;
        let rows = guarded(|| {
            RowIter::from_file_into(Box::new(SerializedFileReader::new(file)?)).project(Some(schema))
        });
        self.rows = rows.map_err(malformed(&self.path, None))?.with_batch_size(BATCH);
        Ok(())
    }

    pub(super) fn names(&self) -> &Arc<[String]> {
        &self.names
    }

    /// The part of the file that the rows read so far are of all rows.
    pub(super) fn bytes_read(&self) -> u64 {
        match self.rows_read < self.n_rows {
            true => (self.bytes as u128 * self.rows_read as u128 / self.n_rows as u128) as u64,
            false => self.bytes,
        }
    }

    pub(super) fn sha256(&self) -> Result<String, CorpusError> {
        digest::of_file(&self.path, &|_| {})
    }

    pub(super) fn next_record(&mut self) -> Result<Option<Record>, CorpusError> {
        if self.rows_read == self.n_rows {
            return Ok(None);
        }
        let row = guarded(|| self.rows.next().transpose())
            .and_then(|row| row.ok_or_else(|| ParquetError::General("the file has no more rows".to_owned())))
            .map_err(malformed(&self.path, Some(self.rows_read + 1)))?;
        self.rows_read += 1;
        let mut record = Record {
            path: self.path.clone(),
            unit: "row",
            number: self.rows_read,
            names: self.names.clone(),
            values: vec![Value::Null; self.names.len()],
        };
        let mut places = self.names.iter().enumerate();
        for (name, field) in row.into_columns() {
            // Columns come in the order of the schema, those that are not wanted left out.
            let Some((place, _)) = places.find(|(_, other)| **other == name) else { break };
            match to_value(field) {
                Ok(value) => record.values[place] = value,
                Err(reason) => return Err(record.error(format!("the field `{name}` {reason}"))),
            }
        }
        Ok(Some(record))
    }
}

/// Does something with a file that may be damaged: where the decoder relies on sizes in it and panics, that is an error.
fn guarded<T>(read: impl FnOnce() -> ParquetResult<T>) -> ParquetResult<T> {
    caught(read).unwrap_or_else(|reason| Err(ParquetError::General(format!("it is damaged ({reason})"))))
}

/// The error of a file that is not Parquet, or no longer.
fn malformed(path: &Path, row: Option<u64>) -> impl FnOnce(ParquetError) -> CorpusError {
    let path = path.to_path_buf();
    let place = row.map_or(String::new(), |row| format!(", row {row}"));
    move |error| {
        let reason = match error {
            ParquetError::General(reason) | ParquetError::EOF(reason) => reason,
            ParquetError::NYI(reason) => format!("this is not supported: {reason}"),
            other => other.to_string(),
        };
        CorpusError::Parquet { path, place, reason }
    }
}

fn to_value(field: Field) -> Result<Value, String> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Str(text) => Value::Text(text),
        // Programs that do not say of a text column that it is one write plain bytes.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(error) => {
                let at = error.valid_up_to();
                return Err(format!("holds bytes that are no UTF-8 text (at byte {at})"));
            }
        },
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => {
            Value::Other(to_json(&field).to_string())
        }
        other => Value::Other(other.to_string()),
    })
}

fn to_json(field: &Field) -> serde_json::Value {
    match field {
        Field::Null => json!(null),
        Field::Bool(value) => json!(value),
        Field::Byte(number) => json!(number),
        Field::Short(number) => json!(number),
        Field::Int(number) => json!(number),
        Field::Long(number) => json!(number),
        Field::UByte(number) => json!(number),
        Field::UShort(number) => json!(number),
        Field::UInt(number) => json!(number),
        Field::ULong(number) => json!(number),
        Field::Float(number) => json!(number),
        Field::Double(number) => json!(number),
        Field::Str(text) => json!(text),
        Field::Bytes(bytes) => json!(String::from_utf8_lossy(bytes.data())),
        Field::Group(row) => row_to_json(row),
        Field::ListInternal(list) => list.elements().iter().map(to_json).collect(),
        Field::MapInternal(map) => {
            let key = |field: &Field| match to_json(field) {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            map.entries().iter().map(|(name, value)| (key(name), to_json(value))).collect()
        }
        other => json!(other.to_string()),
    }
}

fn row_to_json(row: &Row) -> serde_json::Value {
    row.get_column_iter().map(|(name, field)| (name.clone(), to_json(field))).collect()
}
