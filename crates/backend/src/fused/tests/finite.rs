//! Every fused operation against its definition in double precision: outputs, and gradients against finite differences
//! of that definition.

use super::{Int, Tensor, TensorData, numbers, run};
use crate::ops::{self, Activation, AttentionMask, Before, Map, Norm, NormKind, Scores};
use burn::tensor::Bool;

/// The inputs in double precision.
type Inputs<const N: usize> = [Vec<f64>; N];

/// Compares `fused` with `reference`; inputs are what `run` feeds, the loss is its.
#[track_caller]
fn check<const N: usize, const D: usize>(
    what: &str,
    lens: [usize; N],
    fused: impl Fn([Tensor<1>; N]) -> Tensor<D>,
    reference: impl Fn(&Inputs<N>) -> Vec<f64>,
) {
    let (output, gradients) = run(lens, [true; N], &fused);
    let mut inputs: Inputs<N> =
        std::array::from_fn(|i| numbers(lens[i], i + 1).into_iter().map(f64::from).collect());
    let expected = reference(&inputs);
    let largest = |values: &[f64]| values.iter().fold(1e-6_f64, |max, x| max.max(x.abs()));
    let scale = largest(&expected);
    for (i, (got, expected)) in output.iter().zip(&expected).enumerate() {
        assert!((f64::from(*got) - expected).abs() <= 1e-5 * scale, "{what}, {i}: {got} and {expected}");
    }
    assert_eq!(output.len(), expected.len(), "{what}");
    let weights = numbers(output.len(), 99);
    let loss = |inputs: &Inputs<N>| -> f64 {
        reference(inputs).iter().zip(&weights).map(|(y, &weight)| y * f64::from(weight)).sum()
    };
    for (input, gradient) in gradients.into_iter().enumerate() {
        let gradient: Vec<f64> = gradient.unwrap().into_iter().map(f64::from).collect();
        let scale = largest(&gradient);
        for (i, got) in gradient.into_iter().enumerate() {
            const H: f64 = 1e-5;
            let here = inputs[input][i];
            let mut at = |x: f64| {
                inputs[input][i] = x;
                loss(&inputs)
            };
            let slope = (at(here + H) - at(here - H)) / (2.0 * H);
            inputs[input][i] = here;
            assert!((got - slope).abs() <= 1e-4 * scale, "{what}, input {input}, {i}: {got} and {slope}");
        }
    }
}

/// The error function by its series, which is exact enough up to 4.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..80 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

fn map(x: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    x.iter().map(|&x| f(x)).collect()
}

#[test]
fn projections_of_activations_are_what_they_are_defined_to_be() {
    let tanh =
        |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh());
    let silu = |x: f64| x / (1.0 + (-x).exp());
    let (rows, d, d_out) = (3, 7, 5);
    for activation in Activation::ALL {
        let wide = activation.inputs() * d;
        let h = |x: &[f64]| -> Vec<f64> {
            match activation {
                Activation::Gelu => map(x, |x| 1.5 * x * (1.0 + erf(3.0 * x / 2f64.sqrt()))),
                Activation::GeluTanh => map(x, |x| tanh(3.0 * x)),
                Activation::Relu2 => map(x, |x| (3.0 * x).max(0.0).powi(2)),
                Activation::Relu => map(x, |x| (3.0 * x).max(0.0)),
                Activation::Geglu => x
                    .chunks(wide)
                    .flat_map(|row| (0..d).map(|i| tanh(3.0 * row[i]) * 3.0 * row[d + i]))
                    .collect(),
                Activation::Swiglu => x
                    .chunks(wide)
                    .flat_map(|row| (0..d).map(|i| silu(3.0 * row[i]) * 3.0 * row[d + i]))
                    .collect(),
            }
        };
        check(
            &format!("{activation:?}"),
            [rows * wide, d * d_out, d_out, rows * d_out],
            |[x, weight, bias, residual]| {
                let map = Map { weight: weight.reshape([d, d_out]), bias: Some(bias) };
                let residual = Some(residual.reshape([rows, d_out]));
                ops::project(
                    x.reshape([rows, wide]) * 3.0,
                    Before::Activation(activation),
                    vec![map],
                    residual,
                )
            },
            |[x, weight, bias, residual]| {
                let y = product(&h(x), weight, d, d_out);
                y.iter().zip(residual).enumerate().map(|(i, (y, r))| y + r + bias[i % d_out]).collect()
            },
        );
    }
}

