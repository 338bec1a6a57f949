//! What is claimed of the generator, tested.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod built_in;
mod enumerate;
mod language;
mod refused;
