//! `--explain-cost`: what a generation costs by the formulas, beside what was measured.

mod picture;
mod print;

use super::model::Loaded;
use super::speculation::Report;
use super::{Job, show};
use crate::args::{GenerateArgs, Global};
use crate::exit::usage;
use crate::output::{line, say};
use crate::plot;
use firebrand_decode::cost::{Calibration, Cost, Measured};
use firebrand_decode::{LanguageModel, Uncached};
use std::ops::ControlFlow;
use std::time::Instant;

/// How often a generation is measured; the median counts.
const RUNS: usize = 3;
/// After so many seconds it is not measured again.
const ENOUGH_SECONDS: f64 = 3.0;
/// So many seconds a generation without the cache may be predicted to take; else fewer tokens of it are measured.
const MOST_UNCACHED_SECONDS: f64 = 10.0;

/// The letters of the formulas.
struct Sizes {
    /// `L`.
    layers: usize,
    /// `p`, in tokens.
    prompt: usize,
    /// `k`, in tokens, which is also the number of steps `t`.
    new: usize,
    /// `K`.
    hypotheses: usize,
    /// `|V|`.
    vocab: usize,
}

/// Everything that is shown.
struct Explained {
    sizes: Sizes,
    cost: Cost,
    with_cache: Measured,
    /// Perhaps of fewer tokens.
    without_cache: Measured,
    draft: Option<Drafted>,
}

/// The same generation with a draft.
struct Drafted {
    report: Report,
    /// `L_small`; 0 of n-grams.
    layers: usize,
    /// Seconds until each new token.
    times: Vec<f64>,
}

/// Generates, measures and explains.
pub(super) fn explain(
    loaded: &Loaded,
    job: &Job<'_>,
    args: &GenerateArgs,
    global: &Global,
) -> anyhow::Result<()> {
    let [prompt] = job.prompts else {
        return Err(usage(format!(
            "--explain-cost is about one prompt, and there are {}: give one of them",
            job.prompts.len()
        )));
    };
    if job.contrastive.is_some() {
        return Err(usage(
            "--explain-cost knows no formula for contrastive search, whose steps feed candidates: explain greedy, beams or samples",
        ));
    }
    if job.config.max_new_tokens == 0 {
        return Err(usage(
            "--explain-cost with --max-new-tokens 0: nothing is generated that could cost something",
        ));
    }
    let model = loaded.model();
    let p = prompt.ids.len();
    say(global, "timing single passes, then the generation with and without the cache");
    // All that may come is timed, as nobody knows yet where the text ends.
    let most = model.max_len().map_or(usize::MAX, |max_len| (max_len + 1).saturating_sub(p));
    let lengths = Calibration::lengths(p, job.config.max_new_tokens.min(most), model.max_len());
    let calibration = Calibration::measure(&model, &prompt.ids, job.config, &lengths)?;
    let cost = Cost::fit(&calibration)?;

    let mut drafted = None;
    if let Some(drafting) = job.drafting {
        let (started, mut times) = (Instant::now(), Vec::new());
        let each = &mut |_, _| {
            times.push(started.elapsed().as_secs_f64());
            ControlFlow::Continue(())
        };
        let (found, report) =
            drafting.generate(&model, std::slice::from_ref(&prompt.ids), job.config, args, each)?;
        drafted = Some((found, Drafted { report, layers: drafting.n_layers(), times }));
    }
    let with_cache = Measured::median(&model, &prompt.ids, job.config, RUNS, ENOUGH_SECONDS)?;
    let new = with_cache.steps();
    let in_time = |seconds: &&f64| **seconds <= MOST_UNCACHED_SECONDS;
    let few = cost.without_cache(p, new).iter().take_while(in_time).count().max(1);
    let without_cache = Measured::median(
        &Uncached::new(&model),
        &prompt.ids,
        &job.config.at_most(few),
        RUNS,
        ENOUGH_SECONDS,
    )?;

    let (found, draft) = match drafted {
        Some((found, draft)) => (found, Some(draft)),
        None => (with_cache.generations.clone(), None),
    };
    let sizes = Sizes {
        layers: loaded.n_layers(),
        prompt: p,
        new,
        hypotheses: job.config.strategy.hypotheses(),
        vocab: model.vocab_size(),
    };
    let explained = Explained { sizes, cost, with_cache, without_cache, draft };
    if let Some(path) = &args.cost_plot {
        plot::write(path, &[explained.chart()])?;
    }
    let mut more = vec![("cost", explained.json())];
    more.extend(explained.draft.iter().map(|draft| ("speculation", draft.report.json())));
    for (rank, generation) in found.iter().enumerate() {
        show(generation, rank, prompt, job.tokenizer, &more, args, global)?;
    }
    if !global.json {
        explained.lines().into_iter().try_for_each(line)?;
    }
    if let Some(path) = &args.cost_plot {
        say(global, format!("the plot is {}", path.display()));
    }
    Ok(())
}
