//! From a record to an example: what its fields mean.

use serde_json::Value as Json;

use super::columns::{Columns, Found};
use super::read::Known;
use super::turns::{said_before, turns};
use super::words::{from_lists, from_spans, joined, words};
use super::{Kind, Role, TaggedWord, Target, Turn};
use crate::error::CorpusError;
use crate::records::{Field, Record, Value};

/// The text, the second text and the target of a record. The text may be empty.
pub(super) fn interpret(
    record: &Record,
    columns: &Columns,
    found: &Found,
    kind: Kind,
    known: &mut Known<'_>,
) -> Result<(String, Option<String>, Target), CorpusError> {
    let located = |reason: String| record.error(reason);
    if kind == Kind::Words {
        let (text, ranges) = words_alone(record, &found.text)?;
        return Ok((text, None, Target::Words(ranges)));
    }
    if kind == Kind::Tags {
        let (text, tagged) = tags(record, columns, found, known)?;
        return Ok((text, None, Target::Tags(tagged)));
    }
    if let (Kind::Turns, Some(label)) = (kind, &found.label)
        && found.text == *label
    {
        let turns = json(record, label)?.ok_or_else(|| record.error("there are no messages"))?;
        let turns = self::turns(&turns).map_err(located)?;
        return Ok((said_before(&turns), None, Target::Turns(turns)));
    }
    let text = found.text.text(record)?;
    let text_b = found.text_b.as_ref().map(|field| field.text(record)).transpose()?;
    let Some(label) = &found.label else { return Ok((text, text_b, Target::None)) };
    Ok(match kind {
        Kind::None | Kind::Words | Kind::Tags => (text, text_b, Target::None),
        Kind::Class => {
            let value = scalar(record, label)?;
            let place = known.place(columns.name(&value)).map_err(located)?;
            (text, text_b, Target::Class(place))
        }
        Kind::Classes => {
            let mut places = Vec::new();
            for value in several(record, label, columns.separator())? {
                places.push(known.place(columns.name(&value)).map_err(located)?);
            }
            places.sort_unstable();
            places.dedup();
            (text, text_b, Target::Classes(places))
        }
        Kind::Number => {
            let value = scalar(record, label)?;
            let number = value.trim().parse().ok().filter(|number: &f64| number.is_finite());
            let name = label.names().join("`, `");
            let number = number.ok_or_else(|| {
                record.error(format!("the label `{value}` (field `{name}`) is no finite number"))
            })?;
            (text, text_b, Target::Number(number))
        }
        Kind::Text => (text, text_b, Target::Text(response(record, label)?)),
        Kind::Turns => {
            // An instruction and what it is about make one prompt.
            let prompt = match text_b.filter(|second| !second.trim().is_empty()) {
                Some(second) => format!("{text}\n\n{second}"),
                None => text,
            };
            let response = response(record, label)?;
            let turns = vec![Turn::new(Role::User, prompt.clone()), Turn::new(Role::Assistant, response)];
            (prompt, None, Target::Turns(turns))
        }
    })
}

/// A label that is one value; several fields are joined by a space.
fn scalar(record: &Record, field: &Field) -> Result<String, CorpusError> {
    let mut values = Vec::new();
    for name in field.names() {
        let value = record.value(&name).ok_or_else(|| missing(record, &name))?;
        match value {
            Value::Text(text) if !text.trim().is_empty() => values.push(text.trim()),
            Value::Other(value) if value.starts_with(['[', '{']) => {
                let shown: String = value.chars().take(40).collect();
                return Err(record.error(format!(
                    "the label (field `{name}`) is a list or an object, {shown}, where one value is expected"
                )));
            }
            Value::Other(value) => values.push(value),
            Value::Text(_) | Value::Null => {
                return Err(record.error(format!("there is no label: the field `{name}` is empty")));
            }
        }
    }
    Ok(values.join(" "))
}

/// Labels that are a JSON list, or a text with a separator; an empty one is no label.
fn several(record: &Record, field: &Field, separator: &str) -> Result<Vec<String>, CorpusError> {
    let name = field.names().join(" ");
    match json(record, field)? {
        None => Err(record.error(format!("there are no labels: the field `{name}` is null; `[]` says so"))),
        Some(Json::Array(list)) => {
            list.iter().map(|value| element(value).map_err(|reason| record.error(reason))).collect()
        }
        Some(Json::String(text)) => {
            let parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
            Ok(parts.map(str::to_owned).collect())
        }
        Some(value) => Ok(vec![element(&value).map_err(|reason| record.error(reason))?]),
    }
}

