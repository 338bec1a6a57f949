//! The trainer against the algorithm as it is written down, and the encoder against the rule it follows.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::config::{LongestPrefixConfig, LongestPrefixTrainer, VocabularySize};
use super::{LongestPrefix, Trained, Unknown, reference, train};
use crate::pattern::Splitter;
use crate::seen::Seen;
use crate::{Pattern, Tokenizer, TokenizerError};
use proptest::prelude::*;

fn config(merges: usize) -> LongestPrefixConfig {
    LongestPrefixConfig { size: VocabularySize::Merges(merges), ..LongestPrefixConfig::default() }
}

fn trainer(texts: &[&str], config: &LongestPrefixConfig) -> LongestPrefixTrainer {
    let mut trainer = LongestPrefixTrainer::new(config.clone()).unwrap();
    texts.iter().for_each(|text| trainer.feed(text));
    trainer
}

/// What both algorithms agree on.
#[track_caller]
fn trained(texts: &[&str], config: &LongestPrefixConfig) -> (Trained, usize) {
    let (found, merges) = trainer(texts, config).train(train::train, &mut |_| {}).unwrap();
    let (expected, expected_merges) = trainer(texts, config).train(reference::train, &mut |_| {}).unwrap();
    assert_eq!(merges, expected_merges, "{texts:?}");
    assert_eq!(found.tokens, expected.tokens);
    (found, merges.len())
}

fn merged(texts: &[&str], config: &LongestPrefixConfig) -> Vec<String> {
    let (trained, merges) = trained(texts, config);
    trained.tokens[trained.tokens.len() - merges..].to_vec()
}

#[test]
fn a_new_token_changes_words_that_never_held_its_pair() {
    // `ab`, `cd`, then `ab·c`, which `ab·cd` never held: it becomes `abc·d` all the same.
    let texts = ["ab ab ab ab ab ab", "cd cd cd cd cd", "abc abc abc abc", "abcd"];
    let config = LongestPrefixConfig { pattern: Pattern::Custom("[^ ]+".into()), ..config(4) };
    assert_eq!(merged(&texts, &config), ["ab", "cd", "abc", "abcd"]);
    let (trained, pairs) = trainer(&texts, &config).train(train::train, &mut |_| {}).unwrap();
    let (left, right) = pairs[3];
    assert_eq!([left, right].map(|id| trained.tokens[id as usize].as_str()), ["abc", "d"]);
}

#[test]
fn overlapping_pairs_count_each_time() {
    let texts = ["aaa", "bb bb"];
    let none = LongestPrefixConfig { pattern: Pattern::Custom("[ab]+".into()), ..config(1) };
    assert_eq!(merged(&texts, &none), ["aa"], "twice in aaa, as often as bb, and smaller");
}

#[test]
fn limits_are_kept_and_training_stops_where_pairs_end() {
    let text = "banana banana bandana";
    let with = |change: &dyn Fn(&mut LongestPrefixConfig)| {
        let mut config = config(100);
        change(&mut config);
        merged(&[text], &config)
    };
    assert!(with(&|_| {}).len() < 30, "there are no more pairs");
    assert!(with(&|config| config.max_token_length = Some(3)).iter().all(|token| token.chars().count() <= 3));
    assert!(with(&|config| config.min_frequency = 3).len() < with(&|_| {}).len());
    // A document must not become a special token.
    let special = with(&|config| config.special_tokens = vec!["an".to_owned()]);
    assert!(!special.contains(&"an".to_owned()) && !special.is_empty());
    let eight = LongestPrefixConfig { size: VocabularySize::Tokens(12), ..config(0) };
    assert_eq!(trained(&[text], &eight).0.tokens.len(), 12);
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let error = |texts: &[&str], config: &LongestPrefixConfig| {
        trainer(texts, config).train(train::train, &mut |_| {}).unwrap_err().to_string()
    };
    let small = LongestPrefixConfig { size: VocabularySize::Tokens(4), ..config(0) };
    assert_eq!(
        error(&["abc"], &small),
        "vocab_size 4 is too small: the texts have 3 different characters, and there are 2 other tokens, so it needs \
         at least 5"
    );
    assert!(matches!(
        trainer(&[], &config(1)).train(train::train, &mut |_| {}).unwrap_err(),
        TokenizerError::EmptyTrainingText
    ));
    let character = LongestPrefixConfig { special_tokens: vec!["a".to_owned()], ..config(0) };
    assert!(error(&["abc"], &character).contains("is a character of the texts"));
}

