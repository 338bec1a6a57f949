//! The entropy of a grammar, exactly: the mean of −log P over all documents, which is also the mean floor in nats per
//! document.
//!
//! Every document has one derivation, so the entropy is that of the choices: the sum, over all choices in all
//! situations, of the probability of the situation times the entropy of the choice. Situations are followed forward
//! through the rules as a probability distribution over states. There are far too many states — every name, every
//! thing — but what comes later depends on little of a state: on which side of a later condition a slot falls, which
//! distribution it will select, which word it will except. A backward pass finds those *observers* that are still to
//! come (the live ones, as in a compiler's liveness analysis); states that no live observer tells apart are merged, each
//! slot's value being replaced by the first one that looks the same to all of them. Merging changes no probability of
//! any later choice, so the result is exact, up to the rounding of floating-point sums.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::program::{Choices, Op, Pick, Program, State, Test, UNBOUND};

/// A set of observers, as bits.
type Live = Rc<[u64]>;

/// Something that looks at one slot: values with equal marks look the same to it.
#[derive(PartialEq, Eq, Hash)]
struct Observer {
    slot: usize,
    marks: Vec<u32>,
}

type Distribution = BTreeMap<State, f64>;

/// The entropy in nats of the documents that the rule `start` makes.
pub(super) fn entropy(program: &Program, start: usize) -> f64 {
    let mut analysis = Analysis {
        program,
        observers: Vec::new(),
        observer_ids: HashMap::new(),
        excepted: vec![false; program.slots.len()],
        of_slots: 0,
        live_in: HashMap::new(),
        live_at: HashMap::new(),
        views: HashMap::new(),
        entropy: 0.0,
    };
    let alternatives = || program.rules.iter().flat_map(|rule| &rule.alternatives);
    let picks = || {
        alternatives().flat_map(|alternative| &alternative.ops).filter_map(|op| match op {
            Op::Pick(pick) => Some(pick),
            _ => None,
        })
    };
    for test in alternatives().flat_map(|alternative| &alternative.tests) {
        analysis.test(test);
    }
    for pick in picks() {
        analysis.selector(pick);
        pick.except.iter().for_each(|&slot| analysis.excepted[slot] = true);
    }
    // Last, because what an exception looks at is made of what the other observers look at.
    analysis.of_slots = analysis.observers.len();
    for pick in picks() {
        analysis.exceptions(pick);
    }
    let nothing: Live = vec![0; analysis.observers.len().div_ceil(64)].into();
    let mut states = Distribution::new();
    states.insert(program.initial_state(), 1.0);
    analysis.run(start, states, &nothing);
    analysis.entropy
}

struct Analysis<'p> {
    program: &'p Program,
    observers: Vec<Observer>,
    observer_ids: HashMap<(usize, Vec<u32>), usize>,
    /// Slots that some pick excepts.
    excepted: Vec<bool>,
    /// How many observers are not exceptions; they come first.
    of_slots: usize,
    /// Observers live before a rule, by the rule and those live after it.
    live_in: HashMap<(usize, Live), Live>,
    /// Observers live before each step of an alternative and after the last.
    live_at: HashMap<(usize, usize, Live), Rc<[Live]>>,
    /// For a slot and its live observers, the value that stands for each value.
    views: HashMap<(usize, Vec<usize>), Rc<[u16]>>,
    entropy: f64,
}

