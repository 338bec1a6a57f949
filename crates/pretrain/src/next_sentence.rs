//! Pairs of segments, of which the second follows the first in the text or was taken from anywhere.

use crate::draws::Draws;
use firebrand_corpus::shards::TokenSplit;
use firebrand_training::BatchKey;

/// Next-sentence prediction [Devlin 2018]: of a row the first half is a segment, and behind it comes the second half, or as often a
/// window of the same length from any place of the text. Segments are halves of rows, not sentences: a stream of tokens does
/// not say where sentences end.
#[derive(Debug, Clone)]
pub struct NextSentence {
    /// The id in front of a pair.
    pub cls: u32,
    /// The id behind each segment.
    pub sep: u32,
    /// The longest pair, with those three: at least 5.
    pub context: usize,
    /// Where other segments are taken from in training.
    pub training: TokenSplit,
    /// Where they are taken from in evaluation.
    pub evaluation: TokenSplit,
}

/// `[CLS] A [SEP] B [SEP]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The tokens.
    pub ids: Vec<u32>,
    /// For each token 0, in the second segment (with what ends it) 1.
    pub types: Vec<u32>,
    /// Whether the second segment was taken from anywhere.
    pub is_random: bool,
}

impl NextSentence {
    /// The tokens that it needs.
    pub const TOKENS: [&'static str; 2] = ["[CLS]", "[SEP]"];

    /// The shortest context in which two segments have a token each.
    pub const SHORTEST: usize = 5;

    /// How long each segment of a pair from a row of `seq` ids is; 0 where there is no room for two.
    pub fn segment(&self, seq: usize) -> usize {
        (self.context.saturating_sub(3) / 2).min(seq / 2)
    }

    /// The pair made of `ids`, which stand at place `row` of the batch that `key` is of.
    pub fn pair(&self, ids: &[u32], key: BatchKey, row: usize) -> Pair {
        let len = self.segment(ids.len());
        let mut second = ids[len..2 * len].to_vec();
        let mut draws = Draws::new("next-sentence", key, row);
        let texts = if key.training { &self.training } else { &self.evaluation };
        let mut is_random = draws.happens(0.5);
        if is_random {
            // A text too short to take anything from has next segments only, and so has one whose file was changed: whoever
            // reads the rows complains about it.
            is_random =
                texts.len() >= len && texts.fill(draws.below(texts.len() - len + 1), &mut second).is_ok();
        }
        let first = [&[self.cls], &ids[..len], &[self.sep]].concat();
        let types = [vec![0; first.len()], vec![1; len + 1]].concat();
        Pair { ids: [first, second, vec![self.sep]].concat(), types, is_random }
    }
}
