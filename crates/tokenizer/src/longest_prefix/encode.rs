//! Longest-prefix segmentation in linear time.
//!
//! A trie of all tokens, byte by byte, whose nodes know what to do when the text leaves the trie: which tokens the bytes
//! read so far begin with, and the node of the bytes that are left then. So no byte is read twice, after Song et al. 2021
//! (Fast WordPiece Tokenization, <https://arxiv.org/abs/2012.15524>).

use crate::pattern::Splitter;
use crate::piece_map::{PieceMap, Seen};
use std::collections::VecDeque;

const NONE: u32 = u32::MAX;
const ROOT: u32 = 0;

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
    nodes: Vec<Node>,
    /// The tokens that nodes take when the text leaves the trie.
    taken: Vec<u32>,
    /// Words that are one token.
    whole: PieceMap<u32>,
    /// How many tokens have more than one character.
    merges: usize,
}

/// The bytes that lead to a node are a prefix of a token. A node is a cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Node {
    /// Which bytes go on, and how many do in the words before each.
    children: [u64; 4],
    before: [u8; 4],
    /// The node of the lowest of them; the others follow.
    first_child: u32,
    /// Where to go on when the text does not, after taking `taken`; [`NONE`] where no token is a prefix of these bytes.
    fallback: u32,
    /// From where to where in the list of taken tokens.
    taken: [u32; 2],
    /// The number of bytes.
    depth: u32,
}

impl Node {
    fn new(depth: u32) -> Self {
        Self { children: [0; 4], before: [0; 4], first_child: 0, fallback: NONE, taken: [0; 2], depth }
    }

    /// The node after one more byte.
    #[inline]
    fn child(&self, byte: u8) -> Option<u32> {
        let (word, bit) = (usize::from(byte >> 6), byte & 63);
        let bits = self.children[word];
        if bits >> bit & 1 == 0 {
            return None;
        }
        let lower = (bits & ((1 << bit) - 1)).count_ones();
        Some(self.first_child + u32::from(self.before[word]) + lower)
    }

    fn set_children(&mut self, bytes: impl Iterator<Item = u8>, first: u32) {
        self.first_child = first;
        for byte in bytes {
            self.children[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        for word in 1..4 {
            // A node has at most 256 children, and those of the last word are not counted.
            self.before[word] = self.before[word - 1] + self.children[word - 1].count_ones() as u8;
        }
    }
}

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
        let mut whole = PieceMap::default();
        tokens.iter().for_each(|(text, id)| whole.insert(text.as_bytes(), *id));
        let tokens: Vec<(&[u8], u32)> = tokens.into_iter().map(|(text, id)| (text.as_bytes(), id)).collect();
        let mut new = Self { splitter, unknown, nodes: vec![Node::new(0)], taken: Vec::new(), whole, merges };
        // Breadth first, so that the children of a node follow each other, and what a node falls back to, which is
        // nearer to the root, is known before it.
        let mut queue = VecDeque::from([(ROOT, 0..tokens.len())]);
        while let Some((node, range)) = queue.pop_front() {
            let depth = new.nodes[node as usize].depth as usize;
            // Sorted, the token that ends here comes first, then those that go on, by their next byte.
            let own = tokens[range.clone()].first().filter(|(text, _)| text.len() == depth && depth > 0);
            let rest = range.start + usize::from(own.is_some())..range.end;
            if let Some(&(_, id)) = own {
                let at = new.taken.len() as u32;
                new.taken.push(id);
                let node = &mut new.nodes[node as usize];
                (node.taken, node.fallback) = ([at, at + 1], ROOT);
            }
            let groups: Vec<_> =
                tokens[rest.clone()].chunk_by(|(a, _), (b, _)| a[depth] == b[depth]).collect();
            let first = new.nodes.len() as u32;
            new.nodes[node as usize].set_children(groups.iter().map(|group| group[0].0[depth]), first);
            let mut start = rest.start;
            for group in groups {
                let child = new.nodes.len() as u32;
                new.nodes.push(Node::new(depth as u32 + 1));
                new.fall_back(child, node, group[0].0[depth]);
                queue.push_back((child, start..start + group.len()));
                start += group.len();
            }
        }
        new
    }

    /// What to do at `node` when the text goes on otherwise: as at its parent, and then with the byte between the two. A
    /// node that is itself a token is told otherwise later.
    fn fall_back(&mut self, node: u32, parent: u32, byte: u8) {
        let Node { fallback, taken: [start, end], .. } = self.nodes[parent as usize];
        let at = self.taken.len();
        self.taken.extend_from_within(start as usize..end as usize);
        let mut from = fallback;
        while from != NONE {
            let Node { fallback, taken: [start, end], .. } = self.nodes[from as usize];
            if let Some(next) = self.nodes[from as usize].child(byte) {
                let taken = [at as u32, self.taken.len() as u32];
                let node = &mut self.nodes[node as usize];
                (node.fallback, node.taken) = (next, taken);
                return;
            }
            self.taken.extend_from_within(start as usize..end as usize);
            from = fallback;
        }
        // No token begins these bytes, or a character breaks off among them.
        self.taken.truncate(at);
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
            self.splitter.for_each_piece(text, |word| match self.whole.get(word.as_bytes()) {
                Some(&id) => out.push(id),
                None => seen.copy_or(word.as_bytes(), out, |out| self.encode_word(word, out)),
            });
        } else {
            // Where no token is longer than a character, words are of no consequence.
            self.encode_word(text, out);
        }
    }

    /// Appends the ids of any bytes: as text where they are UTF-8; others as unknown.
    pub(crate) fn encode_bytes(&self, bytes: &[u8], out: &mut Vec<u32>) {
        let mut seen = Seen::default();
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
        let bytes = word.as_bytes();
        let (mut node, mut at) = (&self.nodes[ROOT as usize], 0);
        loop {
            if let Some(&byte) = bytes.get(at)
                && let Some(child) = node.child(byte)
            {
                node = &self.nodes[child as usize];
                at += 1;
                continue;
            }
            let [start, end] = node.taken;
            out.extend_from_slice(&self.taken[start as usize..end as usize]);
            if node.fallback != NONE {
                node = &self.nodes[node.fallback as usize];
                continue;
            }
            // What is left of the bytes read is the beginning of a character that is no token.
            let start = at - node.depth as usize;
            let Some(char) = word[start..].chars().next() else { return };
            at = start + char.len_utf8();
            self.push_unknown(&bytes[start..at], out);
            node = &self.nodes[ROOT as usize];
        }
    }
}
