//! Rank files give tiktoken's ids, as read, saved for Hugging Face, and written again.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use firebrand_tokenizer::{ByteLevelConfig, Pattern, Tokenizer};
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Case {
    name: String,
    pattern: Pattern,
    special: Vec<(String, u32)>,
    ranks: Vec<(String, u32)>,
    ids: Vec<(String, Vec<u32>)>,
}

/// Writes lines as a file, and reads it.
fn load(lines: &[String], pattern: Pattern, special: &[(String, u32)]) -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("some.tiktoken");
    std::fs::write(&file, lines.join("\n")).unwrap();
    Tokenizer::load_tiktoken(&file, pattern, special).unwrap()
}

/// The tokenizer after it was saved and loaded.
fn saved(tokenizer: &Tokenizer) -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    Tokenizer::load(dir.path()).unwrap()
}

#[test]
fn golden_files_give_the_ids_of_tiktoken() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiktoken.json");
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    assert!(cases.len() > 10);
    for Case { name, pattern, special, ranks, ids } in cases {
        let lines: Vec<String> = ranks.iter().map(|(token, rank)| format!("{token} {rank}")).collect();
        let tokenizer = load(&lines, pattern.clone(), &special);
        assert_eq!(tokenizer.special_tokens(), special, "{name}");
        let again = saved(&tokenizer);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("again.tiktoken");
        tokenizer.save_tiktoken(&file).unwrap();
        let written = std::fs::read_to_string(&file).unwrap();
        let mut sorted = lines;
        sorted.sort_by_key(|line| line.split_once(' ').unwrap().1.parse::<u32>().unwrap());
        assert!(written.lines().eq(&sorted), "{name}: the file was not written as it was read");
        for (text, ids) in &ids {
            assert_eq!(&tokenizer.encode_with_special(text), ids, "{name}: {text:?}");
            assert_eq!(&again.encode_with_special(text), ids, "{name}, saved: {text:?}");
            assert_eq!(tokenizer.decode(ids).unwrap(), *text, "{name}");
        }
    }
}

