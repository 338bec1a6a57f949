//! What tokenizers are, and what they make of texts: for the terminal, as JSON, as a page.

mod count;
mod page;
mod print;
mod scripts;
mod vocabulary;

use crate::args::{Global, TokenizerInspectArgs};
use crate::exit::usage;
use crate::named;
use crate::output::{check_writable, line};
use count::Inspected;
use firebrand_corpus::sources::{Sources, source_files};
use std::path::{Path, PathBuf};

pub(super) fn run(args: &TokenizerInspectArgs, global: &Global) -> anyhow::Result<()> {
    let files = files(&args.texts)?;
    if let Some(html) = &args.html {
        check(html, &files)?;
    }
    let show = args.html.is_some().then_some(args.html_bytes);
    let inspect = |path: &PathBuf| Inspected::new(path, &files, show, global);
    let inspected: Vec<Inspected> = args.tokenizers.iter().map(inspect).collect::<anyhow::Result<_>>()?;
    if let Some(html) = &args.html {
        page::write(html, &inspected, global)?;
    }
    if global.json {
        return inspected.iter().try_for_each(|one| line(one.json()));
    }
    match (&inspected[..], &files[..]) {
        ([one], []) => print::vocabulary(one),
        (inspected, _) => print::comparison(inspected),
    }
}

/// The files that paths and names stand for.
fn files(texts: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let sources = named::resolve(Sources { texts: texts.to_vec(), ..Sources::default() })?;
    Ok(source_files(&sources.texts, sources.format)?)
}

/// Whether a page can be written, before long texts are read for it.
fn check(html: &Path, texts: &[PathBuf]) -> anyhow::Result<()> {
    let shown = html.display();
    if texts.is_empty() {
        return Err(usage(format!(
            "--html {shown}: there is no text to show; name one, such as \
             `firebrand tokenizer inspect --tokenizer tok --html {shown} story.txt`"
        )));
    }
    check_writable("--html", html, "tokens.html")?;
    // A forgotten name after --html would otherwise cost the first text.
    let is_html = |text: &&PathBuf| {
        html.canonicalize().is_ok_and(|html| text.canonicalize().is_ok_and(|text| text == html))
    };
    match texts.iter().find(is_html) {
        Some(_) => Err(usage(format!(
            "--html {shown}: is one of the texts, which the page would replace; name another file"
        ))),
        None => Ok(()),
    }
}
