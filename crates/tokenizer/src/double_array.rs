//! A trie of byte strings in which a step is one look-up: a double array (Aoe 1989), with the bytes of all children of a node
//! folded into one block of 256 slots by exclusive or.
//!
//! It knows strings and nodes, not tokens.

use std::collections::VecDeque;

/// A node of the trie: its slot.
pub(crate) type Node = u32;

/// The node of the empty string.
pub(crate) const ROOT: Node = 0;

/// The parent of no node.
const FREE: u32 = u32::MAX;
const BLOCK: usize = 256;
/// How many of the blocks with free slots are tried for a node with several children before there is a new one.
const TRIED: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Slot<V> {
    /// The child by `byte` has the slot `base ^ byte`, if that says that this is its parent.
    base: u32,
    parent: Node,
    value: V,
}

/// The trie, with a value at every node.
#[derive(Debug)]
pub(crate) struct DoubleArray<V> {
    slots: Vec<Slot<V>>,
}

/// A node as it was made: the first of all strings by which it is reached comes first, nearer ones to the root before others.
pub(crate) struct Made {
    pub(crate) node: Node,
    pub(crate) parent: Node,
    /// The last byte of its string, and the number of bytes; the root has none.
    pub(crate) byte: u8,
    pub(crate) depth: u32,
    /// Which of the strings is that of the node.
    pub(crate) string: Option<usize>,
}

impl<V: Copy + Default> DoubleArray<V> {
    /// From distinct strings in ascending order, none empty. `value` gives that of every node, breadth first, as soon as
    /// [`child`](Self::child) finds it from its parent; its own children are not known then.
    pub(crate) fn new(strings: &[&[u8]], mut value: impl FnMut(&Self, Made) -> V) -> Self {
        let none = Slot { base: 0, parent: FREE, value: V::default() };
        let mut new = Self { slots: vec![none; BLOCK] };
        let mut blocks = Blocks::default();
        blocks.add();
        blocks.take(0);
        new.slots[0].value = value(&new, Made { node: ROOT, parent: ROOT, byte: 0, depth: 0, string: None });
        let mut queue = VecDeque::from([(ROOT, 0, 0..strings.len())]);
        while let Some((parent, depth, range)) = queue.pop_front() {
            let groups: Vec<&[&[u8]]> =
                strings[range.clone()].chunk_by(|a, b| a[depth] == b[depth]).collect();
            if groups.is_empty() {
                continue;
            }
            let bytes: Vec<u8> = groups.iter().map(|group| group[0][depth]).collect();
            let base = blocks.place(&bytes);
            new.slots.resize(blocks.free.len() * BLOCK, none);
            new.slots[parent as usize].base = base;
            let mut start = range.start;
            for (group, byte) in groups.into_iter().zip(bytes) {
                let node = base ^ u32::from(byte);
                new.slots[node as usize].parent = parent;
                // Sorted, the string that ends here comes before those that go on.
                let ends = group[0].len() == depth + 1;
                let string = ends.then_some(start);
                let made = Made { node, parent, byte, depth: depth as u32 + 1, string };
                new.slots[node as usize].value = value(&new, made);
                queue.push_back((node, depth + 1, start + usize::from(ends)..start + group.len()));
                start += group.len();
            }
        }
        new
    }

    /// One more than the largest node.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// What is known of a node.
    #[inline(always)]
    pub(crate) fn value(&self, node: Node) -> V {
        self.slots[node as usize].value
    }

    /// The node after one more byte.
    #[inline(always)]
    pub(crate) fn child(&self, node: Node, byte: u8) -> Option<Node> {
        let (child, exists) = self.step(node, byte);
        exists.then_some(child)
    }

    /// The node after one more byte, if it exists.
    #[inline(always)]
    pub(crate) fn step(&self, node: Node, byte: u8) -> (Node, bool) {
        let child = self.slots[node as usize].base ^ u32::from(byte);
        (child, self.slots[child as usize].parent == node)
    }
}

/// Which slots are free.
#[derive(Default)]
struct Blocks {
    /// Of each block: one bit a slot.
    free: Vec<[u64; 4]>,
    /// The blocks that have some, the oldest first.
    open: Vec<usize>,
}

impl Blocks {
    fn add(&mut self) {
        self.open.push(self.free.len());
        self.free.push([u64::MAX; 4]);
    }

    fn is_free(&self, slot: usize) -> bool {
        self.free[slot / BLOCK][slot % BLOCK / 64] >> (slot % 64) & 1 == 1
    }

    fn free_slots(&self, block: usize) -> impl Iterator<Item = usize> {
        let words = self.free[block].into_iter().enumerate();
        words.flat_map(move |(word, mut bits)| {
            std::iter::from_fn(move || {
                let slot = (bits != 0).then(|| block * BLOCK + word * 64 + bits.trailing_zeros() as usize);
                bits &= bits.wrapping_sub(1);
                slot
            })
        })
    }

    fn take(&mut self, slot: usize) {
        self.free[slot / BLOCK][slot % BLOCK / 64] &= !(1 << (slot % 64));
        if self.free[slot / BLOCK] == [0; 4] {
            self.open.retain(|&block| block != slot / BLOCK);
        }
    }

    /// Takes the slots of a node's children and returns its base.
    fn place(&mut self, bytes: &[u8]) -> u32 {
        let fits = |block: usize| {
            let free = |base: usize| bytes.iter().all(|&byte| self.is_free(base ^ usize::from(byte)));
            self.free_slots(block).map(|slot| slot ^ usize::from(bytes[0])).find(|&base| free(base))
        };
        let found = match self.open.len().checked_sub(TRIED) {
            // One child fits wherever there is a slot.
            Some(_) if bytes.len() == 1 => fits(self.open[0]),
            Some(first) => self.open[first..].iter().find_map(|&block| fits(block)),
            None => self.open.iter().find_map(|&block| fits(block)),
        };
        let base = found.unwrap_or_else(|| {
            self.add();
            (self.free.len() - 1) * BLOCK
        });
        bytes.iter().for_each(|&byte| self.take(base ^ usize::from(byte)));
        base as u32
    }
}
