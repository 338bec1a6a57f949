//! The trainer: steps, optimizers, schedules, checkpoints, metrics.
//!
//! An [`Objective`] owns its model, its batch and its loss; the trainer turns the rows that [`Data`] gives into
//! optimizer steps and keeps them safe on disk. It never sees logits, and knows no text.

mod checkpoint;
mod config;
mod data;
mod error;
mod evaluate;
mod gradients;
mod memory;
mod metrics;
mod objective;
mod optimizer;
mod schedule;
mod step;
mod trainer;

pub use checkpoint::{Checkpoint, Checkpoints, Progress};
pub use config::{OptimizerConfig, OptimizerKind, ScheduleConfig, ScheduleKind, TrainingConfig};
pub use data::{Data, Rows, RowsIterator, Windows, held_out_windows};
pub use error::TrainingError;
pub use evaluate::{Evaluation, evaluate};
pub use gradients::{Alone, Exchange, NamedGradients};
pub use memory::MemoryEstimate;
pub use metrics::{Metrics, read_metrics};
pub use objective::{BatchKey, Figure, Objective, Term};
pub use optimizer::Optimizer;
pub use schedule::learning_rate;
pub use step::{StepReport, gradients_of_step};
pub use trainer::{Event, Outcome, Trainer};
