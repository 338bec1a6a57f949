//! What users get wrong, and what they are told.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use firebrand_tokenizer::{
    ByteLevelConfig, LongestPrefixConfig, LongestPrefixTrainer, Pattern, Tokenizer, TokenizerError,
    VocabularySize,
};
use serde_json::{Value, json};

fn config(vocab_size: usize) -> ByteLevelConfig {
    ByteLevelConfig { vocab_size, ..ByteLevelConfig::default() }
}

fn check(result: Result<Tokenizer, TokenizerError>, message: &str) {
    let error = result.err().unwrap_or_else(|| panic!("no error, but {message:?} was expected")).to_string();
    assert!(error.contains(message), "{error:?} does not contain {message:?}");
}

fn check_training(config: &ByteLevelConfig, message: &str) {
    check(Tokenizer::train_byte_level(["some text"], config), message);
}

/// Loads a good file with one field replaced.
fn check_file(pointer: &str, value: Value, message: &str) {
    let text = "in the theme of the thing ";
    check_changed(&Tokenizer::train_byte_level([text], &config(262)).unwrap(), pointer, value, message);
}

/// The same of a longest-prefix tokenizer's.
fn check_longest_prefix(byte_fallback: bool, pointer: &str, value: Value, message: &str) {
    let size = VocabularySize::Merges(4);
    let config = LongestPrefixConfig { size, byte_fallback, ..LongestPrefixConfig::default() };
    let mut trainer = LongestPrefixTrainer::new(config).unwrap();
    trainer.feed("in the theme of the thing ");
    check_changed(&trainer.finish().unwrap(), pointer, value, message);
}

fn check_changed(tokenizer: &Tokenizer, pointer: &str, value: Value, message: &str) {
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let path = dir.path().join("tokenizer.json");
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    *file.pointer_mut(pointer).unwrap() = value;
    std::fs::write(&path, file.to_string()).unwrap();
    let result = Tokenizer::load(&path);
    check(result, message);
    check(Tokenizer::load(&path), "tokenizer.json");
}

#[test]
fn training_needs_room_for_the_bytes() {
    check_training(&config(256), "vocab_size 256 is too small");
    check_training(&config(256), "needs at least 257");
    assert_eq!(Tokenizer::train_byte_level(["some text"], &config(257)).unwrap().vocab_size(), 257);
}

#[test]
fn training_needs_text() {
    check(Tokenizer::train_byte_level([], &config(300)), "training text is empty");
    check(Tokenizer::train_byte_level(["", ""], &config(300)), "training text is empty");
    check(Tokenizer::characters([""], &[]), "training text is empty");
}

#[test]
fn special_tokens_are_texts_of_their_own() {
    let with = |tokens: &[&str]| ByteLevelConfig {
        special_tokens: tokens.iter().map(|token| token.to_string()).collect(),
        ..config(300)
    };
    check_training(&with(&["<a>", ""]), "\"\" is empty");
    check_training(&with(&["<a>", "<a>"]), "\"<a>\" is given twice");
    check_training(&with(&["Ġ"]), "\"Ġ\" is the text of a single byte");
    check(Tokenizer::characters(["abc"], &["b".into()]), "\"b\" is a character of the texts");
}

#[test]
fn a_pattern_must_be_an_expression() {
    check_training(&ByteLevelConfig { pattern: Pattern::Custom("[a".into()), ..config(300) }, "\"[a\"");
}

#[test]
fn the_config_knows_its_keys_and_patterns() {
    let read = serde_json::from_value::<ByteLevelConfig>;
    assert_eq!(read(json!({})).unwrap(), ByteLevelConfig::default());
    assert_eq!(read(json!({"pattern": "cl100k"})).unwrap().pattern, Pattern::Cl100k);
    assert_eq!(read(json!({"pattern": {"custom": "x"}})).unwrap().pattern, Pattern::Custom("x".into()));
    assert!(read(json!({"vocabsize": 300})).unwrap_err().to_string().contains("vocabsize"));
}

#[test]
fn ids_outside_the_vocabulary_are_named() {
    let tokenizer = Tokenizer::train_byte_level(["some text"], &config(258)).unwrap();
    let error = tokenizer.decode(&[0, 258]).unwrap_err().to_string();
    assert!(error.contains("258") && error.contains("258 tokens (ids 0 to 257)"), "{error}");
    assert!(tokenizer.stream_decoder().push(999).is_err());
    assert_eq!(tokenizer.id_to_token(258), None);
}

