//! `firebrand generate`.

mod constraint;
mod fill;
mod model;
mod speculation;
mod stop;

use crate::args::{BestBy, GenerateArgs, Global, StrategyName};
use crate::exit::usage;
use crate::output::{line, piece, say};
use crate::run::{Trained, parse_ids};
use firebrand_decode::{
    Beam, Best, BestOf, FinishReason, GenerateConfig, Generation, Guided, LanguageModel, Mirostat, Penalties,
    Sampling, Sliding, Stop, Strategy, generate, generate_n_best,
};
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::WeightFormat;
use model::Loaded;
use speculation::{Drafting, Report};
use std::io::{BufRead, IsTerminal};
use std::ops::ControlFlow;
use stop::{UpToStop, at_ids, when_spelled};

/// A prompt as it was given and as ids.
struct Prompt {
    /// What is shown in front of the generated text.
    text: Option<String>,
    ids: Vec<u32>,
    /// What the generated tokens stand behind in the text.
    behind: Vec<u32>,
    /// What they fill, if they do.
    blank: Option<Blank>,
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
        Self { text, behind: ids.clone(), ids, blank: None }
    }

    /// A generated text and what belongs behind it.
    fn before_rest(&self, generated: &str) -> String {
        generated.to_owned() + self.blank.as_ref().map_or("", |blank| blank.after.as_str())
    }

    /// A whole text with a generated part in its place.
    fn whole(&self, generated: &str) -> String {
        self.text.clone().unwrap_or_default() + &self.before_rest(generated)
    }
}

pub(crate) fn run(args: &GenerateArgs, global: &Global) -> anyhow::Result<()> {
    let strategy = strategy(args)?;
    if args.stop.iter().any(String::is_empty) {
        return Err(usage("--stop is empty: every text would end at once"));
    }
    let trained = Trained::open(&args.run, global)?;
    if !args.fill.is_empty() {
        return fill::run(args, strategy, trained, global);
    }
    let prompts = prompts(args, &trained, global)?;
    decode(args, strategy, prompts, trained, vec![], global)
}

/// Goes on with the prompts until an end of text or one of the ids `ends`.
fn decode(
    args: &GenerateArgs,
    strategy: Strategy,
    prompts: Vec<Prompt>,
    trained: Trained,
    ends: Vec<u32>,
    global: &Global,
) -> anyhow::Result<()> {
    let Trained { model, tokenizer, device } = trained;
    let loaded = Loaded::new(model.into_causal(), args.weights, &device, global)?;
    let drafting = Drafting::open(args, &loaded, tokenizer.as_ref(), global)?;
    let model = loaded.model();
    let mut banned = Vec::new();
    for ids in &args.ban {
        banned.extend(parse_ids(ids)?);
    }
    let forced = match &args.force {
        Some(text) => needed(tokenizer.as_ref(), "--force")?.encode(text),
        None => Vec::new(),
    };
    let stop = match args.stop.as_slice() {
        [] => Stop::default(),
        texts => when_spelled(texts, needed(tokenizer.as_ref(), "--stop")?.token_table()),
    };
    let stop = at_ids(ends, stop);
    let end_of_text = tokenizer.as_ref().and_then(boundary);
    let constraint = constraint::asked_for(args, tokenizer.as_ref(), end_of_text)?;
    let config = GenerateConfig {
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
    };
    let job = Job {
        prompts: &prompts,
        config: &config,
        drafting: drafting.as_ref(),
        tokenizer: tokenizer.as_ref(),
    };
    match args.sliding_window {
        true => guide(&Sliding::new(&model), &job, args, global),
        false => guide(&model, &job, args, global),
    }
}

/// The tokenizer, for an option that is text.
fn needed<'t>(tokenizer: Option<&'t Tokenizer>, option: &str) -> anyhow::Result<&'t Tokenizer> {
    tokenizer.ok_or_else(|| usage(format!("{option} is text, but there is no tokenizer to read it with")))
}

/// With guidance, if it is asked for.
fn guide<M: LanguageModel>(
    model: &M,
    job: &Job<'_>,
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
    drafting: Option<&'a Drafting>,
    tokenizer: Option<&'a Tokenizer>,
}

/// Generates and writes, one text as it comes.
fn write<M: LanguageModel>(
    model: &M,
    job: &Job<'_>,
    args: &GenerateArgs,
    global: &Global,
) -> anyhow::Result<()> {
    let Job { prompts, config, drafting, tokenizer } = *job;
    let ids: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.ids.clone()).collect();
    let one = match (prompts, tokenizer) {
        ([prompt], Some(tokenizer)) if !global.json && args.n_best == 1 => Some((prompt, tokenizer)),
        _ => None,
    };
    let Some((prompt, tokenizer)) = one else {
        let each = &mut |_, _| ControlFlow::Continue(());
        let (found, report) = match drafting {
            None => (generate_n_best(model, &ids, config, each)?, None),
            Some(drafting) => {
                let (found, report) = drafting.generate(model, &ids, config, args, each)?;
                report.say(global);
                (found.into_iter().map(|one| vec![one]).collect(), Some(report))
            }
        };
        for (n_best, prompt) in found.iter().zip(prompts) {
            for (rank, generation) in n_best.iter().enumerate() {
                show(generation, rank, prompt, tokenizer, report.as_ref(), args, global)?;
            }
        }
        return Ok(());
    };
    // One prompt is written as it comes, its text with the first token: by then nothing is left to complain about.
    let table = tokenizer.token_table();
    let mut stream = tokenizer.stream_decoder_behind(&prompt.behind);
    let mut up_to_stop = UpToStop::new(&args.stop);
    let mut prompt_text = prompt.text.as_deref();
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
    let report = match drafting {
        None => {
            generate(model, &ids, config, each)?;
            None
        }
        Some(drafting) => Some(drafting.generate(model, &ids, config, args, each)?.1),
    };
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

