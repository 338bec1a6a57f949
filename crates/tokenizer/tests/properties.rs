//! What must hold for every text: round trips, and equality with the plainest algorithm there is.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use firebrand_tokenizer::{
    ByteLevelConfig, LongestPrefixConfig, LongestPrefixTrainer, Normalization, Pattern, Tokenizer,
    VocabularySize,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;

const PATTERNS: [Pattern; 4] = [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::None];

static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let text = "the theme of these thirty-three thistles — ça va très bien, 日本語の文章 日本 🦙🦙 it's 1234 \n\n  the end ";
    PATTERNS
        .into_iter()
        .map(|pattern| {
            let config = ByteLevelConfig { vocab_size: 340, pattern, ..ByteLevelConfig::default() };
            Tokenizer::train_byte_level([text], &config).unwrap()
        })
        .collect()
});

static LONGEST_PREFIX: LazyLock<Tokenizer> = LazyLock::new(|| {
    let size = VocabularySize::Merges(60);
    let config = LongestPrefixConfig { size, ..LongestPrefixConfig::default() };
    let mut trainer = LongestPrefixTrainer::new(config).unwrap();
    trainer.feed(
        "the theme of these thirty-three thistles — ça va très bien, 日本語の文章 日本 🦙🦙 it's 1234 \n\n",
    );
    trainer.finish().unwrap()
});

/// Byte-pair training as SEMANTICS 1.2 says it, on one piece a word: merges as pairs of ids.
fn naive_training(words: &[Vec<u8>], config: &ByteLevelConfig, tokenizer: &Tokenizer) -> Vec<Vec<u8>> {
    let byte_id = |byte: u8| tokenizer.encode_bytes(&[byte])[0];
    let mut words: Vec<Vec<u32>> =
        words.iter().map(|word| word.iter().map(|&byte| byte_id(byte)).collect()).collect();
    let mut tokens: Vec<Vec<u8>> = (0..256 + config.special_tokens.len() as u32)
        .map(|id| tokenizer.decode_bytes(&[id]).unwrap())
        .collect();
    while tokens.len() < config.vocab_size {
        let mut counts: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for pair in words.iter().flat_map(|word| word.windows(2)) {
            *counts.entry((pair[0], pair[1])).or_default() += 1;
        }
        // The last of equal maxima in descending order is the smallest pair.
        let Some((&pair, _)) = counts.iter().rev().max_by_key(|(_, count)| **count) else { break };
        let merged = tokens.len() as u32;
        tokens.push([&*tokens[pair.0 as usize], &*tokens[pair.1 as usize]].concat());
        for word in &mut words {
            merge_left_to_right(word, pair, merged);
        }
    }
    tokens
}

fn merge_left_to_right(word: &mut Vec<u32>, pair: (u32, u32), merged: u32) {
    let mut at = 0;
    while at + 1 < word.len() {
        if (word[at], word[at + 1]) == pair {
            word.splice(at..at + 2, [merged]);
        }
        at += 1;
    }
}

/// Encoding as SEMANTICS 1.2 says it: the merge of the lowest rank, everywhere, again and again.
fn naive_encoding(tokenizer: &Tokenizer, merges: &[(u32, u32, u32)], piece: &[u8]) -> Vec<u32> {
    let mut ids: Vec<u32> = piece.iter().map(|&byte| tokenizer.encode_bytes(&[byte])[0]).collect();
    while let Some(&(left, right, merged)) =
        merges.iter().find(|(left, right, _)| ids.windows(2).any(|pair| pair == [*left, *right]))
    {
        merge_left_to_right(&mut ids, (left, right), merged);
    }
    ids
}

