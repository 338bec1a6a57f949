//! Texts as they come: from the command line, from files, or line by line from a stream that may never end.

use crate::exit::usage;
use crate::reading::advised;
use anyhow::Context;
use firebrand_corpus::labelled::{Example, ExampleReader, Kind, Known, Labels, Reading, Target};
use firebrand_corpus::records::{Format, Record};
use std::io::BufRead;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

/// What to do about an empty text.
pub(super) const NOTHING_TO_SAY: &str = "there is nothing to say of it; remove it from the file";

/// A text, or two.
pub(super) struct Text {
    pub(super) first: String,
    pub(super) second: Option<String>,
    /// The bytes of the first one's words, where it was given as a list of words.
    pub(super) words: Option<Vec<Range<usize>>>,
    /// What it is a field of.
    pub(super) record: Option<Record>,
}

impl Text {
    pub(super) fn alone(text: String) -> Self {
        Self { first: text, second: None, words: None, record: None }
    }
}

/// Where texts come from, in chunks.
pub(super) trait Source {
    /// The next texts, at most so many; none at the end.
    fn next_chunk(&mut self, most: usize) -> anyhow::Result<Vec<Text>>;
}

/// Texts that are all there.
pub(super) struct Given(std::vec::IntoIter<String>);

impl Given {
    pub(super) fn new(texts: Vec<String>) -> Self {
        Self(texts.into_iter())
    }
}

impl Source for Given {
    fn next_chunk(&mut self, most: usize) -> anyhow::Result<Vec<Text>> {
        Ok(self.0.by_ref().take(most).map(Text::alone).collect())
    }
}

/// Lines of stdin: a chunk is what has come so far, so that none waits for the next.
pub(super) struct Lines(Receiver<std::io::Result<String>>);

impl Lines {
    pub(super) fn of_stdin() -> Self {
        // Some are read ahead, while others are being classified.
        let (sender, receiver) = sync_channel(1 << 12);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let failed = line.is_err();
                if sender.send(line).is_err() || failed {
                    return;
                }
            }
        });
        Self(receiver)
    }
}

impl Source for Lines {
    fn next_chunk(&mut self, most: usize) -> anyhow::Result<Vec<Text>> {
        let Ok(first) = self.0.recv() else { return Ok(Vec::new()) };
        let more = self.0.try_iter().take(most.saturating_sub(1));
        std::iter::once(first).chain(more).map(|line| Ok(Text::alone(line.context("stdin")?))).collect()
    }
}

/// The records of a file, or the lines of one that has none.
pub(super) enum File<'a> {
    Records(Box<ExampleReader<'a>>),
    Lines(std::io::Lines<std::io::BufReader<std::fs::File>>, String),
}

impl<'a> File<'a> {
    /// Opens a file of texts, or of [words](Kind::Words).
    pub(super) fn open(path: &Path, reading: &'a Reading, kind: Kind) -> anyhow::Result<Self> {
        if reading.format.of(path) == Format::Text {
            let opened =
                std::fs::File::open(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
            return Ok(Self::Lines(std::io::BufReader::new(opened).lines(), path.display().to_string()));
        }
        Ok(Self::Records(Box::new(ExampleReader::open(path, 0, reading, kind)?)))
    }
}

impl Source for File<'_> {
    fn next_chunk(&mut self, most: usize) -> anyhow::Result<Vec<Text>> {
        let mut texts = Vec::new();
        while texts.len() < most {
            match self {
                Self::Records(reader) => {
                    let next = reader.next_example(&mut Known::Only(&Labels::default()));
                    let next = next.map_err(|error| advised(error, NOTHING_TO_SAY))?;
                    let Some((Example { text, text_b, target, .. }, record)) = next else { break };
                    let words = match target {
                        Target::Words(words) => Some(words),
                        _ => None,
                    };
                    texts.push(Text { first: text, second: text_b, words, record: Some(record) });
                }
                Self::Lines(lines, name) => match lines.next() {
                    Some(line) => texts.push(Text::alone(line.with_context(|| name.clone())?)),
                    None => break,
                },
            }
        }
        Ok(texts)
    }
}
