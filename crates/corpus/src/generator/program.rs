//! The compiled grammar: rules over a state of slots, everything by index. Generation, recognition, the checks and
//! the entropy all read this one form, and take every probability from [`Rule::total`] and [`Pick::total`], so that
//! they cannot disagree.

use super::Kind;
use super::source::Place;

/// What every slot holds: an index into its class, or [`UNBOUND`].
pub(super) type State = [u16; MAX_SLOTS];
/// Slots of a grammar at most: a state is copied often, and an array is copied fast.
pub(super) const MAX_SLOTS: usize = 64;
/// The value of a slot that holds nothing yet.
pub(super) const UNBOUND: u16 = u16::MAX;

/// A whole grammar.
pub(super) struct Program {
    pub(super) slots: Vec<Slot>,
    pub(super) rules: Vec<Rule>,
    pub(super) forms: Vec<Form>,
    pub(super) distributions: Vec<Distribution>,
    pub(super) lexicons: Vec<Lexicon>,
    /// The rule that makes documents of each kind.
    pub(super) starts: [Option<usize>; 3],
    /// The slots that are labels of each kind.
    pub(super) labels: [Vec<usize>; 3],
}

/// A variable of the state.
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) class: usize,
    pub(super) initial: u16,
    /// Its value is a label of the kinds of documents whose rules set it.
    pub(super) label: bool,
    pub(super) value_names: Vec<String>,
    /// The values it can ever hold.
    pub(super) possible: Vec<bool>,
}

/// Alternatives, of which one is chosen by weight among those whose tests hold.
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) alternatives: Vec<Alternative>,
    /// The sum of weights when no alternative has tests.
    pub(super) fixed_total: Option<u32>,
    pub(super) place: Place,
}

/// One way to continue.
pub(super) struct Alternative {
    pub(super) weight: u32,
    pub(super) tests: Vec<Test>,
    pub(super) ops: Vec<Op>,
    pub(super) place: Place,
}

/// A condition on one slot, as the set of its values for which it holds.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Test {
    pub(super) slot: usize,
    pub(super) holds: Vec<bool>,
}

/// One step of an alternative.
pub(super) enum Op {
    /// Writes these characters.
    Literal(Box<str>),
    /// Writes a form of what a slot holds.
    Show { slot: usize, form: usize },
    /// Chooses a word and writes it.
    Pick(Pick),
    /// Continues with a rule and comes back.
    Call(usize),
    /// Changes a slot.
    Set { slot: usize, value: u16 },
}

/// A choice of a word.
pub(super) struct Pick {
    /// Where the word is remembered.
    pub(super) slot: Option<usize>,
    pub(super) choices: Choices,
    /// Slots whose words are not picked again.
    pub(super) except: Vec<usize>,
    pub(super) form: usize,
    pub(super) place: Place,
}

/// What a pick chooses from: a distribution, and the same words sorted by the form in which they are written.
pub(super) enum Choices {
    /// Always this (distribution, lexicon).
    Fixed(usize, usize),
    /// This one, by the value of a slot; `None` for values the slot never has.
    By { slot: usize, table: Vec<Option<(usize, usize)>> },
}

/// How the words of a class are written.
pub(super) struct Form {
    pub(super) texts: Vec<Box<str>>,
}

/// Words of a class with integer weights.
pub(super) struct Distribution {
    pub(super) members: Vec<u16>,
    /// The sum of weights of the members up to and including each.
    pub(super) cumulative: Vec<u32>,
    /// By word; 0 for words that are not members.
    pub(super) weights: Vec<u32>,
}

/// Written words in order, for recognition.
pub(super) struct Lexicon {
    pub(super) entries: Vec<(Box<str>, u16)>,
}

impl Distribution {
    /// The sum of all weights.
    pub(super) fn total(&self) -> u32 {
        self.cumulative.last().copied().unwrap_or(0)
    }

    /// The member that the number `point` below [`Distribution::total`] falls on.
    pub(super) fn at(&self, point: u32) -> u16 {
        self.members[self.cumulative.partition_point(|&sum| sum <= point)]
    }
}

impl Alternative {
    /// Whether it can be chosen in this state.
    pub(super) fn enabled(&self, state: &State) -> bool {
        self.tests.iter().all(|test| test.holds.get(usize::from(state[test.slot])).copied().unwrap_or(false))
    }

    /// Whether no state enables both: a slot would have to hold two values.
    pub(super) fn excludes(&self, other: &Alternative) -> bool {
        self.tests.iter().any(|a| {
            let disjoint = |b: &Test| a.holds.iter().zip(&b.holds).all(|(&x, &y)| !(x && y));
            other.tests.iter().any(|b| a.slot == b.slot && disjoint(b))
        })
    }
}

impl Rule {
    /// The sum of the weights of the alternatives that can be chosen in this state.
    pub(super) fn total(&self, state: &State) -> u32 {
        self.fixed_total.unwrap_or_else(|| {
            self.alternatives.iter().filter(|alternative| alternative.enabled(state)).map(|a| a.weight).sum()
        })
    }
}

impl Pick {
    /// The distribution and lexicon that apply in this state.
    pub(super) fn choices(&self, state: &State) -> Option<(usize, usize)> {
        match &self.choices {
            Choices::Fixed(distribution, lexicon) => Some((*distribution, *lexicon)),
            Choices::By { slot, table } => table.get(usize::from(state[*slot])).copied().flatten(),
        }
    }

    /// All (distribution, lexicon) pairs this pick may use.
    pub(super) fn all_choices(&self) -> Vec<(usize, usize)> {
        match &self.choices {
            Choices::Fixed(distribution, lexicon) => vec![(*distribution, *lexicon)],
            Choices::By { table, .. } => {
                let mut all: Vec<_> = table.iter().flatten().copied().collect();
                all.sort_unstable();
                all.dedup();
                all
            }
        }
    }

    /// Whether `word` is one of the words not to be picked again.
    pub(super) fn excepts(&self, word: u16, state: &State) -> bool {
        self.except.iter().any(|&slot| state[slot] == word)
    }

    /// The sum of the weights of the words that can be picked: each excepted word is subtracted once.
    pub(super) fn total(&self, distribution: &Distribution, state: &State) -> u32 {
        let mut total = distribution.total();
        for (index, &slot) in self.except.iter().enumerate() {
            let word = state[slot];
            let again = self.except[..index].iter().any(|&earlier| state[earlier] == word);
            if !again {
                total -= distribution.weights.get(usize::from(word)).copied().unwrap_or(0);
            }
        }
        total
    }
}

impl Program {
    /// The state in which every document begins.
    pub(super) fn initial_state(&self) -> State {
        let mut state = [UNBOUND; MAX_SLOTS];
        for (value, slot) in state.iter_mut().zip(&self.slots) {
            *value = slot.initial;
        }
        state
    }

    /// The labels of a document of this kind that ended in this state.
    pub(super) fn labels(&self, kind: Kind, state: &State) -> Vec<(String, String)> {
        let named = |&index: &usize| {
            let slot = &self.slots[index];
            let value = slot.value_names.get(usize::from(state[index]))?;
            Some((slot.name.clone(), value.clone()))
        };
        self.labels[kind as usize].iter().filter_map(named).collect()
    }
}

/// The natural logarithm of the probability of one choice.
pub(super) fn ln_choice(weight: u32, total: u32) -> f64 {
    (f64::from(weight) / f64::from(total)).ln()
}
