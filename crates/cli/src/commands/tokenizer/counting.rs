//! Counting the pieces of a corpus for a trainer of either algorithm, within the memory allowed.

use crate::args::{Global, TokenizerTrainArgs};
use crate::exit::usage;
use crate::output::{say, thousands};
use crate::text;
use firebrand_corpus::sources::Corpus;
use firebrand_tokenizer::PieceCounts;

/// How many bytes of text are counted at once, so that all threads have something to do.
const BATCH: usize = 16 << 20;
/// And where memory is limited.
const SMALL_BATCH: usize = 2 << 20;
/// What training takes beside the pieces that it keeps, then: the program, and a batch all pieces of which are different,
/// counted apart before they are added up.
const BESIDE_PIECES: u64 = (32 << 20) + 48 * SMALL_BATCH as u64;

/// Gives all the text of a corpus to a trainer, many parts at a time.
pub(super) fn count(
    pieces: &mut PieceCounts,
    corpus: &Corpus,
    args: &TokenizerTrainArgs,
    global: &Global,
) -> anyhow::Result<()> {
    let mut batch = BATCH;
    if let Some(max_memory) = args.max_memory {
        let left = max_memory.checked_sub(BESIDE_PIECES).filter(|&left| left > 1 << 20);
        let least = BESIDE_PIECES.div_ceil(1_000_000) + 2;
        let too_little = || usage(format!("--max-memory {max_memory} is too little: give {least}MB or more"));
        pieces.set_max_memory(left.ok_or_else(too_little)?);
        batch = SMALL_BATCH;
    }
    let cutter = pieces.cutter();
    let (mut texts, mut bytes): (Vec<String>, usize) = (Vec::new(), 0);
    let mut feed = |texts: &mut Vec<String>| {
        pieces.feed_all(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        texts.clear();
    };
    text::for_each_part(
        corpus,
        |text| cutter.safe_cut(text),
        global,
        |text| {
            texts.push(text.to_owned());
            bytes += text.len();
            if bytes >= batch {
                feed(&mut texts);
                bytes = 0;
            }
        },
    )?;
    feed(&mut texts);
    say_pruned(pieces, global);
    Ok(())
}

fn say_pruned(pieces: &PieceCounts, global: &Global) {
    let pruned = pieces.pruned();
    if pruned.pieces > 0 {
        let [pieces, occurrences] = [pruned.pieces, pruned.occurrences].map(thousands);
        let at_most = pruned.at_most;
        say(
            global,
            format!(
                "to stay within --max-memory, {pieces} rare pieces were forgotten: {occurrences} occurrences, none more than {at_most} \
                 times when it was"
            ),
        );
    }
}
