//! Prompt-based learning: a text with a blank, answers that may stand in it, and which of them a model finds most probable.
//!
//! - [`template`]: `{text} It was [Z].`, filled with the fields of an input and an answer. [`Verbalizer`]: answers and the labels that they
//!   stand for. [`Prompt`]: both, as a TOML file says.
//! - [`filling`]: the one place where text becomes ids: a filled text is encoded whole, and demonstrations and fields are cut so that it fits.
//! - [`Question`]s are texts as ids; a [`Scorer`] says how probable they are, for every kind of model, and reads what they share once.
//! - [`Asking`]: a question as what a model reads and predicts all at once, which is what training on answers is made of.
//! - [`measure`]: the sum, per token, character and byte, PMI, contextual calibration.
//! - [`Classifier`]: all of it together, with [`Shots`] in front, and ensembles of templates.
//! - [`answers_of`]: answers found from few labelled examples.
//!
//! What it does not know: files of data, training, and which kind of model it asks, but for `score`.

mod asking;
mod classify;
mod cutting;
mod demonstrations;
mod error;
pub mod filling;
pub mod measure;
mod prompt;
mod question;
pub mod score;
mod search;
pub mod template;
mod verbalizer;

pub use asking::{Asking, Predicted, Reading};
pub use classify::{Classified, Classifier, Embed, OfTemplate, Quality, best_template, qualities};
pub use demonstrations::{Example, ShotChoice, Shots};
pub use error::{PromptError, ScoreError, Whose};
pub use measure::{AnswerScores, Measure};
pub use prompt::{Prompt, TrimEnd};
pub use question::{Candidate, Question, Score};
pub use score::{Causal, Scorer, SpecialIds, one_by_one, scorer, scorer_behind};
pub use search::{Found, answers_of, words};
pub use template::{Fields, Template, TemplateError};
pub use verbalizer::{Answer, Verbalizer};
