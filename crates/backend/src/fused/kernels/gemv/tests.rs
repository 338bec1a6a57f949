//! The products against plain sums, and the vector kernels against their scalar twins.

use super::narrow::{GROUP, Narrow, bf16_body, bf16_panel, int8_body, int8_panel};
use super::*;
use crate::fused::kernels::gemm::{Product, Start, View};

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
}

/// `x w + bias` in double precision, added to `start`.
fn expected(
    x: &[f32],
    w: impl Fn(usize, usize) -> f32,
    shape: [usize; 3],
    bias: &[f32],
    start: f32,
) -> Vec<f32> {
    let [rows, d_in, d_out] = shape;
    let cell = |r: usize, j: usize| {
        let sum: f64 = (0..d_in).map(|i| f64::from(x[r * d_in + i]) * f64::from(w(i, j))).sum();
        (sum + f64::from(bias[j]) + f64::from(start)) as f32
    };
    (0..rows).flat_map(|r| (0..d_out).map(move |j| (r, j))).map(|(r, j)| cell(r, j)).collect()
}

#[track_caller]
fn close(got: &[f32], expected: &[f32], what: &str) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= 2e-4, "{what}: {got} instead of {expected}");
    }
}

const SHAPES: [[usize; 3]; 7] =
    [[1, 1, 1], [1, 33, 70], [3, 64, 64], [8, 130, 200], [1, 640, 300], [2, 7, 1000], [11, 70, 65]];

/// `w`, `[d_in, d_out]`, packed, and packed from its transpose.
fn panels(w: &[f32], [d_in, d_out]: [usize; 2]) -> [Panels; 2] {
    let transposed: Vec<f32> = (0..d_out).flat_map(|j| (0..d_in).map(move |i| w[i * d_out + j])).collect();
    [View::rows(w, d_out), View::rows(&transposed[..], d_in).transposed()]
        .map(|view| Panels::new([d_in, d_out], view))
}

