//! What runs on slices against what runs on tensors.

use super::*;
use crate::fused::kernels::query::blocks_of;
use crate::ops;
use burn::tensor::{Device, TensorData};

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().expect("f32")
}

#[track_caller]
fn close(got: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= tolerance, "{what}: {got} instead of {expected}");
    }
}

#[test]
fn products_equal_linear_layers_for_few_rows_and_many() {
    let (d_in, d_out) = (130, 200);
    let (w, b) = (tensor(&numbers(d_in * d_out, 1), [d_in, d_out]), tensor(&numbers(d_out, 2), [d_out]));
    let transposed = tensor(&values(w.clone().transpose()), [d_out, d_in]).transpose();
    let bias = Vector::new(b.clone()).expect("on flex");
    let mut scratch = Scratch::default();
    for rows in [1, 3, 8, 9, 40] {
        let x = numbers(rows * d_in, 3);
        let expected = values(ops::linear(tensor(&x, [rows, d_in]), w.clone(), Some(b.clone())));
        for weight in [&w, &transposed] {
            for format in WeightFormat::ALL {
                let matrix = Matrix::new(weight.clone(), format).expect("on flex");
                // Errors of many weights add up like a random walk.
                let tolerance = match format {
                    WeightFormat::F32 => 1e-4,
                    WeightFormat::Bf16 => 2.0 / 512.0 * (d_in as f32).sqrt(),
                    WeightFormat::Int8 => 2.0 / 254.0 * (d_in as f32).sqrt(),
                };
                let mut y = vec![0.0; rows * d_out];
                matrix.apply(&x, Some(&bias), &mut y, Write::Set, &mut scratch);
                close(&y, &expected, tolerance, &format!("{format:?}, {rows} rows"));
                let mut twice = y.clone();
                matrix.apply(&x, Some(&bias), &mut twice, Write::Add, &mut scratch);
                let sum: Vec<f32> = y.iter().map(|y| 2.0 * y).collect();
                close(&twice, &sum, 1e-4, &format!("{format:?}, {rows} rows, added"));
            }
        }
    }
}

#[test]
fn many_rows_of_narrow_weights_equal_few() {
    let (rows, d_in, d_out) = (20, 100, 1500);
    let w = tensor(&numbers(d_in * d_out, 1), [d_in, d_out]);
    let x = numbers(rows * d_in, 3);
    for format in [WeightFormat::Bf16, WeightFormat::Int8] {
        let matrix = Matrix::new(w.clone(), format).expect("on flex");
        let mut scratch = Scratch::default();
        let (mut many, mut few) = (vec![0.0; rows * d_out], vec![0.0; rows * d_out]);
        matrix.apply(&x, None, &mut many, Write::Set, &mut scratch);
        for (x, y) in x.chunks(4 * d_in).zip(few.chunks_mut(4 * d_out)) {
            matrix.apply(x, None, y, Write::Set, &mut scratch);
        }
        close(&many, &few, 1e-4, format.name());
    }
}

#[test]
fn rounded_weights_are_those_that_products_multiply_by() {
    // Neither width fills its last panel or group.
    let (d_in, d_out) = (100, 70);
    let w = tensor(&numbers(d_in * d_out, 1), [d_in, d_out]);
    let unit: Vec<f32> = (0..d_in * d_in).map(|i| f32::from(u8::from(i % (d_in + 1) == 0))).collect();
    for format in WeightFormat::ALL {
        let matrix = Matrix::new(w.clone(), format).expect("on flex");
        let mut products = vec![0.0; d_in * d_out];
        matrix.apply(&unit, None, &mut products, Write::Set, &mut Scratch::default());
        let (rounded, bytes) = rounded(w.clone(), format).expect("on flex");
        assert_eq!((values(rounded), bytes), (products, matrix.bytes()), "{}", format.name());
    }
}

#[test]
fn narrow_weights_take_less_memory() {
    let w = tensor(&numbers(256 * 512, 1), [256, 512]);
    let [f32, bf16, int8] =
        WeightFormat::ALL.map(|format| Matrix::new(w.clone(), format).expect("on flex").bytes());
    assert_eq!((f32, bf16), (4 * 256 * 512, 2 * 256 * 512));
    assert_eq!(int8, 256 * 512 + 256 / 64 * 512 * 4, "a byte a weight, four for 64 of them");
}

#[test]
fn attention_equals_that_of_tensors() {
    let sizes = HeadSizes { heads: 4, kv_heads: 2, d_head: 8 };
    for (rows, count) in [(1, 1), (1, 40), (5, 40), (30, 40), (40, 40)] {
        let (q, k, v) = (numbers(rows * 32, 1), numbers(count * 16, 2), numbers(count * 16, 3));
        let mut out = vec![0.0; rows * 32];
        let blocks = blocks_of(&k, &v, 2, 8);
        let new =
            [&k, &v].map(|values| Rows { values: &values[(count - rows) * 16..], stride: 16, count: rows });
        let seen = Seen { blocks: &blocks, count };
        attend_causally(&q, sizes, seen, new, &mut Scratch::default(), &mut out);
        let expected = ops::attention(
            tensor(&q, [1, rows, 4, 8]),
            tensor(&k, [1, count, 2, 8]),
            tensor(&v, [1, count, 2, 8]),
            &ops::AttentionMask::Causal,
            None,
            1.0 / 8f64.sqrt(),
        );
        close(&out, &values(expected), 1e-5, &format!("{rows} of {count}"));
    }
}

#[test]
fn what_is_not_plain_f32_on_the_cpu_is_left_to_tensors() {
    let w = tensor(&numbers(6, 1), [2, 3]);
    let tracked = Tensor::<2>::from_data(w.clone().into_data(), &Device::flex().autodiff());
    assert!(Matrix::new(tracked, WeightFormat::F32).is_none());
    let (_, other) = crate::device::resolve(Some("ndarray")).expect("it is always there");
    assert!(Vector::new(Tensor::<2>::from_data(w.into_data(), &other)).is_none());
}
