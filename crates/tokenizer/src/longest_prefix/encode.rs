//! Longest-prefix segmentation in linear time.
//!
//! A trie of all tokens, byte by byte, whose nodes know what to do when the text leaves the trie: which tokens the bytes
//! read so far begin with, and the node of the bytes that are left then. So no byte is read twice, after Song et al. 2021
//! (Fast WordPiece Tokenization, <https://arxiv.org/abs/2012.15524>).

use crate::double_array::{DoubleArray, Made, ROOT};
use crate::pattern::Splitter;
use crate::piece_map::Piece;
use crate::seen::Seen;
use std::hint::select_unpredictable;

const NONE: u32 = u32::MAX;

/// What becomes of a character outside the vocabulary.
#[derive(Clone, Debug)]
pub(crate) enum Unknown {
    /// One token.
    Token(u32),
    /// A token for each of its bytes.
    Bytes(Box<[u32; 256]>),
}

/// The algorithm with its tables.
#[derive(Debug)]
pub(crate) struct LongestPrefix {
    splitter: Splitter,
    unknown: Unknown,
    trie: DoubleArray<()>,
    /// By node.
    leaves: Vec<Leave>,
    details: Vec<Detail>,
    /// The tokens that nodes take when the text leaves the trie.
    taken: Vec<u32>,
    /// How many tokens have more than one character.
    merges: usize,
}

/// What to do at a node when the text does not go on as a token does.
#[derive(Clone, Copy, Debug)]
struct Leave {
    /// The token to take; [`NONE`] where it is not just one.
    token: u32,
    /// Where to go on; [`NONE`] where no token is a prefix of these bytes.
    fallback: u32,
}

/// What else is known of a node.
#[derive(Clone, Copy, Debug)]
struct Detail {
    /// From where to where in the list of taken tokens all of them are.
    taken: [u32; 2],
    /// The number of bytes.
    depth: u32,
}

/// As at a slot that is no node.
const NOWHERE: (Leave, Detail) = (Leave { token: NONE, fallback: NONE }, Detail { taken: [0; 2], depth: 0 });

