//! An n-gram model with interpolated modified Kneser–Ney smoothing [Chen & Goodman 1999,
//! <https://dash.harvard.edu/handle/1/25104739>]: what a language model has to beat.
//!
//! An n-gram of the highest order counts as often as it was seen; a shorter one by how many different ids were seen before it,
//! since it is asked for only where the longer one is unknown. What begins a sequence has nothing before it, and counts as often
//! as it was seen, too.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// N-grams by the node of all but their last id, and that id.
type Children = HashMap<(u32, u32), u32, BuildHasherDefault<DefaultHasher>>;

/// The n-gram of no ids.
const ROOT: u32 = 0;

/// More different n-grams than were allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are more than {most} different n-grams")]
pub struct TooManyNgrams {
    /// How many were allowed.
    pub most: usize,
}

/// Counts of the n-grams of sequences: a tree in which the n-grams that begin alike share their beginning.
#[derive(Debug)]
pub struct NgramCounts {
    order: usize,
    most: usize,
    children: Children,
    nodes: Vec<Node>,
    /// Of the sequence that is being read: the n-grams of its last ids, the shortest first, of one id less each in `contexts`.
    contexts: Vec<u32>,
    longer: Vec<u32>,
}

/// An n-gram.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// That of all but its last id.
    context: u32,
    length: u32,
    /// How often it was seen where its last id was predicted.
    times: u32,
    /// How many different ids were seen before it.
    before: u32,
}

impl NgramCounts {
    /// Of n-grams of 1 to `order` ids (at least 1), of which `most` different ones may be seen: about 60 bytes each.
    pub fn new(order: usize, most: usize) -> Self {
        let root = Node { context: ROOT, length: 0, times: 0, before: 0 };
        let (contexts, longer) = (Vec::new(), Vec::new());
        // Nodes are numbered in 32 bits.
        let most = most.min(u32::MAX as usize - 1);
        Self { order: order.max(1), most, children: Children::default(), nodes: vec![root], contexts, longer }
    }

    /// The number of different n-grams.
    pub fn len(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts a sequence, in which every id but the first is predicted from those before it.
    ///
    /// # Errors
    /// When there are too many different n-grams.
    pub fn learn(&mut self, ids: &[u32]) -> Result<(), TooManyNgrams> {
        let (mut contexts, mut longer) =
            (std::mem::take(&mut self.contexts), std::mem::take(&mut self.longer));
        contexts.clear();
        contexts.push(ROOT);
        for (position, &id) in ids.iter().enumerate() {
            longer.clear();
            longer.push(ROOT);
            for (length, &context) in contexts.iter().enumerate() {
                let (node, is_new) = self.child(context, id)?;
                if is_new && length > 0 {
                    // What is left of it without its first id was seen behind another one.
                    self.nodes[longer[length] as usize].before += 1;
                }
                if position > 0 {
                    self.nodes[node as usize].times += 1;
                }
                longer.push(node);
            }
            longer.truncate(self.order);
            std::mem::swap(&mut contexts, &mut longer);
        }
        (self.contexts, self.longer) = (contexts, longer);
        Ok(())
    }

    /// The n-gram `context` with `id` behind it, and whether it is a new one.
    fn child(&mut self, context: u32, id: u32) -> Result<(u32, bool), TooManyNgrams> {
        if let Some(&node) = self.children.get(&(context, id)) {
            return Ok((node, false));
        }
        if self.nodes.len() > self.most {
            return Err(TooManyNgrams { most: self.most });
        }
        let (node, length) = (self.nodes.len() as u32, self.nodes[context as usize].length + 1);
        self.children.insert((context, id), node);
        self.nodes.push(Node { context, length, times: 0, before: 0 });
        Ok((node, true))
    }

    /// The model of what was counted, for ids below `vocab_size`.
    pub fn model(self, vocab_size: usize) -> NgramModel {
        let count = |node: &Node| match node.length as usize == self.order || node.before == 0 {
            true => node.times,
            false => node.before,
        };
        let mut counts_of_counts = vec![[0u64; 4]; self.order];
        let mut following = vec![Following::default(); self.nodes.len()];
        let counts: Vec<u32> = self.nodes.iter().map(count).collect();
        for (node, &count) in self.nodes.iter().zip(&counts).skip(1).filter(|(_, count)| **count > 0) {
            if let Some(of_count) = counts_of_counts[node.length as usize - 1].get_mut(count as usize - 1) {
                *of_count += 1;
            }
            let following = &mut following[node.context as usize];
            following.total += u64::from(count);
            following.different[count.min(3) as usize - 1] += 1;
        }
        NgramModel {
            order: self.order,
            vocab_size,
            children: self.children,
            counts,
            following,
            discounts: counts_of_counts.into_iter().map(discounts).collect(),
        }
    }
}

/// What is taken off an n-gram's count of 1, 2, and 3 or more: from how many n-grams have a count of 1, 2, 3 and 4.
fn discounts([n1, n2, n3, n4]: [u64; 4]) -> [f64; 3] {
    let [n1, n2, n3, n4] = [n1, n2, n3, n4].map(|n| n as f64);
    let y = n1 / (n1 + 2.0 * n2);
    let estimated = [1.0 - 2.0 * y * n2 / n1, 2.0 - 3.0 * y * n3 / n2, 3.0 - 4.0 * y * n4 / n3];
    // Of few n-grams the estimate is none; then as KenLM, what large corpora have about.
    let usable =
        estimated.iter().zip([1.0, 2.0, 3.0]).all(|(discount, most)| *discount > 0.0 && *discount <= most);
    if usable { estimated } else { [0.5, 1.0, 1.5] }
}

/// What was seen behind an n-gram.
#[derive(Debug, Clone, Copy, Default)]
struct Following {
    /// The sum of the counts of all that begin with it.
    total: u64,
    /// How many of them have a count of 1, of 2, of more.
    different: [u32; 3],
}

/// A smoothed n-gram model: every id has a probability above 0 after whatever stands before.
#[derive(Debug)]
pub struct NgramModel {
    order: usize,
    vocab_size: usize,
    children: Children,
    counts: Vec<u32>,
    following: Vec<Following>,
    /// Of n-grams of each length.
    discounts: Vec<[f64; 3]>,
}

impl NgramModel {
    /// The most ids of an n-gram.
    pub fn order(&self) -> usize {
        self.order
    }