/// Each row of `d` normalized.
fn normalized(x: &[f64], d: usize, centred: bool, eps: f64) -> Vec<f64> {
    let row = |row: &[f64]| {
        let n = d as f64;
        let mean = if centred { row.iter().sum::<f64>() / n } else { 0.0 };
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        row.iter().map(|x| (x - mean) / (variance + eps).sqrt()).collect::<Vec<_>>()
    };
    x.chunks(d).flat_map(row).collect()
}

#[test]
fn norms_are_what_they_are_defined_to_be() {
    let (d, eps) = (19, 1e-3);
    let scaled = move |x: Vec<f64>, gain: &[f64], bias: &[f64]| -> Vec<f64> {
        x.iter().enumerate().map(|(i, x)| x * gain[i % d] + bias.get(i % d).unwrap_or(&0.0)).collect()
    };
    let norm = move |kind, gain, bias| Norm { kind, gain, bias, eps };
    check(
        "RMS norm",
        [3 * d, d],
        |[x, gain]| ops::norm(x.reshape([3, d]), norm(NormKind::Rms, gain, None)),
        |[x, gain]| scaled(normalized(x, d, false, eps), gain, &[]),
    );
    check(
        "layer norm",
        [3 * d, d],
        |[x, gain]| ops::norm(x.reshape([3, d]), norm(NormKind::Layer, gain, None)),
        |[x, gain]| scaled(normalized(x, d, true, eps), gain, &[]),
    );
    check(
        "layer norm with bias",
        [3 * d, d, d],
        |[x, gain, bias]| ops::norm(x.reshape([3, d]), norm(NormKind::Layer, gain, Some(bias))),
        |[x, gain, bias]| scaled(normalized(x, d, true, eps), gain, bias),
    );
    check(
        "maps of a norm",
        [3 * d, d, d * 4, d * 2],
        |[x, gain, a, b]| {
            let maps = [a.reshape([d, 4]), b.reshape([d, 2])];
            let maps = maps.map(|weight| Map { weight, bias: None }).to_vec();
            ops::project(x.reshape([3, d]), Before::Norm(norm(NormKind::Rms, gain, None)), maps, None)
        },
        |[x, gain, a, b]| {
            let h = scaled(normalized(x, d, false, eps), gain, &[]);
            let (a, b) = (product(&h, a, d, 4), product(&h, b, d, 2));
            a.chunks(4).zip(b.chunks(2)).flat_map(|(a, b)| [a, b].concat()).collect()
        },
    );
}

/// `[m, k]` by `[k, n]`.
fn product(a: &[f64], b: &[f64], k: usize, n: usize) -> Vec<f64> {
    let element = |row: &[f64], j: usize| (0..k).map(|i| row[i] * b[i * n + j]).sum();
    a.chunks(k).flat_map(|row| (0..n).map(move |j| element(row, j)).collect::<Vec<f64>>()).collect()
}

#[test]
fn linear_layers_are_what_they_are_defined_to_be() {
    let (rows, d_in, d_out) = (5, 9, 18);
    check(
        "linear",
        [rows * d_in, d_in * d_out],
        |[x, weight]| ops::linear(x.reshape([rows, d_in]), weight.reshape([d_in, d_out]), None),
        |[x, weight]| product(x, weight, d_in, d_out),
    );
    check(
        "linear with bias",
        [rows * d_in, d_in * d_out, d_out],
        |[x, weight, bias]| ops::linear(x.reshape([rows, d_in]), weight.reshape([d_in, d_out]), Some(bias)),
        |[x, weight, bias]| {
            product(x, weight, d_in, d_out).iter().enumerate().map(|(i, y)| y + bias[i % d_out]).collect()
        },
    );
}

#[test]
fn rotations_are_what_they_are_defined_to_be() {
    let (seq, heads, half) = (4, 2, 3);
    let angle = move |position: usize, i: usize| position as f64 * 0.7 / (i + 1) as f64;
    let table = move |f: fn(f64) -> f64, x: &Tensor<1>| {
        let values: Vec<f32> = (0..seq).flat_map(|s| (0..half).map(move |i| f(angle(s, i)) as f32)).collect();
        Tensor::<3>::from_data(TensorData::new(values, [1, seq, half]), &x.device())
    };
    check(
        "rope",
        [seq * heads * 2 * half],
        |[x]| {
            let (cos, sin) = (table(f64::cos, &x), table(f64::sin, &x));
            ops::rope(x.reshape([1, seq, heads, 2 * half]), cos, sin)
        },
        |[x]| {
            let rotate = |(index, head): (usize, &[f64])| {
                let turn = |i: usize| angle(index / heads, i % half).sin_cos();
                (0..2 * half)
                    .map(|i| {
                        let (sin, cos) = turn(i);
                        if i < half {
                            head[i] * cos - head[i + half] * sin
                        } else {
                            head[i] * cos + head[i - half] * sin
                        }
                    })
                    .collect::<Vec<_>>()
            };
            x.chunks(2 * half).enumerate().flat_map(rotate).collect()
        },
    );
}

