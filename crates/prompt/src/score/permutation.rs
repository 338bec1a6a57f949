//! Permutation models, asked from left to right: the candidates of a question are the branches of one tree of tokens, which goes through
//! the model as a whole.

use super::{NOTHING, Place, Scorer, SpecialIds, check, longest_first, positions_at_once};
use crate::error::ScoreError;
use crate::question::{Question, Score};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_transformer::{Model, Permutation, TokenTree};

/// About so many tokens are read at once.
const TOGETHER: usize = 2048;

/// A scorer for permutation models.
pub(super) struct TreeScorer<'a> {
    model: &'a Permutation,
    begin: Option<u32>,
}

impl<'a> TreeScorer<'a> {
    pub(super) fn new(model: &'a Permutation, special: &SpecialIds) -> Self {
        Self { model, begin: special.end_of_text }
    }
}

/// The texts of a question as a tree.
struct Branches {
    ids: Vec<u32>,
    tree: TokenTree,
    /// Of each candidate, which of the predicted tokens are its own.
    of_candidate: Vec<Vec<usize>>,
}

impl Branches {
    fn new(question: &Question, begin: Option<u32>) -> Self {
        let before = begin.filter(|_| question.begins);
        let given = question.given + usize::from(before.is_some());
        let mut ids: Vec<u32> = Vec::new();
        let mut tree = TokenTree { parents: Vec::new(), predicted: Vec::new() };
        let mut children: Vec<Vec<usize>> = vec![Vec::new()];
        let mut of_candidate = Vec::new();
        for candidate in &question.candidates {
            // Node n's children are at n + 1; those of no node are the first tokens.
            let (mut at, mut own) = (None, Vec::new());
            for (depth, &id) in before.iter().chain(&candidate.ids).enumerate() {
                let slot = at.map_or(0, |node: usize| node + 1);
                let node = match children[slot].iter().copied().find(|&node| ids[node] == id) {
                    Some(node) => node,
                    None => {
                        let node = ids.len();
                        ids.push(id);
                        tree.parents.push(at);
                        children[slot].push(node);
                        children.push(Vec::new());
                        if depth >= given.max(1) {
                            tree.predicted.push(node);
                        }
                        node
                    }
                };
                if let Ok(predicted) = tree.predicted.binary_search(&node) {
                    own.push(predicted);
                }
                at = Some(node);
            }
            of_candidate.push(own);
        }
        Self { ids, tree, of_candidate }
    }
}

impl Scorer for TreeScorer<'_> {
    fn most_ids(&self, begins: bool) -> usize {
        // What is predicted has a position of its own.
        self.model.config().seq_len - usize::from(begins && self.begin.is_some())
    }

    fn score(
        &self,
        questions: &[Question],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Score>>, ScoreError> {
        let vocab_size = self.model.config().vocab_size;
        let before = |begins: bool| usize::from(begins && self.begin.is_some());
        check(questions, vocab_size, |begins| self.most_ids(begins), before)?;
        let mut all = vec![Vec::new(); questions.len()];
        let trees: Vec<Branches> =
            questions.iter().map(|question| Branches::new(question, self.begin)).collect();
        let order = longest_first(questions);
        let mut rest = order.as_slice();
        while let Some(&longest) = rest.first() {
            let tree = &trees[longest];
            let rows = TOGETHER / (tree.ids.len() + tree.tree.predicted.len()).max(1);
            let rows = rows.min(positions_at_once(vocab_size) / tree.tree.predicted.len().max(1));
            let (now, later) = rest.split_at(rows.clamp(1, rest.len()));
            let batch: Vec<&Branches> = now.iter().map(|&number| &trees[number]).collect();
            for (&number, scores) in now.iter().zip(self.batch(&batch)?) {
                all[number] = scores;
            }
            progress(now.len());
            rest = later;
        }
        Ok(all)
    }
}

impl TreeScorer<'_> {
    fn batch(&self, batch: &[&Branches]) -> Result<Vec<Vec<Score>>, ScoreError> {
        let seq = batch.iter().map(|branches| branches.ids.len()).max().unwrap_or(0);
        let count = batch.iter().map(|branches| branches.tree.predicted.len()).max().unwrap_or(0);
        let ids: Vec<i32> = batch
            .iter()
            .flat_map(|branches| (0..seq).map(|at| branches.ids.get(at).map_or(0, |&id| id as i32)))
            .collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [batch.len(), seq]), &self.model.device());
        let trees: Vec<TokenTree> = batch.iter().map(|branches| branches.tree.padded(seq, count)).collect();
        let states = self.model.predictions_in_trees(ids, &trees);
        let [rows, _, d_model] = states.dims();
        let logits = self.model.decoder().logits(states.reshape([rows * count, d_model]));
        let logits: Vec<f32> =
            logits.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now");
        let vocab_size = self.model.config().vocab_size;
        let mut all = Vec::with_capacity(batch.len());
        for (branches, logits) in batch.iter().zip(logits.chunks_exact(count * vocab_size)) {
            let predicted = branches.tree.predicted.len();
            let places: Vec<Place<'_>> =
                logits.chunks_exact(vocab_size).take(predicted).map(Place::new).collect::<Result<_, _>>()?;
            let score = |own: &Vec<usize>| {
                let mut score = NOTHING;
                for &predicted in own {
                    places[predicted].add(branches.ids[branches.tree.predicted[predicted]], &mut score);
                }
                score
            };
            all.push(branches.of_candidate.iter().map(score).collect());
        }
        Ok(all)
    }
}
