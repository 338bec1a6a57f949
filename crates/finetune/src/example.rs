//! Labelled examples as ids.

use firebrand_training::Rows;
use firebrand_transformer::Sequence;
use std::ops::Range;

/// A text, or two, and what is to be said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// As the model reads it, with what stands around it: at least one id.
    pub ids: Vec<u32>,
    /// Where the second text begins, if there is one.
    pub second: Option<usize>,
    /// What is to be said.
    pub target: Target,
}

impl Example {
    /// What the model reads.
    pub fn sequence(&self) -> Sequence<'_> {
        Sequence { ids: &self.ids, second: self.second }
    }
}

/// What is to be said of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Its class.
    Class(usize),
    /// Its labels: none, one or several.
    Labels(Vec<usize>),
    /// A number.
    Number(f64),
    /// The tag of each id; `None` where an id has none, such as those around a text.
    Tags(Vec<Option<usize>>),
}

/// An example of any task.
pub trait Item: Clone {
    /// How many ids the model reads of it: examples of like lengths go together.
    fn tokens(&self) -> usize;
}

impl Item for Example {
    fn tokens(&self) -> usize {
        self.ids.len()
    }
}

/// Examples that are trained on together.
#[derive(Debug, Clone, PartialEq)]
pub struct Examples<E>(pub Vec<E>);

impl<E: Item> Rows for Examples<E> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn tokens(&self) -> u64 {
        self.0.iter().map(|example| example.tokens() as u64).sum()
    }

    fn part(&self, range: Range<usize>) -> Self {
        Self(self.0[range].to_vec())
    }
}
