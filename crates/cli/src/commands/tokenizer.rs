//! `firebrand tokenizer`: train, encode, decode, inspect.

use crate::args::{Algorithm, Global, TokenizerCommand, TokenizerTrainArgs, TokenizerUseArgs};
use crate::exit::usage;
use crate::output::{line, piece, say, thousands};
use crate::run::parse_ids;
use crate::text;
use anyhow::Context;
use firebrand_corpus::sources::{DocumentBoundary, HeldOut, Sources};
use firebrand_tokenizer::{ByteLevelConfig, ByteLevelTrainer, Pattern, Tokenizer};
use std::io::Read;
use std::path::Path;
use std::time::Instant;

pub(crate) fn run(command: &TokenizerCommand, global: &Global) -> anyhow::Result<()> {
    match command {
        TokenizerCommand::Train(args) => train(args, global),
        TokenizerCommand::Encode(args) => encode(args, global),
        TokenizerCommand::Decode(args) => decode(args, global),
        TokenizerCommand::Inspect { tokenizer } => inspect(tokenizer, global),
    }
}

fn train(args: &TokenizerTrainArgs, global: &Global) -> anyhow::Result<()> {
    let sources = Sources {
        texts: args.texts.clone(),
        format: args.format.into(),
        field: args.field.clone(),
        boundary: DocumentBoundary::File,
        held_out: HeldOut::None,
    };
    let corpus = text::scan(sources, global)?;
    let started = Instant::now();
    let tokenizer = match args.algorithm {
        Algorithm::Characters => text::characters(&corpus, &args.special_tokens, global)?,
        Algorithm::Byte => {
            let special_tokens: Vec<String> =
                args.special_tokens.iter().filter(|token| !token.is_empty()).cloned().collect();
            let vocab_size = match (args.vocab_size, args.merges) {
                (Some(vocab_size), _) => vocab_size,
                (None, Some(merges)) => 256 + special_tokens.len() + merges,
                (None, None) => ByteLevelConfig::default().vocab_size,
            };
            let pattern = match args.pattern.as_str() {
                "gpt2" => Pattern::Gpt2,
                "cl100k" => Pattern::Cl100k,
                "o200k" => Pattern::O200k,
                "none" => Pattern::None,
                expression => Pattern::Custom(expression.to_string()),
            };
            let config =
                ByteLevelConfig { vocab_size, special_tokens, pattern, ..ByteLevelConfig::default() };
            let mut trainer = ByteLevelTrainer::new(config)?;
            let cutter = trainer.cutter();
            text::for_each_part(&corpus, |text| cutter.safe_cut(text), global, |text| trainer.feed(text))?;
            let tokenizer = trainer.finish()?;
            if tokenizer.vocab_size() < vocab_size {
                say(
                    global,
                    format!(
                        "the text has no more pairs to merge: fewer tokens than the {} asked for",
                        thousands(vocab_size as u64)
                    ),
                );
            }
            tokenizer
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    tokenizer.save(&args.out)?;
    if global.json {
        return line(serde_json::json!({
            "path": args.out, "vocab_size": tokenizer.vocab_size(), "bytes": corpus.bytes(), "seconds": seconds,
        }));
    }
    say(
        global,
        format!(
            "{}: {} tokens from {} bytes in {seconds:.1} s",
            args.out.display(),
            thousands(tokenizer.vocab_size() as u64),
            thousands(corpus.bytes())
        ),
    );
    Ok(())
}

fn encode(args: &TokenizerUseArgs, global: &Global) -> anyhow::Result<()> {
    let tokenizer = Tokenizer::load(&args.tokenizer)?;
    let ids = tokenizer.encode(&input(args)?);
    match global.json {
        true => line(serde_json::json!({"ids": ids})),
        false => line(ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    }
}

fn decode(args: &TokenizerUseArgs, global: &Global) -> anyhow::Result<()> {
    let tokenizer = Tokenizer::load(&args.tokenizer)?;
    let text = tokenizer.decode(&parse_ids(input(args)?.trim())?)?;
    match global.json {
        true => line(serde_json::json!({"text": text})),
        false => piece(&text),
    }
}

fn inspect(path: &Path, global: &Global) -> anyhow::Result<()> {
    let tokenizer = Tokenizer::load(path)?;
    let n = tokenizer.vocab_size();
    let special: Vec<&(String, u32)> = tokenizer.special_tokens().iter().collect();
    if global.json {
        return line(serde_json::json!({"vocab_size": n, "special_tokens": special}));
    }
    let special: Vec<String> = special.iter().map(|(token, id)| format!("{token} ({id})")).collect();
    let special = if special.is_empty() { "none".to_string() } else { special.join(", ") };
    line(format!("{} tokens; special: {special}", thousands(n as u64)))?;
    let show = |id: usize| format!("{id:>8}  {:?}", tokenizer.id_to_token(id as u32).unwrap_or(""));
    for id in (0..n.min(8)).chain(n.saturating_sub(16).max(8)..n) {
        line(show(id))?;
    }
    Ok(())
}

fn input(args: &TokenizerUseArgs) -> anyhow::Result<String> {
    let bytes = match &args.file {
        Some(path) => std::fs::read(path).with_context(|| path.display().to_string())?,
        None => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes)?;
            bytes
        }
    };
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        usage(format!("the input is not UTF-8: byte {at} starts no character"))
    })
}
