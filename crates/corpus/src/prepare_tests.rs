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

/// Bytes as tokens, cut behind a line end; panics, as a stand-in for dying, when it has encoded so many bytes.
struct Mortal {
    lives: AtomicUsize,
    whole: bool,
}

impl Encode for Mortal {
    fn encode(&self, text: &str) -> Vec<u32> {
        let left = self.lives.load(Ordering::Relaxed).saturating_sub(text.len());
        self.lives.store(left, Ordering::Relaxed);
        assert!(left > 0, "it dies here");
        encode_bytes(text)
    }

    fn cut(&self, text: &str) -> Option<usize> {
        if self.whole { None } else { text.rfind('\n').map(|at| at + 1) }
    }
}

fn immortal(whole: bool) -> Mortal {
    Mortal { lives: AtomicUsize::new(usize::MAX), whole }
}

/// Prepares `out` with an encoder that dies after so many bytes; where it left its work.
fn die_after(bytes: usize, sources: &Sources, tokenizer: &TokenizerInfo, out: &Path) -> Option<PathBuf> {
    let mortal = Mortal { lives: AtomicUsize::new(bytes), whole: false };
    let run = || prepare_sources(sources, tokenizer, &mortal, out, &mut |_| {}).map(drop);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).panic_handler(|_| {}).build().unwrap();
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.install(run)));
    assert!(died.is_err(), "it should have died");
    assert!(!out.exists());
    left_behind(out)
}

#[test]
fn what_was_stopped_goes_on_and_ends_the_same() {
    let line = |index: usize| format!("{index} {}\n", "word ".repeat(index % 400));
    let text = (0..26_000).map(line).collect::<String>();
    let scene = Scene::new(&text);
    let tokenizer = byte_tokenizer(Some(256));
    for boundary in [DocumentBoundary::Line, DocumentBoundary::File] {
        let sources = scene.sources(boundary, HeldOut::Fraction(0.1));
        let calm = scene.path(&format!("{}-calm", boundary.name()));
        // What is encoded whole is the same as what is encoded in parts.
        prepare_sources(&sources, &tokenizer, &immortal(true), &calm, &mut |_| {}).unwrap();
        let expected = scene.files(&format!("{}-calm", boundary.name()));
        for bytes in [CHUNK_BYTES / 2, CHUNK_BYTES * 3 / 2, CHUNK_BYTES * 5 / 2, text.len() - 100_000] {
            let name = format!("{}-{bytes}", boundary.name());
            let out = scene.path(&name);
            let left = die_after(bytes, &sources, &tokenizer, &out);
            assert_eq!(left.is_some(), bytes > CHUNK_BYTES, "there is a journal once a chunk is written");
            if let Some(left) = &left {
                // What had been written and not synced may be there or not.
                let file = left.join("shards/train-00000.bin");
                let file = fs::File::options().append(true).open(file).unwrap();
                std::io::Write::write_all(&mut &file, b"more than the journal knows of").unwrap();
                fs::write(left.join("shards/held-out-00000.bin"), "what is not in the journal").unwrap();
            }
            let mut first = None;
            prepare_sources(&sources, &tokenizer, &immortal(false), &out, &mut |report| {
                if report.stage == Stage::Encode {
                    first.get_or_insert(report);
                }
            })
            .unwrap();
            let before = first.unwrap().bytes_before;
            assert_eq!(before >= CHUNK_BYTES as u64, left.is_some(), "{name}: {before} bytes were done");
            assert!(scene.files(&name) == expected, "{name}");
            assert_eq!(left_behind(&out), None, "{name}");
        }
    }
}

#[test]
fn what_was_stopped_is_begun_anew_with_another_text_or_tokenizer() {
    let text = "some words\n".repeat(CHUNK_BYTES / 5);
    let scene = Scene::new(&text);
    let sources = scene.sources(DocumentBoundary::Line, HeldOut::None);
    let out = scene.path("out");
    let prepare = |tokenizer: &TokenizerInfo| {
        let mut before = 0;
        let shards = prepare_sources(&sources, tokenizer, &immortal(false), &out, &mut |report| {
            before = before.max(report.bytes_before);
        });
        (shards.unwrap(), before)
    };
    let tokenizer = byte_tokenizer(Some(256));
    die_after(CHUNK_BYTES * 3 / 2, &sources, &tokenizer, &out).unwrap();
    let other = TokenizerInfo { sha256: "another".to_owned(), ..tokenizer.clone() };
    let (shards, before) = prepare(&other);
    assert_eq!((before, shards.tokenizer_sha256()), (0, "another"));
    shards.verify().unwrap();

    fs::remove_dir_all(&out).unwrap();
    die_after(CHUNK_BYTES * 3 / 2, &sources, &tokenizer, &out).unwrap();
    fs::write(scene.path("text.txt"), "changed\n").unwrap();
    let (shards, before) = prepare(&tokenizer);
    assert_eq!((before, shards.split(Split::Train).unwrap().documents()), (0, 1));

    // A journal that does not fit the files is worth nothing.
    fs::write(scene.path("text.txt"), &text).unwrap();
    fs::remove_dir_all(&out).unwrap();
    let left = die_after(CHUNK_BYTES * 3 / 2, &sources, &tokenizer, &out).unwrap();
    fs::File::options().write(true).open(left.join("shards/train-00000.bin")).unwrap().set_len(9).unwrap();
    let (shards, before) = prepare(&tokenizer);
    shards.verify().unwrap();
    assert_eq!((before, shards.split(Split::Train).unwrap().documents()), (0, text.lines().count() as u64));
}

#[test]
fn two_that_prepare_the_same_text_do_it_once() {
    let scene = Scene::new(&"some words\n".repeat(10_000));
    let corpus = scene.corpus(DocumentBoundary::Line, HeldOut::None);
    let (calls, waited) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let encode = |text: &str| {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            // Long enough for the other one to find it at work.
            std::thread::sleep(Duration::from_millis(300));
        }
        encode_bytes(text)
    };
    let prepare = || {
        let tokenizer = byte_tokenizer(Some(256));
        prepare_cached(&corpus, &tokenizer, &encode, &scene.path("cache"), &mut |report| {
            waited.fetch_add(usize::from(report.stage == Stage::Wait), Ordering::Relaxed);
        })
        .unwrap()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(prepare);
        while calls.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        let dir = prepare().dir().to_path_buf();
        assert_eq!(other.join().unwrap().dir(), dir);
    });
    assert_eq!(calls.load(Ordering::Relaxed), 10_000);
    assert!(waited.load(Ordering::Relaxed) > 0);
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
