//! More than plain encoding: special tokens refused, offsets, no more than so many tokens.

use crate::added::Part;
use crate::longest_prefix::Unknown;
use crate::normalization::original;
use crate::pieces::parts_of;
use crate::seen::Seen;
use crate::tokenizer::Algorithm;
use crate::{Normalization, Tokenizer, TokenizerError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much text is encoded at a time where only the first ids are wanted, in bytes for each of them. Tokens are rarely
/// longer.
const BYTES_PER_ID: usize = 8;
/// And at least.
const FEWEST_BYTES: usize = 4096;
/// About how much text of a batch a thread takes at a time.
const BATCH_PART: usize = 1 << 16;

impl Tokenizer {
    /// The ids of a text that must not spell a special token: for text of users where it would be read as one later.
    /// [`encode`](Self::encode) makes ordinary tokens of it, [`encode_with_special`](Self::encode_with_special) the special one.
    ///
    /// # Errors
    /// When the text spells one; the message says where.
    pub fn encode_refusing_special(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let (added, mut found) = (&self.parts().added, None);
        let mut look = |part: Part<'_>, offset| {
            if let Part::Token(id) = part
                && found.is_none()
                && added.is_special(id)
            {
                let token = self.id_to_token(id).unwrap_or_default().to_owned();
                found = Some(TokenizerError::SpecialTokenInText { token, offset });
            }
        };
        added.for_each_raw_part(text, true, |part, range| match part {
            Part::Token(_) => look(part, range.start),
            // A special token that is looked for in normalized text: where it stands is not known more exactly.
            Part::Text(text) => added.for_each_part(text, true, |part| look(part, range.start)),
        });
        match found {
            Some(error) => Err(error),
            None => Ok(self.encode(text)),
        }
    }

    /// The ids of a text, and which of its bytes each stands for. Together they are all of the text, in order. A token of a
    /// byte-level vocabulary may begin or end inside a character. Where normalization changes characters, their tokens have
    /// the bytes of all of them. A space that the tokenizer puts before every text (llama2.c's) is no byte of it.
    ///
    /// ```
    /// # use firebrand_tokenizer::{ByteLevelConfig, Tokenizer};
    /// # let config = ByteLevelConfig { vocab_size: 260, ..ByteLevelConfig::default() };
    /// let tokenizer = Tokenizer::train_byte_level(["the the the"], &config)?;
    /// let (ids, ranges) = tokenizer.encode_with_offsets("the end");
    /// assert_eq!(ids.len(), ranges.len());
    /// assert_eq!(&"the end"[ranges[0].clone()], "the");
    /// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
    /// ```
    pub fn encode_with_offsets(&self, text: &str) -> (Vec<u32>, Vec<Range<usize>>) {
        let added = &self.parts().added;
        let (mut ids, mut ranges, mut seen) = (Vec::new(), Vec::new(), Seen::new(text.len()));
        added.for_each_raw_part(text, false, |part, place| match part {
            Part::Token(id) => {
                ids.push(id);
                ranges.push(place);
            }
            Part::Text(text) => {
                let first = ranges.len();
                let offset = |range: Range<usize>| place.start + range.start..place.start + range.end;
                if added.normalization() == Normalization::None {
                    self.offsets_in_normalized(text, &mut seen, &mut ids, &mut ranges);
                    ranges[first..].iter_mut().for_each(|range| *range = offset(range.clone()));
                } else {
                    let (normalized, parts) = added.normalization().apply_with_parts(text);
                    self.offsets_in_normalized(&normalized, &mut seen, &mut ids, &mut ranges);
                    ranges[first..].iter_mut().for_each(|range| *range = offset(original(&parts, range)));
                }
            }
        });
        (ids, ranges)
    }

    /// Appends the ids and offsets of a text that normalization leaves alone.
    fn offsets_in_normalized(
        &self,
        text: &str,
        seen: &mut Seen,
        ids: &mut Vec<u32>,
        ranges: &mut Vec<Range<usize>>,
    ) {
        let parts = self.parts();
        let unknown = match &*parts.algorithm {
            Algorithm::LongestPrefix(algorithm) => match algorithm.unknown() {
                Unknown::Token(id) => Some(*id),
                Unknown::Bytes(_) => None,
            },
            Algorithm::ByteLevel(_) | Algorithm::Scored(_) => None,
        };
        parts.added.for_each_normalized_part(text, false, |part, place| match part {
            // Spelled out: also where it is the unknown token.
            Part::Token(id) => {
                ids.push(id);
                ranges.push(place);
            }
            Part::Text(_) => {
                let first = ids.len();
                self.encode_between_added(&text[place.clone()], seen, ids);
                let mut end = place.start;
                for at in first..ids.len() {
                    let (start, before) = (end, at.checked_sub(1).map(|before| ids[before]));
                    end += if Some(ids[at]) == unknown {
                        text[start..].chars().next().map_or(0, char::len_utf8)
                    } else {
                        parts.piece(before, ids[at]).map_or(0, <[u8]>::len)
                    };
                    ranges.push(start..end);
                }
                debug_assert_eq!(end, place.end, "the tokens are the text");
            }
        });
    }

    /// The ids of a text by BPE-dropout [Provilkov 2020, <https://arxiv.org/abs/1910.13267>]: whenever a merge is to be made,
    /// each that could be is passed over with this probability. So a text is encoded in many ways, from which a model learns
    /// what tokens consist of. 0 gives the ids of merging, 1 those of single bytes; the same seed the same ids.
    ///
    /// # Errors
    /// When the probability is not from 0 to 1, or the tokenizer has no ranked merges of bytes to pass over.
    pub fn encode_with_dropout(
        &self,
        text: &str,
        probability: f64,
        seed: u64,
    ) -> Result<Vec<u32>, TokenizerError> {
        if !(0.0..=1.0).contains(&probability) {
            let reason = "is no probability: give a number from 0 to 1";
            return Err(TokenizerError::Dropout { probability, reason });
        }
        let Algorithm::ByteLevel(algorithm) = &*self.parts().algorithm else {
            let reason = "needs merges that can be passed over: only byte-level tokenizers have them";
            return Err(TokenizerError::Dropout { probability, reason });
        };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut skip = || random.random_bool(probability);
        let mut ids = Vec::new();
        self.parts().added.for_each_part(text, false, |part| match part {
            Part::Token(id) => ids.push(id),
            Part::Text(text) => algorithm.encode_skipping(text, &mut skip, &mut ids),
        });
        Ok(ids)
    }

    /// The ids of each of several texts, on all threads of rayon's pool. Long texts are encoded in parts where they may be cut
    /// ([`safe_cut`](Self::safe_cut)).
    pub fn encode_batch(&self, texts: &[&str]) -> Vec<Vec<u32>> {
        let parts: Vec<(usize, &str)> = (0..)
            .zip(texts)
            .flat_map(|(number, text)| {
                parts_of(text, BATCH_PART, |text| self.safe_cut(text))
                    .into_iter()
                    .map(move |part| (number, part))
            })
            .collect();
        // Each thread takes part after part, so that what it has seen serves all of its own. (To share that among threads was
        // slower: they wait for each other's caches.)
        let n_threads = rayon::current_num_threads();
        let bytes_a_thread = texts.iter().map(|text| text.len()).sum::<usize>() / n_threads;
        let next = AtomicUsize::new(0);
        let encode_some = |_| {
            let (mut ids, mut places, mut seen) = (Vec::new(), Vec::new(), Seen::new(bytes_a_thread));
            while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&at| at < parts.len()) {
                let start = ids.len();
                self.encode_parts(parts[at].1, false, &mut seen, &mut ids);
                places.push((at, start..ids.len()));
            }
            (ids, places)
        };
        let encoded: Vec<_> = (0..n_threads).into_par_iter().with_max_len(1).map(encode_some).collect();
        let mut of_parts: Vec<&[u32]> = vec![&[]; parts.len()];
        for (ids, places) in &encoded {
            places.iter().for_each(|(at, place)| of_parts[*at] = &ids[place.clone()]);
        }
        let mut lengths = vec![0; texts.len()];
        parts.iter().zip(&of_parts).for_each(|((number, _), ids)| lengths[*number] += ids.len());
        let mut all: Vec<Vec<u32>> = lengths.into_iter().map(|length| vec![0; length]).collect();
        let mut rests: Vec<&mut [u32]> = all.iter_mut().map(Vec::as_mut_slice).collect();
        let room_of = |((number, _), ids): (&(usize, &str), &[u32])| {
            rests[*number].split_off_mut(..ids.len()).unwrap_or_default()
        };
        let rooms: Vec<&mut [u32]> = parts.iter().zip(of_parts.iter().copied()).map(room_of).collect();
        rooms.into_par_iter().zip(&of_parts).for_each(|(room, ids)| room.copy_from_slice(ids));
        all
    }

    /// The first ids of a text, at most `most`: those that [`encode`](Self::encode) begins with. Of a long text no more is
    /// read than it takes, if it has places where it may be cut ([`safe_cut`](Self::safe_cut)).
    ///
    /// ```
    /// # use firebrand_tokenizer::Tokenizer;
    /// let tokenizer = Tokenizer::characters(["to be"], &[])?;
    /// assert_eq!(tokenizer.encode_at_most("to be", 2), tokenizer.encode("to"));
    /// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
    /// ```
    pub fn encode_at_most(&self, text: &str, most: usize) -> Vec<u32> {
        let (mut ids, mut rest) = (Vec::new(), text);
        while ids.len() < most && !rest.is_empty() {
            let wanted = (most - ids.len()).saturating_mul(BYTES_PER_ID).max(FEWEST_BYTES);
            let window = &rest[..rest.floor_char_boundary(wanted)];
            let part = match self.safe_cut(window) {
                Some(cut) if window.len() < rest.len() => &rest[..cut],
                _ => rest,
            };
            ids.extend(self.encode(part));
            rest = &rest[part.len()..];
        }
        ids.truncate(most);
        ids
    }
}
