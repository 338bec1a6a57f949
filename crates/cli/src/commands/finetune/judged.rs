//! The report on the part that a run is measured on.

use super::data::{Encoded, Part};
use super::measured::Of;
use crate::args::Global;
use crate::output::line;
use crate::report::{self, Basis};
use firebrand_corpus::labelled::{Example as Labelled, LabelledFile, Loaded};
use firebrand_finetune::report::Report;
use firebrand_finetune::{Example, judge, predict};
use firebrand_transformer::{Classifier, Sequence};
use std::path::Path;

/// Judges `model`, without autodiff, by the part that it is measured on, so many examples at once; `None` where there is none.
pub(super) fn judged(
    model: &Classifier,
    loaded: &Loaded,
    encoded: &Encoded,
    at_once: usize,
) -> Option<Report> {
    let Part { examples, texts } = match Of::report(loaded) {
        Of::HeldOut => &encoded.held_out,
        Of::Test => &encoded.test,
    };
    let sequences: Vec<Sequence<'_>> = examples.iter().map(Example::sequence).collect();
    if sequences.is_empty() {
        return None;
    }
    let outputs = predict(model, &sequences, at_once);
    let targets = examples.iter().map(|example| &example.target);
    Some(judge(model.head_config(), &outputs, targets, texts))
}

/// Writes the report into the run's folder, and prints it if asked to.
pub(super) fn tell(
    dir: &Path,
    judged: &Report,
    basis: Basis,
    loaded: &Loaded,
    print: bool,
    global: &Global,
) -> anyhow::Result<()> {
    report::write(dir, judged, basis)?;
    if !print || global.json || global.quiet {
        return Ok(());
    }
    let (examples, files) = Of::report(loaded).examples(loaded);
    let text = |example: usize| Some(located(examples.get(example)?, files));
    report::lines(judged, Some(basis), &text).into_iter().try_for_each(line)
}

/// An example's text, and where it stands.
pub(crate) fn located(example: &Labelled, files: &[LabelledFile]) -> String {
    let name = files.get(example.place.file).and_then(|file| file.path.file_name()).unwrap_or_default();
    let second = example.text_b.as_ref().map_or(String::new(), |second| format!(" | {second}"));
    format!("{}:{}: {}{second}", name.to_string_lossy(), example.place.line, example.text)
}
