//! A document that is cut where [`Tokenizer::safe_cut`] says has the ids it has as a whole.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{changed, shared_data};
use firebrand_tokenizer::{ByteLevelConfig, ByteLevelTrainer, Pattern, Tokenizer};
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::LazyLock;

const TRAINING: &str = "the theme of these thirty-three thistles — ça va très bien, 日本語の文章 日本 🦙🦙 it's I'LL \
                        we're 1234 12 3.14 don't\n\n  the end \r\n\tUPPER CamelCase x́ ";

fn trained(pattern: Pattern) -> Tokenizer {
    let config = ByteLevelConfig { vocab_size: 400, pattern, ..ByteLevelConfig::default() };
    Tokenizer::train_byte_level([TRAINING], &config).unwrap()
}

/// With one more added token, which a document may spell.
fn with_added(tokenizer: &Tokenizer, text: &str, normalized: bool) -> Tokenizer {
    changed(tokenizer, |json| {
        let id = tokenizer.vocab_size();
        json["added_tokens"].as_array_mut().unwrap().push(serde_json::json!({
            "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": normalized, "special": false,
        }));
    })
}

/// Tokenizers that can cut, by a name.
static CUTTING: LazyLock<Vec<(String, Tokenizer)>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for pattern in [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k] {
        let tokenizer = trained(pattern.clone());
        all.push((format!("{pattern:?} with a word added"), with_added(&tokenizer, "these", false)));
        all.push((format!("{pattern:?} with spaces added"), with_added(&tokenizer, "  ", true)));
        all.push((format!("{pattern:?}"), tokenizer));
    }
    for individual in [true, false] {
        let digits = serde_json::json!({"type": "Digits", "individual_digits": individual});
        let tokenizer = changed(&trained(Pattern::Gpt2), |json| {
            let byte_level = json["pre_tokenizer"].take();
            json["pre_tokenizer"] =
                serde_json::json!({"type": "Sequence", "pretokenizers": [digits, byte_level]});
        });
        all.push((format!("digits ({individual}) first"), tokenizer));
    }
    all.push(("characters".into(), Tokenizer::characters([TRAINING], &[]).unwrap()));
    all
});

/// Encodes a text that comes in pieces which end anywhere, as it is done with documents too large for memory.
fn encode_in_parts(tokenizer: &Tokenizer, text: &str, piece: usize) -> (Vec<u32>, usize) {
    let (mut ids, mut cuts) = (Vec::new(), 0);
    let (mut begin, mut seen) = (0, 0);
    while seen < text.len() {
        seen = text.floor_char_boundary((seen + piece).min(text.len())).max(seen + 1);
        seen = text.ceil_char_boundary(seen);
        if seen < text.len()
            && let Some(cut) = tokenizer.safe_cut(&text[begin..seen])
        {
            assert!(cut > 0 && text.is_char_boundary(begin + cut));
            ids.extend(tokenizer.encode(&text[begin..begin + cut]));
            begin += cut;
            cuts += 1;
        }
    }
    ids.extend(tokenizer.encode(&text[begin..]));
    (ids, cuts)
}

