//! The threads that compute.

use crate::fused::kernels::team;

/// Runs `work`, in which the threads of the pool wait for the loops of this crate without sleeping: for a step that is
/// made of many short ones. Where `work` waits for something else they go to sleep after a while. Not for loops of other crates: until
/// `work` ends, the pool does ours alone.
pub fn together<T>(work: impl FnOnce() -> T) -> T {
    team::together(work)
}
