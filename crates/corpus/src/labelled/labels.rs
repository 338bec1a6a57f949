//! The labels there are.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::nearest::{did_you_mean, nearest};

/// The names of the labels, each once. The place of a name is the label's number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Labels {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Labels {
    /// Labels by name; a name that comes twice counts once.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut labels = Self::default();
        for name in names {
            labels.place_or_add(&name);
        }
        labels
    }

    /// The names, by number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The number of a label.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// The number of a label, which is added if it is new.
    pub(super) fn place_or_add(&mut self, name: &str) -> usize {
        self.place(name).unwrap_or_else(|| {
            self.places.insert(name.to_owned(), self.names.len());
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }

    /// Puts them into an order that does not depend on the order of the examples: of numbers where all are whole numbers,
    /// else of characters. Returns where each has gone.
    pub(super) fn sort(&mut self) -> Vec<usize> {
        let numbers: Option<Vec<i64>> = self.names.iter().map(|name| name.parse().ok()).collect();
        let mut order: Vec<usize> = (0..self.len()).collect();
        match numbers {
            // Two names may be one number: `1` and `01`.
            Some(numbers) => order.sort_by_key(|&place| (numbers[place], &self.names[place])),
            None => order.sort_by_key(|&place| &self.names[place]),
        }
        let mut gone = vec![0; order.len()];
        for (to, &from) in order.iter().enumerate() {
            gone[from] = to;
        }
        *self = Self::new(order.iter().map(|&place| self.names[place].clone()));
        gone
    }

    /// What to say of a label that is none of these.
    pub(super) fn unknown(&self, name: &str) -> String {
        const SHOWN: usize = 12;
        let known: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let more = if known.len() > SHOWN { ", …" } else { "" };
        let hint = did_you_mean(nearest(name, &known));
        let known = known[..known.len().min(SHOWN)].join(", ");
        format!("the label `{name}` is none of those that are known: {known}{more}{hint}")
    }
}

impl From<Vec<String>> for Labels {
    fn from(names: Vec<String>) -> Self {
        Self::new(names)
    }
}

impl From<Labels> for Vec<String> {
    fn from(labels: Labels) -> Self {
        labels.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> (Vec<String>, Vec<usize>) {
        let mut labels = Labels::new(names.iter().map(ToString::to_string));
        let gone = labels.sort();
        for (place, name) in labels.names().iter().enumerate() {
            assert_eq!(labels.place(name), Some(place));
        }
        (labels.names, gone)
    }

    #[test]
    fn labels_stand_in_the_order_of_numbers_or_of_characters() {
        assert_eq!(sorted(&["10", "2", "-1"]), (vec!["-1".into(), "2".into(), "10".into()], vec![2, 1, 0]));
        assert_eq!(sorted(&["pos", "neg", "2"]).0, ["2", "neg", "pos"]);
        assert_eq!(sorted(&["1", "01", "1"]).0, ["01", "1"]);
    }

    #[test]
    fn an_unknown_label_is_told_from_the_nearest_known_one() {
        let labels = Labels::new(["negative".to_owned(), "positive".to_owned()]);
        assert_eq!(labels.place("positive"), Some(1));
        let expected = "the label `positiv` is none of those that are known: negative, positive; did you mean `positive`?";
        assert_eq!(labels.unknown("positiv"), expected);
    }
}
