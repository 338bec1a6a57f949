//! `firebrand tokenizer`: train, encode, decode, inspect.

mod counting;
mod inspect;

use crate::args::{
    Algorithm, Global, Normalize, SpecialInText, TokenizerCommand, TokenizerEncodeArgs, TokenizerTrainArgs,
    TokenizerUseArgs,
};
use crate::exit::usage;
use crate::output::{bar, line, piece, say, thousands};
use crate::run::parse_ids;
use crate::text;
use anyhow::Context;
use counting::count;
use firebrand_corpus::sources::Corpus;
use firebrand_tokenizer::{
    ByteLevelConfig, ByteLevelTrainer, LongestPrefixConfig, LongestPrefixTrainer, Pattern, Tokenizer,
    VocabularySize,
};
use indicatif::ProgressBar;
use std::io::Read;
use std::time::Instant;

pub(crate) fn run(command: &TokenizerCommand, global: &Global) -> anyhow::Result<()> {
    match command {
        TokenizerCommand::Train(args) => train(args, global),
        TokenizerCommand::Encode(args) => encode(args, global),
        TokenizerCommand::Decode(args) => decode(args, global),
        TokenizerCommand::Inspect(args) => inspect::run(args, global),
    }
}

fn train(args: &TokenizerTrainArgs, global: &Global) -> anyhow::Result<()> {
    let corpus = text::scan(args.reading.sources(&args.texts), global)?;
    let started = Instant::now();
    let special_tokens: Vec<String> =
        args.special_tokens.iter().filter(|token| !token.is_empty()).cloned().collect();
    let tokenizer = match args.algorithm {
        Algorithm::Characters
            if args.split_digits || args.max_memory.is_some() || args.normalize != Normalize::None =>
        {
            return Err(usage("--split-digits, --normalize and --max-memory are for algorithms that merge"));
        }
        Algorithm::Characters => text::characters(&corpus, &args.special_tokens, global)?,
        Algorithm::Byte => byte_level(args, special_tokens, &corpus, global)?,
        Algorithm::LongestPrefix | Algorithm::Reference => {
            longest_prefix(args, special_tokens, &corpus, global)?
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

fn pattern(args: &TokenizerTrainArgs) -> Pattern {
    match args.pattern.as_str() {
        "gpt2" => Pattern::Gpt2,
        "cl100k" => Pattern::Cl100k,
        "o200k" => Pattern::O200k,
        "none" => Pattern::None,
        expression => Pattern::Custom(expression.to_string()),
    }
}

fn merging(global: &Global, merges: usize) -> ProgressBar {
    bar(global, merges as u64, "merging {bar:30} {pos}/{len}, {eta} left")
}

fn byte_level(
    args: &TokenizerTrainArgs,
    special_tokens: Vec<String>,
    corpus: &Corpus,
    global: &Global,
) -> anyhow::Result<Tokenizer> {
    if args.byte_fallback {
        return Err(usage("--byte-fallback is for --algorithm longest-prefix: every byte is a token here"));
    }
    let vocab_size = match (args.vocab_size, args.merges) {
        (Some(vocab_size), _) => vocab_size,
        (None, Some(merges)) => 256 + special_tokens.len() + merges,
        (None, None) => ByteLevelConfig::default().vocab_size,
    };
    let config = ByteLevelConfig {
        vocab_size,
        special_tokens,
        pattern: pattern(args),
        min_frequency: args.min_frequency,
        max_token_length: args.max_token_length,
        split_digits: args.split_digits,
        normalization: args.normalize.into(),
    };
    let mut trainer = ByteLevelTrainer::new(config)?;
    count(trainer.pieces(), corpus, args, global)?;
    let merges = vocab_size.saturating_sub(256 + args.special_tokens.len());
    let bar = merging(global, merges);
    let tokenizer = trainer.finish_with_progress(&mut |made| bar.set_position(made as u64))?;
    bar.finish_and_clear();
    say_if_fewer(&tokenizer, args, global);
    Ok(tokenizer)
}

fn longest_prefix(
    args: &TokenizerTrainArgs,
    special_tokens: Vec<String>,
    corpus: &Corpus,
    global: &Global,
) -> anyhow::Result<Tokenizer> {
    let default = LongestPrefixConfig::default();
    let size = match (args.vocab_size, args.merges) {
        (Some(vocab_size), _) => VocabularySize::Tokens(vocab_size),
        (None, Some(merges)) => VocabularySize::Merges(merges),
        (None, None) => default.size,
    };
    let config = LongestPrefixConfig {
        size,
        special_tokens,
        pattern: pattern(args),
        min_frequency: args.min_frequency,
        max_token_length: args.max_token_length,
        byte_fallback: args.byte_fallback,
        split_digits: args.split_digits,
        normalization: args.normalize.into(),
    };
    let mut trainer = LongestPrefixTrainer::new(config)?;
    count(trainer.pieces(), corpus, args, global)?;
    let bar = merging(
        global,
        match size {
            VocabularySize::Tokens(tokens) => tokens,
            VocabularySize::Merges(merges) => merges,
        },
    );
    let mut progress = |made| bar.set_position(made as u64);
    let tokenizer = match args.algorithm {
        Algorithm::Reference => trainer.finish_by_reference(&mut progress)?,
        _ => trainer.finish_with_progress(&mut progress)?,
    };
    bar.finish_and_clear();
    say_if_fewer(&tokenizer, args, global);
    if args.byte_fallback {
        say(
            global,
            "Hugging Face has no model that takes the longest prefix and falls back to bytes: this tokenizer.json is for firebrand alone",
        );
    }
    Ok(tokenizer)
}

fn say_if_fewer(tokenizer: &Tokenizer, args: &TokenizerTrainArgs, global: &Global) {
    let (tokens, merges) = (tokenizer.vocab_size(), tokenizer.n_merges());
    if args.vocab_size.is_some_and(|wanted| tokens < wanted)
        || args.merges.is_some_and(|wanted| merges < wanted)
    {
        let [tokens, merges] = [tokens, merges].map(|number| thousands(number as u64));
        say(
            global,
            format!(
                "the text has no more pairs to merge: {merges} merges and {tokens} tokens, fewer than asked for"
            ),
        );
    }
}

fn encode(args: &TokenizerEncodeArgs, global: &Global) -> anyhow::Result<()> {
    let tokenizer = Tokenizer::load(&args.common.tokenizer)?;
    let text = input(&args.common)?;
    if args.offsets {
        let (ids, ranges) = tokenizer.encode_with_offsets(&text);
        let offsets: Vec<[usize; 2]> = ranges.iter().map(|range| [range.start, range.end]).collect();
        return line(serde_json::json!({"ids": ids, "offsets": offsets}));
    }
    if let Some(probability) = args.dropout {
        let ids = tokenizer.encode_with_dropout(&text, probability, args.seed)?;
        return print_ids(&ids, global);
    }
    let ids = match args.special {
        SpecialInText::Text => tokenizer.encode(&text),
        SpecialInText::Allow => tokenizer.encode_with_special(&text),
        SpecialInText::Refuse => tokenizer.encode_refusing_special(&text)?,
    };
    print_ids(&ids, global)
}

fn print_ids(ids: &[u32], global: &Global) -> anyhow::Result<()> {
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
