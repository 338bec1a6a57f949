//! Any text and any bytes, encoded and decoded in every way there is, by tokenizers of every kind.

#![no_main]

use arbitrary::Arbitrary;
use firebrand_fuzz::Text;
use firebrand_tokenizer::{
    ByteLevelConfig, LongestPrefixConfig, LongestPrefixTrainer, Pattern, Tokenizer, VocabularySize,
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::sync::LazyLock;

const TRAINING: &str = "the theme of these thirty-three thistles — ça va très bien, 日本語の文章 日本 🦙🦙 it's I'LL we're \
                        1234 12 3.14 don't\n\n  the end \r\n\tUPPER CamelCase x́ ababab aabaab bbb aaaaaaaa ";

#[derive(Arbitrary, Debug)]
struct Input {
    text: Text,
    /// Long texts are made of short ones.
    times: u8,
    bytes: Vec<u8>,
    ids: Vec<u16>,
    most: u16,
    /// How much of the text is seen when it is cut.
    seen: u16,
}

/// A tokenizer and what it promises.
struct Kind {
    name: String,
    tokenizer: Tokenizer,
    /// Decoding gives back every text.
    round_trips: bool,
    /// There are tokens that a document may spell.
    has_ordinary_added: bool,
}

/// The tokenizer as a file says it that `change` makes of ours.
fn changed(tokenizer: &Tokenizer, change: impl FnOnce(&mut Value)) -> Tokenizer {
    let dir = tempfile::tempdir().expect("a folder for the file");
    tokenizer.save(dir.path()).expect("a tokenizer can be saved");
    let path = dir.path().join("tokenizer.json");
    let text = std::fs::read_to_string(&path).expect("the file was written");
    let mut file = serde_json::from_str(&text).expect("the file is JSON");
    change(&mut file);
    std::fs::write(&path, file.to_string()).expect("a file can be written");
    Tokenizer::load(&path).expect("the changed file is a tokenizer")
}

fn with_added(tokenizer: &Tokenizer, text: &str, normalized: bool) -> Tokenizer {
    let id = tokenizer.vocab_size();
    changed(tokenizer, |file| {
        let added = file["added_tokens"].as_array_mut().expect("a list");
        added.push(json!({"id": id, "content": text, "special": false, "normalized": normalized}));
    })
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let mut kinds = Vec::new();
    let mut push = |name: String, tokenizer: Tokenizer, round_trips, has_ordinary_added| {
        kinds.push(Kind { name, tokenizer, round_trips, has_ordinary_added });
    };
    let custom = Pattern::Custom(r"\p{N}|[aeiou]+(?!x)".into());
    for pattern in [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::None, custom] {
        let config = ByteLevelConfig {
            vocab_size: 400,
            pattern: pattern.clone(),
            special_tokens: vec!["<|endoftext|>".into(), "ab".into(), "the end".into()],
            ..ByteLevelConfig::default()
        };
        let tokenizer = Tokenizer::train_byte_level([TRAINING], &config).expect("there is text");
        push(format!("{pattern:?}, word added"), with_added(&tokenizer, "thistles", false), true, true);
        push(format!("{pattern:?}, spaces added"), with_added(&tokenizer, "  ", true), true, true);
        let whole = changed(&tokenizer, |file| file["model"]["ignore_merges"] = json!(true));
        push(format!("{pattern:?}, merges ignored"), whole, true, false);
        push(format!("{pattern:?}"), tokenizer, true, false);
        for byte_fallback in [false, true] {
            let config = LongestPrefixConfig {
                size: VocabularySize::Merges(80),
                pattern: pattern.clone(),
                byte_fallback,
                ..LongestPrefixConfig::default()
            };
            let mut trainer = LongestPrefixTrainer::new(config).expect("the configuration is good");
            trainer.feed(TRAINING);
            let tokenizer = trainer.finish().expect("there is text");
            push(
                format!("longest prefix, {pattern:?}, bytes {byte_fallback}"),
                tokenizer,
                byte_fallback,
                false,
            );
        }
    }
    let characters = Tokenizer::characters([TRAINING], &["<|endoftext|>".into()]).expect("there is text");
    push("characters, word added".into(), with_added(&characters, "the", false), false, true);
    push("characters".into(), characters, false, false);
    kinds
});