#[test]
fn products_of_f32_weights_are_right_from_both_layouts() {
    for shape @ [rows, d_in, d_out] in SHAPES.into_iter().filter(|shape| shape[0] <= FEW) {
        let (x, w, bias) = (numbers(rows * d_in, 1), numbers(d_in * d_out, 2), numbers(d_out, 3));
        for panels in panels(&w, [d_in, d_out]) {
            for (start, write) in [(0.0, Write::Set), (0.5, Write::Add)] {
                for bias in [&bias, &vec![0.0; d_out]] {
                    let mut y = vec![0.5; rows * d_out];
                    few(&x, &panels, rows, Some(bias), &mut y, write);
                    let expected = expected(&x, |i, j| w[i * d_out + j], shape, bias, start);
                    close(&y, &expected, &format!("{shape:?}"));
                }
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_alone_with_few_and_with_many() {
    for [_, d_in, d_out] in SHAPES.into_iter().chain([[1, 1300, 90]]) {
        let rows = 40;
        let (x, w, bias) = (numbers(rows * d_in, 1), numbers(d_in * d_out, 2), numbers(d_out, 3));
        let [panels, _] = panels(&w, [d_in, d_out]);
        for (write, start) in [(Write::Set, Start::Zero), (Write::Add, Start::Output)] {
            let mut many = vec![0.3; rows * d_out];
            Product::with_packed(rows, View::rows(&x[..], d_in), &panels)
                .plus_row(Some(&bias))
                .into_slice(&mut many, start);
            for together in 1..=FEW {
                let mut y = vec![0.3; rows * d_out];
                for (x, y) in x.chunks(together * d_in).zip(y.chunks_mut(together * d_out)) {
                    few(x, &panels, x.len() / d_in, Some(&bias), y, write);
                }
                assert!(y == many, "{together} rows of {d_in} to {d_out}");
            }
        }
    }
}

#[test]
fn narrow_products_equal_those_of_their_widened_weights() {
    for shape @ [rows, d_in, d_out] in SHAPES {
        let (x, w, bias) = (numbers(rows * d_in, 1), numbers(d_in * d_out, 2), numbers(d_out, 3));
        let weight = |i: usize, j: usize| w[i * d_out + j];
        for packed in [Packed::bf16([d_in, d_out], weight), Packed::int8([d_in, d_out], weight)] {
            let panels = d_out.div_ceil(PANEL);
            let mut wide = vec![0.0; d_in * panels * PANEL];
            packed.widen(0, panels, &mut wide);
            let mut y = vec![0.5; rows * d_out];
            packed.apply(&x, rows, Some(&bias), &mut y, Write::Add);
            let wide = |i: usize, j: usize| wide[i * panels * PANEL + j];
            close(&y, &expected(&x, wide, shape, &bias, 0.5), &format!("{shape:?}"));
            // Half a step: of 8 bits of mantissa, or of 127 to the largest in the group, which is at most 1.
            let step = if matches!(packed.weights, Narrow::Bf16(_)) { 1.0 / 256.0 } else { 0.5 / 127.0 };
            for i in 0..d_in {
                for j in 0..d_out {
                    assert!((wide(i, j) - weight(i, j)).abs() <= step * 1.001);
                }
            }
        }
    }
}

#[test]
fn a_group_of_zeros_and_special_numbers_survive() {
    let packed = Packed::int8([GROUP + 1, 2], |i, j| if i < GROUP && j == 0 { 0.0 } else { 3.0 });
    let mut y = vec![0.0; 2];
    packed.apply(&vec![1.0; GROUP + 1], 1, None, &mut y, Write::Set);
    close(&y, &[3.0, 3.0 * (GROUP + 1) as f32], "zeros");
}

#[test]
fn vector_kernels_equal_their_scalar_twins() {
    let (rows, d_in) = (3, 2 * GROUP + 5);
    let x = numbers(rows * d_in, 1);
    let inputs = Inputs { values: &x, stride: d_in, rows, count: d_in };
    let weights = numbers(d_in * PANEL, 2);
    let run = |f: &dyn Fn(&mut [f32])| {
        let mut sums = vec![9.0; rows * PANEL];
        f(&mut sums);
        sums
    };
    for rows in 1..=3 {
        let inputs = Inputs { rows, ..inputs };
        let run = |f: &dyn Fn(&mut [f32])| {
            let mut sums = vec![9.0; rows * 32];
            f(&mut sums);
            sums
        };
        let twin = run(&|sums| panel_body::<false, 32>(inputs, &weights, sums));
        close(&run(&|sums| panel_32(inputs, &weights, sums)), &twin, "panels of 32");
        let run = |f: &dyn Fn(&mut [f32])| {
            let mut sums = vec![9.0; rows * 16];
            f(&mut sums);
            sums
        };
        let twin = run(&|sums| panel_body::<false, 16>(inputs, &weights, sums));
        close(&run(&|sums| panel_16(inputs, &weights, sums)), &twin, "panels of 16");
    }
    let bf16: Vec<u16> = weights.iter().map(|&w| crate::fused::kernels::number::to_bf16(w)).collect();
    close(
        &run(&|sums| bf16_panel(inputs, &bf16, sums)),
        &run(&|sums| bf16_body::<false>(inputs, &bf16, sums)),
        "bf16",
    );
    let int8: Vec<i8> = weights.iter().map(|&w| (w * 127.0) as i8).collect();
    let scales: Vec<f32> = numbers(3 * PANEL, 4).iter().map(|s| s / 127.0).collect();
    close(
        &run(&|sums| int8_panel(inputs, &int8, &scales, sums)),
        &run(&|sums| int8_body::<false>(inputs, &int8, &scales, sums)),
        "int8",
    );
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let [rows, d_in, d_out] = [2, 640, 700];
    let (x, w) = (numbers(rows * d_in, 1), numbers(d_in * d_out, 2));
    let packed = Packed::int8([d_in, d_out], |i, j| w[i * d_out + j]);
    let [panels, _] = panels(&w, [d_in, d_out]);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let mut y = [0, 1].map(|_| vec![0.0; rows * d_out]);
            few(&x, &panels, rows, None, &mut y[0], Write::Set);
            packed.apply(&x, rows, None, &mut y[1], Write::Set);
            y
        })
    };
    assert_eq!(run(1), run(3));
}
