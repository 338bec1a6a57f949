//! Why a constraint was refused.

/// Why a regular expression or a schema cannot be a constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstrainError {
    /// It is no regular expression.
    #[error("the regular expression is wrong at character {at}: {message}")]
    Pattern {
        /// Where, counted from 1.
        at: usize,
        /// What is wrong there.
        message: String,
    },

    /// Something that a regular expression cannot ask of a text that comes token by token.
    #[error(
        "the regular expression has {0}, which is not supported; the whole text has to match, so that it needs no ^ and $"
    )]
    PatternFeature(String),

    /// No text matches, or only the empty one.
    #[error("{0}: there would be nothing to generate")]
    Empty(&'static str),

    /// The schema is no JSON.
    #[error("the schema is not JSON: {0}")]
    Json(String),

    /// The schema is JSON, but no schema, or one with something that is not supported.
    #[error("the schema cannot be used: {0}")]
    Schema(String),

    /// It is too large.
    #[error("it cannot be made a constraint: {0}")]
    Compile(String),

    /// The vocabulary has no token to begin with.
    #[error("no token of the vocabulary can begin a text that matches")]
    Vocabulary,
}
