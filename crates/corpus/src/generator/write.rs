//! Documents to files, and the floor of files.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::{Document, Grammar, GrammarError, Kind, Split};

/// What documents cost at best: the sum of their −log P. No model can do better on average than to give each document
/// the probability with which the grammar makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Floor {
    /// How many documents.
    pub documents: u64,
    /// Bytes of their texts, without separators.
    pub bytes: u64,
    /// The sum of −log P in nats; each document's end is part of its probability.
    pub nats: f64,
}

impl Floor {
    /// The floor in bits per byte of text: nats / (ln 2 · bytes); 0 without bytes.
    pub fn bits_per_byte(&self) -> f64 {
        if self.bytes == 0 { 0.0 } else { self.nats / (std::f64::consts::LN_2 * self.bytes as f64) }
    }

    /// Counts one more document.
    pub fn add(&mut self, text: &str, log_prob: f64) {
        self.documents += 1;
        self.bytes += text.len() as u64;
        self.nats -= log_prob;
    }
}

/// Writes whole stories, separated by a blank line and ended by a line break, until their texts have at least `bytes`
/// bytes.
///
/// # Errors
/// What `out` reports; `InvalidInput` when the grammar makes no stories of this split.
pub fn write_stories(
    grammar: &Grammar,
    split: Split,
    seed: u64,
    bytes: u64,
    out: &mut impl Write,
) -> io::Result<Floor> {
    let mut floor = Floor::default();
    let mut stories = grammar.documents(Kind::Stories, split, seed);
    while floor.bytes < bytes {
        let story = stories.next().ok_or_else(|| no_documents(Kind::Stories, split))?;
        if floor.documents > 0 {
            out.write_all(b"\n\n")?;
        }
        out.write_all(story.text.as_bytes())?;
        floor.add(&story.text, story.log_prob);
    }
    if floor.documents > 0 {
        out.write_all(b"\n")?;
    }
    Ok(floor)
}

/// Writes `count` documents as JSON lines: `text` for stories and reviews, `premise` and `hypothesis` for pairs, then
/// the labels.
///
/// # Errors
/// What `out` reports; `InvalidInput` when the grammar makes no documents of this kind and split.
pub fn write_labelled(
    grammar: &Grammar,
    kind: Kind,
    split: Split,
    seed: u64,
    count: u64,
    out: &mut impl Write,
) -> io::Result<Floor> {
    let mut floor = Floor::default();
    let mut documents = grammar.documents(kind, split, seed);
    for _ in 0..count {
        let document = documents.next().ok_or_else(|| no_documents(kind, split))?;
        serde_json::to_writer(&mut *out, &document.to_json(kind))?;
        out.write_all(b"\n")?;
        floor.add(&document.text, document.log_prob);
    }
    Ok(floor)
}

impl Document {
    /// The document as one JSON object, as [`write_labelled`] writes it.
    pub fn to_json(&self, kind: Kind) -> Value {
        let mut object = Map::new();
        match (kind, self.text.split_once('\n')) {
            (Kind::Pairs, Some((premise, hypothesis))) => {
                object.insert("premise".to_owned(), premise.into());
                object.insert("hypothesis".to_owned(), hypothesis.into());
            }
            _ => {
                object.insert("text".to_owned(), self.text.as_str().into());
            }
        }
        for (name, value) in &self.labels {
            object.insert(name.clone(), value.as_str().into());
        }
        Value::Object(object)
    }
}

/// The exact floor of a text made of stories separated by blank lines, by finding the derivation of each.
///
/// # Errors
/// [`GrammarError::NotInLanguage`] for the first document that is not a story of the grammar.
pub fn floor_of(grammar: &Grammar, text: &str) -> Result<Floor, GrammarError> {
    let mut floor = Floor::default();
    let mut offset = 0;
    for piece in text.split("\n\n") {
        let document = piece.trim_matches('\n');
        if !document.is_empty() {
            let log_prob = grammar.log_prob(Kind::Stories, document).ok_or_else(|| {
                let start = document.chars().take(60).collect();
                GrammarError::NotInLanguage { index: floor.documents + 1, offset, start }
            })?;
            floor.add(document, log_prob);
        }
        offset += piece.len() + 2;
    }
    Ok(floor)
}

fn no_documents(kind: Kind, split: Split) -> io::Error {
    let message = format!("the grammar makes no {} for the {} split", kind.name(), split.name());
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
