//! Kernels on plain slices: what the fused operations compute, without tensors or gradients' bookkeeping.
//!
//! Each is ordinary Rust over slices, written so that the compiler turns its inner loop into vector instructions, and
//! compiled several times by `vectorized!` for the instruction sets that a processor may have. The
//! portable version of each is its scalar twin: the tests compare the two. Matrix products ([`gemm`]) are written with
//! intrinsics, as no compiler keeps their sums in registers by itself.
//!
//! However work is split among threads, each number is summed in one order. So the same inputs give the same bits for any
//! number of threads.

#[macro_use]
mod vector;
#[macro_use]
pub(super) mod number;

pub(crate) mod activation;
pub(crate) mod attention;
pub(super) mod cross_entropy;
pub(super) mod distillation;
pub(crate) mod gemm;
pub(crate) mod gemv;
pub(super) mod lstm;
pub(super) mod math;
pub(super) mod memory;
pub(super) mod norm;
pub(super) mod optimizer;
pub(crate) mod query;
pub(super) mod reduce;
pub(crate) mod rope;
pub(crate) mod team;
pub(crate) mod token;
