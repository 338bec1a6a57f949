//! Labelled data of a training run: which files, which part is held out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Columns, Duplicates, EmptyTexts, Example, Fold, Kind, Known, Labels, Reading, Target, duplicates, folds,
    held_out, read, strata, subset,
};
use crate::error::CorpusError;
use crate::sources::{FormatChoice, HeldOut, Split};

/// The section `[data]` of a configuration for labelled data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelledData {
    /// Files, or folders standing for the files in them whose names say their format.
    pub files: Vec<PathBuf>,
    /// Which format they are in.
    pub format: FormatChoice,
    /// CSV and TSV: the first line is an example like the others, and columns are called 0, 1, …
    pub no_header: bool,
    /// What becomes of examples without a text.
    pub empty_texts: EmptyTexts,
    /// Which columns are text and label.
    pub columns: Columns,
    /// What is kept away from training: a fraction, chosen by the seed with its share of every label, or files.
    pub held_out: HeldOut,
    /// Which of how many parts is held out, in the place of `held_out`: a fold of a cross-validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<FoldOf>,
    /// Leave out of training what is held out under the same words.
    pub drop_duplicates: bool,
    /// Train on so many examples only, with their share of every label; 0 for all.
    pub examples: usize,
}

/// A fold of a cross-validation. All folds together hold out every example once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldOf {
    /// Which, from 0.
    pub number: usize,
    /// Of how many.
    pub of: usize,
}

/// One file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledFile {
    /// Where it is.
    pub path: PathBuf,
    /// The sha256 of its contents.
    pub sha256: String,
    /// How many examples were read.
    pub examples: usize,
    /// How many were left out as they have no text.
    pub skipped: u64,
    /// The column that is the text.
    pub text: String,
    /// The column that is the second text; empty where there is none.
    pub text_b: String,
    /// The column that is the label.
    pub label: String,
}

/// Labelled data, divided.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The labels there are; none for numbers and texts.
    pub labels: Labels,
    /// What is trained on, in the order of the files.
    pub train: Vec<Example>,
    /// What is measured on and never trained on.
    pub held_out: Vec<Example>,
    /// The files of the examples that are trained on; of a fraction that is held out, those of both.
    pub files: Vec<LabelledFile>,
    /// The files of what is held out, where these are others.
    pub held_out_files: Vec<LabelledFile>,
    /// What stands on both sides; of what is trained on, before any was dropped or left aside.
    pub duplicates: Duplicates,
    /// How many of these were dropped from training.
    pub dropped: usize,
}

impl LabelledData {
    /// How the files are read.
    pub fn reading(&self) -> Reading {
        let Self { format, no_header, empty_texts, columns, .. } = self;
        Reading {
            format: *format,
            no_header: *no_header,
            empty_texts: *empty_texts,
            columns: columns.clone(),
        }
    }

    /// Reads all files and divides the examples by the seed. The labels are those of `known`, if any, else those of the
    /// training files, in an order of their own; others are errors.
    ///
    /// # Errors
    /// What [`read`] says of files; a single label, or a single number, where there is nothing to tell apart; a fraction
    /// that leaves nothing on one side.
    pub fn load(&self, kind: Kind, seed: u64, known: Option<&Labels>) -> Result<Loaded, CorpusError> {
        let (mut all, labels) = self.read_all(kind, known)?;
        let (mut train, held_out, held_out_files) = match &self.held_out {
            _ if self.fold.is_some() => {
                let fold = self.fold_of(&all.examples, seed)?;
                let (train, held_out) = divide(std::mem::take(&mut all.examples), &fold);
                (train, held_out, Vec::new())
            }
            HeldOut::None => (all.examples, Vec::new(), Vec::new()),
            HeldOut::Files(paths) => {
                let held_out = read(paths, &self.reading(), kind, &mut Known::Only(&labels))?;
                (all.examples, held_out.examples, held_out.files)
            }
            HeldOut::Fraction(fraction) => {
                let fold = self.fold(*fraction, &all.examples, seed)?;
                let (train, held_out) = divide(std::mem::take(&mut all.examples), &fold);
                (train, held_out, Vec::new())
            }
        };
        let duplicates = duplicates(&train, &held_out);
        let mut dropped = 0;
        if self.drop_duplicates {
            dropped = duplicates.train.len();
            let mut place = 0;
            train.retain(|_| {
                place += 1;
                duplicates.train.binary_search(&(place - 1)).is_err()
            });
            if train.is_empty() {
                return Err(CorpusError::EmptySplit {
                    split: Split::Train,
                    found: format!("{dropped} duplicates"),
                });
            }
        }
        if self.examples > 0 && self.examples < train.len() {
            let chosen = subset(&strata(&train), self.examples, seed);
            train = pick(&train, &chosen);
        }
        Ok(Loaded { labels, train, held_out, files: all.files, held_out_files, duplicates, dropped })
    }

