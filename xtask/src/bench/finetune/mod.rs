//! What fine-tuning is worth: how often a small model that is pretrained and fine-tuned within its budget says the right class,
//! beside bags of words on the same texts.

mod recipe;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::figure::{Figure, TargetIs};
use super::kept::{self, Kept};
use super::peer::{self, PeerResult};
use super::{Bench, Options, without_overrides};
use crate::pipeline::{Job, Request};
use crate::{machine, process, workspace};
use recipe::{KINDS, Recipes, TEXTS};

/// What the peer is called in tables.
const BAGS: &str = "bags of words";

/// The pipeline on the built-in reviews, and its case.
const REVIEWS: &str = "reviews";

/// How many points pretraining is to be worth there, what bags of words were seen to reach, and what minutes it may take.
const REVIEWS_POINTS: f64 = 10.0;
const REVIEWS_BAGS: f64 = 74.8;
const REVIEWS_MINUTES: f64 = 3.0;

/// A Python with scikit-learn, and the script.
type Peer = (PathBuf, PathBuf);

/// Trains what is wanted, and lets the peer classify the same texts.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let peer = peer::python_and_script("classify_bow.py", "sklearn", BAGS)?;
    let folder = workspace::root()?.join("target/bench/finetune");
    let mut figures = Vec::new();
    if options.wants(REVIEWS) {
        figures.extend(reviews(firebrand, &folder.join(REVIEWS), peer.as_ref(), options)?);
    }
    let wanted = |texts: &str| {
        KINDS.iter().filter(|kind| options.wants(&format!("{texts}-{}", kind.name))).collect::<Vec<_>>()
    };
    if TEXTS.iter().all(|texts| wanted(texts.name).is_empty()) {
        return Ok(figures);
    }
    let data = match machine::shared("data")? {
        Ok(data) => data,
        Err(reason) => {
            eprintln!("only the built-in reviews are measured: {reason}");
            return Ok(figures);
        }
    };
    let kept = Kept::new(folder.join("results"), kept::binary(firebrand)?)?;
    let recipes = Recipes { firebrand, folder: &folder, data: &data, kept: &kept, options };
    for texts in &TEXTS {
        let kinds = wanted(texts.name);
        if kinds.is_empty() {
            continue;
        }
        let bags = match &peer {
            Some(peer) => Some(kept.get_or(&format!("{}-bags", texts.name), "bags", || {
                bags_of_words(peer, texts.peer, &data)
            })?),
            None => None,
        };
        for kind in kinds {
            let case = format!("{}-{}", texts.name, kind.name);
            let trained = recipes.train(texts, kind)?;
            eprintln!("{case}: {trained:?}");
            let figure = accuracy(&case, 100.0 * trained.accuracy, bags, texts.bags);
            figures.extend(figure.map(|figure| figure.with_goal(texts.goal)));
            figures.extend(percent(&format!("{case}, deviation"), 100.0 * trained.deviation));
            figures.extend(minutes(&case, trained.seconds, texts.minutes));
        }
    }
    Ok(figures)
}

/// The pipeline `finetune`: pretrained, from scratch, and bags of words.
fn reviews(firebrand: &Path, out: &Path, peer: Option<&Peer>, options: &Options) -> Result<Vec<Figure>> {
    let job = Job::new(&Request {
        pipeline: "finetune".to_owned(),
        out: Some(out.to_owned()),
        device: Some("cpu".to_owned()),
        threads: NonZeroUsize::new(options.threads as usize),
        ..Request::default()
    })?;
    let seconds = job.run(firebrand)?.seconds;
    let row = read_row(out)?;
    let (tuned, scratch) = (100.0 * number(&row, "pretrained")?, 100.0 * number(&row, "from scratch")?);
    let files = ["data/labelled.jsonl", "data/test.jsonl"];
    let bags = peer.map(|peer| bags_of_words(peer, &files, out)).transpose()?;
    let gain = percent(&format!("{REVIEWS}, more than from scratch"), tuned - scratch);
    let gain = gain.map(|gain| gain.with_target(TargetIs::LeastValue, REVIEWS_POINTS));
    let tuned = accuracy(REVIEWS, tuned, bags, REVIEWS_BAGS);
    Ok([tuned, gain, minutes(REVIEWS, seconds, REVIEWS_MINUTES)].into_iter().flatten().collect())
}

fn percent(case: &str, value: f64) -> Option<Figure> {
    Figure::new(Bench::Finetune.name(), case, "%", &[value])
}

/// An accuracy, which is to be above that of bags of words: measured here, or seen where they cannot be run.
fn accuracy(case: &str, value: f64, bags: Option<f64>, seen: f64) -> Option<Figure> {
    let figure = percent(case, value)?.beside(BAGS, bags.as_slice());
    Some(figure.with_target(TargetIs::LeastValue, bags.unwrap_or(seen)))
}

/// What everything took, pretraining included.
fn minutes(case: &str, seconds: f64, most: f64) -> Option<Figure> {
    let figure = Figure::new(Bench::Finetune.name(), &format!("{case}, training"), "min", &[seconds / 60.0]);
    figure.map(|figure| figure.with_target(TargetIs::MostValue, most))
}

/// The accuracy of the better of two bags of words, in per cent, on files seen from `data`.
fn bags_of_words((python, script): &Peer, arguments: &[&str], data: &Path) -> Result<f64> {
    let mut command = Command::new(python);
    command.arg(script).args(arguments).current_dir(data);
    without_overrides(&mut command);
    let printed = process::output("classify by bags of words", &mut command)?;
    let printed = PeerResult::of("classify_bow.py", printed);
    Ok(100.0 * printed.number("naive_bayes")?.max(printed.number("logistic")?))
}

/// The only row of a pipeline's table.
fn read_row(out: &Path) -> Result<Value> {
    let path = out.join("results.json");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let rows: Vec<Value> =
        serde_json::from_str(&text).with_context(|| format!("{} is no table", path.display()))?;
    rows.into_iter().next().with_context(|| format!("{} has no row", path.display()))
}

fn number(row: &Value, column: &str) -> Result<f64> {
    row[column]
        .as_f64()
        .with_context(|| format!("the table of results has no number under `{column}`: {row}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_from_the_table_of_a_pipeline() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        assert!(read_row(folder.path()).is_err());
        fs::write(folder.path().join("results.json"), r#"[{"pretrained": 0.5, "best": true}]"#)
            .expect("written");
        let row = read_row(folder.path()).expect("a row");
        assert_eq!(number(&row, "pretrained").expect("a number"), 0.5);
        assert!(number(&row, "from scratch").expect_err("none").to_string().contains("from scratch"));
    }

    #[test]
    fn an_accuracy_is_held_against_bags_of_words_or_what_they_were_seen_to_reach() {
        let met = |bags| accuracy("case", 80.0, bags, 79.0).expect("a figure").met;
        assert_eq!((met(None), met(Some(79.9)), met(Some(80.1))), (Some(true), Some(true), Some(false)));
    }
}
