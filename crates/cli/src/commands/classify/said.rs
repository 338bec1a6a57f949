//! What is said of one text.

use firebrand_finetune::{likeliest, mean_probabilities};
use firebrand_transformer::{HeadConfig, TaskKind};
use serde_json::{Map, Value, json};

/// What a head says of one text: probabilities of its labels, or a number.
pub(super) struct Said<'a> {
    head: &'a HeadConfig,
    numbers: Vec<f64>,
}

impl<'a> Said<'a> {
    /// What the outputs for the parts of a text say of it.
    pub(super) fn new<'b>(head: &'a HeadConfig, parts: impl IntoIterator<Item = &'b [f32]>) -> Self {
        Self { head, numbers: mean_probabilities(head.task, parts) }
    }

    fn label(&self, output: usize) -> &str {
        self.head.labels.get(output).map_or("", String::as_str)
    }

    /// The most likely class.
    fn class(&self) -> usize {
        likeliest(&self.numbers)
    }

    /// The labels that are more likely than not.
    fn labels(&self) -> Vec<&str> {
        (0..self.numbers.len())
            .filter(|&label| self.numbers[label] > 0.5)
            .map(|label| self.label(label))
            .collect()
    }

    /// What is said in few words: the class, the labels, the number.
    pub(super) fn short(&self) -> String {
        match self.head.task {
            TaskKind::Classification | TaskKind::Tagging => self.label(self.class()).to_owned(),
            TaskKind::MultiLabel => self.labels().join(","),
            TaskKind::Regression => format!("{:.4}", self.numbers[0]),
        }
    }

    /// How sure it is of that, for people; nothing of a number.
    pub(super) fn sure(&self) -> String {
        match self.head.task {
            TaskKind::Classification | TaskKind::Tagging => format!("{:.3}", self.numbers[self.class()]),
            TaskKind::MultiLabel => {
                let said = self.numbers.iter().filter(|&&probability| probability > 0.5);
                said.map(|probability| format!("{probability:.3}")).collect::<Vec<_>>().join(",")
            }
            TaskKind::Regression => String::new(),
        }
    }

    /// All of it.
    pub(super) fn json(&self) -> Map<String, Value> {
        let mut all = Map::new();
        match self.head.task {
            TaskKind::Classification | TaskKind::Tagging => {
                all.insert("label".into(), json!(self.short()));
                all.insert("probability".into(), json!(self.numbers[self.class()]));
            }
            TaskKind::MultiLabel => _ = all.insert("labels".into(), json!(self.labels())),
            TaskKind::Regression => _ = all.insert("value".into(), json!(self.numbers[0])),
        }
        if self.head.task != TaskKind::Regression {
            let each =
                self.numbers.iter().enumerate().map(|(i, &number)| (self.label(i).to_owned(), json!(number)));
            all.insert("probabilities".into(), Value::Object(each.collect()));
        }
        all
    }

    /// The columns that are added to a file: what they are called.
    pub(super) fn column_names(head: &HeadConfig) -> Vec<String> {
        match head.task {
            TaskKind::Classification | TaskKind::Tagging => vec!["predicted".into(), "probability".into()],
            TaskKind::MultiLabel => {
                let each = head.labels.iter().map(|label| format!("probability of {label}"));
                std::iter::once("predicted".to_owned()).chain(each).collect()
            }
            TaskKind::Regression => vec!["predicted".into()],
        }
    }

    /// What stands in those columns.
    pub(super) fn columns(&self) -> Vec<Value> {
        match self.head.task {
            TaskKind::Classification | TaskKind::Tagging => {
                vec![json!(self.short()), json!(self.numbers[self.class()])]
            }
            TaskKind::MultiLabel => std::iter::once(json!(self.short()))
                .chain(self.numbers.iter().map(|number| json!(number)))
                .collect(),
            TaskKind::Regression => vec![json!(self.numbers[0])],
        }
    }
}
