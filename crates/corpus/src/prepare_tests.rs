#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use serde_json::json;

use super::pipeline::CHUNK_BYTES;
use super::*;
use crate::sources::HeldOut;
use crate::sources::{DocumentBoundary, Split};

/// Bytes as tokens, 256 as end-of-text.
fn byte_tokenizer(end_of_text: Option<u32>) -> TokenizerInfo {
    TokenizerInfo { sha256: "bytes".to_owned(), vocab_size: 257, end_of_text, token_table: json!(null) }
}

fn encode_bytes(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(text: &str) -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(scene.path("text.txt"), text).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sources(&self, boundary: DocumentBoundary, held_out: HeldOut) -> Sources {
        Sources { texts: vec![self.path("text.txt")], boundary, held_out, ..Sources::default() }
    }

    fn corpus(&self, boundary: DocumentBoundary, held_out: HeldOut) -> Corpus {
        self.sources(boundary, held_out).scan(&mut |_| {}).unwrap()
    }

    fn files(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.path(name)).unwrap().map(|entry| entry.unwrap());
        let read = |entry: fs::DirEntry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
        };
        let mut files: Vec<_> = entries.map(read).collect();
        files.sort();
        files
    }
}

fn all(shards: &Shards, split: Split) -> Vec<u32> {
    let tokens = shards.split(split).unwrap();
    tokens.slice(0..tokens.len()).unwrap()
}

#[test]
fn whole_files_without_end_of_text_become_nanogpts_streams() {
    let scene = Scene::new("0123456789\nabcdefgh\n");
    let corpus = scene.corpus(DocumentBoundary::File, HeldOut::Fraction(0.1));
    let tokenizer = byte_tokenizer(None);
    let shards = prepare(&corpus, &tokenizer, &encode_bytes, &scene.path("out"), &mut |_| {}).unwrap();
    assert_eq!(all(&shards, Split::Train), encode_bytes("0123456789\nabcdefg"));
    assert_eq!(all(&shards, Split::HeldOut), encode_bytes("h\n"));
    assert_eq!(shards.split(Split::Train).unwrap().bytes(), 18);
    let provenance = shards.provenance().unwrap();
    assert_eq!(provenance.boundary, DocumentBoundary::File);
    assert_eq!((provenance.files[0].name.as_str(), provenance.files[0].bytes), ("text.txt", 20));
}

#[test]
fn every_document_stands_between_two_ends_of_text() {
    let scene = Scene::new("ab\nc\n\nd\n");
    let corpus = scene.corpus(DocumentBoundary::Line, HeldOut::Fraction(0.3));
    let tokenizer = byte_tokenizer(Some(256));
    let shards = prepare(&corpus, &tokenizer, &encode_bytes, &scene.path("out"), &mut |_| {}).unwrap();
    assert_eq!(all(&shards, Split::Train), [256, 97, 98, 256, 99, 256]);
    assert_eq!(all(&shards, Split::HeldOut), [256, 100, 256]);
    let train = shards.split(Split::Train).unwrap();
    assert_eq!((train.bytes(), train.documents()), (3, 2));
}

#[test]
fn documents_that_would_run_together_are_refused() {
    let scene = Scene::new("a\nb\n");
    let corpus = scene.corpus(DocumentBoundary::Line, HeldOut::None);
    let out = scene.path("out");
    let error = prepare(&corpus, &byte_tokenizer(None), &encode_bytes, &out, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("by line need an end-of-text token"), "{error}");
}

#[test]
fn the_bytes_are_the_same_at_any_number_of_threads() {
    // More than one chunk.
    let line = |index: usize| format!("{index} {}\n", "word ".repeat(index % 400));
    let scene = Scene::new(&(0..12000).map(line).collect::<String>());
    let corpus = scene.corpus(DocumentBoundary::Line, HeldOut::Fraction(0.2));
    assert!(corpus.bytes() > CHUNK_BYTES as u64);
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let out = scene.path(&threads.to_string());
        pool.install(|| {
            prepare(&corpus, &byte_tokenizer(Some(256)), &encode_bytes, &out, &mut |_| {}).unwrap();
        });
        assert_eq!(scene.files(&threads.to_string()), scene.files("1"));
    }
}

