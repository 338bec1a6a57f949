//! Good `tokenizer.json` files with some values replaced, moved or removed: files that are nearly right.

#![no_main]

use arbitrary::Arbitrary;
use firebrand_fuzz::check_load;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The seeds of `files`, as values.
static FILES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let read = |text: &str| serde_json::from_str(text).expect("a seed is JSON");
    vec![
        read(include_str!("../seeds/files/byte_level.json")),
        read(include_str!("../seeds/files/cl100k_special.json")),
        read(include_str!("../seeds/files/framed.json")),
        read(include_str!("../seeds/files/characters.json")),
        read(include_str!("../seeds/files/longest_prefix.json")),
        read(include_str!("../seeds/files/with_bytes.json")),
    ]
});

#[derive(Arbitrary, Debug)]
struct Input {
    file: u8,
    changes: Vec<(Vec<u8>, Change)>,
}

#[derive(Arbitrary, Debug)]
enum Change {
    Null,
    Flag(bool),
    Number(u8),
    LargeNumber(u32),
    Text(String),
    Known(u8),
    Name(String),
    Remove,
    CopyOf(Vec<u8>),
    AddedToken { id: u16, text: String, special: bool, normalized: bool },
}

/// Texts that mean something somewhere in a file.
const KNOWN: [&str; 24] = [
    "BPE",
    "WordPiece",
    "LongestPrefixWithBytes",
    "ByteLevel",
    "Split",
    "Digits",
    "Sequence",
    "Fuse",
    "ByteFallback",
    "TemplateProcessing",
    "Isolated",
    "Removed",
    "<unk>",
    "<|endoftext|>",
    "<0x0A>",
    "a",
    "Ġ",
    "t",
    "th",
    "the",
    "ab",
    "",
    " ",
    "日",
];

/// The place in a value that steps lead to, each the number of a field or an element. Steps past the end go round, so
/// that every path leads somewhere.
fn place<'v>(value: &'v mut Value, path: &[u8]) -> &'v mut Value {
    let Some((&step, rest)) = path.split_first() else { return value };
    let count = match value {
        Value::Object(fields) => fields.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    if count == 0 {
        return value;
    }
    let step = usize::from(step) % count;
    match value {
        Value::Object(fields) => place(fields.values_mut().nth(step).expect("below the count"), rest),
        Value::Array(items) => place(&mut items[step], rest),
        _ => value,
    }
}

fn apply(file: &mut Value, path: &[u8], change: &Change) {
    let new = match change {
        Change::Null => Value::Null,
        Change::Flag(flag) => json!(flag),
        Change::Number(number) => json!(number),
        Change::LargeNumber(number) => json!(number),
        Change::Text(text) => json!(text),
        Change::Known(known) => json!(KNOWN[usize::from(*known) % KNOWN.len()]),
        Change::CopyOf(path) => place(file, path).clone(),
        Change::Name(name) => {
            // The field before the place gets another name, at the end.
            if let Some((&last, parents)) = path.split_last()
                && let Value::Object(fields) = place(file, parents)
                && let Some(old) = fields.keys().nth(usize::from(last) % fields.len().max(1)).cloned()
                && let Some(value) = fields.shift_remove(&old)
            {
                fields.insert(name.clone(), value);
            }
            return;
        }
        Change::Remove => {
            if let Some((&last, parents)) = path.split_last() {
                match place(file, parents) {
                    Value::Object(fields) if !fields.is_empty() => {
                        let name = fields.keys().nth(usize::from(last) % fields.len()).cloned();
                        fields.shift_remove(&name.expect("below the count"));
                    }
                    Value::Array(items) if !items.is_empty() => {
                        items.remove(usize::from(last) % items.len());
                    }
                    _ => {}
                }
            }
            return;
        }
        Change::AddedToken { id, text, special, normalized } => {
            if let Some(tokens) = file.get_mut("added_tokens").and_then(Value::as_array_mut) {
                tokens.push(
                    json!({"id": id % 512, "content": text, "special": special, "normalized": normalized}),
                );
            }
            return;
        }
    };
    *place(file, path) = new;
}

fuzz_target!(|input: Input| {
    let mut file = FILES[usize::from(input.file) % FILES.len()].clone();
    for (path, change) in input.changes.iter().take(8) {
        apply(&mut file, path, change);
        // Copies of copies grow without bound.
        if file.to_string().len() > 1 << 16 {
            return;
        }
    }
    let dir = tempfile::tempdir().expect("a folder for the file");
    std::fs::write(dir.path().join("tokenizer.json"), file.to_string()).expect("a file can be written");
    check_load(dir.path());
});
