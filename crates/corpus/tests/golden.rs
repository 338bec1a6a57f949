//! Files that other programs wrote, read as the records they are. `golden/make.py` makes them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use firebrand_corpus::records::{Format, Record, RecordReader};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn records(name: &str) -> Vec<Record> {
    let path = folder().join(name);
    let mut reader = RecordReader::open(&path, Format::of(&path)).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push(record);
    }
    records
}

fn column(records: &[Record], field: &str) -> Vec<String> {
    records.iter().map(|record| record.get(field).unwrap().to_owned()).collect()
}

/// The texts and labels that are in every file.
fn expected() -> (Vec<String>, Vec<String>) {
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap();
    let list = |name: &str| json[name].as_array().unwrap().clone();
    let texts = list("text").iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    (texts, list("label").iter().map(ToString::to_string).collect())
}

#[test]
fn what_other_programs_wrote_are_the_same_records() {
    let (texts, labels) = expected();
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "make.py" && name != "expected.json")
        .collect();
    names.sort();
    assert_eq!(names.len(), 15, "{names:?}");
    for name in names {
        let records = records(&name);
        assert_eq!(column(&records, "text"), texts, "{name}");
        assert_eq!(column(&records, "label"), labels, "{name}");
    }
}

#[test]
fn strings_of_every_type_are_text() {
    let (texts, _) = expected();
    let records = records("pyarrow-types.parquet");
    for field in ["text", "category", "raw"] {
        let found: Vec<&str> = records.iter().map(|record| record.text(field).unwrap().unwrap()).collect();
        assert_eq!(found, texts, "{field}");
    }
}

#[test]
fn nulls_numbers_and_nested_values_are_read_as_text() {
    let records = records("pyarrow-groups.parquet");
    assert_eq!(
        records.iter().map(|record| record.get("maybe")).collect::<Vec<_>>(),
        [Some("a"), None, Some("c"), None, Some(""), Some("f")]
    );
    assert_eq!(records[5].get("words"), Some(r#"["the","end"]"#));
    assert_eq!(records[1].get("meta"), Some(r#"{"id":1,"ok":false}"#));
    let scores: Vec<f64> = column(&records, "score").iter().map(|score| score.parse().unwrap()).collect();
    assert_eq!(scores, [0.5, 1.0, -2.25, 1e20, 3.0, 4.0]);
}
