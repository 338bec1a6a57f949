//! What proposes ids to a model that decodes speculatively.

use crate::choose::{Place, Processor};
use crate::error::DecodeError;
use crate::model::{LanguageModel, Positions};
use crate::processors;
use crate::sampler::{Distribution, Draws, Sampling, Use};

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
}

impl<'m, D: LanguageModel> Draft<'m, D> {
    /// The number of ids it knows; nothing if it takes any.
    pub(crate) fn vocab_size(&self) -> Option<usize> {
        match self {
            Self::Model(model) => Some(model.vocab_size()),
            Self::PromptLookup { .. } => None,
        }
    }

    /// Begins with so many rows, of which nothing is known.
    pub(crate) fn start(&self, rows: usize) -> Box<dyn Proposer + 'm> {
        match *self {
            Self::Model(model) => {
                Box::new(ModelDraft { model, state: model.start(rows), fed: vec![0; rows] })
            }
            Self::PromptLookup { longest } => Box::new(PromptLookup { longest }),
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

/// How ids are chosen, by the model and its draft alike.
pub(crate) struct Rule<'a>(Option<(&'a Sampling, Draws)>);

/// What an id is chosen from.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// This one, greedily.
    Certain(u32),
    /// One of these.
    Drawn(Distribution),
}

impl<'a> Rule<'a> {
    pub(crate) fn new(sampling: Option<&'a Sampling>) -> Self {
        Self(sampling.map(|sampling| (sampling, Draws::new(sampling.seed))))
    }

    /// From logits that are processed but for the sampling; nothing when all are banned.
    pub(crate) fn choice(&self, processed: &mut [f32]) -> Option<Choice> {
        match &self.0 {
            None => processors::argmax(processed).map(Choice::Certain),
            Some((sampling, _)) => {
                sampling.apply(processed);
                Distribution::from_logits(processed).map(Choice::Drawn)
            }
        }
    }

    pub(crate) fn choose(&self, choice: &Choice, place: Place<'_>, what_for: Use) -> u32 {
        match choice {
            Choice::Certain(id) => *id,
            Choice::Drawn(distribution) => distribution.sample(self.uniform(place, what_for)),
        }
    }

    /// 0 where nothing is drawn.
    pub(crate) fn uniform(&self, place: Place<'_>, what_for: Use) -> f64 {
        self.0.as_ref().map_or(0.0, |(sampling, draws)| {
            let stream = sampling.first_sequence.wrapping_add(place.sequence as u64);
            draws.uniform_for(stream, place.ids.len() as u64, what_for)
        })
    }
}

impl Choice {
    fn prob(&self, id: u32) -> f64 {
        match self {
            Self::Certain(certain) => f64::from(u8::from(*certain == id)),
            Self::Drawn(distribution) => distribution.prob(id),
        }
    }

    /// `min(1, p(x)/q(x))` of a proposed id; nothing is known of the draft's choice if it was certain.
    pub(crate) fn keep_probability(&self, id: u32, draft: Option<&Choice>) -> f64 {
        self.prob(id) / draft.map_or(1.0, |draft| draft.prob(id))
    }

    /// `max(0, p − q)`, from which an id is drawn in place of a proposed one that is not kept.
    pub(crate) fn without(&self, id: u32, draft: Option<&Choice>) -> Choice {
        let Self::Drawn(distribution) = self else { return self.clone() };
        let q = |other: u32| draft.map_or(f64::from(u8::from(other == id)), |draft| draft.prob(other));
        // Rounding may leave nothing where both are the same; then nothing is ever refused either, up to rounding.
        distribution.minus(q).map_or_else(|| self.clone(), Choice::Drawn)
    }
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
                let Some(choice) = rule.choice(processed) else { continue };
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

struct PromptLookup {
    longest: usize,
}

impl PromptLookup {
    /// What followed the latest place, but for the end, of as many of the last ids as were there.
    fn look_up(&self, ids: &[u32], most: usize) -> Vec<u32> {
        for n in (1..=self.longest.min(ids.len().saturating_sub(1))).rev() {
            let (last, before) = (&ids[ids.len() - n..], &ids[..ids.len() - 1]);
            if let Some(at) = before.windows(n).rposition(|ngram| ngram == last) {
                let follows = &ids[at + n..];
                return follows[..most.min(follows.len())].to_vec();
            }
        }
        Vec::new()
    }
}

impl Proposer for PromptLookup {
    fn propose(
        &mut self,
        requests: &[Request<'_>],
        _: &mut Processor<'_>,
        _: &Rule<'_>,
    ) -> Result<Vec<Proposal>, DecodeError> {
        let propose = |request: &Request<'_>| Proposal {
            ids: self.look_up(request.place.ids, request.most),
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
        let lookup = PromptLookup { longest: 3 };
        assert_eq!(lookup.look_up(&[1, 2, 3, 4, 9, 3, 5, 1, 2, 3], 2), [4, 9]);
        assert_eq!(lookup.look_up(&[7, 3, 4, 3, 5, 9, 3], 8), [5, 9, 3], "the latest place");
        assert_eq!(lookup.look_up(&[1, 1, 1], 4), [1]);
        assert!(lookup.look_up(&[1, 2, 3], 4).is_empty() && lookup.look_up(&[1], 4).is_empty());
    }

    /// Whatever both are, what is kept or drawn instead has the model's distribution, to the last digits.
    #[test]
    fn kept_or_drawn_instead_is_the_models_distribution() {
        let values = [f32::NEG_INFINITY, -1.0, 0.5, 2.0];
        let all: Vec<Vec<f32>> =
            (0..64).map(|n| [n % 4, n / 4 % 4, n / 16].map(|at| values[at]).to_vec()).collect();
        let choices = || all.iter().filter_map(|logits| Distribution::from_logits(logits)).map(Choice::Drawn);
        for p in choices() {
            for q in choices() {
                let kept = |id: u32| q.prob(id) * p.keep_probability(id, Some(&q)).min(1.0);
                let refused =
                    1.0 - (0..3).map(|id| if q.prob(id) > 0.0 { kept(id) } else { 0.0 }).sum::<f64>();
                for id in 0..3 {
                    let kept = if q.prob(id) > 0.0 { kept(id) } else { 0.0 };
                    let instead =
                        if refused > 1e-12 { refused * p.without(id, Some(&q)).prob(id) } else { 0.0 };
                    assert!((kept + instead - p.prob(id)).abs() < 1e-12);
                }
            }
            for certain in 0..3 {
                let refused = 1.0 - p.prob(certain);
                for id in 0..3 {
                    let kept = if id == certain { p.keep_probability(id, None) } else { 0.0 };
                    let instead =
                        if refused > 1e-12 { refused * p.without(certain, None).prob(id) } else { 0.0 };
                    assert!((kept + instead - p.prob(id)).abs() < 1e-12);
                }
            }
        }
    }
}
