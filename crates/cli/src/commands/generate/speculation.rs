//! `--draft`: which draft, and what it was good for.

use super::model::Loaded;
use super::needed;
use crate::args::{GenerateArgs, Global, WeightsName};
use crate::exit::usage;
use crate::output::{say, thousands};
use crate::run::{Trained, tokenizer_hash};
use firebrand_decode::{
    DecodeError, Draft, DraftLength, GenerateConfig, Generation, LanguageModel, NgramTable, Observer,
    Sliding, Speculation, Strategy, Uncached, generate, generate_speculative,
};
use firebrand_tokenizer::Tokenizer;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest n-gram that is looked for in the text so far.
const LONGEST_NGRAM: usize = 3;

/// A draft that was asked for.
pub(super) enum Drafting {
    Run(Loaded),
    Ngram,
    Corpus(NgramTable),
}

/// What speculation did, and how it compares.
pub(super) struct Report {
    speculation: Speculation,
    /// With the prompts.
    time: Duration,
    /// That of decoding the same plainly, if it was measured.
    plain: Option<Plain>,
}

struct Plain {
    /// With the prompts.
    time: Duration,
    /// Of one new id behind the first ones, which come with the prompts.
    per_token: f64,
}

impl Drafting {
    /// Opens the draft that `--draft` names, for a model that has been opened.
    pub(super) fn open(
        args: &GenerateArgs,
        model: &Loaded,
        tokenizer: Option<&Tokenizer>,
        global: &Global,
    ) -> anyhow::Result<Option<Self>> {
        let Some(draft) = &args.draft else { return Ok(None) };
        if draft == "ngram" {
            return Ok(Some(Self::Ngram));
        }
        if let Some(text) = draft.strip_prefix("ngram:") {
            let tokenizer = needed(tokenizer, "--draft ngram:FILE")?;
            return Ok(Some(Self::Corpus(learn(Path::new(text), tokenizer, global)?)));
        }
        if let Some(layers) = draft.strip_prefix("self") {
            let n_layers = match layers.strip_prefix(':') {
                None if layers.is_empty() => Some((model.n_layers() / 2).max(1)),
                None => None,
                Some(layers) => layers.parse().ok().filter(|layers| (1..=model.n_layers()).contains(layers)),
            };
            if let Some(n_layers) = n_layers {
                return Ok(Some(Self::Run(model.lower_layers(n_layers))));
            }
            if layers.starts_with(':') {
                let all = model.n_layers();
                return Err(usage(format!("--draft {draft}: give self:N with N from 1 to {all} layers")));
            }
        }
        let dir = Path::new(draft);
        if let (Some(model), Some(draft)) = (tokenizer_hash(&args.run)?, tokenizer_hash(dir)?)
            && model != draft
        {
            return Err(usage(format!(
                "--draft {}: its tokenizer.json is not that of {}: train the draft with the same tokenizer",
                dir.display(),
                args.run.display()
            )));
        }
        let Trained { model, device, .. } = Trained::open(dir, global)?;
        Ok(Some(Self::Run(Loaded::new(model.into_causal(), WeightsName::F32, &device, global)?)))
    }

    /// The layers of a draft that is a model; n-grams have none.
    pub(super) fn n_layers(&self) -> usize {
        match self {
            Self::Run(loaded) => loaded.n_layers(),
            Self::Ngram | Self::Corpus(_) => 0,
        }
    }

    /// Continues prompts, and compares with decoding them plainly if `--compare` says so or the cost is to be explained.
    pub(super) fn generate<M: LanguageModel>(
        &self,
        model: &M,
        prompts: &[Vec<u32>],
        config: &GenerateConfig,
        args: &GenerateArgs,
        observer: &mut dyn Observer,
    ) -> anyhow::Result<(Vec<Generation>, Report)> {
        let length = args.draft_length(config.strategy == Strategy::Greedy);
        let started = Instant::now();
        let (found, speculation) = match self {
            Self::Run(loaded) => {
                let small = loaded.model();
                let by = Job { model, length, prompts, config };
                match args.no_cache {
                    true => by.draft(&Uncached::new(&small), args.sliding_window, observer)?,
                    false => by.draft(&small, args.sliding_window, observer)?,
                }
            }
            Self::Ngram => {
                let draft: Draft<'_, M> = Draft::PromptLookup { longest: LONGEST_NGRAM };
                generate_speculative(model, &draft, length, prompts, config, observer)?
            }
            Self::Corpus(table) => {
                let draft: Draft<'_, M> = Draft::Corpus(table);
                generate_speculative(model, &draft, length, prompts, config, observer)?
            }
        };
        let time = started.elapsed();
        let compares = args.compare || args.explain_cost;
        let plain = compares.then(|| Plain::measure(model, prompts, config)).transpose()?;
        Ok((found, Report { speculation, time, plain }))
    }
}

