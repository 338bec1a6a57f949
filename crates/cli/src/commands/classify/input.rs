//! Texts as they come: from the command line, from files, or line by line from a stream that may never end.

use crate::exit::usage;
use anyhow::Context;
use firebrand_corpus::labelled::{ExampleReader, Kind, Known, Labels, Reading};
use firebrand_corpus::records::{Format, Record};
use firebrand_corpus::sources::FormatChoice;
use std::io::BufRead;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

/// A text, or two.
pub(super) struct Text {
    pub(super) first: String,
    pub(super) second: Option<String>,
    /// What it is a field of.
    pub(super) record: Option<Record>,
}

impl Text {
    pub(super) fn alone(text: String) -> Self {
        Self { first: text, second: None, record: None }
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
    pub(super) fn open(path: &Path, reading: &'a Reading) -> anyhow::Result<Self> {
        if FormatChoice::Auto.of(path) == Format::Text {
            let opened =
                std::fs::File::open(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
            return Ok(Self::Lines(std::io::BufReader::new(opened).lines(), path.display().to_string()));
        }
        Ok(Self::Records(Box::new(ExampleReader::open(path, 0, reading, Kind::None)?)))
    }
}

impl Source for File<'_> {
    fn next_chunk(&mut self, most: usize) -> anyhow::Result<Vec<Text>> {
        let mut texts = Vec::new();
        while texts.len() < most {
            match self {
                Self::Records(reader) => {
                    let Some((example, record)) =
                        reader.next_example(&mut Known::Only(&Labels::default()))?
                    else {
                        break;
                    };
                    texts.push(Text { first: example.text, second: example.text_b, record: Some(record) });
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
