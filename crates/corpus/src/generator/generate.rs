//! Draws documents. Document `i` of a split depends on (grammar, kind, split, seed, `i`) alone: each index has a
//! ChaCha stream of its own, so any range of documents can be made anywhere, in any order.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::program::{Op, Pick, Program, State, ln_choice};
use super::{Document, Kind, Split};

/// Draws rejected in a row after which a split is taken to be empty.
const MAX_REJECTED: u32 = 10_000;

/// The documents of one kind and split under a seed, by index or one after the other.
pub(super) struct Generator<'g> {
    program: &'g Program,
    kind: Kind,
    start: Option<usize>,
    split: Split,
    rng: ChaCha8Rng,
    next: u64,
    state: State,
    text: String,
    log_prob: f64,
}

impl<'g> Generator<'g> {
    pub(super) fn new(program: &'g Program, kind: Kind, split: Split, seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = kind as u8;
        key[9] = split as u8;
        key[16..].copy_from_slice(b"firebrand corpus");
        let start = program.starts[kind as usize];
        let rng = ChaCha8Rng::from_seed(key);
        let state = program.initial_state();
        Generator { program, kind, start, split, rng, next: 0, state, text: String::new(), log_prob: 0.0 }
    }

    /// The document with this index; `None` when the grammar has none for this kind and split.
    pub(super) fn document(&mut self, index: u64) -> Option<Document> {
        let start = self.start?;
        self.rng.set_stream(index);
        self.rng.set_word_pos(0);
        for _ in 0..MAX_REJECTED {
            self.state = self.program.initial_state();
            self.text.clear();
            self.log_prob = 0.0;
            self.run(start);
            if Split::of(&self.text) == self.split {
                let labels = self.program.labels(self.kind, &self.state);
                return Some(Document { text: self.text.clone(), log_prob: self.log_prob, labels });
            }
        }
        None
    }

    fn run(&mut self, rule: usize) {
        let program = self.program;
        let rule = &program.rules[rule];
        let total = rule.total(&self.state);
        let mut point = self.below(total);
        for alternative in &rule.alternatives {
            if rule.fixed_total.is_none() && !alternative.enabled(&self.state) {
                continue;
            }
            if point >= alternative.weight {
                point -= alternative.weight;
                continue;
            }
            if alternative.weight < total {
                self.log_prob += ln_choice(alternative.weight, total);
            }
            for op in &alternative.ops {
                match op {
                    Op::Literal(text) => self.text.push_str(text),
                    Op::Show { slot, form } => {
                        let word = usize::from(self.state[*slot]);
                        self.text.push_str(&program.forms[*form].texts[word]);
                    }
                    Op::Set { slot, value } => self.state[*slot] = *value,
                    Op::Call(called) => self.run(*called),
                    Op::Pick(pick) => self.pick(pick),
                }
            }
            return;
        }
    }

    fn pick(&mut self, pick: &Pick) {
        // The checks made sure that there is a distribution, and that it has a word that is not excepted.
        let Some((distribution, _)) = pick.choices(&self.state) else { return };
        let distribution = &self.program.distributions[distribution];
        let all = distribution.total();
        let word = loop {
            let word = distribution.at(self.below(all));
            if !pick.excepts(word, &self.state) {
                break word;
            }
        };
        let (weight, total) =
            (distribution.weights[usize::from(word)], pick.total(distribution, &self.state));
        if weight < total {
            self.log_prob += ln_choice(weight, total);
        }
        if let Some(slot) = pick.slot {
            self.state[slot] = word;
        }
        self.text.push_str(&self.program.forms[pick.form].texts[usize::from(word)]);
    }

    /// A number below `bound`, each exactly as likely (Lemire 2019, "Fast random integer generation in an interval").
    fn below(&mut self, bound: u32) -> u32 {
        if bound <= 1 {
            return 0;
        }
        let mut product = u64::from(self.rng.next_u32()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = u64::from(self.rng.next_u32()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }
}

impl Iterator for Generator<'_> {
    type Item = Document;

    fn next(&mut self) -> Option<Document> {
        let document = self.document(self.next);
        self.next += 1;
        document
    }

    /// Skips without making what is skipped.
    fn nth(&mut self, count: usize) -> Option<Document> {
        self.next += count as u64;
        self.next()
    }
}
