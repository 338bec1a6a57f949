//! What follows n-grams in a corpus, as a draft.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// The id that mostly follows each n-gram of a corpus, for some lengths.
///
/// Of each n-gram one id is kept, by majority vote (Boyer and Moore 1981): the right one if it follows more often than all others
/// together, else a frequent one. N-grams are known by hashes; should two share one, a proposal is wrong, which costs time and
/// nothing else.
#[derive(Debug)]
pub struct NgramTable {
    longest: usize,
    most: usize,
    next: HashMap<u64, Vote, BuildHasherDefault<DefaultHasher>>,
}

#[derive(Clone, Copy, Debug)]
struct Vote {
    id: u32,
    lead: u32,
}

impl NgramTable {
    /// A table of n-grams of 1 to `longest` ids that knows nothing yet, and holds `most` of them at most: about 24 bytes each.
    pub fn new(longest: usize, most: usize) -> Self {
        Self { longest, most, next: HashMap::default() }
    }

    /// The number of n-grams.
    pub fn len(&self) -> usize {
        self.next.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// Learns from a text.
    pub fn learn(&mut self, ids: &[u32]) {
        for n in 1..=self.longest {
            for window in ids.windows(n + 1) {
                let (ngram, id) = (self.key(&window[..n]), window[n]);
                if self.next.len() >= self.most && !self.next.contains_key(&ngram) {
                    continue;
                }
                let vote = self.next.entry(ngram).or_insert(Vote { id, lead: 0 });
                match vote.lead {
                    _ if vote.id == id => vote.lead = vote.lead.saturating_add(1),
                    0 => *vote = Vote { id, lead: 1 },
                    _ => vote.lead -= 1,
                }
            }
        }
    }

    /// What mostly follows these ids: as many as are known, `most` at most, each from the longest n-gram known.
    pub fn go_on(&self, ids: &[u32], most: usize) -> Vec<u32> {
        let mut context = ids[ids.len().saturating_sub(self.longest)..].to_vec();
        let known = context.len();
        while context.len() - known < most {
            let longest = self.longest.min(context.len());
            let next =
                (1..=longest).rev().find_map(|n| self.next.get(&self.key(&context[context.len() - n..])));
            let Some(vote) = next else { break };
            context.push(vote.id);
        }
        context.split_off(known)
    }

    fn key(&self, ngram: &[u32]) -> u64 {
        self.next.hasher().hash_one(ngram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mostly_follows_the_longest_known_ngram_is_proposed() {
        let mut table = NgramTable::new(2, 100);
        assert!(table.go_on(&[1], 3).is_empty() && table.is_empty());
        table.learn(&[1, 2, 3, 1, 2, 4, 1, 2, 4, 9, 2, 3]);
        assert_eq!(table.go_on(&[7, 1, 2], 3), [4, 1, 2], "after 1 2 mostly 4, after 4 first 1");
        assert_eq!(table.go_on(&[9, 2], 1), [3], "the longer n-gram");
        assert!(table.go_on(&[8], 4).is_empty(), "never seen");
        assert!(table.go_on(&[], 4).is_empty());
    }

    #[test]
    fn a_full_table_learns_no_more_ngrams_and_goes_on_counting() {
        let mut table = NgramTable::new(1, 2);
        table.learn(&[1, 2, 3, 4]);
        assert_eq!((table.len(), table.go_on(&[3], 1)), (2, vec![]));
        table.learn(&[1, 5, 1, 5, 1, 5]);
        assert_eq!(table.go_on(&[1], 1), [5]);
    }
}
