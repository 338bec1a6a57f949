//! Every place between the steps of a program, numbered, with what can be read there: the view of a program that the
//! ambiguity check walks.

use std::collections::HashMap;

use super::program::{Op, Program};

/// The positions of a program. Those of an alternative are consecutive: one before each step and one at its end.
pub(super) struct Positions<'p> {
    steps: Vec<Step>,
    starts: Vec<Vec<u32>>,
    /// Lists of the words that can be written at once, sorted, without duplicates.
    pub(super) lists: Vec<Vec<&'p [u8]>>,
    /// By list: whether no word begins with another.
    pub(super) prefix_free: Vec<bool>,
}

/// What happens at a position.
pub(super) enum Step {
    /// One of the words of a list is read; with the slot that it tells the word of.
    Words(usize, Option<usize>),
    /// One of these positions comes next, then the one after this.
    Call(Vec<u32>),
    /// Nothing is read.
    Nothing,
    /// The rule is done.
    Return {
        /// The positions after all calls of the rule.
        callers: Vec<u32>,
        /// Whether a document can be done with it.
        end: bool,
    },
}

impl<'p> Positions<'p> {
    /// Numbers the positions of a program.
    pub(super) fn of(program: &'p Program) -> Self {
        let mut starts: Vec<Vec<u32>> = Vec::new();
        let mut callers: Vec<Vec<u32>> = vec![Vec::new(); program.rules.len()];
        let mut count = 0;
        for rule in &program.rules {
            let mut of_rule = Vec::new();
            for alternative in &rule.alternatives {
                of_rule.push(count);
                for (at, op) in alternative.ops.iter().enumerate() {
                    if let Op::Call(called) = op {
                        callers[*called].push(count + at as u32 + 1);
                    }
                }
                count += alternative.ops.len() as u32 + 1;
            }
            starts.push(of_rule);
        }
        let mut lists = Lists { program, lists: Vec::new(), ids: HashMap::new() };
        let mut steps = Vec::new();
        for (index, rule) in program.rules.iter().enumerate() {
            for alternative in &rule.alternatives {
                for op in &alternative.ops {
                    steps.push(match op {
                        Op::Set { .. } => Step::Nothing,
                        Op::Call(called) => Step::Call(starts[*called].clone()),
                        Op::Literal(_) | Op::Show { .. } | Op::Pick(_) => {
                            let list = lists.of(op);
                            Step::Words(list, lists.tells(op, list))
                        }
                    });
                }
                let end = program.starts.contains(&Some(index));
                steps.push(Step::Return { callers: callers[index].clone(), end });
            }
        }
        // In a sorted list, a word that begins with another one comes after it with only such words between.
        let prefix_free = |words: &Vec<&[u8]>| !words.windows(2).any(|pair| pair[1].starts_with(pair[0]));
        let prefix_free = lists.lists.iter().map(prefix_free).collect();
        Positions { steps, starts, lists: lists.lists, prefix_free }
    }

    /// The position at the start of an alternative.
    pub(super) fn start(&self, rule: usize, alternative: usize) -> u32 {
        self.starts[rule][alternative]
    }

    /// What happens at a position.
    pub(super) fn step(&self, position: u32) -> &Step {
        &self.steps[position as usize]
    }
}

struct Lists<'p> {
    program: &'p Program,
    lists: Vec<Vec<&'p [u8]>>,
    ids: HashMap<Vec<&'p [u8]>, usize>,
}

impl<'p> Lists<'p> {
    /// The slot whose word can be told from what this step writes: when its words are all written differently.
    fn tells(&self, op: &Op, list: usize) -> Option<usize> {
        let Op::Show { slot, .. } = op else { return None };
        let words = self.program.slots[*slot].possible.iter().filter(|possible| **possible).count();
        (self.lists[list].len() == words).then_some(*slot)
    }

    /// The list of all words that a writing step can write.
    fn of(&mut self, op: &'p Op) -> usize {
        let program = self.program;
        let mut words: Vec<&'p [u8]> = match op {
            Op::Literal(text) => vec![text.as_bytes()],
            Op::Show { slot, form } => {
                let texts = program.forms[*form].texts.iter().zip(&program.slots[*slot].possible);
                texts.filter(|(_, possible)| **possible).map(|(text, _)| text.as_bytes()).collect()
            }
            Op::Pick(pick) => {
                let lexicons = pick.all_choices().into_iter().map(|(_, lexicon)| &program.lexicons[lexicon]);
                lexicons.flat_map(|lexicon| lexicon.entries.iter().map(|(text, _)| text.as_bytes())).collect()
            }
            Op::Call(_) | Op::Set { .. } => Vec::new(),
        };
        words.sort_unstable();
        words.dedup();
        if let Some(&id) = self.ids.get(&words) {
            return id;
        }
        self.lists.push(words.clone());
        self.ids.insert(words, self.lists.len() - 1);
        self.lists.len() - 1
    }
}
