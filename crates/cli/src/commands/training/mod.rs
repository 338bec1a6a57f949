//! What commands that train have in common: the folder of a run, who watches it, and the loop from its checkpoints to its end.

pub(super) mod estimate;
mod folder;
mod pace;
mod view;

pub(super) use folder::{check_started, enter};
pub(super) use pace::Pace;
pub(super) use view::Heading;

use crate::args::Global;
use crate::exit::Interrupted;
use crate::interrupt;
use crate::output::{complain, say};
use burn::tensor::Device;
use firebrand_training::{
    Checkpoints, Data, Evaluation, Event, Objective, OptimizerConfig, Outcome, Progress, Rates,
    ScheduleConfig, Trainer, TrainingConfig, TrainingError,
};
use std::path::Path;
use view::{Bar, EventFileView, Tui, View};

/// How a run is made.
pub(super) struct Plan<'a> {
    /// The command that goes on with all that was asked for, once this run was stopped.
    pub(super) go_on: String,
    pub(super) dir: &'a Path,
    pub(super) training: &'a TrainingConfig,
    pub(super) optimizer: &'a OptimizerConfig,
    pub(super) schedule: &'a ScheduleConfig,
    pub(super) seed: u64,
    /// Of single tensors.
    pub(super) rates: Rates,
    /// With autodiff.
    pub(super) device: &'a Device,
    pub(super) heading: Heading,
    /// A screen in the place of a bar.
    pub(super) tui: bool,
    /// An event file besides.
    pub(super) tensorboard: bool,
    pub(super) global: &'a Global,
}

/// A run that came to its end.
pub(super) struct Finished<O: Objective> {
    /// With the weights that were written.
    pub(super) trainer: Trainer<O>,
    /// Of those weights, on all that is held out.
    pub(super) evaluation: Option<Evaluation>,
    pub(super) progress: Progress,
    pub(super) pace: Pace,
}

/// Trains from the last checkpoint, or from the start, to the end. The folder's lock is held by the caller.
pub(super) fn drive<O: Objective>(
    objective: O,
    model: O::Model,
    data: &dyn Data<Rows = O::Rows>,
    plan: Plan<'_>,
) -> anyhow::Result<Finished<O>> {
    let Plan { go_on, dir, training, optimizer, schedule, .. } = plan;
    let Plan { seed, rates, device, heading, tui, tensorboard, global, .. } = plan;
    let mut trainer = Trainer::new(
        objective,
        model,
        training.clone(),
        optimizer.clone(),
        schedule.clone(),
        seed,
        device,
        dir,
    )?
    .with_rates(rates);
    let (checkpoint, damaged) = Checkpoints::new(dir).load_latest()?;
    for error in damaged {
        complain(format_args!("warning: {error}; using the checkpoint before it, or else starting anew"));
    }
    if let Some(checkpoint) = checkpoint {
        say(global, format!("going on after step {}", checkpoint.progress.step));
        trainer = trainer.resume(checkpoint)?;
    }
    let stop = interrupt::heed()?;
    let begun = trainer.progress();
    let mut pace = Pace::new(begun.step, training.steps);
    let mut views: Vec<Box<dyn View + '_>> = Vec::new();
    if tensorboard {
        views.push(Box::new(EventFileView::new(dir, begun.step)?));
    }
    views.push(match tui {
        true => Box::new(Tui::new(heading, dir, begun)?),
        false => Box::new(Bar::new(global, begun.step, training.steps)),
    });
    let outcome = trainer.run(data, stop, &mut |event| {
        if let Event::Step(report) = &event {
            pace.step(report);
        }
        views.iter_mut().for_each(|view| view.show(&event, &pace));
    });
    views.iter_mut().for_each(|view| view.close());
    drop(views);
    let outcome = outcome.map_err(|error| match error {
        // Going on would only diverge again.
        TrainingError::NotFinite { .. } => error.into(),
        error => anyhow::Error::new(error).context(format!(
            "stopped after step {}; go on, once this is put right, with: {go_on}",
            trainer.progress().step
        )),
    })?;
    let progress = trainer.progress();
    match outcome {
        Outcome::Interrupted => Err(Interrupted(format!(
            "stopped after step {}; everything is saved. Go on with: {go_on}",
            progress.step
        ))
        .into()),
        Outcome::Finished(evaluation) => Ok(Finished { trainer, evaluation, progress, pace }),
    }
}
