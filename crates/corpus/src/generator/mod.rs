//! The built-in corpus: a seeded probabilistic grammar with state, whose documents have exactly known probabilities.
//!
//! A grammar makes three kinds of documents about one small world: stories, labelled reviews, and pairs of sentences
//! labelled entailed, contradicted or neutral. It is written in a language of its own (`datasets/firebrand-stories/`
//! explains it and holds the grammar), checked and compiled when it is loaded. This module knows nothing of tokens or
//! models.
//!
//! # Why the probabilities are exact
//! A document is made by choices: of an alternative of a rule, of a word of a class. Each has a probability that
//! follows from integer weights and from the state so far (who the hero is, who holds what). Loading a grammar proves
//! that **every text has exactly one derivation** (the argument stands in `ambiguity.rs`), so the probability of a text
//! is the product over its choices, with nothing to sum over; the grammar has no recursion, so every derivation ends,
//! and the end of a document is decided by the same choices. [`Grammar::log_prob`] finds the derivation of a text and
//! returns the number that the generator returned with it, to the last bit.
//!
//! The mean of −log P is the entropy of the grammar ([`Grammar::entropy_nats`], computed, not sampled), and no model has
//! a lower expected loss: that is the *floor* ([`Floor`]). Which split a document belongs to is decided by a hash of
//! its text, so no text is in two splits; the probabilities are those before that decision, as no model that has not
//! seen the hash can use it.

mod ambiguity;
mod check;
mod classes;
mod compile;
mod entropy;
mod fronts;
mod generate;
mod positions;
mod program;
mod recognize;
mod source;
mod text;
mod write;

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

pub use write::{Floor, floor_of, write_labelled, write_stories};

/// The files of the built-in grammar, in the order in which they are read.
const BUILT_IN: [(&str, &str); 8] = [
    ("people.grammar", include_str!("../../../../datasets/firebrand-stories/people.grammar")),
    ("things.grammar", include_str!("../../../../datasets/firebrand-stories/things.grammar")),
    ("words.grammar", include_str!("../../../../datasets/firebrand-stories/words.grammar")),
    ("stories.grammar", include_str!("../../../../datasets/firebrand-stories/stories.grammar")),
    ("incidents.grammar", include_str!("../../../../datasets/firebrand-stories/incidents.grammar")),
    ("plots.grammar", include_str!("../../../../datasets/firebrand-stories/plots.grammar")),
    ("reviews.grammar", include_str!("../../../../datasets/firebrand-stories/reviews.grammar")),
    ("pairs.grammar", include_str!("../../../../datasets/firebrand-stories/pairs.grammar")),
];

/// What is wrong with a grammar, or with a text that should be in its language.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GrammarError {
    /// A line of a grammar that cannot be read, or that breaks a rule of the language.
    #[error("{file}:{line}: {message}")]
    Source {
        /// The file's name.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Two alternatives that some text cannot tell apart.
    #[error(
        "{file}: rule `{rule}`: the alternatives on lines {first_line} and {second_line} cannot be told apart: \
         both can continue with {text:?}"
    )]
    Ambiguous {
        /// The file's name.
        file: String,
        /// The rule.
        rule: String,
        /// The line of one alternative.
        first_line: usize,
        /// The line of the other.
        second_line: usize,
        /// A text that both can continue with: up to the end of the document, or for as long as was checked.
        text: String,
    },
    /// A document that the grammar cannot make.
    #[error("document {index} (byte {offset}) is not in the language of this grammar: it begins {start:?}")]
    NotInLanguage {
        /// Which document, from 1.
        index: u64,
        /// Where it begins in the text.
        offset: usize,
        /// Its first characters.
        start: String,
    },
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Short stories.
    Stories,
    /// Reviews with the labels of their aspects.
    Reviews,
    /// Two sentences, one a line, and whether the second follows from the first.
    Pairs,
}

impl Kind {
    /// The name of the kind, and of the rule that makes it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Stories => "stories",
            Kind::Reviews => "reviews",
            Kind::Pairs => "pairs",
        }
    }
}

/// A part of the corpus that shares no document with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// 18 of 20 documents.
    Train,
    /// 1 of 20 documents.
    Validation,
    /// 1 of 20 documents.
    Test,
}