#[test]
fn progress_grows_and_ends_at_the_whole() {
    let scene = Scene::new("ab\ncd\n");
    let corpus = scene.corpus(DocumentBoundary::Line, HeldOut::Fraction(0.5));
    let mut reports = Vec::new();
    prepare(&corpus, &byte_tokenizer(Some(256)), &encode_bytes, &scene.path("out"), &mut |report| {
        reports.push(report);
    })
    .unwrap();
    assert!(reports.is_sorted_by_key(|report: &Progress| (report.bytes, report.tokens)));
    let expected =
        Progress { stage: Stage::Encode, bytes: 4, total_bytes: 4, documents: 2, tokens: 8, bytes_before: 0 };
    assert_eq!(reports.last(), Some(&expected));
}

#[test]
fn the_same_text_is_encoded_once() {
    let scene = Scene::new("ab\ncd\n");
    let calls = AtomicUsize::new(0);
    let encode = |text: &str| {
        calls.fetch_add(1, Ordering::Relaxed);
        encode_bytes(text)
    };
    let run = |held_out, cache: &str| {
        let corpus = scene.corpus(DocumentBoundary::Line, held_out);
        let tokenizer = byte_tokenizer(Some(256));
        prepare_cached(&corpus, &tokenizer, &encode, &scene.path(cache), &mut |_| {}).unwrap()
    };
    let first = run(HeldOut::None, "cache");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(run(HeldOut::None, "cache").dir(), first.dir());
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    // Another split is another folder.
    assert_ne!(run(HeldOut::Fraction(0.5), "cache").dir(), first.dir());
    assert_eq!(calls.load(Ordering::Relaxed), 4);
    // What is damaged is made again.
    fs::write(first.dir().join("train-00000.bin"), "").unwrap();
    run(HeldOut::None, "cache").verify().unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 6);
}

#[test]
fn an_output_made_of_something_else_is_kept() {
    let scene = Scene::new("ab\ncd\n");
    let out = scene.path("out");
    let corpus = scene.corpus(DocumentBoundary::File, HeldOut::None);
    prepare(&corpus, &byte_tokenizer(None), &encode_bytes, &out, &mut |_| {}).unwrap();
    let before = scene.files("out");
    // The same again is no error.
    prepare(&corpus, &byte_tokenizer(None), &encode_bytes, &out, &mut |_| {}).unwrap();
    let error = prepare(&corpus, &byte_tokenizer(Some(256)), &encode_bytes, &out, &mut |_| {}).unwrap_err();
    assert!(matches!(error, CorpusError::OutputExists(_)), "{error}");
    assert_eq!(scene.files("out"), before);
}

#[test]
fn the_key_follows_contents_boundary_split_and_tokenizer_but_not_names() {
    let scene = Scene::new("ab\ncd\n");
    let other = Scene::new("ab\ncd\n");
    let changed = Scene::new("ab\nce\n");
    let key = |scene: &Scene, boundary, held_out, end_of_text| {
        cache_key(&scene.corpus(boundary, held_out), &byte_tokenizer(end_of_text))
    };
    let key_of = |scene| key(scene, DocumentBoundary::Line, HeldOut::None, Some(256));
    assert_eq!(key_of(&scene), key_of(&other));
    let keys = [
        key_of(&scene),
        key_of(&changed),
        key(&scene, DocumentBoundary::BlankLine, HeldOut::None, Some(256)),
        key(&scene, DocumentBoundary::Line, HeldOut::Fraction(0.5), Some(256)),
        key(&scene, DocumentBoundary::Line, HeldOut::None, None),
    ];
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(key), "{keys:?}");
    }
}

proptest! {
    #[test]
    fn the_shards_are_the_documents(lines in prop::collection::vec("[a-zé]{1,9}", 2..30), fraction in 0.1..0.9) {
        let scene = Scene::new(&lines.join("\n"));
        let sources = Sources {
            texts: vec![scene.path("text.txt")],
            boundary: DocumentBoundary::Line,
            held_out: HeldOut::Fraction(fraction),
            ..Sources::default()
        };
        let Ok(corpus) = sources.scan(&mut |_| {}) else { return Ok(()) };
        let tokenizer = byte_tokenizer(Some(256));
        let shards = prepare(&corpus, &tokenizer, &encode_bytes, &scene.path("out"), &mut |_| {}).unwrap();
        let n_train = ((1.0 - fraction) * lines.len() as f64) as usize;
        for (split, lines) in [(Split::Train, &lines[..n_train]), (Split::HeldOut, &lines[n_train..])] {
            let expected: Vec<u32> = std::iter::once(256)
                .chain(lines.iter().flat_map(|line| encode_bytes(line).into_iter().chain([256])))
                .collect();
            prop_assert_eq!(all(&shards, split), expected);
        }
    }
}
