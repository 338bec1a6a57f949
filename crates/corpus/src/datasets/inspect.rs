//! What is in a dataset: counts, lengths, labels, duplicates, examples.
//!
//! Everything is read once, one example at a time. What is kept of each text is 16 bytes of its hash and as many about
//! it, so that two million stories take two hundred megabytes.

use std::collections::HashMap;
use std::num::NonZeroU32;

use rand_chacha::ChaCha8Rng;

use super::error::DatasetError;
use super::examples::{Example, Examples};
use crate::batches::{below, keyed_rng};
use crate::labelled::hash_of_words;

/// Most parts that can be compared with each other.
pub const MOST_PARTS: usize = 64;

/// Examples that belong together: a split, or a file.
pub struct Part {
    /// What to call it.
    pub name: String,
    /// What is in it.
    pub examples: Examples,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// In the order of the parts.
    pub parts: Vec<PartStats>,
    /// Texts that bear different labels in different places.
    pub contradictions: u64,
}

/// What was found in one part.
#[derive(Clone, Debug, Default)]
pub struct PartStats {
    /// What it is called.
    pub name: String,
    /// How many examples there are.
    pub documents: u64,
    /// How many of them hold nothing but white space.
    pub empty: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// Characters of text.
    pub characters: u64,
    /// Words: runs of anything but white space.
    pub words: u64,
    /// Lengths in words.
    pub lengths: Lengths,
    /// How often each label comes, in the order of the labels.
    pub labels: Vec<(String, u64)>,
    /// Examples whose text came before in this part, white space aside.
    pub duplicates: u64,
    /// Examples whose text is in an earlier part, too, and which part that is. Of two, the first.
    pub overlaps: Vec<(String, u64)>,
    /// Examples drawn by the seed, in the order of the part.
    pub samples: Vec<Sample>,
}

/// An example that was drawn.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its place in the part, from 1.
    pub number: u64,
    /// Its text.
    pub text: String,
    /// Its second text.
    pub text_b: Option<String>,
    /// The name of its label.
    pub label: Option<String>,
}

/// How many examples have how many words: exact up to [`Lengths::EXACT`], above that by powers of two.
#[derive(Clone, Debug, Default)]
pub struct Lengths {
    exact: Vec<u64>,
    doubling: Vec<u64>,
    longest: u64,
    count: u64,
}

impl Lengths {
    /// Lengths below this are counted each for itself.
    pub const EXACT: u64 = 1 << 12;

    fn add(&mut self, words: u64) {
        let (counts, place) = match words < Self::EXACT {
            true => (&mut self.exact, words as usize),
            false => (&mut self.doubling, (words.ilog2() - Self::EXACT.ilog2()) as usize),
        };
        if counts.len() <= place {
            counts.resize(place + 1, 0);
        }
        counts[place] += 1;
        self.longest = self.longest.max(words);
        self.count += 1;
    }

    /// The longest.
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// The length that this share of the examples does not exceed; of long ones an upper bound.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (_, last, count) in self.runs() {
            seen += count;
            if seen >= wanted {
                return last.min(self.longest);
            }
        }
        self.longest
    }

    /// What was counted: first and last length, and how many.
    fn runs(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        let exact = self.exact.iter().enumerate().map(|(words, &count)| (words as u64, words as u64, count));
        let doubling = self.doubling.iter().enumerate().map(|(i, &count)| {
            let first = Self::EXACT << i;
            (first, 2 * first - 1, count)
        });
        exact.chain(doubling)
    }

    /// The lengths in at most about `rows` bins (first, last, count): equally wide ones where lengths are of one order,
    /// doubling ones where they are not.
    pub fn bins(&self, rows: u64) -> Vec<(u64, u64, u64)> {
        let mut bins: Vec<(u64, u64, u64)> = Vec::new();
        let width = nice((self.longest + 1).div_ceil(rows.max(1)));
        let doubling = self.longest >= 16 * self.quantile(0.5).max(8) || self.longest >= Self::EXACT;
        for (first, _, count) in self.runs() {
            let (bin, end) = match (doubling, first) {
                (false, _) => (first / width * width, first / width * width + width - 1),
                (true, 0) => (0, 0),
                (true, _) => (1 << first.ilog2(), (2_u64 << first.ilog2()) - 1),
            };
            match bins.last_mut() {
                Some(last) if last.0 == bin => last.2 += count,
                _ => bins.push((bin, end, count)),
            }
        }
        let first = bins.iter().position(|bin| bin.2 > 0).unwrap_or(bins.len());
        bins.drain(..first);
        bins
    }
}

/// The next number of 1, 2, 5, 10, 20, 50, …
fn nice(least: u64) -> u64 {
    let mut power = 1;
    loop {
        for factor in [1, 2, 5] {
            if factor * power >= least {
                return factor * power;
            }
        }
        power *= 10;
    }
}

