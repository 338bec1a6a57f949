//! Every fused operation against the same composed of burn's primitives: values, all gradients, odd shapes, strided
//! inputs, frozen inputs; the same bits for any number of threads; other types left to the primitives.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attention;
mod bits;
mod checkpoint;
mod drawing;
mod fallback;
mod finite;
mod precision;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::fused;
use crate::ops::{self, Activation, AdamwStep, AdamwTensors, Before, Map, Norm, NormKind, Scores, primitive};

/// Numbers between −1 and 1 without a pattern.
fn numbers(len: usize, seed: usize) -> Vec<f32> {
    let mut state = seed as u64 * 2 + 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(next).collect()
}

fn tensor(len: usize, seed: usize, device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(numbers(len, seed), [len]), device)
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().unwrap()
}

/// Equal up to 1e-5 of the largest number.
#[track_caller]
fn assert_close(got: &[f32], expected: &[f32], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    // What should be nothing is the difference of numbers near one, with their rounding error.
    let scale = expected.iter().fold(2e-2_f32, |max, x| max.max(x.abs()));
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= 1e-5 * scale, "{what}, element {i}: {got} instead of {expected}");
    }
}

/// The output of `f` and the gradients of those of its inputs that are `tracked`, for a loss without symmetries.
fn run<const N: usize, const D: usize>(
    lens: [usize; N],
    tracked: [bool; N],
    f: &impl Fn([Tensor<1>; N]) -> Tensor<D>,
) -> (Vec<f32>, [Option<Vec<f32>>; N]) {
    let device = Device::flex().autodiff();
    let leaves: [Tensor<1>; N] = std::array::from_fn(|i| {
        let leaf = tensor(lens[i], i + 1, &device);
        if tracked[i] { leaf.require_grad() } else { leaf }
    });
    let y = f(leaves.clone());
    let len = y.shape().num_elements();
    let y = y.reshape([len]);
    let output = values(y.clone());
    if !tracked.contains(&true) {
        return (output, std::array::from_fn(|_| None));
    }
    let gradients = (y * tensor(len, 99, &device)).sum().backward();
    (output, leaves.map(|leaf| leaf.grad(&gradients).map(values)))
}

/// Compares two ways to compute the same, with every selection of frozen inputs and outside of any graph.
#[track_caller]
fn agree<const N: usize, const D: usize>(
    lens: [usize; N],
    fused: impl Fn([Tensor<1>; N]) -> Tensor<D>,
    primitive: impl Fn([Tensor<1>; N]) -> Tensor<D>,
) {
    for selection in 0..1 << N {
        let tracked = std::array::from_fn(|i| selection >> i & 1 == 1);
        let (got, expected) = (run(lens, tracked, &fused), run(lens, tracked, &primitive));
        assert_close(&got.0, &expected.0, "output");
        for (i, (got, expected)) in got.1.iter().zip(&expected.1).enumerate() {
            assert_eq!(got.is_some(), expected.is_some(), "gradient {i} of {tracked:?}");
            if let (Some(got), Some(expected)) = (got, expected) {
                assert_close(got, expected, &format!("gradient {i} of {tracked:?}"));
            }
        }
    }
    let plain = |f: &dyn Fn([Tensor<1>; N]) -> Tensor<D>| {
        values(f(std::array::from_fn(|i| tensor(lens[i], i + 1, &Device::flex()))))
    };
    assert_close(&plain(&fused), &plain(&primitive), "output outside of a graph");
}

type Project = fn(Tensor<3>, Before, Vec<Map>, Option<Tensor<3>>) -> Tensor<3>;

#[test]
fn projections_of_activations_agree_with_primitives() {
    for activation in Activation::ALL {
        let wide = 11 * activation.inputs();
        let with = |f: Project| {
            move |[x, w, residual]: [Tensor<1>; 3]| {
                let map = Map { weight: w.reshape([11, 5]), bias: None };
                let x = x.reshape([3, 7, wide]) * 3.0;
                f(x, Before::Activation(activation), vec![map], Some(residual.reshape([3, 7, 5])))
            }
        };
        agree([21 * wide, 55, 105], with(ops::project), with(primitive::project));
        // Strided in and out, with a bias, added to nothing.
        let with = |f: Project| {
            move |[x, w, bias]: [Tensor<1>; 3]| {
                let map = Map { weight: w.reshape([11, 5]), bias: Some(bias) };
                let x = x.reshape([7, 3, wide]).swap_dims(0, 1);
                f(x, Before::Activation(activation), vec![map], None).swap_dims(0, 1)
            }
        };
        agree([21 * wide, 55, 5], with(ops::project), with(primitive::project));
    }
}

