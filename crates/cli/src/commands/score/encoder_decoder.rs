//! What a text costs an encoder–decoder that has read nothing of it: the decoder writes the whole text for an input of one blank
//! (`<extra_id_0>`, or `[MASK]`; after `[S]` where the model knows modes), or of nothing but an end of text where it knows none.

use super::documents::Scored;
use super::windows::{self, Window};
use crate::args::Global;
use crate::commands::prompting::special_ids_of;
use crate::exit::usage;
use crate::output::named_bar;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_prompt::score::Given;
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{EncoderDecoder, Model};

/// What the model is given, and the end of text that stands before documents.
struct Reading {
    given: Given,
    end_of_text: Option<u32>,
}

impl Reading {
    /// What the decoder writes for a window, the last `counted` ids of which count.
    fn written(&self, window: &Window) -> Vec<u32> {
        // An end of text before a text is for models that continue it; here the beginning takes its place.
        let text = match window.ids.split_first() {
            Some((&first, text)) if Some(first) == self.end_of_text => text,
            _ => &window.ids,
        };
        [&self.given.begin, text].concat()
    }
}

/// Nats of all targets of each document.
pub(super) fn nats(
    model: &EncoderDecoder,
    tokenizer: Option<&Tokenizer>,
    documents: &[Scored],
    global: &Global,
    name: &str,
) -> anyhow::Result<Vec<f64>> {
    let special = special_ids_of(model.config(), tokenizer);
    let reading = Reading { given: Given::new(&special)?, end_of_text: special.end_of_text };
    let context = model.config().seq_len;
    let Some(room) = context.checked_sub(reading.given.begin.len()).filter(|&room| room > 0) else {
        return Err(usage(format!("the model's context of {context} leaves no room for a text")));
    };
    let windows = windows::windows(documents, room);
    let progress = named_bar(global, name, windows.len());
    let mut nats = vec![0.0; documents.len()];
    for batch in windows::batches(&windows) {
        for (window, of_window) in batch.iter().zip(nats_of(model, &reading, batch, &model.device())) {
            nats[window.document] += of_window;
        }
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    Ok(nats)
}

/// Nats of the counted targets of each window.
fn nats_of(model: &EncoderDecoder, reading: &Reading, batch: &[Window], device: &Device) -> Vec<f64> {
    let rows: Vec<Vec<u32>> = batch.iter().map(|window| reading.written(window)).collect();
    let seq = rows.iter().map(|row| row.len() - 1).max().unwrap_or(1);
    let tensor = |rows: Vec<Vec<u32>>, seq: usize| {
        let n = rows.len();
        let padded = |row: Vec<u32>| (0..seq).map(move |i| row.get(i).copied().unwrap_or(0) as i32);
        let ids: Vec<i32> = rows.into_iter().flat_map(padded).collect();
        Tensor::<2, Int>::from_data(TensorData::new(ids, [n, seq]), device)
    };
    let n = rows.len();
    let input = tensor(vec![reading.given.input.clone(); n], reading.given.input.len());
    let encoded = model.encode(input, &vec![reading.given.input.len(); n], None);
    let lens: Vec<usize> = rows.iter().map(|row| row.len() - 1).collect();
    let ids = tensor(rows.iter().map(|row| row[..row.len() - 1].to_vec()).collect(), seq);
    let targets = tensor(rows.iter().map(|row| row[1..].to_vec()).collect(), seq).reshape([n * seq]);
    let hidden = model.hidden(&encoded, ids, &lens, None);
    let nats = model.nats(hidden.reshape([n * seq, model.config().d_model]), targets);
    let nats: Vec<f32> = nats.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now");
    let counted = batch.iter().zip(&lens).zip(nats.chunks(seq));
    let sum = |((window, &len), row): ((&Window, &usize), &[f32])| {
        row[len - window.counted..len].iter().map(|&nats| f64::from(nats)).sum()
    };
    counted.map(sum).collect()
}
