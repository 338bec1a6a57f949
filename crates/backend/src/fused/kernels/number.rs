//! Numbers as they lie in memory: f32, or bf16 where products round them to it anyway.

use burn::tensor::{Element, bf16};

/// A type that kernels read and write. They compute in f32.
pub(crate) trait Number: Element {
    /// As f32, exactly.
    fn widen(self) -> f32;
    /// The nearest to `x`, ties to even.
    fn narrow(x: f32) -> Self;
    /// These numbers, whatever their type.
    fn numbers(values: &[Self]) -> Numbers<'_>;
    /// These numbers, whatever their type.
    fn buffer(values: Vec<Self>) -> Buffer;
    /// This address, whatever its type.
    fn place(address: *mut Self) -> Place;
}

impl Number for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn narrow(x: f32) -> Self {
        x
    }

    fn numbers(values: &[Self]) -> Numbers<'_> {
        Numbers::F32(values)
    }

    fn buffer(values: Vec<Self>) -> Buffer {
        Buffer::F32(values)
    }

    fn place(address: *mut Self) -> Place {
        Place::F32(address)
    }
}

impl Number for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn narrow(x: f32) -> Self {
        Self::from_bits(to_bf16(x))
    }

    fn numbers(values: &[Self]) -> Numbers<'_> {
        Numbers::Bf16(values)
    }

    fn buffer(values: Vec<Self>) -> Buffer {
        Buffer::Bf16(values)
    }

    fn place(address: *mut Self) -> Place {
        Place::Bf16(address)
    }
}

/// The bits of the bf16 nearest to `x`, ties to even; a number that is none stays none.
#[inline(always)]
pub(crate) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let word = if x.is_nan() { bits | 0x40_0000 } else { rounded };
    (word >> 16) as u16
}

/// Numbers one after another, of either type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Numbers<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

/// Evaluates an expression with the slice behind [`Numbers`], of whichever type.
macro_rules! with_slice {
    ($numbers:expr, |$slice:ident| $body:expr) => {
        match $numbers {
            $crate::fused::kernels::number::Numbers::F32($slice) => $body,
            $crate::fused::kernels::number::Numbers::Bf16($slice) => $body,
        }
    };
}

impl Numbers<'_> {
    pub(crate) fn len(self) -> usize {
        with_slice!(self, |values| values.len())
    }

    /// Those from number `start` on; none where there are no more.
    pub(crate) fn from(self, start: usize) -> Self {
        match self {
            Self::F32(values) => Self::F32(values.get(start..).unwrap_or_default()),
            Self::Bf16(values) => Self::Bf16(values.get(start..).unwrap_or_default()),
        }
    }
}

impl<'a, T: Number> From<&'a [T]> for Numbers<'a> {
    fn from(values: &'a [T]) -> Self {
        T::numbers(values)
    }
}

/// Numbers of either type with their memory.
#[derive(Debug)]
pub(crate) enum Buffer {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl Buffer {
    pub(crate) fn numbers(&self) -> Numbers<'_> {
        match self {
            Self::F32(values) => Numbers::F32(values),
            Self::Bf16(values) => Numbers::Bf16(values),
        }
    }
}

/// The address of a number of either type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    F32(*mut f32),
    Bf16(*mut bf16),
}

impl Place {
    /// The address `offset` numbers further.
    #[inline(always)]
    pub(crate) fn at(self, offset: usize) -> Self {
        match self {
            Self::F32(address) => Self::F32(address.wrapping_add(offset)),
            Self::Bf16(address) => Self::Bf16(address.wrapping_add(offset)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_the_nearest_with_ties_to_even() {
        let halfway = f32::from_bits(0x3f80_8000);
        let above = f32::from_bits(0x3f81_8000);
        for (x, bits) in [(1.0, 0x3f80), (-2.5, 0xc020), (halfway, 0x3f80), (above, 0x3f82), (0.0, 0)] {
            assert_eq!(bf16::narrow(x).to_bits(), bits, "{x}");
        }
        assert_eq!(bf16::narrow(f32::MAX).widen(), f32::INFINITY);
        assert_eq!(bf16::narrow(f32::NEG_INFINITY).widen(), f32::NEG_INFINITY);
        // Quiet, signalling, and one whose bits would overflow if rounded.
        for nan in [f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xffff_ffff)] {
            assert!(bf16::narrow(nan).widen().is_nan());
        }
        // Against an implementation that is not ours.
        for bits in (0..u32::MAX).step_by(65_521) {
            let x = f32::from_bits(bits);
            assert_eq!(bf16::narrow(x).to_bits(), bf16::from_f32(x).to_bits(), "{bits:#x}");
        }
    }
}