/// Text of what patterns care about, and of anything.
fn text() -> impl Strategy<Value = String> {
    let telling = "(the|The|THE|a|'s|'S|'ll|'ſ|'|\"|1|23|456|½|é|e\u{301}|\u{301}|日|。|ǅ|ʰ|🦙|-|/| |  |\t|\n|\r\n|\u{a0}|\u{2003}|\u{200b}){0,40}";
    prop_oneof![telling, "[a-c '1\n]{0,60}", any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_text_cut_where_it_is_safe_has_the_ids_of_the_whole(text in text(), piece in 1_usize..12) {
        for (name, tokenizer) in CUTTING.iter() {
            let (ids, _) = encode_in_parts(tokenizer, &text, piece);
            prop_assert_eq!(ids, tokenizer.encode(&text), "{}", name);
        }
    }

    #[test]
    fn every_cut_is_safe_whatever_follows(text in text(), next in text()) {
        for (name, tokenizer) in CUTTING.iter() {
            let Some(cut) = tokenizer.safe_cut(&text) else { continue };
            let whole = text.clone() + &next;
            let parts = [tokenizer.encode(&whole[..cut]), tokenizer.encode(&whole[cut..])].concat();
            prop_assert_eq!(parts, tokenizer.encode(&whole), "{}", name);
        }
    }

    #[test]
    fn training_on_parts_is_training_on_the_whole(text in text(), piece in 1_usize..12) {
        prop_assume!(!text.is_empty());
        for pattern in [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::None] {
            let config = ByteLevelConfig { vocab_size: 300, pattern, ..ByteLevelConfig::default() };
            let mut whole = ByteLevelTrainer::new(config.clone()).unwrap();
            whole.feed(&text);
            let mut parts = ByteLevelTrainer::new(config).unwrap();
            let mut begin = 0;
            for seen in (0..text.len()).step_by(piece).filter(|&seen| text.is_char_boundary(seen)) {
                if let Some(cut) = parts.cutter().safe_cut(&text[begin..seen.max(begin)]) {
                    parts.feed(&text[begin..begin + cut]);
                    begin += cut;
                }
            }
            parts.feed(&text[begin..]);
            let (whole, parts) = (whole.finish().unwrap(), parts.finish().unwrap());
            let tokens = |tokenizer: &Tokenizer| -> Vec<Option<String>> {
                (0..300).map(|id| tokenizer.id_to_token(id).map(str::to_owned)).collect()
            };
            prop_assert_eq!(tokens(&whole), tokens(&parts));
        }
    }
}

#[test]
fn there_are_cuts_in_text_of_any_script() {
    let texts = [
        "Once there was a fox.",
        "Es war einmal, vor langer Zeit",
        "むかし、むかし。ある所",
        "1 2 3 4 5",
        "a\nb\nc",
    ];
    for (name, tokenizer) in CUTTING.iter() {
        for text in texts {
            assert!(encode_in_parts(tokenizer, text, 4).1 > 0, "{name}: {text}");
        }
    }
}

#[test]
fn what_cannot_be_cut_stays_whole() {
    let text = "Once there was a fox";
    for pattern in [Pattern::None, Pattern::Custom(r"\w+".into())] {
        assert_eq!(trained(pattern).safe_cut(text), None);
    }
    // A token could stand across the cut.
    for normalized in [false, true] {
        assert_eq!(with_added(&trained(Pattern::Gpt2), "a fox", normalized).safe_cut(text), None);
    }
    let characters = Tokenizer::characters([text], &["a fox".to_owned()]).unwrap();
    assert_eq!(characters.safe_cut(text), Some(text.len()), "special tokens are not looked for in documents");
    assert_eq!(characters.safe_cut(""), None);
    assert_eq!(trained(Pattern::Gpt2).safe_cut("aaaaaaa'"), None);
}

#[test]
fn real_text_of_all_scripts_is_cut_safely() {
    let Some(folder) = shared_data("unicode") else { return };
    let folders = [folder.join("udhr"), folder];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut tokenizers: Vec<(String, Tokenizer)> = CUTTING.clone();
    if let Some(gpt2) = shared_data("gpt2_tokenizer") {
        tokenizers.push(("GPT-2".into(), Tokenizer::load(&gpt2).unwrap()));
    }
    let mut read = 0;
    for path in files {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let text = &text[..text.floor_char_boundary(200_000)];
        for (name, tokenizer) in &tokenizers {
            for piece in [7, 1000] {
                // Small pieces of a large text would take too long.
                let text = &text[..text.floor_char_boundary(text.len().min(piece * 400))];
                let (ids, _) = encode_in_parts(tokenizer, text, piece);
                assert!(ids == tokenizer.encode(text), "{name}, {}", path.display());
            }
        }
        read += 1;
    }
    assert!(read > 0, "there is no text in the folder");
}
