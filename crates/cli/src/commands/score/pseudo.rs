//! Scores by models that see both sides of a token: the pseudo-log-likelihood of a text, which is the sum over its tokens of
//! `log P(token | all others)`, each hidden in turn [Salazar 2020, <https://arxiv.org/abs/1910.14659>].
//!
//! It is not the logarithm of a probability: what it says of a text compares with what the same model says of others alone.

use super::documents;
use crate::args::{Global, ScoreArgs, WeightsName};
use crate::commands::masked::{Frame, Masked};
use crate::exit::usage;
use crate::output::{bar, line};
use crate::run::{Trained, parse_ids};
use anyhow::Context;
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_transformer::Model;
use serde_json::json;
use std::path::Path;

/// A text to score: all its ordinary tokens are.
struct Text {
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

pub(super) fn run(args: &ScoreArgs, trained: &Trained, global: &Global) -> anyhow::Result<()> {
    if args.weights != WeightsName::F32 {
        return Err(usage("--weights: encoders are used with f32 weights"));
    }
    let masked = Masked::new(trained)?;
    let texts = texts(args, trained, &masked)?;
    let hidden = hidden(&texts, &masked);
    if hidden.is_empty() {
        return Err(usage("nothing to score: there is no ordinary token"));
    }
    if let (Some(path), [text]) = (&args.logits, texts.as_slice()) {
        write_logits(path, &masked, &text.framed(&text.ids))?;
    }
    let mut counts = vec![0_usize; texts.len()];
    hidden.iter().for_each(|hidden| counts[hidden.text] += 1);
    let tokens = hidden.len();
    let nats = nats(&texts, hidden, &masked, global);
    if args.each {
        for ((nats, tokens), text) in nats.iter().zip(counts).zip(&texts) {
            line(json!({"log_likelihood": -nats, "tokens": tokens, "bytes": text.bytes, "pseudo": true}))?;
        }
        return Ok(());
    }
    let nats: f64 = nats.iter().sum();
    let loss = nats / tokens as f64;
    if global.json {
        return line(json!({
            "log_likelihood": -nats, "pseudo": true, "tokens": tokens,
            "bytes": texts.iter().map(|text| text.bytes).sum::<u64>(), "documents": texts.len(),
            "loss": loss, "perplexity": loss.exp(), "bits_per_byte": null, "device": trained.device, "weights": "f32",
        }));
    }
    line(format!("pseudo-log-likelihood  {:.4} nats over {tokens} tokens, each hidden in turn", -nats))?;
    line(format!("loss                   {loss:.4} nats a token"))?;
    line(format!("pseudo-perplexity      {:.4}", loss.exp()))
}

fn texts(args: &ScoreArgs, trained: &Trained, masked: &Masked<'_>) -> anyhow::Result<Vec<Text>> {
    let whole = |text: &str| {
        let (ids, bytes) = (masked.tokenizer.encode(text), text.len() as u64);
        match masked.frame {
            Frame::Marks(marks) => Text { ids, marks: Some(marks), bytes },
            // As any other tokens of the stream: a window of it need not begin or end with one.
            Frame::Ends(_) => Text { ids: masked.frame.around(&ids), marks: None, bytes },
        }
    };
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
        _ => Err(usage("nothing to score: give --text, --file or --ids")),
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

/// Nats of all tokens of each text.
fn nats(texts: &[Text], hidden: Vec<Hidden>, masked: &Masked<'_>, global: &Global) -> Vec<f64> {
    let progress = bar(global, hidden.len() as u64, "scoring {bar:30} {pos}/{len}, {eta} left");
    let mut nats = vec![0.0; texts.len()];
    for of_length in hidden.chunk_by(|a, b| a.len == b.len) {
        let rows_at_once = (4096 / of_length[0].len).max(1);
        for batch in of_length.chunks(rows_at_once) {
            let window = |hidden: &Hidden| texts[hidden.text].window(hidden, masked.mask);
            let (rows, places): (Vec<Vec<u32>>, Vec<usize>) = batch.iter().map(window).unzip();
            let places: Vec<(usize, usize)> = places.into_iter().enumerate().collect();
            for (hidden, log_probs) in batch.iter().zip(masked.log_probs(&rows, &places)) {
                let token = texts[hidden.text].ids[hidden.at];
                nats[hidden.text] -= f64::from(log_probs[token as usize]);
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
