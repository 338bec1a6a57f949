//! Hidden commands that `cargo xtask bench` runs: one job, one line of JSON.

mod generate;

pub(crate) use generate::generate;

use crate::args::{BenchTrainArgs, Global};
use crate::exit::usage;
use crate::output::line;
use crate::run;
use burn::tensor::{Device, Distribution, Tensor};
use firebrand_backend::ops::linear;
use firebrand_corpus::batches::{TokenBatch, below, keyed_rng};
use firebrand_corpus::generator::{Grammar, Kind, Split};
use firebrand_pretrain::Causal;
use firebrand_training::{OptimizerConfig, ScheduleConfig, Trainer, TrainingConfig};
use firebrand_transformer::{Decoder, MlpKind, ModelConfig, Preset};
use std::time::Instant;

/// Train steps on random tokens: the work of `train_gpt.py`.
pub(crate) fn train(args: &BenchTrainArgs, global: &Global) -> anyhow::Result<()> {
    let preset = preset(&args.arch)?;
    let mut config = ModelConfig::preset(preset, args.vocab, args.d_model, args.layers, args.heads, args.seq);
    // As the peer: a head of its own, no biases, GELU with the error function.
    (config.tied_head, config.bias) = (false, false);
    if preset == Preset::Gpt2 {
        config.mlp = MlpKind::Gelu;
    }
    let (device_name, device) = run::device(global)?;
    let gemm_gflops = gemm_peak(&device);
    let device = device.autodiff();
    let model = Decoder::new(&config, 0, &device)?;
    let training = TrainingConfig {
        steps: 1 << 40,
        batch_size: args.batch,
        seq_len: args.seq,
        ..TrainingConfig::default()
    };
    let schedule = ScheduleConfig { warmup_steps: 0, ..ScheduleConfig::default() };
    let objective = Causal { dropout: 0.0, end_of_text: None };
    let run_dir = std::env::temp_dir();
    let mut trainer =
        Trainer::new(objective, model, training, OptimizerConfig::default(), schedule, 0, &device, &run_dir)?;
    let warm = 2;
    let mut seconds = Vec::new();
    let mut losses = Vec::new();
    for step in 0..args.steps + warm {
        let mut rng = keyed_rng(0, "bench", step);
        let len = args.seq + 1;
        let ids = (0..args.batch * len).map(|_| below(&mut rng, args.vocab as u64) as u32).collect();
        let rows = TokenBatch { ids, rows: args.batch, len };
        let started = Instant::now();
        losses.push(trainer.step(&rows)?.loss);
        if step >= warm {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let tokens_per_s = (args.batch * args.seq) as f64 / median;
    let flops = config.training_flops_per_token(args.seq) * tokens_per_s;
    line(serde_json::json!({
        "tokens_per_s": tokens_per_s, "params": config.n_params(),
        "peak_bytes": firebrand_backend::memory::peak_bytes(),
        "gflops": flops / 1e9, "gemm_gflops": gemm_gflops, "mfu": flops / 1e9 / gemm_gflops,
        "loss_first": losses[0], "loss_last": losses.last(), "device": device_name,
    }))
}

fn preset(arch: &str) -> anyhow::Result<Preset> {
    match arch {
        "gpt2" => Ok(Preset::Gpt2),
        "llama" => Ok(Preset::Llama),
        other => Err(usage(format!("no architecture `{other}`: use gpt2 or llama"))),
    }
}

/// GFLOP/s of a large square product, as models multiply: the most this device gives a step.
fn gemm_peak(device: &Device) -> f64 {
    const N: usize = 1024;
    let random = || Tensor::<2>::random([N, N], Distribution::Uniform(-1.0, 1.0), device);
    let (a, b) = (random(), random());
    let mut best = 0.0f64;
    for _ in 0..8 {
        let started = Instant::now();
        // Reading one number makes sure that the product is there.
        let corner: f32 = linear(a.clone(), b.clone(), None).narrow(0, 0, 1).narrow(1, 0, 1).into_scalar();
        std::hint::black_box(corner);
        best = best.max(2.0 * (N * N * N) as f64 / started.elapsed().as_secs_f64() / 1e9);
    }
    best
}

/// MB/s of the built-in corpus on one core.
pub(crate) fn generator(_global: &Global) -> anyhow::Result<()> {
    let grammar = Grammar::built_in();
    let started = Instant::now();
    let mut bytes = 0;
    for document in grammar.documents(Kind::Stories, Split::Train, 0) {
        bytes += document.text.len();
        if bytes > 50_000_000 {
            break;
        }
    }
    let mb_per_s = bytes as f64 / 1e6 / started.elapsed().as_secs_f64();
    line(serde_json::json!({"mb_per_s": mb_per_s, "bytes": bytes}))
}
