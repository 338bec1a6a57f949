//! Agreement with GPT-2 and with `transformers` on real files, where these are installed. Nothing is copied from
//! the folder of shared data; a test that finds no data says so and passes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{python_with, shared_data};
use firebrand_tokenizer::{
    ByteLevelConfig, LongestPrefixConfig, LongestPrefixTrainer, Pattern, Tokenizer, VocabularySize,
};
use std::path::{Path, PathBuf};
use std::process::Command;

fn gpt2(folder: &Path) -> Tokenizer {
    Tokenizer::load_gpt2(&folder.join("encoder.json"), &folder.join("vocab.bpe")).unwrap()
}

/// Every file of the unicode folder that is UTF-8, by path.
fn unicode_files() -> Option<Vec<(PathBuf, String)>> {
    let folder = shared_data("unicode")?;
    let mut files: Vec<PathBuf> = [folder.clone(), folder.join("udhr")]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    Some(
        files
            .into_iter()
            .filter_map(|path| Some((path.clone(), std::fs::read_to_string(path).ok()?)))
            .collect(),
    )
}

#[test]
fn gpt2_gives_the_known_ids() {
    let Some(folder) = shared_data("gpt2_tokenizer") else { return };
    let tokenizer = gpt2(&folder);
    assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (50257, Some(50256)));
    let [inputs, outputs] =
        ["gpt-2.inp", "gpt-2.out"].map(|file| std::fs::read_to_string(folder.join(file)).unwrap());
    let inputs: Vec<&str> = inputs.split("\n__ggml_vocab_test__\n").collect();
    let outputs: Vec<&str> = outputs.lines().collect();
    let tested = inputs.iter().zip(&outputs).map(|(text, ids)| {
        let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert_eq!(tokenizer.encode(text), ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ids).unwrap(), *text);
    });
    assert_eq!((tested.count(), outputs.len()), (46, 46));
}

#[test]
fn a_saved_gpt2_is_gpt2() {
    let Some(folder) = shared_data("gpt2_tokenizer") else { return };
    let tokenizer = gpt2(&folder);
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let loaded = Tokenizer::load(dir.path()).unwrap();
    assert_eq!(loaded.token_table(), tokenizer.token_table());
    assert_eq!(loaded.token_to_id("ĠHello"), Some(18435));
    assert_eq!(Tokenizer::load(&folder).unwrap().token_table(), tokenizer.token_table());
}

const IDS_OF_TIKTOKEN: &str = r#"
import base64, json, sys
import tiktoken
ranks = dict(line.split() for line in open(sys.argv[1], 'rb').read().splitlines())
ranks = {base64.b64decode(token): int(rank) for token, rank in ranks.items()}
pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
encoding = tiktoken.Encoding('gpt2', pat_str=pattern, mergeable_ranks=ranks, special_tokens={'<|endoftext|>': 50256})
read = lambda path: open(path, encoding='utf-8', newline='').read()
print(json.dumps([encoding.encode_ordinary(read(path)) for path in sys.argv[2:]]))
"#;

#[test]
fn gpt2_as_a_rank_file_is_gpt2_here_and_in_tiktoken() {
    let (Some(folder), Some(files)) = (shared_data("gpt2_tokenizer"), unicode_files()) else { return };
    let tokenizer = gpt2(&folder);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gpt2.tiktoken");
    tokenizer.save_tiktoken(&file).unwrap();
    let loaded = Tokenizer::load(&file).unwrap();
    assert_eq!(loaded.token_table(), tokenizer.token_table());
    assert_eq!(
        (loaded.special_tokens(), loaded.n_merges()),
        (tokenizer.special_tokens(), tokenizer.n_merges())
    );
    for (path, text) in &files {
        assert!(loaded.encode(text) == tokenizer.encode(text), "{}", path.display());
    }
    let Some(python) = python_with("tiktoken") else { return };
    let paths = files.iter().map(|(path, _)| path);
    let output = Command::new(python).args(["-c", IDS_OF_TIKTOKEN]).arg(&file).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<Vec<u32>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(theirs.len(), files.len());
    for ((path, text), theirs) in files.iter().zip(&theirs) {
        assert!(&tokenizer.encode(text) == theirs, "{}", path.display());
    }
}

#[test]
fn the_languages_of_the_world_round_trip() {
    let (Some(folder), Some(files)) = (shared_data("gpt2_tokenizer"), unicode_files()) else { return };
    let tokenizer = gpt2(&folder);
    for (path, text) in &files {
        let ids = tokenizer.encode(text);
        assert!(tokenizer.decode(&ids).unwrap() == *text, "{}", path.display());
        let mut stream = tokenizer.stream_decoder();
        let streamed: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
        assert!(streamed == *text && stream.finish().is_empty(), "{}", path.display());
    }
}

