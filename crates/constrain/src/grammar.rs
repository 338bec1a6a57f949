//! What is asked for, and the constraint it makes.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use firebrand_decode::Constraint;
use firebrand_tokenizer::TokenTable;
use llguidance::api::TopLevelGrammar;
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use serde_json::Value;
use toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

use crate::error::ConstrainError;
use crate::pattern;
use crate::states::{State, States, message};

/// The longest token that can be part of a match, in bytes. llguidance's trie holds no longer ones.
const LONGEST_TOKEN: usize = 1000;

/// A regular expression or a schema, for a vocabulary.
///
/// It is made with the end-of-text id that the generation has. Tokens spell the text with their bytes, whatever way; special tokens spell nothing and never come. End-of-text may come
/// wherever the text matches. A text can run into a dead end where the vocabulary has no token for what has to follow.
pub struct Grammar {
    states: Mutex<States>,
    end_of_text: Option<u32>,
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammar").field("end_of_text", &self.end_of_text).finish_non_exhaustive()
    }
}

impl Grammar {
    /// Texts that a regular expression matches as a whole, in the syntax of the crate `regex`.
    ///
    /// # Errors
    /// What is wrong with the expression, and where; word boundaries and other assertions; one that only the empty text matches.
    pub fn regular_expression(
        pattern: &str,
        tokens: &TokenTable,
        end_of_text: Option<u32>,
    ) -> Result<Self, ConstrainError> {
        let grammar = TopLevelGrammar::from_regex(&pattern::plain(pattern)?);
        Self::new(grammar, tokens, end_of_text, ConstrainError::Compile)
    }

    /// JSON that a schema allows, on one line, perhaps with a space after each comma and colon. Properties come in the order of the
    /// schema.
    ///
    /// # Errors
    /// A schema that is not JSON, that nothing meets, or with a keyword that is not supported.
    pub fn json_schema(
        schema: &str,
        tokens: &TokenTable,
        end_of_text: Option<u32>,
    ) -> Result<Self, ConstrainError> {
        let schema: Value =
            serde_json::from_str(schema).map_err(|error| ConstrainError::Json(error.to_string()))?;
        let mut schema = match schema {
            Value::Bool(true) => Value::Object(serde_json::Map::new()),
            Value::Object(_) => schema,
            Value::Bool(false) => return Err(ConstrainError::Empty("no text meets the schema `false`")),
            other => return Err(ConstrainError::Schema(format!("{other} is no object"))),
        };
        // A small model that may put white space anywhere puts nothing else.
        let options = JsonCompileOptions {
            item_separator: ", ?".to_owned(),
            key_separator: ": ?".to_owned(),
            whitespace_flexible: false,
            ..JsonCompileOptions::default()
        };
        options.apply_to(&mut schema);
        Self::new(TopLevelGrammar::from_json_schema(schema), tokens, end_of_text, ConstrainError::Schema)
    }

    fn new(
        grammar: TopLevelGrammar,
        tokens: &TokenTable,
        end_of_text: Option<u32>,
        refused: fn(String) -> ConstrainError,
    ) -> Result<Self, ConstrainError> {
        let refused = |error: String| refused(message(error));
        let factory = ParserFactory::new_simple(&environment(tokens, end_of_text));
        let mut factory = factory.map_err(|error| refused(error.to_string()))?;
        factory.quiet().limits_mut().verbose_errors = false;
        let mut matcher = Matcher::new(factory.create_parser(grammar));
        if let Some(error) = matcher.get_error() {
            return Err(refused(error));
        }
        // What it warns of it would not hold.
        if let Some(warning) = matcher.grammar_warnings().into_iter().next() {
            return Err(refused(warning));
        }
        let states = States::new(matcher, tokens.len()).map_err(ConstrainError::Compile)?;
        if states.first().is_last() {
            return Err(ConstrainError::Vocabulary);
        }
        Ok(Self { states: Mutex::new(states), end_of_text })
    }

    /// Hands on what may follow; nothing if the ids so far may not be there.
    fn after<T>(&self, ids: &[u32], see: impl FnOnce(Option<&State>) -> T) -> Result<T, String> {
        // Whoever panicked with the lock left states that are whole.
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.after(ids).map(see)
    }
}

impl Constraint for Grammar {
    fn allow(&self, new_ids: &[u32], logits: &mut [f32]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let allow = |state: Option<&State>| {
            for (id, logit) in (0..).zip(logits) {
                let is_end = self.end_of_text == Some(id);
                if !state.is_some_and(|state| if is_end { state.may_end } else { state.is_allowed(id) }) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        };
        Ok(self.after(new_ids, allow)?)
    }

    fn is_complete(&self, new_ids: &[u32]) -> bool {
        // An error comes again where it is asked what may follow.
        let is_complete = |state: Option<&State>| state.is_some_and(|state| state.may_end && state.is_last());
        self.after(new_ids, is_complete).unwrap_or(false)
    }
}

/// The vocabulary, as llguidance knows it.
fn environment(tokens: &TokenTable, end_of_text: Option<u32>) -> TokEnv {
    let spells = |id: u32| {
        let bytes = tokens.bytes(id);
        // 0xFF is in no text, and marks special tokens there.
        let spells = Some(id) != end_of_text && bytes.first() != Some(&0xFF) && bytes.len() <= LONGEST_TOKEN;
        if spells { bytes.to_vec() } else { Vec::new() }
    };
    let mut words: Vec<Vec<u8>> = (0..tokens.len() as u32).map(spells).collect();
    // Its end-of-text: one more token, so that ours is told apart, or there need be none.
    words.push(Vec::new());
    let info = TokRxInfo::new(words.len() as u32, tokens.len() as u32);
    // Any way to cut a text into tokens is allowed, not just the tokenizer's.
    Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)))
}
