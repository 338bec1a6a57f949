//! What is where in labelled files: which column is the text, which the label.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::records::{Field, no_such_field};
use crate::sources::FormatChoice;

/// What the label of an example is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is none, or it does not matter.
    None,
    /// There is none, and the text is words: a list of them, or a text that is cut into its words.
    Words,
    /// One label.
    Class,
    /// Any number of labels.
    Classes,
    /// A number.
    Number,
    /// A tag for each word.
    Tags,
    /// A text.
    Text,
    /// Turns of a chat.
    Turns,
}

/// How files are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Which format they are in.
    pub format: FormatChoice,
    /// CSV and TSV: the first line is an example like the others, and columns are numbers from 0.
    pub no_header: bool,
    /// What becomes of examples without a text.
    pub empty_texts: EmptyTexts,
    /// What is where.
    pub columns: Columns,
    /// What is where in a file that has it so, where `columns` says nothing: what was found by name in other files.
    pub found: Columns,
}

impl Reading {
    /// The columns among those that a file has.
    pub(super) fn find(&self, kind: Kind, names: &[String]) -> Result<Found, String> {
        let there = |field: &Option<Field>| {
            field.clone().filter(|field| field.names().iter().all(|name| names.contains(name)))
        };
        let mut columns = self.columns.clone();
        for (set, found) in [
            (&mut columns.text, &self.found.text),
            (&mut columns.text_b, &self.found.text_b),
            (&mut columns.label, &self.found.label),
        ] {
            if set.is_none() {
                *set = there(found);
            }
        }
        columns.find(kind, names)
    }
}

/// What becomes of an example whose text is empty or white space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyTexts {
    /// It is an error.
    #[default]
    Refuse,
    /// It is left out and counted.
    Skip,
}

/// Which columns are meant: a section of a configuration. What is not set is found by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// The text. Several columns are joined by a space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Field>,
    /// A second text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_b: Option<Field>,
    /// The label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Field>,
    /// What stands between several labels in one field that is no JSON list; a comma unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// What labels are called that are written otherwise in the files: `{ 0 = "negative", 1 = "positive" }`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

/// The columns of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) text: Field,
    pub(super) text_b: Option<Field>,
    pub(super) label: Option<Field>,
}

/// What texts are called, the likeliest first, and a second text beside it.
const TEXTS: [(&str, &str); 13] = [
    ("text", "text_b"),
    ("sentence", ""),
    ("sentence1", "sentence2"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("review", ""),
    ("content", ""),
    ("document", ""),
    ("body", ""),
    ("title", ""),
];
const WORDS: [(&str, &str); 4] = [("tokens", ""), ("words", ""), ("text", ""), ("sentence", "")];
const INPUTS: [(&str, &str); 12] = [
    ("prompt", ""),
    ("instruction", "input"),
    ("input", ""),
    ("source", ""),
    ("question", ""),
    ("text", ""),
    ("document", ""),
    ("article", ""),
    ("dialogue", ""),
    ("sentence", ""),
    ("query", ""),
    ("context", ""),
];

impl Kind {
    /// What texts of such examples are called.
    fn texts(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::None | Self::Class | Self::Classes | Self::Number => &TEXTS,
            Self::Tags | Self::Words => &WORDS,
            Self::Text | Self::Turns => &INPUTS,
        }
    }

    /// What their labels are called.
    fn labels(self) -> &'static [&'static str] {
        match self {
            Self::None | Self::Words => &[],
            Self::Class => {
                &["label", "labels", "class", "category", "sentiment", "target", "intent", "gold", "y"]
            }
            Self::Classes => &["labels", "label", "classes", "categories", "tags", "target"],
            Self::Number => {
                &["score", "label", "rating", "stars", "target", "value", "similarity_score", "y"]
            }
            Self::Tags => &["tags", "ner_tags", "pos_tags", "labels", "label", "spans", "entities"],
            Self::Text => {
                &["target", "output", "response", "summary", "answer", "highlights", "completion", "label"]
            }
            Self::Turns => {
                &["messages", "conversations", "response", "output", "answer", "completion", "target"]
            }
        }
    }
}