impl Kind {
    fn check_text(&self, text: &str, most: usize, seen: usize) {
        let Self { name, tokenizer, .. } = self;
        let ids = tokenizer.encode(text);
        let decoded = tokenizer.decode(&ids).expect("its own ids");
        if self.round_trips {
            assert_eq!(decoded, text, "{name}");
            let with_special = tokenizer.encode_with_special(text);
            assert_eq!(tokenizer.decode(&with_special).expect("its own ids"), text, "{name}");
        }
        if !self.has_ordinary_added {
            assert_eq!(tokenizer.encode_bytes(text.as_bytes()), ids, "{name}");
        }
        self.check_offsets(text, &ids);
        assert_eq!(tokenizer.encode_at_most(text, most), ids[..ids.len().min(most)], "{name}");
        let is_special = |id: &u32| tokenizer.special_tokens().iter().any(|(_, special)| special == id);
        assert!(!ids.iter().any(is_special) || decoded.contains("<unk>"), "{name}: a document spells none");
        let spells = tokenizer.encode_with_special(text).iter().any(is_special);
        match tokenizer.encode_refusing_special(text) {
            Ok(refusing) => assert_eq!(refusing, ids, "{name}"),
            Err(_) => assert!(spells, "{name}: refused without a special token"),
        }
        self.check_cuts(text, &ids, seen);
    }

    fn check_offsets(&self, text: &str, ids: &[u32]) {
        let Self { name, tokenizer, .. } = self;
        let (same, ranges) = tokenizer.encode_with_offsets(text);
        assert_eq!(same, ids, "{name}");
        assert_eq!(ranges.len(), ids.len(), "{name}");
        let mut end = 0;
        for (&id, range) in ids.iter().zip(&ranges) {
            assert_eq!(range.start, end, "{name}");
            end = range.end;
            let known = tokenizer.id_to_token(id) != Some("<unk>");
            let bytes = tokenizer.decode_bytes(&[id]).expect("its own id");
            assert!(!known || bytes == text.as_bytes()[range.clone()], "{name}: {id} at {range:?}");
        }
        assert_eq!(end, text.len(), "{name}");
    }

    fn check_cuts(&self, text: &str, ids: &[u32], seen: usize) {
        let Self { name, tokenizer, .. } = self;
        for seen in [text.len(), text.floor_char_boundary(seen.min(text.len()))] {
            if let Some(cut) = tokenizer.safe_cut(&text[..seen]) {
                assert!(0 < cut && cut <= seen, "{name}");
                let sides = [tokenizer.encode(&text[..cut]), tokenizer.encode(&text[cut..])];
                assert_eq!(sides.concat(), ids, "{name}: cut at {cut}");
            }
        }
        let middle = text.floor_char_boundary(seen.min(text.len()));
        let sides = [&text[..middle], &text[middle..], ""];
        let (all, ends) = tokenizer.encode_all(&sides);
        let each = sides.map(|side| tokenizer.encode(side));
        assert_eq!(all, each.concat(), "{name}");
        assert_eq!(ends, [each[0].len(), all.len(), all.len()], "{name}");
    }

    fn check_bytes(&self, bytes: &[u8]) {
        let Self { name, tokenizer, .. } = self;
        let ids = tokenizer.encode_bytes(bytes);
        let decoded = tokenizer.decode_bytes(&ids).expect("its own ids");
        assert!(!self.round_trips || decoded == bytes, "{name}");
    }

    /// Ids that a model may give have no text of their own to come from.
    fn check_ids(&self, ids: &[u32]) {
        let Self { name, tokenizer, .. } = self;
        let mut stream = tokenizer.stream_decoder();
        let mut text: String = ids.iter().map(|&id| stream.push(id).expect("a known id")).collect();
        text.push_str(&stream.finish());
        assert_eq!(text, tokenizer.decode(ids).expect("known ids"), "{name}");
        assert_eq!(stream.finish(), "", "{name}: as new");
    }
}

fuzz_target!(|input: Input| {
    let text = input.text.text();
    // Most stay short, so that more of them are tried.
    let times = if input.times < 64 { usize::from(input.times) } else { 1 };
    let times = times.min((1 << 13) / text.len().max(1)).max(1);
    let text = text.repeat(times);
    for kind in KINDS.iter() {
        kind.check_text(&text, input.most.into(), input.seen.into());
        kind.check_bytes(&input.bytes);
        let size = kind.tokenizer.vocab_size() as u32;
        kind.check_ids(&input.ids.iter().map(|&id| u32::from(id) % size).collect::<Vec<_>>());
        kind.check_ids(&kind.tokenizer.encode(&text));
    }
});
