//! llama2.c's tokenizers give sentencepiece's ids, decode to the text, and are saved for Hugging Face where that is the same.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{python_with, shared_data};
use firebrand_tokenizer::Tokenizer;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
    ids: Vec<(String, Vec<u32>)>,
}

fn load(file: &[u8]) -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tok.bin");
    std::fs::write(&path, file).unwrap();
    Tokenizer::load(&path).unwrap()
}

/// The tokenizer after it was saved and loaded, and the kind of its file.
fn saved(tokenizer: &Tokenizer) -> (Tokenizer, String) {
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let json = std::fs::read(dir.path().join("tokenizer.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let loaded = Tokenizer::load(dir.path()).unwrap();
    let again = tempfile::tempdir().unwrap();
    loaded.save(again.path()).unwrap();
    assert!(json == std::fs::read(again.path().join("tokenizer.json")).unwrap(), "the file changed");
    (loaded, file["model"]["type"].as_str().unwrap().to_owned())
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String = text
        .trim_end_matches('=')
        .chars()
        .map(|char| format!("{:06b}", DIGITS.find(char).unwrap()))
        .collect();
    bits.as_bytes()
        .chunks_exact(8)
        .map(|bits| u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2).unwrap())
        .collect()
}

/// What holds for every such tokenizer and text.
fn check_text(tokenizer: &Tokenizer, text: &str) {
    let ids = tokenizer.encode(text);
    assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    assert_eq!(tokenizer.encode_bytes(text.as_bytes()), ids);
    let framed = tokenizer.encode_with_special(text);
    assert_eq!((framed[0], &framed[1..]), (1, &*ids), "{text:?}");
    assert_eq!(tokenizer.decode(&framed).unwrap(), format!("\n<s>\n{text}"));
    let mut stream = tokenizer.stream_decoder();
    let streamed: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
    assert_eq!(streamed + &stream.finish(), text);
    let (again, ranges) = tokenizer.encode_with_offsets(text);
    assert_eq!(again, ids);
    let mut end = 0;
    for range in &ranges {
        assert_eq!(range.start, end);
        end = range.end;
    }
    assert_eq!(end, text.len());
    for (at, range) in ranges.iter().enumerate() {
        let bytes = tokenizer.decode_bytes(&ids[..=at]).unwrap();
        assert_eq!(bytes, text.as_bytes()[..range.end], "{text:?}");
    }
    assert_eq!(tokenizer.encode_at_most(text, 3), ids[..ids.len().min(3)]);
}

#[test]
fn golden_files_give_the_ids_of_sentencepiece() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/llama2c.json");
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    let mut kinds = std::collections::BTreeMap::new();
    for Case { name, file, ids } in cases {
        let tokenizer = load(&base64(&file));
        let (again, kind) = saved(&tokenizer);
        *kinds.entry(kind).or_insert(0) += 1;
        for (text, ids) in &ids {
            assert_eq!(&tokenizer.encode(text), ids, "{name}: {text:?}");
            assert_eq!(&again.encode(text), ids, "{name}, saved: {text:?}");
            check_text(&tokenizer, text);
            check_text(&again, text);
        }
    }
    assert!(kinds["BPE"] >= 1 && kinds["TiedBPE"] >= 8, "{kinds:?}");
}

/// The tokenizer of the 260 K model, and real texts.
fn stories260k() -> Option<(PathBuf, Tokenizer, Vec<PathBuf>)> {
    let file = shared_data("stories260k/tok512.bin")?;
    let mut texts = Vec::new();
    for part in ["tinyshakespeare", "tinystories", "unicode", "unicode/udhr"] {
        let entries = std::fs::read_dir(shared_data(part)?).unwrap().map(|entry| entry.unwrap().path());
        texts.extend(entries.filter(|path| path.is_file() && std::fs::read_to_string(path).is_ok()));
    }
    texts.sort();
    assert!(texts.len() > 30);
    Some((file.clone(), Tokenizer::load(&file).unwrap(), texts))
}

