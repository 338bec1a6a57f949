//! `firebrand generate`.

mod chat;
mod constraint;
mod cost;
mod encoder_decoder;
mod fill;
mod model;
mod speculation;
mod stop;
mod strategy;
mod trace;

use crate::args::{GenerateArgs, Global};
use crate::exit::usage;
use crate::output::{line, piece, say};
use crate::plot;
use crate::run::{Trained, parse_ids};
use fill::Filling;
use firebrand_decode::{
    Contrastive, FinishReason, GenerateConfig, Generation, Guided, HiddenStates, Observer, Penalties,
    Sliding, Stop, Strategy, Uncached, generate_contrastive, generate_n_best,
};
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::hugging_face::Conventions;
use firebrand_transformer::{AnyModel, Decoder, WeightFormat};
use model::Loaded;
use speculation::{Drafting, Report};
use std::io::{BufRead, IsTerminal};
use std::ops::ControlFlow;
use std::path::Path;
use stop::{UpToStop, at_ids, when_spelled};
use strategy::Asked;
use trace::{Recorded, Recorder};

pub(crate) use encoder_decoder::Knows;

/// A prompt as it was given and as ids.
struct Prompt {
    /// What is shown in front of the generated text.
    text: Option<String>,
    ids: Vec<u32>,
    /// What the generated tokens stand behind in the text.
    behind: Vec<u32>,
    /// What they fill, if they do.
    blank: Option<Blank>,
    /// What an encoder reads, where there is one: then the text is not continued, and `ids` are what its decoder begins with.
    input: Option<Vec<u32>>,
    /// What is generated answers the text instead of going on with it.
    answers: bool,
}

/// A blank in a text.
struct Blank {
    /// The text as it was given.
    text: String,
    /// What stands behind the blank.
    after: String,
}

impl Prompt {
    /// One that is gone on with.
    fn new(text: Option<String>, ids: Vec<u32>) -> Self {
        Self { text, behind: ids.clone(), ids, blank: None, input: None, answers: false }
    }

    /// The text that generated ones go on with.
    fn continued(&self) -> Option<&str> {
        self.text.as_deref().filter(|_| self.input.is_none() && !self.answers)
    }

    /// A generated text and what belongs behind it.
    fn before_rest(&self, generated: &str) -> String {
        generated.to_owned() + self.blank.as_ref().map_or("", |blank| blank.after.as_str())
    }

    /// A whole text with a generated part in its place.
    fn whole(&self, generated: &str) -> String {
        self.continued().unwrap_or_default().to_owned() + &self.before_rest(generated)
    }
}

pub(crate) fn run(args: &GenerateArgs, global: &Global) -> anyhow::Result<()> {
    let asked = strategy::asked_for(args)?;
    if args.stop.iter().any(String::is_empty) {
        return Err(usage("--stop is empty: every text would end at once"));
    }
    if let Some(path) = &args.cost_plot {
        plot::check("--cost-plot", path)?;
    }
    let trained = Trained::open(&args.run, global)?;
    if let AnyModel::EncoderDecoder(model) = &trained.model {
        let Asked { strategy, contrastive } = asked;
        let config = config(args, strategy, trained.tokenizer.as_ref(), &trained.conventions, vec![])?;
        return encoder_decoder::run(model, &config, contrastive.as_ref(), &trained, args, global);
    }
    if !args.fill.is_empty() {
        return fill::run(args, asked, trained, global);
    }
    fill::check(args, &trained.model)?;
    let prompts = match args.chat {
        true => chat::prompts(args, &trained, global)?,
        false => prompts(args, &trained, global)?,
    };
    decode(args, asked, prompts, trained, vec![], global)
}

