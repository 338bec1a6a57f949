//! Texts that stand on both sides of a split.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::{Example, Target};

/// What two parts have in common: examples with the same words in the same order, whatever white space stands between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// The places of the first part's examples that stand in the second one too.
    pub train: Vec<usize>,
    /// The places of the second part's examples that stand in the first one too.
    pub held_out: Vec<usize>,
    /// How many of the latter are said something else about.
    pub contradictions: usize,
}

/// What `train` and `held_out` have in common.
pub fn duplicates(train: &[Example], held_out: &[Example]) -> Duplicates {
    let mut first: HashMap<u128, &Target> = HashMap::new();
    for example in held_out {
        first.entry(hash(example)).or_insert(&example.target);
    }
    let among = |example: &Example, known: &HashMap<u128, &Target>| known.contains_key(&hash(example));
    let found = places(train, |example| among(example, &first));
    first.clear();
    for &place in &found {
        first.entry(hash(&train[place])).or_insert(&train[place].target);
    }
    let held_out_too = places(held_out, |example| among(example, &first));
    let contradicts = |&&place: &&usize| {
        let example: &Example = &held_out[place];
        !same(first[&hash(example)], &example.target)
    };
    let contradictions = held_out_too.iter().filter(contradicts).count();
    Duplicates { train: found, held_out: held_out_too, contradictions }
}

fn places(examples: &[Example], keep: impl Fn(&Example) -> bool) -> Vec<usize> {
    (0..examples.len()).filter(|&place| keep(&examples[place])).collect()
}

/// Whether the same is said. Where words stand in the text does not matter.
fn same(one: &Target, other: &Target) -> bool {
    match (one, other) {
        (Target::Tags(one), Target::Tags(other)) => {
            one.iter().map(|word| word.tag).eq(other.iter().map(|word| word.tag))
        }
        _ => one == other,
    }
}

fn hash(example: &Example) -> u128 {
    hash_of_words([Some(&*example.text), example.text_b.as_deref()].into_iter().flatten())
}

/// Half a sha256 of the words of some texts: two with the same hash have the same words.
pub(crate) fn hash_of_words<'a>(texts: impl Iterator<Item = &'a str>) -> u128 {
    let mut hasher = Sha256::new();
    for text in texts {
        for word in text.split_whitespace() {
            hasher.update(word);
            hasher.update(b" ");
        }
        // So that it matters which text a word is in.
        hasher.update(b"\n");
    }
    let digest = hasher.finalize();
    u128::from_le_bytes(digest[..16].try_into().expect("a sha256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;

    fn examples(texts: &[(&str, usize)]) -> Vec<Example> {
        let example = |(text, label): &(&str, usize)| Example {
            text: (*text).to_owned(),
            text_b: None,
            target: Target::Class(*label),
            place: Place { file: 0, line: 1 },
        };
        texts.iter().map(example).collect()
    }

    #[test]
    fn white_space_does_not_matter_and_words_do() {
        let train = examples(&[("a b", 0), ("ab", 0), ("c", 1), (" a\tb\n", 0)]);
        let held_out = examples(&[("a  b ", 1), ("d", 0), ("c", 1), ("a b", 0)]);
        let expected = Duplicates { train: vec![0, 2, 3], held_out: vec![0, 2, 3], contradictions: 1 };
        assert_eq!(duplicates(&train, &held_out), expected);
    }

    #[test]
    fn a_pair_is_another_text_than_its_words_in_one() {
        let one = examples(&[("a b", 0)]);
        let mut pair = examples(&[("a", 0)]);
        pair[0].text_b = Some("b".into());
        assert_eq!(duplicates(&one, &pair), Duplicates::default());
        assert_eq!(duplicates(&pair, &pair).train, [0]);
    }
}
