//! Classification by template: which answer the model finds most probable in the blank.

mod print;

use super::input::{Lines, Source, Text};
use super::records::{Inputs, read};
use crate::args::{ClassifyArgs, Global, PromptArgs, ShotsBy};
use crate::commands::finetune::answers::TEMPLATE;
use crate::commands::prompting::{Cut, embed, explained, prompts, scorer, special_ids};
use crate::exit::usage;
use crate::output::{bar, say};
use crate::run::{Trained, check_model_folder};
use anyhow::Context;
use firebrand_corpus::sources::FormatChoice;
use firebrand_prompt::{
    Classifier, Example, Fields, Measure, Prompt, Scorer, ShotChoice, Shots, Verbalizer, answers_of,
    best_template, one_by_one, qualities, words,
};
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{TrainedPrompt, hugging_face};
use std::io::BufRead;
use std::path::Path;

/// So many lines of stdin are classified together, if they are there.
const AT_ONCE: usize = 64;
/// Words of the vocabulary that are tried as answers.
const MOST_WORDS: usize = 4000;

pub(super) fn run(args: &ClassifyArgs, global: &Global) -> anyhow::Result<()> {
    let asked = &args.prompt;
    for (is_given, option) in [
        (args.text.is_some(), "--text"),
        (args.text_b.is_some(), "--text-b"),
        (args.add_columns.is_some(), "--add-columns"),
    ] {
        if is_given {
            return Err(usage(format!(
                "{option} is for heads of fine-tuned models; a template names its fields itself"
            )));
        }
    }
    if args.label.is_some() && args.file.is_empty() && asked.examples.is_empty() {
        return Err(usage("--label: give the --file or the --examples that have this field"));
    }
    check(asked)?;
    let mut prompts = match asked.templates.as_slice() {
        [] => prompts(&[args.run.join(TEMPLATE).to_string_lossy().into_owned()])?,
        names => prompts(names)?,
    };
    let (trained, in_front) = open(&args.run, global)?;
    let tokenizer = trained.tokenizer()?;
    let scorer = match &in_front {
        Some(prompt) => firebrand_prompt::scorer_behind(&trained.model, prompt, &special_ids(&trained))
            .map_err(|error| usage(error.to_string()))?,
        None => scorer(&trained)?,
    };
    let pool = match asked.examples.as_slice() {
        [] => Inputs::default(),
        paths => read(paths, args.label.as_deref(), prompts[0].labels(), asked.few, FormatChoice::Auto)?,
    };
    if !asked.examples.is_empty() {
        check_fields(&prompts, &pool.fields, "--examples")?;
    }
    if let Some(count) = asked.find_answers {
        find_answers(&mut prompts, count, &pool.examples, tokenizer, scorer.as_ref(), global)?;
    }
    let embed = embed(&trained);
    let shots = (asked.shots > 0).then(|| Shots {
        pool: &pool.examples,
        count: asked.shots,
        choice: asked.shots_by.map_or_else(ShotChoice::default, ShotChoice::from),
        seed: asked.seed.unwrap_or(0),
    });
    let chosen = if asked.choose {
        let classifier =
            Classifier { prompts: &prompts, tokenizer, scorer: scorer.as_ref(), shots, embed: Some(&embed) };
        choose(&classifier, &pool.examples, asked, global)?
    } else {
        prompts
    };
    let classifier =
        Classifier { prompts: &chosen, tokenizer, scorer: scorer.as_ref(), shots, embed: Some(&embed) };
    // A table is as wide as its rows, so that it has to wait for all of them.
    if args.file.is_empty() && args.texts.is_empty() && global.json && !asked.one_by_one {
        return stream(&classifier, asked, global);
    }
    let inputs = inputs(args, &chosen)?;
    check_fields(&chosen, &inputs.fields, "the input")?;
    let fields: Vec<Fields> = inputs.examples.iter().map(|example| example.fields.clone()).collect();
    if asked.one_by_one {
        if in_front.is_some() {
            return Err(usage("--one-by-one: a trained prompt is read once for all texts, and not anew"));
        }
        return read_anew(&classifier, &fields, &trained, global);
    }
    let progress = bar(global, fields.len() as u64, "classifying {bar:30} {pos}/{len}, {eta} left");
    let classified =
        classifier.classify(&fields, &mut |count| progress.inc(count as u64)).map_err(explained)?;
    progress.finish_and_clear();
    Cut::of(&classified).say("", global);
    let labelled = inputs.examples.iter().all(|example| example.label.is_some());
    let measure = Measure::from(asked.measure);
    if !labelled || asked.each {
        print::each(&classified, &inputs.examples, measure, global)?;
    }
    match labelled {
        true if !asked.each => print::report(&classified, &inputs.examples, measure, global),
        _ => Ok(()),
    }
}

