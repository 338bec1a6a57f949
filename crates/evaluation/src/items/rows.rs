//! Records with a label, for templates, which know fields by name.

use firebrand_corpus::CorpusError;
use firebrand_corpus::datasets::DatasetError;
use firebrand_corpus::records::{Format, RecordReader};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The fields of a record, and its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// All fields but the label that hold something, by name.
    pub fields: BTreeMap<String, String>,
    /// As it is written.
    pub label: String,
}

/// The records of some files in order; the label stands in the field of this name.
///
/// # Errors
/// A file that cannot be read, a record without a label.
pub fn rows(files: &[(PathBuf, Format)], label: &str) -> Result<Vec<Row>, DatasetError> {
    let mut rows = Vec::new();
    for (path, format) in files {
        let mut reader = RecordReader::open(path, *format)?;
        while let Some(record) = reader.next_record()? {
            let Some(value) = record.get(label) else {
                // The nearest field is named where there is none of this name.
                let error = |_| record.error(format!("there is no label: the field `{label}` is null"));
                let error: CorpusError = record.text(label).map_or_else(|error| error, error);
                return Err(error.into());
            };
            let others = record.fields().iter().filter(|name| *name != label);
            let fields = others.filter_map(|name| Some((name.clone(), record.get(name)?.to_owned())));
            rows.push(Row { fields: fields.collect(), label: value.to_owned() });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_its_fields_and_a_label() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("r.jsonl");
        let read = |line: &str| {
            std::fs::write(&path, line).expect("written");
            rows(&[(path.clone(), Format::JsonLines)], "label").map_err(|error| error.to_string())
        };
        let found = read(r#"{"text": "x", "stars": 3, "label": "good"}"#).expect("well-formed");
        let fields = [("stars", "3"), ("text", "x")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, [Row { fields: fields.into(), label: "good".into() }]);
        let error = read(r#"{"text": "x", "lable": "good"}"#).expect_err("a typo");
        assert!(error.contains("line 1") && error.contains("did you mean `lable`?"), "{error}");
        assert!(read(r#"{"text": "x", "label": null}"#).expect_err("no label").contains("`label` is null"));
    }
}
