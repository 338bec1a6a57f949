//! Reads the grammar language into declarations. Knows its spelling only: what the names refer to is decided by
//! [`super::compile`].

use super::GrammarError;
use super::text::{self, Piece};

/// Where something was written: for error messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: std::sync::Arc<str>,
    pub(super) line: usize,
}

impl Place {
    /// The error `message` at this place.
    pub(super) fn error(&self, message: impl Into<String>) -> GrammarError {
        GrammarError::Source { file: self.file.to_string(), line: self.line, message: message.into() }
    }
}

/// All declarations of a grammar, in the order they were written.
#[derive(Default)]
pub(super) struct Source {
    pub(super) classes: Vec<ClassDecl>,
    pub(super) slots: Vec<SlotDecl>,
    pub(super) rules: Vec<RuleDecl>,
}

/// `class NAME [zipf]: COLUMN | COLUMN -> CLASS | …` and its rows.
pub(super) struct ClassDecl {
    pub(super) name: String,
    pub(super) zipf: bool,
    pub(super) columns: Vec<ColumnDecl>,
    pub(super) rows: Vec<RowDecl>,
    pub(super) place: Place,
}

/// A column; with `joins`, its cells are keys of that class, whose other columns are added to this one's.
pub(super) struct ColumnDecl {
    pub(super) name: String,
    pub(super) joins: Option<String>,
}

/// One word of a class with its columns.
pub(super) struct RowDecl {
    pub(super) cells: Vec<String>,
    pub(super) weight: Option<u32>,
    pub(super) place: Place,
}

/// `slot NAME: CLASS`, `var NAME: VALUE VALUE …` or `label NAME: VALUE VALUE …`.
pub(super) struct SlotDecl {
    pub(super) name: String,
    pub(super) holds: Holds,
    pub(super) label: bool,
    pub(super) place: Place,
}

/// What a slot can hold.
pub(super) enum Holds {
    /// A word of this class; nothing at first.
    Class(String),
    /// One of these values; the first one at first.
    Values(Vec<String>),
}

/// `rule NAME` and its alternatives.
pub(super) struct RuleDecl {
    pub(super) name: String,
    pub(super) alternatives: Vec<AlternativeDecl>,
    pub(super) place: Place,
}

/// `WEIGHT [CONDITION, …] TEXT`.
pub(super) struct AlternativeDecl {
    pub(super) weight: u32,
    pub(super) conditions: Vec<ConditionDecl>,
    pub(super) pieces: Vec<Piece>,
    pub(super) place: Place,
}

/// `SLOT[.COLUMN]=VALUE`, or `!=`; several values are separated by `/`.
#[derive(Clone)]
pub(super) struct ConditionDecl {
    pub(super) slot: String,
    pub(super) column: Option<String>,
    pub(super) values: Vec<String>,
    pub(super) equal: bool,
}

/// What the indented lines below the last header are.
enum Section {
    None,
    Rows,
    Alternatives,
}

impl Source {
    /// Adds the declarations of one file.
    ///
    /// # Errors
    /// The first line that is not in the grammar language.
    pub(super) fn read(&mut self, contents: &str, name: &str) -> Result<(), GrammarError> {
        let file: std::sync::Arc<str> = name.into();
        let mut section = Section::None;
        for (place, line) in logical_lines(contents, &file)? {
            let indented = line.starts_with([' ', '\t']);
            let line = line.trim();
            match (indented, &section) {
                (false, _) => section = self.header(line, &place)?,
                (true, Section::Rows) => self.rows(line, &place)?,
                (true, Section::Alternatives) => self.alternative(line, &place)?,
                (true, Section::None) => {
                    return Err(place.error("an indented line belongs below `class` or `rule`"));
                }
            }
        }
        Ok(())
    }

    fn header(&mut self, line: &str, place: &Place) -> Result<Section, GrammarError> {
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        let place = place.clone();
        match keyword {
            "class" => {
                let (head, columns) = colon(rest, &place)?;
                let (name, zipf) = match head.strip_suffix(" zipf") {
                    Some(name) => (name.trim(), true),
                    None => (head, false),
                };
                let columns =
                    columns.split('|').map(|column| column_decl(column, &place)).collect::<Result<_, _>>()?;
                let name = identifier(name, &place)?;
                self.classes.push(ClassDecl { name, zipf, columns, rows: Vec::new(), place });
                Ok(Section::Rows)
            }
            "slot" => {
                let (name, class) = colon(rest, &place)?;
                let (name, class) = (identifier(name, &place)?, identifier(class, &place)?);
                self.slots.push(SlotDecl { name, holds: Holds::Class(class), label: false, place });
                Ok(Section::None)
            }
            "var" | "label" => {
                let (name, values) = colon(rest, &place)?;
                let values = values.split_whitespace().map(str::to_owned).collect();
                let name = identifier(name, &place)?;
                self.slots.push(SlotDecl {
                    name,
                    holds: Holds::Values(values),
                    label: keyword == "label",
                    place,
                });
                Ok(Section::None)
            }
            "rule" => {
                let name = identifier(rest, &place)?;
                self.rules.push(RuleDecl { name, alternatives: Vec::new(), place });
                Ok(Section::Alternatives)
            }
            _ => Err(place.error(format!("`{keyword}`: expected class, slot, var, label or rule"))),
        }
    }