impl Columns {
    /// The columns among those that a file has, as far as they are set or known by name. Names that are set must be there;
    /// those that are found may be written in any case.
    fn find(&self, kind: Kind, names: &[String]) -> Result<Found, String> {
        for field in [&self.text, &self.text_b, &self.label].into_iter().flatten() {
            if let Some(missing) = field.names().iter().find(|name| !names.contains(name)) {
                return Err(no_such_field(missing, names));
            }
        }
        let found = |wanted: &str| names.iter().find(|name| name.eq_ignore_ascii_case(wanted));
        let taken = |name: &String| {
            let set = [&self.text, &self.text_b, &self.label].into_iter().flatten();
            set.flat_map(Field::names).any(|other| other == *name)
        };
        let label = match (&self.label, kind) {
            (_, Kind::None | Kind::Words) => None,
            (Some(field), _) => Some(field.clone()),
            (None, _) => {
                let free = kind.labels().iter().filter_map(|wanted| found(wanted)).find(|name| !taken(name));
                let name = free.ok_or_else(|| nothing("label", kind.labels(), names))?;
                Some(Field::Name(name.clone()))
            }
        };
        let is_label = |name: &String| label.as_ref().is_some_and(|label| label.names().contains(name));
        let chat = kind == Kind::Turns
            && label.as_ref().is_some_and(|label| {
                label
                    .names()
                    .iter()
                    .any(|name| ["messages", "conversations"].contains(&name.to_lowercase().as_str()))
            });
        // The messages of a chat are texts and answers at once.
        if let (true, None, Some(label)) = (chat, &self.text, &label) {
            return Ok(Found { text: label.clone(), text_b: None, label: Some(label.clone()) });
        }
        let free = |wanted: &str| found(wanted).filter(|name| !taken(name) && !is_label(name)).cloned();
        let (text, partner) = match &self.text {
            Some(field) => (field.clone(), None),
            None => {
                let known = kind.texts();
                let text = known.iter().find_map(|(wanted, second)| free(wanted).map(|name| (name, *second)));
                let (name, second) = text.ok_or_else(|| {
                    let wanted: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                    nothing("text", &wanted, names)
                })?;
                (Field::Name(name), free(second))
            }
        };
        let text_b = self.text_b.clone().or(partner.map(Field::Name));
        Ok(Found { text, text_b, label })
    }

    /// What stands between labels in one field.
    pub(super) fn separator(&self) -> &str {
        self.separator.as_deref().unwrap_or(",")
    }

    /// The name of the label that is written as `value`.
    pub(super) fn name<'a>(&'a self, value: &'a str) -> &'a str {
        let value = value.trim();
        self.values.get(value).map_or(value, String::as_str)
    }
}

impl Found {
    /// Those of several files: the columns that all of them have in the same place.
    pub(super) fn common<'a>(mut files: impl Iterator<Item = &'a Self>) -> Columns {
        let of = |found: &Self| [Some(found.text.clone()), found.text_b.clone(), found.label.clone()];
        let mut common = files.next().map(of).unwrap_or_default();
        for found in files {
            for (column, other) in common.iter_mut().zip(of(found)) {
                column.take_if(|column| other.as_ref() != Some(column));
            }
        }
        let [text, text_b, label] = common;
        Columns { text, text_b, label, ..Columns::default() }
    }

    /// The names of all columns that are read.
    pub(super) fn names(&self) -> Vec<String> {
        [Some(&self.text), self.text_b.as_ref(), self.label.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(Field::names)
            .collect()
    }
}

