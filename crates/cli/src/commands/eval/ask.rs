//! A run's answers to the examples of a task.

use super::data::Examples;
use crate::args::Global;
use crate::commands::score::{TextScore, texts};
use crate::exit::usage;
use crate::run::Trained;
use firebrand_evaluation::results::{Answers, PairAnswer, Scored, TextAnswer};
use firebrand_transformer::AnyModel;

/// What `trained` says; `name` is shown while it computes.
pub(super) fn ask(
    trained: &Trained,
    examples: &Examples,
    global: &Global,
    name: &str,
) -> anyhow::Result<Answers> {
    Ok(match examples {
        Examples::Texts(examples) => {
            let asked: Vec<&str> = examples.iter().map(|(text, _)| text.as_str()).collect();
            let scores = texts(trained, &asked, true, global, name)?.into_iter().zip(examples);
            let pseudo = matches!(trained.model, AnyModel::Encoder(_));
            let answers = scores.map(|(score, &(_, floor))| TextAnswer {
                scored: scored(&score),
                bytes: score.bytes,
                floor,
            });
            match pseudo {
                true => Answers::PseudoTexts(answers.collect()),
                false => Answers::Texts(answers.collect()),
            }
        }
        // As in lm-evaluation-harness, the end of a sentence does not count.
        Examples::Pairs(pairs) => {
            let asked: Vec<&str> = pairs.iter().flat_map(|pair| [pair.good.as_str(), &pair.bad]).collect();
            let scores = texts(trained, &asked, false, global, name)?;
            let answers = pairs.iter().zip(scores.as_chunks::<2>().0).map(|(pair, [good, bad])| PairAnswer {
                group: pair.group.clone(),
                good: scored(good),
                bad: scored(bad),
            });
            Answers::Pairs(answers.collect())
        }
        Examples::Choices(_) | Examples::Cloze(_) => return Err(usage("not there yet")),
    })
}

fn scored(score: &TextScore) -> Scored {
    Scored { log_likelihood: -score.nats, tokens: score.tokens }
}
