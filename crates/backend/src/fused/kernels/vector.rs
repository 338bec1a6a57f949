//! One source, several instruction sets.

/// `a · b + c`, rounded once where the instruction set has it (`FMA`), else twice.
///
/// `f32::mul_add` without the instruction is a call into the C library, some thirty times slower.
#[inline(always)]
pub(super) fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Whether this processor has the AVX-512 that our kernels are compiled for.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
}

/// Whether it has AVX2 and the fused multiplication.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Defines a function that runs `body::<FMA>` compiled for the best instruction set this processor has.
///
/// `body` is an `#[inline(always)]` function, generic over `const FMA: bool` and then over the types that the function
/// is. It is inlined into one copy per instruction set, where the compiler vectorizes its loops.
macro_rules! vectorized {
    (
        $(#[$meta:meta])* $vis:vis fn $name:ident $(<$($T:ident: $bound:path),+>)?
        ($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? = $body:ident
    ) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "kernels take slices and sizes, not structs")]
        $vis fn $name $(<$($T: $bound),+>)? ($($arg: $type),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                fn avx512 $(<$($T: $bound),+>)? ($($arg: $type),*) $(-> $out)? {
                    $body::<true $($(, $T)+)?>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2 $(<$($T: $bound),+>)? ($($arg: $type),*) $(-> $out)? {
                    $body::<true $($(, $T)+)?>($($arg),*)
                }
                if $crate::fused::kernels::vector::has_avx512() {
                    #[allow(unsafe_code, reason = "calling a function compiled for a detected instruction set")]
                    // SAFETY: the processor has the instructions `avx512` was compiled for: just checked, and every
                    // processor with AVX-512 has AVX2 and FMA.
                    return unsafe { avx512($($arg),*) };
                }
                if $crate::fused::kernels::vector::has_avx2() {
                    #[allow(unsafe_code, reason = "calling a function compiled for a detected instruction set")]
                    // SAFETY: the processor has the instructions `avx2` was compiled for: just checked.
                    return unsafe { avx2($($arg),*) };
                }
                $body::<false $($(, $T)+)?>($($arg),*)
            }
            // Elsewhere the baseline decides: NEON has the fused instruction always.
            #[cfg(not(target_arch = "x86_64"))]
            $body::<{ cfg!(target_arch = "aarch64") } $($(, $T)+)?>($($arg),*)
        }
    };
}
