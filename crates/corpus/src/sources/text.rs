//! Plain text as documents, in pieces that fit in memory whatever the size of a document.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{DocumentBoundary, Piece};
use crate::error::CorpusError;
use crate::input::{Input, InvalidUtf8};

/// How much is read at a time.
const BLOCK: usize = 1 << 17;

/// A piece is given out once there is so much of a document.
pub(super) const PIECE_BYTES: usize = 1 << 18;

/// Reads the documents of a file of plain text. Of a document, at most a piece and a block are in memory; only white
/// space of which is not known yet whether it belongs to one is kept, however long it gets.
pub(super) struct TextReader {
    path: PathBuf,
    input: Input,
    /// What has been read; what is before `at` has been looked at.
    block: String,
    at: usize,
    /// The beginning of a character that the block ended in.
    partial: Vec<u8>,
    at_end: bool,
    state: State,
}

/// What is known of the document being read.
struct State {
    boundary: DocumentBoundary,
    /// Text of the document that has not been given out.
    text: String,
    /// White space that is part of the document if something other than white space follows.
    held: String,
    /// Whether any of it has been read.
    begun: bool,
    /// Whether the line being read has been nothing but white space so far.
    blank: bool,
}

impl TextReader {
    pub(super) fn open(
        path: &Path,
        boundary: DocumentBoundary,
        invalid_utf8: InvalidUtf8,
    ) -> Result<Self, CorpusError> {
        let state = State { boundary, text: String::new(), held: String::new(), begun: false, blank: true };
        let input = Input::open(path, invalid_utf8)?;
        Ok(Self {
            path: path.to_path_buf(),
            input,
            block: String::new(),
            at: 0,
            partial: Vec::new(),
            at_end: false,
            state,
        })
    }

    pub(super) fn input(&self) -> &Input {
        &self.input
    }

    /// The next piece, `None` at the end of the file. No document is empty, though its last piece may be.
    pub(super) fn next_piece(&mut self) -> Result<Option<Piece>, CorpusError> {
        loop {
            let text = &self.block[self.at..];
            if text.is_empty() {
                if self.at_end {
                    return Ok(self.state.end());
                }
                self.fill()?;
                continue;
            }
            let (taken, ended) = self.state.take(text);
            self.at += taken;
            if let Some(piece) = ended {
                return Ok(Some(piece));
            }
            if self.state.text.len() >= PIECE_BYTES {
                return Ok(Some(Piece { text: std::mem::take(&mut self.state.text), ends_document: false }));
            }
        }
    }

    /// Reads the next block.
    fn fill(&mut self) -> Result<(), CorpusError> {
        let mut bytes = std::mem::take(&mut self.block).into_bytes();
        bytes.clear();
        bytes.append(&mut self.partial);
        let left = bytes.len();
        bytes.resize(left + BLOCK, 0);
        let count = loop {
            match self.input.read(&mut bytes[left..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                result => break result.map_err(|error| Input::explain(&self.path, error))?,
            }
        };
        bytes.truncate(left + count);
        if let Err(error) = std::str::from_utf8(&bytes) {
            self.partial = bytes.split_off(error.valid_up_to());
        }
        self.block = String::from_utf8(bytes).expect("the input is checked; what it ends in was split off");
        self.at = 0;
        self.at_end = count == 0;
        Ok(())
    }
}

impl State {
    /// Looks at `text`, which is what follows: up to the end of a document, or as much of it as a piece takes. Says how
    /// much that was.
    fn take(&mut self, text: &str) -> (usize, Option<Piece>) {
        if self.boundary == DocumentBoundary::File {
            self.text.push_str(text);
            self.begun = true;
            return (text.len(), None);
        }
        let mut taken = 0;
        while taken < text.len() && self.text.len() < PIECE_BYTES {
            let rest = &text[taken..];
            let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
            taken += length;
            if self.fragment(&rest[..length]) {
                return (taken, self.end());
            }
        }
        (taken, None)
    }

    /// Looks at a line or a part of one; true when a document ends with it.
    fn fragment(&mut self, fragment: &str) -> bool {
        let ends_line = fragment.ends_with('\n');
        if self.blank && fragment.chars().all(char::is_whitespace) {
            self.held.push_str(fragment);
            if !ends_line {
                return false;
            }
            // A line without text belongs to no document, nor does the line end before it.
            self.held.clear();
            return self.begun;
        }
        self.blank = false;
        self.begun = true;
        // A carriage return at the end of a fragment is a part of the line end if a line feed follows.
        let content = match (fragment, self.held.as_str()) {
            ("\n", "\r") => "",
            _ => {
                self.text.push_str(&self.held);
                self.held.clear();
                without_line_end(fragment)
            }
        };
        self.text.push_str(content);
        self.held.push_str(&fragment[content.len()..]);
        self.blank = ends_line;
        ends_line && self.boundary == DocumentBoundary::Line
    }

    /// The last piece of the document that has begun, if one has.
    fn end(&mut self) -> Option<Piece> {
        self.held.clear();
        self.blank = true;
        let text = std::mem::take(&mut self.text);
        std::mem::take(&mut self.begun).then_some(Piece { text, ends_document: true })
    }
}

fn without_line_end(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}
