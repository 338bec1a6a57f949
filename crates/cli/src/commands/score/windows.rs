//! Texts longer than a context, and what their tokens cost a model.

use super::documents::Scored;
use super::predictor::Predictor;
use crate::args::Global;
use crate::output::bar;

/// One window of a document: its ids, and how many of its targets are counted (the last ones; the others are there as
/// context and were counted before).
pub(super) struct Window {
    /// The number of its document.
    document: usize,
    pub(super) ids: Vec<u32>,
    counted: usize,
}

/// What a document costs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Nats {
    /// All its targets together.
    pub(super) all: f64,
    /// Those that bits per byte count: see [`Scored::counts`].
    pub(super) of_text: f64,
}

/// The windows of all documents: one that is longer than the context is read in windows that overlap by half of it.
fn windows(documents: &[Scored], context: usize) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let targets = document.ids.len().saturating_sub(1);
        let mut done = 0;
        while done < targets {
            let end = if done == 0 { targets.min(context) } else { targets.min(done + (context / 2).max(1)) };
            let start = end.saturating_sub(context);
            windows.push(Window {
                document: index,
                ids: document.ids[start..=end].to_vec(),
                counted: end - done,
            });
            done = end;
        }
    }
    // Rows of like length side by side: less padding. The order changes no row's result.
    windows.sort_by_key(|window| std::cmp::Reverse(window.ids.len()));
    windows
}

/// What each document costs; `doing` is shown while it is computed.
pub(super) fn nats(model: &Predictor, doing: &str, documents: &[Scored], global: &Global) -> Vec<Nats> {
    let windows = windows(documents, model.most_targets());
    let progress =
        bar(global, windows.len() as u64, &format!("{doing} {{bar:30}} {{pos}}/{{len}}, {{eta}} left"));
    let mut nats = vec![Nats::default(); documents.len()];
    for batch in windows.chunks(model.rows_at_once()) {
        for (window, of_targets) in batch.iter().zip(model.target_nats(batch)) {
            let (document, sum) = (&documents[window.document], &mut nats[window.document]);
            let targets = window.ids[1..].iter().zip(of_targets);
            for (&id, nats) in targets.skip(window.ids.len() - 1 - window.counted) {
                sum.all += nats;
                sum.of_text += if document.counts(id) { nats } else { 0.0 };
            }
        }
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    nats
}
