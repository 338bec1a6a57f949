//! The training loop.

use crate::TrainingError;
use crate::checkpoint::{Checkpoint, Checkpoints, Progress};
use crate::config::{OptimizerConfig, ScheduleConfig, TrainingConfig};
use crate::data::{Data, Rows};
use crate::evaluate::{Evaluation, evaluate};
use crate::gradients::{Alone, Exchange};
use crate::metrics::Metrics;
use crate::objective::{BatchKey, Objective};
use crate::optimizer::Optimizer;
use crate::schedule::learning_rate;
use crate::step::{StepReport, gradients_of_step};
use burn::module::Module;
use burn::tensor::Device;
use firebrand_backend::{precision, threads};
use firebrand_transformer::{tensor_handles, with_tensors};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What happens in a run, for whoever shows it.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step was made.
    Step(&'a StepReport),
    /// Held-out data was evaluated after a step.
    Evaluated {
        /// The step.
        step: u64,
        /// The figures.
        evaluation: &'a Evaluation,
        /// Whether it is the best so far, by the objective's rank.
        best: bool,
    },
    /// A line was written to `metrics.jsonl`.
    Logged(&'a Map<String, Value>),
    /// A checkpoint was written at a step.
    Saved(u64),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All steps were made; the best weights are in the run's folder. With them, their loss on all held-out data.
    Finished(Option<Evaluation>),
    /// It was asked to stop; a checkpoint is written.
    Interrupted,
}

/// A model in training.
pub struct Trainer<O: Objective> {
    objective: O,
    /// Absent only while the optimizer holds it: as the only owner of its tensors it updates them in place.
    model: Option<O::Model>,
    optimizer: Optimizer,
    training: TrainingConfig,
    optimizer_config: OptimizerConfig,
    schedule: ScheduleConfig,
    seed: u64,
    device: Device,
    run_dir: PathBuf,
    progress: Progress,
    exchange: Box<dyn Exchange>,
}

impl<O: Objective> Trainer<O> {
    /// A run at its start. `device` has autodiff, and `model` is on it.
    ///
    /// # Errors
    /// When a config's numbers make no sense.
    #[allow(clippy::too_many_arguments, reason = "a run has this many parts, each its own concept")]
    pub fn new(
        objective: O,
        model: O::Model,
        training: TrainingConfig,
        optimizer: OptimizerConfig,
        schedule: ScheduleConfig,
        seed: u64,
        device: &Device,
        run_dir: &Path,
    ) -> Result<Self, TrainingError> {
        training.validate()?;
        training.precision.check(device).map_err(|error| TrainingError::Config(error.to_string()))?;
        optimizer.validate()?;
        schedule.validate()?;
        Ok(Self {
            objective,
            model: Some(model),
            optimizer: Optimizer::new(&optimizer),
            training,
            optimizer_config: optimizer,
            schedule,
            seed,
            device: device.clone(),
            run_dir: run_dir.to_path_buf(),
            progress: Progress::default(),
            exchange: Box::new(Alone),
        })
    }

    /// Goes on from `checkpoint`.
    ///
    /// # Errors
    /// When it is not of this model.
    pub fn resume(mut self, checkpoint: Checkpoint) -> Result<Self, TrainingError> {
        self.progress = checkpoint.progress;
        self.model = self.model.take().map(|model| with_tensors(model, checkpoint.model)).transpose()?;
        self.optimizer = Optimizer::import(
            &self.optimizer_config,
            checkpoint.optimizer,
            checkpoint.progress.updates,
            &self.device,
        );
        Ok(self)
    }

    /// Where the run stands.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The model as it is now.
    pub fn model(&self) -> &O::Model {
        self.model.as_ref().expect("the model is away only inside the optimizer's step")
    }

    /// Makes one step on `rows`.
    ///
    /// # Errors
    /// When the loss or a gradient is no longer a number; the model is as it was before.
    pub fn step(&mut self, rows: &O::Rows) -> Result<StepReport, TrainingError> {
        // A step is hundreds of short loops, and there is nothing else to do meanwhile.
        threads::together(|| self.step_together(rows))
    }

    fn step_together(&mut self, rows: &O::Rows) -> Result<StepReport, TrainingError> {
        let step = self.progress.step;
        let factor = learning_rate(&self.schedule, step, self.training.steps);
        let lr = self.optimizer_config.lr * factor;
        let key = BatchKey { seed: self.seed, step, first_example: 0, training: true };
        let pieces = self.training.grad_accum_steps;
        let model = self.model.as_ref().expect("the model is away only inside the optimizer's step");
        self.optimizer.reserve(model);
        let (gradients, terms) = precision::scope(self.training.precision, || {
            gradients_of_step(&self.objective, model, rows, pieces, key, &self.device, &mut *self.exchange)
        });
        let loss: f64 = terms.iter().map(|&(_, weighted, _)| weighted).sum();
        let grad_norm = gradients.norm();
        for (what, value) in [("the loss", loss), ("the gradient norm", grad_norm)] {
            if !value.is_finite() {
                return Err(TrainingError::NotFinite { what, value, step: step + 1, lr });
            }
        }
        let limit = self.training.grad_clip_norm;
        let clip = if limit > 0.0 && grad_norm > limit { limit / grad_norm } else { 1.0 };
        self.model = self.model.take().map(|model| self.optimizer.step(model, gradients, factor, clip));
        self.progress.step += 1;
        self.progress.updates += 1;
        let terms = terms.into_iter().map(|(name, _, value)| (name, value)).collect();
        Ok(StepReport { step: step + 1, loss, terms, grad_norm, lr, tokens: rows.tokens() })
    }

    /// The loss on `batches`, about as many rows at once as [`rows_at_once`](Self::rows_at_once) says.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn evaluate(
        &self,
        batches: impl Iterator<Item = Result<O::Rows, TrainingError>>,
    ) -> Result<Evaluation, TrainingError> {
        let model = self.model().valid();
        let device = self.device.clone().without_autodiff();
        evaluate(&self.objective, &model, batches, self.seed, &device)
    }

    /// How many rows are evaluated at once: as many as a piece of a step has.
    pub fn rows_at_once(&self) -> usize {
        (self.training.batch_size / self.training.grad_accum_steps).max(1)
    }

    /// What is held out of `data`, or its first `limit` tokens (0: all); `None` where nothing is.
    fn evaluate_held_out(
        &self,
        data: &dyn Data<Rows = O::Rows>,
        limit: usize,
    ) -> Result<Option<Evaluation>, TrainingError> {
        let batches = data.held_out(limit, self.rows_at_once());
        batches.map(|batches| self.evaluate(batches)).transpose()
    }

    /// Whether so many evaluations in a row were no better than the best that it is time to stop. It follows from where the run
    /// stands, so that a run that goes on from its last checkpoint stops where it stopped.
    fn is_out_of_patience(&self) -> bool {
        let TrainingConfig { patience, eval_every, .. } = self.training;
        let without = self.progress.step.saturating_sub(self.progress.best_step);
        patience > 0 && eval_every > 0 && self.progress.best.is_some() && without >= patience * eval_every
    }

    /// Trains to the end, or until `stop` is set; then writes the best weights into the run's folder.
    ///
    /// # Errors
    /// When a step diverges or a file cannot be read or written. What was saved before stays.
    pub fn run(
        &mut self,
        data: &dyn Data<Rows = O::Rows>,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Outcome, TrainingError> {
        let checkpoints = Checkpoints::new(&self.run_dir);
        checkpoints.tidy()?;
        let mut metrics = Metrics::open(&self.run_dir.join("metrics.jsonl"), self.progress.step)?;
        let (steps, training) = (self.training.steps, self.training.clone());
        let every =
            |interval: u64, step: u64| step == steps || (interval > 0 && step.is_multiple_of(interval));
        let mut logged = (Instant::now(), 0u64);
        while self.progress.step < steps && !self.is_out_of_patience() {
            let started = Instant::now();
            let rows = data.step(self.progress.step, training.batch_size)?;
            let report = self.step(&rows)?;
            logged.1 += report.tokens;
            on_event(Event::Step(&report));
            let step = report.step;

            let mut evaluated = None;
            let limit = training.eval_tokens;
            let evaluation = match every(training.eval_every, step) {
                true => self.evaluate_held_out(data, limit)?,
                false => None,
            };
            if let Some(evaluation) = evaluation {
                let rank = self.objective.rank(&evaluation);
                let best = self.progress.best.is_none_or(|best| rank < best);
                if best {
                    self.progress.best = Some(rank);
                    self.progress.best_step = step;
                    checkpoints.save_best(self.progress, tensor_handles(self.model()))?;
                }
                on_event(Event::Evaluated { step, evaluation: &evaluation, best });
                evaluated = Some((evaluation, limit));
            }
            self.progress.seconds += started.elapsed().as_secs_f64();

            if every(training.log_every, step) || step == 1 || evaluated.is_some() {
                let tokens_per_s = logged.1 as f64 / logged.0.elapsed().as_secs_f64().max(1e-9);
                logged = (Instant::now(), 0);
                let bytes = data.held_out_bytes();
                let clock = Clock { seconds: self.progress.seconds, tokens_per_s };
                let line = metrics_line(&report, clock, evaluated.as_ref(), bytes);
                metrics.write(&line)?;
                on_event(Event::Logged(&line));
            }
            let stopping = stop.load(Ordering::Relaxed);
            let last = self.is_out_of_patience();
            if every(training.checkpoint_every, step) || stopping || last {
                metrics.sync()?;
                self.save(&checkpoints)?;
                on_event(Event::Saved(step));
            }
            if stopping && step < steps && !last {
                return Ok(Outcome::Interrupted);
            }
        }
        Ok(Outcome::Finished(self.finish(&checkpoints, data)?))
    }

    fn save(&self, checkpoints: &Checkpoints) -> Result<(), TrainingError> {
        let (optimizer, updates) = self.optimizer.export();
        let progress = Progress { updates, ..self.progress };
        checkpoints.save(&Checkpoint { progress, model: tensor_handles(self.model()), optimizer })
    }

    /// Puts the best weights, or the last ones where nothing is held out, into the run's folder; returns their loss on
    /// all that is held out.
    fn finish(
        &mut self,
        checkpoints: &Checkpoints,
        data: &dyn Data<Rows = O::Rows>,
    ) -> Result<Option<Evaluation>, TrainingError> {
        // The last checkpoint has its state; here it would only be in the way of the weights that are read.
        self.optimizer = Optimizer::new(&self.optimizer_config);
        let recorded = self.progress.best.is_some();
        if let Some(best) = recorded.then(|| checkpoints.load_best()).transpose()?.flatten() {
            self.model = self.model.take().map(|model| with_tensors(model, best.model)).transpose()?;
        }
        self.objective.export(&self.model().valid(), &self.run_dir)?;
        self.evaluate_held_out(data, 0)
    }
}

/// What of a metrics line is another one each time a run is made.
struct Clock {
    /// Seconds spent training, from the first step on, pauses between two processes left out.
    seconds: f64,
    /// Since the line before.
    tokens_per_s: f64,
}

fn metrics_line(
    report: &StepReport,
    clock: Clock,
    evaluated: Option<&(Evaluation, usize)>,
    held_out_bytes: u64,
) -> Map<String, Value> {
    let mut line = Map::new();
    let mut put = |key: &str, value: Value| line.insert(key.to_string(), value);
    put("step", json!(report.step));
    put("train_loss", json!(report.loss));
    if report.terms.len() > 1 {
        for (name, value) in &report.terms {
            put(&format!("train_{name}"), json!(value));
        }
    }
    put("lr", json!(report.lr));
    put("grad_norm", json!(report.grad_norm));
    put("tokens_per_s", json!(clock.tokens_per_s.round()));
    put("seconds", json!((clock.seconds * 1000.0).round() / 1000.0));
    if let Some((evaluation, limit)) = evaluated {
        put("val_loss", json!(evaluation.loss));
        if evaluation.terms.len() > 1 {
            for (name, nats, count) in &evaluation.terms {
                put(&format!("val_{name}"), json!(nats / (*count).max(1) as f64));
            }
        }
        for figure in &evaluation.figures {
            put(&format!("val_{}", figure.name), json!(figure.value));
        }
        if let (Some(nats), 0, 1..) = (evaluation.text_nats, *limit, held_out_bytes) {
            put("val_bits_per_byte", json!(nats / std::f64::consts::LN_2 / held_out_bytes as f64));
        }
    }
    line
}
