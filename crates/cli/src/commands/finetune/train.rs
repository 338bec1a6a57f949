//! A run from its first step, or its last checkpoint, to what it comes to on the part it is measured on: the same for all tasks.

use super::go_on;
use crate::args::{FinetuneArgs, Global};
use crate::commands::training::{self, Finished, Heading, Plan};
use crate::config::FinetuneConfig;
use crate::report::Basis;
use burn::tensor::Device;
use firebrand_finetune::{ExampleData, Examples, Item, in_batches};
use firebrand_training::{Evaluation, Objective, TrainingConfig};
use firebrand_transformer::LayerGroups;
use std::path::Path;

/// How a run is made, whatever it is that it trains.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) args: &'a FinetuneArgs,
    pub(super) dir: &'a Path,
    pub(super) config: &'a FinetuneConfig,
    pub(super) training: &'a TrainingConfig,
    /// With autodiff.
    pub(super) device: &'a Device,
    pub(super) global: &'a Global,
}

/// The examples of a run.
pub(super) struct Parts<'a, E> {
    pub(super) train: &'a [E],
    pub(super) held_out: &'a [E],
    pub(super) test: &'a [E],
}

/// A run that came to its end.
pub(super) struct Trained<O: Objective> {
    pub(super) finished: Finished<O>,
    /// Of the weights that were kept, on what nothing was chosen by; `None` where there is no such part.
    pub(super) test: Option<Evaluation>,
}

impl<O: Objective> Trained<O> {
    /// What it is measured on.
    pub(super) fn basis(&self) -> Option<Basis> {
        let chosen = self.finished.progress.best.is_some();
        match (&self.test, &self.finished.evaluation) {
            (Some(_), _) => Some(Basis::Test { chosen }),
            (None, Some(_)) => Some(Basis::HeldOut),
            (None, None) => None,
        }
    }
}

impl Job<'_> {
    /// Steps in which every example is seen once.
    pub(super) fn epoch(&self, examples: usize) -> u64 {
        examples.div_ceil(self.training.batch_size).max(1) as u64
    }

    /// Trains to the end. `model_is` says what the model is.
    pub(super) fn train<O, E>(
        &self,
        objective: O,
        model: O::Model,
        groups: &LayerGroups,
        model_is: String,
        parts: &Parts<'_, E>,
    ) -> anyhow::Result<Trained<O>>
    where
        E: Item,
        O: Objective<Rows = Examples<E>>,
    {
        let Self { args, dir, config, training, device, global } = *self;
        let data = ExampleData {
            train: parts.train,
            held_out: parts.held_out,
            seed: config.seed,
            group_by_length: config.training.group_by_length,
        };
        let plan = Plan {
            go_on: go_on(args, dir),
            dir,
            training,
            optimizer: &config.optimizer,
            schedule: &config.schedule,
            seed: config.seed,
            rates: config.method.rates(groups, self.epoch(parts.train.len())),
            device,
            heading: Heading { run: dir.display().to_string(), model: model_is, steps: training.steps },
            tui: args.tui,
            tensorboard: args.tensorboard,
            global,
        };
        let finished = training::drive(objective, model, &data, plan)?;
        // Only now, and only once: nothing of this comes back into the run.
        let test = in_batches(parts.test, 0, finished.trainer.rows_at_once());
        let test = test.map(|batches| finished.trainer.evaluate(batches)).transpose()?;
        Ok(Trained { finished, test })
    }
}
