//! Generation with an encoder–decoder: the encoder reads the prompt, and what the decoder writes is the result.

use super::fill::spans::Blanks;
use super::{Job, Prompt, prompt_texts, write};
use crate::args::{GenerateArgs, Global, WeightsName};
use crate::exit::usage;
use crate::output::line;
use crate::run::{Trained, parse_ids};
use firebrand_decode::{Contrastive, EncoderDecoderModel, GenerateConfig, generate_n_best};
use firebrand_pretrain::{MASK, Mode, ModeTokens, Sentinels};
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{EncoderDecoder, Model};
use std::ops::ControlFlow;

/// What a model was trained with, as its tokenizer tells.
pub(super) struct Knows {
    pub(super) sentinels: Sentinels,
    pub(super) mask: Option<u32>,
    pub(super) modes: Option<ModeTokens>,
    /// What the decoder begins with.
    pub(super) start: u32,
}

impl Knows {
    pub(super) fn new(model: &EncoderDecoder, tokenizer: Option<&Tokenizer>) -> anyhow::Result<Self> {
        let id = |name: &str| tokenizer.and_then(|tokenizer| tokenizer.token_to_id(name));
        let start = model.config().decoder_start.or(tokenizer.and_then(Tokenizer::end_of_text));
        let start = start.ok_or_else(|| {
            usage("nothing says what the decoder begins with: no decoder_start_token_id in config.json, no end of text in a tokenizer.json")
        })?;
        Ok(Self { sentinels: Sentinels::of(id), mask: id(MASK), modes: ModeTokens::of(id), start })
    }
}

pub(super) fn run(
    model: &EncoderDecoder,
    config: &GenerateConfig,
    contrastive: Option<&Contrastive>,
    trained: &Trained,
    args: &GenerateArgs,
    global: &Global,
) -> anyhow::Result<()> {
    for (is_given, option) in [
        (args.draft.is_some(), "--draft"),
        (args.sliding_window, "--sliding-window"),
        (args.guidance.is_some(), "--guidance"),
        (args.weights != WeightsName::F32, "--weights"),
        (args.no_cache, "--no-cache"),
        (args.explain_cost, "--explain-cost"),
        (args.trace.is_some(), "--trace"),
        (contrastive.is_some() && !args.fill.is_empty(), "contrastive search with --fill"),
        (!args.stop.is_empty() && !args.fill.is_empty(), "--stop with --fill"),
    ] {
        if is_given {
            return Err(usage(format!("{option} is for decoders, and this is an encoder-decoder model")));
        }
    }
    let knows = Knows::new(model, trained.tokenizer.as_ref())?;
    if !args.fill.is_empty() {
        let tokenizer = trained.tokenizer()?;
        return args.fill.iter().try_for_each(|text| fill(text, model, config, &knows, tokenizer, global));
    }
    for prompt in prompts(args, trained, &knows, global)? {
        let input = prompt.input.as_deref().unwrap_or_default();
        check_len(input, model)?;
        let reader = EncoderDecoderModel::new(model, input);
        let tokenizer = trained.tokenizer.as_ref();
        let prompts = [prompt];
        let mut job =
            Job { prompts: &prompts, config, contrastive, drafting: None, tokenizer, recorded: None };
        write(&reader, &mut job, args, global)?;
    }
    Ok(())
}

/// Refuses inputs longer than those that the model was trained with.
pub(crate) fn check_len(input: &[u32], model: &EncoderDecoder) -> anyhow::Result<()> {
    let (len, context) = (input.len(), model.config().seq_len);
    match len <= context {
        true => Ok(()),
        false => {
            Err(usage(format!("the input has {len} tokens, and the model's context is {context}: cut it")))
        }
    }
}

/// The prompts as the encoder reads them: special tokens written in a text are those tokens, and an end of text follows. A model
/// that was trained for a mixture of denoisers is asked for what follows.
fn prompts(
    args: &GenerateArgs,
    trained: &Trained,
    knows: &Knows,
    global: &Global,
) -> anyhow::Result<Vec<Prompt>> {
    let mut prompts = Vec::new();
    for text in &args.prompt_ids {
        let ids = parse_ids(text)?;
        trained.check_ids(&ids)?;
        if ids.is_empty() {
            return Err(usage("--prompt-ids is empty: the encoder has nothing to read"));
        }
        let prompt = Prompt::new(None, vec![knows.start]);
        prompts.push(Prompt { input: Some(ids), ..prompt });
    }
    for text in prompt_texts(args, !prompts.is_empty(), global)? {
        let tokenizer = trained.tokenizer()?;
        let mut input = tokenizer.encode_with_special(&text);
        let mut ids = vec![knows.start];
        if let Some(modes) = knows.modes.filter(|modes| !input.first().is_some_and(|&id| modes.contains(id)))
        {
            // Who writes blanks of their own wants them filled; else the text goes on.
            let has_blank = input.iter().any(|&id| knows.sentinels.contains(id));
            let blank = knows.sentinels.first().filter(|_| !has_blank);
            input.insert(0, modes.id(if has_blank { Mode::R } else { Mode::S }));
            input.extend(blank);
            ids.extend(blank);
        }
        input.extend(tokenizer.end_of_text());
        if input.is_empty() {
            return Err(usage("the prompt is empty: the encoder has nothing to read"));
        }
        prompts.push(Prompt { input: Some(input), ..Prompt::new(Some(text), ids) });
    }
    Ok(prompts)
}

fn fill(
    text: &str,
    model: &EncoderDecoder,
    config: &GenerateConfig,
    knows: &Knows,
    tokenizer: &Tokenizer,
    global: &Global,
) -> anyhow::Result<()> {
    let blanks = Blanks::new(text, knows, tokenizer)?;
    check_len(&blanks.input, model)?;
    let reader = EncoderDecoderModel::new(model, &blanks.input);
    let prompts = [[&[knows.start], blanks.begin.as_slice()].concat()];
    let found = generate_n_best(&reader, &prompts, config, &mut |_, _| ControlFlow::Continue(()))?;
    for (rank, generation) in found.iter().flatten().enumerate() {
        let (filled, spans) = blanks.filled(&generation.ids, knows, tokenizer)?;
        match global.json {
            true => line(serde_json::json!({
                "fill": text, "input_ids": blanks.input, "ids": generation.ids, "text": filled, "spans": spans,
                "rank": rank + 1, "score": generation.score, "log_prob": generation.log_prob(),
            }))?,
            false => line(filled)?,
        }
    }
    Ok(())
}
