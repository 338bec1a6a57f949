//! The same merges as the reference, by touching only what a new token changes.
//!
//! All distinct words lie in one row of slots, one slot a character, with a wall between two words. For every token the
//! places where its *string* stands are known, whatever the words are segmented into: those of `lr` are those of `l` that
//! `r` follows. So the longest token that stands at each slot is known as well, and segmenting is following it from slot to
//! slot. A new token changes a word where its string stands at a boundary between tokens: from there the word is segmented
//! anew until both segmentations meet. This finds the words that hold `a·bc` when `ab·c` made `abc`.
//!
//! Counts of pairs rise and fall with the segmentation; a queue yields the most frequent one. A place is found again by all
//! tokens that are prefixes of what stands there, so that the work is that of a few passes over the words.

use super::config::{Job, Tokens};
use crate::TokenizerError;
use crate::pair::Pair;
use crate::queue::Queue;
use rustc_hash::{FxHashMap, FxHashSet};

/// What stands between two words.
const WALL: u32 = u32::MAX;
/// What fills the slots of a token after its first.
const INSIDE: u32 = u32::MAX - 1;

pub(super) fn train(
    job: Job<'_>,
    tokens: &mut Tokens,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<(u32, u32)>, TokenizerError> {
    let mut row = Row::new(job.words, tokens)?;
    let mut merges = Vec::new();
    while merges.len() < job.merges {
        let Some((pair, count)) = row.most_frequent() else { break };
        if count < job.min_frequency {
            break;
        }
        let [left, right] = [pair.left(), pair.right()].map(|id| tokens.texts[id as usize].as_str());
        let text = [left, right].concat();
        let length = row.lengths[pair.left() as usize] + row.lengths[pair.right() as usize];
        // Either never changes: the pair need not come again.
        if length as usize > job.max_token_length || tokens.reserved.contains(&text) {
            row.refused.insert(pair);
            continue;
        }
        row.merge(pair, tokens.texts.len() as u32);
        tokens.texts.push(text);
        merges.push((pair.left(), pair.right()));
        progress(merges.len());
    }
    Ok(merges)
}

/// The words, segmented.
struct Row {
    /// The character at each slot, as its token.
    characters: Vec<u32>,
    /// The token that starts at a slot.
    tokens: Vec<u32>,
    /// The number of slots of the token that ends before a slot where one starts, or before a wall; 0 at a word's start.
    before: Vec<u32>,
    /// The longest token whose string stands at a slot.
    longest: Vec<u32>,
    /// Which word a slot belongs to, and how often that stands in the texts.
    words: Vec<u32>,
    weights: Vec<u64>,
    /// By token: its number of characters, and all slots where its string starts, in ascending order.
    lengths: Vec<u32>,
    places: Vec<Vec<u32>>,
    /// How often pairs of neighbouring tokens stand in the texts.
    counts: FxHashMap<Pair, u64>,
    queue: Queue<Pair>,
    /// Pairs that were chosen and may not be merged.
    refused: FxHashSet<Pair>,
    /// Pairs whose count has risen since the queue heard of them.
    risen: Vec<Pair>,
}

impl Row {
    fn new(words: &[(Box<str>, u64)], tokens: &Tokens) -> Result<Self, TokenizerError> {
        let ids: FxHashMap<char, u32> = (0..)
            .zip(&tokens.texts)
            .skip(tokens.alphabet)
            .filter_map(|(id, text)| Some((text.chars().next()?, id)))
            .collect();
        let (mut characters, mut of_word, mut weights) = (vec![WALL], vec![0], Vec::new());
        for (word, count) in words {
            // There are fewer words than slots, so that this number fits when the slots do.
            let index = weights.len() as u32;
            weights.push(*count);
            characters.extend(word.chars().map(|char| ids[&char]));
            characters.push(WALL);
            of_word.resize(characters.len(), index);
        }
        if characters.len() >= INSIDE as usize {
            return Err(TokenizerError::TrainingTextTooLarge { limit: INSIDE as usize });
        }
        let mut places = vec![Vec::new(); tokens.texts.len()];
        for (slot, &character) in (0..).zip(&characters) {
            if character != WALL {
                places[character as usize].push(slot);
            }
        }
        let before = |slot: usize| u32::from(slot > 0 && characters[slot - 1] != WALL);
        let mut new = Self {
            before: (0..characters.len()).map(before).collect(),
            tokens: characters.clone(),
            longest: characters.clone(),
            characters,
            words: of_word,
            weights,
            lengths: vec![1; tokens.texts.len()],
            places,
            counts: FxHashMap::default(),
            queue: Queue::new(),
            refused: FxHashSet::default(),
            risen: Vec::new(),
        };
        for slot in 1..new.characters.len() {
            let (left, right) = (new.characters[slot - 1], new.characters[slot]);
            if left != WALL && right != WALL {
                new.raise(Pair::new(left, right), slot);
            }
        }
        new.tell_queue();
        Ok(new)
    }

    fn weight(&self, slot: usize) -> u64 {
        self.weights[self.words[slot] as usize]
    }

    fn raise(&mut self, pair: Pair, slot: usize) {
        let weight = self.weight(slot);
        let count = self.counts.entry(pair).or_default();
        *count = count.saturating_add(weight);
        self.risen.push(pair);
    }

    fn lower(&mut self, pair: Pair, slot: usize) {
        let weight = self.weight(slot);
        if let Some(count) = self.counts.get_mut(&pair) {
            *count = count.saturating_sub(weight);
            if *count == 0 {
                self.counts.remove(&pair);
            }
        }
    }

    /// Gives the queue the counts that have risen. Those that have fallen it learns when they come up.
    fn tell_queue(&mut self) {
        let mut risen = std::mem::take(&mut self.risen);
        risen.sort_unstable();
        risen.dedup();
        for &pair in &risen {
            if let Some(&count) = self.counts.get(&pair) {
                self.queue.push(pair, count);
            }
        }
        risen.clear();
        self.risen = risen;
    }

    /// Takes the most frequent pair, the smallest of several, with its count.
    fn most_frequent(&mut self) -> Option<(Pair, u64)> {
        loop {
            let (pair, count) = self.queue.pop(|pair| self.counts.get(&pair).copied().unwrap_or(0))?;
            if !self.refused.contains(&pair) {
                return Some((pair, count));
            }
        }
    }

    /// Adds the string of a pair as a token.
    fn merge(&mut self, pair: Pair, merged: u32) {
        let places = self.places_of(pair);
        let length = self.lengths[pair.left() as usize] + self.lengths[pair.right() as usize];
        self.lengths.push(length);
        for &place in &places {
            let longest = &mut self.longest[place as usize];
            if length > self.lengths[*longest as usize] {
                *longest = merged;
            }
        }
        for &place in &places {
            let token = self.tokens[place as usize];
            if token != INSIDE && self.lengths[token as usize] < length {
                self.segment_from(place as usize);
            }
        }
        self.places.push(places);
        debug_assert!(!self.counts.contains_key(&pair), "{pair:?} stands nowhere any more");
        self.tell_queue();
    }

    /// Where the string of a pair stands: where its left part does, followed by its right one.
    fn places_of(&self, pair: Pair) -> Vec<u32> {
        let [left, right] = [pair.left(), pair.right()].map(|id| id as usize);
        let (left_length, right_length) = (self.lengths[left] as usize, self.lengths[right] as usize);
        let string_of = |token: usize, length: usize| {
            let place = self.places[token].first().map_or(0, |&place| place as usize);
            &self.characters[place..place + length]
        };
        if self.places[left].len() <= self.places[right].len() {
            let wanted = string_of(right, right_length);
            let follows = |&place: &u32| self.characters[place as usize + left_length..].starts_with(wanted);
            self.places[left].iter().copied().filter(follows).collect()
        } else {
            let wanted = string_of(left, left_length);
            let after = |&place: &u32| {
                let start = (place as usize).checked_sub(left_length)?;
                (self.characters[start..place as usize] == *wanted).then_some(start as u32)
            };
            self.places[right].iter().filter_map(after).collect()
        }
    }

    /// Segments a word anew from a slot where a token starts, until the segmentation is the old one again.
    fn segment_from(&mut self, start: usize) {
        let previous = match self.before[start] {
            0 => None,
            length => Some(self.tokens[start - length as usize]),
        };
        // The old tokens and the new ones, up to where they meet.
        let mut end = start;
        loop {
            end += self.lengths[self.longest[end] as usize] as usize;
            let (token, is_wall) = (self.tokens[end], self.characters[end] == WALL);
            if is_wall || token != INSIDE && token == self.longest[end] {
                break;
            }
        }
        let next = (self.characters[end] != WALL).then(|| self.tokens[end]);
        let (mut slot, mut left) = (start, previous);
        while slot < end {
            let token = self.tokens[slot];
            if let Some(left) = left {
                self.lower(Pair::new(left, token), slot);
            }
            left = Some(token);
            slot += self.lengths[token as usize] as usize;
        }
        if let (Some(left), Some(next)) = (left, next) {
            self.lower(Pair::new(left, next), start);
        }
        self.tokens[start..end].fill(INSIDE);
        let (mut slot, mut left) = (start, previous);
        while slot < end {
            let token = self.longest[slot];
            if let Some(left) = left {
                self.raise(Pair::new(left, token), slot);
            }
            left = Some(token);
            self.tokens[slot] = token;
            slot += self.lengths[token as usize] as usize;
            self.before[slot] = self.lengths[token as usize];
        }
        if let (Some(left), Some(next)) = (left, next) {
            self.raise(Pair::new(left, next), start);
        }
    }
}
