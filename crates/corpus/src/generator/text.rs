//! Reads the text of an alternative: literals, references in braces, groups in parentheses.

use super::GrammarError;
use super::source::{Place, identifier, positive};

/// A part of an alternative's text.
pub(super) enum Piece {
    /// Exactly these characters (`~` has become a space, `\n` a line break).
    Literal(String),
    /// `(a|b*3|)`: one of several texts.
    Group(Vec<(u32, Vec<Piece>)>),
    /// `{slot}`, `{rule}`, `{slot:class}`, `{:class}`.
    Reference(Reference),
    /// `{slot=value}`.
    Set {
        /// The slot.
        slot: String,
        /// Its new value.
        value: String,
    },
}

/// `{[a ]NAME[:CLASS][.COLUMN][ where COLUMN=VALUE[ and …]][ except SLOT[, …]]}`.
#[derive(Default)]
pub(super) struct Reference {
    /// `a ` was written: the text comes with its indefinite article.
    pub(super) article: bool,
    /// The first letter is made a capital: written by one in the reference.
    pub(super) capital: bool,
    /// The slot or rule; empty for a pick that is not remembered.
    pub(super) name: String,
    /// A word is picked from this class.
    pub(super) class: Option<String>,
    /// The column shown; the first one when absent.
    pub(super) column: Option<String>,
    /// Restrictions of a pick.
    pub(super) filters: Vec<Filter>,
    /// A pick is different from the words in these slots.
    pub(super) except: Vec<String>,
}

/// `COLUMN=VALUE` or `COLUMN!=VALUE`: `a/b` is one of two values, `slot.column` what another slot has.
pub(super) struct Filter {
    pub(super) column: String,
    pub(super) value: String,
    pub(super) equal: bool,
}

/// Groups and braces do not nest deeper than this, so that reading cannot overflow the stack.
const MAX_DEPTH: usize = 16;

/// Reads a whole text.
pub(super) fn pieces(text: &str, place: &Place) -> Result<Vec<Piece>, GrammarError> {
    let mut reader = Reader { rest: text, place, depth: 0 };
    let pieces = reader.sequence()?;
    match reader.rest.chars().next() {
        None => Ok(pieces),
        Some(c) => Err(place.error(format!("`{c}` without an opening `(`"))),
    }
}

struct Reader<'a> {
    rest: &'a str,
    place: &'a Place,
    depth: usize,
}

impl Reader<'_> {
    /// Reads pieces up to the end, `|` or `)`.
    fn sequence(&mut self) -> Result<Vec<Piece>, GrammarError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        while let Some(c) = self.rest.chars().next() {
            match c {
                '|' | ')' => break,
                '{' | '(' => {
                    flush(&mut literal, &mut pieces);
                    self.rest = &self.rest[1..];
                    pieces.push(if c == '{' { self.braces()? } else { self.group()? });
                }
                '}' => return Err(self.place.error("`}` without `{`")),
                '*' if self.depth > 0 => break,
                '\\' => {
                    let Some(rest) = self.rest.strip_prefix("\\n") else {
                        return Err(self.place.error("`\\` is only for `\\n`"));
                    };
                    literal.push('\n');
                    self.rest = rest;
                }
                _ => {
                    literal.push(if c == '~' { ' ' } else { c });
                    self.rest = &self.rest[c.len_utf8()..];
                }
            }
        }
        flush(&mut literal, &mut pieces);
        Ok(pieces)
    }

    /// Reads a group after its `(`.
    fn group(&mut self) -> Result<Piece, GrammarError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.place.error(format!("groups nest deeper than {MAX_DEPTH}")));
        }
        let mut choices = Vec::new();
        loop {
            let pieces = self.sequence()?;
            let mut weight = 1;
            if let Some(rest) = self.rest.strip_prefix('*') {
                let end = rest.find(['|', ')']).unwrap_or(rest.len());
                weight = positive(&rest[..end], self.place)?;
                self.rest = &rest[end..];
            }
            choices.push((weight, pieces));
            let closed = self.rest.starts_with(')');
            if self.rest.is_empty() {
                return Err(self.place.error("`(` without `)`"));
            }
            self.rest = &self.rest[1..];
            if closed {
                self.depth -= 1;
                return Ok(Piece::Group(choices));
            }
        }
    }

    /// Reads a reference or an assignment after its `{`.
    fn braces(&mut self) -> Result<Piece, GrammarError> {
        let (inside, rest) = self.rest.split_once('}').ok_or_else(|| self.place.error("`{` without `}`"))?;
        self.rest = rest;
        if let Some((slot, value)) = inside.split_once('=')
            && !inside.contains(' ')
        {
            return Ok(Piece::Set {
                slot: identifier(slot, self.place)?,
                value: identifier(value, self.place)?,
            });
        }
        Ok(Piece::Reference(reference(inside, self.place)?))
    }
}

fn flush(literal: &mut String, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal)));
    }
}

fn reference(inside: &str, place: &Place) -> Result<Reference, GrammarError> {
    let mut reference = Reference::default();
    let (head, except) = inside.split_once(" except ").unwrap_or((inside, ""));
    for slot in except.split(',').filter(|slot| !slot.trim().is_empty()) {
        reference.except.push(identifier(slot, place)?);
    }
    let (mut head, filters) = head.split_once(" where ").unwrap_or((head, ""));
    for filter in filters.split(" and ").filter(|filter| !filter.trim().is_empty()) {
        let (column, value) = filter
            .split_once('=')
            .ok_or_else(|| place.error(format!("`{filter}`: expected `column=value`")))?;
        let (column, equal) = column.strip_suffix('!').map_or((column, true), |column| (column, false));
        let (column, value) = (identifier(column, place)?, value.trim().to_owned());
        reference.filters.push(Filter { column, value, equal });
    }
    if let Some(rest) = head.strip_prefix("a ").or_else(|| head.strip_prefix("A ")) {
        reference.article = true;
        reference.capital = head.starts_with('A');
        head = rest;
    }
    let head = match head.split_once('.') {
        Some((head, column)) => {
            reference.column = Some(identifier(column, place)?);
            head
        }
        None => head,
    };
    let first = head.trim_start_matches(':').chars().next();
    reference.capital |= first.is_some_and(|c| c.is_ascii_uppercase());
    match head.split_once(':') {
        Some((name, class)) => {
            reference.name =
                if name.is_empty() { String::new() } else { identifier(name, place)?.to_lowercase() };
            reference.class = Some(identifier(class, place)?.to_lowercase());
        }
        None => reference.name = identifier(head, place)?.to_lowercase(),
    }
    Ok(reference)
}
