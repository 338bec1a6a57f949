//! From the outputs of a head to a report.

use crate::example::Target;
use crate::predict::probabilities;
use crate::report::{ClassificationReport, MultiLabelReport, RegressionReport, Report, TaggingReport};
use firebrand_transformer::{HeadConfig, TaskKind};

/// The report on the outputs of a head for some examples; `texts` says which text each of them is of, in rising order: one that is
/// too long to be tagged at once is several examples.
///
/// # Panics
/// When a target is none of the head's task.
pub fn judge<'a>(
    head: &HeadConfig,
    outputs: &[Vec<f32>],
    targets: impl Iterator<Item = &'a Target>,
    texts: &[usize],
) -> Report {
    let names = &head.labels;
    let said =
        || -> Vec<Vec<f64>> { outputs.iter().map(|outputs| probabilities(head.task, outputs)).collect() };
    match head.task {
        TaskKind::Classification => {
            let classes: Vec<usize> = targets
                .map(|target| match target {
                    Target::Class(class) => *class,
                    other => unreachable!("classes have classes, not {other:?}"),
                })
                .collect();
            Report::Classification(ClassificationReport::new(&said(), &classes, names))
        }
        TaskKind::MultiLabel => {
            let labels: Vec<Vec<usize>> = targets
                .map(|target| match target {
                    Target::Labels(labels) => labels.clone(),
                    other => unreachable!("labels are labels, not {other:?}"),
                })
                .collect();
            Report::MultiLabel(MultiLabelReport::new(&said(), &labels, names))
        }
        TaskKind::Regression => {
            let numbers: Vec<f64> = targets
                .map(|target| match target {
                    Target::Number(number) => *number,
                    other => unreachable!("numbers are numbers, not {other:?}"),
                })
                .collect();
            let said: Vec<f64> = said().iter().map(|said| said[0]).collect();
            Report::Regression(RegressionReport::new(&said, &numbers))
        }
        TaskKind::Tagging => {
            let n_texts = texts.last().map_or(0, |last| last + 1);
            let (mut predicted, mut tags) = (vec![Vec::new(); n_texts], vec![Vec::new(); n_texts]);
            for ((target, outputs), &text) in targets.zip(outputs).zip(texts) {
                let Target::Tags(of_ids) = target else { unreachable!("tags are tags, not {target:?}") };
                let tagged = of_ids.iter().enumerate().filter_map(|(place, tag)| Some((place, (*tag)?)));
                for (place, tag) in tagged {
                    predicted[text].push(likeliest(&outputs[place * head.outputs..][..head.outputs]));
                    tags[text].push(tag);
                }
            }
            Report::Tagging(TaggingReport::new(&predicted, &tags, names))
        }
    }
}

/// The place of the highest of these, of equal ones the first.
fn likeliest(outputs: &[f32]) -> usize {
    (1..outputs.len()).fold(0, |best, other| if outputs[other] > outputs[best] { other } else { best })
}
