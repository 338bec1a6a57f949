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
//! Walking more than can happen may refuse a grammar that is unambiguous, and never accepts an ambiguous one. A choice
//! that leaves no trace in the text is always refused: its alternatives agree up to the end.
//!
//! The walk is that of a subset construction: a *front* is the set of places where the agreeing continuations are, a
//! front met before is not walked again, and continuations that stand before the same words are walked as one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::GrammarError;
use super::positions::{Positions, Step};
use super::program::{Op, Program};

/// Alternatives that agree for more bytes than this are reported: it bounds the memory of the check and how far ahead
/// a reader of the text has to look.
const LIMIT: usize = 300;

/// Words that continuations are in the middle of: entries `low..high` of a list agree with the `depth` bytes read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Reading {
    list: usize,
    low: u32,
    high: u32,
    depth: u32,
}

/// Where to go on after a word: positions to return to, the last one first, below the position itself.
type Stack = Vec<u32>;

/// The end of the document, as a member of a front.
const END: Reading = Reading { list: usize::MAX, low: 0, high: 0, depth: 0 };

/// Who stands at a [`Reading`]: choices by number, and where each goes on.
type Party = BTreeSet<(u32, Stack)>;

type Front = BTreeMap<Reading, Party>;

/// Checks every choice of the program.
///
/// # Errors
/// [`GrammarError::Ambiguous`] with the first two alternatives that cannot be told apart.
pub(super) fn check(program: &Program) -> Result<(), GrammarError> {
    let positions = Positions::of(program);
    for (index, rule) in program.rules.iter().enumerate() {
        let mut walk = Walk::new(&positions);
        for (a, first) in rule.alternatives.iter().enumerate() {
            for (b, second) in rule.alternatives.iter().enumerate().skip(a + 1) {
                if !first.excludes(second) {
                    walk.rivals.insert((a as u32, b as u32));
                }
            }
        }
        if walk.rivals.is_empty() {
            continue;
        }
        let mut front = Front::new();
        for choice in 0..rule.alternatives.len() {
            walk.enter(positions.start(index, choice), Vec::new(), choice as u32, &mut front);
        }
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
                        check_words(program, &positions, lexicon, next).map_err(|(first, second)| {
                            let message =
                                format!("the words `{first}` and `{second}` cannot be told apart here");
                            pick.place.error(message)
                        })?;
                    }
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
    positions: &Positions<'_>,
    lexicon: usize,
    next: u32,
) -> Result<(), (String, String)> {
    let entries = &program.lexicons[lexicon].entries;
    for (index, (short, _)) in entries.iter().enumerate() {
        let longer = entries[index + 1..].iter().take_while(|(long, _)| long.starts_with(&**short));
        for (long, _) in longer {
            let mut walk = Walk::new(positions);
            walk.rivals.insert((0, 1));
            walk.suffix = long.as_bytes()[short.len()..].to_vec();
            let mut front = Front::new();
            walk.enter(next, Vec::new(), 0, &mut front);
            if walk.suffix.is_empty() {
                walk.enter(next, Vec::new(), 1, &mut front);
            } else {
                let rest = Reading { list: walk.positions.lists.len(), low: 0, high: 1, depth: 0 };
                front.entry(rest).or_default().insert((1, vec![next]));
            }
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
    /// Pairs of choices, the lower number first, that must be told apart.
    rivals: HashSet<(u32, u32)>,
    /// A list of one word beside those of the program: the rest of a longer word in a pick.
    suffix: Vec<u8>,
    /// What follows a party that has read its word.
    after: HashMap<Party, Front>,
}

impl<'p> Walk<'p> {
    fn new(positions: &'p Positions<'p>) -> Self {
        Walk { positions, rivals: HashSet::new(), suffix: Vec::new(), after: HashMap::new() }
    }

    /// Adds to `front` all words that can come next for `choice` at `position`.
    fn enter(&self, position: u32, mut stack: Stack, choice: u32, front: &mut Front) {
        match self.positions.step(position) {
            Step::Nothing => self.enter(position + 1, stack, choice, front),
            Step::Words(list) => {
                let words = &self.positions.lists[*list];
                let empty = u32::from(words.first().is_some_and(|word| word.is_empty()));
                if empty == 1 {
                    self.enter(position + 1, stack.clone(), choice, front);
                }
                if (empty as usize) < words.len() {
                    stack.push(position + 1);
                    let reading = Reading { list: *list, low: empty, high: words.len() as u32, depth: 0 };
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
            let Some((first, second)) = self.agreeing(front.values().flatten()) else { continue };
            let clash = |first, second| {
                let text = String::from_utf8_lossy(&read).into_owned();
                Some(Clash { first, second, text })
            };
            if read.len() > LIMIT {
                return clash(first, second);
            }
            if let Some((first, second)) = front.get(&END).and_then(|party| self.agreeing(party)) {
                return clash(first, second);
            }
            if !seen.insert(front.clone()) {
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

    /// Two choices among these that must be told apart.
    fn agreeing<'a>(&self, party: impl IntoIterator<Item = &'a (u32, Stack)>) -> Option<(u32, u32)> {
        let choices: BTreeSet<u32> = party.into_iter().map(|(choice, _)| *choice).collect();
        let pairs = choices.iter().flat_map(|&a| choices.range(a + 1..).map(move |&b| (a, b)));
        pairs.into_iter().find(|pair| self.rivals.contains(pair))
    }

    /// The front after each byte that can be read.
    fn read_one(&mut self, front: &Front) -> BTreeMap<u8, Front> {
        let mut next: BTreeMap<u8, Front> = BTreeMap::new();
        let mut finished: BTreeMap<u8, Party> = BTreeMap::new();
        for (reading, party) in front.iter().filter(|(reading, _)| **reading != END) {
            let depth = reading.depth as usize;
            let mut low = reading.low;
            while low < reading.high {
                let byte = self.word(reading.list, low)[depth];
                let mut high = low + 1;
                while high < reading.high && self.word(reading.list, high)[depth] == byte {
                    high += 1;
                }
                let ended = u32::from(self.word(reading.list, low).len() == depth + 1);
                if ended == 1 {
                    finished.entry(byte).or_default().extend(party.iter().cloned());
                }
                if low + ended < high {
                    let rest =
                        Reading { list: reading.list, low: low + ended, high, depth: reading.depth + 1 };
                    next.entry(byte).or_default().entry(rest).or_default().extend(party.iter().cloned());
                }
                low = high;
            }
        }
        for (byte, party) in finished {
            let front = next.entry(byte).or_default();
            for (reading, party) in self.after(party) {
                front.entry(*reading).or_default().extend(party.iter().cloned());
            }
        }
        next
    }

    fn after(&mut self, party: Party) -> &Front {
        if !self.after.contains_key(&party) {
            let mut front = Front::new();
            for (choice, stack) in &party {
                let mut stack = stack.clone();
                if let Some(position) = stack.pop() {
                    self.enter(position, stack, *choice, &mut front);
                }
            }
            self.after.insert(party.clone(), front);
        }
        &self.after[&party]
    }

    fn word(&self, list: usize, index: u32) -> &[u8] {
        match self.positions.lists.get(list) {
            Some(words) => &words[index as usize],
            None => &self.suffix,
        }
    }
}
