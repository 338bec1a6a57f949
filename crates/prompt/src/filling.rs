//! From text to ids: an input in a template with each of the answers, demonstrations in front, cut so that all of it fits. The text is
//! encoded whole, and which tokens are the answer's is seen afterwards.

use crate::cutting::Cutting;
use crate::error::{PromptError, Whose};
use crate::prompt::Prompt;
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
        self.ask_of(Whose::Input(input), fields, demonstrations)
    }

    /// The same of no input: all fields hold `text`, which says nothing.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn ask_without_content(
        &self,
        text: &'static str,
        demonstrations: &[String],
    ) -> Result<Asked, PromptError> {
        let names = self.template.fields();
        let fields = names.iter().map(|name| ((*name).to_owned(), text.to_owned())).collect();
        self.ask_of(Whose::ContentFree(text), &fields, demonstrations)
    }

    fn ask_of(&self, whose: Whose, fields: &Fields, demonstrations: &[String]) -> Result<Asked, PromptError> {
        let count = demonstrations.len();
        let asked = |candidates, demonstrations, trimmed| Asked {
            question: Question::compare(candidates),
            demonstrations,
            trimmed,
        };
        let all = self.candidates(whose, fields, demonstrations)?;
        if longest(&all) <= self.most {
            return Ok(asked(all, count, false));
        }
        // As many of the last demonstrations as there is room for.
        let (mut fits, mut least, mut too_many) = (None, 0, count);
        while least < too_many {
            let middle = least.midpoint(too_many);
            let candidates = self.candidates(whose, fields, &demonstrations[count - middle..])?;
            match longest(&candidates) <= self.most {
                true => (fits, least) = (Some(asked(candidates, middle, false)), middle + 1),
                false => too_many = middle,
            }
        }
        match fits {
            Some(asked) => Ok(asked),
            None => Ok(asked(self.cut(whose, fields)?, 0, true)),
        }
    }

    /// An input with the answer that its label is written with.
    pub fn demonstration(&self, fields: &Fields, label: usize) -> String {
        self.template.fill(fields, self.prompt.verbalizer.example(label)).text
    }

    fn candidates(
        &self,
        whose: Whose,
        fields: &Fields,
        shots: &[String],
    ) -> Result<Vec<Candidate>, PromptError> {
        let separator = &self.prompt.separator;
        let before: String = shots.iter().flat_map(|shot| [shot.as_str(), separator.as_str()]).collect();
        let candidate = |answer: &str| {
            let filled = self.template.fill(fields, answer);
            if filled.answers.is_empty() {
                return Err(PromptError::NoBlank { whose });
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

    /// The candidates with fields cut so that they fit, and no more than that needs.
    fn cut(&self, whose: Whose, fields: &Fields) -> Result<Vec<Candidate>, PromptError> {
        let groups: Vec<Vec<&str>> = match &self.prompt.trim {
            Some(order) => order.iter().map(|name| vec![name.as_str()]).collect(),
            None => vec![self.template.shown_fields()],
        };
        let mut shortest = usize::MAX;
        // A condition may take the blank away with the last of a field: no text is cut so far.
        let mut attempt = |fields: &Fields| match self.candidates(whose, fields, &[]) {
            Err(PromptError::NoBlank { .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(candidates) => {
                shortest = shortest.min(longest(&candidates));
                Ok(Some(candidates))
            }
        };
        let mut fields = fields.clone();
        for group in groups {
            let cutting = Cutting::new(&group, &fields, self.tokenizer, self.prompt.trim_end);
            let (mut fits, mut least, mut too_many) = (None, 0, cutting.steps());
            while least < too_many {
                let middle = least.midpoint(too_many);
                match attempt(&cutting.left(&fields, middle))? {
                    Some(candidates) if longest(&candidates) > self.most => too_many = middle,
                    candidates => (fits, least) = (candidates.or(fits), middle + 1),
                }
            }
            if let Some(candidates) = fits {
                return Ok(candidates);
            }
            let nothing = cutting.left(&fields, 0);
            fields = match attempt(&nothing)? {
                Some(_) => nothing,
                None => cutting.left(&fields, 1),
            };
        }
        let tokens = match shortest {
            usize::MAX => longest(&self.candidates(whose, &fields, &[])?),
            tokens => tokens,
        };
        let trims = self.prompt.trim.as_ref().is_none_or(|order| !order.is_empty());
        Err(PromptError::TooLong { whose, tokens, most: self.most, trims })
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
