//! Files that are nearly right: what they say must hold for every text, or they are refused by name. Found by fuzzing, or by
//! reading what it led to.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use firebrand_tokenizer::{
    ByteLevelConfig, LongestPrefixConfig, LongestPrefixTrainer, Tokenizer, TokenizerError, VocabularySize,
};
use serde_json::{Value, json};

const TEXT: &str = "in the theme of the thing ";

/// A tokenizer's file with something changed, loaded.
fn changed(tokenizer: &Tokenizer, change: impl FnOnce(&mut Value)) -> Result<Tokenizer, TokenizerError> {
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let path = dir.path().join("tokenizer.json");
    let mut file = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut file);
    std::fs::write(&path, file.to_string()).unwrap();
    Tokenizer::load(&path)
}

fn byte_level() -> Tokenizer {
    let config = ByteLevelConfig { vocab_size: 270, ..ByteLevelConfig::default() };
    Tokenizer::train_byte_level([TEXT], &config).unwrap()
}

fn longest_prefix(byte_fallback: bool) -> Tokenizer {
    let size = VocabularySize::Merges(4);
    let config = LongestPrefixConfig { size, byte_fallback, ..LongestPrefixConfig::default() };
    let mut trainer = LongestPrefixTrainer::new(config).unwrap();
    trainer.feed(TEXT);
    trainer.finish().unwrap()
}

/// One more added token with these fields.
fn add(file: &mut Value, id: u32, text: &str, special: bool) {
    let token = json!({"id": id, "content": text, "special": special, "normalized": false});
    file["added_tokens"].as_array_mut().unwrap().push(token);
}

fn check_refused(result: Result<Tokenizer, TokenizerError>, message: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(message), "{error:?} does not contain {message:?}");
}

#[test]
fn the_token_of_a_byte_cannot_be_another_one() {
    let tokenizer = byte_level();
    let id = |token: &str| tokenizer.token_to_id(token).unwrap();
    let check = |token: &str, special, message: &str| {
        check_refused(changed(&tokenizer, |file| add(file, id(token), token, special)), message);
    };
    // A document could spell the special token, or a space would be decoded to `Ġ`.
    check("a", true, "\"a\" is the token of the byte 0x61");
    check("Ġ", false, "\"Ġ\" is the token of the byte 0x20");
    // One that is spelled as the byte is the same either way.
    let harmless = changed(&tokenizer, |file| add(file, id("a"), "a", false)).unwrap();
    assert_eq!(harmless.encode("a theme"), tokenizer.encode("a theme"));
    let with_bytes = longest_prefix(true);
    let newline = with_bytes.token_to_id("<0x0A>").unwrap();
    let special = changed(&with_bytes, |file| add(file, newline, "<0x0A>", true));
    check_refused(special, "\"<0x0A>\" is the token of a byte");
}

#[test]
fn merges_do_not_make_an_added_token_that_stands_for_other_bytes() {
    let tokenizer = byte_level();
    let the = tokenizer.token_to_id("Ġthe").unwrap();
    let odd = changed(&tokenizer, |file| add(file, the, "Ġthe", false)).unwrap();
    let text = " the Ġthe theme";
    assert!(!odd.encode(" the").contains(&the), "it would be decoded to Ġthe");
    assert!(odd.encode(text).contains(&the), "the text spells it");
    assert_eq!(odd.decode(&odd.encode(text)).unwrap(), text);
    assert_eq!(odd.encode_with_offsets(text).1.last().unwrap().end, text.len());
}

#[test]
fn a_token_has_one_id() {
    let tokenizer = byte_level();
    let again = changed(&tokenizer, |file| add(file, 270, "Ġthe", false));
    check_refused(again, "\"Ġthe\" has two ids, 259 and 270");
}

#[test]
fn an_added_token_is_special_or_not() {
    let tokenizer = byte_level();
    let twice = changed(&tokenizer, |file| add(file, 0, "<|endoftext|>", false));
    check_refused(twice, "\"<|endoftext|>\" is given twice, and differently");
    assert!(
        changed(&tokenizer, |file| add(file, 0, "<|endoftext|>", true)).is_ok(),
        "the same twice is once"
    );
}

#[test]
fn an_added_token_becomes_special_with_the_id_it_has() {
    let tokenizer = byte_level();
    let id = tokenizer.vocab_size() as u32;
    let odd = changed(&tokenizer, |file| add(file, id, "<extra_id_0>", false)).unwrap();
    assert_eq!(odd.encode("<extra_id_0>"), [id]);
    let special = odd.with_special_tokens(&["<extra_id_1>", "<extra_id_0>"].map(String::from)).unwrap();
    let again = changed(&special, |_| {}).unwrap();
    for tokenizer in [special, again] {
        let ids = ["<extra_id_0>", "<extra_id_1>"].map(|name| tokenizer.token_to_id(name));
        assert_eq!(ids, [Some(id), Some(id + 1)], "the one it has stays, the other is put behind");
        assert!(tokenizer.token_table().is_special(id));
        assert_eq!(tokenizer.encode_with_special("<extra_id_0>"), [id]);
        assert!(!tokenizer.encode("<extra_id_0>").contains(&id), "a text cannot spell it any more");
    }
}

#[test]
fn an_id_that_no_token_uses_is_no_ordinary_token() {
    let tokenizer = byte_level();
    let hole = tokenizer.vocab_size() as u32;
    let odd = changed(&tokenizer, |file| add(file, hole + 1, "<pad>", true)).unwrap();
    let table = odd.token_table();
    assert_eq!(
        [hole - 1, hole, hole + 1, hole + 2].map(|id| table.is_ordinary(id)),
        [true, false, false, false]
    );
}

#[test]
fn what_stands_around_a_text_is_a_token() {
    let frame = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [271], "tokens": ["<s>"]}},
    });
    let skipped = changed(&byte_level(), |file| {
        add(file, 272, "<pad>", true);
        file["post_processor"] = frame;
    });
    check_refused(skipped, "no token has the id 271");
}

#[test]
fn a_character_that_is_an_added_token_is_read_as_it_was_saved() {
    // Two ways to be both: a character of words, and added; with merges and without.
    for tokenizer in [longest_prefix(false), Tokenizer::characters([TEXT], &[]).unwrap()] {
        let odd = changed(&tokenizer, |file| add(file, tokenizer.vocab_size() as u32, "é", false)).unwrap();
        let again = changed(&odd, |_| {}).unwrap();
        assert_eq!(again.token_table(), odd.token_table());
        for text in ["thé thing", "é", "日é"] {
            assert_eq!(again.encode(text), odd.encode(text));
            assert_eq!(again.encode_bytes(text.as_bytes()), odd.encode_bytes(text.as_bytes()));
        }
    }
}