/// Goes on with the prompts until an end of text or one of the ids `ends`.
fn decode(
    args: &GenerateArgs,
    Asked { strategy, contrastive }: Asked,
    prompts: Vec<Prompt>,
    trained: Trained,
    ends: Vec<u32>,
    global: &Global,
) -> anyhow::Result<()> {
    let Trained { model, tokenizer, device, conventions } = trained;
    let loaded = Loaded::new(causal(model, &args.run)?, args.weights, &device, global)?;
    if loaded.config().prefix_attention && (args.no_cache || args.explain_cost) {
        return Err(usage(
            "--no-cache and --explain-cost read a text from its beginning for each token, which to this model would make all of it \
             the prompt: all tokens of a prompt see each other",
        ));
    }
    let drafting = Drafting::open(args, &loaded, tokenizer.as_ref(), global)?;
    let model = loaded.model();
    let config = config(args, strategy, tokenizer.as_ref(), &conventions, ends)?;
    let generate = |recorded: Option<&mut Recorded>| {
        let mut job = Job {
            prompts: &prompts,
            config: &config,
            contrastive: contrastive.as_ref(),
            drafting: drafting.as_ref(),
            tokenizer: tokenizer.as_ref(),
            recorded,
        };
        match (args.explain_cost, args.no_cache) {
            (true, _) => cost::explain(&loaded, &job, args, global),
            (false, true) => slide(&Uncached::new(&model), &mut job, args, global),
            (false, false) => slide(&model, &mut job, args, global),
        }
    };
    match &args.trace {
        None => generate(None),
        Some(path) => {
            trace::around(path, &prompts, tokenizer.as_ref(), global, |recorded| generate(Some(recorded)))
        }
    }
}

/// What of a model goes on with a text, if it does.
fn causal(model: AnyModel, run: &Path) -> anyhow::Result<Decoder> {
    model.into_causal().map_err(|error| usage(format!("{}: {error}", run.display())))
}

/// With a window over the text, if it is asked for.
fn slide<M: HiddenStates>(
    model: &M,
    job: &mut Job<'_>,
    args: &GenerateArgs,
    global: &Global,
) -> anyhow::Result<()> {
    match args.sliding_window {
        true => guide(&Sliding::new(model), job, args, global),
        false => guide(model, job, args, global),
    }
}

/// What is chosen, and when it ends: at an end of text, what the options say, or one of the ids `ends`. What ends a text the folder says,
/// and the tokenizer.
fn config(
    args: &GenerateArgs,
    strategy: Strategy,
    tokenizer: Option<&Tokenizer>,
    conventions: &Conventions,
    mut ends: Vec<u32>,
) -> anyhow::Result<GenerateConfig> {
    let mut banned = Vec::new();
    for ids in &args.ban {
        banned.extend(parse_ids(ids)?);
    }
    if ends.is_empty() {
        banned.extend(tokenizer.map(fill::marks).unwrap_or_default());
    }
    let forced = match &args.force {
        Some(text) => needed(tokenizer, "--force")?.encode(text),
        None => Vec::new(),
    };
    let stop = match args.stop.as_slice() {
        [] => Stop::default(),
        texts => when_spelled(texts, needed(tokenizer, "--stop")?.token_table()),
    };
    let boundary = tokenizer.and_then(boundary);
    let end_of_text = conventions.ends.first().copied().or(boundary);
    ends.extend(conventions.ends.iter().copied().chain(boundary).filter(|&id| Some(id) != end_of_text));
    let stop = at_ids(ends, stop);
    let constraint = constraint::asked_for(args, tokenizer, end_of_text)?;
    Ok(GenerateConfig {
        strategy,
        n_best: args.n_best,
        penalties: Penalties {
            repetition: args.repetition_penalty,
            presence: args.presence_penalty,
            frequency: args.frequency_penalty,
            no_repeat_ngram: args.no_repeat_ngram,
        },
        bias: args.bias.clone(),
        banned,
        forced,
        max_new_tokens: args.max_new_tokens,
        min_new_tokens: args.min_new_tokens,
        end_of_text,
        stop,
        constraint,
    })
}

/// The tokenizer, for an option that is text.
fn needed<'t>(tokenizer: Option<&'t Tokenizer>, option: &str) -> anyhow::Result<&'t Tokenizer> {
    tokenizer.ok_or_else(|| usage(format!("{option} is text, but there is no tokenizer to read it with")))
}

/// With guidance, if it is asked for.
fn guide<M: HiddenStates>(
    model: &M,
    job: &mut Job<'_>,
    args: &GenerateArgs,
    global: &Global,
) -> anyhow::Result<()> {
    let Some(scale) = args.guidance else { return write(model, job, args, global) };
    if !scale.is_finite() {
        return Err(usage(format!(
            "--guidance {scale} is no number; 1 changes nothing, more follows the prompt more"
        )));
    }
    let negative = match &args.negative_prompt {
        Some(text) => prompt_ids(text, needed(job.tokenizer, "--negative-prompt")?),
        None => Vec::new(),
    };
    write(&Guided::new(model, negative, scale), job, args, global)
}

