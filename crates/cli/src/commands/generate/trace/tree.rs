//! A search as a tree: a column for each step, a box for each extension, a line from what it extends.

use super::words::{Words, percent};
use crate::html::{escaped, write};
use firebrand_decode::Generation;
use firebrand_decode::observe::{Extension, Fate};
use std::collections::BTreeMap;

/// In pixels.
const COLUMN: usize = 158;
const ROW: usize = 34;
const WIDTH: usize = 122;
const HEIGHT: usize = 24;
const MARGIN: usize = 12;
/// Room for the number of each step.
const TOP: usize = 28;
/// Characters of a token that fit into its box.
const FITS: usize = 8;
/// Of what was dropped, so many are shown at a step: the best of them.
const DROPPED: usize = 3;

/// An extension and where it stands.
struct Node<'a> {
    extension: &'a Extension,
    /// All new ids up to it.
    path: Vec<u32>,
    /// From which box of the column before a line comes; none from the prompt.
    from: Option<usize>,
    /// Whether something extends it.
    goes_on: bool,
}

/// The tree of one prompt; the best of what was found is marked.
pub(super) fn html(
    groups: &BTreeMap<usize, Vec<Vec<Extension>>>,
    best: Option<&Generation>,
    words: &Words<'_>,
) -> String {
    let mut html = String::new();
    for (number, steps) in groups {
        if groups.len() > 1 {
            write(&mut html, format_args!("<h3>Group {}</h3>\n", number + 1));
        }
        html += &group(steps, best.map(|best| &best.ids[..]), words);
    }
    html
}

fn group(steps: &[Vec<Extension>], best: Option<&[u32]>, words: &Words<'_>) -> String {
    let columns = columns(steps);
    let is_end =
        |node: &Node<'_>| matches!(node.extension.fate, Fate::Finished(_)) && best == Some(&node.path[..]);
    // The same text may be found by several groups; it is marked in those that finished it.
    let best = best.filter(|_| columns.iter().flatten().any(is_end));
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    let (width, height) = ((columns.len() + 1) * COLUMN + MARGIN, TOP + rows * ROW + MARGIN);
    let mut lines = (String::new(), String::new());
    let mut boxes = String::new();
    boxes += "<g class=\"node root\">";
    shape(&mut boxes, 0, 0, "prompt", "");
    boxes += "</g>\n";
    for (column, nodes) in columns.iter().enumerate() {
        write(
            &mut boxes,
            format_args!(
                "<text class=\"step\" x=\"{}\" y=\"16\">step {}</text>\n",
                left(column + 1) + WIDTH / 2,
                column + 1
            ),
        );
        for (row, node) in nodes.iter().enumerate() {
            let is_best =
                best.is_some_and(|best| best.starts_with(&node.path)) && node.extension.fate != Fate::Dropped;
            let class = class(node, is_best);
            let (x0, y0) = (left(column) + WIDTH, middle(node.from.unwrap_or(0)));
            let (x1, y1) = (left(column + 1), middle(row));
            let bend = (x0 + x1) / 2;
            // The best path is drawn over the others.
            write(
                if is_best { &mut lines.1 } else { &mut lines.0 },
                format_args!(
                    "<path class=\"{class}\" d=\"M{x0} {y0}C{bend} {y0} {bend} {y1} {x1} {y1}\"/>\n"
                ),
            );
            write(
                &mut boxes,
                format_args!("<g class=\"node {class}\"><title>{}</title>", title(node, words)),
            );
            let token: String = short(&words.plain(&[node.extension.id]));
            shape(&mut boxes, column + 1, row, &token, &percent(node.extension.log_prob.exp()));
            boxes += "</g>\n";
        }
    }
    format!(
        "<div class=\"tree\" tabindex=\"0\" role=\"region\" aria-label=\"The tree of the search\">\n\
         <svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n<g class=\"lines\">\n{}{}</g>\n{boxes}</svg>\n\
         </div>\n",
        lines.0, lines.1
    )
}

/// What stands in each column, without what does not fit.
fn columns(steps: &[Vec<Extension>]) -> Vec<Vec<Node<'_>>> {
    let mut columns: Vec<Vec<Node<'_>>> = Vec::with_capacity(steps.len());
    for extensions in steps {
        // What was live in the column before, in the order that parents are counted in.
        let before: Vec<(usize, Vec<u32>)> = columns.last().map_or_else(Vec::new, |nodes| {
            let live = nodes.iter().enumerate().filter(|(_, node)| node.extension.fate == Fate::Live);
            live.map(|(at, node)| (at, node.path.clone())).collect()
        });
        let mut dropped = 0;
        let mut column = Vec::with_capacity(extensions.len());
        for extension in extensions {
            dropped += usize::from(extension.fate == Fate::Dropped);
            if extension.fate == Fate::Dropped && dropped > DROPPED {
                continue;
            }
            let parent = before.get(extension.parent);
            let mut path = parent.map_or_else(Vec::new, |(_, path)| path.clone());
            path.push(extension.id);
            let from = parent.map(|(at, _)| *at);
            if let (Some(from), Some(nodes)) = (from, columns.last_mut()) {
                nodes[from].goes_on |= extension.fate != Fate::Dropped;
            }
            column.push(Node { extension, path, from, goes_on: false });
        }
        columns.push(column);
    }
    columns
}

fn class(node: &Node<'_>, is_best: bool) -> &'static str {
    match (is_best, node.extension.fate) {
        (true, Fate::Finished(_)) => "best finished",
        (true, _) => "best",
        (_, Fate::Finished(_)) => "finished",
        (_, Fate::Dropped) => "dropped",
        (_, Fate::Live) if node.goes_on => "live",
        (_, Fate::Live) => "live overtaken",
    }
}

/// All that there is to say, as text that is shown when somebody points at a box.
fn title(node: &Node<'_>, words: &Words<'_>) -> String {
    let text = words.plain(&node.path);
    let Extension { id, log_prob, sum, fate, .. } = node.extension;
    let fate = match fate {
        Fate::Live if node.goes_on => "goes on".to_owned(),
        Fate::Live => "overtaken".to_owned(),
        Fate::Finished(score) => format!("finished with score {score:.4}"),
        Fate::Dropped => "dropped".to_owned(),
    };
    let all = format!("{text}\nid {id}, log-probability {log_prob:.4}\nsum {sum:.4}: {fate}");
    escaped(all)
}

fn short(token: &str) -> String {
    match token.chars().count() > FITS {
        true => token.chars().take(FITS - 1).chain(['…']).collect(),
        false => token.to_owned(),
    }
}

fn left(column: usize) -> usize {
    MARGIN + column * COLUMN
}

fn middle(row: usize) -> usize {
    TOP + row * ROW + HEIGHT / 2
}

fn shape(svg: &mut String, column: usize, row: usize, token: &str, prob: &str) {
    let (x, y) = (left(column), TOP + row * ROW);
    write(
        svg,
        format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"5\"/>\
             <text class=\"word\" x=\"{}\" y=\"{}\">{}</text><text class=\"prob\" x=\"{}\" y=\"{}\">{prob}</text>",
            x + 7,
            y + 16,
            escaped(token),
            x + WIDTH - 7,
            y + 16
        ),
    );
}
