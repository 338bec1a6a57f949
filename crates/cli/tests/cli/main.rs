//! What users see of the real binary: its exit codes, its messages, its output, the files it leaves.

mod bad_input;
mod both_ways;
mod configs;
mod costing;
mod datasets;
mod distilling;
mod elmo;
mod encoders;
mod faults;
mod fetching;
mod generating;
mod inspecting;
mod interruptions;
mod memory;
mod objectives;
mod preparing;
mod resuming;
mod scoring;
mod showing;
mod streams;
mod support;
mod text_to_model;
mod tools;
mod tracing;
mod watching;
mod web;