/// Otherwise a line break in a document would be the special token. Found by fuzzing.
#[test]
fn a_byte_to_fall_back_to_cannot_be_special() {
    let trainer = |byte_fallback| {
        let special_tokens = vec!["<0x0A>".to_owned()];
        LongestPrefixTrainer::new(LongestPrefixConfig { byte_fallback, special_tokens, ..Default::default() })
    };
    let error = trainer(true).unwrap_err().to_string();
    assert!(error.contains("\"<0x0A>\" is the token of a byte"), "{error}");
    let mut trainer = trainer(false).unwrap();
    trainer.feed("a\nb");
    assert!(!trainer.finish().unwrap().encode("\n<0x0A>").contains(&0));
}

#[test]
fn an_id_that_a_file_skips_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let model = json!({"type": "BPE", "unk_token": "<unk>", "vocab": {"<unk>": 0, "a": 2}, "merges": []});
    let file = json!({"added_tokens": [], "decoder": {"type": "Fuse"}, "model": model});
    std::fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.encode("ab")), (3, vec![2, 0]));
    assert_eq!(tokenizer.token_table().bytes(1), b"");
    let error = tokenizer.decode(&[1]).unwrap_err().to_string();
    assert!(error.contains("no token has the id 1"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    check(Tokenizer::load(dir.path()), "holds no tokenizer.json");
    check(Tokenizer::load(&dir.path().join("absent.json")), "cannot read");
    let file = dir.path().join("file");
    std::fs::write(&file, "{\"model\": ").unwrap();
    check(Tokenizer::load(&file), "line 1");
    let tokenizer = Tokenizer::characters(["a"], &[]).unwrap();
    let error = tokenizer.save(&file).unwrap_err().to_string();
    assert!(error.contains("cannot write"), "{error}");
}

#[test]
fn a_word_piece_that_is_another_algorithm_is_refused_by_name() {
    let check =
        |pointer: &str, value: Value, message: &str| check_longest_prefix(false, pointer, value, message);
    check("/model/continuing_subword_prefix", json!("##"), "continuing_subword_prefix is \"##\"");
    check("/model/continuing_subword_prefix", Value::Null, "continuing_subword_prefix is \"##\"");
    check("/model/max_input_chars_per_word", json!(100), "max_input_chars_per_word is 100");
    check("/model/unk_token", Value::Null, "unk_token is null");
    check("/model/unk_token", json!("<none>"), "\"<none>\" is not in the vocabulary");
    check("/model/vocab/t", json!("x"), "not a token id");
    // A token with a character of its own, which no text could be cut into.
    check("/model/vocab/t", json!(3), "given to both");
    check("/pre_tokenizer/pretokenizers/1/pattern/Regex", json!("[^a]"), "unknown characters in words");
    check("/pre_tokenizer", Value::Null, "unknown characters in words");
    check("/decoder", json!({"type": "WordPiece"}), "decoder is WordPiece");
    check_longest_prefix(true, "/model/vocab/<0x0A>", json!(1 << 30), "far above the number of tokens");
    check_longest_prefix(true, "/decoder/decoders/0", json!({"type": "Metaspace"}), "decoder is Metaspace");
    check_longest_prefix(true, "/normalizer", json!({"type": "NFD"}), "normalizer is NFD");
}

#[test]
fn a_longest_prefix_tokenizer_is_read_as_it_was_saved() {
    for byte_fallback in [false, true] {
        let config = LongestPrefixConfig {
            size: VocabularySize::Merges(20),
            byte_fallback,
            pattern: Pattern::O200k,
            ..LongestPrefixConfig::default()
        };
        let mut trainer = LongestPrefixTrainer::new(config).unwrap();
        trainer.feed("the theme of these thirty-three thistles — ça va très bien, 日本語の文章 日本 🦙🦙 it's 1234 \n\n");
        let tokenizer = trainer.finish().unwrap();
        let (dir, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tokenizer.save(dir.path()).unwrap();
        let loaded = Tokenizer::load(dir.path()).unwrap();
        loaded.save(again.path()).unwrap();
        let [first, second] =
            [&dir, &again].map(|dir| std::fs::read(dir.path().join("tokenizer.json")).unwrap());
        assert!(first == second, "the file changed when it was loaded and saved");
        assert_eq!(loaded.token_table(), tokenizer.token_table());
        assert_eq!((loaded.n_merges(), loaded.special_tokens()), (20, tokenizer.special_tokens()));
        for text in ["the thistle, thé 日本人 🦙🦘", "<|endoftext|><unk><0x41>", "\u{301}\r\n\r\n  x"]
        {
            assert_eq!(loaded.encode(text), tokenizer.encode(text), "{text:?}");
            assert_eq!(loaded.encode_with_special(text), tokenizer.encode_with_special(text), "{text:?}");
        }
    }
}

#[test]
fn a_text_that_forges_a_special_token_is_told_where() {
    let tokenizer = Tokenizer::train_byte_level(["some text"], &config(262)).unwrap();
    let text = "é <|endoftext|> <|endoftext|>";
    let error = tokenizer.encode_refusing_special(text).unwrap_err().to_string();
    assert!(error.contains("special token \"<|endoftext|>\" at byte 3"), "{error}");
    assert_eq!(tokenizer.encode_refusing_special("é <|endof").unwrap(), tokenizer.encode("é <|endof"));
    // Spelled in a document it is text; allowed, it is the token.
    assert!(!tokenizer.encode(text).contains(&0));
    assert_eq!(tokenizer.encode_with_special(text).iter().filter(|&&id| id == 0).count(), 2);
}

#[test]
fn a_part_that_is_not_supported_is_named() {
    check_file("/normalizer", json!({"type": "NFD"}), "normalizer is NFD");
    check_file(
        "/normalizer",
        json!({"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}),
        "Lowercase",
    );
    check_file("/pre_tokenizer", json!({"type": "Whitespace"}), "pre_tokenizer is Whitespace");
    check_file("/pre_tokenizer/add_prefix_space", json!(true), "add_prefix_space");
    check_file("/pre_tokenizer", Value::Null, "pre_tokenizer is null");
    let split = json!({"type": "Split", "pattern": {"Regex": "x"}, "behavior": "Removed", "invert": false});
    let sequence = json!({"type": "Sequence", "pretokenizers": [split, {"type": "ByteLevel", "add_prefix_space": false}]});
    check_file("/pre_tokenizer", sequence, "\"Removed\"");
    check_file("/decoder", json!({"type": "WordPiece"}), "decoder is WordPiece");
    check_file("/post_processor", json!({"type": "BertProcessing"}), "post_processor is BertProcessing");
    check_file("/model/type", json!("Unigram"), "model.type is Unigram");
    check_file("/model/dropout", json!(0.1), "model.dropout is 0.1");
    check_file("/model/byte_fallback", json!(true), "model.byte_fallback");
    check_file("/model/continuing_subword_prefix", json!("##"), "continuing_subword_prefix is \"##\"");
    check_file("/added_tokens/0/lstrip", json!(true), "lstrip for \"<|endoftext|>\"");
}

#[test]
fn a_damaged_file_says_where() {
    check_file("/model/vocab/a", json!(-1), "model.vocab[\"a\"]: -1 is not a token id");
    check_file("/model/vocab/a", json!(2), "the id 2 is given to both");
    check_file("/model/vocab/a", json!(4_000_000_000_u32), "far above the number of tokens");
    check_file("/model/vocab", json!({"a": 1}), "has no token");
    check_file("/model/vocab", json!([]), "must map each token to its id");
    check_file("/model/merges/1", json!("a b c"), "model.merges[1]: \"a b c\" is not a pair");
    check_file("/model/merges/1", json!(["a"]), "model.merges[1]");
    check_file("/model/merges/0", json!(["x", "y"]), "model.merges[0]: \"xy\" is not in the vocabulary");
    check_file("/model/merges", json!("none"), "model.merges: must be a list");
    check_file("/model", json!(1), "model: invalid type");
    let special = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let template = |ids: Value| {
        let tokens = json!({"<s>": {"id": "<s>", "ids": ids, "tokens": ["<s>"]}});
        json!({"type": "TemplateProcessing", "single": [special("<s>")], "pair": [], "special_tokens": tokens})
    };
    check_file("/post_processor", template(json!([])), "no ids for \"<s>\"");
    check_file("/post_processor", template(json!([9999])), "id 9999 is outside the vocabulary of 262 tokens");
}
