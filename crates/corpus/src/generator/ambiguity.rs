//! The check that every text has one derivation.
//!
//! **Claim.** If [`check`] accepts a grammar, no two different derivations of the same kind of document write the same
//! text.
//!
//! **Argument.** Take two different derivations and their first difference: up to there they made the same choices, so
//! they are in the same state, at the same choice, having written the same text. It is a choice between alternatives
//! of a rule or between words of a pick. Everything either derivation can write from there to its end is among the
//! *continuations* walked here: what follows within the rule, then what follows any use of the rule, with every slot
//! showing any word it can ever hold and every later alternative taken regardless of its conditions. Both derivations
//! have conditions that hold in the one state, so pairs of alternatives that test a slot for disjoint sets of values
//! need no comparison. For every other pair, the walk reads the continuations of all alternatives side by side, byte
//! by byte, and keeps those that agree. It ends when none are left to agree — then the two derivations wrote different
//! texts — or reports the pair when both reach the end of the document or agree for [`LIMIT`] bytes.
//!
//! One thing is known of slots that hold the same word from the choice on: whether two of them differ, because one was
//! picked with the other excepted. If one continuation shows the one and another the other, at the same place and
//! written the same, then not both can happen, and the walk goes on with each of them apart from the other.
//!
//! Walking more than can happen may refuse a grammar that is unambiguous, and never accepts an ambiguous one. A choice
//! that leaves no trace in the text is always refused: its alternatives agree up to the end.
//!
//! The walk is that of a subset construction: a *front* is the set of places where the agreeing continuations are, a
//! front met before is not walked again, and continuations that stand before the same words are walked as one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use rayon::prelude::*;

use super::GrammarError;
use super::check::Facts;
use super::fronts::{Arrivals, END, Front, Parties, Party, Reading, Stack};
use super::positions::{Positions, Step};
use super::program::{Op, Program};

/// Alternatives that agree for more bytes than this are reported: it bounds the memory of the check and how far ahead
/// a reader of the text has to look.
const LIMIT: usize = 300;

/// Checks every choice of the program.
///
/// # Errors
/// [`GrammarError::Ambiguous`] with the first two alternatives that cannot be told apart.
pub(super) fn check(program: &Program, facts: &Facts) -> Result<(), GrammarError> {
    let positions = Positions::of(program);
    let error = |index: usize| check_rule(program, facts, &positions, index).err();
    (0..program.rules.len()).into_par_iter().find_map_first(error).map_or(Ok(()), Err)
}

/// Checks the choices of a rule and those between words in it.
fn check_rule(
    program: &Program,
    facts: &Facts,
    positions: &Positions<'_>,
    index: usize,
) -> Result<(), GrammarError> {
    let rule = &program.rules[index];
    let mut walk = Walk::new(positions, facts, index);
    for (a, first) in rule.alternatives.iter().enumerate() {
        for (b, second) in rule.alternatives.iter().enumerate().skip(a + 1) {
            if !first.excludes(second) {
                walk.rivals.insert((a as u32, b as u32));
            }
        }
    }
    let mut front = Arrivals::new();
    for choice in 0..rule.alternatives.len() {
        walk.enter(positions.start(index, choice), Vec::new(), choice as u32, &mut front);
    }
    let front = walk.parties.front(front);
    if let Some(clash) = walk.clash(front) {
        let line = |choice: u32| rule.alternatives[choice as usize].place.line;
        return Err(GrammarError::Ambiguous {
            file: rule.place.file.to_string(),
            rule: rule.name.clone(),
            first_line: line(clash.first),
            second_line: line(clash.second),
            text: clash.text,
        });
    }
    for (choice, alternative) in rule.alternatives.iter().enumerate() {
        for (at, op) in alternative.ops.iter().enumerate() {
            if let Op::Pick(pick) = op {
                let next = positions.start(index, choice) + at as u32 + 1;
                for (_, lexicon) in pick.all_choices() {
                    check_words(program, &mut walk, lexicon, next).map_err(|(first, second)| {
                        let message = format!("the words `{first}` and `{second}` cannot be told apart here");
                        pick.place.error(message)
                    })?;
                }
            }
        }
    }
    Ok(())
}

