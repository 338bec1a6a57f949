#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;
use crate::digest;

fn read(contents: &[u8], boundary: DocumentBoundary) -> Result<Vec<String>, CorpusError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), contents).unwrap();
    let mut reader = DocumentReader::open(file.path(), boundary)?;
    let mut documents = Vec::new();
    while let Some(document) = reader.next_document()? {
        documents.push(document);
    }
    assert_eq!(reader.bytes_read(), contents.len() as u64);
    assert_eq!(reader.sha256().unwrap(), digest::of_bytes(contents));
    Ok(documents)
}

#[test]
fn a_file_is_one_document_to_the_last_byte() {
    assert_eq!(read(b" a\r\n\n", DocumentBoundary::File).unwrap(), [" a\r\n\n"]);
    assert!(read(b"", DocumentBoundary::File).unwrap().is_empty());
}

#[test]
fn lines_lose_their_ends_and_blank_ones_are_dropped() {
    assert_eq!(
        read(b"one\r\n\n  \n two \nthree", DocumentBoundary::Line).unwrap(),
        ["one", " two ", "three"]
    );
}

#[test]
fn blank_lines_separate_documents_that_keep_their_inner_line_ends() {
    let text = b"\n\na\nb\r\nc\n \t\n\nd\r\n\r\ne";
    assert_eq!(read(text, DocumentBoundary::BlankLine).unwrap(), ["a\nb\r\nc", "d", "e"]);
}

#[test]
fn invalid_utf8_is_located_by_line_and_offset() {
    for boundary in [DocumentBoundary::File, DocumentBoundary::BlankLine, DocumentBoundary::Line] {
        match read(b"fine\n\nalso \xff here\n", boundary) {
            Err(CorpusError::InvalidUtf8 { line, offset, .. }) => assert_eq!((line, offset), (3, 11)),
            other => panic!("{boundary:?}: {other:?}"),
        }
        // A character cut short at the end of the file.
        match read(b"a\nb\xe2\x82", boundary) {
            Err(CorpusError::InvalidUtf8 { line, offset, .. }) => assert_eq!((line, offset), (2, 3)),
            other => panic!("{boundary:?}: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn documents_by_line_are_the_lines_that_are_not_blank(text in "([a-z é\t\n]|\r\n){0,80}") {
        let expected: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        prop_assert_eq!(read(text.as_bytes(), DocumentBoundary::Line).unwrap(), expected);
    }

    #[test]
    fn documents_by_blank_line_hold_every_line_once(text in "([a-c \n]|\n\n){0,80}") {
        let documents = read(text.as_bytes(), DocumentBoundary::BlankLine).unwrap();
        for document in &documents {
            prop_assert!(document.lines().all(|line| !line.trim().is_empty()));
        }
        let lines: Vec<&str> = documents.iter().flat_map(|document| document.lines()).collect();
        let expected: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        prop_assert_eq!(lines, expected);
    }
}

/// Documents as they should be, by another and simpler way: all in memory.
fn expected(text: &str, boundary: DocumentBoundary) -> Vec<String> {
    let end = |line: &str| {
        let line = line.strip_suffix('\n').unwrap_or(line);
        line.strip_suffix('\r').unwrap_or(line).len()
    };
    let lines = text.split_inclusive('\n');
    match boundary {
        DocumentBoundary::File => [text.to_owned()].into_iter().filter(|text| !text.is_empty()).collect(),
        DocumentBoundary::Line => {
            lines.filter(|line| !line.trim().is_empty()).map(|line| line[..end(line)].to_owned()).collect()
        }
        DocumentBoundary::BlankLine => {
            let mut documents = vec![String::new()];
            for line in lines {
                match line.trim().is_empty() {
                    true => documents.push(String::new()),
                    false => documents.last_mut().unwrap().push_str(line),
                }
            }
            documents.retain(|document| !document.is_empty());
            documents.iter_mut().for_each(|document| document.truncate(end(document)));
            documents
        }
    }
}

const BOUNDARIES: [DocumentBoundary; 3] =
    [DocumentBoundary::File, DocumentBoundary::BlankLine, DocumentBoundary::Line];

/// Characters that matter here, and how often each comes: now and then so often that it crosses the border of a block
/// or a piece.
fn runs() -> impl Strategy<Value = Vec<(&'static str, usize)>> {
    let text = prop::sample::select(vec!["a", "é", "\r", "\n", "\r\n", " ", "b\n", "\u{2028}"]);
    let run = (text, 0..12_usize).prop_map(|(text, size)| match size {
        0 => (text, (1 << 17) / text.len() - 1),
        1 => (text, (1 << 18) / text.len()),
        _ => (text, size % 4 + 1),
    });
    prop::collection::vec(run, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn documents_of_any_size_come_in_pieces_that_are_small(runs in runs()) {
        let text: String = runs.iter().map(|(text, times)| text.repeat(*times)).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        for boundary in BOUNDARIES {
            let mut reader = DocumentReader::open(file.path(), boundary).unwrap();
            let mut documents = vec![String::new()];
            while let Some(piece) = reader.next_piece().unwrap() {
                // White space can be held back for long; the text itself is not.
                let text = piece.text.bytes().filter(|byte| !byte.is_ascii_whitespace()).count();
                let spaces = piece.text.matches('\u{2028}').map(str::len).sum::<usize>();
                prop_assert!(text - spaces <= PIECE_BYTES + (1 << 17) + 4);
                documents.last_mut().unwrap().push_str(&piece.text);
                if piece.ends_document {
                    documents.push(String::new());
                }
            }
            prop_assert_eq!(documents.pop().unwrap(), "", "the last document has an end");
            prop_assert!(documents == expected(&text, boundary), "{:?}", boundary);
        }
    }
}

#[test]
fn a_record_is_a_document_and_empty_ones_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let long = "é".repeat(PIECE_BYTES + 1);
    let lines = [json(&["a"]), json(&[""]), "{\"text\": null}".to_owned(), json(&[&long])];
    std::fs::write(&path, lines.join("\n")).unwrap();
    let open = |field| {
        DocumentReader::open_as(&path, Format::JsonLines, DocumentBoundary::File, field, InvalidUtf8::Refuse)
    };
    let mut reader = open("text").unwrap();
    assert_eq!(reader.next_document().unwrap().unwrap(), "a");
    let piece = reader.next_piece().unwrap().unwrap();
    assert!(!piece.ends_document && piece.text.len() <= PIECE_BYTES);
    assert_eq!(piece.text + &reader.next_document().unwrap().unwrap(), long);
    assert!(reader.next_document().unwrap().is_none());
    let error = open("txt").unwrap().next_piece().unwrap_err().to_string();
    assert!(error.contains("a.jsonl, line 1: there is no field `txt`"), "{error}");
}

fn json(text: &[&str]) -> String {
    serde_json::json!({"text": text[0]}).to_string()
}
