//! Speed of greedy generation with a cache, and of reading a prompt.

use super::preset;
use crate::args::{BenchGenerateArgs, Global};
use crate::exit::usage;
use crate::output::line;
use crate::run;
use firebrand_corpus::batches::{below, keyed_rng};
use firebrand_decode::{
    self as decode, Beam, DecoderModel, GenerateConfig, LanguageModel, Logits, Positions, Strategy,
    processors::argmax,
};
use firebrand_transformer::{CpuDecoder, Decoder, Model, ModelConfig, WeightFormat, hugging_face};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::Instant;

/// Continues a random prompt with a model of random weights: the work of `generate_hf.py`.
pub(crate) fn generate(args: &BenchGenerateArgs, global: &Global) -> anyhow::Result<()> {
    let preset = preset(&args.arch)?;
    let mut config = ModelConfig::preset(preset, args.vocab, args.d_model, args.layers, args.heads, args.seq);
    config.tied_head |= args.tied;
    let longest = args.contexts.iter().copied().max().unwrap_or(0);
    if longest + TOKENS_AT_CONTEXT > args.seq {
        return Err(usage(format!("a context of {longest} tokens does not fit one of {}", args.seq)));
    }
    if args.prompt == 0 || args.new == 0 || args.prompt + args.new > args.seq {
        return Err(usage(format!(
            "a prompt of {} tokens and {} new ones do not fit a context of {}",
            args.prompt, args.new, args.seq
        )));
    }
    let (device_name, device) = run::device(global)?;
    let decoder = Decoder::new(&config, 0, &device)?;
    if let Some(dir) = &args.save {
        hugging_face::save(dir, &decoder, None)?;
    }
    let format = WeightFormat::from(args.weights);
    let on_cpu = if args.tensors { None } else { Some(CpuDecoder::new(&decoder, format)?) };
    let model = match &on_cpu {
        Some(decoder) => DecoderModel::on_cpu(Cow::Borrowed(decoder)),
        None => DecoderModel::on_tensors(&decoder),
    };
    let mut rng = keyed_rng(0, "bench", 0);
    let prompt: Vec<u32> = (0..args.prompt).map(|_| below(&mut rng, args.vocab as u64) as u32).collect();
    // Once to warm up, then the best of a few: whatever else the machine does only slows it down.
    let runs: Vec<Measured> = (0..4).map(|_| measure(&model, &prompt, args.new)).collect();
    let runs = &runs[1..];
    let best = |of: fn(&Measured) -> f64| runs.iter().map(of).fold(f64::INFINITY, f64::min);
    let (prompt_seconds, token_seconds) =
        (best(|run| run.prompt), best(|run| run.tokens) / (args.new - 1).max(1) as f64);
    let matrix_bytes = on_cpu.as_ref().map(CpuDecoder::matrix_bytes);
    let gb_per_s = matrix_bytes.map(|bytes| bytes as f64 / token_seconds / 1e9);
    let ids: Vec<String> = prompt.iter().map(u32::to_string).collect();
    line(serde_json::json!({
        "params": config.n_params(), "weights": format.name(), "device": device_name,
        "prompt_tokens_per_s": prompt.len() as f64 / prompt_seconds, "tokens_per_s": 1.0 / token_seconds,
        "whole_tokens_per_s": args.new as f64 / best(|run| run.prompt + run.tokens),
        "weight_bytes": on_cpu.as_ref().map(CpuDecoder::weight_bytes), "matrix_bytes": matrix_bytes,
        "gb_per_s": gb_per_s, "memory_gb_per_s": read_gb_per_s(UNCACHED_BYTES),
        "read_gb_per_s": matrix_bytes.map(read_gb_per_s),
        "prompt_ids": ids.join(","), "ids": runs[0].ids,
        "beam_step": args.beams.map(|width| beam_step(&model, &prompt, args.new, width)).transpose()?,
        "contexts": at_contexts(&model, args),
        "key_value_bytes": 8 * config.n_layers * config.n_kv_heads * config.d_head(),
    }))
}