/// What is to be generated.
struct Job<'a> {
    prompts: &'a [Prompt],
    config: &'a GenerateConfig,
    contrastive: Option<&'a Contrastive>,
    drafting: Option<&'a Drafting>,
    tokenizer: Option<&'a Tokenizer>,
    /// For `--trace`.
    recorded: Option<&'a mut Recorded>,
}

impl Job<'_> {
    /// The generations of each prompt, the best first.
    fn generate<M: HiddenStates>(
        &mut self,
        model: &M,
        args: &GenerateArgs,
        observer: &mut dyn Observer,
    ) -> anyhow::Result<(Vec<Vec<Generation>>, Option<Report>)> {
        match self.recorded.take() {
            None => self.generate_for(model, args, observer),
            Some(recorded) => self.generate_for(model, args, &mut Recorder::new(recorded, observer)),
        }
    }

    fn generate_for<M: HiddenStates>(
        &self,
        model: &M,
        args: &GenerateArgs,
        observer: &mut dyn Observer,
    ) -> anyhow::Result<(Vec<Vec<Generation>>, Option<Report>)> {
        let prompts: Vec<Vec<u32>> = self.prompts.iter().map(|prompt| prompt.ids.clone()).collect();
        let one = |found: Vec<Generation>| found.into_iter().map(|one| vec![one]).collect();
        if let Some(options) = self.contrastive {
            let found = generate_contrastive(model, &prompts, options, self.config, observer)?;
            return Ok((one(found), None));
        }
        if let Some(drafting) = self.drafting {
            let (found, report) = drafting.generate(model, &prompts, self.config, args, observer)?;
            return Ok((one(found), Some(report)));
        }
        Ok((generate_n_best(model, &prompts, self.config, observer)?, None))
    }
}

/// Generates and writes, one text as it comes.
fn write<M: HiddenStates>(
    model: &M,
    job: &mut Job<'_>,
    args: &GenerateArgs,
    global: &Global,
) -> anyhow::Result<()> {
    let Job { prompts, tokenizer, .. } = *job;
    let one = match (prompts, tokenizer) {
        ([prompt], Some(tokenizer)) if !global.json && args.n_best == 1 => Some((prompt, tokenizer)),
        _ => None,
    };
    let Some((prompt, tokenizer)) = one else {
        let each = &mut |_, _| ControlFlow::Continue(());
        let (found, report) = job.generate(model, args, each)?;
        if let Some(report) = &report {
            report.say(global);
        }
        let more: Vec<_> = report.iter().map(|report| ("speculation", report.json())).collect();
        for (n_best, prompt) in found.iter().zip(prompts) {
            for (rank, generation) in n_best.iter().enumerate() {
                show(generation, rank, prompt, tokenizer, &more, args, global)?;
            }
        }
        return Ok(());
    };
    // One prompt is written as it comes, its text with the first token: by then nothing is left to complain about.
    let table = tokenizer.token_table();
    let mut stream = tokenizer.stream_decoder_behind(&prompt.behind);
    let mut up_to_stop = UpToStop::new(&args.stop);
    let mut prompt_text = prompt.continued();
    let mut write_one = |id: u32| -> anyhow::Result<()> {
        piece(prompt_text.take().unwrap_or_default())?;
        match table.is_special(id) {
            true => Ok(()),
            false => piece(&up_to_stop.push(&stream.push(id)?)),
        }
    };
    let mut failure = None;
    let each = &mut |_, id| match write_one(id) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    };
    let (_, report) = job.generate(model, args, each)?;
    if let Some(error) = failure {
        return Err(error);
    }
    piece(prompt_text.unwrap_or_default())?;
    piece(&up_to_stop.push(&stream.finish()))?;
    piece(&prompt.before_rest(&up_to_stop.finish()))?;
    line("")?;
    if let Some(report) = report {
        report.say(global);
    }
    Ok(())
}

