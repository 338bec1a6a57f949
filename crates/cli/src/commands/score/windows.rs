//! Texts longer than a context, and what their tokens cost a model.

use super::documents::Scored;
use crate::args::Global;
use crate::commands::narrow;
use crate::output::named_bar;
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_prompt::score::Predictor;
use firebrand_transformer::CpuDecoder;

/// One window of a document: its ids, and how many of its targets are counted (the last ones; the others are there as
/// context and were counted before).
pub(super) struct Window {
    /// The number of its document.
    pub(super) document: usize,
    pub(super) ids: Vec<u32>,
    pub(super) counted: usize,
}

/// The windows of all documents: one that is longer than the context is read in windows that overlap by half of it.
pub(super) fn windows(documents: &[Scored], context: usize) -> Vec<Window> {
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

/// Windows that are computed together: of like length, about 4,096 tokens.
pub(super) fn batches(windows: &[Window]) -> impl Iterator<Item = &[Window]> {
    let mut rest = windows;
    std::iter::from_fn(move || {
        // The first is the longest.
        let rows = (4096 / rest.first()?.ids.len()).clamp(1, rest.len());
        let (batch, after) = rest.split_at(rows);
        rest = after;
        Some(batch)
    })
}

/// Nats of all targets of each document; `name` says on the bar what is done.
pub(super) fn nats(model: &Predictor, documents: &[Scored], global: &Global, name: &str) -> Vec<f64> {
    let windows = windows(documents, model.most_targets());
    let progress = named_bar(global, name, windows.len());
    let device = model.device();
    let mut nats = vec![0.0; documents.len()];
    for batch in batches(&windows) {
        let seq = batch.iter().map(|window| window.ids.len() - 1).max().unwrap_or(1);
        let id = |window: &Window, i: usize| window.ids.get(i).map_or(0, |&id| id as i32);
        let padded = batch.iter().flat_map(|window| (0..=seq).map(move |i| id(window, i))).collect();
        let ids =
            Tensor::<2, Int>::from_data(TensorData::new::<i32, _>(padded, [batch.len(), seq + 1]), &device);
        let rows: Vec<f32> =
            model.nats(ids).into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now");
        for (window, row) in batch.iter().zip(rows.chunks(seq)) {
            let len = window.ids.len() - 1;
            nats[window.document] +=
                row[len - window.counted..len].iter().map(|&nats| f64::from(nats)).sum::<f64>();
        }
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    nats
}

/// The same with weights in less than 32 bits.
pub(super) fn narrow_nats(model: &CpuDecoder, documents: &[Scored], global: &Global) -> Vec<f64> {
    let windows = windows(documents, model.config().seq_len);
    let name = model.format().name();
    let progress = named_bar(global, name, windows.len());
    let mut nats = vec![0.0; documents.len()];
    for batch in windows.chunks((512 / model.config().seq_len).max(1)) {
        let ids: Vec<(&[u32], usize)> =
            batch.iter().map(|window| (window.ids.as_slice(), window.counted)).collect();
        for (window, of_window) in batch.iter().zip(narrow::nats(model, &ids)) {
            nats[window.document] += of_window;
        }
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    nats
}