/// The model of a run, and the prompt that was trained for it, if the run is one.
fn open(run: &Path, global: &Global) -> anyhow::Result<(Trained, Option<TrainedPrompt>)> {
    match hugging_face::base_of_adapter(run)?.filter(|_| hugging_face::holds_prompt(run).unwrap_or(false)) {
        None => Ok((Trained::open(run, global)?, None)),
        Some(base) => {
            check_model_folder(run)?;
            let trained = Trained::open(&base, global)?;
            let prompt = hugging_face::load_prompt(run, &trained.model)?;
            Ok((trained, Some(prompt)))
        }
    }
}

/// Refuses options that are of no use with each other, before anything is opened.
fn check(asked: &PromptArgs) -> anyhow::Result<()> {
    let wants_examples = asked.shots > 0 || asked.choose || asked.find_answers.is_some();
    if asked.shots > 0 && asked.examples.is_empty() {
        return Err(usage("--shots: give labelled examples to show, --examples FILE"));
    }
    if !asked.examples.is_empty() && !wants_examples {
        return Err(usage(
            "--examples: say what for: --shots N shows them, --choose chooses a template by them, --find-answers N finds answers",
        ));
    }
    if asked.shots == 0 && (asked.seed.is_some() || asked.shots_by.is_some()) {
        return Err(usage("--seed and --shots-by say which examples are shown: say how many, --shots N"));
    }
    match (asked.seed, asked.shots_by) {
        (Some(_), Some(ShotsBy::Nearest)) => Err(usage(
            "--seed: the nearest examples are the same with every seed; leave it out, or use another --shots-by",
        )),
        _ => Ok(()),
    }
}

fn check_fields(prompts: &[Prompt], known: &[String], whose: &str) -> anyhow::Result<()> {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    prompts
        .iter()
        .try_for_each(|prompt| prompt.check_fields(&known))
        .map_err(|error| usage(format!("{whose}: {error}")))
}

/// The field of the templates that a text is put in.
fn text_field(prompts: &[Prompt]) -> anyhow::Result<&str> {
    let mut names: Vec<&str> = prompts.iter().flat_map(Prompt::fields).collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [] => Ok("text"),
        [field] => Ok(field),
        _ => Err(usage(format!(
            "the template has several fields ({}), and a text is one: give records with --file",
            names.join(", ")
        ))),
    }
}

/// What is to be classified: records, or texts.
fn inputs(args: &ClassifyArgs, prompts: &[Prompt]) -> anyhow::Result<Inputs> {
    if !args.file.is_empty() {
        let asked = &args.prompt;
        return read(&args.file, args.label.as_deref(), prompts[0].labels(), asked.limit, FormatChoice::Auto);
    }
    let field = text_field(prompts)?;
    let mut texts = args.texts.clone();
    if texts.is_empty() {
        for text in std::io::stdin().lock().lines() {
            texts.push(text.context("stdin")?);
        }
    }
    texts.truncate(args.prompt.limit.unwrap_or(usize::MAX));
    if texts.is_empty() {
        return Err(nothing());
    }
    let example = |text: String| Example { fields: [(field.to_owned(), text)].into(), label: None };
    Ok(Inputs { examples: texts.into_iter().map(example).collect(), fields: vec![field.to_owned()] })
}

fn nothing() -> anyhow::Error {
    usage("nothing to classify: give texts, --file, or texts on stdin, one a line")
}

