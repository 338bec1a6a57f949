//! Encoder–decoders: the encoder reads the text with a sentinel for each answer, and what the decoder would write for it is scored.

use super::{Causal, NOTHING, Place, Scorer, SpecialIds, check, longest_first, positions_at_once};
use crate::error::ScoreError;
use crate::question::{Candidate, Question, Score};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_decode::EncoderDecoderModel;
use firebrand_transformer::{EncoderDecoder, Model};
use std::collections::BTreeMap;

/// About so many ids go through encoder and decoder at once.
const TOGETHER: usize = 4096;

/// What the encoder reads where nothing of a text is known, and what the decoder has written before the text: one blank
/// (`<extra_id_0>`, or `[MASK]`; after `[S]` where the model knows modes), or nothing but an end of text where it knows none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// What the encoder reads.
    pub input: Vec<u32>,
    /// What the decoder begins with.
    pub begin: Vec<u32>,
}

impl Given {
    /// What a model with these tokens is given.
    ///
    /// # Errors
    /// When nothing says what the decoder begins with.
    pub(super) fn new(special: &SpecialIds) -> Result<Self, ScoreError> {
        let start = start(special)?;
        let sentinel = special.sentinels.first().copied();
        let blank = sentinel.or(special.mask);
        let input: Vec<u32> = special.text_mode.into_iter().chain(blank).chain(special.end_of_text).collect();
        // Without a tokenizer there is no end of text: then what the decoder begins with is all that is read.
        let input = if input.is_empty() { vec![start] } else { input };
        Ok(Self { input, begin: [start].into_iter().chain(sentinel).collect() })
    }
}

fn start(special: &SpecialIds) -> Result<u32, ScoreError> {
    special.decoder_start.or(special.end_of_text).ok_or(ScoreError::NoToken {
        token: "end of text",
        reason: "nothing says what the decoder begins with, no decoder_start_token_id in config.json either",
    })
}

/// A scorer for encoder–decoders.
pub(super) struct SpanScorer<'a> {
    model: &'a EncoderDecoder,
    special: SpecialIds,
    start: u32,
}

/// What the encoder reads and the decoder writes, so that a candidate is scored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    input: Vec<u32>,
    /// With what it begins with.
    written: Vec<u32>,
    /// Scoring starts behind so many of these.
    given: usize,
}

/// A task, and which candidate of which question it is for.
struct Wanted {
    question: usize,
    candidate: usize,
    task: Task,
}

impl<'a> SpanScorer<'a> {
    pub(super) fn new(model: &'a EncoderDecoder, special: &SpecialIds) -> Result<Self, ScoreError> {
        Ok(Self { model, special: special.clone(), start: start(special)? })
    }

    /// The text with a token in the place of each answer, as the encoder reads it.
    fn input(&self, candidate: &Candidate) -> Result<Vec<u32>, ScoreError> {
        let (sentinels, blanks) = (&self.special.sentinels, candidate.answers.len());
        let blank = |number: usize| match (sentinels.is_empty(), self.special.mask) {
            (false, _) => {
                sentinels.get(number).copied().ok_or(ScoreError::Blanks { blanks, most: sentinels.len() })
            }
            (true, Some(mask)) => Ok(mask),
            (true, None) => Err(ScoreError::NoToken {
                token: "<extra_id_0> or [MASK]",
                reason: "one of them stands for a blank in what the encoder reads",
            }),
        };
        let mut input: Vec<u32> = self.special.spans_mode.into_iter().collect();
        let mut done = 0;
        for (number, answer) in candidate.answers.iter().enumerate() {
            input.extend(&candidate.ids[done..answer.start]);
            input.push(blank(number)?);
            done = answer.end;
        }
        input.extend(&candidate.ids[done..]);
        input.extend(self.special.end_of_text);
        Ok(input)
    }

    /// The spans as the decoder writes them.
    fn spans(&self, candidate: &Candidate) -> Vec<u32> {
        let mut written = vec![self.start];
        for (answer, &sentinel) in candidate.answers.iter().zip(&self.special.sentinels) {
            written.push(sentinel);
            written.extend(&candidate.ids[answer.clone()]);
        }
        written.extend(self.special.end_of_text);
        written
    }

    /// Whether the decoder writes spans, not whole texts.
    fn writes_spans(&self) -> bool {
        !self.special.sentinels.is_empty()
    }

    fn task(&self, question: &Question, candidate: &Candidate) -> Result<Task, ScoreError> {
        if candidate.answers.is_empty() {
            let Given { input, begin } = Given::new(&self.special)?;
            let given = begin.len() + question.given;
            return Ok(Task { input, written: [begin.as_slice(), &candidate.ids].concat(), given });
        }
        let input = self.input(candidate)?;
        if self.writes_spans() {
            // The first sentinel is known beforehand: it says nothing of the answer.
            return Ok(Task { input, written: self.spans(candidate), given: 2 });
        }
        let written = [self.start].into_iter().chain(candidate.ids.iter().copied());
        let written = written.chain(self.special.end_of_text).collect();
        Ok(Task { input, written, given: 1 + question.given })
    }

    /// Whole texts share their beginnings: those of a question are a tree, which the decoder walks; questions are rows beside each other.
    fn in_trees(&self, input: &[u32], tasks: &[&[Wanted]]) -> Result<Vec<Vec<Score>>, ScoreError> {
        let question = |wanted: &&[Wanted]| Question {
            candidates: wanted
                .iter()
                .map(|wanted| Candidate { ids: wanted.task.written.clone(), answers: Vec::new() })
                .collect(),
            given: wanted[0].task.given,
            given_behind: 0,
            begins: false,
            goes_on: false,
        };
        let questions: Vec<Question> = tasks.iter().map(question).collect();
        Causal::new(EncoderDecoderModel::new(self.model, input), None).score(&questions, &mut |_| {})
    }