/// What tiktoken does with a piece, line by line: a table from bytes to ranks, and the parts of a piece.
fn tiktoken_rule(ranks: &BTreeMap<Vec<u8>, u32>, piece: &[u8]) -> Vec<u32> {
    if let Some(&whole) = ranks.get(piece) {
        return vec![whole];
    }
    let mut parts: Vec<Vec<u8>> = piece.iter().map(|&byte| vec![byte]).collect();
    loop {
        let joined =
            parts.windows(2).enumerate().filter_map(|(at, pair)| Some((*ranks.get(&pair.concat())?, at)));
        let Some((_, at)) = joined.min() else { break };
        let right = parts.remove(at + 1);
        parts[at].extend(right);
    }
    parts.iter().map(|part| ranks[part]).collect()
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 by way of a string of bits.
fn base64(bytes: &[u8]) -> String {
    let mut bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    bits.extend(std::iter::repeat_n('0', (6 - bits.len() % 6) % 6));
    let digits = bits.as_bytes().chunks(6).map(|six| {
        let six = std::str::from_utf8(six).unwrap();
        char::from(DIGITS[usize::from_str_radix(six, 2).unwrap()])
    });
    let mut text: String = digits.collect();
    text.extend(std::iter::repeat_n('=', (4 - text.len() % 4) % 4));
    text
}

fn lines(ranks: &BTreeMap<Vec<u8>, u32>) -> Vec<String> {
    ranks.iter().map(|(token, rank)| format!("{} {rank}", base64(token))).collect()
}

/// All bytes and some longer tokens of few letters, in an order that says nothing about their lengths.
fn ranks() -> impl Strategy<Value = BTreeMap<Vec<u8>, u32>> {
    let tokens = prop_oneof![
        prop::collection::btree_set("[ab]{2,7}", 0..60),
        prop::collection::btree_set("[abc]{2,6}", 0..80),
        prop::collection::btree_set("a{2,30}", 0..20),
    ];
    let all = tokens.prop_map(|longer| {
        (0..=255).map(|byte| vec![byte]).chain(longer.into_iter().map(String::into_bytes)).collect::<Vec<_>>()
    });
    all.prop_shuffle().prop_map(|tokens| tokens.into_iter().zip(0..).collect())
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{1,40}", "[abc]{1,120}", "a{1,150}", "(ab|aba|bab|c){1,60}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_ranks_give_the_ids_of_tiktokens_rule(ranks in ranks(), texts in prop::collection::vec(texts(), 1..5)) {
        let tokenizer = load(&lines(&ranks), Pattern::None, &[]);
        let again = saved(&tokenizer);
        for text in &texts {
            let expected = tiktoken_rule(&ranks, text.as_bytes());
            prop_assert_eq!(&tokenizer.encode(text), &expected);
            prop_assert_eq!(&again.encode(text), &expected);
        }
    }

    #[test]
    fn a_trained_tokenizer_is_written_only_where_tiktoken_agrees(
        training in texts(), texts in prop::collection::vec(texts(), 1..5), special in "[abc]{2,3}",
    ) {
        let config = ByteLevelConfig {
            vocab_size: 320,
            pattern: Pattern::None,
            special_tokens: vec![special],
            ..ByteLevelConfig::default()
        };
        let tokenizer = Tokenizer::train_byte_level([training.as_str()], &config).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("some.tiktoken");
        if tokenizer.save_tiktoken(&file).is_ok() {
            let ranks: BTreeMap<Vec<u8>, u32> = (1..tokenizer.vocab_size() as u32)
                .map(|id| (tokenizer.decode_bytes(&[id]).unwrap(), id))
                .collect();
            let again = Tokenizer::load_tiktoken(&file, Pattern::None, tokenizer.special_tokens()).unwrap();
            prop_assert_eq!(again.token_table(), tokenizer.token_table());
            for text in texts.iter().chain([&training]) {
                prop_assert_eq!(&tokenizer.encode(text), &tiktoken_rule(&ranks, text.as_bytes()));
                prop_assert_eq!(&tokenizer.encode(text), &again.encode(text));
            }
        }
    }
}

#[test]
fn ordinary_training_can_be_written() {
    let text =
        "the theme of these thirty-three thistles — ça va très bien, 日本語の文章 it's 1234 \n\n  the end ";
    for pattern in [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::None] {
        let config =
            ByteLevelConfig { vocab_size: 340, pattern: pattern.clone(), ..ByteLevelConfig::default() };
        let tokenizer = Tokenizer::train_byte_level([text], &config).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("some.tiktoken");
        tokenizer.save_tiktoken(&file).unwrap();
        let again = Tokenizer::load_tiktoken(&file, pattern, tokenizer.special_tokens()).unwrap();
        assert_eq!(again.token_table(), tokenizer.token_table());
        assert_eq!(again.encode(text), tokenizer.encode(text));
    }
}

/// A trained tokenizer whose file is changed.
fn changed(change: impl FnOnce(&mut serde_json::Value)) -> Tokenizer {
    let config = ByteLevelConfig { vocab_size: 262, pattern: Pattern::None, ..ByteLevelConfig::default() };
    let tokenizer = Tokenizer::train_byte_level(["abcabcabcd abcd"], &config).unwrap();
    common::changed(&tokenizer, change)
}

#[test]
fn what_tiktoken_would_encode_otherwise_is_not_written() {
    let check = |tokenizer: &Tokenizer, message: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("some.tiktoken");
        let error = tokenizer.save_tiktoken(&file).unwrap_err().to_string();
        assert!(
            error.contains(message) && error.contains("some.tiktoken"),
            "{error:?} does not contain {message:?}"
        );
        assert!(!file.exists());
    };
    assert!(changed(|_| {}).save_tiktoken(&tempfile::tempdir().unwrap().path().join("x")).is_ok());
    check(&Tokenizer::characters(["abc"], &[]).unwrap(), "not byte-level");
    // Ids in another order than ranks.
    let swapped = changed(|json| {
        let vocab = json["model"]["vocab"].as_object_mut().unwrap();
        let [first, second] = ["ab", "abc"].map(|token| vocab[token].clone());
        vocab["ab"] = second;
        vocab["abc"] = first;
    });
    check(&swapped, "tiktoken's rule");
    // A token that no merge makes.
    let extra = |json: &mut serde_json::Value| json["model"]["vocab"]["dd"] = 262.into();
    check(&changed(extra), "no merges lead to the token \"dd\"");
    check(
        &changed(|json| {
            extra(json);
            json["model"]["ignore_merges"] = true.into();
        }),
        "tiktoken's rule alone merges \"d\" and \"d\"",
    );
    let added = serde_json::json!({"id": 262, "content": "xx", "special": false});
    check(&changed(|json| json["added_tokens"].as_array_mut().unwrap().push(added)), "\"xx\" is not special");
}

