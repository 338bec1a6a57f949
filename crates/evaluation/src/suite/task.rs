//! One task: what is asked, of which examples.

use super::{DataSource, SuiteError};
use firebrand_corpus::sources::{DocumentBoundary, FormatChoice};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A task as it is written: the keys of all kinds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFile {
    /// What to call it.
    pub name: String,
    /// What is asked.
    pub kind: KindName,
    /// Where the examples are; also of demonstrations (`pool`).
    #[serde(deserialize_with = "one_or_many")]
    pub data: Vec<String>,
    /// What files are, where their names do not say.
    #[serde(default)]
    format: FormatChoice,
    /// Where documents of plain text end.
    boundary: Option<DocumentBoundary>,
    /// So many examples, drawn by the seed.
    limit: Option<usize>,
    /// The field of the text.
    text: Option<String>,
    /// The field of the acceptable sentence.
    good: Option<String>,
    /// The field of the other one.
    bad: Option<String>,
    /// The field that says what a pair tests.
    group: Option<String>,
    /// The field of what comes before.
    context: Option<String>,
    /// The field of the word that is asked for.
    target: Option<String>,
    /// The field of a list of answers, or a field for each.
    #[serde(default, deserialize_with = "one_or_many_if_any")]
    choices: Option<Vec<String>>,
    /// The field that says which answer is right.
    answer: Option<String>,
    /// Whether an end of text stands before a context.
    begins: Option<bool>,
    /// The file of a template.
    template: Option<PathBuf>,
    /// The field of the label; of a dataset the label set.
    label: Option<String>,
    /// How many solved examples stand before each.
    shots: Option<usize>,
    /// Where these are drawn from.
    #[serde(default, deserialize_with = "one_or_many_if_any")]
    pool: Option<Vec<String>>,
    /// How these are chosen.
    shots_by: Option<String>,
    /// What these are drawn by.
    seed: Option<u64>,
    /// In which sense an answer is the best.
    measure: Option<String>,
}

/// The kinds of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KindName {
    /// How likely texts are.
    Perplexity,
    /// Whether the better of two sentences is likelier.
    MinimalPairs,
    /// Which of several answers is likeliest.
    MultipleChoice,
    /// Whether the last word is foreseen.
    Cloze,
    /// Which label a template's answer stands for.
    Classification,
}

/// What is asked, with what a kind needs to know.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskKind {
    /// Nats a token, bits per byte.
    Perplexity,
    /// Whether the sentence in the field `good` is likelier than that in `bad`. Of a dataset the manifest knows the fields.
    MinimalPairs {
        /// `sentence_good`
        good: String,
        /// `sentence_bad`
        bad: String,
        /// What a pair tests.
        group: Option<String>,
    },
    /// Which of several continuations is likeliest.
    MultipleChoice {
        /// The field of what comes before; nothing comes before when absent.
        context: Option<String>,
        /// Where the answers are.
        choices: Answering,
        /// The field that says which is right: its number from 0, a letter from A, or its text.
        answer: String,
    },
    /// Whether the greedy continuation is the last word.
    Cloze {
        /// The fields of context and target; when absent, the last word of the text is the target.
        fields: Option<(String, String)>,
    },
    /// Whether the likeliest answer of a template stands for the right label.
    Classification {
        /// The template's file, relative to the suite's, or the name of one that is built in.
        template: PathBuf,
        /// The field of the label, or the label set of a dataset.
        label: Option<String>,
        /// In which sense an answer is the best, as whoever asks calls it: what `accuracy` is of.
        measure: Option<String>,
        /// Solved examples before each.
        shots: Option<Shots>,
    },
}

/// Where the answers of a question are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answering {
    /// A field that holds a list of texts.
    List(String),
    /// A field for each.
    Fields(Vec<String>),
}

/// Solved examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Shots {
    /// How many.
    pub count: usize,
    /// Where they are drawn from.
    pub pool: Vec<DataSource>,
    /// How they are chosen, as whoever asks calls it.
    pub by: Option<String>,
    /// What they are drawn by, if not by the seed of the suite.
    pub seed: Option<u64>,
}

/// A task that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// What to call it.
    pub name: String,
    /// What is asked.
    pub kind: TaskKind,
    /// Where the examples are.
    pub data: Vec<DataSource>,
    /// What files are.
    pub format: FormatChoice,
    /// Where documents of plain text end, if it is said.
    pub boundary: Option<DocumentBoundary>,
    /// The field of the text, if it is said.
    pub text: Option<String>,
    /// Whether an end of text stands before a context, as before a document. (lm-evaluation-harness puts none there.)
    pub begins: bool,
    /// So many examples, drawn by the seed.
    pub limit: Option<usize>,
}

impl KindName {
    /// As in a suite.
    pub fn name(self) -> &'static str {
        match self {
            Self::Perplexity => "perplexity",
            Self::MinimalPairs => "minimal-pairs",
            Self::MultipleChoice => "multiple-choice",
            Self::Cloze => "cloze",
            Self::Classification => "classification",
        }
    }

    /// The keys of this kind, beside those of all.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Perplexity => &["text", "boundary"],
            Self::MinimalPairs => &["good", "bad", "group"],
            Self::MultipleChoice => &["context", "choices", "answer", "begins"],
            Self::Cloze => &["text", "boundary", "context", "target", "begins"],
            Self::Classification => &["template", "label", "measure", "shots", "pool", "shots_by", "seed"],
        }
    }
}

