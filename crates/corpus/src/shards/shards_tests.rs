#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::shards::{ShardWriter, TokenizerInfo};

fn tokenizer(vocab_size: usize, end_of_text: Option<u32>) -> TokenizerInfo {
    TokenizerInfo {
        sha256: "cafe".to_owned(),
        vocab_size,
        end_of_text,
        token_table: json!({"lengths": [1, 2]}),
    }
}

/// Shards of two splits in a temporary folder.
fn small(vocab_size: usize) -> (tempfile::TempDir, PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("shards");
    let mut writer = ShardWriter::create(&dir, tokenizer(vocab_size, Some(0))).unwrap();
    writer.write_document(Split::Train, &[1, 2, 3], 10).unwrap();
    writer.write_document(Split::HeldOut, &[4], 2).unwrap();
    writer.write_document(Split::Train, &[5], 7).unwrap();
    writer.finish().unwrap();
    (temporary, dir)
}

#[test]
fn shards_hold_what_was_written() {
    // On both sides of the limit of 16 bits.
    for (vocab_size, width) in [(65_536, 2), (65_537, 4)] {
        let (_temporary, dir) = small(vocab_size);
        let shards = Shards::open(&dir).unwrap();
        let train = shards.split(Split::Train).unwrap();
        assert_eq!(train.slice(0..train.len()).unwrap(), [0, 1, 2, 3, 0, 5, 0]);
        assert_eq!((train.len(), train.documents(), train.bytes()), (7, 2, 17));
        let held_out = shards.split(Split::HeldOut).unwrap();
        assert_eq!(held_out.slice(0..3).unwrap(), [0, 4, 0]);
        assert_eq!((held_out.documents(), held_out.bytes()), (1, 2));
        assert_eq!(fs::metadata(dir.join("train-00000.bin")).unwrap().len(), 7 * width);
        assert_eq!((shards.vocab_size(), shards.end_of_text()), (vocab_size, Some(0)));
        assert_eq!(shards.token_table::<serde_json::Value>().unwrap(), json!({"lengths": [1, 2]}));
        shards.verify().unwrap();
        shards.expect_tokenizer("cafe").unwrap();
    }
}

#[test]
fn the_largest_ids_survive() {
    for vocab_size in [65_536, 65_537, 1 << 20] {
        let temporary = tempfile::tempdir().unwrap();
        let largest = (vocab_size - 1) as u32;
        let mut writer =
            ShardWriter::create(&temporary.path().join("s"), tokenizer(vocab_size, None)).unwrap();
        writer.write_document(Split::Train, &[largest, 0], 1).unwrap();
        let shards = writer.finish().unwrap();
        assert_eq!(shards.split(Split::Train).unwrap().slice(0..2).unwrap(), [largest, 0]);
    }
}

#[test]
fn without_an_end_of_text_documents_follow_each_other() {
    let temporary = tempfile::tempdir().unwrap();
    let mut writer = ShardWriter::create(&temporary.path().join("s"), tokenizer(10, None)).unwrap();
    writer.write_document(Split::Train, &[1, 2], 2).unwrap();
    writer.write_document(Split::Train, &[3], 1).unwrap();
    let shards = writer.finish().unwrap();
    assert_eq!(shards.split(Split::Train).unwrap().slice(0..3).unwrap(), [1, 2, 3]);
    assert!(shards.get(Split::HeldOut).is_none());
    assert!(shards.split(Split::HeldOut).unwrap_err().to_string().contains("no held-out split"));
}

proptest! {
    #[test]
    fn any_slice_is_right_however_the_tokens_are_spread_over_files(
        documents in prop::collection::vec(prop::collection::vec(0u32..100, 0..20), 1..20),
        shard_tokens in 1u64..50,
        cuts: (prop::sample::Index, prop::sample::Index),
    ) {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("s");
        let mut writer = {
            let workspace = crate::shards::Workspace::claim(&dir).unwrap();
            ShardWriter::in_workspace(&dir, workspace, tokenizer(100, None), None, shard_tokens).unwrap()
        };
        for ids in &documents {
            writer.write_document(Split::Train, ids, 1).unwrap();
        }
        let all = documents.concat();
        prop_assert_eq!(writer.tokens(), all.len() as u64);
        let shards = writer.finish().unwrap();
        let train = shards.split(Split::Train).unwrap();
        prop_assert_eq!((train.len(), train.documents()), (all.len(), documents.len() as u64));
        let (a, b) = (cuts.0.index(all.len() + 1), cuts.1.index(all.len() + 1));
        let range = a.min(b)..a.max(b);
        prop_assert_eq!(train.slice(range.clone()).unwrap(), &all[range]);
        shards.verify().unwrap();
    }
}