#[test]
fn lstms_agree_with_primitives() {
    // Examples that tasks of 14 do not divide; steps and widths that nothing divides.
    for (batch, seq, cell, width, clip) in
        [(3, 7, 19, 5, f32::INFINITY), (17, 6, 5, 9, 0.3), (2, 2, 3, 2, 0.3), (1, 9, 33, 17, 3.0)]
    {
        let with = |fused: bool| {
            move |[gates, recurrent, projection]: [Tensor<1>; 3]| {
                // Strided in.
                let gates = gates.reshape([seq, batch, 4 * cell]).swap_dims(0, 1) * 2.0;
                let recurrent = recurrent.reshape([4 * cell, width]).transpose();
                let projection = projection.reshape([cell, width]);
                match fused {
                    true => fused::lstm(gates, recurrent, projection, clip),
                    false => primitive::lstm(gates, recurrent, projection, clip, None).outputs,
                }
            }
        };
        agree([batch * seq * 4 * cell, width * 4 * cell, cell * width], with(true), with(false));
    }
}

#[test]
fn an_lstm_goes_on_from_a_state_as_if_it_had_never_stopped() {
    let device = Device::flex();
    let (batch, seq, d, cell) = (2, 6, 4, 5);
    let lstm = ops::Lstm {
        input: Map { weight: tensor(d * 4 * cell, 1, &device).reshape([d, 4 * cell]), bias: None },
        recurrent: tensor(d * 4 * cell, 2, &device).reshape([d, 4 * cell]),
        projection: tensor(cell * d, 3, &device).reshape([cell, d]),
        clip: 0.5,
    };
    let x = tensor(batch * seq * d, 4, &device).reshape([batch, seq, d]);
    let whole = ops::lstm(x.clone(), lstm.clone());
    let zeros = (Tensor::zeros([batch, d], &device), Tensor::zeros([batch, cell], &device));
    let first = ops::lstm_from(x.clone().narrow(1, 0, 2), lstm.clone(), zeros);
    let last = |x: Tensor<3>| x.narrow(1, 1, 1).squeeze_dim::<2>(1);
    let state = (last(first.outputs.clone()), last(first.cells));
    let rest = ops::lstm_from(x.narrow(1, 2, 4), lstm, state);
    let stepped = Tensor::cat(vec![first.outputs, rest.outputs], 1);
    assert_close(&values(stepped), &values(whole), "outputs");
}

#[test]
fn norms_agree_with_primitives() {
    type Normalize = fn(Tensor<3>, Norm) -> Tensor<3>;
    // 70 rows: two blocks and some.
    let x = |x: Tensor<1>| x.reshape([2, 37, 35]).swap_dims(1, 2) + 0.3;
    for kind in [NormKind::Rms, NormKind::Layer] {
        let plain = |f: Normalize| {
            move |[a, gain]: [Tensor<1>; 2]| f(x(a), Norm { kind, gain: gain + 1.0, bias: None, eps: 1e-5 })
        };
        agree([2590, 37], plain(ops::norm), plain(primitive::norm));
    }
    let biased = |f: Normalize| {
        move |[a, gain, bias]: [Tensor<1>; 3]| {
            f(x(a), Norm { kind: NormKind::Layer, gain: gain + 1.0, bias: Some(bias), eps: 1e-5 })
        }
    };
    agree([2590, 37, 37], biased(ops::norm), biased(primitive::norm));
}

#[test]
fn projections_of_norms_agree_with_primitives() {
    // Three maps of different widths, as of queries, keys and values.
    let with = |f: Project| {
        move |[x, gain, q, k, v]: [Tensor<1>; 5]| {
            let norm = Norm { kind: NormKind::Rms, gain: gain + 1.0, bias: None, eps: 1e-5 };
            let map = |weight: Tensor<1>, d_out| Map { weight: weight.reshape([9, d_out]), bias: None };
            f(x.reshape([2, 35, 9]), Before::Norm(norm), vec![map(q, 12), map(k, 4), map(v, 5)], None)
        }
    };
    agree([630, 9, 108, 36, 45], with(ops::project), with(primitive::project));
    let with = |f: Project| {
        move |[x, gain, bias, up, up_bias, down, down_bias]: [Tensor<1>; 7]| {
            let norm = Norm { kind: NormKind::Layer, gain: gain + 1.0, bias: Some(bias), eps: 1e-5 };
            let up = Map { weight: up.reshape([9, 40]), bias: Some(up_bias) };
            let down = Map { weight: down.reshape([9, 3]), bias: Some(down_bias) };
            f(x.reshape([2, 35, 9]), Before::Norm(norm), vec![up, down], None)
        }
    };
    agree([630, 9, 9, 360, 40, 27, 3], with(ops::project), with(primitive::project));
}