#[test]
fn a_story_is_the_known_ids() {
    let Some((_, tokenizer, _)) = stories260k() else { return };
    assert_eq!((tokenizer.vocab_size(), tokenizer.n_merges()), (512, 512 - 259 - 102));
    let shown = |text: &str| -> Vec<String> {
        tokenizer.encode(text).iter().map(|&id| tokenizer.id_to_token(id).unwrap().to_owned()).collect()
    };
    assert_eq!(
        shown("Once upon a time, Zoë\n"),
        [" Once", " upon", " a", " time", ",", " ", "Z", "o", "<0xC3>", "<0xAB>", "<0x0A>"]
    );
    assert_eq!(shown(""), [""; 0]);
    assert_eq!(shown(" "), [" ", " "]);
    assert_eq!(
        tokenizer.encode_bytes(b"\xff a"),
        [" ", "<0xFF>", " a"].map(|token| tokenizer.token_to_id(token).unwrap())
    );
    assert_eq!(tokenizer.decode_bytes(&tokenizer.encode_bytes(b"\xff a")).unwrap(), b"\xff a");
    assert_eq!(tokenizer.special_tokens().iter().map(|(_, id)| *id).collect::<Vec<_>>(), [0, 1, 2]);
    // What goes on a prompt keeps its space; what follows the begin token loses it.
    let [once, upon] = [" Once", " upon"].map(|token| tokenizer.token_to_id(token).unwrap());
    assert_eq!(tokenizer.decode(&[once, upon]).unwrap(), "Once upon");
    assert_eq!(tokenizer.decode_behind(&[1, once], &[upon]).unwrap(), " upon");
    assert_eq!(tokenizer.decode_behind(&[1], &[once]).unwrap(), "Once");
    assert_eq!(tokenizer.stream_decoder_behind(&[once]).push(upon).unwrap(), " upon");
    // A byte that is a space is no prefix.
    assert_eq!(tokenizer.decode(&[3 + 32, once]).unwrap(), "  Once");
    // A document cannot spell special tokens; where they may be spelled, a text begins anew behind each.
    let text = "a\n<s>\nb";
    assert!(!tokenizer.encode(text).contains(&1));
    assert_eq!(tokenizer.decode(&tokenizer.encode(text)).unwrap(), text);
    assert_eq!(tokenizer.decode(&tokenizer.encode_with_special(text)).unwrap(), format!("\n<s>\n{text}"));
    assert_eq!(tokenizer.safe_cut("a b c"), None);
}