#[test]
fn an_unfinished_writer_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("shards");
    let mut writer = ShardWriter::create(&dir, tokenizer(10, None)).unwrap();
    writer.write_document(Split::Train, &[1], 1).unwrap();
    assert!(!dir.exists());
    drop(writer);
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn ids_outside_the_vocabulary_are_refused_with_the_document() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("shards");
    let mut writer = ShardWriter::create(&dir, tokenizer(10, None)).unwrap();
    writer.write_document(Split::Train, &[9], 1).unwrap();
    let error = writer.write_document(Split::Train, &[1, 10], 1).unwrap_err().to_string();
    assert_eq!(error, "token id 10 at document 2 of the train split is outside the vocabulary of 10 tokens");
    assert!(ShardWriter::create(&dir, tokenizer(10, Some(10))).is_err());
    assert!(TokenSplit::from_ids(vec![3], 3, 0, 1).is_err());
}

#[test]
fn existing_folders_are_not_overwritten() {
    let (_temporary, dir) = small(10);
    assert!(matches!(ShardWriter::create(&dir, tokenizer(10, None)), Err(CorpusError::OutputExists(_))));
    Shards::open(&dir).unwrap().verify().unwrap();
}

#[test]
fn an_unwritable_output_is_named() {
    let temporary = tempfile::tempdir().unwrap();
    fs::write(temporary.path().join("file"), "").unwrap();
    let error =
        ShardWriter::create(&temporary.path().join("file/shards"), tokenizer(10, None)).err().unwrap();
    assert!(matches!(&error, CorpusError::Io { .. }) && error.to_string().contains("file"), "{error}");
}

#[test]
fn damaged_files_are_told_from_whole_ones() {
    let (_temporary, dir) = small(10);
    let path = dir.join("train-00000.bin");
    let whole = fs::read(&path).unwrap();

    fs::write(&path, &whole[..whole.len() - 2]).unwrap();
    let error = Shards::open(&dir).unwrap_err();
    assert!(matches!(error, CorpusError::WrongSize { expected: 14, found: 12, .. }), "{error}");

    // Another id, in the vocabulary: only the sha256 can tell.
    let mut changed = whole.clone();
    changed[2] = 7;
    fs::write(&path, &changed).unwrap();
    let error = Shards::open(&dir).unwrap().verify().unwrap_err();
    assert!(matches!(&error, CorpusError::WrongChecksum { .. }), "{error}");
    assert!(error.to_string().contains("train-00000.bin"));

    // One outside the vocabulary is an error where it is read, not a panic in a model.
    changed[3] = 7;
    fs::write(&path, &changed).unwrap();
    let shards = Shards::open(&dir).unwrap();
    let error = shards.split(Split::Train).unwrap().slice(0..7).unwrap_err();
    assert!(matches!(error, CorpusError::IdOutsideVocabulary { id: 1799, .. }), "{error}");

    fs::write(&path, &whole).unwrap();
    Shards::open(&dir).unwrap().verify().unwrap();
    fs::write(dir.join(TOKEN_TABLE), "{}").unwrap();
    assert!(Shards::open(&dir).unwrap().verify().is_err());
    assert!(Shards::open(&dir).unwrap().token_table::<serde_json::Value>().is_err());

    fs::remove_file(&path).unwrap();
    assert!(Shards::open(&dir).unwrap_err().to_string().contains("train-00000.bin"));
}

#[test]
fn manifests_that_make_no_sense_are_errors_that_say_why() {
    let (_temporary, dir) = small(10);
    let path = dir.join(MANIFEST);
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let open_with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut changed = manifest.clone();
        change(&mut changed);
        fs::write(&path, changed.to_string()).unwrap();
        Shards::open(&dir).unwrap_err()
    };
    let error = open_with(&|manifest| manifest["format_version"] = json!(9));
    assert!(matches!(error, CorpusError::FormatVersion { found: 9, supported: 1, .. }), "{error}");
    type Change<'a> = &'a dyn Fn(&mut serde_json::Value);
    let cases: [(Change<'_>, &str); 6] = [
        (&|manifest| manifest["format_version"] = json!(null), "no format_version"),
        (&|manifest| manifest["colour"] = json!("red"), "unknown field `colour`"),
        (&|manifest| manifest["vocab_size"] = json!(70_000), "is not stored as U16"),
        (&|manifest| manifest["end_of_text"] = json!(10), "end_of_text 10 is outside"),
        (&|manifest| manifest["splits"]["train"][0]["name"] = json!("../x.bin"), "not a plain file name"),
        (&|manifest| manifest["splits"]["train"][0]["tokens"] = json!(u64::MAX), "too large"),
    ];
    for (change, expected) in cases {
        let message = open_with(change).to_string();
        assert!(message.contains(expected) && message.contains("manifest.json"), "{message}");
    }
    fs::write(&path, "{\"format_ver").unwrap();
    assert!(matches!(Shards::open(&dir), Err(CorpusError::Manifest { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(Shards::open(&dir), Err(CorpusError::NotShards(_))));
    let nowhere = Shards::open(&dir.join("nowhere")).unwrap_err();
    assert!(matches!(nowhere, CorpusError::Io { .. }), "{nowhere}");
}

#[test]
fn shards_of_another_tokenizer_are_refused_with_both_hashes() {
    let (_temporary, dir) = small(10);
    let error = Shards::open(&dir).unwrap().expect_tokenizer("beef").unwrap_err().to_string();
    assert!(error.contains("cafe") && error.contains("beef"), "{error}");
}
