//! Whole runs: killed and resumed, interrupted, evaluated, exported.

use crate::{VOCAB_SIZE, causal, device, model, noise, tiny, trainer, whole, windows};
use burn::module::Module;
use firebrand_corpus::batches::{Order, TokenBatch, WindowOrder, eval_windows};
use firebrand_corpus::shards::TokenSplit;
use firebrand_pretrain::Causal;
use firebrand_training::{
    Checkpoints, Event, Objective, OptimizerConfig, OptimizerKind, Outcome, Trainer, TrainingConfig,
    evaluate, read_metrics,
};
use firebrand_transformer::{Decoder, NamedTensor, Preset, hugging_face, named_tensors};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

const SEQ_LEN: usize = 8;
const STEPS: u64 = 12;

pub(crate) fn split(len: usize, salt: u64) -> TokenSplit {
    TokenSplit::from_ids(noise(len, salt), VOCAB_SIZE, len as u64, 1).expect("ids of the vocabulary")
}

pub(crate) fn training() -> TrainingConfig {
    TrainingConfig {
        steps: STEPS,
        batch_size: 4,
        grad_accum_steps: 2,
        seq_len: SEQ_LEN,
        eval_every: 3,
        eval_tokens: 40,
        log_every: 1,
        checkpoint_every: 4,
        ..TrainingConfig::default()
    }
}

/// A run at its start: dropout, Muon and AdamW, a learning rate at which it overfits.
fn new_run(dir: &Path, training: TrainingConfig) -> Trainer<Causal> {
    let device = device("cpu").autodiff();
    let optimizer = OptimizerConfig { kind: OptimizerKind::Muon, lr: 1e-2, ..OptimizerConfig::default() };
    trainer(model(&tiny(Preset::Llama), &device), 0.1, training, optimizer, &device, dir)
}

/// Runs until it ends, or is interrupted during step `stop_at`; returns the outcome and the step of each best loss.
pub(crate) fn go<O: Objective<Model = Decoder, Rows = TokenBatch>>(
    trainer: &mut Trainer<O>,
    stop_at: Option<u64>,
) -> (Outcome, Vec<u64>) {
    let (train, held_out) = (split(200, 1), split(61, 2));
    let order = WindowOrder::new(train.len(), SEQ_LEN, 3, Order::Epochs).expect("long enough");
    let data = windows(&train, &order, Some(&held_out));
    let stop = AtomicBool::new(false);
    let mut bests = Vec::new();
    let outcome = trainer.run(&data, &stop, &mut |event| match event {
        Event::Step(report) if Some(report.step) == stop_at => stop.store(true, Ordering::Relaxed),
        Event::Evaluated { step, best: true, .. } => bests.push(step),
        _ => {}
    });
    (outcome.expect("nothing goes wrong"), bests)
}

/// Goes on from the newest whole checkpoint in `dir`.
fn resumed(dir: &Path) -> Trainer<Causal> {
    let (latest, _) = Checkpoints::new(dir).load_latest().expect("readable");
    new_run(dir, training()).resume(latest.expect("one is whole")).expect("it is of this model")
}

/// A run that nothing disturbed.
fn undisturbed() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (outcome, _) = go(&mut new_run(dir.path(), training()), None);
    assert_ne!(outcome, Outcome::Interrupted);
    dir
}

/// Both runs have the same weights, optimizer state and metrics, to the last bit.
pub(crate) fn check_same(a: &Path, b: &Path) {
    let last = format!("checkpoints/step-{STEPS:08}");
    for file in [
        format!("{last}/model.safetensors"),
        format!("{last}/optimizer.safetensors"),
        "checkpoints/best/model.safetensors".into(),
        "model.safetensors".into(),
        "config.json".into(),
    ] {
        let [a, b] = [a, b].map(|dir| std::fs::read(dir.join(&file)).expect("written at the end of a run"));
        assert!(a == b, "{file} differs");
    }
    let [a, b] = [a, b].map(|dir| {
        let mut lines = read_metrics(&dir.join("metrics.jsonl")).expect("readable");
        for line in &mut lines {
            for key in ["tokens_per_s", "seconds"] {
                assert!(line.remove(key).is_some(), "{key}: the figures that depend on the clock");
            }
        }
        lines
    });
    assert_eq!(a, b);
    let steps: Vec<u64> = a.iter().filter_map(|line| line["step"].as_u64()).collect();
    assert_eq!(steps, (1..=STEPS).collect::<Vec<_>>(), "each step once");
}

#[test]
fn a_run_that_was_interrupted_and_resumed_equals_one_that_was_not() {
    let (expected, dir) = (undisturbed(), tempfile::tempdir().expect("a temporary folder"));
    let (outcome, _) = go(&mut new_run(dir.path(), training()), Some(6));
    assert_eq!(outcome, Outcome::Interrupted);
    assert!(dir.path().join("checkpoints/step-00000006").is_dir(), "it was saved where it stopped");
    assert!(!hugging_face::is_model_folder(dir.path()), "it is not finished");
    let mut trainer = resumed(dir.path());
    assert_eq!(trainer.progress().step, 6);
    // And once more, on the step after.
    assert_eq!(go(&mut trainer, Some(7)).0, Outcome::Interrupted);
    let (outcome, _) = go(&mut resumed(dir.path()), None);
    assert_ne!(outcome, Outcome::Interrupted);
    check_same(dir.path(), expected.path());
}