#[test]
fn unknown_characters_cost_no_word() {
    let text = "low lower lowest";
    let tokens = |tokenizer: &Tokenizer, text: &str| -> Vec<String> {
        let ids = tokenizer.encode(text);
        ids.iter().map(|&id| tokenizer.id_to_token(id).unwrap().to_owned()).collect()
    };
    let plain = trainer(&[text], &config(2)).finish().unwrap();
    assert_eq!(tokens(&plain, "löw low"), ["l", "<unk>", "w", " ", "low"]);
    assert_eq!(tokens(&plain, "日本"), ["<unk>", "<unk>"]);
    let fallback = LongestPrefixConfig { byte_fallback: true, ..config(2) };
    let fallback = trainer(&[text], &fallback).finish().unwrap();
    assert_eq!(tokens(&fallback, "lö"), ["l", "<0xC3>", "<0xB6>"]);
    for text in ["löw <0x41> 日本 🦙\n", "", "\0"] {
        assert_eq!(fallback.decode(&fallback.encode(text)).unwrap(), text);
    }
    assert_eq!(fallback.decode_bytes(&fallback.encode_bytes(b"low\xFF\xC3")).unwrap(), b"low\xFF\xC3");
}

#[test]
fn one_long_run_takes_no_time() {
    let text = "a".repeat(1 << 20);
    let whole = LongestPrefixConfig { pattern: Pattern::None, ..config(12) };
    let tokenizer = trainer(&[&text[..5000]], &whole).finish().unwrap();
    let ids = tokenizer.encode(&text);
    assert_eq!(tokenizer.decode(&ids).unwrap().len(), text.len());
    // Every place is the start of the longest token, until the last one breaks off.
    let almost = format!("{}b", &text[..(1 << 19) - 1]).repeat(2);
    assert_eq!(tokenizer.decode(&tokenizer.encode(&almost)).unwrap().replace("<unk>", "b"), almost);
}

/// Longest prefixes by the rule itself.
fn by_the_rule(tokens: &[String], text: &str) -> Vec<u32> {
    let (mut ids, mut rest) = (Vec::new(), text);
    while let Some(char) = rest.chars().next() {
        let longest = (1..)
            .zip(tokens)
            .filter(|(_, token)| rest.starts_with(token.as_str()))
            .max_by_key(|(_, token)| token.len());
        let (id, len) = longest.map_or((0, char.len_utf8()), |(id, token)| (id, token.len()));
        ids.push(id);
        rest = &rest[len..];
    }
    ids
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn both_trainers_make_the_same_merges(
        texts in prop::collection::vec("[abcé日🦙 ]{0,40}", 1..5),
        more in "\\PC{0,30}",
        merges in 0_usize..40,
        min_frequency in 1_u64..4,
        longest in prop::option::of(2_usize..6),
        whole in any::<bool>(),
    ) {
        let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        texts.push(&more);
        if texts.iter().any(|text| !text.is_empty()) {
            let pattern = if whole { Pattern::None } else { Pattern::Gpt2 };
            let config = LongestPrefixConfig { min_frequency, max_token_length: longest, pattern, ..config(merges) };
            trained(&texts, &config);
        }
    }

    #[test]
    fn encoding_takes_the_longest_prefix(
        tokens in prop::collection::btree_set("[abé日]{2,7}", 0..20),
        text in "[abcé日本🦙]{0,60}",
    ) {
        let tokens: Vec<String> = ["a", "b", "é", "日"].map(str::to_owned).into_iter().chain(tokens).collect();
        let named = tokens.iter().map(String::as_str).zip(1..);
        let algorithm = LongestPrefix::new(Splitter::new([]).unwrap(), named, Unknown::Token(0));
        let mut ids = Vec::new();
        algorithm.encode(&text, &mut Seen::new(text.len()), &mut ids);
        prop_assert_eq!(ids, by_the_rule(&tokens, &text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// So long that it is read in several places at once, some of which never agree (runs of one letter), some late.
    #[test]
    fn reading_in_several_places_at_once_is_reading_in_one(
        tokens in prop::collection::btree_set("[abé日]{2,9}|a{2,9}", 0..20),
        units in prop::collection::vec(("[abcé日本🦙]{1,60}|a{1,5}", 1_usize..6000), 1..5),
    ) {
        let text: String = units.iter().map(|(unit, times)| unit.repeat(*times)).collect();
        let text = text.repeat(1 + 150_000 / text.len());
        let tokens: Vec<String> = ["a", "b", "é", "日"].map(str::to_owned).into_iter().chain(tokens).collect();
        let named = tokens.iter().map(String::as_str).zip(1..);
        let algorithm = LongestPrefix::new(Splitter::new([]).unwrap(), named, Unknown::Token(0));
        let mut ids = Vec::new();
        algorithm.encode(&text, &mut Seen::new(text.len()), &mut ids);
        prop_assert!(ids == by_the_rule(&tokens, &text));
    }
}
