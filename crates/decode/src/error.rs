//! Everything that can go wrong while generating.
//!
//! A program maps [`DecodeError::Config`] and [`DecodeError::Prompt`] to wrong usage, the others to a failed run.
//! Prompts, positions and ids are counted from 0 everywhere, in fields and in messages.

/// Why a generation failed.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The configuration asks for something impossible; nothing was fed to the model.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// A prompt cannot be continued; nothing was fed to the model.
    #[error(transparent)]
    Prompt(#[from] PromptError),

    /// The model returned something that is not a logit. (Minus infinity is one: a token of probability 0.)
    #[error(
        "the model's logit of id {id} for position {position} of sequence {sequence} is {value}: the \
         weights are damaged, or training diverged before they were saved"
    )]
    InvalidLogit {
        /// The sequence, by the number of its prompt.
        sequence: usize,
        /// The position to be filled, counting prompt and new ids.
        position: usize,
        /// The first id without a proper logit.
        id: u32,
        /// NaN or plus infinity.
        value: f32,
    },

    /// Every id has probability 0.
    #[error(
        "no id is left to choose for position {position} of sequence {sequence}: the model gives all that are \
         not banned the probability 0; end-of-text is banned until min_new_tokens is reached"
    )]
    NothingToChoose {
        /// The sequence, by the number of its prompt.
        sequence: usize,
        /// The position to be filled, counting prompt and new ids.
        position: usize,
    },

    /// The constraint lets nothing follow that could be chosen, though it is not met.
    #[error(
        "the constraint cannot be met: at position {position} of sequence {sequence} {}",
        if *has_token {
            "all that may follow is banned, not the forced token or of probability 0; end-of-text is banned until \
             min_new_tokens is reached"
        } else {
            "no token of the vocabulary spells what has to follow"
        }
    )]
    ConstraintUnmet {
        /// The sequence, by the number of its prompt.
        sequence: usize,
        /// The position to be filled, counting prompt and new ids.
        position: usize,
        /// Whether the vocabulary has a token that may follow.
        has_token: bool,
    },

    /// The constraint could not say what may follow.
    #[error("the constraint could not be followed")]
    Constraint(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// The model could not be run.
    #[error("the model failed while generating")]
    Model(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// The temperature is not a positive number.
    #[error(
        "temperature {0} is not a positive number; for the most likely token at every step, which is what a \
         temperature near 0 gives, choose the greedy strategy"
    )]
    Temperature(f64),

    /// Top-k would keep no token.
    #[error("top_k 0 keeps no token; leave it out to keep all of them, or give 1 or more")]
    TopK,

    /// Top-p is not a probability mass.
    #[error("top_p {0} is not in (0, 1]; 1 keeps every token")]
    TopP(f64),

    /// A threshold that is no probability.
    #[error("{name} {value} is not in (0, 1]; leave it out to keep every token")]
    Truncation {
        /// The option.
        name: &'static str,
        /// What it was given.
        value: f64,
    },

    /// A penalty that is no number.
    #[error("{name} penalty {value} is not a number; 0 changes nothing, more discourages repeats")]
    Penalty {
        /// The option.
        name: &'static str,
        /// What it was given.
        value: f64,
    },

    /// An id that was banned, forced or given a bias is not one of the model's.
    #[error("{what} id {id} is outside the model's vocabulary of {vocab_size} ids")]
    IdOutsideVocabulary {
        /// What it was meant for.
        what: &'static str,
        /// The id.
        id: u32,
        /// The model's number of ids.
        vocab_size: usize,
    },

    /// A bias that no logit can be added to.
    #[error("the bias {bias} of id {id} is not a number; minus infinity bans the id")]
    Bias {
        /// The id.
        id: u32,
        /// Its bias.
        bias: f32,
    },

    /// More generations are asked for than the strategy finds.
    #[error("n_best {n_best} is not from 1 to {most}, which is how many sequences the strategy finds")]
    NBest {
        /// How many were asked for.
        n_best: usize,
        /// How many there are.
        most: usize,
    },

    /// Speculation follows single sequences.
    #[error(
        "speculative decoding is for greedy decoding and sampling; it proposes what one sequence goes on with"
    )]
    Speculative,

    /// Contrastive search has a rule of its own.
    #[error("contrastive search chooses tokens by a rule of its own: leave the strategy greedy")]
    Contrastive,

    /// A draft whose ids are not the model's.
    #[error("the draft has {draft} ids, but the model has {model}: both need the same tokenizer")]
    DraftVocabulary {
        /// The draft's number of ids.
        draft: usize,
        /// The model's number of ids.
        model: usize,
    },

    /// An option of a strategy that nothing can be done with.
    #[error("{name} {value} {reason}")]
    Option {
        /// The option.
        name: &'static str,
        /// What it was given.
        value: f64,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The repetition penalty is not a positive number.
    #[error(
        "repetition penalty {0} is not a positive number; 1 changes nothing, more than 1 discourages repeats"
    )]
    RepetitionPenalty(f64),

    /// The minimum cannot be reached.
    #[error("min_new_tokens {min} is greater than max_new_tokens {max}")]
    MinAboveMax {
        /// `min_new_tokens`.
        min: usize,
        /// `max_new_tokens`.
        max: usize,
    },

    /// The end-of-text id is not one of the model's.
    #[error("the end-of-text id {id} is outside the model's vocabulary of {vocab_size} ids")]
    EndOfTextOutsideVocabulary {
        /// The configured id.
        id: u32,
        /// The model's number of ids.
        vocab_size: usize,
    },
}

/// Why a prompt was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// There is nothing to continue.
    #[error(
        "prompt {prompt} is empty: a model continues at least one token; start with the end-of-text token to \
         let it begin a new text"
    )]
    Empty {
        /// The number of the prompt.
        prompt: usize,
    },

    /// The model has no such id.
    #[error(
        "id {id} at position {position} of prompt {prompt} is outside the vocabulary of {vocab_size} ids; \
         was the prompt encoded with this model's tokenizer?"
    )]
    IdOutsideVocabulary {
        /// The number of the prompt.
        prompt: usize,
        /// The position of the id in it.
        position: usize,
        /// The id.
        id: u32,
        /// The model's number of ids.
        vocab_size: usize,
    },

    /// The prompt does not fit.
    #[error(
        "prompt {prompt} has {len} tokens, but the model's context holds {max_len}; shorten it by {} or more, or use a sliding \
         window",
        len - max_len
    )]
    TooLong {
        /// The number of the prompt.
        prompt: usize,
        /// Its number of ids.
        len: usize,
        /// The most ids the model can hold.
        max_len: usize,
    },
}
