//! Training and encoding agree with Hugging Face tokenizers; `golden/make.py` wrote down what that does.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use firebrand_tokenizer::{ByteLevelConfig, Tokenizer};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Case {
    name: String,
    config: ByteLevelConfig,
    texts: Vec<String>,
    vocab: Vec<String>,
    merges: Vec<(String, String)>,
    ids: Vec<(String, Vec<u32>)>,
}

#[derive(Deserialize)]
struct OtherFile {
    tokenizer: serde_json::Value,
    ids: Vec<(String, Vec<u32>)>,
}

fn golden(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

fn read<T: DeserializeOwned>(path: PathBuf) -> T {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn merges_in_file(tokenizer: &Tokenizer) -> Vec<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let file: serde_json::Value = read(dir.path().join("tokenizer.json"));
    serde_json::from_value(file["model"]["merges"].clone()).unwrap()
}

fn check_ids(tokenizer: &Tokenizer, expected: &[(String, Vec<u32>)], name: &str) {
    for (text, ids) in expected {
        assert_eq!(&tokenizer.encode_with_special(text), ids, "{name}: {text:?}");
    }
}

#[test]
fn training_gives_the_vocabulary_merges_and_ids_of_hugging_face() {
    for case in read::<Vec<Case>>(golden("byte_level.json")) {
        let name = &case.name;
        let texts = case.texts.iter().map(String::as_str);
        let tokenizer = Tokenizer::train_byte_level(texts, &case.config).unwrap();
        let vocab: Vec<_> =
            (0..tokenizer.vocab_size() as u32).map(|id| tokenizer.id_to_token(id).unwrap()).collect();
        assert_eq!(vocab, case.vocab, "{name}");
        assert_eq!(merges_in_file(&tokenizer), case.merges, "{name}");
        check_ids(&tokenizer, &case.ids, name);
    }
}

#[test]
fn a_saved_tokenizer_is_read_as_it_was() {
    for case in read::<Vec<Case>>(golden("byte_level.json")) {
        let texts = case.texts.iter().map(String::as_str);
        let tokenizer = Tokenizer::train_byte_level(texts, &case.config).unwrap();
        let dir = tempfile::tempdir().unwrap();
        tokenizer.save(dir.path()).unwrap();
        let loaded = Tokenizer::load(dir.path()).unwrap();
        assert_eq!(loaded.special_tokens(), tokenizer.special_tokens(), "{}", case.name);
        assert_eq!(loaded.token_table(), tokenizer.token_table(), "{}", case.name);
        check_ids(&loaded, &case.ids, &case.name);
        let again = tempfile::tempdir().unwrap();
        loaded.save(again.path()).unwrap();
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            let [first, second] = [&dir, &again].map(|dir| std::fs::read(dir.path().join(file)).unwrap());
            assert!(first == second, "{}: {file} changed when it was loaded and saved", case.name);
        }
    }
}

#[test]
fn files_in_the_shapes_of_others_give_their_ids_also_when_saved_again() {
    for name in ["llama3", "smollm", "neox", "uncased"] {
        let golden: OtherFile = read(golden(format!("files/{name}.json")));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokenizer.json");
        std::fs::write(&file, golden.tokenizer.to_string()).unwrap();
        let tokenizer = Tokenizer::load(&file).unwrap();
        check_ids(&tokenizer, &golden.ids, name);
        tokenizer.save(dir.path()).unwrap();
        check_ids(&Tokenizer::load(dir.path()).unwrap(), &golden.ids, name);
    }
}