    /// The number of different n-grams.
    pub fn len(&self) -> usize {
        self.counts.len() - 1
    }

    /// Whether it was made of nothing: then all ids are alike to it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `P(id | history)`. A history that is shorter than the order is the beginning of a sequence.
    pub fn probability(&self, history: &[u32], id: u32) -> f64 {
        let mut contexts = vec![ROOT];
        for &id in &history[history.len().saturating_sub(self.order - 1)..] {
            self.advance(&mut contexts, id);
        }
        self.after(&contexts, id)
    }

    /// `Σ −log P(id | those before)` in nats, over all ids but the first.
    pub fn nats(&self, ids: &[u32]) -> f64 {
        let mut contexts = vec![ROOT];
        let mut nats = 0.0;
        for (position, &id) in ids.iter().enumerate() {
            if position > 0 {
                nats -= self.after(&contexts, id).ln();
            }
            self.advance(&mut contexts, id);
        }
        nats
    }

    /// From the n-grams that end before `id`, those that were seen, to the ones that end with it; the shortest first.
    fn advance(&self, contexts: &mut Vec<u32>, id: u32) {
        // Where one was never seen, none was that is longer.
        let seen = contexts.iter().map_while(|&context| self.children.get(&(context, id)).copied());
        let mut longer: Vec<u32> = std::iter::once(ROOT).chain(seen).collect();
        longer.truncate(self.order);
        *contexts = longer;
    }

    /// The probability of `id` after n-grams, the shortest first.
    fn after(&self, contexts: &[u32], id: u32) -> f64 {
        let mut probability = 1.0 / self.vocab_size as f64;
        for (&context, discounts) in contexts.iter().zip(&self.discounts) {
            let Following { total, different } = self.following[context as usize];
            if total == 0 {
                // It ends what was seen, as all do that are longer.
                break;
            }
            let count = self.children.get(&(context, id)).map_or(0, |&node| self.counts[node as usize]);
            let kept = match count {
                0 => 0.0,
                _ => f64::from(count) - discounts[count.min(3) as usize - 1],
            };
            let taken: f64 =
                different.iter().zip(discounts).map(|(&n, discount)| f64::from(n) * discount).sum();
            probability = (kept + taken * probability) / total as f64;
        }
        probability
    }
}

#[cfg(test)]
mod tests;
