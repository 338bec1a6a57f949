//! From the outputs of a head to a report.

use crate::example::Target;
use crate::figures::likeliest;
use crate::predict::mean_probabilities;
use crate::report::{ClassificationReport, MultiLabelReport, RegressionReport, Report, TaggingReport};
use firebrand_transformer::{HeadConfig, TaskKind};

/// The report on the outputs of a head for some examples; `texts` says which text each of them is of, in rising order: one that is
/// too long to be read at once is several examples, and what is said of it is the mean of what is said of them.
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
    // Where a text has several examples they all have its target.
    let is_first = |example: usize| example == 0 || texts[example] != texts[example - 1];
    let targets = targets.enumerate();
    let targets = targets.filter(|(example, _)| head.task == TaskKind::Tagging || is_first(*example));
    let targets = targets.map(|(_, target)| target);
    let said = || -> Vec<Vec<f64>> {
        let mut rest = outputs;
        let mean = |group: &[usize]| {
            let (here, behind) = rest.split_at(group.len());
            rest = behind;
            mean_probabilities(head.task, here.iter().map(Vec::as_slice))
        };
        texts.chunk_by(|one, other| one == other).map(mean).collect()
    };
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
