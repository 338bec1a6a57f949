//! A prompt: templates with the answers that may stand in their blanks, as a TOML file says.

use crate::error::PromptError;
use crate::template::Template;
use crate::verbalizer::Verbalizer;
use firebrand_corpus::nearest;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;

/// Templates and answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// How it is called: in the file, or the name of the file.
    pub name: String,
    /// The file, as messages call it.
    pub path: String,
    /// One, or several that are an ensemble.
    pub templates: Vec<Template>,
    /// What may stand in the blanks.
    pub verbalizer: Verbalizer,
    /// The fields that are cut where a text is too long, in this order: of the second one nothing until nothing is left of the first.
    /// `None`: all that the template shows, always the longest one.
    pub trim: Option<Vec<String>>,
    /// Which end of a field is cut.
    pub trim_end: TrimEnd,
    /// What stands between demonstrations.
    pub separator: String,
}

/// Which end of a field is cut where a text is too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrimEnd {
    /// The beginning is kept.
    #[default]
    Last,
    /// The end is kept.
    First,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    text: Option<Spanned<String>>,
    #[serde(default)]
    texts: Vec<Spanned<String>>,
    labels: Option<BTreeMap<Spanned<String>, Vec<Entry>>>,
    answers: Option<Vec<Entry>>,
    trim: Option<Vec<String>>,
    #[serde(default)]
    trim_end: TrimEnd,
    separator: Option<String>,
}

/// An answer, or one with its weight.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Text(String),
    Weighted(Weighted),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weighted {
    answer: String,
    #[serde(default = "one")]
    weight: f64,
}

fn one() -> f64 {
    1.0
}

impl Entry {
    fn into_answer(self) -> (String, f64) {
        match self {
            Self::Text(text) => (text, 1.0),
            Self::Weighted(Weighted { answer, weight }) => (answer, weight),
        }
    }
}

