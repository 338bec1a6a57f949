//! Generation with an encoder–decoder: the encoder reads the prompt, and what the decoder writes is the result.

use super::fill::Filling;
use super::fill::spans::Blanks;
use super::{Job, Prompt, prompt_texts, write};
use crate::args::{GenerateArgs, Global, WeightsName};
use crate::exit::usage;
use crate::run::{Trained, parse_ids};
use firebrand_decode::{Contrastive, EncoderDecoderModel, GenerateConfig, generate_n_best};
use firebrand_pretrain::{MASK, Mode, ModeTokens, Sentinels};
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{EncoderDecoder, Model};
use std::ops::ControlFlow;

/// What a model was trained with, as its tokenizer tells.
pub(crate) struct Knows {
    pub(crate) sentinels: Sentinels,
    pub(crate) mask: Option<u32>,
    pub(crate) modes: Option<ModeTokens>,
    /// What the decoder begins with.
    pub(crate) start: u32,
}

impl Knows {
    pub(crate) fn new(model: &EncoderDecoder, tokenizer: Option<&Tokenizer>) -> anyhow::Result<Self> {
        let id = |name: &str| tokenizer.and_then(|tokenizer| tokenizer.token_to_id(name));
        let start = model.config().decoder_start.or(tokenizer.and_then(Tokenizer::end_of_text));
        let start = start.ok_or_else(|| {
            usage("nothing says what the decoder begins with: no decoder_start_token_id in config.json, no end of text in a tokenizer.json")
        })?;
        Ok(Self { sentinels: Sentinels::of(id), mask: id(MASK), modes: ModeTokens::of(id), start })
    }
}

/// A text as it is put to a model.
pub(crate) struct Asked {
    /// What the encoder reads.
    pub(crate) input: Vec<u32>,
    /// How many ids at its end do not come from the text: a blank that the answer refers to, the end of text.
    pub(crate) behind: usize,
    /// What the decoder has written before it answers, behind its start.
    pub(crate) begun: Vec<u32>,
}

impl Knows {
    /// What the model reads of a text: special tokens written in it are those tokens, and an end of text follows. A model that was
    /// trained for a mixture of denoisers is asked for what follows.
    pub(crate) fn ask(&self, text: &str, tokenizer: &Tokenizer, end_of_text: Option<u32>) -> Asked {
        let mut input = tokenizer.encode_with_special(text);
        let mut begun = Vec::new();
        if let Some(modes) = self.modes.filter(|modes| !input.first().is_some_and(|&id| modes.contains(id))) {
            // Who writes blanks of their own wants them filled; else the text goes on.
            let has_blank = input.iter().any(|&id| self.sentinels.contains(id));
            let blank = self.sentinels.first().filter(|_| !has_blank);
            input.insert(0, modes.id(if has_blank { Mode::R } else { Mode::S }));
            input.extend(blank);
            begun.extend(blank);
        }
        input.extend(end_of_text);
        let behind = begun.len() + usize::from(end_of_text.is_some());
        Asked { input, behind, begun }
    }
}

impl Asked {
    /// What the encoder reads in at most `longest` ids: of a text that is too long the end is cut off, and what stands behind it stays.
    pub(crate) fn cut(mut self, longest: usize) -> Self {
        let behind = self.input.split_off(self.input.len() - self.behind);
        self.input.truncate(longest.saturating_sub(behind.len()));
        self.input.extend(behind);
        self
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
        (args.chat, "--chat"),
    ] {
        if is_given {
            return Err(usage(format!("{option} is for decoders, and this is an encoder-decoder model")));
        }
    }
    let knows = Knows::new(model, trained.tokenizer.as_ref())?;
    if !args.fill.is_empty() {
        let tokenizer = trained.tokenizer()?;
        return args.fill.iter().try_for_each(|text| {
            let blanks = Blanks::new(text, &knows, tokenizer, trained.end_of_text())?;
            fill(&blanks, model, config, &knows, tokenizer, &|filling| filling.show(args, global))
        });
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

/// The prompts as the encoder reads them.
fn prompts(
    args: &GenerateArgs,
    trained: &Trained,
    knows: &Knows,
    global: &Global,
) -> anyhow::Result<Vec<Prompt>> {
    let mut prompts = Vec::new();
    for text in &args.prompt_ids {
        let mut ids = parse_ids(text)?;
        trained.check_ids(&ids)?;
        // As for transformers, which looks away from padding.
        while ids.last().is_some_and(|&id| trained.conventions.is_padding(id)) {
            ids.pop();
        }
        if ids.is_empty() {
            return Err(usage("--prompt-ids is empty: the encoder has nothing to read"));
        }
        let prompt = Prompt::new(None, vec![knows.start]);
        prompts.push(Prompt { input: Some(ids), ..prompt });
    }
    for text in prompt_texts(args, !prompts.is_empty(), global)? {
        let Asked { input, begun, .. } = knows.ask(&text, trained.tokenizer()?, trained.end_of_text());
        if input.is_empty() {
            return Err(usage("the prompt is empty: the encoder has nothing to read"));
        }
        let ids = [&[knows.start], begun.as_slice()].concat();
        prompts.push(Prompt { input: Some(input), ..Prompt::new(Some(text), ids) });
    }
    Ok(prompts)
}

/// What the model writes in the blanks, for `show`.
fn fill(
    blanks: &Blanks,
    model: &EncoderDecoder,
    config: &GenerateConfig,
    knows: &Knows,
    tokenizer: &Tokenizer,
    show: &dyn Fn(Filling<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    check_len(&blanks.input, model)?;
    let reader = EncoderDecoderModel::new(model, &blanks.input);
    let prompts = [[&[knows.start], blanks.begin.as_slice()].concat()];
    let found = generate_n_best(&reader, &prompts, config, &mut |_, _| ControlFlow::Continue(()))?;
    for (rank, generation) in found.iter().flatten().enumerate() {
        let (filled, fills) = blanks.filled(&generation.ids, knows, tokenizer)?;
        show(Filling {
            prompt: &blanks.text,
            text: Some(filled),
            fills,
            input_ids: &blanks.input,
            ids: &generation.ids,
            rank: rank + 1,
            score: generation.score,
            log_prob: generation.log_prob(),
            finish_reason: generation.finish_reason,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_cut_keeps_the_blank_that_is_to_be_filled() {
        let asked = |ids: std::ops::Range<u32>| Asked {
            input: ids.chain([90, 91]).collect(),
            behind: 2,
            begun: vec![90],
        };
        assert_eq!(asked(0..9).cut(5).input, [0, 1, 2, 90, 91]);
        assert_eq!(asked(0..3).cut(5).input, [0, 1, 2, 90, 91]);
        assert_eq!(asked(0..2).cut(5).input, [0, 1, 90, 91]);
    }
}
