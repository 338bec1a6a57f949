//! What proposes ids to a model that decodes speculatively.

use crate::choose::{Choice, Place, Processor, Rule};
use crate::error::DecodeError;
use crate::model::{LanguageModel, Positions};
use crate::ngrams::NgramTable;
use crate::sampler::Use;

/// What proposes.
#[derive(Debug)]
pub enum Draft<'m, D> {
    /// A small model with the same vocabulary.
    Model(&'m D),
    /// What followed the last ids when they were there before, at most so many of them (prompt lookup, Saxena 2023): free, and
    /// right where a text repeats itself.
    PromptLookup {
        /// The longest n-gram that is looked for; then shorter ones.
        longest: usize,
    },
    /// What followed the last ids in other texts.
    Corpus(&'m NgramTable),
}

impl<'m, D: LanguageModel> Draft<'m, D> {
    /// The number of ids it knows; nothing if it takes any.
    pub(crate) fn vocab_size(&self) -> Option<usize> {
        match self {
            Self::Model(model) => Some(model.vocab_size()),
            Self::PromptLookup { .. } | Self::Corpus(_) => None,
        }
    }

    /// Begins with so many rows, of which nothing is known.
    pub(crate) fn start(&self, rows: usize) -> Box<dyn Proposer + 'm> {
        match *self {
            Self::Model(model) => {
                Box::new(ModelDraft { model, state: model.start(rows), fed: vec![0; rows] })
            }
            Self::PromptLookup { longest } => {
                Box::new(Lookup(move |ids: &[u32], most| look_up(ids, longest, most)))
            }
            Self::Corpus(table) => Box::new(Lookup(|ids: &[u32], most| table.go_on(ids, most))),
        }
    }
}

/// What a draft is asked for: up to `most` ids that go on with a sequence.
pub(crate) struct Request<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) most: usize,
}

/// Ids that may follow, and what each was drawn from; with nothing known of that, each was certain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proposal {
    pub(crate) ids: Vec<u32>,
    pub(crate) choices: Vec<Choice>,
}

/// Proposes ids for the rows of a batch, in which it follows the model: rows are the live sequences, in the order of the requests.
pub(crate) trait Proposer {
    /// A proposal for each row.
    ///
    /// # Errors
    /// When it fails; the generation fails with it.
    fn propose(
        &mut self,
        requests: &[Request<'_>],
        processor: &mut Processor<'_>,
        rule: &Rule<'_>,
    ) -> Result<Vec<Proposal>, DecodeError>;

    /// Of what was proposed to a row, all ids from the `len`-th on may be others now.
    fn keep(&mut self, row: usize, len: usize);

    /// Row `i` is what row `rows[i]` was.
    fn reorder(&mut self, rows: &[usize]);
}

struct ModelDraft<'m, D: LanguageModel> {
    model: &'m D,
    state: D::State,
    /// How many ids of each row it has been fed.
    fed: Vec<usize>,
}

impl<D: LanguageModel> Proposer for ModelDraft<'_, D> {
    fn propose(
        &mut self,
        requests: &[Request<'_>],
        processor: &mut Processor<'_>,
        rule: &Rule<'_>,
    ) -> Result<Vec<Proposal>, DecodeError> {
        let mut proposals = vec![Proposal::default(); requests.len()];
        let mut ids: Vec<Vec<u32>> = requests.iter().map(|request| request.place.ids.to_vec()).collect();
        // A row whose context is full proposes no more.
        let room = |len: usize| self.model.max_len().is_none_or(|max_len| len <= max_len);
        let mut wanting: Vec<usize> =
            (0..requests.len()).filter(|&row| requests[row].most > 0 && room(ids[row].len())).collect();
        while !wanting.is_empty() {
            let mut rows: Vec<&[u32]> = vec![&[]; requests.len()];
            for &row in &wanting {
                rows[row] = &ids[row][self.fed[row]..];
            }
            let logits = self.model.step(&mut self.state, &rows, Positions::Last);
            let logits = logits.map_err(|error| DecodeError::Model(Box::new(error)))?;
            let mut still = Vec::with_capacity(wanting.len());
            for row in wanting {
                self.fed[row] = ids[row].len();
                let place = Place { ids: &ids[row], ..requests[row].place };
                let processed = processor.process(logits.last(row), place)?;
                // Where it knows nothing to choose, the model has to.
                let Some(choice) = rule.choice(processed, place) else { continue };
                let id = rule.choose(&choice, place, Use::Propose);
                ids[row].push(id);
                proposals[row].ids.push(id);
                proposals[row].choices.push(choice);
                let ends = processor.end_of_text() == Some(id);
                if !ends && proposals[row].ids.len() < requests[row].most && room(ids[row].len()) {
                    still.push(row);
                }
            }
            wanting = still;
        }
        Ok(proposals)
    }

    fn keep(&mut self, row: usize, len: usize) {
        if self.fed[row] > len {
            self.model.truncate(&mut self.state, row, len);
            self.fed[row] = len;
        }
    }

    fn reorder(&mut self, rows: &[usize]) {
        self.model.reorder(&mut self.state, rows);
        self.fed = rows.iter().map(|&row| self.fed[row]).collect();
    }
}

/// What followed the latest place, but for the end, of as many of the last ids as were there, at most `longest`.
fn look_up(ids: &[u32], longest: usize, most: usize) -> Vec<u32> {
    for n in (1..=longest.min(ids.len().saturating_sub(1))).rev() {
        let (last, before) = (&ids[ids.len() - n..], &ids[..ids.len() - 1]);
        if let Some(at) = before.windows(n).rposition(|ngram| ngram == last) {
            let follows = &ids[at + n..];
            return follows[..most.min(follows.len())].to_vec();
        }
    }
    Vec::new()
}

/// Proposes what a function of the ids so far, and of how many are wanted, says. It has nothing to remember.
struct Lookup<F>(F);

impl<F: Fn(&[u32], usize) -> Vec<u32>> Proposer for Lookup<F> {
    fn propose(
        &mut self,
        requests: &[Request<'_>],
        _: &mut Processor<'_>,
        _: &Rule<'_>,
    ) -> Result<Vec<Proposal>, DecodeError> {
        let propose = |request: &Request<'_>| Proposal {
            ids: (self.0)(request.place.ids, request.most),
            choices: Vec::new(),
        };
        Ok(requests.iter().map(propose).collect())
    }

    fn keep(&mut self, _: usize, _: usize) {}

    fn reorder(&mut self, _: &[usize]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_the_longest_ngram_is_proposed() {
        let look_up = |ids: &[u32], most| look_up(ids, 3, most);
        assert_eq!(look_up(&[1, 2, 3, 4, 9, 3, 5, 1, 2, 3], 2), [4, 9]);
        assert_eq!(look_up(&[7, 3, 4, 3, 5, 9, 3], 8), [5, 9, 3], "the latest place");
        assert_eq!(look_up(&[1, 1, 1], 4), [1]);
        assert!(look_up(&[1, 2, 3], 4).is_empty() && look_up(&[1], 4).is_empty());
    }
}
