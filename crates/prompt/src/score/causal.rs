//! Models that read from left to right: candidates are paths in a tree of ids, and each edge of it is read once.
//!
//! The candidates of a question stand sorted. What one shares with the one before is in the cache already: the row is cut back to it
//! and reads what is new, so that a tree is walked without a copy of a cache. The rows of a batch are questions, each at its own
//! branch. What *all* questions begin with (demonstrations) is read once and copied to the rows. The last id of a text is never read:
//! nothing is predicted from it.

use super::{NOTHING, Place, Scorer, check, longest_first, positions_at_once};
use crate::error::ScoreError;
use crate::question::{Question, Score};
use firebrand_decode::{LanguageModel, Logits, Positions};

/// So many ids in common are worth a row of their own.
const WORTH_SHARING: usize = 8;
/// About so many ids are read at once.
const TOGETHER: usize = 2048;

/// A scorer for any [`LanguageModel`].
#[derive(Debug, Clone)]
pub struct Causal<M> {
    model: M,
    /// What stands before a text.
    begin: Option<u32>,
}

impl<M: LanguageModel> Causal<M> {
    /// A scorer that puts `begin` before texts that begin.
    pub fn new(model: M, begin: Option<u32>) -> Self {
        Self { model, begin }
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }
}

impl<M: LanguageModel> Scorer for Causal<M> {
    fn most_ids(&self, begins: bool) -> usize {
        let before = usize::from(begins && self.begin.is_some());
        self.model.max_len().map_or(usize::MAX, |len| len + 1 - before)
    }

    fn score(
        &self,
        questions: &[Question],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Score>>, ScoreError> {
        let before = |begins: bool| usize::from(begins && self.begin.is_some());
        check(questions, self.model.vocab_size(), |begins| self.most_ids(begins), before)?;
        let order = longest_first(questions);
        let mut all: Vec<Vec<Score>> =
            questions.iter().map(|question| vec![NOTHING; question.candidates.len()]).collect();
        let shared = shared(questions, self.begin);
        let base = match shared.as_slice() {
            [] => None,
            ids => {
                let mut state = self.model.start(1);
                self.feed(&mut state, &[ids], Positions::Last)?;
                Some(state)
            }
        };
        let mut rest = order.as_slice();
        while let Some(&longest) = rest.first() {
            let len = questions[longest].longest().saturating_sub(shared.len()).max(1);
            let (now, later) = rest.split_at((TOGETHER / len).clamp(1, rest.len()));
            let mut paths: Vec<Paths> =
                now.iter().map(|&number| Paths::new(&questions[number], self.begin, shared.len())).collect();
            let state = match &base {
                Some(base) => self.model.fork(base, &vec![0; now.len()]),
                None => self.model.start(now.len()),
            };
            self.walk(state, &mut paths)?;
            for (&number, paths) in now.iter().zip(paths) {
                paths.hand_out(&mut all[number]);
            }
            progress(now.len());
            rest = later;
        }
        Ok(all)
    }
}

impl<M: LanguageModel> Causal<M> {
    fn feed(&self, state: &mut M::State, ids: &[&[u32]], positions: Positions) -> Result<Logits, ScoreError> {
        self.model.step(state, ids, positions).map_err(|error| ScoreError::Model(Box::new(error)))
    }

