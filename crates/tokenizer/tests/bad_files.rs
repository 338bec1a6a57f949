//! Damaged files of every format, and what their readers say: the file, the place, the value.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use firebrand_tokenizer::{Pattern, Tokenizer, TokenizerError};
use proptest::prelude::*;
use std::path::Path;

/// Writes a file of this name, reads it with `load`, and compares what that says.
fn check_load(
    name: &str,
    content: &[u8],
    load: impl Fn(&Path) -> Result<Tokenizer, TokenizerError>,
    message: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    let error =
        load(&path).err().unwrap_or_else(|| panic!("no error, but {message:?} was expected")).to_string();
    assert!(
        error.contains(message) && error.contains(name),
        "{error:?} does not contain {message:?} and {name}"
    );
}

#[test]
fn a_token_given_twice_is_named_with_its_line() {
    let json = |content: &str, message: &str| {
        check_load("tokenizer.json", content.as_bytes(), Tokenizer::load, message);
    };
    json(
        "{\"model\": {\"type\": \"BPE\",\n \"vocab\": {\"a\": 0,\n \"b\": 1,\n \"a\": 2}, \"merges\": []}}",
        "\"a\" is given twice in one object: leave one out at line 4",
    );
    json("{\"model\": {},\n \"model\": {}}", "duplicate field `model` at line 2");
    json(
        "{\"model\": {}, \"decoder\": {\"type\": \"Fuse\",\n \"type\": \"Fuse\"}}",
        "\"type\" is given twice",
    );
    let merges = tempfile::NamedTempFile::new().unwrap();
    check_load(
        "vocab.json",
        b"{\"a\": 0,\n\n\"b\": 1, \"a\": 0}",
        |path| Tokenizer::load_gpt2(path, merges.path()),
        "\"a\" is given twice in one object: leave one out at line 3",
    );
}

/// A vocabulary of all bytes and "ab", as `vocab.json`.
fn vocabulary() -> serde_json::Value {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let (own, other): (Vec<u8>, Vec<u8>) = (0..=255).partition(printable);
    let characters = own
        .into_iter()
        .map(char::from)
        .chain((0..other.len() as u32).map(|at| char::from_u32(256 + at).unwrap()));
    let mut vocabulary: serde_json::Map<String, serde_json::Value> =
        characters.zip(0..).map(|(char, id)| (char.to_string(), id.into())).collect();
    vocabulary.insert("ab".to_owned(), 256.into());
    vocabulary.into()
}

fn check_gpt2(vocabulary: &serde_json::Value, merges: &str, message: &str) {
    let dir = tempfile::tempdir().unwrap();
    let [vocab, list] = ["vocab.json", "merges.txt"].map(|file| dir.path().join(file));
    std::fs::write(&vocab, vocabulary.to_string()).unwrap();
    std::fs::write(&list, merges).unwrap();
    let error = Tokenizer::load_gpt2(&vocab, &list).unwrap_err().to_string();
    assert!(error.contains(message), "{error:?} does not contain {message:?}");
}

#[test]
fn merges_that_miss_a_token_are_named_by_their_line() {
    let check = |merges: &str, message: &str| check_gpt2(&vocabulary(), merges, message);
    check("#version: 0.2\na b\n\n\nab c\n", "merges.txt: line 5: \"abc\" is not in the vocabulary");
    check("a b\nab\n", "merges.txt: line 2: \"ab\" is not a pair");
    check("xy z", "merges.txt: line 1: \"xyz\" is not in the vocabulary");
    let mut twice = vocabulary();
    twice["ab"] = 7.into();
    check_gpt2(&twice, "a b", "vocab.json: vocabulary: the id 7 is given to both");
    let mut less = vocabulary();
    less.as_object_mut().unwrap().remove("a");
    check_gpt2(&less, "", "vocab.json: vocabulary: has no token \"a\" for the byte 0x61");
}

/// The 256 bytes as a rank file.
fn rank_file() -> Vec<String> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..=255_usize)
        .map(|byte| {
            let [first, second] = [byte >> 2, (byte & 3) << 4].map(|value| char::from(DIGITS[value]));
            format!("{first}{second}== {byte}")
        })
        .collect()
}

