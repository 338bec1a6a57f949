//! What a run is measured on: the test part, by which nothing was chosen, or where there is none the held-out part.

use super::train::Trained;
use crate::report::Basis;
use firebrand_corpus::labelled::{Example, LabelledFile, Loaded};
use firebrand_finetune::report::Report;
use firebrand_training::{Evaluation, Figure, Objective};

/// A part that can be measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    HeldOut,
    Test,
}

impl Of {
    /// The one that a report is made of.
    pub(super) fn report(loaded: &Loaded) -> Self {
        if loaded.test.is_empty() { Self::HeldOut } else { Self::Test }
    }

    /// Its examples, and the files these are from.
    pub(super) fn examples(self, loaded: &Loaded) -> (&[Example], &[LabelledFile]) {
        let (examples, files) = match self {
            Self::HeldOut => (&loaded.held_out, &loaded.held_out_files),
            Self::Test => (&loaded.test, &loaded.test_files),
        };
        (examples, if files.is_empty() { &loaded.files } else { files })
    }
}

/// What the weights that were kept come to on a part.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) basis: Basis,
    pub(super) loss: f64,
    pub(super) figures: Vec<Figure>,
    /// Of a test part: the same of the held-out part, if anything is held out.
    pub(super) chosen_by: Option<Evaluation>,
}

impl Measured {
    /// Of a finished run, with the figures of the report on it, where the task has one; `None` if there was nothing to measure on.
    pub(super) fn new<O: Objective>(trained: &Trained<O>, report: Option<&Report>) -> Option<Self> {
        let held_out = trained.finished.evaluation.clone();
        let basis = trained.basis()?;
        let (evaluation, chosen_by) = match &trained.test {
            Some(test) => (test.clone(), held_out),
            None => (held_out?, None),
        };
        let mut figures = evaluation.figures;
        for (name, value) in report.map_or(Vec::new(), Report::figures) {
            // The report's are of whole texts; those of training may be of their parts.
            match figures.iter_mut().find(|figure| figure.name == name) {
                Some(figure) => figure.value = value,
                None if name == "loss" => {}
                None => figures.push(Figure { name, value }),
            }
        }
        Some(Self { basis, loss: evaluation.loss, figures, chosen_by })
    }
}
