//! What the weights that were kept say of the held-out examples.

use super::data::Encoded;
use crate::args::Global;
use crate::output::line;
use crate::report;
use firebrand_corpus::labelled::{Example as Labelled, LabelledFile, Loaded};
use firebrand_finetune::report::Report;
use firebrand_finetune::{Example, judge, predict};
use firebrand_transformer::{Classifier, Sequence};
use std::path::Path;

/// Judges `model`, without autodiff, by what is held out, so many examples at once; `None` where nothing is.
pub(super) fn on_held_out(model: &Classifier, encoded: &Encoded, at_once: usize) -> Option<Report> {
    let sequences: Vec<Sequence<'_>> = encoded.held_out.iter().map(Example::sequence).collect();
    if sequences.is_empty() {
        return None;
    }
    let outputs = predict(model, &sequences, at_once);
    let targets = encoded.held_out.iter().map(|example| &example.target);
    Some(judge(model.head_config(), &outputs, targets, &encoded.texts))
}

/// Writes the report into the run's folder, and prints it if asked to.
pub(super) fn tell(
    dir: &Path,
    judged: &Report,
    loaded: &Loaded,
    print: bool,
    global: &Global,
) -> anyhow::Result<()> {
    report::write(dir, judged)?;
    if !print || global.json || global.quiet {
        return Ok(());
    }
    let files = if loaded.held_out_files.is_empty() { &loaded.files } else { &loaded.held_out_files };
    let text = |example: usize| Some(located(loaded.held_out.get(example)?, files));
    report::lines(judged, &text).into_iter().try_for_each(line)
}

/// An example's text, and where it stands.
pub(crate) fn located(example: &Labelled, files: &[LabelledFile]) -> String {
    let name = files.get(example.place.file).and_then(|file| file.path.file_name()).unwrap_or_default();
    let second = example.text_b.as_ref().map_or(String::new(), |second| format!(" | {second}"));
    format!("{}:{}: {}{second}", name.to_string_lossy(), example.place.line, example.text)
}
