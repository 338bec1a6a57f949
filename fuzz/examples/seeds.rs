//! Writes `seeds/files`: a small file of every kind that this program writes or reads, for the fuzzer to change. Run it in
//! the folder `fuzz`: `cargo run --example seeds`.

use firebrand_tokenizer::{
    ByteLevelConfig, LongestPrefixConfig, LongestPrefixTrainer, Pattern, Tokenizer, VocabularySize,
};
use serde_json::{Value, json};
use std::path::Path;

const TRAINING: &str = "the theme of the thing, ababab aab; a thé 12\n";

fn file(tokenizer: &Tokenizer) -> Value {
    let dir = tempfile::tempdir().expect("a folder for the file");
    tokenizer.save(dir.path()).expect("a tokenizer can be saved");
    let text = std::fs::read_to_string(dir.path().join("tokenizer.json")).expect("the file was written");
    serde_json::from_str(&text).expect("the file is JSON")
}

fn write(name: &str, content: &str) {
    let folder = Path::new("seeds/files");
    std::fs::create_dir_all(folder).expect("a folder for the seeds");
    std::fs::write(folder.join(name), content).expect("a file can be written");
}

fn byte_level(pattern: Pattern, special: &[&str]) -> Value {
    let special_tokens = special.iter().map(|&token| token.to_owned()).collect();
    let config = ByteLevelConfig { vocab_size: 270, pattern, special_tokens, ..ByteLevelConfig::default() };
    file(&Tokenizer::train_byte_level([TRAINING], &config).expect("there is text"))
}

fn longest_prefix(byte_fallback: bool) -> Value {
    let size = VocabularySize::Merges(6);
    let config = LongestPrefixConfig { size, byte_fallback, ..LongestPrefixConfig::default() };
    let mut trainer = LongestPrefixTrainer::new(config).expect("the configuration is good");
    trainer.feed(TRAINING);
    file(&trainer.finish().expect("there is text"))
}

fn main() {
    let gpt2 = byte_level(Pattern::Gpt2, &["<|endoftext|>"]);
    write("byte_level.json", &gpt2.to_string());
    write("cl100k_special.json", &byte_level(Pattern::Cl100k, &["<|endoftext|>", "ab"]).to_string());
    // As Llama 3's, with an added token that is not special, and digits apart.
    let mut framed = byte_level(Pattern::Gpt2, &["<s>"]);
    framed["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
    });
    framed["model"]["ignore_merges"] = json!(true);
    let added = framed["added_tokens"].as_array_mut().expect("a list");
    added.push(json!({"id": 270, "content": "  ", "normalized": true}));
    let byte_level = framed["pre_tokenizer"].take();
    let digits = json!({"type": "Digits", "individual_digits": true});
    framed["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [digits, byte_level]});
    write("framed.json", &framed.to_string());
    let characters = Tokenizer::characters([TRAINING], &["<|endoftext|>".into()]).expect("there is text");
    write("characters.json", &file(&characters).to_string());
    write("longest_prefix.json", &longest_prefix(false).to_string());
    write("with_bytes.json", &longest_prefix(true).to_string());
    let lines = gpt2["model"]["merges"].as_array().into_iter().flatten();
    let merges: String = lines
        .map(|pair| format!("{} {}\n", pair[0].as_str().unwrap_or(""), pair[1].as_str().unwrap_or("")))
        .collect();
    write("gpt2_pair.txt", &format!("{}\n---\n#version: 0.2\n{merges}", gpt2["model"]["vocab"]));
}