    /// Walks the trees of all rows, each as far as it goes.
    fn walk(&self, mut state: M::State, rows: &mut [Paths]) -> Result<(), ScoreError> {
        // What is given, of which only the last place predicts something that counts.
        let given: Vec<Vec<u32>> = rows.iter().map(|paths| paths.given().to_vec()).collect();
        let given: Vec<&[u32]> = given.iter().map(Vec::as_slice).collect();
        if given.iter().any(|given| !given.is_empty()) {
            let logits = self.feed(&mut state, &given, Positions::Last)?;
            for (row, paths) in rows.iter_mut().enumerate().filter(|(row, _)| !given[*row].is_empty()) {
                paths.read(0, paths.first - 1, logits.last(row))?;
            }
        }
        let at_once = positions_at_once(self.model.vocab_size());
        loop {
            let steps: Vec<Option<(usize, usize)>> = rows.iter_mut().map(Paths::advance).collect();
            if steps.iter().all(Option::is_none) {
                return Ok(());
            }
            for (row, step) in steps.iter().enumerate() {
                if let Some((keep, _)) = *step {
                    self.model.truncate(&mut state, row, keep);
                }
            }
            let new: Vec<Vec<u32>> = rows
                .iter()
                .zip(&steps)
                .map(|(paths, step)| step.map_or(vec![], |(keep, path)| paths.new_ids(keep, path).to_vec()))
                .collect();
            // Long branches go part by part, so that their logits need not all be in memory.
            let longest = new.iter().map(Vec::len).max().unwrap_or(0);
            let part = (at_once / rows.len()).max(1);
            for start in (0..longest).step_by(part) {
                let parts: Vec<&[u32]> =
                    new.iter().map(|ids| &ids[start.min(ids.len())..(start + part).min(ids.len())]).collect();
                let logits = self.feed(&mut state, &parts, Positions::All)?;
                for (row, (paths, step)) in rows.iter_mut().zip(&steps).enumerate() {
                    let Some((keep, path)) = *step else { continue };
                    for position in 0..logits.positions(row) {
                        paths.read(path, keep + start + position, logits.at(row, position))?;
                    }
                }
            }
        }
    }
}

/// The candidates of a question, sorted: the paths from the root of a tree to its leaves, in the order of a walk.
struct Paths {
    /// All ids of a path, with what stands before a text.
    ids: Vec<Vec<u32>>,
    /// Which candidate a path is.
    candidate: Vec<usize>,
    /// How many ids a path shares with the one before it.
    shared: Vec<usize>,
    /// So many ids are given.
    first: usize,
    /// So many ids of the given ones are in the cache from the start.
    cached: usize,
    scores: Vec<Score>,
    /// The path that is walked next, and what the row holds.
    next: usize,
    held: usize,
}

impl Paths {
    fn new(question: &Question, begin: Option<u32>, cached: usize) -> Self {
        let before = begin.filter(|_| question.begins);
        let mut paths: Vec<(Vec<u32>, usize)> = (question.candidates.iter().enumerate())
            .map(|(number, candidate)| {
                (before.iter().chain(&candidate.ids).copied().collect::<Vec<u32>>(), number)
            })
            .collect();
        paths.sort();
        let (ids, candidate): (Vec<Vec<u32>>, Vec<usize>) = paths.into_iter().unzip();
        let in_common = |pair: &[Vec<u32>]| pair[0].iter().zip(&pair[1]).take_while(|(a, b)| a == b).count();
        let shared = std::iter::once(0).chain(ids.windows(2).map(in_common)).collect();
        let first = given(question, begin);
        let scores = vec![NOTHING; ids.len()];
        Self { ids, candidate, shared, first, cached, scores, next: 0, held: first }
    }

    /// What is still to be read of what is given.
    fn given(&self) -> &[u32] {
        &self.ids[0][self.cached..self.first]
    }

    /// The next path with something new: how many ids the row is to keep, and which path.
    fn advance(&mut self) -> Option<(usize, usize)> {
        while self.next < self.ids.len() {
            let path = self.next;
            self.next += 1;
            let keep = match path {
                0 => self.held,
                _ => self.shared[path].max(self.first).min(self.held),
            };
            let needed = self.ids[path].len() - 1;
            if keep < needed {
                self.held = needed;
                return Some((keep, path));
            }
            // What the row holds beyond that is another path's.
            self.held = keep;
        }
        None
    }

    fn new_ids(&self, keep: usize, path: usize) -> &[u32] {
        &self.ids[path][keep..self.ids[path].len() - 1]
    }

    /// The logits behind position `at` of a path are those of all later paths that share so much.
    fn read(&mut self, path: usize, at: usize, logits: &[f32]) -> Result<(), ScoreError> {
        let place = Place::new(logits)?;
        for later in path..self.ids.len() {
            if later > path && self.shared[later] <= at {
                break;
            }
            if let Some(&id) = self.ids[later].get(at + 1) {
                place.add(id, &mut self.scores[later]);
            }
        }
        Ok(())
    }

    fn hand_out(self, scores: &mut [Score]) {
        for (candidate, score) in self.candidate.into_iter().zip(self.scores) {
            scores[candidate] = score;
        }
    }
}

/// How many ids are given, with what stands before them.
fn given(question: &Question, begin: Option<u32>) -> usize {
    question.given + usize::from(question.begins && begin.is_some())
}

/// What all questions begin with and nothing of which is scored, if that is worth it. One id of what is given is left to each.
fn shared(questions: &[Question], begin: Option<u32>) -> Vec<u32> {
    let ids = |question: &Question| -> Vec<u32> {
        let before = begin.filter(|_| question.begins);
        let first = question.candidates.first().map_or(&[][..], |candidate| &candidate.ids);
        before.iter().chain(first).copied().take(given(question, begin).saturating_sub(1)).collect()
    };
    let mut questions = questions.iter();
    let Some(mut shared) = questions.next().map(ids) else { return Vec::new() };
    for question in questions {
        if shared.len() < WORTH_SHARING {
            break;
        }
        let same = shared.iter().zip(ids(question)).take_while(|(a, b)| **a == *b).count();
        shared.truncate(same);
    }
    if shared.len() < WORTH_SHARING { Vec::new() } else { shared }
}
