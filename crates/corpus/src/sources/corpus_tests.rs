#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

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
    Sources { texts, boundary, held_out }.scan(&mut |_| {})
}

fn documents(corpus: &Corpus, split: Split) -> Vec<String> {
    corpus.documents(split).collect::<Result<_, _>>().unwrap()
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
            let last = corpus.documents(Split::Train).last().unwrap();
            assert!(matches!(last, Err(CorpusError::FileChanged(_))), "{boundary:?} {changed:?}");
        }
    }
}

#[test]
fn scanning_counts_and_reports() {
    let (_dir, paths) = folder(&["ä b\n\nc\n", "d"]);
    let mut reports = Vec::new();
    let sources = Sources { texts: paths, boundary: DocumentBoundary::BlankLine, held_out: HeldOut::None };
    let corpus = sources.scan(&mut |progress| reports.push(progress)).unwrap();
    let counts: Vec<_> =
        corpus.files().iter().map(|file| (file.bytes, file.documents, file.characters)).collect();
    assert_eq!(counts, [(8, 2, 4), (1, 1, 1)]);
    let expected = Progress { stage: Stage::Scan, bytes: 9, total_bytes: 9, documents: 3, tokens: 0 };
    assert_eq!(reports, [expected]);
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