impl Prompt {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, or as [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self, PromptError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| PromptError::Read { path: shown.clone(), source })?;
        Self::parse(&text, &shown)
    }

    /// Reads the text of a file, which is called `path` in messages.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(text: &str, path: &str) -> Result<Self, PromptError> {
        let wrong = |message: String| PromptError::File { path: path.to_owned(), message };
        let file: File =
            toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        let sources: Vec<&Spanned<String>> = file.text.iter().chain(&file.texts).collect();
        if sources.is_empty() {
            return Err(wrong("there is no template: text = \"{text} It was [Z].\"".into()));
        }
        let template = |source: &Spanned<String>| {
            Template::parse(source.get_ref()).map_err(|error| PromptError::Template {
                path: format!("{path}, line {}", text[..source.span().start].matches('\n').count() + 1),
                error,
            })
        };
        let templates: Vec<Template> = sources.into_iter().map(template).collect::<Result<_, _>>()?;
        let labels = match (file.labels, file.answers) {
            (Some(labels), None) => {
                let mut labels: Vec<_> = labels.into_iter().collect();
                // In the order of the file.
                labels.sort_by_key(|(name, _)| name.span().start);
                labels
                    .into_iter()
                    .map(|(name, answers)| {
                        (name.into_inner(), answers.into_iter().map(Entry::into_answer).collect())
                    })
                    .collect()
            }
            (None, Some(answers)) => answers
                .into_iter()
                .map(|answer| {
                    let answer = answer.into_answer();
                    (answer.0.clone(), vec![answer])
                })
                .collect(),
            (Some(_), Some(_)) => return Err(wrong("give `labels` or `answers`, not both".into())),
            (None, None) => {
                return Err(wrong(
                    "there are no answers: a section [labels] with positive = [\"great\"], or answers = [\"great\", \"terrible\"]"
                        .into(),
                ));
            }
        };
        let verbalizer = Verbalizer::new(labels).map_err(|error| wrong(error.to_string()))?;
        let stem =
            Path::new(path).file_stem().map_or_else(|| path.to_owned(), |stem| stem.to_string_lossy().into());
        let prompt = Self {
            name: file.name.unwrap_or(stem),
            path: path.to_owned(),
            templates,
            verbalizer,
            trim: file.trim,
            trim_end: file.trim_end,
            separator: file.separator.unwrap_or_else(|| "\n\n".into()),
        };
        let fields = prompt.fields();
        if let Some(unknown) = prompt.trim.iter().flatten().find(|name| !fields.contains(&name.as_str())) {
            let near = nearest(unknown, &fields);
            return Err(wrong(format!(
                "trim names the field `{unknown}`, which no template has{}",
                firebrand_corpus::did_you_mean(near)
            )));
        }
        Ok(prompt)
    }

    /// Prompts that are asked together. Each file has its labels in an order of its own; here all have that of the first one, so that a
    /// label has one number in all of them.
    ///
    /// # Errors
    /// One whose labels are not those of the first.
    pub fn ensemble(mut prompts: Vec<Self>) -> Result<Vec<Self>, PromptError> {
        let Some((first, others)) = prompts.split_first_mut() else { return Ok(prompts) };
        let labels = first.labels();
        for other in others {
            let theirs: Vec<&str> = other.labels().iter().map(String::as_str).collect();
            let path = &other.path;
            let problem = match labels.iter().find(|label| !theirs.contains(&label.as_str())) {
                Some(missing) => Some(format!(
                    "`{path}` has no label `{missing}`, which `{}` has: there is {}{}",
                    first.path,
                    theirs.join(", "),
                    firebrand_corpus::did_you_mean(nearest(missing, &theirs))
                )),
                None => theirs
                    .iter()
                    .find(|label| !labels.iter().any(|known| known == *label))
                    .map(|more| format!("`{path}` has the label `{more}`, which `{}` has not", first.path)),
            };
            if let Some(problem) = problem {
                return Err(PromptError::Ensemble(format!(
                    "prompts that are asked together have the same labels, and {problem}"
                )));
            }
            other.verbalizer = other.verbalizer.in_order(labels);
        }
        Ok(prompts)
    }

    /// The names of the labels, in the order of the file, or of the first one of an [ensemble](Self::ensemble).
    pub fn labels(&self) -> &[String] {
        self.verbalizer.labels()
    }

    /// The names of all fields of all its templates, in order.
    pub fn fields(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.templates.iter().flat_map(|template| template.fields()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Refuses a prompt that asks for a field that inputs do not have; `known` are those that they have.
    ///
    /// # Errors
    /// Names the field and the nearest one.
    pub fn check_fields(&self, known: &[&str]) -> Result<(), PromptError> {
        match self.fields().into_iter().find(|field| !known.contains(field)) {
            None => Ok(()),
            Some(field) => Err(PromptError::UnknownField {
                field: field.to_owned(),
                known: if known.is_empty() { "none".into() } else { known.join(", ") },
                nearest: nearest(field, known).map(str::to_owned),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Prompt, String> {
        Prompt::parse(text, "dir/mine.toml").map_err(|error| error.to_string())
    }

    #[test]
    fn labels_stay_in_the_order_of_the_file() {
        let text = "text = \"{text} [Z]\"\n[labels]\npositive = [\"great\", { answer = \"good\", weight = 0.5 }]\nnegative = [\"bad\"]";
        let prompt = parse(text).expect("a prompt");
        assert_eq!(prompt.labels(), ["positive", "negative"]);
        assert_eq!(prompt.verbalizer.answers()[1].weight, 0.5);
        assert_eq!((prompt.name.as_str(), prompt.separator.as_str()), ("mine", "\n\n"));
        let set = parse("texts = [\"[Z] {a}\", \"{a} [Z]\"]\nanswers = [\"yes\", \"no\"]").expect("a prompt");
        assert_eq!((set.labels(), set.templates.len()), (&["yes".to_owned(), "no".to_owned()][..], 2));
    }

    #[test]
    fn wrong_files_say_where_and_what() {
        let error = |text: &str| parse(text).expect_err("wrong");
        assert!(
            error("text = \"{text}\"\nanswers = [\"a\", \"b\"]")
                .contains("dir/mine.toml, line 1: the template is wrong: line 1, column 7")
        );
        assert!(error("\ntext = \"{text\"\nanswers = [\"a\", \"b\"]").contains("mine.toml, line 2"));
        assert!(error("texts = []\nanswers = [\"a\", \"b\"]").contains("there is no template"));
        assert!(error("text = \"[Z]\"").contains("there are no answers"));
        assert!(error("text = \"[Z]\"\nanswer = [\"a\"]").contains("unknown field `answer`"));
        let trim = "text = \"{text} [Z]\"\ntrim = [\"txet\"]\nanswers = [\"a\", \"b\"]";
        assert!(
            error(trim).ends_with("trim names the field `txet`, which no template has; did you mean `text`?")
        );
    }

    #[test]
    fn a_field_that_is_not_there_is_named_with_the_nearest() {
        let prompt = parse("text = \"{txt} [Z]\"\nanswers = [\"a\", \"b\"]").expect("a prompt");
        let error = prompt.check_fields(&["text", "label"]).expect_err("no such field").to_string();
        let wanted = "the template asks for the field `txt`, which is not there: there is text, label; did you mean `text`?";
        assert_eq!(error, wanted);
    }
}
