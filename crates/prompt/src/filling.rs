//! From text to ids: an input in a template with each of the answers, demonstrations in front, cut so that all of it fits. The text is
//! encoded whole, and which tokens are the answer's is seen afterwards.

use crate::error::PromptError;
use crate::prompt::{Prompt, TrimEnd};
use crate::question::{Candidate, Question};
use crate::template::{Fields, Filled, Template};
use firebrand_tokenizer::Tokenizer;
use std::collections::BTreeMap;
use std::ops::Range;

/// What inputs are filled into.
#[derive(Clone, Copy)]
pub struct Filling<'a> {
    /// Where the answers come from, and what may be cut.
    pub prompt: &'a Prompt,
    /// One of its templates.
    pub template: &'a Template,
    /// What makes ids of text.
    pub tokenizer: &'a Tokenizer,
    /// The most ids of a text.
    pub most: usize,
}

/// An input as a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The candidates are the answers, in their order.
    pub question: Question,
    /// So many demonstrations are in it; the first ones are left out where there is no room for all.
    pub demonstrations: usize,
    /// Whether fields were cut.
    pub trimmed: bool,
}

impl Filling<'_> {
    /// The question that an input comes to, behind filled demonstrations. `input` is its number, from 0.
    ///
    /// # Errors
    /// An answer that is no token; a text that is too long with everything cut that may be.
    pub fn ask(
        &self,
        input: usize,
        fields: &Fields,
        demonstrations: &[String],
    ) -> Result<Asked, PromptError> {
        let mut fields = fields.clone();
        let mut shots = demonstrations;
        loop {
            let candidates = self.candidates(input, &fields, shots)?;
            let longest = longest(&candidates);
            if longest <= self.most {
                let asked = Asked {
                    question: Question::compare(candidates),
                    demonstrations: shots.len(),
                    trimmed: false,
                };
                return Ok(asked);
            }
            if shots.is_empty() {
                break;
            }
            // A demonstration less, or several if they are far too long.
            let share = longest.saturating_sub(self.most) * demonstrations.len() / longest;
            shots = &shots[share.clamp(1, shots.len())..];
        }
        let trims = self.cut(input, &mut fields)?;
        let candidates = self.candidates(input, &fields, &[])?;
        match longest(&candidates) {
            tokens if tokens > self.most => {
                Err(PromptError::TooLong { input: input + 1, tokens, most: self.most, trims })
            }
            _ => Ok(Asked { question: Question::compare(candidates), demonstrations: 0, trimmed: true }),
        }
    }

    /// An input with the answer that its label is written with.
    pub fn demonstration(&self, fields: &Fields, label: usize) -> String {
        self.template.fill(fields, self.prompt.verbalizer.example(label)).text
    }

    fn candidates(
        &self,
        input: usize,
        fields: &Fields,
        shots: &[String],
    ) -> Result<Vec<Candidate>, PromptError> {
        let separator = &self.prompt.separator;
        let before: String = shots.iter().flat_map(|shot| [shot.as_str(), separator.as_str()]).collect();
        let candidate = |answer: &str| {
            let filled = self.template.fill(fields, answer);
            if filled.answers.is_empty() {
                return Err(PromptError::NoBlank { input: input + 1 });
            }
            let filled = filled.behind(&before);
            encode(self.tokenizer, &filled)
                .ok_or_else(|| PromptError::NoTokens { answer: answer.to_owned(), text: filled.text })
        };
        let answers = self.prompt.verbalizer.answers();
        let candidates: Vec<Candidate> =
            answers.iter().map(|answer| candidate(&answer.text)).collect::<Result<_, _>>()?;
        let mut seen: BTreeMap<&[u32], &str> = BTreeMap::new();
        for (candidate, answer) in candidates.iter().zip(answers) {
            if let Some(other) = seen.insert(&candidate.ids, &answer.text) {
                return Err(PromptError::SameTokens(other.to_owned(), answer.text.clone()));
            }
        }
        Ok(candidates)
    }

    /// Cuts fields until the text fits, or nothing is left to cut; says whether there was anything that may be.
    fn cut(&self, input: usize, fields: &mut Fields) -> Result<bool, PromptError> {
        let mut order: Vec<String> = match &self.prompt.trim {
            Some(order) => order.clone(),
            None => {
                let mut names: Vec<String> = self.template.fields().into_iter().map(str::to_owned).collect();
                names.sort_by_key(|name| std::cmp::Reverse(fields.get(name).map_or(0, String::len)));
                names
            }
        };
        order.retain(|name| fields.get(name).is_some_and(|value| !value.is_empty()));
        for name in &order {
            let whole = fields[name].clone();
            let places: Vec<usize> = whole.char_indices().map(|(at, _)| at).collect();
            // How many characters may stay: the most with which it fits.
            let (mut fits, mut too_many) = (0, places.len());
            while fits + 1 < too_many {
                let middle = fits.midpoint(too_many);
                fields.insert(name.clone(), kept(&whole, &places, middle, self.prompt.trim_end).to_owned());
                match longest(&self.candidates(input, fields, &[])?) <= self.most {
                    true => fits = middle,
                    false => too_many = middle,
                }
            }
            fields.insert(name.clone(), kept(&whole, &places, fits, self.prompt.trim_end).to_owned());
            if longest(&self.candidates(input, fields, &[])?) <= self.most {
                break;
            }
        }
        Ok(!order.is_empty())
    }
}

/// At most `count` characters of a text, and whole words if there are any among them.
fn kept<'a>(text: &'a str, places: &[usize], count: usize, end: TrimEnd) -> &'a str {
    match end {
        TrimEnd::Last => {
            let part = &text[..places.get(count).copied().unwrap_or(text.len())];
            let is_whole = text[part.len()..].starts_with(char::is_whitespace) || part.len() == text.len();
            let words =
                part.rfind(char::is_whitespace).filter(|_| !is_whole).map_or(part, |space| &part[..space]);
            if words.trim().is_empty() { part } else { words.trim_end() }
        }
        TrimEnd::First => {
            let start = places.len().checked_sub(count).and_then(|first| places.get(first).copied());
            let part = &text[start.unwrap_or(text.len())..];
            let is_whole =
                text[..text.len() - part.len()].ends_with(char::is_whitespace) || part.len() == text.len();
            let words =
                part.find(char::is_whitespace).filter(|_| !is_whole).map_or(part, |space| &part[space..]);
            if words.trim().is_empty() { part } else { words.trim_start() }
        }
    }
}

fn longest(candidates: &[Candidate]) -> usize {
    candidates.iter().map(|candidate| candidate.ids.len()).max().unwrap_or(0)
}

/// A filled text as ids; `None` if there is no token of the answer.
pub fn encode(tokenizer: &Tokenizer, filled: &Filled) -> Option<Candidate> {
    let (ids, places) = tokenizer.encode_with_offsets(&filled.text);
    let mut answers: Vec<Range<usize>> = Vec::new();
    for answer in &filled.answers {
        // Tokens of which a byte is the answer's: the space before a word is a part of its token.
        let first = places.partition_point(|place| place.end <= answer.start);
        let count = places[first..].iter().take_while(|place| place.start < answer.end).count();
        if count == 0 {
            return None;
        }
        match answers.last_mut() {
            Some(before) if first < before.end => before.end = before.end.max(first + count),
            _ => answers.push(first..first + count),
        }
    }
    Some(Candidate { ids, answers })
}