impl Split {
    /// The name of the split.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }

    /// The split that a text belongs to, whatever the seed: decided by its FNV-1a hash, finished by a multiplication so
    /// that all its bits matter.
    pub fn of(text: &str) -> Split {
        let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mixed = (fnv ^ (fnv >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match (mixed >> 32) % 20 {
            0 => Split::Validation,
            1 => Split::Test,
            _ => Split::Train,
        }
    }
}

/// A text with its probability and labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The text, without a line break at its end.
    pub text: String,
    /// The natural logarithm of its probability under the grammar, its end included.
    pub log_prob: f64,
    /// Names and values of the labels, in the order of the grammar's declarations; see [`Document::to_json`].
    pub labels: Vec<(String, String)>,
}

/// A loaded and checked grammar.
pub struct Grammar {
    program: program::Program,
    hash: String,
}

impl Grammar {
    /// The grammar of the built-in corpus; the first call takes a moment for the checks.
    pub fn built_in() -> &'static Grammar {
        static GRAMMAR: OnceLock<Grammar> = OnceLock::new();
        GRAMMAR.get_or_init(|| {
            Grammar::parse_built_in().expect("the built-in grammar is part of the program and tested with it")
        })
    }

    /// Reads and checks the grammar of the built-in corpus anew.
    ///
    /// # Errors
    /// None in a program that passes its tests; it is for those who change the grammar.
    pub fn parse_built_in() -> Result<Grammar, GrammarError> {
        Grammar::parse_files(&BUILT_IN)
    }

    /// Reads and checks a grammar in one file; `name` is what errors call the file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn parse(source: &str, name: &str) -> Result<Grammar, GrammarError> {
        Grammar::parse_files(&[(name, source)])
    }

    /// Reads and checks a grammar in several files, given as (name, contents).
    ///
    /// # Errors
    /// The first thing that is wrong, with its file and line.
    pub fn parse_files(files: &[(&str, &str)]) -> Result<Grammar, GrammarError> {
        let mut source = source::Source::default();
        let mut hasher = Sha256::new();
        for (name, contents) in files {
            source.read(contents, name)?;
            hasher.update((contents.len() as u64).to_le_bytes());
            hasher.update(contents.as_bytes());
        }
        let program = compile::compile(&source)?;
        let facts = check::check(&program)?;
        ambiguity::check(&program, &facts)?;
        Ok(Grammar { program, hash: crate::digest::finish(hasher) })
    }

    /// The version of the grammar: the SHA-256, in hexadecimal, of its files, each preceded by its length in 8
    /// little-endian bytes.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The documents of a kind and split under a seed, without end. Document `i` depends on the arguments and `i`
    /// alone, so that `skip` costs nothing; see [`Grammar::document`].
    ///
    /// Ends at once when the grammar has no rule for the kind, or makes so few documents that none is in the split.
    pub fn documents(&self, kind: Kind, split: Split, seed: u64) -> impl Iterator<Item = Document> + '_ {
        generate::Generator::new(&self.program, kind, split, seed)
    }

    /// Document `index` of [`Grammar::documents`].
    pub fn document(&self, kind: Kind, split: Split, seed: u64, index: u64) -> Option<Document> {
        generate::Generator::new(&self.program, kind, split, seed).document(index)
    }

    /// The natural logarithm of the probability of a text; `None` when it is not in the language.
    pub fn log_prob(&self, kind: Kind, text: &str) -> Option<f64> {
        let start = self.program.starts[kind as usize]?;
        recognize::derivations(&self.program, start, text, 1).first().map(|found| found.log_prob)
    }

    /// The labels of a text; `None` when it is not in the language.
    pub fn labels(&self, kind: Kind, text: &str) -> Option<Vec<(String, String)>> {
        let start = self.program.starts[kind as usize]?;
        let found = recognize::derivations(&self.program, start, text, 1);
        found.first().map(|found| self.program.labels(kind, &found.state))
    }

    /// The entropy of a kind of document in nats: the mean of −log P. 0 for a kind that the grammar does not make.
    pub fn entropy_nats(&self, kind: Kind) -> f64 {
        self.program.starts[kind as usize].map_or(0.0, |start| entropy::entropy(&self.program, start))
    }
}
