//! Speed of LSTM layers with projection, forwards and backwards.

use super::median;
use crate::args::{BenchLstmArgs, Global};
use crate::exit::usage;
use crate::output::line;
use crate::run;
use burn::tensor::{Device, Tensor, TensorData};
use firebrand_backend::ops::{self, Lstm, Map};
use firebrand_backend::threads;
use firebrand_corpus::batches::{below, keyed_rng};
use std::time::Instant;

/// Layers one after the other on random numbers: the work of `torch.nn.LSTM(d, cell, layers, proj_size=d)`.
pub(crate) fn lstm(args: &BenchLstmArgs, global: &Global) -> anyhow::Result<()> {
    let (device_name, device) = run::device(global)?;
    let device = device.autodiff();
    let (d, cell) = (args.d_model, args.cell);
    let layer = |index: usize| {
        let weight = |shape: [usize; 2], salt: usize| matrix(shape, 0.05, 4 * index + salt, &device);
        (weight([d, 4 * cell], 1), weight([d, 4 * cell], 2), weight([cell, d], 3))
    };
    let layers: Vec<_> = (0..args.layers).map(layer).collect();
    let x = matrix([args.batch * args.seq, d], 1.0, 0, &device);
    let step = || {
        let started = Instant::now();
        threads::together(|| {
            let x = x.clone().reshape([args.batch, args.seq, d]);
            let y = layers.iter().fold(x, |x, (input, recurrent, projection)| {
                let input = Map { weight: input.clone(), bias: None };
                let (recurrent, projection) = (recurrent.clone(), projection.clone());
                ops::lstm(x, Lstm { input, recurrent, projection, clip: 3.0 })
            });
            // On a device of its own, computed when it is asked for.
            let gradients = y.sum().backward();
            let last = layers.last().and_then(|(input, ..)| input.grad(&gradients));
            _ = last.map(|gradient| gradient.slice([0..1, 0..1]).into_data());
        });
        started.elapsed().as_secs_f64()
    };
    step();
    let seconds: Vec<f64> = (0..args.steps).map(|_| step()).collect();
    let Some(median) = median(&seconds) else { return Err(usage("--steps 0: there is nothing to time")) };
    let tokens = args.batch * args.seq;
    let gflops = (6 * 9 * d * cell * args.layers * tokens) as f64 / median / 1e9;
    line(serde_json::json!({
        "tokens_per_s": tokens as f64 / median, "seconds_per_step": median, "gflops": gflops, "device": device_name,
    }))
}

/// Numbers between `−scale` and `scale`.
fn matrix(shape: [usize; 2], scale: f32, salt: usize, device: &Device) -> Tensor<2> {
    let mut rng = keyed_rng(0, "bench", salt as u64);
    let mut number = |_| (below(&mut rng, 2001) as f32 / 1000.0 - 1.0) * scale;
    let numbers: Vec<f32> = (0..shape[0] * shape[1]).map(&mut number).collect();
    Tensor::<2>::from_data(TensorData::new(numbers, shape), device).require_grad()
}
