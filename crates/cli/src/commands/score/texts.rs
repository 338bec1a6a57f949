//! How likely texts are, by whatever kind of model.

use super::documents::{self, Scored};
use super::{directions, pseudo, windows};
use crate::args::Global;
use crate::commands::masked::Masked;
use crate::run::Trained;
use firebrand_transformer::AnyModel;

/// What a text costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextScore {
    pub(crate) nats: f64,
    /// Those that were scored.
    pub(crate) tokens: usize,
    /// UTF-8 bytes that they stand for.
    pub(crate) bytes: u64,
}

/// The score of each text after an end of text, as `firebrand score` has it; `with_end`: of the end of the text too. Of a model
/// that reads both ways the mean of the two, of one with masks the pseudo-log-likelihood. `name` says on the bar what is done.
pub(crate) fn texts(
    trained: &Trained,
    texts: &[&str],
    with_end: bool,
    global: &Global,
    name: &str,
) -> anyhow::Result<Vec<TextScore>> {
    if matches!(trained.model, AnyModel::Encoder(_)) {
        let masked = Masked::new(trained)?;
        let hidden: Vec<pseudo::Text> = texts.iter().map(|text| pseudo::Text::new(text, &masked)).collect();
        let scores = pseudo::of_all(&hidden, &masked, global, name).into_iter().zip(texts);
        return Ok(scores
            .map(|((nats, tokens), text)| TextScore { nats, tokens, bytes: text.len() as u64 })
            .collect());
    }
    let documents = texts
        .iter()
        .map(|text| documents::document(text, trained, with_end))
        .collect::<anyhow::Result<Vec<Scored>>>()?;
    let mut scores: Vec<TextScore> = documents
        .iter()
        .map(|document| TextScore {
            nats: 0.0,
            tokens: document.ids.len().saturating_sub(1),
            bytes: document.bytes,
        })
        .collect();
    let directions = directions(trained, documents)?;
    let each = 1.0 / directions.len() as f64;
    for (direction, predictor, documents) in directions {
        let name = direction.map_or(name.to_owned(), |direction| format!("{name}, {direction}"));
        let nats = windows::nats(&predictor, &name, &documents, global);
        scores.iter_mut().zip(nats).for_each(|(score, nats)| score.nats += each * nats.all);
    }
    Ok(scores)
}