#[test]
fn a_published_file_is_known_by_its_name() {
    let ranks: BTreeMap<Vec<u8>, u32> = (0..=255).map(|byte| (vec![byte], u32::from(byte))).collect();
    let dir = tempfile::tempdir().unwrap();
    for (name, pattern) in
        [("gpt2", Pattern::Gpt2), ("r50k_base", Pattern::Gpt2), ("p50k_base", Pattern::Gpt2)]
    {
        let file = dir.path().join(format!("{name}.tiktoken"));
        std::fs::write(&file, lines(&ranks).join("\n")).unwrap();
        let tokenizer = Tokenizer::load(&file).unwrap();
        assert_eq!(tokenizer.end_of_text(), Some(50256));
        let given = Tokenizer::load_tiktoken(&file, pattern, tokenizer.special_tokens()).unwrap();
        assert_eq!(given.encode("it's 1"), tokenizer.encode("it's 1"));
    }
    // Enough tokens for the ids of its special ones.
    for (name, special, last) in [("cl100k_base", 5, 100_276), ("o200k_base", 2, 200_018)] {
        let mut ranks = ranks.clone();
        ranks.extend((0..70_000_u32).map(|number| (number.to_be_bytes().to_vec(), 256 + number)));
        ranks.insert(b" \n".to_vec(), 80_000);
        ranks.insert(b"heLLO".to_vec(), 80_001);
        let file = dir.path().join(format!("{name}.tiktoken"));
        std::fs::write(&file, lines(&ranks).join("\n")).unwrap();
        let tokenizer = Tokenizer::load(&file).unwrap();
        assert_eq!((tokenizer.special_tokens().len(), tokenizer.vocab_size()), (special, last + 1));
        // White space with its line break is a piece in both; words are cut before upper case in the second alone.
        assert_eq!(tokenizer.encode("1 \n"), [49, 80_000]);
        assert_eq!(tokenizer.encode("heLLO").len(), if name == "cl100k_base" { 1 } else { 5 });
    }
}

#[test]
fn a_large_file_is_read_in_about_a_second() {
    // As many tokens as o200k, made by joining earlier ones, so that nearly all can be split in several ways.
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let mut known: std::collections::BTreeSet<Vec<u8>> = tokens.iter().cloned().collect();
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    while tokens.len() < 200_000 {
        let joined = [&*tokens[draw(tokens.len())], &*tokens[draw(tokens.len())]].concat();
        if joined.len() <= 12 && known.insert(joined.clone()) {
            tokens.push(joined);
        }
    }
    let ranks = tokens.into_iter().zip(0..).collect();
    let lines = lines(&ranks);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("large.tiktoken");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let begin = std::time::Instant::now();
    let tokenizer = Tokenizer::load_tiktoken(&file, Pattern::None, &[]).unwrap();
    let took = begin.elapsed().as_secs_f64();
    eprintln!(
        "{} tokens, {} reached by merging, read in {took:.2} s",
        tokenizer.vocab_size(),
        tokenizer.n_merges()
    );
    assert!(tokenizer.n_merges() > 50_000);
    // Much more than it takes, for a machine that does other things too.
    assert!(took < 10.0, "{took} s");
}