impl Analysis<'_> {
    fn observer(&mut self, slot: usize, marks: Vec<u32>) -> usize {
        let next = self.observers.len();
        let id = *self.observer_ids.entry((slot, marks.clone())).or_insert(next);
        if id == next {
            self.observers.push(Observer { slot, marks });
        }
        id
    }

    fn test(&mut self, test: &Test) -> usize {
        self.observer(test.slot, test.holds.iter().map(|&holds| u32::from(holds)).collect())
    }

    /// A pick by a slot looks at which distribution that slot selects.
    fn selector(&mut self, pick: &Pick) -> Option<usize> {
        let Choices::By { slot, table } = &pick.choices else { return None };
        let marks = table.iter().map(|choice| choice.map_or(0, |(distribution, _)| distribution as u32 + 1));
        Some(self.observer(*slot, marks.collect()))
    }

    /// A pick looks at the words it excepts: at their weights, and at what the picked word would have looked like. When
    /// it excepts several, or its own word is excepted later, it looks at the words themselves.
    fn exceptions(&mut self, pick: &Pick) -> Vec<usize> {
        let program = self.program;
        let plain = pick.except.len() == 1 && pick.slot.is_none_or(|slot| !self.excepted[slot]);
        let mut ids = Vec::new();
        for &slot in &pick.except {
            let words = 0..program.slots[slot].value_names.len();
            let mut first_with: HashMap<Vec<u32>, u32> = HashMap::new();
            let mut mark = |word: usize| -> u32 {
                if !plain {
                    return word as u32;
                }
                let choices = pick.all_choices();
                let weights = choices.iter().map(|&(d, _)| program.distributions[d].weights[word]);
                let same_slot = |observer: &&Observer| Some(observer.slot) == pick.slot;
                let seen = self.observers[..self.of_slots].iter().filter(same_slot).map(|o| o.marks[word]);
                *first_with.entry(weights.chain(seen).collect()).or_insert(word as u32)
            };
            let marks: Vec<u32> = words.map(&mut mark).collect();
            ids.push(self.observer(slot, marks));
        }
        ids
    }

    /// Observers live before each step of an alternative and after the last, given those live after it.
    fn live(&mut self, rule: usize, alternative: usize, after: &Live) -> Rc<[Live]> {
        let key = (rule, alternative, after.clone());
        if let Some(live) = self.live_at.get(&key) {
            return live.clone();
        }
        let mut live = after.clone();
        let mut backward = vec![live.clone()];
        for op in self.program.rules[rule].alternatives[alternative].ops.iter().rev() {
            match op {
                Op::Literal(_) | Op::Show { .. } => {}
                Op::Set { slot, .. } => live = self.without(*slot, &live),
                Op::Call(called) => live = self.before_rule(*called, &live),
                Op::Pick(pick) => {
                    if let Some(slot) = pick.slot {
                        live = self.without(slot, &live);
                    }
                    let mut with = live.to_vec();
                    let ids = self.exceptions(pick).into_iter().chain(self.selector(pick));
                    ids.for_each(|id| with[id / 64] |= 1 << (id % 64));
                    live = with.into();
                }
            }
            backward.push(live.clone());
        }
        backward.reverse();
        let live: Rc<[Live]> = backward.into();
        self.live_at.insert(key, live.clone());
        live
    }

    fn before_rule(&mut self, rule: usize, after: &Live) -> Live {
        let key = (rule, after.clone());
        if let Some(live) = self.live_in.get(&key) {
            return live.clone();
        }
        let mut all = vec![0; after.len()];
        for (index, alternative) in self.program.rules[rule].alternatives.iter().enumerate() {
            let live = self.live(rule, index, after);
            all.iter_mut().zip(live[0].iter()).for_each(|(all, live)| *all |= live);
            for test in &alternative.tests {
                let id = self.test(test);
                all[id / 64] |= 1 << (id % 64);
            }
        }
        let live: Live = all.into();
        self.live_in.insert(key, live.clone());
        live
    }

    fn without(&self, slot: usize, live: &Live) -> Live {
        let mut live = live.to_vec();
        for (id, _) in self.observers.iter().enumerate().filter(|(_, observer)| observer.slot == slot) {
            live[id / 64] &= !(1 << (id % 64));
        }
        live.into()
    }

    /// Merges states that look the same to the live observers.
    fn merge(&mut self, states: Distribution, live: &Live) -> Distribution {
        let views: Vec<Rc<[u16]>> = (0..self.program.slots.len()).map(|slot| self.view(slot, live)).collect();
        let mut merged = Distribution::new();
        for (mut state, probability) in states {
            for (value, view) in state.iter_mut().zip(&views) {
                *value = view.get(usize::from(*value)).copied().unwrap_or(UNBOUND);
            }
            *merged.entry(state).or_insert(0.0) += probability;
        }
        merged
    }

    fn view(&mut self, slot: usize, live: &Live) -> Rc<[u16]> {
        let is_live = |id: usize| live[id / 64] >> (id % 64) & 1 == 1;
        let ids = (0..self.observers.len()).filter(|&id| self.observers[id].slot == slot && is_live(id));
        let ids: Vec<usize> = ids.collect();
        let key = (slot, ids);
        if let Some(view) = self.views.get(&key) {
            return view.clone();
        }
        let ids = &key.1;
        let mut first_with: HashMap<Vec<u32>, u16> = HashMap::new();
        let values = 0..self.program.slots[slot].value_names.len();
        let view: Rc<[u16]> = if ids.is_empty() {
            Rc::new([])
        } else {
            let marks = |value: usize| ids.iter().map(|&id| self.observers[id].marks[value]).collect();
            values.map(|value| *first_with.entry(marks(value)).or_insert(value as u16)).collect()
        };
        self.views.insert(key, view.clone());
        view
    }

    /// Sends a distribution over states through a rule, adding up the entropy of the choices met.
    fn run(&mut self, rule: usize, states: Distribution, after: &Live) -> Distribution {
        let id = rule;
        let rule = &self.program.rules[rule];
        let mut entering: Vec<Distribution> = vec![Distribution::new(); rule.alternatives.len()];
        for (state, probability) in states {
            let total = f64::from(rule.total(&state));
            for (alternative, entering) in rule.alternatives.iter().zip(&mut entering) {
                if alternative.enabled(&state) {
                    let chosen = f64::from(alternative.weight) / total;
                    self.entropy -= probability * chosen * chosen.ln();
                    *entering.entry(state).or_insert(0.0) += probability * chosen;
                }
            }
        }
        let mut leaving = Distribution::new();
        for (index, (alternative, mut states)) in rule.alternatives.iter().zip(entering).enumerate() {
            if states.is_empty() {
                continue;
            }
            let live = self.live(id, index, after);
            states = self.merge(states, &live[0]);
            for (op, live) in alternative.ops.iter().zip(&live[1..]) {
                states = match op {
                    Op::Call(called) => self.run(*called, states, live),
                    Op::Pick(pick) => self.pick(pick, states, live),
                    Op::Set { slot, value } => {
                        let set = |(mut state, probability): (State, f64)| {
                            state[*slot] = *value;
                            (state, probability)
                        };
                        let mut merged = Distribution::new();
                        for (state, probability) in states.into_iter().map(set) {
                            *merged.entry(state).or_insert(0.0) += probability;
                        }
                        self.merge(merged, live)
                    }
                    Op::Literal(_) | Op::Show { .. } => states,
                };
            }
            for (state, probability) in states {
                *leaving.entry(state).or_insert(0.0) += probability;
            }
        }
        leaving
    }

    fn pick(&mut self, pick: &Pick, states: Distribution, live: &Live) -> Distribution {
        let program = self.program;
        let view = pick.slot.map(|slot| (slot, self.view(slot, live)));
        let mut leaving = Distribution::new();
        for (state, probability) in states {
            let Some((distribution, _)) = pick.choices(&state) else { continue };
            let distribution = &program.distributions[distribution];
            let total = f64::from(pick.total(distribution, &state));
            // Few words look different later: their probabilities are added up before states are made of them.
            let mut by_view: BTreeMap<u16, f64> = BTreeMap::new();
            for &word in distribution.members.iter().filter(|&&word| !pick.excepts(word, &state)) {
                let chosen = f64::from(distribution.weights[usize::from(word)]) / total;
                self.entropy -= probability * chosen * chosen.ln();
                if let Some((_, view)) = &view {
                    let seen = view.get(usize::from(word)).copied().unwrap_or(UNBOUND);
                    *by_view.entry(seen).or_insert(0.0) += chosen;
                }
            }
            match &view {
                None => *leaving.entry(state).or_insert(0.0) += probability,
                Some((slot, _)) => {
                    for (word, chosen) in by_view {
                        let mut state = state;
                        state[*slot] = word;
                        *leaving.entry(state).or_insert(0.0) += probability * chosen;
                    }
                }
            }
        }
        self.merge(leaving, live)
    }
}
