//! What a draft proposed and what became of it.

use super::record::Round;
use super::steps::Steps;
use super::words::{Words, percent};
use crate::output::thousands;
use firebrand_decode::observe::Verdict;

/// A text of one prompt as its rounds.
pub(super) fn html(rounds: &[Round], prompt: &[u32], words: &Words<'_>, name: &str) -> String {
    let mut steps = Steps::new(words, name, prompt);
    for (number, round) in rounds.iter().enumerate() {
        let kept = round.verdicts.iter().filter(|verdict| is_kept(verdict)).count();
        let title = match (number, round.proposed.len()) {
            (0, _) => "The prompt is read: the model's own token".to_owned(),
            (_, 0) => format!("Round {number}: nothing proposed"),
            (_, proposed) => format!("Round {number}: {kept} of {proposed} proposals kept"),
        };
        steps.markup(&format!("<span class=\"round\" title=\"{title}\">"));
        for verdict in &round.verdicts {
            match verdict.proposed {
                Some(proposed) if proposed.kept => steps.token(proposed.id, "tok kept", None),
                Some(proposed) => {
                    steps.refused(proposed.id);
                    steps.token(verdict.step.id, "tok own", None);
                }
                None => steps.token(verdict.step.id, "tok own", None),
            }
            steps.table(&verdict.step, &remark(verdict, words));
        }
        // What comes behind the first that is refused is not looked at.
        let examined = round.verdicts.iter().filter(|verdict| verdict.proposed.is_some()).count();
        for &id in round.proposed.get(examined..).unwrap_or_default() {
            steps
                .markup(&format!("<span class=\"unseen\" title=\"not looked at\">{}</span>", words.html(id)));
        }
        steps.markup("</span>");
    }
    summary(rounds) + &steps.html()
}

fn is_kept(verdict: &Verdict) -> bool {
    verdict.proposed.is_some_and(|proposed| proposed.kept)
}

/// How it was decided whether a proposal is kept.
fn remark(verdict: &Verdict, words: &Words<'_>) -> String {
    let Some(proposed) = verdict.proposed else {
        return "<p>The model's own token.</p>\n".to_owned();
    };
    let token = format!("<span class=\"cell\">{}</span>", words.html(proposed.id));
    let (model, draft) = (percent(proposed.model), percent(proposed.draft));
    let chance = percent((proposed.model / proposed.draft).min(1.0));
    let outcome = if proposed.kept { "It was kept." } else { "It was refused, and the model chose again." };
    format!(
        "<p>Proposed: {token}. After processors the model gives it {model}, the draft {draft}: kept with probability {chance}. \
         {outcome}</p>\n"
    )
}

fn summary(rounds: &[Round]) -> String {
    let verdicts = || rounds.iter().flat_map(|round| &round.verdicts);
    let tokens = verdicts().count();
    let examined = verdicts().filter(|verdict| verdict.proposed.is_some()).count();
    let proposed: usize = rounds.iter().map(|round| round.proposed.len()).sum();
    let kept = verdicts().filter(|verdict| is_kept(verdict)).count();
    let count = |number: usize| thousands(number as u64);
    let rate = match examined {
        0 => String::new(),
        _ => format!(" (<b>{}</b> of them)", percent(kept as f64 / examined as f64)),
    };
    format!(
        "<p class=\"figures\"><b>{}</b> tokens in <b>{}</b> passes of the model. Of <b>{}</b> proposals <b>{}</b> were looked at \
         and <b>{}</b> kept{rate}.</p>\n",
        count(tokens),
        count(rounds.len()),
        count(proposed),
        count(examined),
        count(kept)
    )
}
