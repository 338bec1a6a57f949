//! Whole runs: killed and resumed, the best weights kept by a figure, stopped early.

use crate::{bodies, device, examples, model, objective};
use firebrand_finetune::{BestBy, Example, ExampleData, HeadOptions, Labelling, Target};
use firebrand_training::{
    Checkpoints, Event, OptimizerConfig, Outcome, ScheduleConfig, ScheduleKind, Trainer, TrainingConfig,
    read_metrics,
};
use firebrand_transformer::{ModelConfig, TaskKind, hugging_face};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const TASK: TaskKind = TaskKind::Classification;

pub(crate) fn training(steps: u64) -> TrainingConfig {
    TrainingConfig {
        steps,
        batch_size: 4,
        grad_accum_steps: 2,
        seq_len: 12,
        eval_every: 3,
        log_every: 1,
        checkpoint_every: 4,
        ..TrainingConfig::default()
    }
}

fn trainer(
    body: &ModelConfig,
    objective: Labelling,
    training: TrainingConfig,
    dir: &Path,
) -> Trainer<Labelling> {
    let device = device("cpu").autodiff();
    let optimizer = OptimizerConfig { lr: 3e-3, ..OptimizerConfig::default() };
    let schedule =
        ScheduleConfig { kind: ScheduleKind::Constant, warmup_steps: 0, ..ScheduleConfig::default() };
    Trainer::new(objective, model(body, TASK, &device), training, optimizer, schedule, 3, &device, dir)
        .expect("the configs make sense")
}

/// Runs until it ends, or is interrupted during step `stop_at`; the steps of evaluations and whether each was the best.
fn go(
    trainer: &mut Trainer<Labelling>,
    examples: &[Example],
    stop_at: Option<u64>,
) -> (Outcome, Vec<(u64, bool)>) {
    let (train, held_out) = examples.split_at(examples.len() * 2 / 3);
    let data = ExampleData { train, held_out, seed: 3, group_by_length: true };
    let stop = AtomicBool::new(false);
    let mut evaluated = Vec::new();
    let outcome = trainer.run(&data, &stop, &mut |event| match event {
        Event::Step(report) if Some(report.step) == stop_at => stop.store(true, Ordering::Relaxed),
        Event::Evaluated { step, best, .. } => evaluated.push((step, best)),
        _ => {}
    });
    (outcome.expect("nothing goes wrong"), evaluated)
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_bits() {
    for (name, body) in bodies() {
        let [expected, dir] = [0, 1].map(|_| tempfile::tempdir().expect("a temporary folder"));
        let examples = examples(TASK, 30);
        let new = |dir: &Path| trainer(&body, objective(TASK, &body, 0.1), training(8), dir);
        assert_ne!(go(&mut new(expected.path()), &examples, None).0, Outcome::Interrupted);
        assert_eq!(go(&mut new(dir.path()), &examples, Some(5)).0, Outcome::Interrupted);
        let (latest, _) = Checkpoints::new(dir.path()).load_latest().expect("readable");
        let mut resumed = new(dir.path()).resume(latest.expect("saved")).expect("it is of this model");
        assert_ne!(go(&mut resumed, &examples, None).0, Outcome::Interrupted);
        for file in ["checkpoints/step-00000008/model.safetensors", "model.safetensors", "config.json"] {
            let [a, b] = [&dir, &expected].map(|dir| std::fs::read(dir.path().join(file)).expect("written"));
            assert!(a == b, "{file} of {name} differs");
        }
        let [a, b] = [&dir, &expected].map(|dir| {
            let mut lines = read_metrics(&dir.path().join("metrics.jsonl")).expect("readable");
            lines.iter_mut().for_each(|line| line.retain(|key, _| key != "tokens_per_s" && key != "seconds"));
            lines
        });
        assert_eq!(a, b, "{name}");
        assert!(a[2].contains_key("val_accuracy") && a[2].contains_key("val_macro_f1"), "{:?}", a[2]);
        hugging_face::load_classifier(dir.path(), &device("cpu")).expect("a classifier's folder");
    }
}

#[test]
fn the_weights_of_the_highest_figure_are_kept_and_of_equal_ones_those_of_the_lowest_loss() {
    let (_, body) = bodies().swap_remove(1);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = HeadOptions { best_by: Some(BestBy::Accuracy), dropout: 0.0, ..HeadOptions::default() };
    let by_accuracy = Labelling { options, class_weights: Vec::new(), end_of_text: None };
    let mut run = trainer(&body, by_accuracy, TrainingConfig { eval_every: 1, ..training(20) }, dir.path());
    let (outcome, evaluated) = go(&mut run, &examples(TASK, 30), None);
    let lines = read_metrics(&dir.path().join("metrics.jsonl")).expect("readable");
    let accuracies: Vec<f64> = lines.iter().filter_map(|line| line["val_accuracy"].as_f64()).collect();
    let losses: Vec<f64> = lines.iter().filter_map(|line| line["val_loss"].as_f64()).collect();
    let (mut highest, mut lowest) = (f64::NEG_INFINITY, f64::INFINITY);
    for ((&(step, best), &accuracy), &loss) in evaluated.iter().zip(&accuracies).zip(&losses) {
        let better = accuracy > highest || (accuracy == highest && loss < lowest);
        assert_eq!(best, better, "step {step}: {accuracies:?}, {losses:?}");
        if better {
            (highest, lowest) = (accuracy, loss);
        }
    }
    let Outcome::Finished(Some(evaluation)) = outcome else { panic!("it ends, and something is held out") };
    assert_eq!(evaluation.figure("accuracy"), Some(highest));
    assert!(highest > accuracies[0], "it learned nothing: {accuracies:?}");
}

#[test]
fn a_run_ends_when_patience_does_and_is_not_gone_on_with() {
    let (_, body) = bodies().swap_remove(1);
    // What is to be said has nothing to do with the texts: held-out examples get worse soon.
    let mut noise = examples(TASK, 30);
    for (i, example) in noise.iter_mut().enumerate() {
        example.target = Target::Class((i * i * 7 + i / 3) % 3);
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let training = TrainingConfig { patience: 3, eval_every: 2, ..training(400) };
    let mut run = trainer(&body, objective(TASK, &body, 0.0), training.clone(), dir.path());
    let (outcome, evaluated) = go(&mut run, &noise, None);
    assert!(matches!(outcome, Outcome::Finished(Some(_))));
    let best = evaluated.iter().rev().find(|(_, best)| *best).expect("one is the best").0;
    let last = evaluated.last().expect("it was evaluated").0;
    assert_eq!((last, run.progress().step), (best + 6, last), "{evaluated:?}");
    assert!(last < 400);
    // Going on from its last checkpoint ends at once, with the same result.
    let (latest, _) = Checkpoints::new(dir.path()).load_latest().expect("readable");
    let mut again = trainer(&body, objective(TASK, &body, 0.0), training, dir.path());
    again = again.resume(latest.expect("saved")).expect("it is of this model");
    let (same, evaluated) = go(&mut again, &noise, None);
    assert_eq!((same, evaluated.len()), (outcome, 0));
}
