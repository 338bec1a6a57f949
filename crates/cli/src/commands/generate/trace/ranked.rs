//! Whole texts that were compared, with their scores.

use super::record::Sequence;
use super::steps::Steps;
use super::words::Words;
use crate::html::write;
use firebrand_decode::Generation;
use firebrand_decode::observe::Step;
use std::collections::BTreeMap;

/// So many are shown, the best first.
const SHOWN: usize = 50;
/// Of so many, what else there was to choose: a table for each token makes a page large.
const WITH_STEPS: usize = 5;

/// Each text with its score; its tokens are coloured by the model's probability, and where it is known what else there was to choose, that
/// is shown too.
pub(super) fn html(sequence: &Sequence, prompt: &[u32], words: &Words<'_>, name: &str) -> String {
    let (ranked, draws) = (&sequence.ranked, by_draw(&sequence.steps));
    let mut html = "<ol class=\"ranked\">\n".to_owned();
    for (rank, generation) in ranked.iter().take(SHOWN).enumerate() {
        let (class, best) = match rank {
            0 => (" class=\"best\"", "<b class=\"badge\">best</b> · "),
            _ => ("", ""),
        };
        write(
            &mut html,
            format_args!(
                "<li{class}><p>{best}score <b>{:.4}</b> · log-probability {:.4} · {} tokens</p>\n",
                generation.score,
                generation.log_prob(),
                generation.ids.len()
            ),
        );
        // Draws of the same ids came about alike.
        match draws.get(&generation.ids).filter(|_| rank < WITH_STEPS) {
            Some(draw) => {
                let mut steps = Steps::new(words, format!("{name}-{rank}"), prompt);
                draw.iter().for_each(|step| steps.step(step));
                html += &steps.html();
            }
            None => text(&mut html, generation, prompt, words),
        }
        html += "</li>\n";
    }
    html += "</ol>\n";
    if let more @ 1.. = ranked.len().saturating_sub(SHOWN) {
        write(
            &mut html,
            format_args!("<p class=\"help\">{more} more, with lower scores, are not shown.</p>\n"),
        );
    }
    html
}

/// The steps of each draw, by the ids that it came to.
fn by_draw(steps: &[Step]) -> BTreeMap<Vec<u32>, Vec<&Step>> {
    let mut draws: BTreeMap<usize, Vec<&Step>> = BTreeMap::new();
    steps.iter().for_each(|step| draws.entry(step.draw).or_default().push(step));
    draws.into_values().map(|steps| (steps.iter().map(|step| step.id).collect(), steps)).collect()
}

/// A text of which nothing is known but the probabilities of its tokens.
fn text(html: &mut String, generation: &Generation, prompt: &[u32], words: &Words<'_>) {
    let (given, mut behind) = words.run(prompt);
    write(html, format_args!("<div class=\"text\" lang=\"\"><span class=\"given\">{given}</span>"));
    for (&id, log_prob) in generation.ids.iter().zip(&generation.log_probs) {
        let prob = log_prob.exp();
        let shown = words.html_behind(&mut behind, id);
        let title = format!("id {id}, {}", super::words::percent(prob));
        write(
            html,
            format_args!("<span class=\"tok\" style=\"--p:{prob:.3}\" title=\"{title}\">{shown}</span>"),
        );
    }
    *html += "</div>";
}