/// What is known of a text that has come.
struct Seen {
    /// A bit for each part that has it.
    parts: u64,
    /// The number of the label it came with first, from 1.
    label: Option<NonZeroU32>,
    contradicted: bool,
}

/// Reads all parts and says what is in them; `samples` examples of each are drawn by the seed. `progress` gets the bytes
/// read so far, of all parts.
///
/// # Errors
/// A part that cannot be read, a record that is not what it should be; more than [`MOST_PARTS`] parts.
pub fn inspect(
    parts: Vec<Part>,
    samples: usize,
    seed: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<Inspection, DatasetError> {
    if parts.len() > MOST_PARTS {
        return Err(DatasetError::TooManyParts { found: parts.len(), most: MOST_PARTS });
    }
    let names: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
    let mut seen: HashMap<u128, Seen> = HashMap::new();
    let mut inspection = Inspection { parts: Vec::new(), contradictions: 0 };
    // The labels of all parts: those of a part have numbers of their own.
    let mut all_labels: Vec<String> = Vec::new();
    let mut before = 0;
    for (number, mut part) in parts.into_iter().enumerate() {
        let mut stats = PartStats { name: part.name, ..PartStats::default() };
        let mut overlaps = vec![0; number];
        let mut draw =
            Draw { rng: keyed_rng(seed, "inspect", number as u64), most: samples, drawn: Vec::new() };
        let mut labels: Vec<u64> = Vec::new();
        let mut in_all: Vec<usize> = Vec::new();
        while let Some(example) = part.examples.next_example()? {
            stats.count(&example);
            if let Some(label) = example.label {
                labels.resize(labels.len().max(label + 1), 0);
                labels[label] += 1;
            }
            let new_labels = part.examples.labels()[in_all.len()..].iter();
            in_all.extend(new_labels.map(|label| place_in(&mut all_labels, label)));
            let label = example.label.and_then(|label| NonZeroU32::new(in_all[label] as u32 + 1));
            let bit = 1 << number;
            let words = [Some(&*example.text), example.text_b.as_deref()].into_iter().flatten();
            let entry =
                seen.entry(hash_of_words(words)).or_insert(Seen { parts: 0, label, contradicted: false });
            match entry.parts {
                0 => {}
                parts if parts & bit != 0 => stats.duplicates += 1,
                parts => overlaps[parts.trailing_zeros() as usize] += 1,
            }
            entry.parts |= bit;
            if entry.label != label && !std::mem::replace(&mut entry.contradicted, true) {
                inspection.contradictions += 1;
            }
            draw.offer(stats.documents, example);
            if stats.documents.is_multiple_of(1024) {
                progress(before + part.examples.bytes_read());
            }
        }
        before += part.examples.bytes_read();
        progress(before);
        let label_names = part.examples.labels();
        labels.resize(label_names.len(), 0);
        stats.labels = label_names.iter().cloned().zip(labels).collect();
        stats.samples = draw.finish(label_names);
        let overlaps = names.iter().cloned().zip(overlaps);
        stats.overlaps = overlaps.filter(|(_, count)| *count > 0).collect();
        inspection.parts.push(stats);
    }
    Ok(inspection)
}

impl PartStats {
    fn count(&mut self, example: &Example) {
        let texts = [Some(&example.text), example.text_b.as_ref()];
        let mut words = 0;
        for text in texts.into_iter().flatten() {
            self.bytes += text.len() as u64;
            self.characters += text.chars().count() as u64;
            words += text.split_whitespace().count() as u64;
        }
        self.documents += 1;
        self.empty += u64::from(words == 0);
        self.words += words;
        self.lengths.add(words);
    }
}

/// The place of a label among all; it is added when it is new.
fn place_in(all: &mut Vec<String>, label: &str) -> usize {
    all.iter().position(|known| known == label).unwrap_or_else(|| {
        all.push(label.to_owned());
        all.len() - 1
    })
}

/// Draws examples uniformly from a stream of unknown length (Vitter's algorithm R).
struct Draw {
    rng: ChaCha8Rng,
    most: usize,
    drawn: Vec<(u64, Example)>,
}

impl Draw {
    /// Offers the `number`-th example, from 1.
    fn offer(&mut self, number: u64, example: Example) {
        if self.drawn.len() < self.most {
            self.drawn.push((number, example));
            return;
        }
        let place = below(&mut self.rng, number) as usize;
        if place < self.most {
            self.drawn[place] = (number, example);
        }
    }

    fn finish(mut self, labels: &[String]) -> Vec<Sample> {
        self.drawn.sort_by_key(|(number, _)| *number);
        let sample = |(number, example): (u64, Example)| Sample {
            number,
            text: example.text,
            text_b: example.text_b,
            label: example.label.map(|label| labels[label].clone()),
        };
        self.drawn.into_iter().map(sample).collect()
    }
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
