//! A page that shows texts as tokens, one file that needs nothing else.
//!
//! It knows how figures and tokens look, not how they are found.

mod tokens;

use super::count::{Counted, Inspected};
use crate::args::Global;
use crate::html::{self, escaped};
use crate::output::{say, size, thousands};
use anyhow::Context;
use std::fmt::Display;
use std::path::Path;
pub(super) use tokens::Shown;

const TITLE: &str = "Texts as tokens";
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Writes the page and says what is in it.
pub(super) fn write(path: &Path, inspected: &[Inspected], global: &Global) -> anyhow::Result<()> {
    let shown = path.display();
    let html = page(inspected);
    firebrand_durable::write(path, html.as_bytes())
        .with_context(|| format!("cannot write {shown}; give --html another file"))?;
    let texts = inspected.first().map_or(&[][..], |one| &one.texts);
    let count = if texts.len() == 1 { "1 text".to_string() } else { format!("{} texts", texts.len()) };
    say(global, format!("{shown}: {count}, {}", size(html.len() as u64)));
    for (text, cut) in texts.iter().filter_map(|text| Some((text, cut(text)?))) {
        say(global, format!("{shown} shows {cut} of {}; --html-bytes SIZE shows more", text.path.display()));
    }
    Ok(())
}

/// How much of a text is shown, if not all.
fn cut(text: &Counted) -> Option<String> {
    let shown = text.shown.as_ref()?.bytes();
    (shown < text.bytes).then(|| format!("the first {} of {} bytes", thousands(shown), thousands(text.bytes)))
}

fn page(inspected: &[Inspected]) -> String {
    let texts = inspected.first().map_or(&[][..], |one| &one.texts);
    let body: String = (0..texts.len()).map(|at| section(at, inspected)).collect();
    let body = format!(
        "<header>\n<h1>{TITLE}</h1>\n{figures}{HELP}{contents}</header>\n<main>\n{body}</main>\n\
         <div id=\"card\" role=\"status\" hidden></div>\n",
        figures = figures(inspected),
        contents = contents(texts),
    );
    html::page(TITLE, STYLE, &body, SCRIPT)
}

const HELP: &str = "<p class=\"help\">Point at a token to see its id, its bytes and its spelling; by keyboard, Tab goes to a \
    text and ← → along its tokens. <i class=\"s\"> </i> is a space, <i class=\"t\"></i> a tab, <i class=\"n\"></i> the end of a \
    line; none of these marks is copied. <span class=\"split\"><i data-m=\"&lt;0xE2&gt;\"></i></span> is a byte of a character \
    that several tokens share: it is shown with its last byte. <span class=\"special\">Framed</span> tokens are special.</p>\n";

/// All texts as one: a row for each tokenizer.
fn figures(inspected: &[Inspected]) -> String {
    let mut rows = String::new();
    for one in inspected {
        let whole = one.whole();
        rows += &format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{:.2}</td><td>{:.2}</td><td>{:.1} %</td></tr>\n",
            escaped(one.path.display()),
            thousands(one.tokenizer.vocab_size() as u64),
            thousands(whole.tokens),
            whole.bytes_per_token(),
            whole.tokens_per_word(),
            100.0 * one.usage.unused,
        );
    }
    let headings: String = ["Vocabulary", "Tokens", "Bytes/token", "Tokens/word", "Unused"]
        .map(|heading| format!("<th scope=\"col\">{heading}</th>"))
        .concat();
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Figures\"><table>\n\
         <thead><tr><th scope=\"col\">Tokenizer</th>{headings}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn contents(texts: &[Counted]) -> String {
    if texts.len() < 2 {
        return String::new();
    }
    let link =
        |(at, text): (usize, &Counted)| format!("<a href=\"#text-{at}\">{}</a>\n", escaped(name(&text.path)));
    let links: String = texts.iter().enumerate().map(link).collect();
    format!("<nav aria-label=\"Texts\">\n{links}</nav>\n")
}

/// One text, beside each other as every tokenizer has it.
fn section(at: usize, inspected: &[Inspected]) -> String {
    let text = &inspected[0].texts[at];
    let columns: String = inspected.iter().map(|one| column(one, &one.texts[at])).collect();
    format!(
        "<section id=\"text-{at}\">\n<h2>{} <small>{} bytes, {} words</small></h2>\n<div class=\"columns\">\n{columns}</div>\n\
         </section>\n",
        escaped(text.path.display()),
        thousands(text.bytes),
        thousands(text.words),
    )
}

fn column(one: &Inspected, text: &Counted) -> String {
    let notice = cut(text)
        .map(|cut| format!("<p class=\"cut\">Only {cut} are shown; the figures are of all of it.</p>\n"))
        .unwrap_or_default();
    let tokenizer = escaped(one.path.display());
    format!(
        "<article>\n<h3>{tokenizer}</h3>\n<p><b>{}</b> tokens · <b>{:.2}</b> bytes/token · <b>{:.2}</b> tokens/word</p>\n\
         {notice}<div class=\"text\" lang=\"\" tabindex=\"0\" role=\"group\" aria-label=\"{} as tokens of {tokenizer}\">{}</div>\n\
         </article>\n",
        thousands(text.tokens),
        text.bytes_per_token(),
        text.tokens_per_word(),
        escaped(name(&text.path)),
        text.shown.as_ref().map_or("", Shown::html),
    )
}

fn name(path: &Path) -> impl Display {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