#[test]
fn attention_is_what_it_is_defined_to_be() {
    let (batch, s, heads, kv_heads, d) = (2, 5, 4, 2, 3);
    let hidden = |b: usize, i: usize, j: usize| (b + 2 * i + j).is_multiple_of(3) && i != j;
    let reference = |sees: fn(usize, usize, usize) -> bool| {
        move |[q, k, v]: &Inputs<3>| {
            let row = |b: usize, i: usize, h: usize| {
                let shared = h / (heads / kv_heads);
                let at = |x: &[f64], j: usize, c: usize| x[((b * s + j) * kv_heads + shared) * d + c];
                let score = |j: usize| {
                    (0..d).map(|c| q[((b * s + i) * heads + h) * d + c] * at(k, j, c)).sum::<f64>() * 0.6
                };
                let weights: Vec<f64> =
                    (0..s).map(|j| if sees(b, i, j) { score(j).exp() } else { 0.0 }).collect();
                let sum: f64 = weights.iter().sum();
                (0..d)
                    .map(|c| (0..s).map(|j| weights[j] * at(v, j, c)).sum::<f64>() / sum)
                    .collect::<Vec<_>>()
            };
            let rows = (0..batch).flat_map(|b| (0..s).flat_map(move |i| (0..heads).map(move |h| (b, i, h))));
            rows.flat_map(|(b, i, h)| row(b, i, h)).collect::<Vec<f64>>()
        }
    };
    let fused = |mask: AttentionMask| {
        move |[q, k, v]: [Tensor<1>; 3]| {
            let (k, v) = (k.reshape([batch, s, kv_heads, d]), v.reshape([batch, s, kv_heads, d]));
            ops::attention(q.reshape([batch, s, heads, d]), k, v, &mask, None, 0.6)
        }
    };
    let kv = batch * s * kv_heads * d;
    let lens = [batch * s * heads * d, kv, kv];
    check("full attention", lens, fused(AttentionMask::Full), reference(|_, _, _| true));
    check("causal attention", lens, fused(AttentionMask::Causal), reference(|_, i, j| j <= i));
    let documents = AttentionMask::Documents([vec![0, 0, 2, 2, 4], vec![0, 0, 0, 0, 0]].into());
    let seen = |b: usize, i: usize, j: usize| j <= i && (b == 1 || i / 2 == j / 2);
    check("attention in documents", lens, fused(documents), reference(seen));
    let prefixes = AttentionMask::Prefix([3, 0].into());
    check("attention with a prefix", lens, fused(prefixes), reference(|b, i, j| j <= i || b == 0 && j < 3));
    let pattern = (0..batch * s * s).map(|n| hidden(n / (s * s), n / s % s, n % s)).collect::<Vec<_>>();
    let device = burn::tensor::Device::flex().autodiff();
    let mask = Tensor::<3, Bool>::from_data(TensorData::new(pattern, [batch, s, s]), &device);
    check(
        "masked attention",
        lens,
        fused(AttentionMask::Hidden(mask)),
        reference(|b, i, j| !((b + 2 * i + j).is_multiple_of(3) && i != j)),
    );
}

#[test]
fn cross_entropy_is_what_it_is_defined_to_be() {
    let (n, d, vocab) = (4, 6, 11);
    let targets = [3, 0, 10, 3];
    for cap in [None, Some(1.5)] {
        check(
            "cross-entropy",
            [n * d, vocab * d],
            |[hidden, head]| {
                let targets: Vec<i32> = targets.iter().map(|&target| target as i32).collect();
                let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [n]), &hidden.device());
                ops::cross_entropy(hidden.reshape([n, d]), head.reshape([vocab, d]), targets, cap)
            },
            |[hidden, head]| {
                let row = |(row, &target): (&[f64], &usize)| {
                    let logit = |token: usize| {
                        let logit: f64 = (0..d).map(|i| row[i] * head[token * d + i]).sum();
                        cap.map_or(logit, |cap| cap * (logit / cap).tanh())
                    };
                    (0..vocab).map(|token| logit(token).exp()).sum::<f64>().ln() - logit(target)
                };
                hidden.chunks(d).zip(&targets).map(row).collect()
            },
        );
    }
}