    /// `a, b, c | x | y *5`: three words that share the columns after the first and have weight 5.
    fn rows(&mut self, line: &str, place: &Place) -> Result<(), GrammarError> {
        let Some(class) = self.classes.last_mut() else {
            return Err(place.error("a row belongs below `class`"));
        };
        let (line, weight) = match line.rsplit_once('*') {
            Some((line, weight)) => (line.trim_end(), Some(positive(weight, place)?)),
            None => (line, None),
        };
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells.len() != class.columns.len() {
            let (found, expected) = (cells.len(), class.columns.len());
            return Err(place.error(format!("{found} columns, but `{}` has {expected}", class.name)));
        }
        for word in cells[0].split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let mut row = vec![word.to_owned()];
            row.extend(cells[1..].iter().map(|cell| (*cell).to_owned()));
            class.rows.push(RowDecl { cells: row, weight, place: place.clone() });
        }
        Ok(())
    }

    fn alternative(&mut self, line: &str, place: &Place) -> Result<(), GrammarError> {
        let Some(rule) = self.rules.last_mut() else {
            return Err(place.error("an alternative belongs below `rule`"));
        };
        let (weight, rest) = line.split_once(' ').unwrap_or((line, ""));
        let weight = positive(weight, place)?;
        let mut rest = rest.trim_start();
        let mut conditions = Vec::new();
        if let Some(inside) = rest.strip_prefix('[') {
            let (inside, after) = inside.split_once(']').ok_or_else(|| place.error("`[` without `]`"))?;
            for condition in inside.split(',') {
                conditions.push(condition_decl(condition.trim(), place)?);
            }
            rest = after.trim_start();
        }
        // `-` alone spells the empty text.
        let pieces = if rest == "-" { Vec::new() } else { text::pieces(rest, place)? };
        rule.alternatives.push(AlternativeDecl { weight, conditions, pieces, place: place.clone() });
        Ok(())
    }
}

/// Lines without comments and blank lines; a line beginning with `+` continues the one before it: after a space when
/// one follows the `+`.
fn logical_lines(contents: &str, file: &std::sync::Arc<str>) -> Result<Vec<(Place, String)>, GrammarError> {
    let mut lines: Vec<(Place, String)> = Vec::new();
    for (index, line) in contents.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let place = Place { file: file.clone(), line: index + 1 };
        match (trimmed.strip_prefix('+'), lines.last_mut()) {
            (Some(more), Some((_, last))) => {
                if more.starts_with(' ') {
                    last.push(' ');
                }
                last.push_str(more.trim());
            }
            (Some(_), None) => return Err(place.error("`+` continues a line, but this is the first")),
            (None, _) => lines.push((place, line.trim_end().to_owned())),
        }
    }
    Ok(lines)
}

fn colon<'a>(rest: &'a str, place: &Place) -> Result<(&'a str, &'a str), GrammarError> {
    let (head, tail) = rest.split_once(':').ok_or_else(|| place.error("expected `:`"))?;
    Ok((head.trim(), tail.trim()))
}

fn column_decl(column: &str, place: &Place) -> Result<ColumnDecl, GrammarError> {
    let (name, joins) = match column.split_once("->") {
        Some((name, class)) => (name, Some(identifier(class, place)?)),
        None => (column, None),
    };
    Ok(ColumnDecl { name: identifier(name, place)?, joins })
}

/// Reads `slot.column=a/b` or `slot!=a`.
fn condition_decl(condition: &str, place: &Place) -> Result<ConditionDecl, GrammarError> {
    let (left, values, equal) = match (condition.split_once("!="), condition.split_once('=')) {
        (Some((left, values)), _) => (left, values, false),
        (None, Some((left, values))) => (left, values, true),
        (None, None) => {
            return Err(place.error(format!("`{condition}`: expected `slot=value` or `slot!=value`")));
        }
    };
    let (slot, column) = match left.split_once('.') {
        Some((slot, column)) => (slot, Some(identifier(column, place)?)),
        None => (left, None),
    };
    let values = values.split('/').map(|value| value.trim().to_owned()).collect();
    Ok(ConditionDecl { slot: identifier(slot, place)?, column, values, equal })
}

/// Checks that `name` is letters, digits and underscores.
pub(super) fn identifier(name: &str, place: &Place) -> Result<String, GrammarError> {
    let name = name.trim();
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if fits { Ok(name.to_owned()) } else { Err(place.error(format!("`{name}` is not a name"))) }
}

/// Weights stay small enough that no sum of them overflows.
const MAX_WEIGHT: u32 = 10_000;

/// Reads a weight.
pub(super) fn positive(number: &str, place: &Place) -> Result<u32, GrammarError> {
    match number.trim().parse::<u32>() {
        Ok(weight) if (1..=MAX_WEIGHT).contains(&weight) => Ok(weight),
        _ => Err(place.error(format!("`{}`: expected a weight from 1 to {MAX_WEIGHT}", number.trim()))),
    }
}