const IDS_OF_TRANSFORMERS: &str = "
import json, sys
from transformers import AutoTokenizer
for folder in sys.argv[2:]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = []
    for path in json.load(open(sys.argv[1])):
        text = open(path, encoding='utf-8', newline='').read()
        ids.append(tokenizer(text)['input_ids'])
        assert tokenizer.decode(ids[-1]) == text or '<unk>' in tokenizer.get_vocab(), path
    json.dump(ids, open(folder + '/ids.json', 'w'))
";

#[test]
fn transformers_gives_the_same_ids() {
    let (Some(files), Some(python)) = (unicode_files(), python_with("transformers")) else { return };
    let root = tempfile::tempdir().unwrap();
    let special = "before <|endoftext|> and <|endoftext|><|user|> after\r\n<unk> ".to_owned();
    let special_file = root.path().join("special.txt");
    std::fs::write(&special_file, &special).unwrap();
    let files: Vec<_> = files.into_iter().chain([(special_file, special)]).collect();

    let texts = || files.iter().map(|(_, text)| text.as_str());
    let special_tokens = vec!["<|endoftext|>".to_owned(), "<|user|>".to_owned()];
    let byte_level = |pattern| {
        let config = ByteLevelConfig {
            vocab_size: 3000,
            pattern,
            special_tokens: special_tokens.clone(),
            ..ByteLevelConfig::default()
        };
        Tokenizer::train_byte_level(texts(), &config).unwrap()
    };
    let longest_prefix = |texts: &[&str], pattern| {
        let config = LongestPrefixConfig {
            size: VocabularySize::Merges(1000),
            pattern,
            special_tokens: special_tokens.clone(),
            ..LongestPrefixConfig::default()
        };
        let mut trainer = LongestPrefixTrainer::new(config).unwrap();
        texts.iter().for_each(|text| trainer.feed(text));
        trainer.finish().unwrap()
    };
    let tokenizers = [
        ("longest-prefix", longest_prefix(&texts().collect::<Vec<_>>(), Pattern::Gpt2)),
        ("longest-prefix-few", longest_prefix(&[files[0].1.as_str()], Pattern::Cl100k)),
        ("gpt2", byte_level(Pattern::Gpt2)),
        ("cl100k", byte_level(Pattern::Cl100k)),
        ("o200k", byte_level(Pattern::O200k)),
        ("characters", Tokenizer::characters(texts(), &special_tokens).unwrap()),
        (
            "few-characters",
            Tokenizer::characters(["abcdefghijklmnopqrstuvwxyz \n"], &special_tokens).unwrap(),
        ),
    ];
    let list = root.path().join("files.json");
    let paths: Vec<_> = files.iter().map(|(path, _)| std::path::absolute(path).unwrap()).collect();
    std::fs::write(&list, serde_json::to_string(&paths).unwrap()).unwrap();
    let folders = tokenizers.each_ref().map(|(name, tokenizer)| {
        let folder = root.path().join(name);
        tokenizer.save(&folder).unwrap();
        folder
    });
    let output =
        Command::new(python).args(["-c", IDS_OF_TRANSFORMERS]).arg(&list).args(&folders).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for ((name, tokenizer), folder) in tokenizers.iter().zip(&folders) {
        let theirs: Vec<Vec<u32>> =
            serde_json::from_str(&std::fs::read_to_string(folder.join("ids.json")).unwrap()).unwrap();
        assert_eq!(theirs.len(), files.len());
        for ((path, text), theirs) in files.iter().zip(&theirs) {
            assert!(&tokenizer.encode_with_special(text) == theirs, "{name}: {}", path.display());
        }
    }
}

#[test]
fn longest_prefixes_of_tinyshakespeare_are_those_of_the_reference() {
    let Some(folder) = shared_data("tinyshakespeare") else { return };
    let text = std::fs::read_to_string(folder.join("input.txt")).unwrap();
    let trainer = || {
        let config =
            LongestPrefixConfig { size: VocabularySize::Merges(512), ..LongestPrefixConfig::default() };
        let mut trainer = LongestPrefixTrainer::new(config).unwrap();
        trainer.feed(&text);
        trainer
    };
    let (fast, reference) =
        (trainer().finish().unwrap(), trainer().finish_by_reference(&mut |_| {}).unwrap());
    assert_eq!(fast.token_table(), reference.token_table());
    assert_eq!(fast.n_merges(), 512);
    assert_eq!(fast.decode(&fast.encode(&text)).unwrap(), text);
}