/// What is generated with a draft.
struct Job<'a, M> {
    model: &'a M,
    length: DraftLength,
    prompts: &'a [Vec<u32>],
    config: &'a GenerateConfig,
}

impl<M: LanguageModel> Job<'_, M> {
    /// By a draft that is a model.
    fn draft<D: LanguageModel>(
        &self,
        draft: &D,
        slides: bool,
        observer: &mut dyn Observer,
    ) -> Result<(Vec<Generation>, Speculation), DecodeError> {
        let Self { model, length, prompts, config } = *self;
        let sliding = Sliding::new(draft);
        match slides {
            true => generate_speculative(model, &Draft::Model(&sliding), length, prompts, config, observer),
            false => generate_speculative(model, &Draft::Model(draft), length, prompts, config, observer),
        }
    }
}

/// The n-grams of a text, of which each line is one of its own.
fn learn(path: &Path, tokenizer: &Tokenizer, global: &Global) -> anyhow::Result<NgramTable> {
    /// 200 MB of them.
    const MOST: usize = 8_000_000;
    let text =
        std::fs::read_to_string(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
    let mut table = NgramTable::new(LONGEST_NGRAM, MOST);
    let lines: Vec<&str> = text.lines().collect();
    tokenizer.encode_batch(&lines).iter().for_each(|ids| table.learn(ids));
    say(global, format!("{}: {} n-grams", path.display(), thousands(table.len() as u64)));
    Ok(table)
}

impl Plain {
    fn measure<M: LanguageModel>(
        model: &M,
        prompts: &[Vec<u32>],
        config: &GenerateConfig,
    ) -> anyhow::Result<Self> {
        let (started, mut first, mut tokens) = (Instant::now(), None, 0_usize);
        let each = &mut |_, _| {
            first.get_or_insert_with(Instant::now);
            tokens += 1;
            ControlFlow::Continue(())
        };
        generate(model, prompts, config, each)?;
        let time = started.elapsed();
        let behind_prompt = first.map_or(time, |first| first.elapsed());
        Ok(Self {
            time,
            per_token: behind_prompt.as_secs_f64() / tokens.saturating_sub(prompts.len()).max(1) as f64,
        })
    }
}

impl Report {
    pub(super) fn json(&self) -> serde_json::Value {
        let Speculation { proposed, accepted, tokens, .. } = self.speculation;
        serde_json::json!({
            "rounds": self.speculation.n_rounds(), "proposed": proposed, "accepted": accepted, "tokens": tokens,
            "acceptance": self.speculation.acceptance(), "tokens_per_round": self.speculation.tokens_per_round(),
            "draft_seconds": self.speculation.draft_time.as_secs_f64(),
            "model_seconds": self.speculation.model_time.as_secs_f64(),
            "seconds": self.time.as_secs_f64(), "plain_seconds": self.plain.as_ref().map(|plain| plain.time.as_secs_f64()),
            "speedup": self.measured(), "predicted_speedup": self.predicted(),
        })
    }

    /// How often plain decoding takes as long.
    fn measured(&self) -> Option<f64> {
        self.plain.as_ref().map(|plain| plain.time.as_secs_f64() / self.time.as_secs_f64())
    }

    /// The same from the acceptance rate, the time in the draft and that of a pass over all that is verified.
    fn predicted(&self) -> Option<f64> {
        let (plain, done) = (self.plain.as_ref()?, &self.speculation);
        let a_round = (done.draft_time + done.model_time).as_secs_f64() / done.n_rounds().max(1) as f64;
        Some(done.expected_tokens_per_round()? * plain.per_token / a_round)
    }

    /// Of the generation, with the prompts.
    pub(super) fn seconds(&self) -> f64 {
        self.time.as_secs_f64()
    }

    /// What the predicted speedup makes of plain decoding, if that was measured.
    pub(super) fn predicted_seconds(&self) -> Option<f64> {
        Some(self.plain.as_ref()?.time.as_secs_f64() / self.predicted()?)
    }

    pub(super) fn say(&self, global: &Global) {
        let mut text = match (self.speculation.acceptance(), self.speculation.tokens_per_round()) {
            (Some(acceptance), Some(tokens)) => {
                format!(
                    "draft: {:.0} % of what was looked at accepted, {tokens:.2} tokens a round",
                    100.0 * acceptance
                )
            }
            _ => "draft: nothing was proposed".to_owned(),
        };
        if let (Some(measured), Some(predicted)) = (self.measured(), self.predicted()) {
            text += &format!("; {measured:.2} × as fast as plain decoding, {predicted:.2} × predicted");
        }
        say(global, text);
    }
}