/// Checks a pick: of two words, one of which begins with the other, the rest of the longer one must not be what
/// follows the shorter one.
fn check_words(
    program: &Program,
    walk: &mut Walk<'_>,
    lexicon: usize,
    next: u32,
) -> Result<(), (String, String)> {
    let entries = &program.lexicons[lexicon].entries;
    let after_short = walk.parties.id(Party::from([(0, vec![next])]));
    let after_long = walk.parties.id(Party::from([(1, vec![next])]));
    for (index, (short, _)) in entries.iter().enumerate() {
        let longer = entries[index + 1..].iter().take_while(|(long, _)| long.starts_with(&**short));
        for (long, _) in longer {
            let rest = &long.as_bytes()[short.len()..];
            let front = match rest.first() {
                None => (*walk.after(vec![after_short, after_long])).clone(),
                Some(&byte) if walk.can_read(&[after_short], byte) => {
                    walk.suffix = rest.to_vec();
                    let mut front = (*walk.after(vec![after_short])).clone();
                    let list = walk.positions.lists.len();
                    let reading = Reading { list, slot: None, low: 0, high: 1, depth: 0 };
                    walk.parties.join(&mut front, reading, after_long);
                    front
                }
                Some(_) => continue,
            };
            walk.rivals = HashSet::from([(0, 1)]);
            if walk.clash(front).is_some() {
                return Err((short.to_string(), long.to_string()));
            }
        }
    }
    Ok(())
}

struct Clash {
    first: u32,
    second: u32,
    text: String,
}

struct Walk<'p> {
    positions: &'p Positions<'p>,
    facts: &'p Facts,
    /// The rule of the choice.
    rule: usize,
    /// Pairs of choices, the lower number first, that must be told apart.
    rivals: HashSet<(u32, u32)>,
    /// A list of one word beside those of the program: the rest of a longer word in a pick.
    suffix: Vec<u8>,
    parties: Parties,
    /// What follows parties that have read their word.
    after: HashMap<Vec<usize>, Rc<Front>>,
}

impl<'p> Walk<'p> {
    fn new(positions: &'p Positions<'p>, facts: &'p Facts, rule: usize) -> Self {
        Walk {
            positions,
            facts,
            rule,
            rivals: HashSet::new(),
            suffix: Vec::new(),
            parties: Parties::default(),
            after: HashMap::new(),
        }
    }

    /// Adds to `front` all words that can come next for `choice` at `position`.
    fn enter(&self, position: u32, mut stack: Stack, choice: u32, front: &mut Arrivals) {
        match self.positions.step(position) {
            Step::Nothing => self.enter(position + 1, stack, choice, front),
            Step::Words(list, slot) => {
                let words = &self.positions.lists[*list];
                let empty = u32::from(words.first().is_some_and(|word| word.is_empty()));
                if empty == 1 {
                    self.enter(position + 1, stack.clone(), choice, front);
                }
                if (empty as usize) < words.len() {
                    stack.push(position + 1);
                    let slot = slot.filter(|&slot| self.facts.constant(self.rule, slot));
                    let reading =
                        Reading { list: *list, slot, low: empty, high: words.len() as u32, depth: 0 };
                    front.entry(reading).or_default().insert((choice, stack));
                }
            }
            Step::Call(starts) => {
                stack.push(position + 1);
                for &start in starts {
                    self.enter(start, stack.clone(), choice, front);
                }
            }
            Step::Return { callers, end } => match stack.pop() {
                Some(position) => self.enter(position, stack, choice, front),
                None => {
                    if *end {
                        front.entry(END).or_default().insert((choice, Vec::new()));
                    }
                    for &caller in callers {
                        self.enter(caller, Vec::new(), choice, front);
                    }
                }
            },
        }
    }

    /// Two choices of which one text can be a continuation, if there are such.
    fn clash(&mut self, first: Front) -> Option<Clash> {
        let mut seen: HashSet<Front> = HashSet::new();
        let mut todo = vec![(first, Vec::new())];
        while let Some((front, read)) = todo.pop() {
            let Some((first, second)) = self.agreeing(front.values()) else { continue };
            let clash = |first, second| {
                let text = String::from_utf8_lossy(&read).into_owned();
                Some(Clash { first, second, text })
            };
            if read.len() > LIMIT {
                return clash(first, second);
            }
            if let Some((first, second)) = front.get(&END).and_then(|party| self.agreeing([party])) {
                return clash(first, second);
            }
            if !seen.insert(front.clone()) {
                continue;
            }
            if let Some((word, next)) = self.read_word(&front) {
                todo.push((next, [read, word].concat()));
                continue;
            }
            for (byte, next) in self.read_one(&front) {
                let mut read = read.clone();
                read.push(byte);
                todo.push((next, read));
            }
        }
        None
    }

