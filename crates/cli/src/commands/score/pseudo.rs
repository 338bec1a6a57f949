//! Scores by models that see both sides of a token: the pseudo-log-likelihood of a text, which is the sum over its tokens of
//! `log P(token | all others)`, each hidden in turn [Salazar 2020, <https://arxiv.org/abs/1910.14659>].
//!
//! It is not the logarithm of a probability: what it says of a text compares with what the same model says of others alone.

use super::documents;
use super::run_data::RunData;
use super::weights::Weights;
use crate::args::{Global, ScoreArgs};
use crate::commands::masked::{Frame, Masked};
use crate::exit::usage;
use crate::output::{line, named_bar};
use crate::run::{Trained, parse_ids};
use anyhow::Context;
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::sources::Split;
use firebrand_transformer::{Model, WeightFormat, rounded};
use serde_json::json;
use std::path::Path;

/// A text to score: all its ordinary tokens are.
pub(super) struct Text {
    ids: Vec<u32>,
    /// What stands around it, or around each part of it that is looked at.
    marks: Option<[u32; 2]>,
    bytes: u64,
}

/// A token that is hidden in one copy of (a window of) its text.
struct Hidden {
    text: usize,
    /// Where the window starts in the text, and how many tokens of the text it has.
    start: usize,
    len: usize,
    /// Where the token stands in the text.
    at: usize,
}

impl Text {
    pub(super) fn new(text: &str, masked: &Masked<'_>) -> Self {
        Self::framed_by(masked, masked.tokenizer.encode(text), text.len() as u64)
    }

    fn framed_by(masked: &Masked<'_>, ids: Vec<u32>, bytes: u64) -> Self {
        match masked.frame {
            Frame::Marks(marks) => Self { ids, marks: Some(marks), bytes },
            // As any other tokens of the stream: a window of it need not begin or end with one.
            Frame::Ends(_) => Self { ids: masked.frame.around(&ids), marks: None, bytes },
        }
    }

    /// The window as the model sees it, and where in it the token stands.
    fn window(&self, hidden: &Hidden, mask: u32) -> (Vec<u32>, usize) {
        let mut ids = self.ids[hidden.start..hidden.start + hidden.len].to_vec();
        ids[hidden.at - hidden.start] = mask;
        let at = hidden.at - hidden.start + self.before();
        (self.framed(&ids), at)
    }

    fn before(&self) -> usize {
        usize::from(self.marks.is_some())
    }

    fn framed(&self, ids: &[u32]) -> Vec<u32> {
        match self.marks {
            Some([before, after]) => [&[before], ids, &[after]].concat(),
            None => ids.to_vec(),
        }
    }
}

pub(super) fn run(
    args: &ScoreArgs,
    trained: &Trained,
    data: Option<&RunData>,
    global: &Global,
) -> anyhow::Result<()> {
    if args.ngram.is_some() {
        return Err(usage(
            "--ngram: a pseudo-log-likelihood, which is what an encoder has, does not compare with a likelihood",
        ));
    }
    let masked = Masked::new(trained)?;
    let format = WeightFormat::from(args.weights);
    let narrow = match format {
        WeightFormat::F32 => None,
        _ => Some(rounded(masked.model, format)?),
    };
    let asked = narrow.as_ref().map_or(masked.with(masked.model), |narrow| masked.with(&narrow.model));
    let texts = texts(args, trained, data, &masked)?;
    let hidden = hidden(&texts, &masked);
    if hidden.is_empty() {
        return Err(usage("nothing to score: there is no ordinary token"));
    }
    if let (Some(path), [text]) = (&args.logits, texts.as_slice()) {
        write_logits(path, &asked, &text.framed(&text.ids))?;
    }
    let tokens = hidden.len();
    let f32_loss = narrow.as_ref().map(|_| {
        let nats = nats(&texts, &hidden, &masked, global, "scoring");
        nats.iter().map(|(nats, _)| nats).sum::<f64>() / tokens as f64
    });
    let doing = if narrow.is_some() { format.name() } else { "scoring" };
    let (nats, counts): (Vec<f64>, Vec<usize>) =
        nats(&texts, &hidden, &asked, global, doing).into_iter().unzip();
    if args.each {
        for ((nats, tokens), text) in nats.iter().zip(counts).zip(&texts) {
            line(json!({"log_likelihood": -nats, "tokens": tokens, "bytes": text.bytes, "pseudo": true}))?;
        }
        return Ok(());
    }
    let nats: f64 = nats.iter().sum();
    let loss = nats / tokens as f64;
    let weights = narrow.as_ref().zip(f32_loss).map(|(narrow, f32_loss)| Weights {
        format: format.name(),
        bytes: narrow.bytes,
        f32_bytes: 4 * masked.model.config().n_params(),
        f32_loss,
    });
    if global.json {
        let mut result = json!({
            "log_likelihood": -nats, "pseudo": true, "tokens": tokens,
            "bytes": texts.iter().map(|text| text.bytes).sum::<u64>(), "documents": texts.len(),
            "loss": loss, "perplexity": loss.exp(), "bits_per_byte": null, "device": trained.device, "weights": "f32",
        });
        if let Some(weights) = weights {
            weights.add_to(&mut result, loss);
        }
        return line(result);
    }
    line(format!("pseudo-log-likelihood  {:.4} nats over {tokens} tokens, each hidden in turn", -nats))?;
    line(format!("loss                   {loss:.4} nats a token"))?;
    line(format!("pseudo-perplexity      {:.4}", loss.exp()))?;
    weights.map_or(Ok(()), |weights| weights.print(loss, 23))
}

