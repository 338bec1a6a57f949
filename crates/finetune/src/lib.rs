//! Fine-tuning on labelled examples: what a model with a head is trained for.
//!
//! Ids in, ids out: an [`Example`] is ids and a target, and what texts, columns and labels they come from is known to others. An
//! objective here is one of `firebrand_training`, whose trainer does the rest; [`ExampleData`] says which examples make up which
//! step. Adding a task: a module here with its objective, and its arm in the cli's `commands/finetune`.

mod adapters;
mod answering;
mod config;
mod data;
mod example;
mod figures;
mod frame;
mod judge;
mod labelling;
mod method;
mod predict;
pub mod report;
mod rewriting;
mod tagging;
#[cfg(test)]
mod testing;
mod writing;

pub use adapters::AdaptersOf;
pub use answering::{Answering, AnsweringBatch, Cloze};
pub use config::{BestBy, ClassWeights, FinetuneTraining, HeadOptions, LongTexts};
pub use data::{ExampleData, in_batches};
pub use example::{Example, Examples, Item, Target};
pub use figures::{Answer, Answers, likeliest};
pub use frame::{Frame, Framed};
pub use judge::judge;
pub use labelling::{LabelledBatch, Labelling};
pub use method::{MethodConfig, MethodKind, Unfreeze};
pub use predict::{mean_probabilities, predict, probabilities};
pub use rewriting::Rewriting;
pub use tagging::{TagAnswers, Tagging, TaggingBatch};
pub use writing::{Side, Writing, WritingBatch, Written, pack};