impl LongestPrefix {
    /// From the tokens that text can become, as (text, id). Every character of a token is a token itself.
    pub(crate) fn new<'v>(
        splitter: Splitter,
        tokens: impl IntoIterator<Item = (&'v str, u32)>,
        unknown: Unknown,
    ) -> Self {
        let mut tokens: Vec<(&str, u32)> = tokens.into_iter().collect();
        tokens.sort_unstable();
        let merges = tokens.iter().filter(|(text, _)| text.chars().nth(1).is_some()).count();
        let strings: Vec<&[u8]> = tokens.iter().map(|(text, _)| text.as_bytes()).collect();
        let (mut leaves, mut details, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        // Breadth first, so that what a node falls back to, which is nearer to the root, is known before it.
        let trie = DoubleArray::new(&strings, |trie, made| {
            leaves.resize(trie.len(), NOWHERE.0);
            details.resize(trie.len(), NOWHERE.1);
            let (leave, taken) = match made.string {
                Some(string) => {
                    let (at, token) = (taken.len() as u32, tokens[string].1);
                    taken.push(token);
                    (Leave { token, fallback: ROOT }, [at, at + 1])
                }
                None => fall_back(trie, &leaves, &details, &mut taken, &made),
            };
            leaves[made.node as usize] = leave;
            details[made.node as usize] = Detail { taken, depth: made.depth };
        });
        Self { splitter, unknown, trie, leaves, details, taken, merges }
    }

    pub(crate) fn splitter(&self) -> &Splitter {
        &self.splitter
    }

    pub(crate) fn unknown(&self) -> &Unknown {
        &self.unknown
    }

    /// How many tokens have more than one character.
    pub(crate) fn n_merges(&self) -> usize {
        self.merges
    }

    /// Appends the ids of a text. What was seen is that of all texts whose ids are in `out`.
    pub(crate) fn encode(&self, text: &str, seen: &mut Seen, out: &mut Vec<u32>) {
        if self.merges > 0 {
            self.splitter.for_each_piece(text, |range| {
                let word = Piece::within(text.as_bytes(), range.clone());
                seen.append(word, out, |out| self.encode_word(&text[range], out));
            });
        } else {
            // Where no token is longer than a character, words are of no consequence.
            self.encode_word(text, out);
        }
    }

    /// Appends the ids of any bytes: as text where they are UTF-8; others as unknown.
    pub(crate) fn encode_bytes(&self, bytes: &[u8], out: &mut Vec<u32>) {
        let mut seen = Seen::new(bytes.len());
        for chunk in bytes.utf8_chunks() {
            self.encode(chunk.valid(), &mut seen, out);
            if !chunk.invalid().is_empty() {
                self.push_unknown(chunk.invalid(), out);
            }
        }
    }

    fn push_unknown(&self, bytes: &[u8], out: &mut Vec<u32>) {
        match &self.unknown {
            Unknown::Token(id) => out.push(*id),
            Unknown::Bytes(ids) => out.extend(bytes.iter().map(|&byte| ids[usize::from(byte)])),
        }
    }

    fn encode_word(&self, word: &str, out: &mut Vec<u32>) {
        let mut run = Run { node: ROOT, at: 0 };
        if word.len() >= 2 * LANES * LANE {
            let mut lanes =
                std::array::from_fn(|_| Lane { run, end: 0, ids: vec![0; LANE + MARGIN], count: 0 });
            while word.len() - run.at >= LANES * LANE + MARGIN {
                self.encode_in_lanes(word, &mut run, &mut lanes, out);
            }
        }
        loop {
            self.go(word, &mut run, word.len(), out);
            if run.node == ROOT {
                break;
            }
            self.leave(word, &mut run, out);
        }
    }

    /// Reads on to a place that is the beginning of a character or the end.
    fn go(&self, word: &str, run: &mut Run, end: usize, out: &mut Vec<u32>) {
        while run.at < end {
            self.step(word, run, out);
        }
    }

    /// Reads a byte, or takes what has been read.
    #[inline(always)]
    fn step(&self, word: &str, run: &mut Run, out: &mut Vec<u32>) {
        match self.trie.child(run.node, word.as_bytes()[run.at]) {
            Some(child) => *run = Run { node: child, at: run.at + 1 },
            None => self.leave(word, run, out),
        }
    }

    /// Takes the tokens that the bytes read so far begin with.
    #[inline(always)]
    fn leave(&self, word: &str, run: &mut Run, out: &mut Vec<u32>) {
        let Leave { token, fallback } = self.leaves[run.node as usize];
        if token != NONE {
            out.push(token);
            run.node = fallback;
        } else {
            self.leave_otherwise(word, run, out);
        }
    }

    #[cold]
    fn leave_otherwise(&self, word: &str, run: &mut Run, out: &mut Vec<u32>) {
        let Detail { taken: [start, end], depth } = self.details[run.node as usize];
        out.extend_from_slice(&self.taken[start as usize..end as usize]);
        run.node = self.leaves[run.node as usize].fallback;
        if run.node == NONE {
            run.node = ROOT;
            // What is left of the bytes read is the beginning of a character that is no token.
            let start = run.at - depth as usize;
            if let Some(char) = word[start..].chars().next() {
                run.at = start + char.len_utf8();
                self.push_unknown(&word.as_bytes()[start..run.at], out);
            }
        }
    }

    /// Reads the next [`LANES`] × [`LANE`] bytes, some more than there are, in as many places at once: a step waits for the
    /// one before it, so that a processor has time for others.
    ///
    /// Whether a token begins where a lane does is not known. So where a lane ends, reading goes on along the bytes of the
    /// next one until both are at the same node at the same byte, mostly after a few tokens: from there on they agree.
    fn encode_in_lanes(&self, word: &str, run: &mut Run, lanes: &mut [Lane; LANES], out: &mut Vec<u32>) {
        let mut next = *run;
        for lane in &mut *lanes {
            lane.run = next;
            lane.end = word.floor_char_boundary(next.at + LANE);
            lane.count = 0;
            next = Run { node: ROOT, at: lane.end };
        }
        self.read_lanes(word, lanes);
        *run = lanes[0].run;
        out.extend_from_slice(&lanes[0].ids[..lanes[0].count]);
        for lane in 1..LANES {
            let (mut other, mut taken) = (Run { node: ROOT, at: lanes[lane - 1].end }, Vec::new());
            while *run != other && run.at < lanes[lane].end {
                if run.at <= other.at {
                    self.step(word, run, out)
                } else {
                    self.step(word, &mut other, &mut taken)
                }
            }
            if *run == other {
                *run = lanes[lane].run;
                out.extend_from_slice(&lanes[lane].ids[taken.len()..lanes[lane].count]);
            }
        }
    }

    fn read_lanes(&self, word: &str, lanes: &mut [Lane; LANES]) {
        let bytes = word.as_bytes();
        loop {
            let left = lanes.iter().map(|lane| lane.end - lane.run.at).min().unwrap_or(0);
            if left == 0 {
                break;
            }
            let mut runs = lanes.each_ref().map(|lane| lane.run);
            let mut counts = lanes.each_ref().map(|lane| lane.count);
            let ids = lanes.each_mut().map(|lane| &mut lane.ids[..]);
            let mut rare = None;
            // A step reads one byte at most.
            'steps: for _ in 0..left {
                for lane in 0..LANES {
                    let Run { node, at } = runs[lane];
                    let (child, goes_on) = self.trie.step(node, bytes[at]);
                    let Leave { token, fallback } = self.leaves[node as usize];
                    // No branch depends on where tokens end: nothing foresees that.
                    let (node, token) = select_unpredictable(goes_on, (child, 0), (fallback, token));
                    if token == NONE {
                        rare = Some(lane);
                        break 'steps;
                    }
                    ids[lane][counts[lane]] = token;
                    counts[lane] += usize::from(!goes_on);
                    runs[lane] = Run { node, at: at + usize::from(goes_on) };
                }
            }
            for (lane, (run, count)) in lanes.iter_mut().zip(runs.into_iter().zip(counts)) {
                (lane.run, lane.count) = (run, count);
            }
            if let Some(lane) = rare {
                lanes[lane].rarely(|run, out| self.leave_otherwise(word, run, out));
            }
        }
        for lane in lanes {
            let end = lane.end;
            lane.rarely(|run, out| self.go(word, run, end, out));
        }
    }
}

