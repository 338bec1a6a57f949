//! Everything that can go wrong.

use firebrand_corpus::did_you_mean;
use std::error::Error;
use std::fmt;

/// What a question is about, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The input of this number, from 0.
    Input(usize),
    /// No input: all fields hold this text, which says nothing.
    ContentFree(&'static str),
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(number) => write!(f, "input {}", number + 1),
            Self::ContentFree("") => {
                f.write_str("no input (empty fields, which PMI and calibration ask about)")
            }
            Self::ContentFree(text) => {
                write!(f, "no input (`{text}` in all fields, which calibration asks about)")
            }
        }
    }
}

/// Why a question has no scores.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// There is no token that could be predicted.
    #[error("text {question} has no token to score: it is empty, or all of it is given")]
    Nothing {
        /// The number of the question, from 0.
        question: usize,
    },
    /// More ids than the model's context.
    #[error("text {question} has {tokens} tokens, and the model's context has room for {most}: cut it")]
    TooLong {
        /// The number of the question, from 0.
        question: usize,
        /// Ids of its longest candidate.
        tokens: usize,
        /// The most that there can be.
        most: usize,
    },
    /// An id that the model has no token for.
    #[error("id {id} of text {question} is outside the vocabulary of {vocab_size} tokens")]
    Vocabulary {
        /// The number of the question, from 0.
        question: usize,
        /// The id.
        id: u32,
        /// Ids are below this.
        vocab_size: usize,
    },
    /// The model computes no numbers: its training diverged.
    #[error("the model's logits are not finite: it has diverged, or its weights are damaged")]
    NotFinite,
    /// A model that predicts no tokens.
    #[error("{0}")]
    PredictsNothing(&'static str),
    /// The tokenizer lacks what this kind of model is asked with.
    #[error("the tokenizer of this model has no {token} token: {reason}")]
    NoToken {
        /// How it would be written.
        token: &'static str,
        /// What it is needed for.
        reason: &'static str,
    },
    /// More blanks than the model was trained with.
    #[error("{blanks} blanks, and this model was trained with {most} at most")]
    Blanks {
        /// Blanks of the text.
        blanks: usize,
        /// Sentinels of the tokenizer.
        most: usize,
    },
    /// A step failed.
    #[error("the model failed")]
    Model(#[source] Box<dyn Error + Send + Sync>),
}

/// Why a prompt cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// A file cannot be read.
    #[error("{path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A template is wrong.
    #[error("{path}: the template is wrong: {error}")]
    Template {
        /// The file.
        path: String,
        /// What is wrong, and where.
        error: crate::template::TemplateError,
    },
    /// A template asks for a field that is not there.
    #[error("the template asks for the field `{field}`, which is not there: there is {known}{}", did_you_mean(.nearest.as_deref()))]
    UnknownField {
        /// The field.
        field: String,
        /// Those that are there.
        known: String,
        /// The one that may be meant.
        nearest: Option<String>,
    },
    /// Labels and answers that are of no use.
    #[error("{0}")]
    Answers(String),
    /// An answer of which there is no token.
    #[error("the answer `{answer}` is no token in {text:?}: the tokenizer makes nothing of it")]
    NoTokens {
        /// The answer.
        answer: String,
        /// Where it stands.
        text: String,
    },
    /// Answers that the tokenizer does not tell apart.
    #[error(
        "the answers `{0}` and `{1}` are the same tokens: the tokenizer does not know their characters, or makes them alike"
    )]
    SameTokens(String, String),
    /// The conditions of a template leave no blank.
    #[error(
        "{whose} leaves the template without a blank: every part of a condition needs one, or the text around"
    )]
    NoBlank {
        /// What was filled in.
        whose: Whose,
    },
    /// The filled text is longer than the context.
    #[error(
        "{whose} has {tokens} tokens in the template, and the model's context has room for {most}: {}",
        way_out(.trims)
    )]
    TooLong {
        /// What was filled in.
        whose: Whose,
        /// Tokens of the longest candidate, as short as it could be made.
        tokens: usize,
        /// The most that there can be.
        most: usize,
        /// Whether fields were cut.
        trims: bool,
    },
    /// Demonstrations that cannot be given.
    #[error("{0}")]
    Shots(String),
    /// Templates that do not go together.
    #[error("{0}")]
    Ensemble(String),
    /// No scores.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

/// What to do about a text that is too long.
fn way_out(trims: &bool) -> &'static str {
    match trims {
        true => "what stands around the fields is too long",
        false => "let a field be cut by `trim`, or cut the text",
    }
}