/// Tokens that are measured behind a context.
const TOKENS_AT_CONTEXT: usize = 24;

/// How much longer a step of a search takes than one of greedy decoding, prompt included.
fn beam_step(model: &DecoderModel<'_>, prompt: &[u32], new: usize, width: usize) -> anyhow::Result<f64> {
    let mut best = [f64::INFINITY; 2];
    for _ in 0..4 {
        let beam = Strategy::Beam(Beam { width, ..Beam::default() });
        for (strategy, best) in [Strategy::Greedy, beam].into_iter().zip(&mut best) {
            let config = GenerateConfig { strategy, max_new_tokens: new, ..GenerateConfig::default() };
            let started = Instant::now();
            decode::generate(model, &[prompt.to_vec()], &config, &mut |_, _| ControlFlow::Continue(()))?;
            *best = best.min(started.elapsed().as_secs_f64());
        }
    }
    Ok(best[1] / best[0])
}

/// Seconds of a token behind each context, the best of a few.
fn at_contexts(model: &DecoderModel<'_>, args: &BenchGenerateArgs) -> Vec<(usize, f64)> {
    let mut best = vec![f64::INFINITY; args.contexts.len()];
    for _ in 0..3 {
        for (&context, best) in args.contexts.iter().zip(&mut best) {
            let mut state = model.start(1);
            let ids: Vec<u32> = (0..context as u32).map(|i| i * 7 % args.vocab as u32).collect();
            let Ok(_) = model.step(&mut state, &[&ids], Positions::Last);
            let started = Instant::now();
            for id in 0..TOKENS_AT_CONTEXT as u32 {
                let Ok(_) = model.step(&mut state, &[&[id % args.vocab as u32]], Positions::Last);
            }
            *best = best.min(started.elapsed().as_secs_f64() / TOKENS_AT_CONTEXT as f64);
        }
    }
    args.contexts.iter().copied().zip(best).collect()
}

/// Seconds of one generation.
struct Measured {
    prompt: f64,
    /// All new tokens after the first, which the prompt gives.
    tokens: f64,
    ids: Vec<u32>,
}

fn measure(model: &DecoderModel<'_>, prompt: &[u32], new: usize) -> Measured {
    let mut state = model.start(1);
    let next = |logits: &Logits| argmax(logits.last(0)).unwrap_or(0);
    let started = Instant::now();
    let Ok(logits) = model.step(&mut state, &[prompt], Positions::Last);
    let mut ids = vec![next(&logits)];
    let prompt = started.elapsed().as_secs_f64();
    let started = Instant::now();
    while ids.len() < new {
        let Ok(logits) = model.step(&mut state, &[&ids[ids.len() - 1..]], Positions::Last);
        ids.push(next(&logits));
    }
    Measured { prompt, tokens: started.elapsed().as_secs_f64(), ids }
}

/// More than any cache holds.
const UNCACHED_BYTES: usize = 1 << 28;

/// How fast all threads together read so many bytes again and again: as fast as weights of that size can be read.
fn read_gb_per_s(bytes: usize) -> f64 {
    let numbers: Vec<u64> = (0..bytes as u64 / 8).collect();
    let a_thread = numbers.len().div_ceil(rayon::current_num_threads());
    let mut best = 0.0f64;
    for _ in 0..20 {
        let started = Instant::now();
        let sum = numbers
            .par_chunks(a_thread)
            .map(|numbers| {
                // Sums side by side, so that none waits for the one before it.
                let mut sums = [0u64; 32];
                for numbers in numbers.chunks_exact(sums.len()) {
                    sums.iter_mut().zip(numbers).for_each(|(sum, &number)| *sum = sum.wrapping_add(number));
                }
                sums.into_iter().fold(0, u64::wrapping_add)
            })
            .reduce(|| 0, u64::wrapping_add);
        std::hint::black_box(sum);
        best = best.max(8.0 * numbers.len() as f64 / started.elapsed().as_secs_f64() / 1e9);
    }
    best
}