/// A place in a word, and the node of the bytes before it that are read but not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    node: u32,
    at: usize,
}

/// How many parts of a word are read at once, and how many bytes of each at a time.
const LANES: usize = 4;
const LANE: usize = 8192;
/// How many more a lane may have for the sake of a character.
const MARGIN: usize = 16;

/// A part of a word.
struct Lane {
    run: Run,
    end: usize,
    /// The ids, and how many there are.
    ids: Vec<u32>,
    count: usize,
}

impl Lane {
    fn rarely(&mut self, each: impl FnOnce(&mut Run, &mut Vec<u32>)) {
        let mut more = Vec::new();
        each(&mut self.run, &mut more);
        self.ids[self.count..self.count + more.len()].copy_from_slice(&more);
        self.count += more.len();
    }
}

/// What to do at a node that is no token, and which tokens to take: as at its parent, and then with the byte between the two.
fn fall_back(
    trie: &DoubleArray<()>,
    leaves: &[Leave],
    details: &[Detail],
    taken: &mut Vec<u32>,
    made: &Made,
) -> (Leave, [u32; 2]) {
    let nowhere = (NOWHERE.0, NOWHERE.1.taken);
    if made.node == ROOT {
        return nowhere;
    }
    let at = taken.len();
    let mut from = made.parent;
    loop {
        let [start, end] = details[from as usize].taken;
        taken.extend_from_within(start as usize..end as usize);
        from = leaves[from as usize].fallback;
        if from == NONE {
            // No token begins these bytes, or a character breaks off among them.
            taken.truncate(at);
            return nowhere;
        }
        if let Some(next) = trie.child(from, made.byte) {
            let token = if taken.len() == at + 1 { taken[at] } else { NONE };
            return (Leave { token, fallback: next }, [at, taken.len()].map(|at| at as u32));
        }
    }
}
