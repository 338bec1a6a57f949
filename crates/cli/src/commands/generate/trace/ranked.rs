//! Whole texts that were compared, with their scores.

use super::words::Words;
use crate::html::write;
use firebrand_decode::Generation;

/// So many are shown, the best first.
const SHOWN: usize = 50;

/// Each text with its score; its tokens are coloured by the model's probability.
pub(super) fn html(ranked: &[Generation], prompt: &[u32], words: &Words<'_>) -> String {
    let (given, behind) = words.run(prompt);
    let mut html = "<ol class=\"ranked\">\n".to_owned();
    for (rank, generation) in ranked.iter().take(SHOWN).enumerate() {
        let (class, best) = match rank {
            0 => (" class=\"best\"", "<b class=\"badge\">best</b> · "),
            _ => ("", ""),
        };
        write(
            &mut html,
            format_args!(
                "<li{class}><p>{best}score <b>{:.4}</b> · log-probability {:.4} · {} tokens</p>\n\
                 <div class=\"text\" lang=\"\"><span class=\"given\">{given}</span>",
                generation.score,
                generation.log_prob(),
                generation.ids.len()
            ),
        );
        let mut behind = behind.clone();
        for (&id, log_prob) in generation.ids.iter().zip(&generation.log_probs) {
            let prob = log_prob.exp();
            let shown = words.html_behind(&mut behind, id);
            let title = format!("id {id}, {}", super::words::percent(prob));
            write(
                &mut html,
                format_args!("<span class=\"tok\" style=\"--p:{prob:.3}\" title=\"{title}\">{shown}</span>"),
            );
        }
        html += "</div></li>\n";
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
