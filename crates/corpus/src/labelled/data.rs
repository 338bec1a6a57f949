//! Labelled data of a training run: which files, which part is held out.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Columns, Duplicates, EmptyTexts, Example, Fold, Kind, Known, Labels, Reading, Target, duplicates, folds,
    held_out, read, split, strata, subset, tested,
};
use crate::error::CorpusError;
use crate::sources::{FormatChoice, HeldOut, Split};

/// The section `[data]` of a configuration for labelled data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// What is kept away from training, to choose by: a fraction of what is not in `test`, chosen by the seed with its share
    /// of every label, or files.
    pub held_out: HeldOut,
    /// What is measured on in the end and chooses nothing: likewise, before anything is held out. Nothing unless set.
    #[serde(skip_serializing_if = "is_none")]
    pub test: HeldOut,
    /// Which of how many parts is measured on, in the place of `test`: a fold of a cross-validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<FoldOf>,
    /// Leave out of training what is held out or measured on under the same words, and out of what is held out what is measured
    /// on.
    pub drop_duplicates: bool,
    /// Train on so many examples only, with their share of every label; 0 for all.
    pub examples: usize,
}

impl Default for LabelledData {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            format: FormatChoice::default(),
            no_header: false,
            empty_texts: EmptyTexts::default(),
            columns: Columns::default(),
            held_out: HeldOut::default(),
            test: HeldOut::None,
            fold: None,
            drop_duplicates: false,
            examples: 0,
        }
    }
}

fn is_none(part: &HeldOut) -> bool {
    *part == HeldOut::None
}

/// A fold of a cross-validation. All folds together measure on every example once.
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
    /// What is never trained on; what there is to choose may be chosen by it.
    pub held_out: Vec<Example>,
    /// What is neither trained on nor chosen by.
    pub test: Vec<Example>,
    /// The files of the examples that are trained on; of a fraction that is held out, those of both.
    pub files: Vec<LabelledFile>,
    /// The columns that are text, second text and label in all of these; absent where they differ.
    pub found: Columns,
    /// The files of what is held out, where these are others.
    pub held_out_files: Vec<LabelledFile>,
    /// The files of `test`, where these are others.
    pub test_files: Vec<LabelledFile>,
    /// What is both trained on and held out; before any was dropped or left aside, as in the next two.
    pub duplicates: Duplicates,
    /// What is both trained on and in `test`.
    pub test_duplicates: Duplicates,
    /// What is both held out, as the first part, and in `test`.
    pub chosen_duplicates: Duplicates,
    /// How many of these were dropped from training and from what is held out.
    pub dropped: usize,
}

impl Loaded {
    /// All files that were read.
    pub fn all_files(&self) -> impl Iterator<Item = &LabelledFile> {
        self.files.iter().chain(&self.held_out_files).chain(&self.test_files)
    }

    /// The labels that nothing has that is trained on.
    pub fn untrained_labels(&self) -> Vec<&str> {
        let trained: BTreeSet<usize> =
            self.train.iter().flat_map(|example| example.target.labels()).collect();
        self.names(|label| !trained.contains(&label))
    }

    /// The labels that one example alone has, which is trained on.
    pub fn single_labels(&self) -> Vec<&str> {
        let count = |part: &[Example]| {
            let mut counts = vec![0_usize; self.labels.len()];
            part.iter().flat_map(|example| example.target.labels()).for_each(|label| counts[label] += 1);
            counts
        };
        let [train, held_out, test] = [&self.train, &self.held_out, &self.test].map(|part| count(part));
        self.names(|label| (train[label], held_out[label] + test[label]) == (1, 0))
    }