    /// Spans are short: those of many inputs are written beside each other, each to its own input, which is read once.
    fn beside(&self, inputs: &[&[u32]], tasks: &[(usize, &Task)]) -> Result<Vec<Score>, ScoreError> {
        let lens: Vec<usize> = inputs.iter().map(|input| input.len()).collect();
        let encoded = self.model.encode(self.padded(inputs), &lens, None);
        let of_tasks: Vec<usize> = tasks.iter().map(|&(input, _)| input).collect();
        let read: Vec<&[u32]> =
            tasks.iter().map(|(_, task)| &task.written[..task.written.len() - 1]).collect();
        let lens: Vec<usize> = read.iter().map(|ids| ids.len()).collect();
        let hidden = self.model.hidden(&encoded.select(&of_tasks), self.padded(&read), &lens, None);
        let [rows, seq, d_model] = hidden.dims();
        let places = tasks.iter().enumerate().flat_map(|(row, (_, task))| {
            (task.given - 1..task.written.len() - 1).map(move |at| (row * seq + at) as i32)
        });
        let places: Vec<i32> = places.collect();
        let count = places.len();
        let places = Tensor::<1, Int>::from_data(TensorData::new(places, [count]), &self.model.device());
        let logits = self.model.logits(hidden.reshape([rows * seq, d_model]).select(0, places));
        let logits: Vec<f32> =
            logits.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now");
        let mut logits = logits.chunks_exact(self.model.config().vocab_size);
        let mut scores = Vec::with_capacity(tasks.len());
        for (_, task) in tasks {
            let mut score = NOTHING;
            for (&id, logits) in task.written[task.given..].iter().zip(logits.by_ref()) {
                Place::new(logits)?.add(id, &mut score);
            }
            scores.push(score);
        }
        Ok(scores)
    }

    /// `[rows, longest]`
    fn padded(&self, rows: &[&[u32]]) -> Tensor<2, Int> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let id = |row: &[u32], at: usize| row.get(at).map_or(0, |&id| id as i32);
        let ids: Vec<i32> = rows.iter().flat_map(|row| (0..longest).map(move |at| id(row, at))).collect();
        Tensor::from_data(TensorData::new(ids, [rows.len(), longest]), &self.model.device())
    }
}

impl Scorer for SpanScorer<'_> {
    fn most_ids(&self, _begins: bool) -> usize {
        // A mode and an end of text stand around what is read; before and behind what is written a start, a sentinel, and an end.
        self.model.config().seq_len.saturating_sub(2)
    }

    fn score(
        &self,
        questions: &[Question],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Score>>, ScoreError> {
        let vocab_size = self.model.config().vocab_size;
        check(questions, vocab_size, |begins| self.most_ids(begins), |_| 1)?;
        let mut all = vec![Vec::new(); questions.len()];
        let order = longest_first(questions);
        let mut rest = order.as_slice();
        while let Some(&longest) = rest.first() {
            let rows = TOGETHER / questions[longest].longest().max(1);
            let branches = questions[longest].candidates.len().max(1);
            let rows = rows.min(positions_at_once(vocab_size) / (8 * branches));
            let (now, later) = rest.split_at(rows.clamp(1, rest.len()));
            self.batch(questions, now, &mut all)?;
            progress(now.len());
            rest = later;
        }
        Ok(all)
    }
}

impl SpanScorer<'_> {
    fn batch(&self, questions: &[Question], now: &[usize], all: &mut [Vec<Score>]) -> Result<(), ScoreError> {
        // Each input once, with who wants it read.
        let mut inputs: BTreeMap<Vec<u32>, Vec<Wanted>> = BTreeMap::new();
        for &number in now {
            let question = &questions[number];
            all[number] = vec![NOTHING; question.candidates.len()];
            for (index, candidate) in question.candidates.iter().enumerate() {
                let task = self.task(question, candidate)?;
                let wanted = Wanted { question: number, candidate: index, task };
                inputs.entry(wanted.task.input.clone()).or_default().push(wanted);
            }
        }
        let is_span = |wanted: &Wanted| {
            let candidate = &questions[wanted.question].candidates[wanted.candidate];
            self.writes_spans() && !candidate.answers.is_empty()
        };
        // Spans are written beside each other, each to its input.
        let (mut spans, mut read): (Vec<(usize, &Wanted)>, Vec<&[u32]>) = (Vec::new(), Vec::new());
        for (input, wanted) in &inputs {
            if wanted.iter().all(is_span) {
                spans.extend(wanted.iter().map(|wanted| (read.len(), wanted)));
                read.push(input);
                continue;
            }
            let of_questions: Vec<&[Wanted]> = wanted.chunk_by(|a, b| a.question == b.question).collect();
            for (wanted, scores) in of_questions.iter().zip(self.in_trees(input, &of_questions)?) {
                for (wanted, score) in wanted.iter().zip(scores) {
                    all[wanted.question][wanted.candidate] = score;
                }
            }
        }
        if !spans.is_empty() {
            let tasks: Vec<(usize, &Task)> =
                spans.iter().map(|(input, wanted)| (*input, &wanted.task)).collect();
            for ((_, wanted), score) in spans.iter().zip(self.beside(&read, &tasks)?) {
                all[wanted.question][wanted.candidate] = score;
            }
        }
        Ok(())
    }
}
