//! The text of one split, file after file.

use std::ops::Range;

use super::corpus::{Corpus, Share};
use super::{DocumentReader, Piece};
use crate::error::CorpusError;

/// Reads the text of one split as it is asked for: of every file that share of it which belongs to the split.
///
/// What is read to the end of a file is compared with what was scanned.
pub(super) struct Pieces<'a> {
    corpus: &'a Corpus,
    shares: std::slice::Iter<'a, Share>,
    current: Option<OpenShare<'a>>,
}

struct OpenShare<'a> {
    share: &'a Share,
    reader: DocumentReader,
    /// Units of the file read so far: characters of a file that is one document, else documents that have ended.
    read: u64,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(corpus: &'a Corpus, shares: &'a [Share]) -> Self {
        Self { corpus, shares: shares.iter(), current: None }
    }

    /// The next piece, `None` at the end. After an error there is nothing more.
    pub(super) fn next_piece(&mut self) -> Result<Option<Piece>, CorpusError> {
        let piece = self.find_piece();
        if !matches!(piece, Ok(Some(_))) {
            self.shares = [].iter();
            self.current = None;
        }
        piece
    }

    fn find_piece(&mut self) -> Result<Option<Piece>, CorpusError> {
        loop {
            let Some(open) = &mut self.current else {
                let Some(share) = self.shares.next() else { return Ok(None) };
                self.current = Some(OpenShare { share, reader: self.corpus.open(share.file)?, read: 0 });
                continue;
            };
            let file = &self.corpus.files()[open.share.file];
            let units = &open.share.units;
            let goes_to_the_end = units.end == file.units(self.corpus.boundary());
            if open.read >= units.end && !goes_to_the_end {
                self.current = None;
                continue;
            }
            let Some(piece) = open.reader.next_piece()? else {
                if open.reader.sha256()? != file.sha256 {
                    return Err(CorpusError::FileChanged(file.path.clone()));
                }
                self.current = None;
                continue;
            };
            let kept = if file.is_one_document(self.corpus.boundary()) {
                open.keep_characters(piece, units.clone(), goes_to_the_end)
            } else {
                let wanted = units.contains(&open.read);
                if open.read >= units.end {
                    return Err(CorpusError::FileChanged(file.path.clone()));
                }
                open.read += u64::from(piece.ends_document);
                wanted.then_some(piece)
            };
            if kept.is_some() {
                return Ok(kept);
            }
        }
    }
}

impl OpenShare<'_> {
    /// Of a piece, that part which is among these characters of the file.
    fn keep_characters(&mut self, piece: Piece, wanted: Range<u64>, goes_to_the_end: bool) -> Option<Piece> {
        let Piece { mut text, ends_document } = piece;
        let begins = self.read;
        if begins >= wanted.end && !(ends_document && begins == wanted.end) {
            return None; // The document has been cut off before.
        }
        let count = text.chars().count() as u64;
        self.read += count;
        if self.read < wanted.start {
            return None;
        }
        // What goes to the end of the file ends with the reader's last piece, which may have no text in it.
        let cut_off = self.read > wanted.end || self.read == wanted.end && !goes_to_the_end;
        if cut_off {
            text.truncate(byte_of_character(&text, wanted.end - begins));
            self.read = wanted.end;
        }
        if begins < wanted.start {
            text.drain(..byte_of_character(&text, wanted.start - begins));
        }
        let ends_document = ends_document || cut_off;
        (!text.is_empty() || ends_document).then_some(Piece { text, ends_document })
    }
}

/// Where the `index`-th character of a text begins.
fn byte_of_character(text: &str, index: u64) -> usize {
    // More characters than there are in memory there cannot be.
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
}
