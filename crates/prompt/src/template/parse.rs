//! The parser of templates. It keeps its own stack, which has an end: no template makes it run long or deep.

use super::{BLANK, Condition, Part, TemplateError};

/// Conditions inside of each other.
const DEEPEST: usize = 16;

/// A condition whose end was not reached yet.
struct Open {
    condition: Condition,
    /// Where it stands.
    at: usize,
    then: Vec<Part>,
    otherwise: Option<Vec<Part>>,
}

struct Parser<'a> {
    source: &'a str,
    /// What stands outside of conditions.
    parts: Vec<Part>,
    open: Vec<Open>,
    blanks: usize,
}

/// The parts of a template.
pub(super) fn parts(source: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parser = Parser { source, parts: Vec::new(), open: Vec::new(), blanks: 0 };
    let mut at = 0;
    while at < source.len() {
        at = parser.step(at)?;
    }
    if let Some(open) = parser.open.last() {
        return Err(parser.error(open.at, "this condition has no {end}"));
    }
    if parser.blanks == 0 {
        return Err(parser
            .error(source.len(), format!("there is no blank: write {BLANK} where the answer is to stand")));
    }
    Ok(parser.parts)
}

impl Parser<'_> {
    /// Reads what stands at a byte, and returns where it ends.
    fn step(&mut self, at: usize) -> Result<usize, TemplateError> {
        let rest = &self.source[at..];
        if rest.starts_with(BLANK) {
            self.blanks += 1;
            self.push(Part::Blank);
            return Ok(at + BLANK.len());
        }
        for (written, brace) in [("{{", "{"), ("}}", "}")] {
            if rest.starts_with(written) {
                self.text(brace);
                return Ok(at + written.len());
            }
        }
        if rest.starts_with('}') {
            return Err(self.error(at, "this } closes nothing: a brace in the text is written }}"));
        }
        if rest.starts_with('{') {
            let Some(end) = rest.find(['}', '\n']).filter(|&end| rest[end..].starts_with('}')) else {
                return Err(self.error(at, "this { has no } on its line: a brace in the text is written {{"));
            };
            self.braces(at, rest[1..end].trim())?;
            return Ok(at + end + 1);
        }
        // Up to what may mean something; a bracket that is no blank is text.
        let mut later = rest.char_indices().skip(1);
        let end = later.find(|(_, c)| matches!(c, '{' | '}' | '[')).map_or(rest.len(), |(end, _)| end);
        self.text(&rest[..end]);
        Ok(at + end)
    }

    /// What stands between braces, the first of which is at `at`.
    fn braces(&mut self, at: usize, inside: &str) -> Result<(), TemplateError> {
        if inside.is_empty() {
            return Err(self.error(at, "these braces are empty: write the name of a field between them"));
        }
        let (word, rest) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        match word {
            "if" => self.begin(at, rest.trim()),
            "else" | "end" if !rest.is_empty() => {
                Err(self.error(at, format!("nothing stands behind `{word}` in its braces")))
            }
            "else" => match self.open.last_mut() {
                None => Err(self.error(at, "this {else} is in no condition")),
                Some(Open { otherwise: Some(_), .. }) => Err(self.error(at, "a condition has one {else}")),
                Some(open) => {
                    open.otherwise = Some(Vec::new());
                    Ok(())
                }
            },
            "end" => match self.open.pop() {
                None => Err(self.error(at, "this {end} ends no condition")),
                Some(Open { condition, then, otherwise, .. }) => {
                    let otherwise = otherwise.unwrap_or_default();
                    self.push(Part::If { condition, then, otherwise });
                    Ok(())
                }
            },
            _ => {
                let name = self.name(at, inside)?;
                self.push(Part::Field(name));
                Ok(())
            }
        }
    }

    /// `name`, `not name`, `name = "value"`, `name != "value"`.
    fn begin(&mut self, at: usize, condition: &str) -> Result<(), TemplateError> {
        if self.open.len() == DEEPEST {
            return Err(self.error(at, format!("more than {DEEPEST} conditions inside of each other")));
        }
        let condition = match condition.split_once('=') {
            Some((name, value)) => {
                let (name, negated) = match name.trim_end().strip_suffix('!') {
                    Some(name) => (name, true),
                    None => (name, false),
                };
                let value = value.trim();
                let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                let Some(value) = quoted else {
                    return Err(self
                        .error(at, "what a field is compared with stands in quotes: {if name = \"value\"}"));
                };
                Condition { field: self.name(at, name.trim())?, value: Some(value.to_owned()), negated }
            }
            None => {
                let (name, negated) = match condition.strip_prefix("not ") {
                    Some(name) => (name.trim(), true),
                    None => (condition, false),
                };
                Condition { field: self.name(at, name)?, value: None, negated }
            }
        };
        self.open.push(Open { condition, at, then: Vec::new(), otherwise: None });
        Ok(())
    }

    fn name(&self, at: usize, name: &str) -> Result<String, TemplateError> {
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        match name {
            "" | "if" | "else" | "end" | "not" => {
                Err(self.error(at, "the name of a field is missing, and if, else, end and not are none"))
            }
            _ if name.chars().all(is_name) => Ok(name.to_owned()),
            _ => Err(self.error(
                at,
                format!("`{name}` is no name of a field: these are of letters, digits, _, - and .; a brace in the text is written {{{{"),
            )),
        }
    }

    fn into(&mut self) -> &mut Vec<Part> {
        match self.open.last_mut() {
            None => &mut self.parts,
            Some(Open { then, otherwise, .. }) => otherwise.as_mut().unwrap_or(then),
        }
    }

    fn push(&mut self, part: Part) {
        self.into().push(part);
    }

    fn text(&mut self, text: &str) {
        match self.into().last_mut() {
            Some(Part::Text(before)) => before.push_str(text),
            _ => self.push(Part::Text(text.to_owned())),
        }
    }

    fn error(&self, at: usize, message: impl Into<String>) -> TemplateError {
        let before = &self.source[..at];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        TemplateError {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            message: message.into(),
            shown: self.source[start..].lines().next().unwrap_or_default().to_owned(),
        }
    }
}
