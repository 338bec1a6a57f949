//! Documents in parts that can be encoded apart.

use super::Piece;
use super::pieces::Pieces;
use crate::error::CorpusError;

/// The text of one split, document by document, each in one part or several: see [`Corpus::parts`](super::Corpus::parts).
///
/// Gives an error and then nothing more when a file can no longer be read or has changed since it was scanned.
pub struct Parts<'a, C> {
    pieces: Pieces<'a>,
    cut: C,
    /// Text of a document that has not been given out.
    text: String,
    /// Cutting is tried again when there is so much of it.
    try_at: usize,
    /// What is still to be passed over.
    skip: Option<Position>,
}

/// How far the text of a split has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Documents that have ended.
    pub(crate) documents: u64,
    /// Bytes of text.
    pub(crate) bytes: u64,
}

impl<'a, C: Fn(&str) -> Option<usize>> Parts<'a, C> {
    pub(super) fn new(pieces: Pieces<'a>, cut: C) -> Self {
        Self { pieces, cut, text: String::new(), try_at: 0, skip: None }
    }

    /// Begins behind what was given out before. The position must be one behind a part.
    pub(crate) fn skip_to(mut self, position: Position) -> Self {
        self.skip = Some(position).filter(|position| *position != Position::default());
        self
    }

    fn next_part(&mut self) -> Result<Option<Piece>, CorpusError> {
        while let Some(piece) = self.pieces.next_piece()? {
            match self.text.is_empty() {
                true => self.text = piece.text,
                false => self.text.push_str(&piece.text),
            }
            if piece.ends_document {
                self.try_at = 0;
                return Ok(Some(Piece { text: std::mem::take(&mut self.text), ends_document: true }));
            }
            if self.text.len() < self.try_at {
                continue;
            }
            match (self.cut)(&self.text).filter(|&at| at > 0) {
                Some(at) => {
                    self.try_at = 0;
                    let rest = self.text.split_off(at);
                    let text = std::mem::replace(&mut self.text, rest);
                    return Ok(Some(Piece { text, ends_document: false }));
                }
                // Twice as much the next time, so that a text that cannot be cut is looked through twice at most.
                None => self.try_at = 2 * self.text.len(),
            }
        }
        Ok(None)
    }

    /// The part without what is to be passed over; `None` when that is all of it.
    fn skipped(&mut self, mut part: Piece) -> Option<Piece> {
        let Some(skip) = &mut self.skip else { return Some(part) };
        if (part.text.len() as u64) > skip.bytes {
            part.text.drain(..skip.bytes as usize);
            self.skip = None;
            return Some(part);
        }
        skip.bytes -= part.text.len() as u64;
        part.text.clear();
        if part.ends_document && skip.documents == 0 {
            // All of its text is done, its end is not.
            self.skip = None;
            return Some(part);
        }
        skip.documents -= u64::from(part.ends_document);
        if *skip == Position::default() {
            self.skip = None;
        }
        None
    }
}

impl<C: Fn(&str) -> Option<usize>> Iterator for Parts<'_, C> {
    type Item = Result<Piece, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_part().transpose()? {
                Ok(part) => match self.skipped(part) {
                    Some(part) => return Some(Ok(part)),
                    None => continue,
                },
                error => return Some(error),
            }
        }
    }
}
