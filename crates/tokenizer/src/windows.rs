//! Merging a long piece window by window: one of any length costs no more for each byte than short ones do, and a run of one
//! letter is merged once.
//!
//! A window is merged from where a token begins; of its tokens those far from its end are kept, and the next window begins
//! behind them. If the first token there does not go with the last one kept, the window was too small to tell: a larger one
//! is merged from further back. That neighbours which go together are what merging gives is shown in
//! [`backtracking`](crate::byte_level).

use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;
use std::ops::Range;

/// How long windows are at first, in bytes.
const WIDTH: usize = 256;
/// What part of a window is far enough from its end that nothing behind it matters, as a rule: all but one of so many.
const REACH: usize = 8;
/// How many windows are remembered.
const REMEMBERED: usize = 64;

/// What a window became, so that the same bytes need not be merged again. As windows grow, older ones are equal to none.
#[derive(Clone, Default)]
struct Known {
    window: Range<usize>,
    /// Where the tokens stand that were kept.
    kept: Range<usize>,
    /// How many bytes those are.
    n_bytes: usize,
    /// The token behind them.
    next: u32,
}

/// Whether a piece is worth windows.
pub(crate) fn suit(piece: &[u8]) -> bool {
    piece.len() > 2 * WIDTH
}

/// Appends the tokens of a piece to `out`. `merge` appends those of a part alone; `n_bytes` is how many bytes a token has. `O(n log n)`
/// if `merge` is, for windows grow by doubling and never shrink.
pub(crate) fn merge_in_windows(
    piece: &[u8],
    n_bytes: impl Fn(u32) -> usize,
    mut merge: impl FnMut(&[u8], &mut Vec<u32>),
    out: &mut Vec<u32>,
) {
    let mut known = vec![Known::default(); REMEMBERED];
    let (mut tokens, mut pair) = (Vec::new(), Vec::new());
    let (mut start, mut width) = (0, WIDTH);
    // The token at `start` as the window before has it.
    let mut expected = None;
    loop {
        let end = piece.len().min(start + width);
        let window = &piece[start..end];
        let place = FxBuildHasher.hash_one(window) as usize % REMEMBERED;
        let before = &known[place];
        if end < piece.len()
            && window == &piece[before.window.clone()]
            && expected == out.get(before.kept.start).copied()
        {
            out.extend_from_within(before.kept.clone());
            start += before.n_bytes;
            expected = Some(before.next);
            continue;
        }
        tokens.clear();
        merge(window, &mut tokens);
        let mut goes_with = |last: u32| {
            pair.clear();
            merge(&piece[start - n_bytes(last)..start + n_bytes(tokens[0])], &mut pair);
            pair == [last, tokens[0]]
        };
        let right = start == 0 || expected == Some(tokens[0]) || goes_with(out[out.len() - 1]);
        let (mut kept, mut bytes) = (tokens.len(), window.len());
        while end < piece.len() && kept > 0 && bytes > width - width / REACH {
            kept -= 1;
            bytes -= n_bytes(tokens[kept]);
        }
        if !right || kept == 0 {
            width *= 2;
            let further_back = start.saturating_sub(width / 2);
            while start > further_back {
                start -= out.pop().map_or(start, &n_bytes);
            }
            expected = None;
            continue;
        }
        let first = out.len();
        out.extend_from_slice(&tokens[..kept]);
        let Some(&next) = tokens.get(kept) else { break };
        known[place] = Known { window: start..end, kept: first..out.len(), n_bytes: bytes, next };
        start += bytes;
        expected = Some(next);
    }
}
