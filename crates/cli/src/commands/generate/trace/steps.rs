//! A text as its tokens, and for each of them what else there was to choose.

use super::words::{Words, percent};
use crate::html::write;
use firebrand_decode::observe::{Candidate, Step};

/// The tokens of a text and, hidden until one is looked at, a table for each.
pub(super) struct Steps<'w> {
    words: &'w Words<'w>,
    /// What makes names of elements unique on the page.
    name: String,
    /// Bytes of a character that is not complete yet.
    behind: Vec<u8>,
    text: String,
    tables: String,
    count: usize,
    /// Whether no token has been added.
    is_empty: bool,
}

impl<'w> Steps<'w> {
    pub(super) fn new(words: &'w Words<'w>, name: impl Into<String>, prompt: &[u32]) -> Self {
        let (given, behind) = words.run(prompt);
        let text = format!("<span class=\"given\">{given}</span>");
        Self { words, name: name.into(), behind, text, tables: String::new(), count: 0, is_empty: true }
    }

    /// Adds markup between tokens.
    pub(super) fn markup(&mut self, html: &str) {
        self.text.push_str(html);
    }

    /// Adds a token of the text, which shows the table that comes next; `class` is what it is, `prob` the model's probability of
    /// it, which colours it.
    pub(super) fn token(&mut self, id: u32, class: &str, prob: Option<f64>) {
        let shown = self.words.html_behind(&mut self.behind, id);
        self.add(&shown, class, prob);
    }

    /// Adds a token that did not get into the text.
    pub(super) fn refused(&mut self, id: u32) {
        self.add(&self.words.html(id), "tok refused", None);
    }

    fn add(&mut self, shown: &str, class: &str, prob: Option<f64>) {
        let (name, at) = (&self.name, self.count);
        // One of them can be reached by Tab, and the others from there.
        let focus = if std::mem::replace(&mut self.is_empty, false) { 0 } else { -1 };
        let colour = prob.map(|prob| format!(" style=\"--p:{prob:.3}\"")).unwrap_or_default();
        write(
            &mut self.text,
            format_args!(
                "<span class=\"{class}\" data-step=\"{name}-{at}\" tabindex=\"{focus}\" role=\"button\"{colour}>{shown}</span>"
            ),
        );
    }

    /// Adds the table of a step with a remark, and goes on to the next.
    pub(super) fn table(&mut self, step: &Step, remark: &str) {
        let (name, at) = (&self.name, self.count);
        let hidden = if at == 0 { "" } else { " hidden" };
        write(
            &mut self.tables,
            format_args!(
                "<section id=\"{name}-{at}\"{hidden}>\n<h3>{}. <span class=\"cell\">{}</span></h3>\n{remark}{}</section>\n",
                at + 1,
                self.words.html(step.id),
                table(step, self.words)
            ),
        );
        self.count += 1;
    }

    /// Adds a token with its step.
    pub(super) fn step(&mut self, step: &Step) {
        let chosen = step.candidates.iter().find(|candidate| candidate.id == step.id);
        self.token(step.id, "tok", Some(chosen.map_or(0.0, |chosen| chosen.model)));
        self.table(step, "");
    }

    pub(super) fn html(&self) -> String {
        format!(
            "<div class=\"trace\">\n<div class=\"text\" lang=\"\" role=\"group\" aria-label=\"The text as tokens\">{}</div>\n\
             <div class=\"panel\" aria-live=\"polite\">\n{}</div>\n</div>\n",
            self.text, self.tables
        )
    }
}

/// What there was to choose from. Columns that say nothing are left out.
fn table(step: &Step, words: &Words<'_>) -> String {
    let close = |candidate: &Candidate| (candidate.model - candidate.processed).abs() < 1e-6;
    let processed = !step.candidates.iter().all(close);
    let contrast = super::is_compared(step);
    let mut html = "<table><thead><tr><th scope=\"col\">Token</th><th scope=\"col\">Model</th>".to_owned();
    if processed {
        html += "<th scope=\"col\">After processors</th>";
    }
    if contrast {
        html += "<th scope=\"col\">Likeness</th><th scope=\"col\">Score</th>";
    }
    html += "</tr></thead>\n<tbody>\n";
    for candidate in &step.candidates {
        let class = match candidate.id == step.id {
            true => " class=\"chosen\" aria-label=\"chosen\"",
            false if candidate.processed == 0.0 => " class=\"banned\"",
            false => "",
        };
        write(
            &mut html,
            format_args!(
                "<tr{class}><th scope=\"row\" title=\"id {}\"><span class=\"cell\">{}</span></th>{}",
                candidate.id,
                words.html(candidate.id),
                bar(candidate.model)
            ),
        );
        if processed {
            html += &bar(candidate.processed);
        }
        match candidate.contrast {
            Some(told) => {
                write(
                    &mut html,
                    format_args!("<td>{:.3}</td><td class=\"score\">{:.3}</td>", told.penalty, told.score),
                );
            }
            None if contrast => html += "<td>–</td><td>–</td>",
            None => {}
        }
        html += "</tr>\n";
    }
    html + "</tbody></table>\n"
}

fn bar(prob: f64) -> String {
    format!("<td class=\"bar\" style=\"--p:{prob:.3}\">{}</td>", percent(prob))
}