#[test]
fn a_damaged_rank_file_says_where() {
    let special = |special: &'static [(&'static str, u32)]| {
        move |path: &Path| {
            let special: Vec<_> = special.iter().map(|(text, id)| ((*text).to_owned(), *id)).collect();
            Tokenizer::load_tiktoken(path, Pattern::Gpt2, &special)
        }
    };
    let changed = |line: usize, text: &str, message: &str| {
        let mut lines = rank_file();
        lines[line - 1] = text.to_owned();
        check_load("x.tiktoken", lines.join("\n").as_bytes(), special(&[]), message);
    };
    changed(3, "Ag==", "line 3: \"Ag==\" is not a token in base64 and its rank");
    changed(3, "Ag== 2 2", "line 3: \"Ag== 2 2\" is not a token");
    changed(3, "Ag= 2", "line 3: the token of \"Ag= 2\" is not base64");
    changed(3, "Ag== x", "line 3: the rank of \"Ag== x\" is not a number");
    changed(3, "Ag== -1", "line 3: the rank of");
    changed(3, "Ag== 4294967296", "is not a number from 0 to 4294967295");
    changed(3, "Ag== 4294967295", "the id 4294967295: is far above the number of tokens, 256");
    changed(3, "Ag== 1", "line 3: the rank 1 is that of line 2 too");
    changed(3, "AQ== 2", "line 3: the token \"\\u{1}\" is that of line 2 too");
    changed(98, "", "the byte 0x61: has no token: all 256 are needed, this one as \"YQ==\"");
    changed(98, "YWE= 97", "the byte 0x61: has no token");
    let good = rank_file().join("\r\n") + "\r\n\r\n";
    let check = |tokens: &'static [(&'static str, u32)], message: &str| {
        check_load("x.tiktoken", good.as_bytes(), special(tokens), message);
    };
    check(&[("<e>", 97)], "the special token \"<e>\": its id 97 is that of \"a\"");
    check(&[("<e>", 300), ("<f>", 300)], "the special token \"<f>\": its id 300 is that of \"<e>\"");
    check(&[("a", 300)], "the token of rank 97: a special token is written \"a\" too");
    check(&[("<e>", 1 << 30)], "far above");
    check_load("x.tiktoken", &[0xFF; 200], special(&[]), "line 1: \"\u{fffd}");
    check_load("x.tiktoken", b"", special(&[]), "the byte 0x00: has no token");
    check_load("x.tiktoken", good.as_bytes(), Tokenizer::load, "the name is \"x\", which is not supported");
    check_load("x.tiktoken", good.as_bytes(), Tokenizer::load, "load_tiktoken");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tiktoken");
    std::fs::write(&path, &good).unwrap();
    assert_eq!(special(&[("<e>", 300)])(&path).unwrap().encode("ab"), [97, 98]);
    let twice = Tokenizer::load_tiktoken(&path, Pattern::Gpt2, &[("<e>".into(), 300), ("<e>".into(), 301)]);
    assert!(twice.unwrap_err().to_string().contains("\"<e>\" is given twice"));
}

/// A file of llama2.c: tokens with scores.
fn scored_file(longest: i32, ordinary: &[(&[u8], f32)]) -> Vec<u8> {
    let first = ["<unk>", "\n<s>\n", "\n</s>\n"].map(String::from).into_iter();
    let first =
        first.chain((0..=255).map(|byte| format!("<0x{byte:02X}>"))).map(|text| (text.into_bytes(), 0.0));
    let mut file = longest.to_le_bytes().to_vec();
    for (text, score) in first.chain(ordinary.iter().map(|(text, score)| (text.to_vec(), *score))) {
        file.extend(score.to_le_bytes());
        file.extend((text.len() as i32).to_le_bytes());
        file.extend(text);
    }
    file
}

const ORDINARY: [(&[u8], f32); 3] = [(b" a", -1.0), (b"a", -2.0), (b" ", -3.0)];

#[test]
fn a_damaged_file_of_llama2c_says_where() {
    let good = scored_file(6, &ORDINARY);
    let check = |content: &[u8], message: &str| check_load("tok.bin", content, Tokenizer::load, message);
    let ordinary = |ordinary: &[(&[u8], f32)], message: &str| check(&scored_file(6, ordinary), message);
    check(b"", "byte 0: the length of the longest token takes 4 bytes, but only 0 are left");
    check(&good[..6], "byte 4: the score of token 0 takes 4 bytes, but only 2 are left");
    check(&good[..good.len() - 1], "token 261 takes 1 bytes, but only 0 are left");
    check(&good[..4 + 13], "byte 17: has 1 tokens, but 259 stand for");
    let with = |at: usize, bytes: [u8; 4]| {
        let mut file = good.clone();
        file[at..at + 4].copy_from_slice(&bytes);
        file
    };
    // No memory is taken for what a length says.
    check(
        &with(8, i32::MAX.to_le_bytes()),
        "token 0 at byte 4: its length is 2147483647; the longest is said to be 6",
    );
    check(&with(8, (-1_i32).to_le_bytes()), "token 0 at byte 4: its length is -1");
    check(&with(8, 0_i32.to_le_bytes()), "token 0 at byte 4: its length is 0");
    let mut huge = with(0, i32::MAX.to_le_bytes());
    huge[8..12].copy_from_slice(&i32::MAX.to_le_bytes());
    check(&huge, "byte 12: token 0 takes 2147483647 bytes, but only");
    check(&with(4, f32::NAN.to_le_bytes()), "the score of \"<unk>\" is NaN");
    check(&with(4, f32::INFINITY.to_le_bytes()), "the score of \"<unk>\" is inf");
    check(&with(0, 5_i32.to_le_bytes()), "its length is 6; the longest is said to be 5");
    ordinary(&[(b" ", 0.0), (b"\xff", 0.0)], "token 260 at byte 3637: \"\u{fffd}\" is not UTF-8");
    ordinary(&[(b" ", 0.0), (b"a\0", 0.0)], "\"a\\0\" holds a zero byte");
    ordinary(&[(b" ", 0.0), (b"a", 0.0), (b"a", 0.0)], "token 261 at byte 3646: \"a\" is token 260 too");
    ordinary(&[(b" ", 0.0), (b"<unk>", 0.0)], "\"<unk>\" is token 0 too");
    ordinary(&[(b"a", 0.0)], "has no token for ' '");
    let mut other_byte = good.clone();
    let at = good.windows(6).position(|six| six == b"<0x41>").unwrap();
    other_byte[at] = b'{';
    check(&other_byte, "is \"{0x41>\", where llama2.c expects the byte \"<0x41>\"");
}

