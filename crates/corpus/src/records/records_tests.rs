#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::PathBuf;

use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use proptest::prelude::*;

use super::*;
use crate::digest;
use crate::records::Value;

/// A folder with one file in it.
fn file(name: &str, contents: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, contents).unwrap();
    (dir, path)
}

fn all(mut reader: RecordReader) -> Result<Vec<Record>, CorpusError> {
    let mut records = Vec::new();
    while let Some(record) = reader.next_record()? {
        records.push(record);
    }
    assert!(reader.next_record().unwrap().is_none(), "the end stays the end");
    Ok(records)
}

fn read(name: &str, contents: impl AsRef<[u8]>) -> Result<Vec<Record>, CorpusError> {
    let (_dir, path) = file(name, &contents);
    let mut reader = RecordReader::open(&path, Format::of(&path))?;
    let mut records = Vec::new();
    while let Some(record) = reader.next_record()? {
        records.push(record);
    }
    assert!(reader.next_record().unwrap().is_none(), "the end stays the end");
    assert_eq!(reader.bytes_read(), contents.as_ref().len() as u64);
    assert_eq!(reader.sha256().unwrap(), digest::of_bytes(contents.as_ref()));
    Ok(records)
}

/// Each record as `line: name=value …`.
fn shown(records: &[Record]) -> Vec<String> {
    let show = |record: &Record| {
        let fields = record.fields().iter().map(|name| format!(" {name}={:?}", record.get(name)));
        format!("{}:{}", record.line(), fields.collect::<String>())
    };
    records.iter().map(show).collect()
}

#[track_caller]
fn assert_error(name: &str, contents: impl AsRef<[u8]>, expected: &str) {
    let message = read(name, contents).unwrap_err().to_string();
    assert!(message.contains(expected), "{expected:?} is not in {message:?}");
    assert!(message.contains(name), "{message:?} does not name the file");
}

#[test]
fn json_lines_are_objects_whose_values_are_text() {
    let text = "\u{feff}{\"text\": \"a\\nb\", \"n\": 3, \"ok\": true}\n\n  \r\n{\"x\": null, \"y\": [1, \"é\"], \"z\": {\"k\": 1.5}}";
    let records = read("a.jsonl", text).unwrap();
    assert_eq!(
        shown(&records),
        [
            r#"1: text=Some("a\nb") n=Some("3") ok=Some("true")"#,
            r#"4: x=None y=Some("[1,\"é\"]") z=Some("{\"k\":1.5}")"#
        ]
    );
    assert_eq!(records[0].value("n"), Some(&Value::Other("3".to_owned())));
}

#[test]
fn json_that_is_not_an_object_a_line_is_located() {
    assert_error("a.jsonl", "{\"a\": 1}\n\n{\"a\": }\n", "line 3: expected value at column 7");
    assert_error("a.jsonl", "{\"a\": 1}\n17\n", "line 2: invalid type: integer `17`, expected a JSON object");
    assert_error("a.jsonl", "{\"a\": 1} {\"a\": 2}\n", "line 1: trailing characters at column 10");
    assert_error(
        "a.json",
        "[\n{\"a\": 1}\n]\n",
        "line 1: a list, where a JSON object a line is expected; `jq",
    );
    assert_error("a.json", "{\n  \"a\": 1\n}\n", "a JSON object must be on one line; `jq -c .` writes it so");
    assert_error("a.jsonl", b"{\"a\": 1}\n{\"a\": \"\xff\"}\n", "line 2, byte offset 16");
}