/// The merges that a saved tokenizer lists, as (left, right, merged).
fn merges_of(tokenizer: &Tokenizer) -> Vec<(u32, u32, u32)> {
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let json = std::fs::read_to_string(dir.path().join("tokenizer.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&json).unwrap();
    let pairs: Vec<(String, String)> = serde_json::from_value(file["model"]["merges"].clone()).unwrap();
    let id = |token: &str| tokenizer.token_to_id(token).unwrap();
    pairs.iter().map(|(left, right)| (id(left), id(right), id(&format!("{left}{right}")))).collect()
}

/// Texts of few letters, so that pairs repeat, overlap and tie.
fn repetitive_text() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{0,200}", "[abc ]{0,200}", "(ab|ba|aab|é|c ){0,60}", "a{0,150}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_round_trips(text in any::<String>()) {
        for tokenizer in TOKENIZERS.iter() {
            let ids = tokenizer.encode(&text);
            prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text.as_str());
            prop_assert_eq!(tokenizer.encode_bytes(text.as_bytes()), ids);
        }
    }

    #[test]
    fn many_texts_have_the_ids_of_each(texts in prop::collection::vec(repetitive_text(), 0..6)) {
        for tokenizer in TOKENIZERS.iter() {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (ids, ends) = tokenizer.encode_all(&texts);
            let begins = std::iter::once(0).chain(ends.iter().copied());
            let found: Vec<&[u32]> = begins.zip(&ends).map(|(begin, &end)| &ids[begin..end]).collect();
            let expected: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text)).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn offsets_cut_the_text_as_its_tokens_do(text in any::<String>(), most in 0_usize..40) {
        for tokenizer in TOKENIZERS.iter().chain([&*LONGEST_PREFIX]) {
            let (ids, ranges) = tokenizer.encode_with_offsets(&text);
            prop_assert_eq!(&ids, &tokenizer.encode(&text));
            let mut end = 0;
            for (&id, range) in ids.iter().zip(&ranges) {
                prop_assert_eq!(range.start, end);
                end = range.end;
                let bytes = &text.as_bytes()[range.clone()];
                let is_unknown = tokenizer.id_to_token(id) == Some("<unk>");
                prop_assert!(is_unknown || tokenizer.decode_bytes(&[id]).unwrap() == bytes);
            }
            prop_assert_eq!(end, text.len());
            prop_assert_eq!(tokenizer.encode_at_most(&text, most), &ids[..ids.len().min(most)]);
        }
    }

    #[test]
    fn the_first_ids_of_long_texts_are_those_of_all(words in prop::collection::vec("[a-z ]{1,9}|日本語", 1..40), most in 0_usize..3000) {
        let text = words.concat().repeat(300);
        for tokenizer in TOKENIZERS.iter().chain([&*LONGEST_PREFIX]) {
            let ids = tokenizer.encode(&text);
            prop_assert_eq!(tokenizer.encode_at_most(&text, most), &ids[..ids.len().min(most)]);
        }
    }

    #[test]
    fn any_bytes_round_trip(bytes in any::<Vec<u8>>()) {
        for tokenizer in TOKENIZERS.iter() {
            let ids = tokenizer.encode_bytes(&bytes);
            prop_assert_eq!(tokenizer.decode_bytes(&ids).unwrap(), bytes.as_slice());
        }
    }

    #[test]
    fn a_stream_of_ids_gives_the_text_of_all(ids in prop::collection::vec(0u32..340, 0..60)) {
        for tokenizer in TOKENIZERS.iter() {
            let ids: Vec<u32> = ids.iter().map(|id| id % tokenizer.vocab_size() as u32).collect();
            let mut decoder = tokenizer.stream_decoder();
            let mut text: String = ids.iter().map(|&id| decoder.push(id).unwrap()).collect();
            text.push_str(&decoder.finish());
            prop_assert_eq!(text, tokenizer.decode(&ids).unwrap());
        }
    }

    #[test]
    fn the_incremental_trainer_equals_the_naive_one(
        texts in prop::collection::vec(repetitive_text(), 1..4),
        extra in 0usize..120,
    ) {
        prop_assume!(texts.iter().any(|text| !text.is_empty()));
        let config = ByteLevelConfig {
            vocab_size: 257 + extra,
            pattern: Pattern::None,
            ..ByteLevelConfig::default()
        };
        let tokenizer = Tokenizer::train_byte_level(texts.iter().map(String::as_str), &config).unwrap();
        let words: Vec<_> = texts.iter().map(|text| text.clone().into_bytes()).collect();
        let expected = naive_training(&words, &config, &tokenizer);
        let tokens: Vec<_> =
            (0..tokenizer.vocab_size() as u32).map(|id| tokenizer.decode_bytes(&[id]).unwrap()).collect();
        prop_assert_eq!(tokens, expected);
    }

    #[test]
    fn encoding_equals_merging_by_rank(training in repetitive_text(), text in repetitive_text()) {
        prop_assume!(!training.is_empty());
        let config = ByteLevelConfig { vocab_size: 330, pattern: Pattern::None, ..ByteLevelConfig::default() };
        let tokenizer = Tokenizer::train_byte_level([training.as_str()], &config).unwrap();
        let merges = merges_of(&tokenizer);
        for text in [&text, &training] {
            prop_assert_eq!(tokenizer.encode(text), naive_encoding(&tokenizer, &merges, text.as_bytes()));
        }
    }

    #[test]
    fn characters_of_the_vocabulary_round_trip_and_others_are_one_unknown_each(text in any::<String>()) {
        let tokenizer = Tokenizer::characters(["abc d\nñ日"], &[]).unwrap();
        let known = tokenizer.decode(&tokenizer.encode(&text)).unwrap();
        let expected: String = text
            .chars()
            .map(|char| if "abc d\nñ日".contains(char) { char.to_string() } else { "<unk>".into() })
            .collect();
        prop_assert_eq!(known, expected);
        prop_assert_eq!(tokenizer.encode(&text).len(), text.chars().count());
    }
}

