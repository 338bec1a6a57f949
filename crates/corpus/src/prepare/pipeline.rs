//! Reading, encoding and writing at the same time, in order.
//!
//! One thread reads ahead, rayon's pool encodes, one thread writes. Between them stand queues of a few chunks, which is
//! all the text there is in memory. Chunks are made of the text alone and written in their order, so that the number of
//! threads leaves no trace.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::Encode;
use crate::error::CorpusError;
use crate::progress::{Progress, Stage};
use crate::shards::ShardWriter;
use crate::sources::{Corpus, Piece, Position, Split};

/// How much text is encoded at a time, but for a document that cannot be cut.
pub(super) const CHUNK_BYTES: usize = 8 << 20;

/// Chunks that may wait before encoding, and before writing.
const QUEUE: usize = 2;

/// How much work a kill may cost.
const JOURNAL_EVERY: Duration = Duration::from_secs(2);

/// Text of one split.
struct Chunk {
    split: Split,
    parts: Vec<Piece>,
}

/// What became of it.
struct Encoded {
    split: Split,
    parts: Vec<EncodedPart>,
    text_bytes: usize,
}

struct EncodedPart {
    ids: Vec<u32>,
    text_bytes: usize,
    ends_document: bool,
}

/// Encodes what the writer does not have yet, and gives the writer back.
pub(super) fn run(
    corpus: &Corpus,
    encode: &impl Encode,
    writer: ShardWriter,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ShardWriter, CorpusError> {
    let begin = Split::ALL.map(|split| writer.position(split));
    let before: Position = begin.iter().fold(Position::default(), |sum, position| Position {
        documents: sum.documents + position.documents,
        bytes: sum.bytes + position.bytes,
    });
    let mut done = Progress {
        stage: Stage::Encode,
        bytes: before.bytes,
        total_bytes: corpus.text_bytes(),
        documents: before.documents,
        tokens: writer.tokens(),
        bytes_before: before.bytes,
    };
    if before.bytes > 0 {
        progress(done);
    }
    let tokens = AtomicU64::new(done.tokens);
    let (read, written) = thread::scope(|scope| {
        let (to_encode, chunks) = sync_channel(QUEUE);
        let (to_write, encoded) = sync_channel(QUEUE);
        scope.spawn(move || read_all(corpus, encode, begin, &to_encode));
        let tokens = &tokens;
        let writing = scope.spawn(move || write_all(writer, &encoded, tokens));
        let mut read = Ok(());
        for chunk in chunks {
            let chunk = match chunk {
                Ok(chunk) => encode_chunk(chunk, encode),
                Err(error) => {
                    read = Err(error);
                    break;
                }
            };
            done.bytes += chunk.text_bytes as u64;
            done.documents += chunk.parts.iter().filter(|part| part.ends_document).count() as u64;
            done.tokens = tokens.load(Ordering::Relaxed);
            // When the writer has failed it says so below.
            if to_write.send(chunk).is_err() {
                break;
            }
            progress(done);
        }
        drop(to_write);
        (read, writing.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let mut writer = written?;
    if let Err(error) = read {
        match error {
            // A later process may fare better.
            CorpusError::Io { .. } => drop(writer.keep_journal()),
            // The text is not the one that was scanned.
            _ => writer.discard(),
        }
        return Err(error);
    }
    done.tokens = writer.tokens();
    progress(done);
    Ok(writer)
}

/// Reads the text of all splits from these positions on, in chunks; ends early when nobody wants them.
fn read_all(
    corpus: &Corpus,
    encode: &impl Encode,
    begin: [Position; Split::ALL.len()],
    chunks: &SyncSender<Result<Chunk, CorpusError>>,
) {
    for (split, position) in Split::ALL.into_iter().zip(begin) {
        let mut parts = corpus.parts(split, |text| encode.cut(text)).skip_to(position);
        loop {
            let chunk = next_chunk(split, &mut parts);
            let is_last = !matches!(&chunk, Ok(chunk) if !chunk.parts.is_empty());
            let is_error = chunk.is_err();
            if (!is_last || is_error) && chunks.send(chunk).is_err() || is_error {
                return;
            }
            if is_last {
                break;
            }
        }
    }
}

/// The next parts, about [`CHUNK_BYTES`] of them; none at the end.
fn next_chunk(
    split: Split,
    parts: &mut impl Iterator<Item = Result<Piece, CorpusError>>,
) -> Result<Chunk, CorpusError> {
    let mut chunk = Chunk { split, parts: Vec::new() };
    let mut bytes = 0;
    while bytes < CHUNK_BYTES
        && let Some(part) = parts.next().transpose()?
    {
        bytes += part.text.len();
        chunk.parts.push(part);
    }
    Ok(chunk)
}

fn encode_chunk(chunk: Chunk, encode: &impl Encode) -> Encoded {
    let encode_part = |part: &Piece| EncodedPart {
        ids: encode.encode(&part.text),
        text_bytes: part.text.len(),
        ends_document: part.ends_document,
    };
    let parts: Vec<EncodedPart> = chunk.parts.par_iter().map(encode_part).collect();
    let text_bytes = parts.iter().map(|part| part.text_bytes).sum();
    Encoded { split: chunk.split, parts, text_bytes }
}

/// Writes chunks as they come and, now and then, how far it is.
fn write_all(
    mut writer: ShardWriter,
    chunks: &Receiver<Encoded>,
    tokens: &AtomicU64,
) -> Result<ShardWriter, CorpusError> {
    let mut journal_at = None;
    for Encoded { split, parts, text_bytes } in chunks {
        for EncodedPart { ids, text_bytes, ends_document } in parts {
            writer.write_part(split, &ids, text_bytes, ends_document)?;
        }
        tokens.store(writer.tokens(), Ordering::Relaxed);
        // The first full chunk is a sign that it may take a while.
        let is_due = journal_at.map_or(text_bytes >= CHUNK_BYTES, |at| Instant::now() >= at);
        if is_due {
            writer.keep_journal()?;
            journal_at = Some(Instant::now() + JOURNAL_EVERY);
        }
    }
    Ok(writer)
}
