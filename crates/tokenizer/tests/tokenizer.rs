//! What a tokenizer promises, by small examples.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use firebrand_tokenizer::{ByteLevelConfig, ByteLevelTrainer, Pattern, Tokenizer};

fn trained() -> Tokenizer {
    let config = ByteLevelConfig { vocab_size: 264, ..ByteLevelConfig::default() };
    Tokenizer::train_byte_level(["the thin thing, the thick thing"], &config).unwrap()
}

#[test]
fn a_document_cannot_spell_a_special_token() {
    let tokenizer = trained();
    let text = "a<|endoftext|>b";
    let end = tokenizer.end_of_text().unwrap();
    assert!(!tokenizer.encode(text).contains(&end));
    assert_eq!(tokenizer.encode_with_special(text).iter().filter(|id| **id == end).count(), 1);
    for ids in [tokenizer.encode(text), tokenizer.encode_with_special(text)] {
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    }
}

#[test]
fn not_even_where_merges_would_make_it() {
    let config = ByteLevelConfig {
        vocab_size: 280,
        special_tokens: vec!["ab".into()],
        pattern: Pattern::None,
        ..ByteLevelConfig::default()
    };
    let tokenizer = Tokenizer::train_byte_level(["abababab abab"], &config).unwrap();
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    for tokenizer in [tokenizer, Tokenizer::load(dir.path()).unwrap()] {
        assert!(!tokenizer.encode("xababab").contains(&0));
        assert!(!tokenizer.encode_bytes(b"xababab\xff").contains(&0));
        assert_eq!(tokenizer.decode(&tokenizer.encode("xababab")).unwrap(), "xababab");
        assert_eq!(tokenizer.encode_with_special("abab"), [0, 0]);
    }
}

#[test]
fn ids_are_special_tokens_then_bytes_then_merges() {
    let tokenizer = trained();
    assert_eq!(tokenizer.special_tokens(), [("<|endoftext|>".to_owned(), 0)]);
    assert_eq!(tokenizer.id_to_token(1), Some("!"));
    assert_eq!(tokenizer.token_to_id("Ġ"), Some(221));
    assert_eq!(tokenizer.id_to_token(257), Some("th"));
    assert_eq!(tokenizer.vocab_size(), 264);
}

#[test]
fn characters_are_sorted_after_the_special_tokens() {
    let tokenizer = Tokenizer::characters(["bña", "日a"], &["<|endoftext|>".into(), "<pad>".into()]).unwrap();
    let tokens: Vec<_> =
        (0..tokenizer.vocab_size() as u32).filter_map(|id| tokenizer.id_to_token(id)).collect();
    assert_eq!(tokens, ["<|endoftext|>", "<pad>", "<unk>", "a", "b", "ñ", "日"]);
    assert_eq!(tokenizer.encode("abx日"), [3, 4, 2, 6]);
    assert_eq!(tokenizer.encode_with_special("a<pad>"), [3, 1]);
    assert_eq!(tokenizer.encode_bytes(b"a\xffb"), [3, 2, 4]);
    let given = Tokenizer::characters(["a"], &["<unk>".into(), "<s>".into()]).unwrap();
    assert_eq!(given.encode("ab"), [2, 0]);
}

#[test]
fn a_characters_tokenizer_is_read_as_it_was() {
    let tokenizer =
        Tokenizer::characters(["to be\nor not — that's “it”"], &["<|endoftext|>".into()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let loaded = Tokenizer::load(&dir.path().join("tokenizer.json")).unwrap();
    assert_eq!(loaded.token_table(), tokenizer.token_table());
    let text = "not <unk>\tzebra<|endoftext|>";
    assert_eq!(loaded.encode_with_special(text), tokenizer.encode_with_special(text));
    assert_eq!(loaded.encode(text), tokenizer.encode(text));
}

#[test]
fn the_table_counts_the_bytes_of_the_text() {
    let tokenizer = trained();
    let table = tokenizer.token_table();
    let text = "the thing is 日本 thick";
    let ids = tokenizer.encode(text);
    assert_eq!(ids.iter().map(|&id| table.byte_len(id)).sum::<usize>(), text.len());
    assert_eq!(ids.iter().flat_map(|&id| table.bytes(id)).copied().collect::<Vec<u8>>(), text.as_bytes());
    assert!(table.is_special(0) && table.byte_len(0) == 0 && table.len() == tokenizer.vocab_size());
    assert!(table.starts_word(tokenizer.token_to_id("Ġthi").unwrap()));
    assert!(!table.starts_word(tokenizer.token_to_id("th").unwrap()));
}

#[test]
fn a_stream_waits_for_whole_characters() {
    let tokenizer = trained();
    let mut stream = tokenizer.stream_decoder();
    let pushed: Vec<String> = tokenizer.encode("a日").iter().map(|&id| stream.push(id).unwrap()).collect();
    assert_eq!(pushed, ["a", "", "", "日"]);
    let half = tokenizer.encode_bytes("日".as_bytes())[0];
    assert_eq!(stream.push(half).unwrap(), "");
    assert_eq!(stream.finish(), "\u{fffd}");
    assert_eq!(stream.finish(), "");
}

#[test]
fn a_trainer_may_be_fed_text_by_text() {
    let config = ByteLevelConfig { vocab_size: 300, ..ByteLevelConfig::default() };
    let texts = ["one text here", " and there", "", "one text here"];
    let mut trainer = ByteLevelTrainer::new(config.clone()).unwrap();
    texts.iter().for_each(|text| trainer.feed(text));
    let fed = trainer.finish().unwrap();
    assert_eq!(fed.token_table(), Tokenizer::train_byte_level(texts, &config).unwrap().token_table());
}

#[test]
fn long_pieces_take_no_quadratic_time() {
    let config = ByteLevelConfig { vocab_size: 300, pattern: Pattern::None, ..ByteLevelConfig::default() };
    let text = "abcab".repeat(200_000);
    let tokenizer = Tokenizer::train_byte_level([text.as_str()], &config).unwrap();
    let ids = tokenizer.encode(&text);
    assert!(ids.len() < text.len() / 100);
    assert_eq!(tokenizer.decode(&ids).unwrap(), text);
}

#[test]
fn a_tokenizer_can_be_shared_between_threads() {
    fn assert_shared<T: Send + Sync + Clone>() {}
    assert_shared::<Tokenizer>();
}

/// Found by fuzzing: it was taken for a character that the vocabulary doesn't have.
#[test]
fn an_unknown_token_that_a_text_may_spell_has_its_own_offsets() {
    let tokenizer = Tokenizer::characters(["abc"], &[]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let path = dir.path().join("tokenizer.json");
    let file = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, file.replace(r#""special": true"#, r#""special": false"#)).unwrap();
    let tokenizer = Tokenizer::load(&path).unwrap();
    let (ids, ranges) = tokenizer.encode_with_offsets("a<unk>é日b");
    assert_eq!(ids, [1, 0, 0, 0, 2]);
    assert_eq!(ranges, [0..1, 1..6, 6..8, 8..11, 11..12]);
}
