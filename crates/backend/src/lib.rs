//! Devices, and the heavy operations that models call.
//!
//! This is the only crate that names a burn backend. Models ask for a [`Device`] by a string
//! ([`device::resolve`]) and call the functions of [`ops`]; each of those is written with burn's primitives, which run
//! everywhere, and takes a fused kernel on the CPU.
//!
//! What it does not know: models, tokens, training. Its functions take tensors and numbers.

pub mod device;
mod draw;
mod fused;
pub mod inference;
pub mod memory;
pub mod ops;
pub mod precision;
pub mod threads;

pub use burn::tensor::Device;
pub use precision::Precision;
