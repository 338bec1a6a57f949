//! BPE by scores as Hugging Face's BPE with byte fallback.
//!
//! Only one pair ever becomes a given token, so that the merges in the order of scores say the same as the scores, as long as
//! these differ. Where some are equal, the leftmost of *different* merges goes first, which no list of merges can say: those
//! are written as a kind of our own with a rank for each merge, which Hugging Face refuses.
//!
//! A space is written as a space. Llama's own files have `▁` for it, and so take a `▁` in a text for a space too. As for Llama,
//! Hugging Face's decoder takes the first space off at the very beginning alone, not behind a special token.

use super::read::{Source, build_vocabulary, read_merges, read_vocab, typed};
use super::schema::{Bpe, File, kind};
use super::write;
use crate::TokenizerError;
use crate::added::{AddedToken, AddedTokens};
use crate::longest_prefix::byte_token;
use crate::merging::{Merge, last_of_each};
use crate::scored::{PREFIX, Scored, Start};
use crate::tokenizer::{Algorithm, Frame, Parts};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};
use std::sync::Arc;

/// Our own kind, with `ranks`.
const TIED: &str = "TiedBPE";

pub(super) fn normalizer() -> Value {
    json!({"type": "Prepend", "prepend": PREFIX})
}

pub(super) fn decoder() -> Value {
    let strip = json!({"type": "Strip", "content": PREFIX, "start": 1, "stop": 0});
    json!({"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}, strip]})
}

pub(super) fn model(parts: &Parts, algorithm: &Scored) -> Value {
    let merges = write::merges(parts, algorithm.merges());
    let model = Bpe { byte_fallback: true, ..write::model(parts, merges) };
    let Some(ranks) = algorithm.tied_ranks() else { return json!(model) };
    let mut model = json!(Bpe { kind: Some(TIED.to_owned()), ..model });
    model["ranks"] = json!(ranks);
    model
}

/// Whether a file is of the kind that is written here.
pub(super) fn is_scored(file: &File) -> bool {
    kind(&file.model) == TIED || file.normalizer == normalizer()
}

pub(super) fn read(source: Source<'_>, file: &File, added: Vec<AddedToken>) -> Result<Parts, TokenizerError> {
    let tied = kind(&file.model) == TIED;
    let model: Bpe = typed(&file.model, source, "model")?;
    check(source, file, &model)?;
    let mut entries = read_vocab(&model.vocab, source, "model.vocab")?;
    entries.extend(added.iter().map(|token| (token.text.clone(), token.id)));
    if let Some(token) = added.iter().find(|token| !token.special || token.normalized) {
        let found = format!("{:?}, which is normalized or not special", token.text);
        return Err(source.unsupported(
            "added_tokens",
            found,
            "special tokens where a space begins every text",
        ));
    }
    let added = AddedTokens::new(added)?;
    let byte_of: FxHashMap<String, u8> = (0..=255).map(|byte| (byte_token(byte), byte)).collect();
    let bytes_of =
        |_: u32, text: &str| byte_of.get(text).map_or_else(|| text.as_bytes().to_vec(), |&byte| vec![byte]);
    let vocabulary = build_vocabulary(source, "model.vocab", entries, bytes_of)?;
    let find = |field: &dyn Fn() -> String, text: &str| {
        let missing = || source.malformed(field(), format!("{text:?} is not in the vocabulary"));
        vocabulary.id(text).ok_or_else(missing)
    };
    let mut byte_ids = Box::new([0; 256]);
    for (id, byte) in byte_ids.iter_mut().zip(0..=255) {
        *id = find(&|| "model.vocab".to_owned(), &byte_token(byte))?;
    }
    let taken: FxHashSet<u32> =
        added.tokens().iter().map(|token| token.id).chain(byte_ids.iter().copied()).collect();
    let ordinary = vocabulary.iter().filter(|(id, _)| !taken.contains(id)).map(|(id, text)| (text, id));
    let start = Start::new(ordinary, byte_ids).ok_or_else(|| {
        source.malformed("model.vocab", format!("has no token for {PREFIX:?}, with which every text begins"))
    })?;
    let mut merges = Vec::new();
    for (index, (left, right)) in read_merges(&model.merges, source)?.iter().enumerate() {
        let field = || format!("model.merges[{index}]");
        let ids = [left.clone(), right.clone(), format!("{left}{right}")];
        let [left, right, merged] = [find(&field, &ids[0])?, find(&field, &ids[1])?, find(&field, &ids[2])?];
        if let Some(id) = [left, right, merged].into_iter().find(|id| taken.contains(id)) {
            let message =
                format!("merges {:?}, a special token or a byte", vocabulary.text(id).unwrap_or_default());
            return Err(source.malformed(field(), message));
        }
        merges.push(Merge { left, right, merged });
    }
    let ranked =
        if tied { ranked(source, &file.model, merges)? } else { (0..).zip(last_of_each(merges)).collect() };
    let algorithm = Scored::from_merges(start, ranked, |id| vocabulary.text(id).unwrap_or_default());
    Ok(Parts {
        algorithm: Arc::new(Algorithm::Scored(algorithm)),
        vocabulary,
        added,
        frame: Frame::default(),
    })
}

/// The merges with the ranks that the file gives them.
fn ranked(
    source: Source<'_>,
    model: &Value,
    merges: Vec<Merge>,
) -> Result<Vec<(u32, Merge)>, TokenizerError> {
    let ranks: Vec<u32> = typed(model.get("ranks").unwrap_or(&Value::Null), source, "model.ranks")?;
    if ranks.len() != merges.len() {
        let message = format!("has {} ranks for {} merges", ranks.len(), merges.len());
        return Err(source.malformed("model.ranks", message));
    }
    if let Some(at) = ranks.windows(2).position(|pair| pair[0] > pair[1]) {
        let message =
            format!("{} follows {}: merges stand in the order of their ranks", ranks[at + 1], ranks[at]);
        return Err(source.malformed(format!("model.ranks[{}]", at + 1), message));
    }
    let mut seen = FxHashSet::default();
    if let Some(index) = merges.iter().position(|merge| !seen.insert(merge.pair())) {
        return Err(source.malformed(format!("model.merges[{index}]"), "is given before: leave one out"));
    }
    if ranks.last() == Some(&u32::MAX) {
        return Err(source.malformed("model.ranks", format!("{} is too large", u32::MAX)));
    }
    Ok(ranks.into_iter().zip(merges).collect())
}

fn check(source: Source<'_>, file: &File, model: &Bpe) -> Result<(), TokenizerError> {
    let with = "BPE with byte_fallback, as this program writes tokenizers of llama2.c, where the normalizer is Prepend";
    let parts = [
        ("normalizer", &file.normalizer, normalizer()),
        ("pre_tokenizer", &file.pre_tokenizer, Value::Null),
        ("decoder", &file.decoder, decoder()),
    ];
    if let Some((field, found, _)) = parts.into_iter().find(|(_, found, expected)| *found != expected) {
        return Err(source.unsupported(field, found.to_string(), with));
    }
    let kind = model.kind.as_deref().unwrap_or("BPE");
    if !["BPE", TIED].contains(&kind) {
        return Err(source.unsupported("model.type", kind, with));
    }
    for (field, text) in [
        ("model.continuing_subword_prefix", &model.continuing_subword_prefix),
        ("model.end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
            return Err(source.unsupported(field, format!("{text:?}"), with));
        }
    }
    let flags = [
        ("model.byte_fallback", !model.byte_fallback, "false"),
        ("model.ignore_merges", model.ignore_merges, "true"),
        ("model.dropout", model.dropout.is_some_and(|dropout| dropout != 0.0), "not 0"),
    ];
    match flags.into_iter().find(|(_, wrong, _)| *wrong) {
        Some((field, _, found)) => Err(source.unsupported(field, found, with)),
        None => Ok(()),
    }
}