impl TaskKind {
    /// Its name.
    pub fn name(&self) -> KindName {
        match self {
            Self::Perplexity => KindName::Perplexity,
            Self::MinimalPairs { .. } => KindName::MinimalPairs,
            Self::MultipleChoice { .. } => KindName::MultipleChoice,
            Self::Cloze { .. } => KindName::Cloze,
            Self::Classification { .. } => KindName::Classification,
        }
    }
}

impl TaskFile {
    pub(super) fn check(self) -> Result<Task, SuiteError> {
        let name = self.name.clone();
        self.checked().map_err(|problem| SuiteError::Task { task: name, problem })
    }

    fn checked(self) -> Result<Task, String> {
        if self.name.trim().is_empty() {
            return Err("its name is empty".into());
        }
        self.check_keys()?;
        if self.limit == Some(0) {
            return Err("limit = 0 leaves no example; leave it out for all".into());
        }
        let sources = |data: &[String]| -> Result<Vec<DataSource>, String> {
            if data.is_empty() {
                return Err("data is empty: name files, dataset:NAME or built-in:KIND".into());
            }
            data.iter().map(|data| DataSource::parse(data)).collect()
        };
        let kind = match self.kind {
            KindName::Perplexity => TaskKind::Perplexity,
            KindName::MinimalPairs => TaskKind::MinimalPairs {
                good: self.good.unwrap_or_else(|| "sentence_good".into()),
                bad: self.bad.unwrap_or_else(|| "sentence_bad".into()),
                group: self.group,
            },
            KindName::MultipleChoice => {
                let mut choices = self.choices.unwrap_or_else(|| vec!["choices".into()]);
                TaskKind::MultipleChoice {
                    context: self.context,
                    choices: match choices.len() {
                        0 => {
                            return Err(
                                "choices is empty: name a field that holds a list, or a field for each"
                                    .into(),
                            );
                        }
                        1 => Answering::List(choices.remove(0)),
                        _ => Answering::Fields(choices),
                    },
                    answer: self.answer.unwrap_or_else(|| "answer".into()),
                }
            }
            KindName::Cloze => TaskKind::Cloze {
                fields: match (self.context, self.target, &self.text) {
                    (None, None, _) => None,
                    (Some(context), Some(target), None) => Some((context, target)),
                    (_, _, Some(_)) => {
                        return Err(
                            "name either text, whose last word is asked for, or context and target".into()
                        );
                    }
                    _ => return Err("context and target go together".into()),
                },
            },
            KindName::Classification => TaskKind::Classification {
                template: self.template.ok_or("a classification needs a template = \"FILE\"")?,
                label: self.label,
                measure: self.measure,
                shots: match (self.shots, self.pool) {
                    (None | Some(0), None) if self.shots_by.is_some() || self.seed.is_some() => {
                        return Err(
                            "shots_by and seed say which examples are shown: say how many, shots = N".into(),
                        );
                    }
                    (None | Some(0), None) => None,
                    (Some(count @ 1..), Some(pool)) => {
                        Some(Shots { count, pool: sources(&pool)?, by: self.shots_by, seed: self.seed })
                    }
                    (Some(_), None) => {
                        return Err("shots are drawn from a pool = \"DATA\" that is not tested on".into());
                    }
                    (None | Some(0), Some(_)) => return Err("a pool is of use with shots = N alone".into()),
                },
            },
        };
        Ok(Task {
            kind,
            data: sources(&self.data)?,
            format: self.format,
            boundary: self.boundary,
            text: self.text,
            begins: self.begins.unwrap_or(true),
            limit: self.limit,
            name: self.name,
        })
    }

    /// Refuses keys of other kinds: who wrote them is mistaken.
    fn check_keys(&self) -> Result<(), String> {
        let there = [
            ("text", self.text.is_some()),
            ("boundary", self.boundary.is_some()),
            ("good", self.good.is_some()),
            ("bad", self.bad.is_some()),
            ("group", self.group.is_some()),
            ("context", self.context.is_some()),
            ("target", self.target.is_some()),
            ("choices", self.choices.is_some()),
            ("answer", self.answer.is_some()),
            ("begins", self.begins.is_some()),
            ("template", self.template.is_some()),
            ("label", self.label.is_some()),
            ("shots", self.shots.is_some()),
            ("pool", self.pool.is_some()),
            ("shots_by", self.shots_by.is_some()),
            ("seed", self.seed.is_some()),
            ("measure", self.measure.is_some()),
        ];
        let known = self.kind.keys();
        match there.into_iter().find(|(key, is_there)| *is_there && !known.contains(key)) {
            None => Ok(()),
            Some((key, _)) => Err(format!(
                "`{key}` is no key of the kind {}, which has {}",
                self.kind.name(),
                known.join(", ")
            )),
        }
    }
}

/// A text, or a list of texts.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Texts;
    impl<'de> Visitor<'de> for Texts {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.into()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, texts: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(texts))
        }
    }
    deserializer.deserialize_any(Texts)
}

fn one_or_many_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    one_or_many(deserializer).map(Some)
}