fn texts(
    args: &ScoreArgs,
    trained: &Trained,
    data: Option<&RunData>,
    masked: &Masked<'_>,
) -> anyhow::Result<Vec<Text>> {
    if let Some(data) = data {
        let text = |ids: Vec<u32>| {
            let ids: Vec<u32> = ids.into_iter().filter(|&id| masked.is_ordinary(id)).collect();
            let bytes = ids.iter().map(|&id| data.table.byte_len(id) as u64).sum();
            Text::framed_by(masked, ids, bytes)
        };
        return Ok(data.documents(Split::HeldOut)?.into_iter().map(text).collect());
    }
    let whole = |text: &str| Text::new(text, masked);
    match (&args.text, &args.file, &args.ids) {
        (Some(text), _, _) => Ok(vec![whole(text)]),
        (_, Some(path), _) => {
            let mut reader = documents::reader(path, args)?;
            let mut texts = Vec::new();
            while let Some(text) = reader.next_document()? {
                texts.push(whole(&text));
            }
            Ok(texts)
        }
        (_, _, Some(ids)) => {
            let ids = parse_ids(ids)?;
            trained.check_ids(&ids)?;
            let table = masked.tokenizer.token_table();
            let bytes = ids.iter().filter(|&&id| (id as usize) < table.len());
            let bytes = bytes.map(|&id| table.byte_len(id) as u64).sum();
            Ok(vec![Text { ids, marks: None, bytes }])
        }
        _ => Err(usage("nothing to score: give --text, --file, --ids or --held-out")),
    }
}

/// All ordinary tokens; in a text longer than the context each in the middle of a window, or as near to it as there is text.
fn hidden(texts: &[Text], masked: &Masked<'_>) -> Vec<Hidden> {
    let context = masked.context();
    let mut all: Vec<Hidden> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let ids = &text.ids;
        let room = context - 2 * text.before();
        let len = ids.len().min(room);
        for at in (0..ids.len()).filter(|&at| masked.is_ordinary(ids[at])) {
            let start = at.saturating_sub(room / 2).min(ids.len() - len);
            all.push(Hidden { text: index, start, len, at });
        }
    }
    // Rows of one batch are of one length; the order changes no row's result.
    all.sort_by_key(|hidden| std::cmp::Reverse(hidden.len));
    all
}

/// Nats of all ordinary tokens of each text, and how many these are; `name` says on the bar what is done.
pub(super) fn of_all(texts: &[Text], masked: &Masked<'_>, global: &Global, name: &str) -> Vec<(f64, usize)> {
    nats(texts, &hidden(texts, masked), masked, global, name)
}

fn nats(
    texts: &[Text],
    hidden: &[Hidden],
    masked: &Masked<'_>,
    global: &Global,
    name: &str,
) -> Vec<(f64, usize)> {
    let progress = named_bar(global, name, hidden.len());
    let mut nats = vec![(0.0, 0); texts.len()];
    for of_length in hidden.chunk_by(|a, b| a.len == b.len) {
        let rows_at_once = (4096 / of_length[0].len).max(1);
        for batch in of_length.chunks(rows_at_once) {
            let window = |hidden: &Hidden| texts[hidden.text].window(hidden, masked.mask);
            let (rows, places): (Vec<Vec<u32>>, Vec<usize>) = batch.iter().map(window).unzip();
            let places: Vec<(usize, usize)> = places.into_iter().enumerate().collect();
            for (hidden, log_probs) in batch.iter().zip(masked.log_probs(&rows, &places)) {
                let token = texts[hidden.text].ids[hidden.at];
                let of_text = &mut nats[hidden.text];
                of_text.0 -= f64::from(log_probs[token as usize]);
                of_text.1 += 1;
            }
            progress.inc(batch.len() as u64);
        }
    }
    progress.finish_and_clear();
    nats
}

/// The logits at every position of the ids as they are, with nothing hidden, as `logits_hf.py --task masked` reads them.
fn write_logits(path: &Path, masked: &Masked<'_>, ids: &[u32]) -> anyhow::Result<()> {
    let (len, context) = (ids.len(), masked.context());
    if len > context {
        return Err(usage(format!("{len} tokens are more than the model's context of {context}")));
    }
    let numbers: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(numbers, [1, len]), &masked.model.device());
    let hidden = masked.model.hidden(ids, None, &AttentionMask::Full, None);
    let config = masked.model.config();
    let logits = masked.model.masked_logits(hidden.reshape([len, config.d_model]));
    let logits = logits.expect("looked at when it was opened").into_data().convert::<f32>();
    let logits: Vec<f32> = logits.try_into_vec().expect("converted to f32 just now");
    let rows: Vec<&[f32]> = logits.chunks(config.vocab_size).collect();
    let json = serde_json::to_string(&json!({"logits": rows}))?;
    firebrand_durable::write(path, json.as_bytes()).with_context(|| path.display().to_string())
}
