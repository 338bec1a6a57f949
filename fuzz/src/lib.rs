//! What the fuzz targets share: texts worth trying, comparing tokenizers, and what must hold of every loaded one.

use arbitrary::Arbitrary;
use firebrand_tokenizer::{Pattern, Tokenizer};
use serde_json::Value;
use std::path::Path;

/// A text: anything, or one of few parts, so that pairs repeat, overlap and tie, and patterns meet what they care about.
#[derive(Arbitrary, Debug)]
pub enum Text {
    /// Anything.
    Any(String),
    /// Of two letters.
    Letters(Vec<bool>),
    /// Of what patterns care about.
    Parts(Vec<u8>),
}

const PARTS: [&str; 32] = [
    "the",
    "The",
    "a",
    "b",
    "'s",
    "'LL",
    "'",
    "1",
    "23",
    "½",
    "é",
    "e\u{301}",
    "\u{301}",
    "日",
    "。",
    "ǅ",
    "ʰ",
    "🦙",
    "-",
    "/",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\u{a0}",
    "\u{2003}",
    "\u{200b}",
    "<|endoftext|>",
    "<unk>",
    "<0x0A>",
    "\0",
];

impl Text {
    /// The text itself.
    pub fn text(&self) -> String {
        match self {
            Text::Any(text) => text.clone(),
            Text::Letters(letters) => letters.iter().map(|&letter| if letter { 'a' } else { 'b' }).collect(),
            Text::Parts(parts) => parts.iter().map(|&part| PARTS[usize::from(part) % PARTS.len()]).collect(),
        }
    }
}

/// A pattern: custom ones from a list, since an expression that takes exponential time is no finding.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum AnyPattern {
    Gpt2,
    Cl100k,
    O200k,
    None,
    Vowels,
    Words,
    Empty,
}

impl From<AnyPattern> for Pattern {
    fn from(pattern: AnyPattern) -> Self {
        match pattern {
            AnyPattern::Gpt2 => Pattern::Gpt2,
            AnyPattern::Cl100k => Pattern::Cl100k,
            AnyPattern::O200k => Pattern::O200k,
            AnyPattern::None => Pattern::None,
            AnyPattern::Vowels => Pattern::Custom(r"\p{N}|[aeiou]+(?!x)".into()),
            AnyPattern::Words => Pattern::Custom(r"\w+".into()),
            AnyPattern::Empty => Pattern::Custom("b*".into()),
        }
    }
}

/// Fails unless two tokenizers have the same tokens and the same ids for a text.
pub fn assert_same(a: &Tokenizer, b: &Tokenizer, text: &str) {
    assert_eq!(a.vocab_size(), b.vocab_size());
    for id in 0..a.vocab_size() as u32 {
        assert_eq!(a.id_to_token(id), b.id_to_token(id), "the token {id}");
    }
    assert_eq!(a.n_merges(), b.n_merges());
    assert_eq!(a.special_tokens(), b.special_tokens());
    assert_eq!(a.token_table(), b.token_table());
    assert_eq!(a.encode(text), b.encode(text));
    assert_eq!(a.encode_with_special(text), b.encode_with_special(text));
    assert_eq!(a.encode_bytes(text.as_bytes()), b.encode_bytes(text.as_bytes()));
}

/// What a tokenizer from files is tried with.
const PROBE: &str =
    "The theme of thé thing's 1234 日本 🦙\n\n  it'S <|endoftext|> <unk> <0x0A> abab aab x\u{301}\0 \t";

/// Loads what may be a tokenizer. It is an error or a tokenizer that works, and that is the same when it has been saved.
pub fn check_load(path: &Path) {
    let Ok(tokenizer) = Tokenizer::load(path) else { return };
    let ids = tokenizer.encode(PROBE);
    tokenizer.decode(&ids).expect("what encoding gives can be decoded");
    tokenizer.decode_bytes(&tokenizer.encode_with_special(PROBE)).expect("and with special tokens");
    tokenizer.decode_bytes(&tokenizer.encode_bytes(b"a\xff\xe6\x97b")).expect("and of bytes");
    let (with_offsets, ranges) = tokenizer.encode_with_offsets(PROBE);
    assert_eq!((with_offsets.len(), ranges.len()), (ids.len(), ids.len()));
    assert_eq!(tokenizer.encode_at_most(PROBE, 7), ids[..ids.len().min(7)]);
    if let Some(cut) = tokenizer.safe_cut(PROBE) {
        let sides = [tokenizer.encode(&PROBE[..cut]), tokenizer.encode(&PROBE[cut..])];
        assert_eq!(sides.concat(), ids, "cut at {cut}");
    }
    let unknown = tokenizer.token_to_id("<unk>");
    let is_special = |id: &u32| tokenizer.special_tokens().iter().any(|(_, special)| special == id);
    let dir = tempfile::tempdir().expect("a folder for the file");
    tokenizer.save(dir.path()).expect("a tokenizer can be saved");
    let again = Tokenizer::load(dir.path()).expect("what was saved can be loaded");
    assert_same(&tokenizer, &again, PROBE);
    let text = std::fs::read_to_string(dir.path().join("tokenizer.json")).expect("the file was written");
    let saved: Value = serde_json::from_str(&text).expect("what was saved is JSON");
    if saved["decoder"]["type"] == "ByteLevel" {
        assert_eq!(tokenizer.decode(&ids).expect("its own ids"), PROBE);
        assert_eq!(ranges.last().map(|range| range.end), Some(PROBE.len()));
        assert!(!ids.iter().any(is_special), "a document spells no special token");
    } else if saved["model"]["unk_token"] == "<unk>" {
        assert!(!ids.iter().any(|id| is_special(id) && Some(*id) != unknown), "only the unknown one");
    }
}
