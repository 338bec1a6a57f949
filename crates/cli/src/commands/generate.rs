//! `firebrand generate`.

use super::narrow::{narrow, say_size};
use crate::args::{GenerateArgs, Global, StrategyName};
use crate::exit::usage;
use crate::output::{line, piece, say};
use crate::run::{Trained, parse_ids};
use firebrand_decode::{
    DecoderModel, FinishReason, GenerateConfig, Generation, Penalties, Sampling, Strategy, generate,
};
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::WeightFormat;
use std::borrow::Cow;
use std::io::{BufRead, IsTerminal};
use std::ops::ControlFlow;

/// A prompt as it was given and as ids.
struct Prompt {
    text: Option<String>,
    ids: Vec<u32>,
}

pub(crate) fn run(args: &GenerateArgs, global: &Global) -> anyhow::Result<()> {
    let strategy = strategy(args)?;
    let trained = Trained::open(&args.run, global)?;
    let prompts = prompts(args, &trained, global)?;
    let Trained { model: decoder, tokenizer, device } = trained;
    let model = match narrow(&decoder, args.weights, &device)? {
        Some(narrow) => {
            // Narrow weights stand alone: the f32 ones need no memory any more.
            drop(decoder);
            firebrand_backend::memory::give_back();
            say_size(&narrow, global);
            DecoderModel::on_cpu(Cow::Owned(narrow))
        }
        None => DecoderModel::new(&decoder),
    };
    let config = GenerateConfig {
        strategy,
        penalties: Penalties { repetition: args.repetition_penalty },
        max_new_tokens: args.max_new_tokens,
        min_new_tokens: args.min_new_tokens,
        end_of_text: tokenizer.as_ref().and_then(|tokenizer| tokenizer.end_of_text()),
    };
    let ids: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.ids.clone()).collect();
    let one = match (prompts.as_slice(), &tokenizer) {
        ([prompt], Some(tokenizer)) if !global.json => Some((prompt, tokenizer)),
        _ => None,
    };
    let Some((prompt, tokenizer)) = one else {
        let generations = generate(&model, &ids, &config, &mut |_, _| ControlFlow::Continue(()))?;
        return generations
            .iter()
            .zip(&prompts)
            .try_for_each(|(generation, prompt)| show(generation, prompt, tokenizer.as_ref(), args, global));
    };
    // One prompt is written as it comes, its text with the first token: by then nothing is left to complain about.
    let table = tokenizer.token_table();
    let mut stream = tokenizer.stream_decoder_behind(&prompt.ids);
    let mut prompt_text = prompt.text.as_deref();
    let mut write = |id: u32| -> anyhow::Result<()> {
        piece(prompt_text.take().unwrap_or_default())?;
        match table.is_special(id) {
            true => Ok(()),
            false => piece(&stream.push(id)?),
        }
    };
    let mut failure = None;
    generate(&model, &ids, &config, &mut |_, id| match write(id) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    piece(prompt_text.unwrap_or_default())?;
    piece(&stream.finish())?;
    line("")
}

fn show(
    generation: &Generation,
    prompt: &Prompt,
    tokenizer: Option<&Tokenizer>,
    args: &GenerateArgs,
    global: &Global,
) -> anyhow::Result<()> {
    let text = tokenizer.map(|tokenizer| {
        let table = tokenizer.token_table();
        let ids: Vec<u32> = generation.ids.iter().copied().filter(|&id| !table.is_special(id)).collect();
        tokenizer.decode(&ids)
    });
    let text = text.transpose()?;
    if global.json {
        return line(serde_json::json!({
            "prompt": prompt.text, "prompt_ids": prompt.ids, "ids": generation.ids, "text": text,
            "log_prob": generation.log_prob(), "weights": WeightFormat::from(args.weights).name(),
            "finish_reason": match generation.finish_reason {
                FinishReason::EndOfText => "end-of-text",
                FinishReason::MaxNewTokens => "max-new-tokens",
                FinishReason::ContextFull => "context-full",
                FinishReason::Stopped => "stopped",
            },
        }));
    }
    match text {
        Some(text) => line(format!("{}{text}\n", prompt.text.as_deref().unwrap_or(""))),
        None => line(generation.ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    }
}

fn strategy(args: &GenerateArgs) -> anyhow::Result<Strategy> {
    let sampling = args.temperature.is_some() || args.top_k.is_some() || args.top_p.is_some();
    match args.strategy {
        Some(StrategyName::Greedy) if sampling => Err(usage(
            "--temperature, --top-k and --top-p are for --strategy sample; greedy takes the likeliest token",
        )),
        Some(StrategyName::Greedy) => Ok(Strategy::Greedy),
        None if !sampling => Ok(Strategy::Greedy),
        _ => Ok(Strategy::Sample(Sampling {
            temperature: args.temperature.unwrap_or(1.0),
            top_k: args.top_k,
            top_p: args.top_p,
            seed: args.seed,
            ..Sampling::default()
        })),
    }
}

/// The prompts as ids. Text starts a document where the model knows their end.
fn prompts(args: &GenerateArgs, trained: &Trained, global: &Global) -> anyhow::Result<Vec<Prompt>> {
    let mut prompts = Vec::new();
    for text in &args.prompt_ids {
        let ids = parse_ids(text)?;
        trained.check_ids(&ids)?;
        prompts.push(Prompt { text: None, ids });
    }
    let mut texts = args.prompt.clone();
    if texts.is_empty() && prompts.is_empty() {
        if std::io::stdin().is_terminal() {
            say(global, "type a prompt a line, then Ctrl-D");
        }
        for line in std::io::stdin().lock().lines() {
            texts.push(line.map_err(|error| usage(format!("stdin: {error}")))?);
        }
        if texts.is_empty() {
            return Err(usage(
                "no prompt: give --prompt TEXT, --prompt-ids 1,2,3, or a line a prompt on stdin",
            ));
        }
    }
    for text in texts {
        let tokenizer = trained.tokenizer()?;
        let mut ids: Vec<u32> = tokenizer.end_of_text().into_iter().collect();
        ids.extend(tokenizer.encode(&text));
        if ids.is_empty() {
            return Err(usage(
                "the prompt is empty, and this model has no token that starts a text: give it some text",
            ));
        }
        prompts.push(Prompt { text: Some(text), ids });
    }
    Ok(prompts)
}