fn show(
    generation: &Generation,
    rank: usize,
    prompt: &Prompt,
    tokenizer: Option<&Tokenizer>,
    report: Option<&Report>,
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
        let mut json = serde_json::json!({
            "prompt": prompt.text, "prompt_ids": prompt.ids, "ids": generation.ids, "text": text,
            "rank": rank + 1, "score": generation.score, "log_prob": generation.log_prob(), "weights": WeightFormat::from(args.weights).name(),
            "finish_reason": match generation.finish_reason {
                FinishReason::EndOfText => "end-of-text",
                FinishReason::Complete => "complete",
                FinishReason::MaxNewTokens => "max-new-tokens",
                FinishReason::ContextFull => "context-full",
                FinishReason::Stop | FinishReason::Stopped => "stopped",
            },
        });
        if let Some(blank) = &prompt.blank {
            json["prompt"] = blank.text.clone().into();
            json["fill"] = text.as_deref().map(|text| prompt.whole(text)).into();
        }
        if let Some(report) = report {
            json["speculation"] = report.json();
        }
        return line(json);
    }
    if args.n_best > 1 {
        line(format!(
            "{}. score {:.4}, log-probability {:.4}",
            rank + 1,
            generation.score,
            generation.log_prob()
        ))?;
    }
    match text {
        Some(text) => line(prompt.whole(&text) + "\n"),
        None => line(generation.ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    }
}

/// The strategy that is named, or else that whose options are given.
fn strategy(args: &GenerateArgs) -> anyhow::Result<Strategy> {
    let samples = [args.temperature, args.top_p, args.min_p, args.typical_p, args.eta, args.mirostat]
        .iter()
        .any(Option::is_some)
        || args.top_k.is_some();
    let searches = args.beams.is_some() || args.beam_groups.is_some();
    let sampling = Sampling {
        temperature: args.temperature.unwrap_or(1.0),
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        typical_p: args.typical_p,
        eta: args.eta,
        mirostat: args
            .mirostat
            .map(|target| Mirostat { target, rate: args.mirostat_rate.unwrap_or(Mirostat::default().rate) }),
        seed: args.seed,
        ..Sampling::default()
    };
    let length_penalty = args.length_penalty.unwrap_or(0.0);
    let name = args.strategy.unwrap_or(match (searches, samples || args.best_of.is_some()) {
        (true, _) => StrategyName::Beam,
        (false, true) => StrategyName::Sample,
        (false, false) => StrategyName::Greedy,
    });
    let wrong = |options, strategies| Err(usage(format!("{options} are for --strategy {strategies}")));
    match name {
        StrategyName::Speculative if args.draft.is_none() => {
            Err(usage("--strategy speculative needs --draft: a run with the same tokenizer, or ngram"))
        }
        StrategyName::Speculative if searches || args.best_of.is_some() => wrong(
            "--beams, --best-of and the like",
            "beam or sample; a draft proposes what one text goes on with",
        ),
        StrategyName::Beam if args.draft.is_some() => wrong("--draft and --draft-length", "speculative"),
        StrategyName::Speculative if samples => Ok(Strategy::Sample(sampling)),
        StrategyName::Speculative => Ok(Strategy::Greedy),
        StrategyName::Greedy if samples || args.best_of.is_some() => {
            wrong("--temperature, --top-k, --top-p and the like", "sample; greedy takes the likeliest token")
        }
        StrategyName::Greedy | StrategyName::Sample if searches => wrong("--beams and --beam-groups", "beam"),
        StrategyName::Greedy if args.length_penalty.is_some() => {
            wrong("--length-penalty and other ways to compare texts", "beam, or for --best-of")
        }
        StrategyName::Greedy => Ok(Strategy::Greedy),
        StrategyName::Sample => match args.best_of {
            None if args.length_penalty.is_some() => {
                wrong("--length-penalty and other ways to compare texts", "beam, or for --best-of")
            }
            None => Ok(Strategy::Sample(sampling)),
            Some(n) => {
                let by = match args.best_by.unwrap_or(BestBy::LogProb) {
                    BestBy::LogProb => Best::LogProb { length_penalty },
                    BestBy::Agreement => Best::Agreement,
                };
                Ok(Strategy::BestOf(BestOf { n, sampling, by }))
            }
        },
        StrategyName::Beam if args.best_of.is_some() => wrong("--best-of and --best-by", "sample"),
        StrategyName::Beam => {
            let groups = args.beam_groups.unwrap_or(1);
            Ok(Strategy::Beam(Beam {
                width: args.beams.unwrap_or(Beam::default().width),
                length_penalty,
                groups,
                diversity: args.diversity.unwrap_or(if groups > 1 { 0.5 } else { 0.0 }),
                sampling: samples.then_some(sampling),
            }))
        }
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
