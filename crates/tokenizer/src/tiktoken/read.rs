//! Reading the lines of a rank file.

use crate::{TokenizerError, files};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustc_hash::FxHashMap;
use std::path::Path;

/// How much of a wrong line is shown.
const SHOWN: usize = 60;

/// A token of the file.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) bytes: Box<[u8]>,
    pub(super) rank: u32,
}

/// All tokens, each token and each rank once.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, TokenizerError> {
    let content = files::read_bytes(path)?;
    let malformed = |number: usize, message: String| TokenizerError::Malformed {
        path: path.to_owned(),
        field: format!("line {number}"),
        message,
    };
    let mut lines = Vec::new();
    // In which line a rank and a token stand.
    let (mut ranks, mut tokens) = (FxHashMap::default(), FxHashMap::default());
    for (number, line) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let Line { bytes, rank } = parse(line).map_err(|reason| malformed(number, reason))?;
        if let Some(other) = ranks.insert(rank, number) {
            return Err(malformed(number, format!("the rank {rank} is that of line {other} too")));
        }
        if let Some(other) = tokens.insert(bytes.clone(), number) {
            let token = String::from_utf8_lossy(&bytes).into_owned();
            return Err(malformed(number, format!("the token {token:?} is that of line {other} too")));
        }
        lines.push(Line { bytes, rank });
    }
    Ok(lines)
}

fn parse(line: &[u8]) -> Result<Line, String> {
    let shown = || {
        let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
        format!("{text:?}{}", if line.len() > SHOWN { " …" } else { "" })
    };
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let (Some(token), Some(rank), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(format!("{} is not a token in base64 and its rank", shown()));
    };
    let bytes =
        BASE64_STANDARD.decode(token).map_err(|_| format!("the token of {} is not base64", shown()))?;
    if bytes.is_empty() {
        return Err(format!("the token of {} is empty", shown()));
    }
    let rank = std::str::from_utf8(rank).ok().and_then(|rank| rank.parse().ok());
    let rank =
        rank.ok_or_else(|| format!("the rank of {} is not a number from 0 to {}", shown(), u32::MAX))?;
    Ok(Line { bytes: bytes.into(), rank })
}