    /// Two choices among these parties that must be told apart.
    fn agreeing<'a>(&self, parties: impl IntoIterator<Item = &'a usize>) -> Option<(u32, u32)> {
        let mut choices: Vec<u32> =
            parties.into_iter().flat_map(|&id| &self.parties.choices[id]).copied().collect();
        choices.sort_unstable();
        choices.dedup();
        let pairs =
            choices.iter().enumerate().flat_map(|(at, &a)| choices[at + 1..].iter().map(move |&b| (a, b)));
        pairs.into_iter().find(|pair| self.rivals.contains(pair))
    }

    /// The rest of a word and the front after it, when all are reading the same one of words none of which begins with
    /// another: the front is the same after each of the words.
    fn read_word(&mut self, front: &Front) -> Option<(Vec<u8>, Front)> {
        let (reading, party) = front.first_key_value().filter(|_| front.len() == 1)?;
        if !*self.positions.prefix_free.get(reading.list)? {
            return None;
        }
        let word = self.word(reading.list, reading.low)[reading.depth as usize..].to_vec();
        Some((word, (*self.after(vec![*party])).clone()))
    }

    /// The fronts after each byte that can be read.
    fn read_one(&mut self, front: &Front) -> Vec<(u8, Front)> {
        let mut unfinished: BTreeMap<u8, Front> = BTreeMap::new();
        let mut finished: BTreeMap<u8, Front> = BTreeMap::new();
        for (reading, party) in front.iter().filter(|(reading, _)| **reading != END) {
            let depth = reading.depth as usize;
            let mut low = reading.low;
            while low < reading.high {
                let byte = self.word(reading.list, low)[depth];
                let mut high = low + 1;
                while high < reading.high && self.word(reading.list, high)[depth] == byte {
                    high += 1;
                }
                let rest = Reading { low, high, depth: reading.depth + 1, ..*reading };
                let ended = self.word(reading.list, low).len() == depth + 1;
                if ended {
                    let word = Reading { high: low + 1, ..rest };
                    self.parties.join(finished.entry(byte).or_default(), word, *party);
                }
                let rest = Reading { low: low + u32::from(ended), ..rest };
                if rest.low < high {
                    self.parties.join(unfinished.entry(byte).or_default(), rest, *party);
                }
                low = high;
            }
        }
        let bytes: BTreeSet<u8> = unfinished.keys().chain(finished.keys()).copied().collect();
        let mut next = Vec::new();
        for byte in bytes {
            let unfinished = unfinished.remove(&byte).unwrap_or_default();
            for together in self.consistent(finished.remove(&byte).unwrap_or_default()) {
                let mut front = unfinished.clone();
                for (reading, party) in self.after(together).iter() {
                    self.parties.join(&mut front, *reading, *party);
                }
                next.push((byte, front));
            }
        }
        next
    }

    /// Those that have just read a word, in groups without two that read the same word for slots that differ. Any two
    /// that are consistent are together in a group.
    fn consistent(&self, finished: Front) -> Vec<Vec<usize>> {
        let clash = |a: &Reading, b: &Reading| match (a.slot, b.slot) {
            (Some(s), Some(t)) => {
                (a.list, a.low, a.depth) == (b.list, b.low, b.depth) && self.facts.differ(s, t)
            }
            _ => false,
        };
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for reading in finished.keys().filter(|reading| finished.keys().any(|other| clash(reading, other))) {
            groups.push(
                finished.iter().filter(|(other, _)| !clash(reading, other)).map(|(_, id)| *id).collect(),
            );
        }
        if groups.is_empty() {
            groups.push(finished.into_values().collect());
        }
        groups
    }

    /// What those read next who have just read a word.
    fn after(&mut self, parties: Vec<usize>) -> Rc<Front> {
        if let Some(front) = self.after.get(&parties) {
            return front.clone();
        }
        let mut front = Arrivals::new();
        for id in &parties {
            for (choice, stack) in self.parties.all[*id].iter() {
                let mut stack = stack.clone();
                if let Some(position) = stack.pop() {
                    self.enter(position, stack, *choice, &mut front);
                }
            }
        }
        let front = Rc::new(self.parties.front(front));
        self.after.insert(parties, front.clone());
        front
    }

    /// Whether those who have just read a word can read this byte next.
    fn can_read(&mut self, parties: &[usize], byte: u8) -> bool {
        let front = self.after(parties.to_vec());
        let readings = front.keys().filter(|reading| **reading != END);
        let mut words =
            readings.flat_map(|reading| (reading.low..reading.high).map(|index| (reading.list, index)));
        words.any(|(list, index)| self.word(list, index).first() == Some(&byte))
    }

    fn word(&self, list: usize, index: u32) -> &[u8] {
        match self.positions.lists.get(list) {
            Some(words) => words[index as usize],
            None => &self.suffix,
        }
    }
}
