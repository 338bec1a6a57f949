#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::progress::Stage;
use crate::sources::{FormatChoice, Piece, Position};

/// A folder with files in it, named by their position.
fn folder(contents: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let write = |(index, text): (usize, &&str)| {
        let path = dir.path().join(format!("{index}.txt"));
        fs::write(&path, text).unwrap();
        path
    };
    let paths = contents.iter().enumerate().map(write).collect();
    (dir, paths)
}

fn scan(texts: Vec<PathBuf>, boundary: DocumentBoundary, held_out: HeldOut) -> Result<Corpus, CorpusError> {
    Sources { texts, boundary, held_out, ..Sources::default() }.scan(&mut |_| {})
}

fn documents(corpus: &Corpus, split: Split) -> Vec<String> {
    corpus.parts(split, |_| None).map(|part| part.unwrap().text).collect()
}

#[test]
fn a_file_is_cut_by_characters_not_bytes() {
    let (_dir, paths) = folder(&["äöüßabcdef"]);
    let corpus = scan(paths, DocumentBoundary::File, HeldOut::Fraction(0.8)).unwrap();
    // int((1 - 0.8) * 10) is 1 in Python too, as 1 - 0.8 is a little below 0.2.
    assert_eq!(documents(&corpus, Split::Train), ["ä"]);
    assert_eq!(documents(&corpus, Split::HeldOut), ["öüßabcdef"]);
}

#[test]
fn several_files_are_cut_as_if_they_were_one() {
    let (_dir, paths) = folder(&["abcd", "efgh", "ij"]);
    let corpus = scan(paths.clone(), DocumentBoundary::File, HeldOut::Fraction(0.5)).unwrap();
    assert_eq!(documents(&corpus, Split::Train), ["abcd", "e"]);
    assert_eq!(documents(&corpus, Split::HeldOut), ["fgh", "ij"]);
    // A cut between two files leaves no empty document.
    let corpus = scan(paths, DocumentBoundary::File, HeldOut::Fraction(0.15)).unwrap();
    assert_eq!(documents(&corpus, Split::Train), ["abcd", "efgh"]);
    assert_eq!(documents(&corpus, Split::HeldOut), ["ij"]);
}

#[test]
fn the_last_documents_are_held_out_whole() {
    let (_dir, paths) = folder(&["a\nb\nc\n", "d\ne\n"]);
    let corpus = scan(paths, DocumentBoundary::Line, HeldOut::Fraction(0.5)).unwrap();
    assert_eq!(documents(&corpus, Split::Train), ["a", "b"]);
    assert_eq!(documents(&corpus, Split::HeldOut), ["c", "d", "e"]);
}

#[test]
fn a_held_out_file_is_never_trained_on() {
    let (dir, paths) = folder(&["a\nb", "c\n"]);
    // The same file, written in another way than the folder's listing does.
    let held_out = HeldOut::Files(vec![dir.path().join(".").join("1.txt")]);
    let corpus = scan(vec![dir.path().to_path_buf()], DocumentBoundary::Line, held_out.clone()).unwrap();
    assert_eq!(documents(&corpus, Split::Train), ["a", "b"]);
    assert_eq!(documents(&corpus, Split::HeldOut), ["c"]);
    let error = scan(vec![paths[1].clone()], DocumentBoundary::Line, held_out).unwrap_err();
    assert!(matches!(error, CorpusError::EmptySplit { split: Split::Train, .. }), "{error}");
}

#[test]
fn nothing_is_held_out_on_request() {
    let (_dir, paths) = folder(&["abc"]);
    let corpus = scan(paths, DocumentBoundary::File, HeldOut::None).unwrap();
    assert_eq!(documents(&corpus, Split::Train), ["abc"]);
    assert!(!corpus.has(Split::HeldOut));
}

#[test]
fn splits_without_text_are_errors_that_say_what_there_was() {
    let (_dir, paths) = folder(&["only one\n"]);
    let error = scan(paths.clone(), DocumentBoundary::Line, HeldOut::Fraction(0.1)).unwrap_err();
    assert!(error.to_string().contains("the train split (1 document in all)"), "{error}");
    for fraction in [0.0, 1.0, -0.1, f64::NAN] {
        let error = scan(paths.clone(), DocumentBoundary::Line, HeldOut::Fraction(fraction)).unwrap_err();
        assert!(matches!(error, CorpusError::InvalidFraction(_)), "{error}");
    }
}

#[test]
fn empty_files_are_named() {
    let (_dir, paths) = folder(&["text", " \n\n"]);
    let error = scan(paths.clone(), DocumentBoundary::Line, HeldOut::None).unwrap_err();
    assert!(matches!(&error, CorpusError::EmptyFile(path) if *path == paths[1]), "{error}");
    // White space is text when every byte counts.
    assert!(scan(paths, DocumentBoundary::File, HeldOut::None).is_ok());
}