#[test]
fn a_model_is_no_tokenizer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/stories260k/stories260K.bin");
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return;
    }
    let error = Tokenizer::load(&path).unwrap_err().to_string();
    assert!(error.contains("stories260K.bin: token 0 at byte 4:"), "{error}");
}

#[test]
fn a_damaged_tied_file_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("tok.bin");
    let tokens: [(&[u8], f32); 5] = [(b"ab", -1.0), (b"ba", -1.0), (b"a", -9.0), (b"b", -9.0), (b" ", -9.0)];
    std::fs::write(&bin, scored_file(6, &tokens)).unwrap();
    Tokenizer::load(&bin).unwrap().save(dir.path()).unwrap();
    let good = std::fs::read(dir.path().join("tokenizer.json")).unwrap();
    let check = |pointer: &str, value: serde_json::Value, message: &str| {
        let mut file: serde_json::Value = serde_json::from_slice(&good).unwrap();
        *file.pointer_mut(pointer).unwrap() = value;
        check_load("tokenizer.json", file.to_string().as_bytes(), Tokenizer::load, message);
    };
    use serde_json::json;
    check("/model/ranks", json!([0]), "model.ranks: has 1 ranks for 2 merges");
    check("/model/ranks", json!([1, 0]), "model.ranks[1]: 0 follows 1");
    check("/model/ranks", json!([0, 4_294_967_295_u32]), "4294967295 is too large");
    check("/model/ranks", json!(null), "model.ranks: invalid type");
    check("/model/merges/1", json!(["a", "b"]), "model.merges[1]: is given before");
    check("/model/merges/1", json!(["b", "b"]), "model.merges[1]: \"bb\" is not in the vocabulary");
    check("/model/merges/1", json!("b"), "model.merges[1]: \"b\" is not a pair");
    check("/model/vocab", json!({" ": 300}), "model.vocab: \"<0x00>\" is not in the vocabulary");
    check("/model/byte_fallback", json!(false), "model.byte_fallback is false");
    check("/model/ignore_merges", json!(true), "model.ignore_merges is true");
    check(
        "/normalizer",
        json!({"type": "Prepend", "prepend": "▁"}),
        "normalizer is {\"type\":\"Prepend\",\"prepend\":\"▁\"}",
    );
    check("/decoder", json!(null), "decoder is null");
    check("/pre_tokenizer", json!({"type": "ByteLevel"}), "pre_tokenizer is {\"type\":\"ByteLevel\"}");
    check("/added_tokens/0/special", json!(false), "\"<unk>\", which is normalized or not special");
    check("/model/type", json!("Unigram"), "model.type is Unigram");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is changed or cut off: an error or a tokenizer, no panic and no memory.
    #[test]
    fn no_damage_is_too_much(at in 0_usize..4000, bytes in prop::collection::vec(any::<u8>(), 0..8), cut in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        for (name, good) in [("tok.bin", scored_file(6, &ORDINARY)), ("gpt2.tiktoken", rank_file().join("\n").into_bytes())] {
            let mut file = good;
            let at = at % file.len();
            let end = if cut { file.len() } else { (at + bytes.len()).min(file.len()) };
            file.splice(at..end, bytes.iter().copied());
            let path = dir.path().join(name);
            std::fs::write(&path, &file).unwrap();
            if let Ok(tokenizer) = Tokenizer::load(&path) {
                prop_assert_eq!(tokenizer.decode(&tokenizer.encode("a b")).unwrap(), "a b");
            }
        }
    }
}
