//! What the operands of matrix products are rounded to.
//!
//! Mixed precision as PyTorch's autocast has it: weights, activations and gradients stay f32, products round their
//! operands and sum in f32 [Micikevicius 2018, Kalamkar 2019]. Operations take the precision of the [`scope`] they are
//! called in, and their backward pass keeps it.

use std::cell::Cell;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::device::is_flex;

/// What the operands of a product are rounded to. Sums are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 bits: nothing is rounded.
    #[default]
    F32,
    /// bfloat16: 8 bits of precision, the range of f32. Twice as fast where the processor multiplies it.
    Bf16,
}

/// Why a device cannot compute in a precision.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PrecisionError {
    /// The processor has no instructions for products of bf16.
    #[error(
        "precision `bf16` needs a processor with AVX512-BF16 (AMD since Zen 4, Intel since Cooper Lake), and this one has \
         none: use `f32`"
    )]
    Processor,
    /// The device is not ours to compute on.
    #[error("precision `bf16` is for `--device cpu`: elsewhere use `f32`")]
    Device,
}

impl Precision {
    /// Checks that `device` can compute in this precision.
    ///
    /// # Errors
    /// When it cannot, with what can be done instead.
    pub fn check(self, device: &Device) -> Result<(), PrecisionError> {
        match self {
            Self::F32 => Ok(()),
            Self::Bf16 if !is_flex(device) => Err(PrecisionError::Device),
            Self::Bf16 if !crate::fused::has_bf16() => Err(PrecisionError::Processor),
            Self::Bf16 => Ok(()),
        }
    }
}

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Runs `f` with the products of its operations in `precision`.
pub fn scope<R>(precision: Precision, f: impl FnOnce() -> R) -> R {
    /// Puts back what was there, whatever happens.
    struct Restore(Precision);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(precision));
    f()
}

/// The precision of the innermost [`scope`].
pub(crate) fn current() -> Precision {
    CURRENT.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_ends_with_what_was_there_before() {
        assert_eq!(current(), Precision::F32);
        scope(Precision::Bf16, || {
            assert_eq!(current(), Precision::Bf16);
            scope(Precision::F32, || assert_eq!(current(), Precision::F32));
            assert_eq!(current(), Precision::Bf16);
        });
        assert_eq!(current(), Precision::F32);
    }

    #[test]
    fn only_our_kernels_compute_in_bf16() {
        let (_, ndarray) = crate::device::resolve(Some("ndarray")).expect("it is always there");
        assert_eq!(Precision::Bf16.check(&ndarray), Err(PrecisionError::Device));
        assert_eq!(Precision::F32.check(&ndarray), Ok(()));
    }
}
