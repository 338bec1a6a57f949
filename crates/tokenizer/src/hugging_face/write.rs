//! Writing `tokenizer.json` and `tokenizer_config.json`.

use super::schema::{AddedToken, Bpe, File, object};
use super::{longest_prefix, scored};
use crate::byte_level::ByteLevel;
use crate::longest_prefix::Unknown;
use crate::merging::Merge;
use crate::tokenizer::{Algorithm, Frame, Parts};
use crate::{END_OF_TEXT, Normalization, Pattern, Tokenizer, TokenizerError, files};
use serde_json::{Value, json};
use std::path::Path;

/// The roles `transformers` knows special tokens by, and the usual texts of each.
const ROLES: [(&str, &[&str]); 7] = [
    ("bos_token", &["<s>", "<|begin_of_text|>", END_OF_TEXT]),
    ("eos_token", &["</s>", "<|end_of_text|>", END_OF_TEXT]),
    ("unk_token", &["<unk>", "[UNK]"]),
    ("pad_token", &["<pad>", "[PAD]", "<|pad|>"]),
    ("mask_token", &["<mask>", "[MASK]", "<|mask|>"]),
    ("cls_token", &["[CLS]", "<cls>"]),
    ("sep_token", &["[SEP]", "<sep>"]),
];

pub(crate) fn save(tokenizer: &Tokenizer, dir: &Path) -> Result<(), TokenizerError> {
    let failed = |source| TokenizerError::Write { path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let config = dir.join("tokenizer_config.json");
    write_json(&dir.join(super::FILE), &file(tokenizer.parts()))?;
    write_json(&config, &config_json(tokenizer))
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), TokenizerError> {
    let json = serde_json::to_string_pretty(value)
        .map_err(|source| TokenizerError::Json { path: path.to_owned(), source })?;
    files::write(path, &(json + "\n"))
}

fn config_json(tokenizer: &Tokenizer) -> Value {
    let mut config = json!({
        // Other classes rebuild parts of the tokenizer by their own idea of it.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": false,
    });
    for (role, texts) in ROLES {
        let has = |text: &&&str| tokenizer.special_tokens().iter().any(|(token, _)| token == **text);
        if let Some(text) = texts.iter().find(has) {
            config[role] = json!(text);
        }
    }
    config
}

fn file(parts: &Parts) -> File {
    let added_tokens = parts.added.tokens().iter().map(|token| AddedToken {
        id: token.id,
        content: token.text.clone(),
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: token.normalized,
        special: token.special,
    });
    let (pre_tokenizer, decoder, model) = match &*parts.algorithm {
        Algorithm::ByteLevel(algorithm) => {
            (pre_tokenizer(algorithm), byte_level(true), json!(byte_level_model(parts, algorithm)))
        }
        Algorithm::LongestPrefix(algorithm) => match algorithm.unknown() {
            Unknown::Token(unknown) if algorithm.n_merges() == 0 => {
                let unk_token = parts.vocabulary.text(*unknown).map(str::to_owned);
                let model = Bpe { unk_token, ..model(parts, Vec::new()) };
                (Value::Null, json!({"type": "Fuse"}), json!(model))
            }
            _ => longest_prefix::write(parts, algorithm),
        },
        Algorithm::Scored(algorithm) => (Value::Null, scored::decoder(), scored::model(parts, algorithm)),
    };
    let normalizer = match &*parts.algorithm {
        Algorithm::Scored(_) => scored::normalizer(),
        Algorithm::ByteLevel(_) | Algorithm::LongestPrefix(_) => match parts.added.normalization() {
            Normalization::None => Value::Null,
            Normalization::Nfc => json!({"type": "NFC"}),
            Normalization::Nfkc => json!({"type": "NFKC"}),
            Normalization::Lowercase => json!({
                "type": "Sequence",
                "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}],
            }),
        },
    };
    File {
        version: Some("1.0".to_owned()),
        truncation: Value::Null,
        padding: Value::Null,
        added_tokens: added_tokens.collect(),
        normalizer,
        pre_tokenizer,
        post_processor: post_processor(parts),
        decoder,
        model,
    }
}

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

/// ByteLevel itself applies GPT-2's pattern; the others are a Split before it.
fn pre_tokenizer(algorithm: &ByteLevel) -> Value {
    let mut patterns: Vec<&Pattern> = algorithm.splitter().patterns().collect();
    let ends_with_gpt2 = patterns.pop_if(|last| **last == Pattern::Gpt2).is_some();
    let mut stages = splits(patterns);
    if stages.is_empty() {
        return byte_level(ends_with_gpt2);
    }
    stages.push(byte_level(ends_with_gpt2));
    json!({"type": "Sequence", "pretokenizers": stages})
}

/// Each pattern as a Split.
pub(super) fn splits<'p>(patterns: impl IntoIterator<Item = &'p Pattern>) -> Vec<Value> {
    patterns.into_iter().filter_map(Pattern::expression).map(split).collect()
}

/// What a regular expression matches, and what lies between two matches.
pub(super) fn split(expression: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false})
}

fn byte_level_model(parts: &Parts, algorithm: &ByteLevel) -> Bpe {
    let merges = merges(parts, algorithm.merges());
    Bpe { ignore_merges: algorithm.ignore_merges(), ..model(parts, merges) }
}

/// Each merge as its two tokens.
pub(super) fn merges(parts: &Parts, merges: &[Merge]) -> Vec<Value> {
    let text = |id| parts.vocabulary.text(id).unwrap_or_default();
    merges.iter().map(|merge| json!([text(merge.left), text(merge.right)])).collect()
}

pub(super) fn model(parts: &Parts, merges: Vec<Value>) -> Bpe {
    let vocab = parts.vocabulary.iter().map(|(id, text)| (text.to_owned(), json!(id))).collect();
    Bpe {
        kind: Some("BPE".to_owned()),
        dropout: None,
        unk_token: None,
        continuing_subword_prefix: None,
        end_of_word_suffix: None,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Value::Object(vocab),
        merges: Value::Array(merges),
    }
}

fn post_processor(parts: &Parts) -> Value {
    let Frame { before, after } = &parts.frame;
    let is_byte_level = matches!(*parts.algorithm, Algorithm::ByteLevel(_));
    if before.is_empty() && after.is_empty() {
        return if is_byte_level { byte_level(true) } else { Value::Null };
    }
    let text = |id: &u32| parts.vocabulary.text(*id).unwrap_or_default();
    let special = |id: &u32| json!({"SpecialToken": {"id": text(id), "type_id": 0}});
    let sequence = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    let frame =
        |middle: &str| before.iter().map(special).chain([sequence(middle)]).chain(after.iter().map(special));
    let mut special_tokens = serde_json::Map::new();
    for id in before.iter().chain(after) {
        let token = object([("id", json!(text(id))), ("ids", json!([id])), ("tokens", json!([text(id)]))]);
        special_tokens.insert(text(id).to_owned(), token);
    }
    json!({
        "type": "TemplateProcessing",
        "single": frame("A").collect::<Vec<_>>(),
        "pair": frame("A").chain(frame("B")).collect::<Vec<_>>(),
        "special_tokens": special_tokens,
    })
}
