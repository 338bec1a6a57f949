//! Hidden commands that `cargo xtask bench` runs: one job, one line of JSON.

mod cost;
mod gemm;
mod generate;
mod lstm;
mod prompt;
mod tokenizer;

pub(crate) use cost::cost;
pub(crate) use generate::generate;
pub(crate) use lstm::lstm;
pub(crate) use prompt::prompt;
pub(crate) use tokenizer::tokenizer;

use crate::args::{BenchTrainArgs, Global};
use crate::exit::usage;
use crate::output::line;
use crate::run;
use firebrand_backend::{Precision, memory, precision};
use firebrand_corpus::batches::{TokenBatch, below, keyed_rng};
use firebrand_corpus::generator::{Grammar, Kind, Split};
use firebrand_pretrain::Causal;
use firebrand_training::{OptimizerConfig, ScheduleConfig, Trainer, TrainingConfig};
use firebrand_transformer::{Decoder, MlpKind, Model, ModelConfig, Preset};
use gemm::Products;
use std::time::Instant;

/// Steps before any is timed.
const WARM: u64 = 2;

/// Steps with the matrix products measured in between, at most.
const WITH_PRODUCTS: u64 = 8;

/// Train steps on random tokens: the work of `train_gpt.py`.
pub(crate) fn train(args: &BenchTrainArgs, global: &Global) -> anyhow::Result<()> {
    let preset = preset(&args.arch)?;
    let precision = match args.precision.as_str() {
        "f32" => Precision::F32,
        "bf16" => Precision::Bf16,
        other => return Err(usage(format!("no precision `{other}`: use f32 or bf16"))),
    };
    let mut config = ModelConfig::preset(preset, args.vocab, args.d_model, args.layers, args.heads, args.seq);
    // As the peer: a head of its own, no biases, GELU with the error function.
    (config.tied_head, config.bias) = (false, false);
    if preset == Preset::Gpt2 {
        config.mlp = MlpKind::Gelu;
    }
    let (device_name, device) = run::device(global)?;
    let device = device.autodiff();
    let model = Decoder::new(&config, 0, &device)?.with_checkpointing(args.activation_checkpointing);
    let training = TrainingConfig {
        steps: 1 << 40,
        batch_size: args.batch,
        grad_accum_steps: args.grad_accum_steps,
        activation_checkpointing: args.activation_checkpointing,
        seq_len: args.seq,
        precision,
        ..TrainingConfig::default()
    };
    let schedule = ScheduleConfig { warmup_steps: 0, ..ScheduleConfig::default() };
    let objective = Causal { dropout: 0.0, end_of_text: None };
    let run_dir = std::env::temp_dir();
    let mut trainer =
        Trainer::new(objective, model, training, OptimizerConfig::default(), schedule, 0, &device, &run_dir)?;
    let mut losses = Vec::new();
    let mut step = || -> anyhow::Result<f64> {
        let mut rng = keyed_rng(0, "bench", losses.len() as u64);
        let len = args.seq + 1;
        let ids = (0..args.batch * len).map(|_| below(&mut rng, args.vocab as u64) as u32).collect();
        let rows = TokenBatch { ids, rows: args.batch, len };
        let started = Instant::now();
        losses.push(trainer.step(&rows)?.loss);
        Ok(started.elapsed().as_secs_f64())
    };

    for _ in 0..WARM {
        step()?;
    }
    let faults_before = memory::page_faults();
    let seconds = (0..args.steps).map(|_| step()).collect::<anyhow::Result<Vec<_>>>()?;
    let faults = memory::page_faults().zip(faults_before).map(|(after, before)| after - before);
    // Before the products, whose operands are no part of training.
    let peak_bytes = memory::peak_bytes();

    let tokens = args.batch * args.seq;
    let gflops_at = |seconds: f64| config.training_flops_per_token(args.seq) * tokens as f64 / seconds / 1e9;
    let (mut gemm_gflops, mut mfu) = (None, None);
    if !args.no_gemm {
        let mut products = Products::new(&config, tokens, &device);
        precision::scope(precision, || products.measure());
        let mut beside = Vec::new();
        for _ in 0..args.steps.min(WITH_PRODUCTS) {
            precision::scope(precision, || products.measure());
            beside.push(step()?);
        }
        gemm_gflops = products.gflops();
        mfu = gemm_gflops.zip(median(&beside)).map(|(gemm, seconds)| gflops_at(seconds) / gemm);
    }
    let Some(median) = median(&seconds) else { return Err(usage("--steps 0: there is nothing to time")) };
    line(serde_json::json!({
        "tokens_per_s": tokens as f64 / median, "seconds_per_step": median, "params": config.n_params(),
        "peak_bytes": peak_bytes, "page_faults_per_step": faults.map(|faults| faults as f64 / args.steps as f64),
        "gflops": gflops_at(median), "gemm_gflops": gemm_gflops, "mfu": mfu,
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

/// The middle value, the upper of two; `None` of nothing.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
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