#[test]
fn a_file_that_changed_after_the_scan_is_an_error() {
    for boundary in [DocumentBoundary::File, DocumentBoundary::Line] {
        for changed in ["a\nx\n", "a\nb\nc\n", "a\n"] {
            let (_dir, paths) = folder(&["a\nb\n"]);
            let corpus = scan(paths.clone(), boundary, HeldOut::None).unwrap();
            fs::write(&paths[0], changed).unwrap();
            let last = corpus.parts(Split::Train, |_| None).last().unwrap();
            assert!(matches!(last, Err(CorpusError::FileChanged(_))), "{boundary:?} {changed:?}");
        }
    }
}

#[test]
fn scanning_counts_and_reports() {
    let (_dir, paths) = folder(&["ä b\n\nc\n", "d"]);
    let mut reports = Vec::new();
    let (boundary, held_out) = (DocumentBoundary::BlankLine, HeldOut::None);
    let sources = Sources { texts: paths, boundary, held_out, ..Sources::default() };
    let corpus = sources.scan(&mut |progress| reports.push(progress)).unwrap();
    let counts: Vec<_> = corpus
        .files()
        .iter()
        .map(|file| (file.bytes, file.documents, file.text_bytes, file.characters))
        .collect();
    assert_eq!(counts, [(8, 2, 5, 4), (1, 1, 1, 1)]);
    let expected =
        Progress { stage: Stage::Scan, bytes: 9, total_bytes: 9, documents: 3, ..Progress::default() };
    assert_eq!(reports.last(), Some(&expected));
    assert!(reports.is_sorted_by_key(|report| (report.bytes, report.documents)));
}

proptest! {
    #[test]
    fn the_splits_together_are_all_the_text(
        texts in prop::collection::vec("[aé\n]{1,12}b", 1..5),
        fraction in 0.05..0.95,
        by_file: bool,
    ) {
        let (_dir, paths) = folder(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let boundary = if by_file { DocumentBoundary::File } else { DocumentBoundary::Line };
        let whole = scan(paths.clone(), boundary, HeldOut::None).unwrap();
        let Ok(corpus) = scan(paths, boundary, HeldOut::Fraction(fraction)) else {
            return Ok(()); // too little text to divide
        };
        let (train, held_out) = (documents(&corpus, Split::Train), documents(&corpus, Split::HeldOut));
        prop_assert_eq!([train.concat(), held_out.concat()].concat(), documents(&whole, Split::Train).concat());
        prop_assert!(train.iter().chain(&held_out).all(|document| !document.is_empty()));
    }
}

/// Parts as they come, with a cut behind every `b`.
fn parts_of(corpus: &Corpus, split: Split, position: Option<Position>) -> Vec<Piece> {
    let cut = |text: &str| text.rfind('b').map(|at| at + 1);
    let parts = corpus.parts(split, cut);
    let parts = if let Some(position) = position { parts.skip_to(position) } else { parts };
    parts.collect::<Result<_, _>>().unwrap()
}

#[test]
fn reading_goes_on_behind_any_part() {
    let long = format!("{}b{}", "a".repeat(400_000), "c".repeat(300_000)).repeat(3);
    let (_dir, paths) = folder(&[&format!("x\n{long}\ny"), "z\n"]);
    for boundary in [DocumentBoundary::Line, DocumentBoundary::File] {
        let corpus = scan(paths.clone(), boundary, HeldOut::Fraction(0.3)).unwrap();
        for split in Split::ALL {
            let all = parts_of(&corpus, split, None);
            let mut position = Position::default();
            for (index, part) in all.iter().enumerate() {
                position.bytes += part.text.len() as u64;
                position.documents += u64::from(part.ends_document);
                assert!(parts_of(&corpus, split, Some(position)) == all[index + 1..], "{boundary:?} {index}");
            }
            assert!(boundary == DocumentBoundary::Line || all.len() > 1, "there is something to cut");
        }
    }
}

#[test]
fn parts_end_where_they_may_be_cut_and_together_are_the_text() {
    let text = format!("{}b{}", "a".repeat(600_000), "c".repeat(900_000)).repeat(2) + "d";
    let (_dir, paths) = folder(&[&text]);
    let corpus = scan(paths, DocumentBoundary::File, HeldOut::None).unwrap();
    let parts = parts_of(&corpus, Split::Train, None);
    let (last, before) = parts.split_last().unwrap();
    assert!(!before.is_empty() && before.iter().all(|part| part.text.ends_with('b') && !part.ends_document));
    assert!(last.ends_document);
    assert!(parts.iter().map(|part| part.text.as_str()).collect::<String>() == text);
}

#[test]
fn a_large_file_is_cut_at_the_same_character_as_a_small_one() {
    // Characters of two bytes, and cuts at, before and behind the border of a piece.
    let text = "é".repeat(1 << 17) + &"ü".repeat(1 << 17) + "xyz";
    let (_dir, paths) = folder(&[&text]);
    let total = text.chars().count();
    for held_out in [1, 2, 3, 4, (1 << 17) + 2, (1 << 17) + 3, (1 << 17) + 4, total - 1] {
        let corpus = scan(
            paths.clone(),
            DocumentBoundary::File,
            HeldOut::Fraction((held_out as f64 - 0.5) / total as f64),
        )
        .unwrap();
        let (train, rest) = (documents(&corpus, Split::Train), documents(&corpus, Split::HeldOut));
        assert_eq!((train.len(), rest.len()), (1, 1), "one document on each side");
        assert_eq!(rest[0].chars().count(), held_out);
        assert!(train.concat() + &rest.concat() == text);
    }
}

#[test]
fn records_are_documents_whatever_the_boundary() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "id,text\n1,one\n2,\n3,\"three\nlines\nlong\"\n4,four\n").unwrap();
    let scan_as = |format, field: &str| {
        let sources = Sources {
            texts: vec![path.clone()],
            format,
            field: field.to_owned(),
            held_out: HeldOut::Fraction(0.4),
            ..Sources::default()
        };
        sources.scan(&mut |_| {})
    };
    let corpus = scan_as(FormatChoice::Auto, "text").unwrap();
    assert_eq!(documents(&corpus, Split::Train), ["one"]);
    assert_eq!(documents(&corpus, Split::HeldOut), ["three\nlines\nlong", "four"]);
    assert_eq!((corpus.field(), corpus.is_whole_files()), (Some("text"), false));
    assert_eq!(corpus.text_bytes(), 23);
    // The same bytes as something else are another text.
    let other = scan_as(FormatChoice::Text, "text").unwrap();
    assert!(other.is_whole_files());
    assert_ne!(other.fingerprint(), corpus.fingerprint());
    assert_ne!(scan_as(FormatChoice::Auto, "id").unwrap().fingerprint(), corpus.fingerprint());
    let error = scan_as(FormatChoice::Auto, "txt").unwrap_err().to_string();
    assert!(
        error.ends_with("there is no field `txt`: name one of `id`, `text`; did you mean `text`?"),
        "{error}"
    );
}

