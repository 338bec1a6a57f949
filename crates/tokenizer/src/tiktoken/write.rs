//! Writing rank files, of tokenizers that tiktoken's rule gives the same ids.

use crate::tokenizer::{Algorithm, ordinary_tokens};
use crate::{Tokenizer, TokenizerError, files};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt::Write;
use std::path::Path;

pub(super) fn save(tokenizer: &Tokenizer, path: &Path) -> Result<(), TokenizerError> {
    let lines =
        lines(tokenizer).map_err(|reason| TokenizerError::NotTheSame { path: path.to_owned(), reason })?;
    files::write(path, &lines)
}

/// The file, or why tiktoken would give other ids.
fn lines(tokenizer: &Tokenizer) -> Result<String, String> {
    let parts = tokenizer.parts();
    let Algorithm::ByteLevel(algorithm) = &*parts.algorithm else {
        return Err("it is not byte-level: tiktoken starts from the 256 bytes".to_owned());
    };
    if let Some(token) = parts.added.ordinary().next() {
        return Err(format!(
            "the added token {:?} is not special: tiktoken finds only special tokens before merging",
            token.text
        ));
    }
    let name = |id: u32| parts.vocabulary.text(id).unwrap_or_default();
    let tokens: Vec<(&[u8], u32)> = ordinary_tokens(&parts.vocabulary, &parts.added).collect();
    let mut ids: FxHashMap<&[u8], u32> = FxHashMap::default();
    for &(bytes, id) in &tokens {
        if bytes.is_empty() {
            return Err(format!("the token {:?} of id {id} has no bytes", name(id)));
        }
        if let Some(other) = ids.insert(bytes, id) {
            return Err(format!(
                "the tokens of ids {other} and {id} have the same bytes, those of {:?}",
                name(id)
            ));
        }
    }
    for (byte, id) in (0..=255_u8).zip(algorithm.byte_ids()) {
        if ids.get([byte].as_slice()) != Some(id) {
            return Err(format!("the token {:?} of the byte {byte:#04x} is special", name(*id)));
        }
    }
    let ours: Vec<_> = algorithm.live_merges(tokens.iter().copied()).map(|(_, merge)| merge).collect();
    let reached: FxHashSet<u32> =
        ours.iter().map(|merge| merge.merged).chain(algorithm.byte_ids().iter().copied()).collect();
    if !algorithm.ignore_merges()
        && let Some((_, id)) = tokens.iter().find(|(_, id)| !reached.contains(id))
    {
        return Err(format!(
            "no merges lead to the token {:?}, but tiktoken takes every piece that is a token",
            name(*id)
        ));
    }
    let theirs = super::merges(tokens.iter().copied(), algorithm.byte_ids());
    let both = ours.iter().zip(&theirs);
    if let Some((ours, theirs)) = both.clone().find(|(ours, theirs)| ours != theirs) {
        let [ours, theirs] =
            [ours, theirs].map(|merge| format!("{:?} and {:?}", name(merge.left), name(merge.right)));
        return Err(format!(
            "where it merges {ours}, tiktoken's rule, by the ids of what comes out, merges {theirs}"
        ));
    }
    if ours.len() != theirs.len() {
        let (more, who) =
            if ours.len() > theirs.len() { (&ours, "it") } else { (&theirs, "tiktoken's rule") };
        let merge = &more[both.len()];
        return Err(format!("{who} alone merges {:?} and {:?}", name(merge.left), name(merge.right)));
    }
    let mut lines = String::new();
    for (bytes, id) in tokens {
        let _ = writeln!(lines, "{} {id}", BASE64_STANDARD.encode(bytes));
    }
    Ok(lines)
}
