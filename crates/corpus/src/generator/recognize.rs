//! Finds the derivation of a text, by trying: a wrong turn is noticed soon, because the ambiguity check bounds how
//! long two alternatives can agree.

use super::program::{Op, Program, State, ln_choice};

/// One attempt: where it is in the grammar and in the text.
#[derive(Clone)]
struct Attempt {
    rule: usize,
    alternative: usize,
    op: usize,
    /// Where to go on after this rule: (rule, alternative, op), the innermost last.
    stack: Vec<(usize, usize, usize)>,
    state: State,
    at: usize,
    log_prob: f64,
}

/// A derivation that was found.
pub(super) struct Found {
    pub(super) log_prob: f64,
    pub(super) state: State,
}

/// The derivations of `text` by the rule `start`, at most `limit` of them.
pub(super) fn derivations(program: &Program, start: usize, text: &str, limit: usize) -> Vec<Found> {
    let mut recognizer = Recognizer { program, text: text.as_bytes(), todo: Vec::new() };
    let mut found = Vec::new();
    let state = program.initial_state();
    let first =
        Attempt { rule: start, alternative: 0, op: 0, stack: Vec::new(), state, at: 0, log_prob: 0.0 };
    recognizer.choose(first, start);
    while found.len() < limit
        && let Some(attempt) = recognizer.todo.pop()
    {
        found.extend(recognizer.run(attempt));
    }
    found
}

struct Recognizer<'p, 't> {
    program: &'p Program,
    text: &'t [u8],
    todo: Vec<Attempt>,
}

impl Recognizer<'_, '_> {
    /// Follows an attempt to its end or to its next choice, whose outcomes become attempts of their own.
    fn run(&mut self, mut attempt: Attempt) -> Option<Found> {
        let program = self.program;
        loop {
            let ops = &program.rules[attempt.rule].alternatives[attempt.alternative].ops;
            let Some(op) = ops.get(attempt.op) else {
                let Some(back) = attempt.stack.pop() else {
                    let whole = attempt.at == self.text.len();
                    return whole.then_some(Found { log_prob: attempt.log_prob, state: attempt.state });
                };
                (attempt.rule, attempt.alternative, attempt.op) = back;
                continue;
            };
            attempt.op += 1;
            match op {
                Op::Literal(text) => self.read(&mut attempt, text)?,
                Op::Show { slot, form } => {
                    let word = usize::from(attempt.state[*slot]);
                    self.read(&mut attempt, &program.forms[*form].texts[word])?;
                }
                Op::Set { slot, value } => attempt.state[*slot] = *value,
                Op::Call(called) => {
                    attempt.stack.push((attempt.rule, attempt.alternative, attempt.op));
                    self.choose(attempt, *called);
                    return None;
                }
                Op::Pick(pick) => {
                    let (distribution, lexicon) = pick.choices(&attempt.state)?;
                    let distribution = &program.distributions[distribution];
                    let total = pick.total(distribution, &attempt.state);
                    let rest = &self.text[attempt.at..];
                    for (text, word) in prefixes(&program.lexicons[lexicon].entries, rest) {
                        if pick.excepts(word, &attempt.state) {
                            continue;
                        }
                        let mut next = attempt.clone();
                        let weight = distribution.weights[usize::from(word)];
                        if weight < total {
                            next.log_prob += ln_choice(weight, total);
                        }
                        if let Some(slot) = pick.slot {
                            next.state[slot] = word;
                        }
                        next.at += text.len();
                        self.todo.push(next);
                    }
                    return None;
                }
            }
        }
    }

    fn read(&self, attempt: &mut Attempt, text: &str) -> Option<()> {
        let fits = self.text[attempt.at..].starts_with(text.as_bytes());
        attempt.at += text.len();
        fits.then_some(())
    }

    /// Adds an attempt for each alternative of `rule` that may fit.
    fn choose(&mut self, mut attempt: Attempt, rule: usize) {
        let program = self.program;
        let this = &program.rules[rule];
        let total = this.total(&attempt.state);
        (attempt.rule, attempt.op) = (rule, 0);
        for (index, alternative) in this.alternatives.iter().enumerate() {
            let rest = &self.text[attempt.at..];
            let fits = match alternative.ops.first() {
                Some(Op::Literal(text)) => rest.starts_with(text.as_bytes()),
                Some(Op::Show { slot, form }) => {
                    let word = program.forms[*form].texts.get(usize::from(attempt.state[*slot]));
                    word.is_some_and(|word| rest.starts_with(word.as_bytes()))
                }
                _ => true,
            };
            if !fits || !alternative.enabled(&attempt.state) {
                continue;
            }
            let mut next = attempt.clone();
            next.alternative = index;
            if alternative.weight < total {
                next.log_prob += ln_choice(alternative.weight, total);
            }
            self.todo.push(next);
        }
    }
}

/// The entries that `text` begins with.
fn prefixes<'a>(entries: &'a [(Box<str>, u16)], text: &'a [u8]) -> impl Iterator<Item = (&'a str, u16)> + 'a {
    let (mut low, mut high) = (0, entries.len());
    let mut depth = 0;
    std::iter::from_fn(move || {
        loop {
            if low < high && entries[low].0.len() == depth {
                let (entry, word) = &entries[low];
                low += 1;
                return Some((&**entry, *word));
            }
            let byte = *text.get(depth).filter(|_| low < high)?;
            let range = &entries[low..high];
            let start = range.partition_point(|(entry, _)| entry.as_bytes()[depth] < byte);
            let end = range.partition_point(|(entry, _)| entry.as_bytes()[depth] <= byte);
            (low, high) = (low + start, low + end);
            depth += 1;
        }
    })
}
