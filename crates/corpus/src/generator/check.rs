//! What must hold of a program so that generation always ends, never meets an empty slot and never gets stuck.
//!
//! Each check is conservative: it may refuse a grammar that would work, never accept one that would not.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::GrammarError;
use super::program::{Choices, Op, Program, Rule, State, UNBOUND};
use super::source::Place;

/// Rules call each other no deeper than this, so that walking them cannot overflow the stack.
const MAX_DEPTH: usize = 64;
/// A grammar gets into no more situations than this, so that all can be tried.
const MAX_SITUATIONS: usize = 1 << 16;

/// What the walk learned about slots, for the ambiguity check.
pub(super) struct Facts {
    /// By rule, then by slot: whether the slot always holds something when the rule begins.
    bound: Vec<Vec<bool>>,
    /// By slot: whether a word may be picked for it a second time, for all that is known.
    picked_again: Vec<bool>,
    /// Slots picked while another one was bound that they do not except.
    may_equal: HashSet<(usize, usize)>,
}

impl Facts {
    /// Whether, from the beginning of a rule on, the slot holds one and the same word.
    pub(super) fn constant(&self, rule: usize, slot: usize) -> bool {
        self.bound[rule][slot] && !self.picked_again[slot]
    }

    /// Whether two constant slots of one class hold different words.
    pub(super) fn differ(&self, a: usize, b: usize) -> bool {
        a != b && !self.may_equal.contains(&(a, b)) && !self.may_equal.contains(&(b, a))
    }
}

/// Runs all checks of this module.
///
/// # Errors
/// Recursion; a slot used before a word was picked for it; a situation in which a rule has no alternative.
pub(super) fn check(program: &Program) -> Result<Facts, GrammarError> {
    let mut depths = vec![None; program.rules.len()];
    for rule in 0..program.rules.len() {
        depth(program, rule, &mut depths, &mut Vec::new())?;
    }
    let facts = Facts {
        bound: vec![vec![true; program.slots.len()]; program.rules.len()],
        picked_again: vec![false; program.slots.len()],
        may_equal: HashSet::new(),
    };
    let mut walk = Walk { program, tracked: tracked(program), seen: HashMap::new(), facts };
    let initial = program.initial_state();
    for &start in program.starts.iter().flatten() {
        walk.after(start, &initial)?;
    }
    let reached: HashSet<usize> = walk.seen.keys().map(|(rule, _)| *rule).collect();
    match program.rules.iter().enumerate().find(|(index, _)| !reached.contains(index)) {
        Some((_, rule)) => Err(rule.place.error(format!("rule `{}` is never used", rule.name))),
        None => Ok(walk.facts),
    }
}

/// How deep calls go below a rule; an error when it can call itself.
fn depth(
    program: &Program,
    rule: usize,
    depths: &mut [Option<usize>],
    path: &mut Vec<usize>,
) -> Result<usize, GrammarError> {
    if let Some(depth) = depths[rule] {
        return Ok(depth);
    }
    let this = &program.rules[rule];
    if path.contains(&rule) {
        return Err(this.place.error(format!("rule `{}` uses itself", this.name)));
    }
    if path.len() >= MAX_DEPTH {
        return Err(this.place.error(format!("rules are nested deeper than {MAX_DEPTH}")));
    }
    path.push(rule);
    let mut deepest = 0;
    for op in this.alternatives.iter().flat_map(|alternative| &alternative.ops) {
        if let Op::Call(called) = op {
            deepest = deepest.max(1 + depth(program, *called, depths, path)?);
        }
    }
    path.pop();
    if deepest > MAX_DEPTH {
        return Err(this.place.error(format!("rules are nested deeper than {MAX_DEPTH}")));
    }
    depths[rule] = Some(deepest);
    Ok(deepest)
}

/// Follows all situations a program can get into. A situation is a state in which a slot that holds a word, whichever,
/// holds [`SOME_WORD`]; what a `var` or `label` holds is known.
struct Walk<'p> {
    program: &'p Program,
    /// By slot: whether what it holds, or whether it holds anything, can matter in another alternative.
    tracked: Vec<bool>,
    /// The situations after a rule that began in one.
    seen: HashMap<(usize, State), BTreeSet<State>>,
    facts: Facts,
}

/// Finds the slots that are used other than after a pick in the same alternative. The others are surely bound where they
/// are used, and leaving them out keeps the situations few.
fn tracked(program: &Program) -> Vec<bool> {
    let mut tracked = vec![false; program.slots.len()];
    for alternative in program.rules.iter().flat_map(|rule| &rule.alternatives) {
        alternative.tests.iter().for_each(|test| tracked[test.slot] = true);
        let mut picked = vec![false; program.slots.len()];
        for op in &alternative.ops {
            match op {
                Op::Show { slot, .. } => tracked[*slot] |= !picked[*slot],
                Op::Pick(pick) => {
                    pick.except.iter().for_each(|&slot| tracked[slot] |= !picked[slot]);
                    if let Choices::By { slot, .. } = pick.choices {
                        tracked[slot] |= !picked[slot];
                    }
                    if let Some(slot) = pick.slot {
                        picked[slot] = true;
                    }
                }
                Op::Literal(_) | Op::Call(_) | Op::Set { .. } => {}
            }
        }
    }
    tracked
}

/// In a situation, the value of a slot that some word was picked for.
const SOME_WORD: u16 = 0;

