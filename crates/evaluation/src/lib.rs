//! Evaluation suites: what is asked of a model, what its answers are worth, and how sure that is.
//!
//! - [`suite`]: a suite as its TOML file describes it, and its tasks, checked.
//! - [`items`]: the examples of a task, read from files.
//! - [`results`]: what models answered, as metrics with intervals, and differences between runs with their tests.
//! - [`statistics`]: the bootstrap and the paired tests, numbers only.
//!
//! This crate knows text and numbers: not models, tokens or how a log-likelihood is computed. Whoever scores hands in
//! [`results::Answers`], one an example.

pub mod items;
pub mod results;
pub mod statistics;
pub mod suite;
