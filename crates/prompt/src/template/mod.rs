//! Templates: a text with fields and blanks, such as `{text} It was [Z].`
//!
//! - `{name}` is what the field of that name holds; `[Z]` is a blank, where answers stand. There is at least one, anywhere.
//! - `{if name} … {else} … {end}` keeps one part or the other: the first where the field is not empty. Also `{if not name}`,
//!   `{if name = "value"}` and `{if name != "value"}`; `{else} …` may be left out; they may stand inside each other.
//! - `{{` and `}}` are braces.
//!
//! What fields hold is text and nothing else: braces and `[Z]` in it mean nothing.

mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The fields of an input, by name.
pub type Fields = BTreeMap<String, String>;

/// How a blank is written.
pub const BLANK: &str = "[Z]";

/// A text with fields and blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
    Blank,
    If { condition: Condition, then: Vec<Part>, otherwise: Vec<Part> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    field: String,
    /// What it is compared with; else whether there is anything.
    value: Option<String>,
    negated: bool,
}

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}\n  {shown}\n  {}^", caret(.column))]
pub struct TemplateError {
    /// The line, from 1.
    pub line: usize,
    /// The character of the line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
    /// The line.
    pub shown: String,
}

/// What stands before a sign below a column.
fn caret(column: &usize) -> String {
    " ".repeat(column - 1)
}

/// A filled template.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Filled {
    /// The text.
    pub text: String,
    /// Where in it the answer stands, in bytes.
    pub answers: Vec<Range<usize>>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong, with its line and column.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        Ok(Self { source: source.to_owned(), parts: parse::parts(source)? })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names of all fields that it speaks of.
    pub fn fields(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        let mut rest: Vec<&Part> = self.parts.iter().collect();
        while let Some(part) = rest.pop() {
            match part {
                Part::Field(name) => {
                    names.insert(name.as_str());
                }
                Part::If { condition, then, otherwise } => {
                    names.insert(&condition.field);
                    rest.extend(then.iter().chain(otherwise));
                }
                Part::Text(_) | Part::Blank => {}
            }
        }
        names
    }

    /// The names of the fields that it shows, in their order, each once; those that only a condition speaks of are not among them.
    pub fn shown_fields(&self) -> Vec<&str> {
        fn add<'a>(parts: &'a [Part], names: &mut Vec<&'a str>) {
            for part in parts {
                match part {
                    Part::Field(name) if !names.contains(&name.as_str()) => names.push(name),
                    Part::If { then, otherwise, .. } => {
                        add(then, names);
                        add(otherwise, names);
                    }
                    Part::Field(_) | Part::Text(_) | Part::Blank => {}
                }
            }
        }
        let mut names = Vec::new();
        add(&self.parts, &mut names);
        names
    }

    /// The text with fields and an answer in their places. A field that is not there is empty. Where the conditions leave no blank, no
    /// answer is in it.
    pub fn fill(&self, fields: &Fields, answer: &str) -> Filled {
        let mut filled = Filled::default();
        add(&self.parts, fields, answer, &mut filled);
        filled
    }
}

impl Filled {
    /// This text behind another.
    #[must_use]
    pub fn behind(mut self, text: &str) -> Self {
        self.text.insert_str(0, text);
        self.answers
            .iter_mut()
            .for_each(|answer| *answer = answer.start + text.len()..answer.end + text.len());
        self
    }
}

fn add(parts: &[Part], fields: &Fields, answer: &str, filled: &mut Filled) {
    let value = |name: &str| fields.get(name).map_or("", String::as_str);
    for part in parts {
        match part {
            Part::Text(text) => filled.text.push_str(text),
            Part::Field(name) => filled.text.push_str(value(name)),
            Part::Blank => {
                let start = filled.text.len();
                filled.text.push_str(answer);
                filled.answers.push(start..filled.text.len());
            }
            Part::If { condition, then, otherwise } => {
                let Condition { field, value: wanted, negated } = condition;
                let holds = match wanted {
                    Some(wanted) => value(field) == wanted,
                    None => !value(field).is_empty(),
                };
                add(if holds == *negated { otherwise } else { then }, fields, answer, filled);
            }
        }
    }
}

#[cfg(test)]
mod tests;
