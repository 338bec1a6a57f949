//! Every kernel against sums in double precision, for every layout and start.
#![allow(unsafe_code, reason = "kernels are called by name, with outputs that are exclusive slices")]

use burn::tensor::bf16;

use super::*;

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
}

/// `x` with rows and columns, `[rows, cols]`, exchanged.
fn transposed(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..cols * rows).map(|i| x[i % rows * cols + i / rows]).collect()
}

fn rounded(x: &[f32], precision: Precision) -> Vec<f32> {
    if precision == Precision::Bf16 {
        x.iter().map(|&x| bf16::narrow(x).widen()).collect()
    } else {
        x.to_vec()
    }
}

fn narrow(x: &[f32]) -> Vec<bf16> {
    x.iter().map(|&x| bf16::narrow(x)).collect()
}

/// The operands of a product in all layouts: `a`, `b`, the two transposed, and `a` with other numbers in between.
fn layouts<'a>([m, n, k]: [usize; 3], [a, b, at, bt, apart]: [Numbers<'a>; 5]) -> [[View<'a>; 2]; 4] {
    [
        [View::rows(a, k), View::rows(b, n)],
        [View::rows(at, m).transposed(), View::rows(b, n)],
        [View::rows(a, k), View::rows(bt, k).transposed()],
        [View::strided(apart, 2 * k, 2), View::rows(b, n)],
    ]
}

type Run = unsafe fn(&Product<'_>, [usize; 2], [usize; 2], Target);

/// # Safety
/// As of [`Product::run`].
unsafe fn run<K: Kernel>(product: &Product<'_>, from: [usize; 2], size: [usize; 2], target: Target) {
    // SAFETY: this function's contract.
    unsafe { product.run::<K>(from, size, target) }
}

/// The kernels this processor can run.
fn kernels() -> Vec<(&'static str, Precision, Run)> {
    let mut kernels: Vec<(&'static str, Precision, Run)> = vec![
        ("portable", Precision::F32, run::<Portable<false>>),
        ("portable bf16", Precision::Bf16, run::<Portable<true>>),
    ];
    #[cfg(target_arch = "x86_64")]
    {
        if has_avx2() {
            kernels.push(("AVX2", Precision::F32, run::<tile::Avx2>));
        }
        if has_avx512() {
            kernels.push(("AVX-512", Precision::F32, run::<tile::Avx512>));
        }
        if has_bf16() {
            kernels.push(("AVX512-BF16", Precision::Bf16, run::<tile::Avx512Bf16>));
        }
    }
    kernels
}

#[test]
fn every_kernel_gives_the_product_for_every_layout_and_start() {
    let shapes = [
        [1, 1, 1],
        [1, 100, 33],
        [7, 5, 3],
        [3, 4, 0],
        [65, 1, 9],
        [30, 81, 17],
        [29, 97, 1031],
        [150, 33, 16],
        [5, 1100, 34],
    ];
    for [m, n, k] in shapes {
        let (a, b, row, matrix) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3), numbers(m * n, 4));
        let (at, bt) = (transposed(&a, m, k), transposed(&b, k, n));
        // Both strides larger than one.
        let apart: Vec<f32> = a.iter().flat_map(|&x| [x, f32::NAN]).collect();
        let wide = [a, b, at, bt, apart];
        let halves = wide.each_ref().map(|x| narrow(x));
        let [a, b, ..] = &wide;
        for (name, precision, run) in kernels() {
            let mut operands = layouts([m, n, k], wide.each_ref().map(|x| f32::numbers(x))).to_vec();
            if precision == Precision::Bf16 {
                // Numbers that are stored in bf16 need no rounding.
                operands.extend(layouts([m, n, k], halves.each_ref().map(|x| bf16::numbers(x))));
            }
            let (a, b) = (rounded(a, precision), rounded(b, precision));
            let sum = |i: usize, j: usize| -> f64 {
                (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum()
            };
            let sums: Vec<f64> = (0..m * n).map(|index| sum(index / n, index % n)).collect();
            let largest = sums.iter().fold(1.0_f64, |max, sum| max.max(sum.abs()));
            for (layout, &[a, b]) in operands.iter().enumerate() {
                for start in [Start::Zero, Start::Output, Start::Matrix(&matrix, n)] {
                    let mut c =
                        if matches!(start, Start::Output) { matrix.clone() } else { vec![f32::NAN; m * n] };
                    let product = Product::new([m, n, k], a, b, precision).scaled(0.5).plus_row(Some(&row));
                    let target = product.target(Place::F32(c.as_mut_ptr()), n, start);
                    // SAFETY: `c` is [m, n] and borrowed exclusively; the processor has the instructions.
                    unsafe { run(&product, [0, 0], [m, n], target) };
                    for (index, (&got, &sum)) in c.iter().zip(&sums).enumerate() {
                        let added = if matches!(start, Start::Zero) { 0.0 } else { matrix[index] };
                        let expected = 0.5 * sum + f64::from(row[index % n]) + f64::from(added);
                        assert!(
                            (f64::from(got) - expected).abs() <= 2e-6 * largest,
                            "{name}, [{m}, {n}, {k}], layout {layout}, {start:?}, {index}: {got} and {expected}"
                        );
                    }
                    if matches!(start, Start::Output) {
                        continue;
                    }
                    let mut stored = vec![bf16::NAN; m * n];
                    let target = product.target(Place::Bf16(stored.as_mut_ptr()), n, start);
                    // SAFETY: as above.
                    unsafe { run(&product, [0, 0], [m, n], target) };
                    for (index, (&got, &wide)) in stored.iter().zip(&c).enumerate() {
                        // Sums of several pieces are one here, and may be rounded to the next number.
                        let near = (got.widen() - wide).abs() <= wide.abs() / 256.0 + 2e-6 * largest as f32;
                        let same = k <= 500 && got == bf16::narrow(wide);
                        assert!(
                            same || k > 500 && near,
                            "{name}, [{m}, {n}, {k}], layout {layout}, {start:?}, {index}: {got} and {wide}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_product_in_parts_has_the_same_bits() {
    let [m, n, k] = [301, 803, 1100];
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    for precision in [Precision::F32, Precision::Bf16] {
        let product = Product::new([m, n, k], View::rows(&a[..], k), View::rows(&b[..], n), precision);
        let mut whole = vec![0.0; m * n];
        // SAFETY: `whole` is [m, n] and borrowed exclusively.
        unsafe { product.write_here(whole.as_mut_ptr(), n, Start::Zero) };
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
            let parts = pool.install(|| product.to_vec(Start::Zero));
            assert!(parts == whole, "{threads} threads");
        }
    }
}

#[test]
fn panels_are_nearly_equal_and_cover_all_rows() {
    for rows in 0..200 {
        let panels: Vec<(usize, usize)> = panels(rows, 14).collect();
        let mut next = 0;
        for &(first, height) in &panels {
            assert!(first == next && (1..=14).contains(&height));
            next += height;
        }
        assert_eq!(next, rows);
        let heights = panels.iter().map(|&(_, height)| height);
        assert!(heights.clone().max().unwrap_or(0) - heights.min().unwrap_or(0) <= 1);
    }
}

#[test]
#[should_panic(expected = "too short")]
fn operands_that_are_too_short_are_refused() {
    let (a, b) = ([0.0_f32; 5], [0.0_f32; 6]);
    Product::new([2, 2, 3], View::rows(&a[..], 3), View::rows(&b[..], 2), Precision::F32);
}

#[test]
#[should_panic(expected = "nothing is added to a bf16 output")]
fn sums_in_a_bf16_output_are_refused() {
    let (a, mut c) = ([0.0_f32; 4], [bf16::ZERO; 4]);
    let product = Product::new([2, 2, 2], View::rows(&a[..], 2), View::rows(&a[..], 2), Precision::Bf16);
    // SAFETY: `c` is [2, 2], borrowed exclusively, and holds numbers.
    unsafe { product.write(Shared::of(&mut c), 2, Start::Output) };
}
