//! What the weights that were kept say of the held-out examples.

use super::data::Encoded;
use crate::output::line;
use crate::{args::Global, report};
use firebrand_corpus::labelled::{self, Loaded};
use firebrand_finetune::report::{
    ClassificationReport, MultiLabelReport, RegressionReport, Report, TaggingReport,
};
use firebrand_finetune::{Example, Target, predict, probabilities};
use firebrand_transformer::{Classifier, HeadConfig, Sequence, TaskKind};
use std::path::Path;

/// Judges `model`, without autodiff, by what is held out; `None` where nothing is.
pub(super) fn judge(model: &Classifier, encoded: &Encoded, rows: usize) -> Option<Report> {
    let sequences: Vec<Sequence<'_>> = encoded.held_out.iter().map(Example::sequence).collect();
    if sequences.is_empty() {
        return None;
    }
    let outputs = predict(model, &sequences, rows);
    let targets = encoded.held_out.iter().map(|example| &example.target);
    Some(report_of(model.head_config(), &outputs, targets, &encoded.texts))
}

/// The report on outputs of a head; `texts` says which text each of them is of, where a text may have several.
pub(crate) fn report_of<'a>(
    head: &HeadConfig,
    outputs: &[Vec<f32>],
    targets: impl Iterator<Item = &'a Target>,
    texts: &[usize],
) -> Report {
    let names = &head.labels;
    let said: Vec<Vec<f64>> = match head.task {
        TaskKind::Tagging => Vec::new(),
        task => outputs.iter().map(|outputs| probabilities(task, outputs)).collect(),
    };
    match head.task {
        TaskKind::Classification => {
            let classes: Vec<usize> = targets
                .map(|target| match target {
                    Target::Class(class) => *class,
                    other => unreachable!("classes have classes, not {other:?}"),
                })
                .collect();
            Report::Classification(ClassificationReport::new(&said, &classes, names))
        }
        TaskKind::MultiLabel => {
            let labels: Vec<Vec<usize>> = targets
                .map(|target| match target {
                    Target::Labels(labels) => labels.clone(),
                    other => unreachable!("labels are labels, not {other:?}"),
                })
                .collect();
            Report::MultiLabel(MultiLabelReport::new(&said, &labels, names))
        }
        TaskKind::Regression => {
            let numbers: Vec<f64> = targets
                .map(|target| match target {
                    Target::Number(number) => *number,
                    other => unreachable!("numbers are numbers, not {other:?}"),
                })
                .collect();
            let said: Vec<f64> = said.iter().map(|said| said[0]).collect();
            Report::Regression(RegressionReport::new(&said, &numbers))
        }
        TaskKind::Tagging => {
            let n_texts = texts.last().map_or(0, |last| last + 1);
            let (mut predicted, mut tags) = (vec![Vec::new(); n_texts], vec![Vec::new(); n_texts]);
            for ((target, outputs), &text) in targets.zip(outputs).zip(texts) {
                let Target::Tags(of_ids) = target else { unreachable!("tags are tags, not {target:?}") };
                for (place, tag) in
                    of_ids.iter().enumerate().filter_map(|(place, tag)| Some((place, (*tag)?)))
                {
                    predicted[text].push(likeliest(&outputs[place * head.outputs..][..head.outputs]));
                    tags[text].push(tag);
                }
            }
            Report::Tagging(TaggingReport::new(&predicted, &tags, names))
        }
    }
}

/// The place of the highest of these, of equal ones the first.
pub(crate) fn likeliest(outputs: &[f32]) -> usize {
    (1..outputs.len()).fold(0, |best, other| if outputs[other] > outputs[best] { other } else { best })
}

/// Writes the report into the run's folder and prints it.
pub(super) fn tell(dir: &Path, judged: &Report, loaded: &Loaded, global: &Global) -> anyhow::Result<()> {
    report::write(dir, judged)?;
    if global.json || global.quiet {
        return Ok(());
    }
    let files = if loaded.held_out_files.is_empty() { &loaded.files } else { &loaded.held_out_files };
    let text = |example: usize| {
        let labelled::Example { text, place, .. } = loaded.held_out.get(example)?;
        let name = files.get(place.file)?.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Some(format!("{name}:{}: {text}", place.line))
    };
    report::lines(judged, &text).into_iter().try_for_each(line)
}