#[test]
fn a_fraction_of_whole_files_and_records_has_no_meaning() {
    let (dir, paths) = folder(&["text\n"]);
    let records = dir.path().join("a.jsonl");
    fs::write(&records, "{\"text\": \"record\"}\n").unwrap();
    let texts = vec![paths[0].clone(), records];
    let error = scan(texts.clone(), DocumentBoundary::File, HeldOut::Fraction(0.5)).unwrap_err();
    assert!(matches!(error, CorpusError::TextAndRecords { .. }), "{error}");
    let corpus = scan(texts.clone(), DocumentBoundary::Line, HeldOut::Fraction(0.5)).unwrap();
    assert_eq!(documents(&corpus, Split::Train), ["text"]);
    let corpus = scan(texts, DocumentBoundary::File, HeldOut::None).unwrap();
    assert_eq!(documents(&corpus, Split::Train), ["text\n", "record"]);
    assert!(!corpus.is_whole_files());
}

#[test]
fn what_was_scanned_and_has_not_changed_is_not_scanned_again() {
    let (dir, paths) = folder(&["one\n", "two\n"]);
    let memory = dir.path().join("memory");
    let scan = |sources: &Sources| {
        let memory = Memory::open(memory.clone(), Duration::ZERO, sources);
        sources.scan_remembering(&memory, &mut |_| {}).unwrap()
    };
    let sources = Sources { texts: paths.clone(), held_out: HeldOut::None, ..Sources::default() };
    let first = scan(&sources);
    // A memory that lies is believed, which shows that it is asked.
    let lie = fs::read_to_string(&memory).unwrap().replace("\"documents\":1", "\"documents\":7");
    fs::write(&memory, &lie).unwrap();
    assert!(scan(&sources).files().iter().all(|file| file.documents == 7));
    // Not of a file that has changed, nor when it is read in another way.
    fs::write(&paths[1], "other\n").unwrap();
    let counts: Vec<u64> = scan(&sources).files().iter().map(|file| file.documents).collect();
    assert_eq!(counts, [7, 1]);
    let by_line = Sources { boundary: DocumentBoundary::Line, ..sources.clone() };
    assert!(scan(&by_line).files().iter().all(|file| file.documents == 1));
    // What is no memory is nothing to rely on.
    fs::write(&memory, "{").unwrap();
    assert_eq!(scan(&sources).files()[0], first.files()[0]);
}
