//! How tokens are chosen, by the options that were given.

use crate::args::{BestBy, GenerateArgs, StrategyName};
use crate::exit::usage;
use firebrand_decode::{Beam, Best, BestOf, Contrastive, Mirostat, Sampling, Strategy};

/// How tokens are chosen.
pub(super) struct Asked {
    pub(super) strategy: Strategy,
    /// Contrastive search, which is greedy but for this.
    pub(super) contrastive: Option<Contrastive>,
}

/// The strategy that is named, or else that whose options are given.
pub(super) fn asked_for(args: &GenerateArgs) -> anyhow::Result<Asked> {
    let contrasts = args.contrastive_k.is_some() || args.contrastive_alpha.is_some();
    let named = args.strategy.or(contrasts.then_some(StrategyName::Contrastive));
    if named == Some(StrategyName::Contrastive) {
        let defaults = Contrastive::default();
        let contrastive = Contrastive {
            k: args.contrastive_k.unwrap_or(defaults.k),
            alpha: args.contrastive_alpha.unwrap_or(defaults.alpha),
        };
        refuse_others(args)?;
        return Ok(Asked { strategy: Strategy::Greedy, contrastive: Some(contrastive) });
    }
    if contrasts {
        return wrong("--contrastive-k and --contrastive-alpha", "contrastive");
    }
    Ok(Asked { strategy: strategy(args)?, contrastive: None })
}

fn wrong<T>(options: &str, strategies: &str) -> anyhow::Result<T> {
    Err(usage(format!("{options} are for --strategy {strategies}")))
}

/// Whether one of the options is given that say how tokens are drawn.
fn samples(args: &GenerateArgs) -> bool {
    [args.temperature, args.top_p, args.min_p, args.typical_p, args.eta, args.mirostat]
        .iter()
        .any(Option::is_some)
        || args.top_k.is_some()
}

/// Options that are not for contrastive search.
fn refuse_others(args: &GenerateArgs) -> anyhow::Result<()> {
    let instead = "; contrastive search has --contrastive-k and --contrastive-alpha";
    if samples(args) {
        return wrong("--temperature, --top-k, --top-p and the like", &format!("sample{instead}"));
    }
    if args.best_of.is_some() {
        return wrong("--best-of and --best-by", &format!("sample{instead}"));
    }
    if args.beams.is_some() || args.beam_groups.is_some() || args.length_penalty.is_some() {
        return wrong("--beams, --length-penalty and the like", &format!("beam{instead}"));
    }
    if args.draft.is_some() {
        return wrong("--draft and --draft-length", &format!("speculative{instead}"));
    }
    Ok(())
}

/// The strategy of a text that is not searched for by contrast.
fn strategy(args: &GenerateArgs) -> anyhow::Result<Strategy> {
    let samples = samples(args);
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
        // What contrastive search is has been found before.
        StrategyName::Greedy | StrategyName::Contrastive => Ok(Strategy::Greedy),
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