proptest! {
    #[test]
    fn a_batch_is_its_texts(texts in prop::collection::vec(any::<String>(), 0..8), times in 1_usize..4000) {
        let long = texts.iter().map(String::as_str).collect::<String>().repeat(times);
        let texts: Vec<&str> = texts.iter().map(String::as_str).chain([long.as_str()]).collect();
        for tokenizer in TOKENIZERS.iter().chain([&*LONGEST_PREFIX]) {
            let alone: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text)).collect();
            prop_assert!(tokenizer.encode_batch(&texts) == alone);
        }
    }

    #[test]
    fn dropout_passes_over_merges_and_loses_nothing(text in any::<String>(), seed in any::<u64>()) {
        for tokenizer in TOKENIZERS.iter() {
            prop_assert_eq!(tokenizer.encode_with_dropout(&text, 0.0, seed).unwrap(), tokenizer.encode(&text));
            let ids = tokenizer.encode_with_dropout(&text, 0.4, seed).unwrap();
            prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text.clone());
            prop_assert_eq!(&ids, &tokenizer.encode_with_dropout(&text, 0.4, seed).unwrap());
            prop_assert_eq!(tokenizer.encode_with_dropout(&text, 1.0, seed).unwrap().len(), text.len());
        }
    }
}

/// `the` from three bytes by two merges, each passed over with probability p: `th` is not made in p of all cases, and of the
/// others `the` is not in p, nothing else being possible then.
#[test]
fn dropout_passes_over_with_its_probability() {
    let config = ByteLevelConfig { vocab_size: 258, special_tokens: vec![], ..ByteLevelConfig::default() };
    let tokenizer = Tokenizer::train_byte_level(["the the th th"], &config).unwrap();
    assert_eq!((tokenizer.encode("th").len(), tokenizer.encode("the").len()), (1, 2));
    let (cases, p) = (20_000, 0.3);
    let merged = (0..cases).filter(|&seed| tokenizer.encode_with_dropout("th", p, seed).unwrap().len() == 1);
    let share = merged.count() as f64 / cases as f64;
    // Four standard deviations of a share of so many cases.
    assert!((share - 0.7).abs() < 4.0 * (0.7_f64 * 0.3 / cases as f64).sqrt(), "{share}");
    assert!(tokenizer.encode_with_dropout("th", 1.5, 0).unwrap_err().to_string().contains("1.5"));
    assert!(LONGEST_PREFIX.encode_with_dropout("th", 0.5, 0).is_err());
}

/// Training and encoding see the normalized text, offsets the text as it was, and a saved tokenizer does the same.
#[test]
fn texts_are_normalized() {
    let config = ByteLevelConfig {
        normalization: Normalization::Nfkc,
        split_digits: true,
        ..ByteLevelConfig::default()
    };
    let tokenizer = Tokenizer::train_byte_level(["caf\u{e9} caf\u{e9} 1212"], &config).unwrap();
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    for tokenizer in [&tokenizer, &Tokenizer::load(dir.path()).unwrap()] {
        let ids = tokenizer.encode("cafe\u{301}\u{a0}①②");
        assert_eq!(tokenizer.decode(&ids).unwrap(), "café 12");
        assert_eq!(ids.len(), 4, "`café`, a space, each digit");
        let (_, ranges) = tokenizer.encode_with_offsets("cafe\u{301}\u{a0}①②");
        assert_eq!(ranges, [0..6, 6..8, 8..11, 11..14]);
    }
}

#[test]
fn no_token_is_longer_than_asked() {
    let config = ByteLevelConfig { max_token_length: Some(3), ..ByteLevelConfig::default() };
    let tokenizer = Tokenizer::train_byte_level(["abcdef abcdef 日本日本"], &config).unwrap();
    let longest = (0..tokenizer.vocab_size() as u32)
        .skip(1)
        .map(|id| tokenizer.decode_bytes(&[id]).unwrap().len())
        .max();
    assert_eq!(longest, Some(3));
}
