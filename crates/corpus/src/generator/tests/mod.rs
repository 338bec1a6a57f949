//! What is claimed of the generator, tested.

mod built_in;
mod enumerate;
mod language;
mod refused;