#[test]
fn linear_agrees_with_primitives() {
    let linear = |f: Project, x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>| {
        f(x, Before::Nothing, vec![Map { weight, bias }], None)
    };
    let plain = |f: Project| {
        move |[x, w]: [Tensor<1>; 2]| {
            linear(f, x.reshape([3, 5, 7]).swap_dims(0, 1), w.reshape([7, 13]), None)
        }
    };
    agree([105, 91], plain(ops::project), plain(primitive::project));
    // A transposed weight is read where it lies.
    let tied = |f: Project| {
        move |[x, w]: [Tensor<1>; 2]| linear(f, x.reshape([3, 5, 7]), w.reshape([13, 7]).transpose(), None)
    };
    agree([105, 91], tied(ops::project), tied(primitive::project));
    let biased = |f: Project| {
        move |[x, w, b]: [Tensor<1>; 3]| linear(f, x.reshape([2, 300, 33]), w.reshape([33, 70]), Some(b))
    };
    agree([19800, 2310, 70], biased(ops::project), biased(primitive::project));
    // One row, as in decoding.
    let row = |f: Project| {
        move |[x, w, b]: [Tensor<1>; 3]| linear(f, x.reshape([1, 1, 33]), w.reshape([33, 70]), Some(b))
    };
    agree([33, 2310, 70], row(ops::project), row(primitive::project));
}

#[test]
fn rope_agrees_with_primitives() {
    type Rope = fn(Tensor<4>, Tensor<3>, Tensor<3>) -> Tensor<4>;
    for tables in [1, 2] {
        let angles = move |device: &Device| tensor(tables * 35 * 5, 7, device).reshape([tables, 35, 5]) * 3.0;
        let with = |f: Rope| {
            move |[x]: [Tensor<1>; 1]| {
                let angles = angles(&x.device());
                // [batch, heads, seq, d_head] seen as [batch, seq, heads, d_head]
                f(x.reshape([2, 3, 35, 10]).swap_dims(1, 2), angles.clone().cos(), angles.sin())
                    .swap_dims(1, 2)
            }
        };
        agree([2100], with(ops::rope), with(primitive::rope));
    }
}

#[test]
fn cross_entropy_agrees_with_primitives() {
    type CrossEntropy = fn(Tensor<2>, Tensor<2>, Tensor<1, Int>, Option<f64>) -> Tensor<1>;
    let alone: CrossEntropy =
        |hidden, head, targets, cap| primitive::cross_entropy(hidden, head, targets, cap, &[]).0;
    // The second needs two chunks of rows.
    for (n, d, vocab) in [(33, 9, 37), (2050, 3, 11)] {
        for soft_cap in [None, Some(1.5)] {
            let with = |f: CrossEntropy| {
                move |[hidden, head]: [Tensor<1>; 2]| {
                    let targets: Vec<i32> = (0..n).map(|i| (i * 7 % vocab) as i32).collect();
                    let targets = Tensor::from_data(TensorData::new(targets, [n]), &hidden.device());
                    f(hidden.reshape([d, n]).transpose() * 2.0, head.reshape([vocab, d]), targets, soft_cap)
                }
            };
            agree([n * d, vocab * d], with(ops::cross_entropy), with(alone));
        }
    }
}

#[test]
fn the_gradient_of_summed_cross_entropy_agrees_with_primitives() {
    type CrossEntropy = fn(Tensor<2>, Tensor<2>, Tensor<1, Int>, Option<f64>) -> Tensor<1>;
    let alone: CrossEntropy =
        |hidden, head, targets, cap| primitive::cross_entropy(hidden, head, targets, cap, &[]).0;
    for (n, d, vocab) in [(33, 9, 37), (2050, 3, 11)] {
        let with = |f: CrossEntropy| {
            move |[hidden, head]: [Tensor<1>; 2]| {
                let targets: Vec<i32> = (0..n).map(|i| (i * 7 % vocab) as i32).collect();
                let targets = Tensor::from_data(TensorData::new(targets, [n]), &hidden.device());
                f(hidden.reshape([n, d]) * 2.0, head.reshape([vocab, d]), targets, None).sum() * 0.3
            }
        };
        agree([n * d, vocab * d], with(ops::cross_entropy), with(alone));
    }
}