#[test]
fn an_lstm_is_what_it_is_defined_to_be() {
    let (batch, seq, d_in, cell, width) = (2, 5, 3, 4, 3);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    for (clip, clips) in [(f32::INFINITY, false), (1.2, true)] {
        let limit = f64::from(clip);
        let reference = |[x, input, bias, recurrent, projection]: &Inputs<5>| {
            let z = product(x, input, d_in, 4 * cell);
            let mut outputs = Vec::new();
            for b in 0..batch {
                let (mut c, mut h) = (vec![0.0; cell], vec![0.0; width]);
                for t in 0..seq {
                    let back = product(&h, recurrent, width, 4 * cell);
                    let gate = |j: usize| 3.0 * (z[(b * seq + t) * 4 * cell + j] + bias[j] + back[j]);
                    let mut m = vec![0.0; cell];
                    for k in 0..cell {
                        let new = sigmoid(gate(k)) * gate(cell + k).tanh();
                        c[k] = (sigmoid(gate(2 * cell + k)) * c[k] + new).clamp(-limit, limit);
                        m[k] = sigmoid(gate(3 * cell + k)) * c[k].tanh();
                    }
                    h = product(&m, projection, cell, width);
                    h.iter_mut().for_each(|x| *x = (2.0 * *x).clamp(-limit, limit));
                    outputs.extend(h.clone());
                }
            }
            outputs
        };
        let fused = |[x, input, bias, recurrent, projection]: [Tensor<1>; 5]| {
            // Larger than they come, so that gates differ and states are clipped.
            let input = Map { weight: input.reshape([d_in, 4 * cell]) * 3.0, bias: Some(bias * 3.0) };
            let recurrent = recurrent.reshape([width, 4 * cell]) * 3.0;
            let projection = projection.reshape([cell, width]) * 2.0;
            ops::lstm(x.reshape([batch, seq, d_in]), ops::Lstm { input, recurrent, projection, clip })
        };
        let lens = [batch * seq * d_in, d_in * 4 * cell, 4 * cell, width * 4 * cell, cell * width];
        let (outputs, _) = run(lens, [true; 5], &fused);
        let at_limit = outputs.iter().filter(|x| x.abs() == clip).count();
        assert_eq!(at_limit > 0, clips, "{at_limit} outputs are clipped");
        assert!(at_limit < outputs.len() / 2, "{at_limit} of {} outputs are clipped", outputs.len());
        check(&format!("an LSTM clipped at {clip}"), lens, fused, reference);
    }
}

#[test]
fn distillation_is_what_it_is_defined_to_be() {
    let (n, d, d_teacher, vocab) = (4, 6, 3, 11);
    let teacher = [numbers(n * d_teacher, 7), numbers(vocab * d_teacher, 8)];
    for (cap, teacher_cap, temperature) in [(None, None, 1.0), (Some(1.5), None, 2.5), (None, Some(0.7), 0.6)]
    {
        check(
            "distillation",
            [n * d, vocab * d],
            |[hidden, head]| {
                let matrix = |values: &Vec<f32>| {
                    let rows = values.len() / d_teacher;
                    Tensor::<2>::from_data(
                        TensorData::new(values.clone(), [rows, d_teacher]),
                        &hidden.device(),
                    )
                };
                let [teacher_hidden, teacher_head] = teacher.each_ref().map(matrix);
                ops::distillation(
                    Scores { hidden: hidden.reshape([n, d]), head: head.reshape([vocab, d]), soft_cap: cap },
                    Scores { hidden: teacher_hidden, head: teacher_head, soft_cap: teacher_cap },
                    temperature,
                )
            },
            |[hidden, head]| {
                let log_probs = |row: &[f64], head: &[f64], cap: Option<f64>| -> Vec<f64> {
                    let logit = |weights: &[f64]| {
                        let logit: f64 = row.iter().zip(weights).map(|(x, w)| x * w).sum();
                        cap.map_or(logit, |cap| cap * (logit / cap).tanh()) / temperature
                    };
                    let logits: Vec<f64> = head.chunks(row.len()).map(logit).collect();
                    let sum = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
                    logits.into_iter().map(|logit| logit - sum).collect()
                };
                let [rows, teacher_head] = teacher
                    .each_ref()
                    .map(|values| values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>());
                let divergence = |(row, teacher_row): (&[f64], &[f64])| -> f64 {
                    let (p, q) =
                        (log_probs(teacher_row, &teacher_head, teacher_cap), log_probs(row, head, cap));
                    p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
                };
                vec![hidden.chunks(d).zip(rows.chunks(d_teacher)).map(divergence).sum()]
            },
        );
    }
}