impl Walk<'_> {
    fn after(&mut self, rule: usize, before: &State) -> Result<BTreeSet<State>, GrammarError> {
        let key = (rule, *before);
        if let Some(after) = self.seen.get(&key) {
            return Ok(after.clone());
        }
        let program = self.program;
        let this = &program.rules[rule];
        for (bound, value) in self.facts.bound[rule].iter_mut().zip(before) {
            *bound &= *value != UNBOUND;
        }
        let mut after = BTreeSet::new();
        for alternative in &this.alternatives {
            let mut may_be_chosen = true;
            for test in &alternative.tests {
                self.need(before, test.slot, &alternative.place)?;
                may_be_chosen &=
                    self.values(before, test.slot).into_iter().any(|v| test.holds[usize::from(v)]);
            }
            if !may_be_chosen {
                continue;
            }
            let mut situations = BTreeSet::from([*before]);
            for op in &alternative.ops {
                situations = self.step(op, situations, &alternative.place)?;
            }
            after.extend(situations);
            if self.seen.len() + after.len() > MAX_SITUATIONS {
                return Err(this.place.error("the grammar has too many situations to check them all"));
            }
        }
        self.never_stuck(this, before)?;
        self.seen.insert(key, after.clone());
        Ok(after)
    }

    fn step(
        &mut self,
        op: &Op,
        situations: BTreeSet<State>,
        place: &Place,
    ) -> Result<BTreeSet<State>, GrammarError> {
        let mut after = BTreeSet::new();
        for mut situation in situations {
            match op {
                Op::Literal(_) => {}
                Op::Show { slot, .. } => self.need(&situation, *slot, place)?,
                Op::Set { slot, value } if self.tracked[*slot] => situation[*slot] = *value,
                Op::Set { .. } => {}
                Op::Call(called) => {
                    after.extend(self.after(*called, &situation)?);
                    continue;
                }
                Op::Pick(pick) => {
                    for &slot in &pick.except {
                        self.need(&situation, slot, &pick.place)?;
                    }
                    if let Choices::By { slot, table } = &pick.choices {
                        self.need(&situation, *slot, &pick.place)?;
                        let values = self.values(&situation, *slot);
                        if let Some(value) = values.into_iter().find(|&v| table[usize::from(v)].is_none()) {
                            let value = &self.program.slots[*slot].value_names[usize::from(value)];
                            return Err(pick
                                .place
                                .error(format!("no word passes the filters for `{value}`")));
                        }
                    }
                    if let Some(slot) = pick.slot.filter(|&slot| !self.tracked[slot]) {
                        self.facts.picked_again[slot] = true;
                    } else if let Some(slot) = pick.slot {
                        self.facts.picked_again[slot] |= situation[slot] != UNBOUND;
                        let others =
                            (0..self.program.slots.len()).filter(|&other| situation[other] != UNBOUND);
                        let others = others.filter(|other| !pick.except.contains(other));
                        self.facts.may_equal.extend(others.map(|other| (slot, other)));
                        situation[slot] = SOME_WORD;
                    }
                }
            }
            after.insert(situation);
        }
        Ok(after)
    }

    fn need(&self, situation: &State, slot: usize, place: &Place) -> Result<(), GrammarError> {
        match situation[slot] {
            _ if !self.tracked[slot] => Ok(()),
            UNBOUND => {
                Err(place.error(format!("slot `{}` may be empty here", self.program.slots[slot].name)))
            }
            _ => Ok(()),
        }
    }

    /// What a slot may hold in a situation, once it holds something.
    fn values(&self, situation: &State, slot: usize) -> Vec<u16> {
        let declared = &self.program.slots[slot];
        if declared.initial != UNBOUND {
            return vec![situation[slot]];
        }
        (0..declared.possible.len() as u16).filter(|&value| declared.possible[usize::from(value)]).collect()
    }

    /// Checks that some alternative can be chosen whatever words the tested slots hold.
    fn never_stuck(&self, rule: &Rule, situation: &State) -> Result<(), GrammarError> {
        if rule.alternatives.iter().any(|alternative| alternative.tests.is_empty()) {
            return Ok(());
        }
        let tests = || rule.alternatives.iter().flat_map(|alternative| &alternative.tests);
        let mut slots: Vec<usize> = tests().map(|test| test.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        let mut states = vec![*situation];
        for &slot in &slots {
            // Values that no test tells apart are tried once.
            let mut values: Vec<(Vec<bool>, u16)> = Vec::new();
            for value in self.values(situation, slot) {
                let here = tests().filter(|test| test.slot == slot);
                let signature: Vec<bool> = here.map(|test| test.holds[usize::from(value)]).collect();
                if !values.iter().any(|(known, _)| *known == signature) {
                    values.push((signature, value));
                }
            }
            let with = |state: &State, value: u16| {
                let mut state = *state;
                state[slot] = value;
                state
            };
            states = states.iter().flat_map(|s| values.iter().map(move |(_, v)| with(s, *v))).collect();
            if states.len() > MAX_SITUATIONS {
                return Err(rule.place.error(format!("the conditions of rule `{}` are too many", rule.name)));
            }
        }
        let Some(stuck) = states.iter().find(|state| rule.total(state) == 0) else { return Ok(()) };
        let values = slots.iter().map(|&slot| {
            let declared = &self.program.slots[slot];
            format!("{}={}", declared.name, declared.value_names[usize::from(stuck[slot])])
        });
        let values = values.collect::<Vec<_>>().join(", ");
        Err(rule.place.error(format!("rule `{}` has no alternative when {values}", rule.name)))
    }
}