#[test]
fn a_run_that_was_killed_between_checkpoints_equals_one_that_was_not() {
    let (expected, dir) = (undisturbed(), tempfile::tempdir().expect("a temporary folder"));
    go(&mut new_run(dir.path(), training()), Some(10));
    // As a kill leaves it: no checkpoint of step 10, a torn line, the best weights of a step that is to come again.
    std::fs::remove_dir_all(dir.path().join("checkpoints/step-00000010")).expect("it was saved");
    std::fs::create_dir(dir.path().join("checkpoints/step-00000010.tmp")).expect("created");
    let metrics = dir.path().join("metrics.jsonl");
    let text = std::fs::read_to_string(&metrics).expect("read");
    std::fs::write(&metrics, text + "{\"step\":11,\"tr").expect("written");
    let mut trainer = resumed(dir.path());
    assert_eq!(trainer.progress().step, 8);
    go(&mut trainer, None);
    check_same(dir.path(), expected.path());
}

#[test]
fn a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before_to_the_same_end() {
    let (expected, dir) = (undisturbed(), tempfile::tempdir().expect("a temporary folder"));
    go(&mut new_run(dir.path(), training()), Some(10));
    let file = dir.path().join("checkpoints/step-00000010/optimizer.safetensors");
    let bytes = std::fs::read(&file).expect("saved");
    std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("written");
    let (_, damaged) = Checkpoints::new(dir.path()).load_latest().expect("readable");
    assert!(damaged[0].to_string().contains("step-00000010/optimizer.safetensors"), "{}", damaged[0]);
    let mut trainer = resumed(dir.path());
    assert_eq!(trainer.progress().step, 8);
    go(&mut trainer, None);
    check_same(dir.path(), expected.path());
}

#[test]
fn the_best_weights_are_exported_and_not_the_last() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // Noise is learned by heart and not from: what is held out becomes less likely all the time.
    let training = TrainingConfig { steps: 40, eval_tokens: 0, ..training() };
    let mut trainer = new_run(dir.path(), training);
    let (_, bests) = go(&mut trainer, None);
    let best = *bests.last().expect("the first evaluation is the best so far");
    assert!(best < 40, "the last weights are not the best: {bests:?}");
    let exported: Decoder = hugging_face::load(dir.path(), &device("cpu")).expect("a model folder");
    let kept = Checkpoints::new(dir.path()).load_best().expect("whole").expect("kept");
    let sorted = |mut tensors: Vec<NamedTensor>| {
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        tensors
    };
    assert_eq!(kept.progress.best_step, best);
    assert_eq!(sorted(named_tensors(&exported)), sorted(kept.model));
    let lines = read_metrics(&dir.path().join("metrics.jsonl")).expect("readable");
    let val_losses =
        lines.iter().filter_map(|line| Some((line["step"].as_u64()?, line.get("val_loss")?.as_f64()?)));
    let (lowest, _) = val_losses.min_by(|a, b| a.1.total_cmp(&b.1)).expect("it was evaluated");
    assert_eq!(lowest, best);
}

#[test]
fn without_held_out_data_the_last_weights_are_exported() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut trainer = new_run(dir.path(), training());
    let train = split(200, 1);
    let order = WindowOrder::new(train.len(), SEQ_LEN, 3, Order::Epochs).expect("long enough");
    let data = windows(&train, &order, None);
    trainer.run(&data, &AtomicBool::new(false), &mut |_| {}).expect("nothing goes wrong");
    let exported: Decoder = hugging_face::load(dir.path(), &device("cpu")).expect("a model folder");
    assert_eq!(named_tensors(&exported), named_tensors(trainer.model()));
}

#[test]
fn evaluation_covers_every_target_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let trainer = new_run(dir.path(), training());
    // The last window is shorter.
    let held_out = split(61, 2);
    let evaluation = whole(&trainer, &held_out, 0).expect("readable");
    let [(_, nats, targets)] = evaluation.terms[..] else { panic!("the causal loss is one term") };
    assert_eq!(targets, 60);
    assert!((evaluation.loss - nats / 60.0).abs() < 1e-12);
    // Window by window.
    let model = trainer.model().valid();
    let one_by_one: f64 = eval_windows(61, SEQ_LEN)
        .map(|window| {
            let batch = TokenBatch::read(&held_out, &[window.start], window.targets + 1);
            let one =
                evaluate(&causal(0.0), &model, [batch.map_err(Into::into)].into_iter(), 0, &device("cpu"))
                    .expect("readable");
            assert_eq!(one.terms[0].2, window.targets as u64);
            one.terms[0].1
        })
        .sum();
    assert!((one_by_one / nats - 1.0).abs() < 1e-6, "{one_by_one} and {nats}");
    // A limit takes whole batches from the start until it is reached.
    assert_eq!(whole(&trainer, &held_out, 17).expect("readable").terms[0].2, 32);
}

#[test]
fn evaluation_has_no_dropout() {
    let held_out = split(61, 2);
    let device = device("cpu").autodiff();
    let loss = |dropout: f64| {
        let model = model(&tiny(Preset::Gpt2), &device);
        let optimizer = OptimizerConfig::default();
        let trainer = trainer(model, dropout, training(), optimizer, &device, Path::new("unused"));
        whole(&trainer, &held_out, 0).expect("readable").loss
    };
    assert_eq!(loss(0.5), loss(0.0));
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let dir = undisturbed();
    let (latest, _) = Checkpoints::new(dir.path()).load_latest().expect("readable");
    let device = device("cpu").autodiff();
    let other = model(&tiny(Preset::Gpt2), &device);
    let other = trainer(other, 0.0, training(), OptimizerConfig::default(), &device, dir.path());
    let error = other.resume(latest.expect("saved")).map(|_| ()).expect_err("it was a llama");
    assert!(error.to_string().contains("weights do not fit the config"), "{error}");
}
