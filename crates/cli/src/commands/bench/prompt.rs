//! Speed of scoring answers behind many inputs, sharing what they share and reading each text anew.

use crate::args::{BenchPromptArgs, Global};
use crate::exit::usage;
use crate::output::line;
use crate::run;
use anyhow::Context;
use firebrand_corpus::batches::{below, keyed_rng};
use firebrand_prompt::{Candidate, Question, SpecialIds, one_by_one, scorer};
use firebrand_transformer::{AnyModel, Decoder, Model, ModelConfig, Preset, hugging_face};
use std::time::Instant;

/// Tokens of a template between input and blank, and behind the blank.
const PHRASE: usize = 4;
const BEHIND: usize = 1;
/// The longest answer.
const ANSWER: u64 = 3;

/// Answers behind random inputs with a model of random weights: the work of `bench-peers/score_hf.py`.
pub(crate) fn prompt(args: &BenchPromptArgs, global: &Global) -> anyhow::Result<()> {
    let config =
        ModelConfig::preset(Preset::Gpt2, args.vocab, args.d_model, args.layers, args.heads, args.seq);
    let longest = args.shared + args.tokens * 3 / 2 + PHRASE + ANSWER as usize + BEHIND;
    if longest > args.seq || args.answers == 0 || args.inputs == 0 || args.vocab < 3 {
        return Err(usage(format!("texts of {longest} tokens do not fit a context of {}", args.seq)));
    }
    let (device_name, device) = run::device(global)?;
    let decoder = Decoder::new(&config, 0, &device)?;
    if let Some(dir) = &args.save {
        hugging_face::save(dir, &decoder, None)?;
    }
    let questions = questions(args);
    if let Some(dir) = &args.save {
        let rows: Vec<(usize, Vec<&[u32]>)> = questions
            .iter()
            .map(|question| (question.given, question.candidates.iter().map(|c| c.ids.as_slice()).collect()))
            .collect();
        let path = dir.join("questions.json");
        firebrand_durable::write(&path, &serde_json::to_vec(&rows)?)
            .with_context(|| path.display().to_string())?;
    }
    let (model, special) = (AnyModel::Decoder(Box::new(decoder)), SpecialIds::default());
    // The texts are given from their first ids, so that no end of text is wanted.
    let shared = {
        let scorer = scorer(&model, &special)?;
        scorer.score(&questions[..questions.len().min(16)], &mut |_| {})?;
        let started = Instant::now();
        let scores = scorer.score(&questions, &mut |_| {})?;
        let seconds = started.elapsed().as_secs_f64();
        (seconds, scores.iter().flatten().map(|score| score.log_prob).collect::<Vec<f64>>())
    };
    let started = Instant::now();
    let anew: Vec<f64> = one_by_one(&model, &special, &questions)?.concat();
    let anew_seconds = started.elapsed().as_secs_f64();
    let difference = shared.1.iter().zip(&anew).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let texts = questions.len() * args.answers;
    line(serde_json::json!({
        "device": device_name, "params": config.n_params(), "texts": texts,
        "texts_per_s": texts as f64 / shared.0, "texts_per_s_anew": texts as f64 / anew_seconds,
        "largest_difference": difference, "log_prob": shared.1.iter().sum::<f64>(),
    }))
}

fn questions(args: &BenchPromptArgs) -> Vec<Question> {
    let mut draws = keyed_rng(0, "bench-prompt", 0);
    let mut ids = |count: usize| -> Vec<u32> {
        (0..count).map(|_| below(&mut draws, args.vocab as u64) as u32).collect()
    };
    let shared = ids(args.shared);
    let (phrase, behind) = (ids(PHRASE), ids(BEHIND));
    let answers: Vec<Vec<u32>> = (0..args.answers).map(|answer| ids(1 + answer % ANSWER as usize)).collect();
    let mut lengths = keyed_rng(0, "bench-prompt", 1);
    (0..args.inputs)
        .map(|_| {
            let len = args.tokens / 2 + below(&mut lengths, args.tokens as u64 + 1) as usize;
            let input = ids(len);
            let candidate = |answer: &Vec<u32>| {
                let before = [shared.as_slice(), &input, &phrase].concat();
                let ids = [before.as_slice(), answer, &behind].concat();
                Candidate { ids, answers: Vec::new() }
            };
            Question::compare(answers.iter().map(candidate).collect())
        })
        .collect()
}