/// Writes a generation; as JSON with `more` in it.
fn show(
    generation: &Generation,
    rank: usize,
    prompt: &Prompt,
    tokenizer: Option<&Tokenizer>,
    more: &[(&str, serde_json::Value)],
    args: &GenerateArgs,
    global: &Global,
) -> anyhow::Result<()> {
    let text = tokenizer.map(|tokenizer| {
        let table = tokenizer.token_table();
        let ids: Vec<u32> = generation.ids.iter().copied().filter(|&id| !table.is_special(id)).collect();
        tokenizer.decode_behind(&prompt.behind, &ids)
    });
    let text = text.transpose()?.map(|text| {
        let mut up_to_stop = UpToStop::new(&args.stop);
        up_to_stop.push(&text) + &up_to_stop.finish()
    });
    if global.json {
        let mut json = match &prompt.blank {
            Some(blank) => Filling {
                prompt: &blank.text,
                text: text.as_deref().map(|text| prompt.whole(text)),
                fills: text.map(|text| vec![text]),
                input_ids: &prompt.ids,
                ids: &generation.ids,
                rank: rank + 1,
                score: generation.score,
                log_prob: generation.log_prob(),
                finish_reason: generation.finish_reason,
            }
            .json(),
            None => serde_json::json!({
                "prompt": prompt.text, "prompt_ids": prompt.ids, "ids": generation.ids, "text": text,
                "rank": rank + 1, "score": generation.score, "log_prob": generation.log_prob(),
                "weights": WeightFormat::from(args.weights).name(), "finish_reason": reason(generation.finish_reason),
            }),
        };
        if let Some(input) = &prompt.input {
            json["input_ids"] = input.clone().into();
        }
        more.iter().for_each(|(name, value)| json[name] = value.clone());
        return line(json);
    }
    if args.n_best > 1 {
        line(ranked(rank + 1, generation.score, generation.log_prob()))?;
    }
    match text {
        Some(text) => line(prompt.whole(&text) + "\n"),
        None => line(generation.ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    }
}

/// What stands above one of several texts.
fn ranked(rank: usize, score: f64, log_prob: f64) -> String {
    format!("{rank}. score {score:.4}, log-probability {log_prob:.4}")
}

/// Why a text ended, as `--json` says it.
fn reason(finish_reason: FinishReason) -> &'static str {
    match finish_reason {
        FinishReason::EndOfText => "end-of-text",
        FinishReason::Complete => "complete",
        FinishReason::MaxNewTokens => "max-new-tokens",
        FinishReason::ContextFull => "context-full",
        FinishReason::Stop | FinishReason::Stopped => "stopped",
    }
}

/// A text as ids, behind the end of another or what begins every text, where the model knows it.
fn prompt_ids(text: &str, tokenizer: &Tokenizer) -> Vec<u32> {
    boundary(tokenizer).into_iter().chain(tokenizer.encode(text)).collect()
}

/// What stands between two texts: the end of one, or else what begins every text.
fn boundary(tokenizer: &Tokenizer) -> Option<u32> {
    tokenizer.end_of_text().or_else(|| tokenizer.begin_of_text())
}

/// The prompts as ids. Text starts a document where the model knows their end.
fn prompts(args: &GenerateArgs, trained: &Trained, global: &Global) -> anyhow::Result<Vec<Prompt>> {
    let mut prompts = Vec::new();
    for text in &args.prompt_ids {
        let ids = parse_ids(text)?;
        trained.check_ids(&ids)?;
        prompts.push(Prompt::new(None, ids));
    }
    for text in prompt_texts(args, !prompts.is_empty(), global)? {
        let tokenizer = trained.tokenizer()?;
        let ids = prompt_ids(&text, tokenizer);
        if ids.is_empty() {
            return Err(usage(
                "the prompt is empty, and this model has no token that starts a text: give it some text",
            ));
        }
        prompts.push(Prompt::new(Some(text), ids));
    }
    Ok(prompts)
}

/// The texts of the command line, or where there is nothing at all those of stdin.
fn prompt_texts(args: &GenerateArgs, has_others: bool, global: &Global) -> anyhow::Result<Vec<String>> {
    let mut texts = args.prompt.clone();
    if texts.is_empty() && !has_others {
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
    Ok(texts)
}