#[test]
fn csv_fields_may_hold_everything_in_quotes() {
    let text = "\u{feff}id,text\r\n1,\"a, \"\"b\"\"\nand c\"\r\n2,plain\n\n3,\"\"\n";
    let expected =
        [r#"2: id=Some("1") text=Some("a, \"b\"\nand c")"#, r#"4: id=Some("2") text=Some("plain")"#];
    let records = read("a.csv", text).unwrap();
    assert_eq!(shown(&records)[..2], expected);
    assert_eq!(records[2].get("text"), Some(""));
    // Without an end of the last line, too.
    assert_eq!(shown(&read("a.csv", "a,b\n1,2").unwrap()), [r#"2: a=Some("1") b=Some("2")"#]);
    assert!(read("a.csv", "").unwrap().is_empty());
    assert!(read("a.csv", "a,b\n").unwrap().is_empty());
}

#[test]
fn csv_without_a_header_has_fields_by_number() {
    let (_dir, path) = file("a.csv", "3,\"Wall St.\",x\n4,b,y\n");
    let reader = RecordReader::open_without_header(&path, Format::Csv).unwrap();
    assert_eq!(reader.fields(), ["0", "1", "2"]);
    let expected =
        [r#"1: 0=Some("3") 1=Some("Wall St.") 2=Some("x")"#, r#"2: 0=Some("4") 1=Some("b") 2=Some("y")"#];
    assert_eq!(shown(&all(reader).unwrap()), expected);
}

#[test]
fn quotes_in_tsv_are_characters() {
    let text = "sentence\tlabel\n\"unbalanced\t0\nit 's \"fine\" , really\t1\n";
    let expected = [
        r#"2: sentence=Some("\"unbalanced") label=Some("0")"#,
        r#"3: sentence=Some("it 's \"fine\" , really") label=Some("1")"#,
    ];
    assert_eq!(shown(&read("a.tsv", text).unwrap()), expected);
}

#[test]
fn ragged_rows_are_named_by_line_and_length() {
    assert_error("a.csv", "a,b\n1,\"two\nlines\"\n1\n", "line 4: 1 field where there should be 2");
    assert_error("a.tsv", "a\tb\n1\t2\n1\t2\t3\n", "line 3: 3 fields where there should be 2");
    assert_error("a.csv", "a,b,a\n", "line 1: the header names the field `a` twice");
}

#[test]
fn a_quote_that_is_never_closed_is_an_error() {
    let unclosed = "line 3: a quote is opened in this row and never closed";
    assert_error("a.csv", "a,b\n1,2\n3,\"x\n5,6\n", unclosed);
    assert_error("a.csv", "a,b\n1,2\n3,\"x", unclosed);
    let long = format!("a,b\n1,\"{}", "x".repeat(LONGEST_RECORD as usize + (1 << 20)));
    assert_error(
        "a.csv",
        long,
        "line 2: the row is longer than 64 MiB: is there a quote that is never closed?",
    );
    let long = format!("{{}}\n{{\"a\": \"{}", "x".repeat(LONGEST_RECORD as usize));
    assert_error("a.jsonl", long, "line 2: it is longer than 64 MiB");
}

#[test]
fn text_of_a_record_is_text() {
    let records = read("a.jsonl", "{\"text\": \"a\", \"n\": 3, \"no\": null}\n").unwrap();
    assert_eq!(records[0].text("text").unwrap(), Some("a"));
    assert_eq!(records[0].text("no").unwrap(), None);
    let error = |field| records[0].text(field).unwrap_err().to_string();
    assert!(error("n").ends_with("a.jsonl, line 1: the field `n` is no text: it holds 3"), "{}", error("n"));
    let missing = "line 1: there is no field `txt`: name one of `text`, `n`, `no`; did you mean `text`?";
    assert!(error("txt").ends_with(missing), "{}", error("txt"));
}

#[test]
fn only_some_fields_are_read_on_request() {
    for (name, contents) in [("a.csv", "a,b\n1,2\n"), ("a.jsonl", "{\"a\": \"1\", \"b\": \"2\"}\n")] {
        let (_dir, path) = file(name, contents);
        let reader = RecordReader::open(&path, Format::of(&path)).unwrap().only(&["b"]).unwrap();
        let records = all(reader).unwrap();
        assert_eq!((records[0].get("a"), records[0].get("b")), (None, Some("2")), "{name}");
        assert_eq!(records[0].fields(), ["a", "b"], "{name}");
    }
    let (_dir, path) = file("a.csv", "sentence,label\n1,2\n");
    let error =
        RecordReader::open(&path, Format::Csv).unwrap().only(&["sentense"]).err().unwrap().to_string();
    let expected =
        "line 1: there is no field `sentense`: name one of `sentence`, `label`; did you mean `sentence`?";
    assert!(error.ends_with(expected), "{error}");
}

/// Three rows of `text` (strings, the second null) and `n` (numbers), two row groups.
fn parquet_file(path: &Path) {
    let schema = "message rows { optional binary text (UTF8); required int64 n; required binary raw; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::default())).unwrap();
    for (texts, levels, numbers) in [(vec!["zwölf"], vec![1, 0], vec![1, 2]), (vec!["b"], vec![1], vec![3])]
    {
        let mut group = writer.next_row_group().unwrap();
        let bytes: Vec<ByteArray> = texts.into_iter().map(ByteArray::from).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&bytes, Some(&levels), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&numbers, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let raw: Vec<ByteArray> = numbers.iter().map(|&n| ByteArray::from(vec![0xF0 + n as u8])).collect();
        column.typed::<ByteArrayType>().write_batch(&raw, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn parquet_is_read_by_row_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    parquet_file(&path);
    let mut reader = RecordReader::open(&path, Format::Parquet).unwrap().only(&["n", "text"]).unwrap();
    assert_eq!(reader.fields(), ["text", "n", "raw"]);
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push(record);
    }
    let expected = [
        r#"1: text=Some("zwölf") n=Some("1") raw=None"#,
        r#"2: text=None n=Some("2") raw=None"#,
        r#"3: text=Some("b") n=Some("3") raw=None"#,
    ];
    assert_eq!(shown(&records), expected);
    assert_eq!(reader.bytes_read(), std::fs::metadata(&path).unwrap().len());
    assert_eq!(reader.sha256().unwrap(), digest::of_file(&path, &|_| {}).unwrap());
}

#[test]
fn parquet_of_the_wrong_type_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    parquet_file(&path);
    let open = |fields: &[&str]| RecordReader::open(&path, Format::Parquet).unwrap().only(fields);
    let error = open(&["texts"]).err().unwrap().to_string();
    let expected = "a.parquet (as Parquet): there is no field `texts`: name one of `text`, `n`, `raw`; did you mean `text`?";
    assert!(error.ends_with(expected), "{error}");
    let record = open(&["n"]).unwrap().next_record().unwrap().unwrap();
    let error = record.text("n").unwrap_err().to_string();
    assert!(error.ends_with("a.parquet, row 1: the field `n` is no text: it holds 1"), "{error}");
    let error = open(&["raw"]).unwrap().next_record().unwrap_err().to_string();
    let expected = "a.parquet, row 1: the field `raw` holds bytes that are no UTF-8 text (at byte 0)";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn a_file_that_is_no_parquet_is_an_error() {
    assert_error("a.parquet", "text, and that for a while", "(as Parquet)");
    assert_error("a.parquet", "", "(as Parquet)");
    assert_error("a.parquet.zst", "", "is a Parquet file inside a compressed one");
    assert_error("a.txt", "text", "is plain text and has no records");
}

#[test]
fn damaged_parquet_is_an_error_or_read_but_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    parquet_file(&path);
    let whole = std::fs::read(&path).unwrap();
    let mut errors = 0;
    for at in 0..whole.len() {
        for flipped in [0x01, 0x80, 0xFF] {
            let mut damaged = whole.clone();
            damaged[at] ^= flipped;
            std::fs::write(&path, &damaged).unwrap();
            let read = || all(RecordReader::open(&path, Format::Parquet)?.only(&["text", "n"])?);
            errors += usize::from(read().is_err());
        }
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(RecordReader::open(&path, Format::Parquet).is_err(), "cut at {at}");
    }
    assert!(errors > whole.len() / 4, "{errors}");
}

#[test]
fn compressed_records_are_the_records() {
    let text = "a,b\n1,2\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let expected = shown(&read("a.csv", text).unwrap());
    assert_eq!(shown(&read("a.csv.gz", gzip.finish().unwrap()).unwrap()), expected);
    assert_eq!(shown(&read("a.csv.zst", zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap()), expected);
}

proptest! {
    #[test]
    fn what_is_written_as_csv_is_read_again(
        rows in prop::collection::vec(prop::collection::vec("([a-c ,\"\n]|é|\r\n){0,9}", 3), 1..6),
    ) {
        let quote = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
        let line = |row: &Vec<String>| row.iter().map(quote).collect::<Vec<_>>().join(",") + "\r\n";
        let text = format!("x,y,z\n{}", rows.iter().map(line).collect::<String>());
        let records = read("a.csv", &text).unwrap();
        let found: Vec<Vec<&str>> =
            records.iter().map(|record| ["x", "y", "z"].map(|name| record.get(name).unwrap()).to_vec()).collect();
        prop_assert_eq!(found, rows);
    }

    #[test]
    fn what_is_written_as_json_lines_is_read_again(texts in prop::collection::vec("\\PC{0,9}", 1..6)) {
        let lines: String = texts.iter().map(|text| serde_json::json!({"text": text}).to_string() + "\n").collect();
        let records = read("a.jsonl", &lines).unwrap();
        let found: Vec<&str> = records.iter().map(|record| record.get("text").unwrap()).collect();
        prop_assert_eq!(found, texts);
    }
}
