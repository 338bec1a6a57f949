//! What is asked of a model, as ids: texts, of which one wants to know how probable they are.

use std::ops::Range;

/// One text as ids, without what a model expects around a text, which is the scorer's to add.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Candidate {
    /// The text.
    pub ids: Vec<u32>,
    /// Which tokens the answer is, wherever it stands; of models that look at a text as a whole these are hidden and predicted. Without
    /// any, the whole text is what is asked for.
    pub answers: Vec<Range<usize>>,
}

/// Texts to be compared, or a single one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The texts.
    pub candidates: Vec<Candidate>,
    /// So many ids in front are the same in all candidates, and are not scored.
    pub given: usize,
    /// So many ids at the end are the same in all candidates, and are not scored by who reads from the end.
    pub given_behind: usize,
    /// Whether the texts begin: then an end of text stands in front of them, where the model knows one.
    pub begins: bool,
    /// Whether it is asked how a text goes on: who reads both ways reads it from the front alone then, as what it makes of the context from
    /// the end is not asked for.
    pub goes_on: bool,
}

/// What a model says of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// `log P` of what was scored, in nats.
    pub log_prob: f64,
    /// How many tokens were scored.
    pub tokens: usize,
    /// Whether each of them was the likeliest one at its place.
    pub greedy: bool,
}

impl Question {
    /// Asks which of some texts is more probable. What they have in common in front is skipped, and at the end by who reads from there:
    /// it adds the same to all. Of each text a token is left, also where one text is the beginning of another.
    pub fn compare(candidates: Vec<Candidate>) -> Self {
        let shortest = candidates.iter().map(|candidate| candidate.ids.len()).min().unwrap_or(0);
        let most = shortest.saturating_sub(1);
        let common = |at: &dyn Fn(&[u32], usize) -> u32| {
            let first = candidates.first().map_or(&[][..], |first| &first.ids);
            let same = |&i: &usize| candidates.iter().all(|other| at(&other.ids, i) == at(first, i));
            (0..most).take_while(same).count()
        };
        let (given, given_behind) = match candidates.len() {
            // One text has all of it in common with itself.
            0 | 1 => (0, 0),
            _ => (common(&|ids, i| ids[i]), common(&|ids, i| ids[ids.len() - 1 - i])),
        };
        Self { candidates, given, given_behind, begins: true, goes_on: false }
    }

    /// Asks how probable a text is, all of it.
    pub fn whole(ids: Vec<u32>) -> Self {
        let candidate = Candidate { ids, answers: Vec::new() };
        Self { candidates: vec![candidate], given: 0, given_behind: 0, begins: true, goes_on: false }
    }

    /// Asks how probable it is that `ids` follow `context`.
    pub fn continued(context: &[u32], ids: &[u32]) -> Self {
        let all = [context, ids].concat();
        let answer = context.len()..all.len();
        let candidate = Candidate { ids: all, answers: vec![answer] };
        let given = context.len();
        Self { candidates: vec![candidate], given, given_behind: 0, begins: true, goes_on: true }
    }

    /// The same of the texts from their ends.
    pub(crate) fn reversed(&self) -> Self {
        let reversed = |candidate: &Candidate| {
            let len = candidate.ids.len();
            let answers =
                candidate.answers.iter().rev().map(|answer| len - answer.end..len - answer.start).collect();
            Candidate { ids: candidate.ids.iter().rev().copied().collect(), answers }
        };
        Self {
            candidates: self.candidates.iter().map(reversed).collect(),
            given: self.given_behind,
            given_behind: self.given,
            begins: self.begins,
            goes_on: self.goes_on,
        }
    }

    /// The longest candidate's number of ids.
    pub fn longest(&self) -> usize {
        self.candidates.iter().map(|candidate| candidate.ids.len()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(texts: &[&[u32]]) -> Vec<Candidate> {
        texts.iter().map(|ids| Candidate { ids: ids.to_vec(), answers: vec![] }).collect()
    }

    #[test]
    fn what_texts_have_in_common_is_given_from_both_sides() {
        let question = Question::compare(candidates(&[&[1, 2, 3, 9, 8], &[1, 2, 4, 5, 9, 8]]));
        assert_eq!((question.given, question.given_behind), (2, 2));
        let reversed = question.reversed();
        assert_eq!((reversed.given, reversed.candidates[0].ids.as_slice()), (2, &[8, 9, 3, 2, 1][..]));
        assert_eq!(reversed.reversed(), question);
    }

    #[test]
    fn each_text_keeps_a_token_to_be_scored() {
        assert_eq!(Question::compare(candidates(&[&[1, 2], &[1, 2, 3]])).given, 1);
        assert_eq!(Question::compare(candidates(&[&[1, 2], &[1, 2]])).given, 1);
        assert_eq!(Question::compare(candidates(&[&[1, 2, 3]])).given, 0, "one text is scored as a whole");
    }

    #[test]
    fn answers_are_found_again_from_the_end() {
        let candidate = Candidate { ids: vec![5, 6, 7, 8], answers: vec![0..1, 2..4] };
        let question = Question { given: 0, ..Question::compare(vec![candidate]) };
        assert_eq!(question.reversed().candidates[0].answers, [0..2, 3..4]);
    }
}