#[test]
fn distillation_agrees_with_primitives() {
    type Distillation = fn(Scores, Scores, f64) -> Tensor<1>;
    // The second needs two chunks of rows.
    for (n, d, vocab) in [(33, 9, 37), (2050, 3, 11)] {
        for (student_cap, teacher_cap, temperature) in
            [(None, None, 1.0), (Some(1.5), None, 2.0), (None, Some(4.0), 0.5)]
        {
            let with = |f: Distillation| {
                move |[hidden, head]: [Tensor<1>; 2]| {
                    let plain = Device::flex();
                    let student = Scores {
                        hidden: hidden.reshape([d, n]).transpose() * 2.0,
                        head: head.reshape([vocab, d]),
                        soft_cap: student_cap,
                    };
                    let teacher = Scores {
                        hidden: tensor(n * 5, 8, &plain).reshape([n, 5]) * 3.0,
                        head: tensor(vocab * 5, 9, &plain).reshape([5, vocab]).transpose(),
                        soft_cap: teacher_cap,
                    };
                    // In the mean, so that what is compared is of the size of its rounding's scale.
                    f(student, teacher, temperature) / n as f64
                }
            };
            agree([n * d, vocab * d], with(ops::distillation), with(primitive::distillation));
        }
    }
}

#[test]
fn a_teacher_gets_no_gradient() {
    let device = Device::flex().autodiff();
    for f in [ops::distillation, primitive::distillation] {
        let leaf = |len, seed, shape: [usize; 2]| tensor(len, seed, &device).reshape(shape).require_grad();
        let scores = |seed| Scores {
            hidden: leaf(12, seed, [4, 3]),
            head: leaf(15, seed + 1, [5, 3]),
            soft_cap: None,
        };
        let (student, teacher) = (scores(1), scores(3));
        let gradients = f(student.clone(), teacher.clone(), 1.0).backward();
        assert!(student.hidden.grad(&gradients).is_some() && student.head.grad(&gradients).is_some());
        assert!(teacher.hidden.grad(&gradients).is_none() && teacher.head.grad(&gradients).is_none());
    }
}

#[test]
fn the_optimizer_agrees_with_primitives() {
    let step = AdamwStep {
        lr: 1e-2,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.1,
        correction1: 0.19,
        correction2: 0.0199,
        gradient_scale: 0.25,
    };
    // One large and one small.
    let state = |n: usize, seed: usize| {
        let [value, gradient, m, v] = [0, 1, 2, 3].map(|i| tensor(n, seed + i, &Device::flex()));
        AdamwTensors { value, gradient, m, v: v.square() }
    };
    let states = || [state(70_001, 1), state(5, 9)];
    let got = ops::adamw(states().map(|tensors| (tensors, step)).into());
    for (got, before) in got.into_iter().zip(states()) {
        let expected = primitive::adamw(before, &step);
        assert_close(&values(got.value), &values(expected.value), "value");
        assert_close(&values(got.m), &values(expected.m), "m");
        assert_close(&values(got.v), &values(expected.v), "v");
    }
    let AdamwTensors { value: x, .. } = state(70_001, 1);
    let (got, expected) = (ops::sum_of_squares(x.clone()), primitive::sum_of_squares(x));
    assert!((got - expected).abs() < 1e-5 * expected, "{got} {expected}");
}

#[test]
fn the_optimizer_leaves_shared_tensors_alone() {
    let step = AdamwStep {
        lr: 1.0,
        beta1: 0.5,
        beta2: 0.5,
        eps: 1.0,
        weight_decay: 0.5,
        correction1: 0.5,
        correction2: 0.5,
        gradient_scale: 1.0,
    };
    let x = tensor(100, 1, &Device::flex());
    let shared = AdamwTensors { value: x.clone(), gradient: x.clone(), m: x.clone(), v: x.clone().square() };
    let updated = ops::adamw(vec![(shared, step)]);
    assert_ne!(values(updated[0].value.clone()), numbers(100, 1));
    let sum = ops::add_in_place(x.clone(), x.clone());
    assert_eq!(values(sum)[3], 2.0 * numbers(100, 1)[3]);
    assert_eq!(values(x), numbers(100, 1));
}
