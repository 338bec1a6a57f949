//! The data of the ambiguity check: where continuations that agree so far are, and what each is about to read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// Words that continuations are in the middle of: entries `low..high` of a list agree with the `depth` bytes read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Reading {
    pub(super) list: usize,
    /// The slot whose word is read, when its word is the same for all continuations.
    pub(super) slot: Option<usize>,
    pub(super) low: u32,
    pub(super) high: u32,
    pub(super) depth: u32,
}

/// Where to go on after a word: positions to return to, the last one first, below the position itself.
pub(super) type Stack = Vec<u32>;

/// The end of the document, as a member of a front.
pub(super) const END: Reading = Reading { list: usize::MAX, slot: None, low: 0, high: 0, depth: 0 };

/// Who stands at a [`Reading`]: choices by number, and where each goes on.
pub(super) type Party = BTreeSet<(u32, Stack)>;

/// Parties by what they are about to read.
pub(super) type Arrivals = BTreeMap<Reading, Party>;

/// Continuations that agree, by what they read; parties by number.
pub(super) type Front = BTreeMap<Reading, usize>;

/// Parties, each kept once.
#[derive(Default)]
pub(super) struct Parties {
    pub(super) all: Vec<Rc<Party>>,
    /// The choices in each.
    pub(super) choices: Vec<Vec<u32>>,
    ids: HashMap<Rc<Party>, usize>,
    unions: HashMap<(usize, usize), usize>,
}

impl Parties {
    pub(super) fn id(&mut self, party: Party) -> usize {
        let party = Rc::new(party);
        if let Some(&id) = self.ids.get(&party) {
            return id;
        }
        let mut choices: Vec<u32> = party.iter().map(|(choice, _)| *choice).collect();
        choices.dedup();
        self.choices.push(choices);
        self.all.push(party.clone());
        self.ids.insert(party, self.all.len() - 1);
        self.all.len() - 1
    }

    pub(super) fn front(&mut self, arrivals: Arrivals) -> Front {
        arrivals.into_iter().map(|(reading, party)| (reading, self.id(party))).collect()
    }

    /// Adds a party to those who read the same.
    pub(super) fn join(&mut self, front: &mut Front, reading: Reading, party: usize) {
        let Some(&known) = front.get(&reading) else {
            front.insert(reading, party);
            return;
        };
        let joined = match self.unions.get(&(known, party)) {
            Some(&joined) => joined,
            None => {
                let joined = self.id(self.all[known].union(&self.all[party]).cloned().collect());
                self.unions.insert((known, party), joined);
                joined
            }
        };
        front.insert(reading, joined);
    }
}
