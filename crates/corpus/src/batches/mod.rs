//! Which windows of a token stream make up which step, and the windows themselves.
//!
//! Nothing here has a state: the windows of a step follow from (seed, step) alone, so training resumes at any step,
//! and a batch may be split into micro-batches in any way. Knows nothing of devices.

mod batch;
mod evaluation;
mod keyed;
mod order;
mod permutation;

pub use batch::TokenBatch;
pub use evaluation::{EvalWindow, eval_batches, eval_windows};
pub use keyed::{below, keyed_rng};
pub use order::{Order, WindowOrder};
pub use permutation::Permutation;
