//! A run's answers to the examples of a task.

use super::data::{Demonstrations, Examples, Labelled};
use crate::args::Global;
use crate::commands::prompting;
use crate::commands::score::{TextScore, texts};
use crate::output::named_bar;
use crate::run::Trained;
use firebrand_evaluation::items::Cloze;
use firebrand_evaluation::results::{
    Answers, ChoiceAnswer, ClozeAnswer, LabelAnswer, PairAnswer, Scored, TextAnswer,
};
use firebrand_prompt::{Candidate, Classifier, Measure, Question, Score};
use firebrand_transformer::AnyModel;

/// What `trained` says; `begins` puts an end of text before contexts, and `name` is shown while it computes.
pub(super) fn ask(
    trained: &Trained,
    examples: &Examples,
    begins: bool,
    global: &Global,
    name: &str,
) -> anyhow::Result<Answers> {
    Ok(match examples {
        Examples::Texts(examples) => {
            let asked: Vec<&str> = examples.iter().map(|(text, _)| text.as_str()).collect();
            let scores = texts(trained, &asked, true, global, name)?.into_iter().zip(examples);
            let answers = scores
                .map(|(score, &(_, floor))| TextAnswer { scored: of_text(&score), bytes: score.bytes, floor })
                .collect();
            match trained.model {
                AnyModel::Encoder(_) => Answers::PseudoTexts(answers),
                _ => Answers::Texts(answers),
            }
        }
        // As in lm-evaluation-harness, the end of a sentence does not count.
        Examples::Pairs(pairs) => {
            let asked: Vec<&str> = pairs.iter().flat_map(|pair| [pair.good.as_str(), &pair.bad]).collect();
            let scores = texts(trained, &asked, false, global, name)?;
            let answers = pairs.iter().zip(scores.as_chunks::<2>().0).map(|(pair, [good, bad])| PairAnswer {
                group: pair.group.clone(),
                good: of_text(good),
                bad: of_text(bad),
            });
            Answers::Pairs(answers.collect())
        }
        Examples::Choices(choices) => {
            let questions: Vec<(&str, Vec<&str>)> = choices
                .iter()
                .map(|choice| (choice.context.as_str(), choice.choices.iter().map(String::as_str).collect()))
                .collect();
            let scores = continued(trained, &questions, begins, global, name)?;
            let answers = choices.iter().zip(scores).map(|(choice, scores)| {
                let bytes = choice.choices.iter().map(String::len);
                ChoiceAnswer {
                    choices: scores.iter().map(of_score).zip(bytes).collect(),
                    right: choice.right,
                }
            });
            Answers::Choices(answers.collect())
        }
        Examples::Cloze(words) => {
            let questions: Vec<(&str, Vec<&str>)> =
                words.iter().map(|word| (word.context.as_str(), vec![word.target.as_str()])).collect();
            let scores = continued(trained, &questions, begins, global, name)?;
            let answers = scores
                .iter()
                .map(|scores| ClozeAnswer { scored: of_score(&scores[0]), greedy: scores[0].greedy });
            Answers::Cloze(answers.collect())
        }
        Examples::Labelled(labelled) => labels(trained, labelled, global, name)?,
    })
}

/// The scores of the texts that may follow each context.
fn continued(
    trained: &Trained,
    asked: &[(&str, Vec<&str>)],
    begins: bool,
    global: &Global,
    name: &str,
) -> anyhow::Result<Vec<Vec<Score>>> {
    let tokenizer = trained.tokenizer()?;
    let scorer = prompting::scorer(trained)?;
    let questions: Vec<Question> = asked
        .iter()
        .map(|(context, texts)| {
            let before = tokenizer.encode(context.trim_end());
            let whole = texts.iter().map(|text| {
                let Cloze { context, target } = Cloze::of(context, text);
                tokenizer.encode(&(context + &target))
            });
            question(&before, whole.collect(), begins, &|begins| scorer.most_ids(begins))
        })
        .collect();
    let progress = named_bar(global, name, questions.len());
    let scores = scorer.score(&questions, &mut |done| progress.inc(done as u64))?;
    progress.finish_and_clear();
    Ok(scores)
}

/// Texts that begin with a context, of which what differs from it is asked for; of a context that is too long its end is left.
fn question(before: &[u32], whole: Vec<Vec<u32>>, begins: bool, most: &dyn Fn(bool) -> usize) -> Question {
    // A token may hold the end of the context and the beginning of what follows: then it is asked for.
    let common = |ids: &Vec<u32>| {
        let most = ids.len().saturating_sub(1);
        ids.iter().zip(before).take(most).take_while(|(a, b)| a == b).count()
    };
    let given = whole.iter().map(common).min().unwrap_or(0);
    let begins = begins || given == 0;
    let longest = whole.iter().map(Vec::len).max().unwrap_or(0);
    // Something has to be left to go on from.
    let cut = longest.saturating_sub(most(begins)).min(given.saturating_sub(1));
    let candidate = |ids: Vec<u32>| {
        let answer = given - cut..ids.len() - cut;
        Candidate { answers: vec![answer], ids: ids[cut..].to_vec() }
    };
    let candidates = whole.into_iter().map(candidate).collect();
    Question { candidates, given: given - cut, given_behind: 0, begins, goes_on: true }
}

fn labels(trained: &Trained, labelled: &Labelled, global: &Global, name: &str) -> anyhow::Result<Answers> {
    let Labelled { prompts, inputs, measure, shots } = labelled;
    let scorer = prompting::scorer(trained)?;
    let embed = prompting::embed(trained);
    let shots = shots.as_ref().map(Demonstrations::shots);
    let classifier = Classifier {
        prompts,
        tokenizer: trained.tokenizer()?,
        scorer: scorer.as_ref(),
        shots,
        embed: Some(&embed),
    };
    let fields: Vec<_> = inputs.iter().map(|input| input.fields.clone()).collect();
    let progress = named_bar(global, name, inputs.len());
    let classified =
        classifier.classify(&fields, &mut |done| progress.inc(done as u64)).map_err(prompting::explained)?;
    progress.finish_and_clear();
    prompting::Cut::of(&classified).say(&format!("{name}: "), global);
    // The one that the task asks for comes first.
    let others = Measure::ALL.into_iter().filter(|other| other != measure);
    let measures: Vec<Measure> = std::iter::once(*measure).chain(others).collect();
    let answers = inputs.iter().zip(&classified).map(|(input, classified)| LabelAnswer {
        right: input.label.expect("every input was read with its label"),
        chosen: measures.iter().map(|&measure| classified.label(measure)).collect(),
        log_likelihoods: classified.templates.iter().map(|of| of.scores.log_probs.clone()).collect(),
    });
    Ok(Answers::Labels {
        labels: prompts[0].labels().to_vec(),
        answers: answers.collect(),
        measures: measures.iter().map(|measure| measure.name()).collect(),
    })
}

fn of_text(score: &TextScore) -> Scored {
    Scored { log_likelihood: -score.nats, tokens: score.tokens }
}

fn of_score(score: &Score) -> Scored {
    Scored { log_likelihood: score.log_prob, tokens: score.tokens }
}