/// Classifies the lines of stdin as they come, a line of JSON each: they need not come to an end.
fn stream(classifier: &Classifier<'_>, asked: &PromptArgs, global: &Global) -> anyhow::Result<()> {
    let field = text_field(classifier.prompts)?;
    let mut lines = Lines::of_stdin();
    let mut left = asked.limit.unwrap_or(usize::MAX);
    let (mut cut, mut count) = (Cut::default(), 0);
    while left > 0 {
        let texts = lines.next_chunk(AT_ONCE.min(left))?;
        if texts.is_empty() {
            break;
        }
        let example = |text: Text| Example { fields: [(field.to_owned(), text.first)].into(), label: None };
        let examples: Vec<Example> = texts.into_iter().map(example).collect();
        let fields: Vec<Fields> = examples.iter().map(|example| example.fields.clone()).collect();
        let classified = classifier.classify(&fields, &mut |_| {}).map_err(explained)?;
        print::each(&classified, &examples, Measure::from(asked.measure), global)?;
        cut.add(&classified);
        (left, count) = (left - examples.len(), count + examples.len());
    }
    cut.say("", global);
    if count == 0 { Err(nothing()) } else { Ok(()) }
}

/// Puts answers that the model tells labels by in the place of those of the prompts.
fn find_answers(
    prompts: &mut [Prompt],
    count: usize,
    examples: &[Example],
    tokenizer: &Tokenizer,
    scorer: &dyn Scorer,
    global: &Global,
) -> anyhow::Result<()> {
    let words = words(&tokenizer.token_table(), MOST_WORDS);
    for prompt in prompts {
        let template = prompt.templates[0].clone();
        let found =
            answers_of(prompt, &template, &words, examples, count, tokenizer, scorer).map_err(explained)?;
        let labels = prompt.labels().to_vec();
        for (label, answers) in labels.iter().zip(&found) {
            let answers: Vec<String> =
                answers.iter().map(|answer| format!("{} ({:+.2})", answer.word, answer.ratio)).collect();
            say(global, format!("{}: answers of {label}: {}", prompt.name, answers.join(", ")));
        }
        let answers =
            found.into_iter().map(|found| found.into_iter().map(|found| (found.word, 1.0)).collect());
        prompt.verbalizer = Verbalizer::new(labels.into_iter().zip(answers).collect()).map_err(explained)?;
    }
    Ok(())
}

/// The template that finds most labels of the examples, alone.
fn choose(
    classifier: &Classifier<'_>,
    examples: &[Example],
    asked: &PromptArgs,
    global: &Global,
) -> anyhow::Result<Vec<Prompt>> {
    let progress = bar(global, examples.len() as u64, "choosing {bar:30} {pos}/{len}, {eta} left");
    let fields: Vec<Fields> = examples.iter().map(|example| example.fields.clone()).collect();
    let classified =
        classifier.classify(&fields, &mut |count| progress.inc(count as u64)).map_err(explained)?;
    progress.finish_and_clear();
    let qualities = qualities(&classified, examples, Measure::from(asked.measure)).map_err(explained)?;
    for ((_, template), quality) in classifier.templates().zip(&qualities) {
        say(
            global,
            format!(
                "{:5.1} % of the examples, {:.4} nats: {:?}",
                100.0 * quality.accuracy,
                -quality.log_prob,
                template.source()
            ),
        );
    }
    let best = best_template(&qualities);
    let (prompt, template) = classifier.templates().nth(best).expect("one of them");
    say(global, format!("chosen: {:?}", template.source()));
    Ok(vec![Prompt { templates: vec![template.clone()], ..prompt.clone() }])
}

/// Scores all filled texts by themselves, for the time that it takes; prints how many and their sum.
fn read_anew(
    classifier: &Classifier<'_>,
    fields: &[Fields],
    trained: &Trained,
    global: &Global,
) -> anyhow::Result<()> {
    let questions = classifier.questions(fields).map_err(explained)?;
    let scores = one_by_one(&trained.model, &special_ids(trained), &questions)?;
    let sum: f64 = scores.iter().flatten().sum();
    let texts = scores.iter().map(Vec::len).sum::<usize>();
    match global.json {
        true => crate::output::line(serde_json::json!({"texts": texts, "log_prob": sum})),
        false => crate::output::line(format!("{texts} texts, {sum:.4} nats")),
    }
}