/// What to say of a file none of whose columns is called as such columns are.
fn nothing(what: &str, wanted: &[&str], names: &[String]) -> String {
    let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!(
        "no column is known to be the {what}: there are {}; say which one it is, or call it one of {}",
        if names.is_empty() { "none".to_owned() } else { quoted(&names[..names.len().min(20)]) },
        quoted(wanted)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn find(columns: &Columns, kind: Kind, names: &[&str]) -> Result<String, String> {
        find_in(&Reading { columns: columns.clone(), ..Reading::default() }, kind, names)
    }

    fn find_in(reading: &Reading, kind: Kind, names: &[&str]) -> Result<String, String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let found = reading.find(kind, &names)?;
        let show = |field: &Option<Field>| field.as_ref().map_or("-".into(), |field| field.names().join("+"));
        Ok(format!("{} {} {}", show(&Some(found.text)), show(&found.text_b), show(&found.label)))
    }

    #[test]
    fn columns_are_found_by_the_names_that_people_give_them() {
        let none = Columns::default();
        let cases: [(Kind, &[&str], &str); 12] = [
            (Kind::Class, &["sentence", "label"], "sentence - label"),
            (Kind::Class, &["idx", "Label", "Text"], "Text - Label"),
            (Kind::Class, &["premise", "hypothesis", "label"], "premise hypothesis label"),
            (Kind::Class, &["question", "sentence", "label", "text"], "text - label"),
            (Kind::Class, &["label", "title"], "title - label"),
            (Kind::Classes, &["text", "label", "labels"], "text - labels"),
            (Kind::Number, &["sentence1", "sentence2", "score"], "sentence1 sentence2 score"),
            (Kind::Tags, &["id", "tokens", "pos_tags", "ner_tags"], "tokens - ner_tags"),
            (Kind::Text, &["article", "highlights"], "article - highlights"),
            (Kind::Turns, &["instruction", "input", "output"], "instruction input output"),
            (Kind::Turns, &["messages"], "messages - messages"),
            (Kind::None, &["text", "label"], "text - -"),
        ];
        for (kind, names, expected) in cases {
            assert_eq!(find(&none, kind, names).unwrap(), expected, "{names:?}");
        }
    }

    #[test]
    fn what_is_set_goes_before_what_is_found() {
        let columns = Columns { label: Some(Field::Name("text".into())), ..Columns::default() };
        assert_eq!(find(&columns, Kind::Class, &["text", "title"]).unwrap(), "title - text");
        let both = Field::Joined(vec![Field::Name("title".into()), Field::Name("body".into())]);
        let columns = Columns { text: Some(both), ..Columns::default() };
        assert_eq!(find(&columns, Kind::Class, &["body", "title", "class"]).unwrap(), "title+body - class");
    }

    #[test]
    fn what_was_found_in_other_files_is_taken_where_it_is() {
        let field = |name: &str| Some(Field::Name(name.into()));
        let found = Columns { text: field("review"), label: field("good"), ..Columns::default() };
        let reading = Reading { found, ..Reading::default() };
        assert_eq!(find_in(&reading, Kind::Class, &["text", "label", "review"]).unwrap(), "review - label");
        assert_eq!(find_in(&reading, Kind::None, &["text", "title"]).unwrap(), "text - -");
        let set = Columns { text: field("title"), ..Columns::default() };
        let reading = Reading { columns: set, ..reading };
        assert_eq!(find_in(&reading, Kind::None, &["text", "title", "review"]).unwrap(), "title - -");
        let found =
            |text: &str, label: Option<Field>| Found { text: Field::Name(text.into()), text_b: None, label };
        let files = [found("a", field("y")), found("a", field("z"))];
        assert_eq!(Found::common(files.iter()), Columns { text: field("a"), ..Columns::default() });
    }

    #[test]
    fn columns_that_are_not_there_are_told_from_those_that_are() {
        let columns = Columns { label: Some(Field::Name("lable".into())), ..Columns::default() };
        let error = find(&columns, Kind::Class, &["text", "label"]).unwrap_err();
        assert_eq!(error, "there is no field `lable`: name one of `text`, `label`; did you mean `label`?");
        let error = find(&Columns::default(), Kind::Class, &["a", "b"]).unwrap_err();
        assert!(
            error.starts_with("no column is known to be the label: there are `a`, `b`; say which one it is")
        );
        let error = find(&Columns::default(), Kind::Class, &["label"]).unwrap_err();
        assert!(error.starts_with("no column is known to be the text: there are `label`; say"), "{error}");
    }
}