/// A label in a JSON list.
fn element(value: &Json) -> Result<String, String> {
    match value {
        Json::String(text) => Ok(text.clone()),
        Json::Number(_) | Json::Bool(_) => Ok(value.to_string()),
        other => Err(format!("a label is expected, and there is {other}")),
    }
}

/// A field as JSON: of a text that begins as a list, the list. `None` where it is null.
fn json(record: &Record, field: &Field) -> Result<Option<Json>, CorpusError> {
    let [name] = &field.names()[..] else {
        return Err(record.error("a list is in one column, not in several that are joined"));
    };
    let parse = |text: &str| {
        serde_json::from_str(text)
            .map_err(|error| record.error(format!("the field `{name}` is no JSON list: {error}")))
    };
    match record.value(name).ok_or_else(|| missing(record, name))? {
        Value::Null => Ok(None),
        Value::Other(value) => parse(value).or_else(|_| Ok(Json::String(value.clone()))).map(Some),
        Value::Text(text) if text.trim_start().starts_with('[') => parse(text).map(Some),
        Value::Text(text) => Ok(Some(Json::String(text.clone()))),
    }
}

fn response(record: &Record, field: &Field) -> Result<String, CorpusError> {
    let text = field.text(record)?;
    match text.trim().is_empty() {
        true => Err(record
            .error(format!("the field `{}` is empty: there is nothing to say", field.names().join("`, `")))),
        false => Ok(text),
    }
}

fn missing(record: &Record, name: &str) -> CorpusError {
    record.error(crate::records::no_such_field(name, record.fields()))
}

/// The text of a record of words, and their tags.
fn tags(
    record: &Record,
    columns: &Columns,
    found: &Found,
    known: &mut Known<'_>,
) -> Result<(String, Vec<TaggedWord>), CorpusError> {
    let located = |reason: String| record.error(reason);
    let label = match &found.label {
        Some(field) => json(record, field)?,
        None => None,
    };
    let spans = match &label {
        Some(Json::Array(list)) if list.iter().all(Json::is_object) => Some(list),
        _ => None,
    };
    let (text, ranges, names) = match spans {
        Some(spans) => from_spans(&found.text.text(record)?, spans).map_err(located)?,
        None => {
            let words = strings(json(record, &found.text)?.unwrap_or(Json::Null)).map_err(located)?;
            let tags = strings(label.ok_or_else(|| record.error("there are no tags"))?).map_err(located)?;
            from_lists(&words, tags).map_err(located)?
        }
    };
    let mut tagged = Vec::with_capacity(ranges.len());
    for (range, name) in ranges.into_iter().zip(names) {
        tagged.push(TaggedWord { range, tag: known.place(columns.name(&name)).map_err(located)? });
    }
    Ok((text, tagged))
}

/// The words of a field that is a list of them, or of a text.
fn words_alone(record: &Record, field: &Field) -> Result<(String, Vec<std::ops::Range<usize>>), CorpusError> {
    let list = match &field.names()[..] {
        [name] => match record.value(name) {
            Some(Value::Other(json) | Value::Text(json)) if json.trim_start().starts_with('[') => {
                // A text may begin with a bracket too.
                serde_json::from_str::<Vec<Json>>(json).ok()
            }
            _ => None,
        },
        _ => None,
    };
    match list {
        Some(list) => {
            strings(Json::Array(list)).and_then(|list| joined(&list)).map_err(|reason| record.error(reason))
        }
        None => {
            let text = field.text(record)?;
            let ranges = words(&text, &[]);
            Ok((text, ranges))
        }
    }
}

/// The elements of a list, or the words of a text that are separated by white space.
fn strings(json: Json) -> Result<Vec<String>, String> {
    match json {
        Json::Array(list) => list.iter().map(element).collect(),
        Json::String(text) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        Json::Null => Ok(Vec::new()),
        other => Err(format!("a list of words is expected, and there is {other}")),
    }
}

/// The words of a text without tags, as [`Kind::Tags`] cuts a text with spans.
pub fn words_of(text: &str) -> Vec<std::ops::Range<usize>> {
    words(text, &[])
}
