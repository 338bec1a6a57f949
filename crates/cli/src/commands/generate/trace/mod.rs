//! `--trace`: a page that shows how texts came about, one file that needs nothing else.
//!
//! `record` remembers what the strategies tell. A text is shown by what is known of it: `steps` (a token and what else there was
//! to choose), `rounds` (a draft's proposals), `tree` (a search), `ranked` (whole texts, compared). `words` is what a token looks
//! like.

mod ranked;
mod record;
mod rounds;
mod steps;
mod tree;
mod words;

use super::Prompt;
use crate::args::Global;
use crate::exit::usage;
use crate::html::{self, escaped};
use crate::output::{say, size};
use anyhow::Context;
use firebrand_decode::observe::Step;
use firebrand_tokenizer::Tokenizer;
use record::Sequence;
pub(super) use record::{Recorded, Recorder};
use std::io::Write;
use std::path::Path;
use steps::Steps;
use words::Words;

const TITLE: &str = "How the text came about";
const STYLE: &str = include_str!("trace.css");
const SCRIPT: &str = include_str!("trace.js");

/// Generates by `generate` and writes what it recorded; where nothing can be written, nothing is generated.
pub(super) fn around(
    path: &Path,
    prompts: &[Prompt],
    tokenizer: Option<&Tokenizer>,
    global: &Global,
    generate: impl FnOnce(&mut Recorded) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Err(usage(format!("--trace {shown} is a folder: give the name of a file in it")));
    }
    let mut generated = false;
    let written = firebrand_durable::write_with(path, |file| -> anyhow::Result<usize> {
        let mut recorded = Recorded::default();
        generated = true;
        generate(&mut recorded)?;
        let html = page(&recorded, prompts, tokenizer);
        file.write_all(html.as_bytes()).with_context(|| format!("cannot write {shown}"))?;
        Ok(html.len())
    });
    match written {
        Ok(bytes) => {
            say(global, format!("{shown}: {}", size(bytes as u64)));
            Ok(())
        }
        Err(error) if generated => Err(error),
        Err(error) => Err(usage(format!("--trace {shown} cannot be written: {error:#}"))),
    }
}

fn page(recorded: &Recorded, prompts: &[Prompt], tokenizer: Option<&Tokenizer>) -> String {
    let words = Words::new(tokenizer);
    let command = std::env::args().skip(1).map(quoted).collect::<Vec<_>>().join(" ");
    let sections: String = prompts
        .iter()
        .enumerate()
        .map(|(at, prompt)| section(at, prompt, recorded.sequences.get(&at), prompts.len() > 1, &words))
        .collect();
    let links = (0..prompts.len()).map(|at| format!("<a href=\"#text-{at}\">Text {}</a>\n", at + 1));
    let contents = match prompts.len() {
        0 | 1 => String::new(),
        _ => format!("<nav aria-label=\"Texts\">\n{}</nav>\n", links.collect::<String>()),
    };
    let key = recorded.sequences.values().next().map_or("", key);
    let body = format!(
        "<header>\n<h1>{TITLE}</h1>\n<p class=\"command\"><code>firebrand {}</code></p>\n{key}{contents}</header>\n\
         <main>\n{sections}</main>\n\
         <noscript><style>.panel section[hidden] {{ display: block; }}</style></noscript>\n",
        escaped(command)
    );
    html::page(TITLE, STYLE, &body, SCRIPT)
}

/// As a shell would take it.
fn quoted(argument: String) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+%".contains(c);
    match !argument.is_empty() && argument.chars().all(is_plain) {
        true => argument,
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}

fn section(
    at: usize,
    prompt: &Prompt,
    sequence: Option<&Sequence>,
    several: bool,
    words: &Words<'_>,
) -> String {
    let heading = if several { format!("<h2>Text {}</h2>\n", at + 1) } else { String::new() };
    let shown = match sequence {
        None => "<p>Nothing was generated.</p>\n".to_owned(),
        Some(sequence) if !sequence.rounds.is_empty() => {
            rounds::html(&sequence.rounds, &prompt.ids, words, &format!("t{at}"))
        }
        Some(sequence) if !sequence.groups.is_empty() => {
            tree::html(&sequence.groups, sequence.ranked.first(), words)
                + "<h3>What was found</h3>\n"
                + &ranked::html(sequence, &prompt.ids, words, &format!("t{at}"))
        }
        Some(sequence) if !sequence.ranked.is_empty() => {
            ranked::html(sequence, &prompt.ids, words, &format!("t{at}"))
        }
        Some(sequence) => {
            let mut steps = Steps::new(words, format!("t{at}"), &prompt.ids);
            sequence.steps.iter().for_each(|step| steps.step(step));
            steps.html()
        }
    };
    format!("<section id=\"text-{at}\">\n{heading}{shown}</section>\n")
}

/// Whether contrastive search chose.
fn is_compared(step: &Step) -> bool {
    step.candidates.iter().any(|candidate| candidate.contrast.is_some())
}

/// What colours and lines mean.
fn key(sequence: &Sequence) -> &'static str {
    if !sequence.rounds.is_empty() {
        ROUNDS
    } else if !sequence.groups.is_empty() {
        TREE
    } else if !sequence.ranked.is_empty() {
        RANKED
    } else if sequence.steps.iter().any(is_compared) {
        CONTRAST
    } else {
        STEPS
    }
}

const STEPS: &str = "<div class=\"help\"><p>Point at a token, or go along with ← →, to see what else there was to choose: \
    the model's probability, and the one after penalties, constraint, temperature and truncation where those change it. A \
    click holds the table.</p>\n<p class=\"scale\">unlikely <span></span> likely for the model</p></div>\n";
const CONTRAST: &str = "<div class=\"help\"><p>Point at a token, or go along with ← →, to see what it was compared with. <b>Model</b> \
    is the model's probability, <b>likeness</b> how much a token would be like the text so far, and <b>score</b> what is compared: \
    of what is likely, the least like. A click holds the table.</p>\n\
    <p class=\"scale\">unlikely <span></span> likely for the model</p></div>\n";
const ROUNDS: &str = "<div class=\"help\"><p>A bar begins a round: the draft proposes, the model looks at all of it in one \
    pass. Point at a token, or go along with ← →, to see what the model made of it.</p>\n<p class=\"text\"><span class=\"tok kept\">\
    proposed and kept</span> <span class=\"tok refused\">proposed and refused</span> <span class=\"unseen\">proposed behind \
    that, not looked at</span> <span class=\"tok own\">the model's own</span></p>\n<p><label><input type=\"checkbox\" id=\"unseen\"> \
    show what was proposed and not looked at</label></p></div>\n";
const TREE: &str = "<div class=\"help\"><p>At each step all live hypotheses are extended and the best extensions go on. A box \
    shows a token and its probability; point at it for the text up to there and its sum of log-probabilities.</p>\n\
    <p class=\"boxes\"><span class=\"best\">best</span> <span class=\"live\">goes on</span> <span class=\"finished\">finished</span> \
    <span class=\"overtaken\">overtaken later</span> <span class=\"dropped\">dropped at once (the best 3)</span></p></div>\n";
const RANKED: &str = "<div class=\"help\"><p>All texts that were drawn, the best first. Point at a token, or go along with ← →, to see what \
    else there was to choose.</p>\n\
    <p class=\"scale\">unlikely <span></span> likely for the model</p></div>\n";

#[cfg(test)]
mod tests;
