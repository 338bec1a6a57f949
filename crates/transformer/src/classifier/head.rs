//! What a head is: the section `firebrand_head` of a `config.json`.

use super::body::width;
use crate::TransformerError;
use crate::config::{ModelConfig, ModelKind};
use crate::hugging_face::Architecture;
use serde::{Deserialize, Serialize};

/// What is said of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// Which one of several classes it is of.
    #[default]
    Classification,
    /// Which labels it has: none, one, several.
    MultiLabel,
    /// A number.
    Regression,
    /// Of each token, which tag it has.
    Tagging,
}

impl TaskKind {
    /// The name written in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::MultiLabel => "multi-label",
            Self::Regression => "regression",
            Self::Tagging => "tagging",
        }
    }
}

/// Which state stands for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// That of the last token: the only one that has seen all of it where tokens see those before them.
    Last,
    /// That of the first token.
    First,
    /// The mean of all.
    Mean,
    /// Of each component its maximum over all.
    Max,
    /// The last, the maximum and the mean beside each other [Howard 2018].
    Concat,
    /// None: each token stands for itself.
    Each,
}

impl Pooling {
    /// The name written in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::First => "first",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Concat => "concat",
            Self::Each => "each",
        }
    }
}

/// What a head is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// What its outputs say.
    pub task: TaskKind,
    /// The names of its outputs; of a number none.
    pub labels: Vec<String>,
    /// How many outputs it has.
    pub outputs: usize,
    /// Which state it reads.
    pub pooling: Pooling,
    /// A map and a tanh lie between.
    pub pooler: bool,
    /// The head has a bias.
    pub bias: bool,
    /// It reads a learned mix of the states of all layers.
    pub mix: bool,
}

impl HeadConfig {
    /// The head for a kind of body: of a decoder the state of the last token, of an encoder that of the first, of a bidirectional model
    /// the mean of a mix of its layers. Where transformers has a classifier of the body's architecture it is that.
    pub fn for_body(body: &ModelConfig, task: TaskKind, labels: Vec<String>) -> Self {
        let outputs = if task == TaskKind::Regression { 1 } else { labels.len() };
        let pooling = match (task, body.kind) {
            (TaskKind::Tagging, _) => Pooling::Each,
            (_, ModelKind::Decoder | ModelKind::Permutation) => Pooling::Last,
            (_, ModelKind::Encoder) => Pooling::First,
            (_, ModelKind::Bidirectional | ModelKind::EncoderDecoder) => Pooling::Mean,
        };
        Self {
            task,
            labels,
            outputs,
            pooling,
            pooler: body.kind == ModelKind::Encoder && task != TaskKind::Tagging,
            bias: body.kind != ModelKind::Decoder || task == TaskKind::Tagging,
            mix: body.kind == ModelKind::Bidirectional,
        }
    }

    /// The same with another state for a text: `pooling`. BERT's map and tanh go with the first token only.
    #[must_use]
    pub fn with_pooling(self, pooling: Pooling) -> Self {
        Self { pooling, pooler: self.pooler && pooling == Pooling::First, ..self }
    }

    /// How wide that state is, of a body of `width`.
    pub(super) fn pooled_width(&self, width: usize) -> usize {
        if self.pooling == Pooling::Concat { 3 * width } else { width }
    }

    /// Refuses what does not fit the body or itself.
    pub(super) fn check(&self, body: &ModelConfig) -> Result<(), TransformerError> {
        let fail = |message: String| Err(TransformerError::Config(message));
        if self.outputs == 0 || width(body) == 0 {
            return fail("a head has at least one output".into());
        }
        if !self.labels.is_empty() && self.labels.len() != self.outputs {
            return fail(format!("{} labels name {} outputs", self.labels.len(), self.outputs));
        }
        if self.pooler && self.pooling == Pooling::Concat {
            return fail("a pooler does not fit pooling concat".into());
        }
        if (self.pooling == Pooling::Each) != (self.task == TaskKind::Tagging) {
            return fail(format!(
                "pooling {} does not fit the task {}",
                self.pooling.name(),
                self.task.name()
            ));
        }
        Ok(())
    }

    /// The class that transformers has for this head on `body`, if it has one that computes the same.
    pub fn class(&self, body: &ModelConfig) -> Option<&'static str> {
        let tagging = self.task == TaskKind::Tagging;
        let plain = !self.mix && !self.pooler;
        match Architecture::of(body) {
            Architecture::Llama if plain && self.pooling == Pooling::Last && !self.bias => {
                Some("LlamaForSequenceClassification")
            }
            Architecture::Gpt2 if plain && self.pooling == Pooling::Last && !self.bias => {
                Some("GPT2ForSequenceClassification")
            }
            Architecture::Llama if plain && tagging && self.bias => Some("LlamaForTokenClassification"),
            Architecture::Gpt2 if plain && tagging && self.bias => Some("GPT2ForTokenClassification"),
            Architecture::Bert if self.pooler && !self.mix && self.pooling == Pooling::First && self.bias => {
                Some("BertForSequenceClassification")
            }
            Architecture::Bert if plain && tagging && self.bias => Some("BertForTokenClassification"),
            _ => None,
        }
    }
}
