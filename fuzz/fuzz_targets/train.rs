//! Training on any texts by any configuration: both algorithms, texts whole or in parts, the fast way or the plain one.

#![no_main]

use arbitrary::Arbitrary;
use firebrand_fuzz::{AnyPattern, Text, assert_same};
use firebrand_tokenizer::{
    ByteLevelConfig, ByteLevelTrainer, Cutter, LongestPrefixConfig, LongestPrefixTrainer, Tokenizer,
    TokenizerError, VocabularySize,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    texts: Vec<Text>,
    pattern: AnyPattern,
    special: Vec<Special>,
    min_frequency: u8,
    size: u8,
    size_is_tokens: bool,
    byte_fallback: bool,
    max_token_length: Option<u8>,
    /// The lengths of the parts that a text comes in.
    parts: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Special {
    EndOfText,
    Unknown,
    Byte,
    Letters,
    Other(String),
}

impl Special {
    fn text(&self) -> String {
        match self {
            Special::EndOfText => "<|endoftext|>".into(),
            Special::Unknown => "<unk>".into(),
            Special::Byte => "<0x0A>".into(),
            Special::Letters => "ab".into(),
            Special::Other(text) => text.clone(),
        }
    }
}

/// Gives a text to `feed` in parts that end where it is safe, having seen only so much of it at a time.
fn feed_in_parts(text: &str, parts: &[u8], cutter: Cutter, mut feed: impl FnMut(&str)) {
    let (mut begin, mut seen) = (0, 0);
    for &part in parts {
        seen = text.ceil_char_boundary((seen + 1 + usize::from(part)).min(text.len()));
        if let Some(cut) = cutter.safe_cut(&text[begin..seen]) {
            assert!(cut > 0, "a cut before everything is none");
            feed(&text[begin..begin + cut]);
            begin += cut;
        }
    }
    feed(&text[begin..]);
}

fn same(a: &Result<Tokenizer, TokenizerError>, b: &Result<Tokenizer, TokenizerError>, text: &str) {
    match (a, b) {
        (Ok(a), Ok(b)) => assert_same(a, b, text),
        (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string()),
        (a, b) => panic!("{a:?} and {b:?}"),
    }
}

fn byte_level(input: &Input, texts: &[String]) {
    let config = ByteLevelConfig {
        vocab_size: 256 + usize::from(input.size),
        special_tokens: input.special.iter().map(Special::text).collect(),
        pattern: input.pattern.into(),
        min_frequency: input.min_frequency.into(),
        max_token_length: input.max_token_length.map(usize::from),
        ..ByteLevelConfig::default()
    };
    let (Ok(mut whole), Ok(mut parts)) =
        (ByteLevelTrainer::new(config.clone()), ByteLevelTrainer::new(config.clone()))
    else {
        return;
    };
    for text in texts {
        whole.feed(text);
        feed_in_parts(text, &input.parts, parts.cutter(), |part| parts.feed(part));
    }
    let all = texts.concat();
    let (whole, parts) = (whole.finish(), parts.finish());
    same(&whole, &parts, &all);
    let Ok(tokenizer) = whole else {
        assert!(all.is_empty(), "only without text there is nothing to learn");
        return;
    };
    assert!(tokenizer.vocab_size() <= config.vocab_size);
    let ids = tokenizer.encode(&all);
    assert_eq!(tokenizer.decode(&ids).expect("its own ids"), all);
    assert!(
        tokenizer.special_tokens().iter().all(|(_, id)| !ids.contains(id)),
        "a document cannot spell one"
    );
}

fn longest_prefix(input: &Input, texts: &[String]) {
    let size = usize::from(input.size);
    let config = LongestPrefixConfig {
        size: if input.size_is_tokens {
            VocabularySize::Tokens(size * 2)
        } else {
            VocabularySize::Merges(size)
        },
        special_tokens: input.special.iter().map(Special::text).collect(),
        pattern: input.pattern.into(),
        min_frequency: input.min_frequency.into(),
        max_token_length: input.max_token_length.map(usize::from),
        byte_fallback: input.byte_fallback,
        ..LongestPrefixConfig::default()
    };
    let mut trainers = Vec::new();
    for _ in 0..3 {
        let Ok(trainer) = LongestPrefixTrainer::new(config.clone()) else { return };
        trainers.push(trainer);
    }
    let [mut whole, mut reference, mut parts] = <[_; 3]>::try_from(trainers).expect("three were made");
    for text in texts {
        whole.feed(text);
        reference.feed(text);
        feed_in_parts(text, &input.parts, parts.cutter(), |part| parts.feed(part));
    }
    let all = texts.concat();
    let whole = whole.finish();
    same(&whole, &reference.finish_by_reference(&mut |_| {}), &all);
    same(&whole, &parts.finish(), &all);
    let Ok(tokenizer) = whole else { return };
    let ids = tokenizer.encode(&all);
    assert_eq!(tokenizer.decode(&ids).expect("its own ids"), all, "it knows these characters");
    assert!(
        tokenizer.special_tokens().iter().all(|(_, id)| !ids.contains(id)),
        "a document cannot spell one"
    );
    if config.byte_fallback {
        let other = "日本\u{1F999}\u{0}\nÿ";
        let ids = tokenizer.encode(other);
        assert_eq!(tokenizer.decode(&ids).expect("its own ids"), other, "bytes are known always");
        assert!(tokenizer.special_tokens().iter().all(|(_, id)| !ids.contains(id)), "nor its bytes");
    }
}

fuzz_target!(|input: Input| {
    let texts: Vec<String> = input.texts.iter().map(Text::text).collect();
    byte_level(&input, &texts);
    longest_prefix(&input, &texts);
});