    /// All examples of the files, undivided, and the labels: for cross-validation.
    ///
    /// # Errors
    /// As [`LabelledData::load`].
    pub fn read_all(&self, kind: Kind, known: Option<&Labels>) -> Result<(super::Read, Labels), CorpusError> {
        let reading = self.reading();
        if let Some(labels) = known {
            let all = read(&self.files, &reading, kind, &mut Known::Only(labels))?;
            return Ok((all, labels.clone()));
        }
        let mut labels = Labels::default();
        let mut all = read(&self.files, &reading, kind, &mut Known::Open(&mut labels))?;
        let gone = labels.sort();
        all.examples.iter_mut().for_each(|example| renumber(&mut example.target, &gone));
        check_difference(kind, &labels, &all.examples)?;
        Ok((all, labels))
    }

    /// The fold that is asked for.
    fn fold_of(&self, examples: &[Example], seed: u64) -> Result<Fold, CorpusError> {
        let FoldOf { number, of } = self.fold.expect("asked for where there is one");
        if of < 2 || of > examples.len() || number >= of {
            return Err(CorpusError::NoFold { number, of, examples: examples.len() });
        }
        Ok(folds(&strata(examples), of, seed).swap_remove(number))
    }

    fn fold(&self, fraction: f64, examples: &[Example], seed: u64) -> Result<Fold, CorpusError> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(CorpusError::InvalidFraction(fraction));
        }
        if examples.len() < 2 {
            let found = format!("{} example", examples.len());
            return Err(CorpusError::EmptySplit { split: Split::Train, found });
        }
        Ok(held_out(&strata(examples), fraction, seed))
    }
}

/// The examples at these places.
fn pick(examples: &[Example], places: &[usize]) -> Vec<Example> {
    places.iter().map(|&place| examples[place].clone()).collect()
}

fn divide(examples: Vec<Example>, fold: &Fold) -> (Vec<Example>, Vec<Example>) {
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    for (place, example) in examples.into_iter().enumerate() {
        match fold.held_out.binary_search(&place) {
            Ok(_) => held_out.push(example),
            Err(_) => train.push(example),
        }
    }
    (train, held_out)
}

fn renumber(target: &mut Target, gone: &[usize]) {
    match target {
        Target::Class(label) => *label = gone[*label],
        Target::Classes(labels) => {
            labels.iter_mut().for_each(|label| *label = gone[*label]);
            labels.sort_unstable();
        }
        Target::Tags(words) => words.iter_mut().for_each(|word| word.tag = gone[word.tag]),
        Target::None | Target::Number(_) | Target::Text(_) | Target::Turns(_) => {}
    }
}

/// Refuses data in which there is nothing to tell apart.
fn check_difference(kind: Kind, labels: &Labels, examples: &[Example]) -> Result<(), CorpusError> {
    let n = examples.len();
    let all_same = examples.windows(2).all(|pair| pair[0].target == pair[1].target);
    let same = |what: String| Err(CorpusError::OneLabel { examples: n, what });
    match (kind, labels.names(), examples.first().map(|example| &example.target)) {
        (Kind::Class | Kind::Tags, [label], _) => same(format!("the label `{label}`")),
        (Kind::Classes, [], _) => same("no label at all".into()),
        (Kind::Classes, names, Some(Target::Classes(_))) if all_same => {
            same(format!("the same labels ({})", names.join(", ")))
        }
        (Kind::Number, _, Some(Target::Number(number))) if all_same => same(format!("the number {number}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "labelled_tests.rs"]
mod tests;