    fn names(&self, is_meant: impl Fn(usize) -> bool) -> Vec<&str> {
        let names = self.labels.names().iter().enumerate();
        names.filter(|(label, _)| is_meant(*label)).map(|(_, name)| name.as_str()).collect()
    }
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
            found: Columns::default(),
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
        let (rest, test, test_files) = match self.fold {
            Some(_) => {
                let fold = self.fold_of(&all.examples, seed)?;
                let (rest, test) = divide(std::mem::take(&mut all.examples), &fold);
                (rest, test, Vec::new())
            }
            None => self.part(&self.test, tested, std::mem::take(&mut all.examples), kind, seed, &labels)?,
        };
        let (mut train, mut held_out, held_out_files) =
            self.part(&self.held_out, held_out, rest, kind, seed, &labels)?;
        let [held_out_too, tested_too, chosen_too] =
            [(&train, &held_out), (&train, &test), (&held_out, &test)]
                .map(|(one, other)| duplicates(one, other));
        let mut dropped = 0;
        if self.drop_duplicates {
            let of_train = held_out_too.train.iter().chain(&tested_too.train);
            dropped = drop_places(&mut train, of_train, Split::Train)?;
            dropped += drop_places(&mut held_out, chosen_too.train.iter(), Split::HeldOut)?;
        }
        if self.examples > 0 && self.examples < train.len() {
            let chosen = subset(&strata(&train), self.examples, seed);
            train = pick(&train, &chosen);
        }
        Ok(Loaded {
            labels,
            train,
            held_out,
            test,
            files: all.files,
            found: all.found,
            held_out_files,
            test_files,
            duplicates: held_out_too,
            test_duplicates: tested_too,
            chosen_duplicates: chosen_too,
            dropped,
        })
    }

    /// Takes a part away from examples: a fraction of them, or files of its own.
    fn part(
        &self,
        part: &HeldOut,
        chosen: fn(&[usize], f64, u64) -> Fold,
        examples: Vec<Example>,
        kind: Kind,
        seed: u64,
        labels: &Labels,
    ) -> Result<Parted, CorpusError> {
        Ok(match part {
            HeldOut::None => (examples, Vec::new(), Vec::new()),
            HeldOut::Files(paths) => {
                let read = read(paths, &self.reading(), kind, &mut Known::Only(labels))?;
                (examples, read.examples, read.files)
            }
            HeldOut::Fraction(fraction) => {
                let fold = fold(*fraction, chosen, &examples, seed)?;
                let (rest, taken) = divide(examples, &fold);
                (rest, taken, Vec::new())
            }
        })
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
}

/// What is left of examples, a part of them, and its files where it has some of its own.
type Parted = (Vec<Example>, Vec<Example>, Vec<LabelledFile>);

/// A fraction of the examples, and what is left: with an example of every label, where there are two of it.
fn fold(
    fraction: f64,
    chosen: fn(&[usize], f64, u64) -> Fold,
    examples: &[Example],
    seed: u64,
) -> Result<Fold, CorpusError> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(CorpusError::InvalidFraction(fraction));
    }
    if examples.len() < 2 {
        let found = format!("{} example", examples.len());
        return Err(CorpusError::EmptySplit { split: Split::Train, found });
    }
    let labels: Vec<BTreeSet<usize>> = examples.iter().map(|example| example.target.labels()).collect();
    Ok(split::keep_one_of_each(chosen(&strata(examples), fraction, seed), &labels))
}

/// Leaves out the examples at these places; returns how many. All of them must not be.
fn drop_places<'a>(
    examples: &mut Vec<Example>,
    places: impl Iterator<Item = &'a usize>,
    split: Split,
) -> Result<usize, CorpusError> {
    let places: BTreeSet<usize> = places.copied().collect();
    if places.is_empty() {
        return Ok(0);
    }
    let mut place = 0;
    examples.retain(|_| {
        place += 1;
        !places.contains(&(place - 1))
    });
    match examples.is_empty() {
        true => Err(CorpusError::EmptySplit { split, found: format!("{} duplicates", places.len()) }),
        false => Ok(places.len()),
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
        Target::None | Target::Words(_) | Target::Number(_) | Target::Text(_) | Target::Turns(_) => {}
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