/// The ids that a script gives the texts: it finds their paths, and another path, in its arguments.
fn ids_by(python: &Path, script: &str, argument: &Path, texts: &[PathBuf]) -> Vec<Vec<u32>> {
    let output = Command::new(python).args(["-c", script]).arg(argument).args(texts).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const SENTENCEPIECE: &str = "
import json, struct, sys
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb
data = open(sys.argv[1], 'rb').read()
model, at = pb.ModelProto(), 4
while at < len(data):
    score, length = struct.unpack_from('<fi', data, at)
    token = data[at + 8 : at + 8 + length].decode()
    at += 8 + length
    number = len(model.pieces)
    kind = {0: 2, 1: 3, 2: 3}.get(number, 6 if number < 259 else 1)
    model.pieces.add(piece=token.strip('\\n').replace(' ', '\\u2581'), score=score, type=kind)
model.trainer_spec.model_type = pb.TrainerSpec.BPE
model.trainer_spec.vocab_size = len(model.pieces)
model.trainer_spec.byte_fallback = True
model.normalizer_spec.name = 'identity'
model.normalizer_spec.add_dummy_prefix = True
model.normalizer_spec.remove_extra_whitespaces = False
processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
print(json.dumps([processor.encode(open(path, encoding='utf-8', newline='').read()) for path in sys.argv[2:]]))
";

#[test]
fn real_texts_have_the_ids_of_sentencepiece() {
    let Some((file, tokenizer, mut paths)) = stories260k() else { return };
    let Some(python) = python_with("sentencepiece") else { return };
    // sentencepiece writes a space as this sign, and takes the sign for a space; NUL ends what it is given.
    paths.retain(|path| !std::fs::read_to_string(path).unwrap().contains(['\u{2581}', '\0']));
    assert!(paths.len() > 30);
    let (again, kind) = saved(&tokenizer);
    assert_eq!(kind, "BPE");
    for (path, theirs) in paths.iter().zip(ids_by(&python, SENTENCEPIECE, &file, &paths)) {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(tokenizer.encode(&text) == theirs, "{}", path.display());
        assert!(again.encode(&text) == theirs, "{}", path.display());
        assert!(tokenizer.decode(&theirs).unwrap() == text, "{}", path.display());
    }
}

const TRANSFORMERS: &str = "
import json, sys
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
ids = []
for path in sys.argv[2:]:
    text = open(path, encoding='utf-8', newline='').read()
    ids.append(tokenizer(text)['input_ids'])
    # Behind a special token Hugging Face's decoder leaves the space that its encoder puts there.
    assert '<s>' in text or tokenizer.decode(ids[-1][1:]) == text, path
print(json.dumps(ids))
";

#[test]
fn transformers_gives_the_same_ids_and_refuses_ties() {
    let Some((_, tokenizer, mut paths)) = stories260k() else { return };
    let Some(python) = python_with("transformers") else { return };
    let dir = tempfile::tempdir().unwrap();
    let special = dir.path().join("special.txt");
    std::fs::write(&special, "before\n<s>\nbehind \n<s>\n\n</s>\n \u{2581}\n<s>\n").unwrap();
    paths.push(special);
    tokenizer.save(dir.path()).unwrap();
    for (path, theirs) in paths.iter().zip(ids_by(&python, TRANSFORMERS, dir.path(), &paths)) {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(tokenizer.encode_with_special(&text) == theirs, "{}", path.display());
    }
    // Two tokens of one score.
    let file = tie();
    let tied = load(&file);
    let (_, kind) = saved(&tied);
    assert_eq!(kind, "TiedBPE");
    tied.save(dir.path()).unwrap();
    let output = Command::new(python).args(["-c", TRANSFORMERS]).arg(dir.path()).output().unwrap();
    assert!(!output.status.success(), "Hugging Face read a file that says what it cannot");
}

/// A file of llama2.c with these ordinary tokens.
fn file(ordinary: &[(&str, f32)]) -> Vec<u8> {
    let first = ["<unk>", "\n<s>\n", "\n</s>\n"].map(String::from).into_iter();
    let first = first.chain((0..=255).map(|byte| format!("<0x{byte:02X}>"))).map(|text| (text, 0.0));
    let mut file = 8_i32.to_le_bytes().to_vec();
    for (text, score) in first.chain(ordinary.iter().map(|(text, score)| ((*text).to_owned(), *score))) {
        file.extend(score.to_le_bytes());
        file.extend((text.len() as i32).to_le_bytes());
        file.extend(text.as_bytes());
    }
    file
}

fn tie() -> Vec<u8> {
    file(&[("ab", -1.0), ("ba", -1.0), ("a", -9.0), ("b", -9.0), (" ", -9.0)])
}

#[test]
fn of_equal_scores_the_leftmost_goes_first_and_very_low_ones_never() {
    let tokenizer = load(&tie());
    let shown = |tokenizer: &Tokenizer, text: &str| -> Vec<String> {
        tokenizer.encode(text).iter().map(|&id| tokenizer.id_to_token(id).unwrap().to_owned()).collect()
    };
    for tokenizer in [&tokenizer, &saved(&tokenizer).0] {
        assert_eq!(shown(tokenizer, "aba"), [" ", "ab", "a"]);
        assert_eq!(shown(tokenizer, "bab"), [" ", "ba", "b"]);
    }
    let tokenizer = load(&file(&[("ab", -1e10), ("ba", -9e9), ("a", -2e10), ("b", -0.0), (" ", 0.0)]));
    assert_eq!(shown(&tokenizer, "abab"), [" ", "a", "ba", "b"]);
    let (again, kind) = saved(&tokenizer);
    assert_eq!((shown(&again, "abab"), kind.as_str()), (shown(&tokenizer, "abab"), "BPE"));
}

#[test]
fn long_texts_without_spaces_take_no_quadratic_time() {
    let tokenizer =
        load(&file(&[("ab", -1.0), ("abab", -2.0), ("a", -9.0), ("b", -9.0), (" ", -9.0), ("a b", -3.0)]));
    let text = "abababa".repeat(100_000);
    assert_eq!(tokenizer.decode(&tokenizer.encode(&text)).unwrap(), text);
}
