//! `firebrand score`: log-likelihood, perplexity, bits per byte, logits.

use super::narrow::{self, f32_bytes, narrow};
use crate::args::{Global, ScoreArgs};
use crate::exit::usage;
use crate::output::{bar, line, size};
use crate::run::{RunFile, Trained, parse_ids};
use anyhow::Context;
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::generator::{Grammar, floor_of};
use firebrand_corpus::sources::{DocumentBoundary, DocumentReader};
use firebrand_transformer::{CpuDecoder, Decoder};
use std::f64::consts::LN_2;
use std::path::Path;

/// Ids to score; all but the first are targets.
struct Scored {
    ids: Vec<u32>,
    /// UTF-8 bytes of the text that the targets stand for.
    bytes: u64,
}

pub(crate) fn run(args: &ScoreArgs, global: &Global) -> anyhow::Result<()> {
    let trained = Trained::open(&args.run, global)?;
    let narrow = narrow(&trained.model, args.weights, &trained.device)?;
    let mut floor = None;
    let documents = match (&args.text, &args.file, &args.ids) {
        (Some(text), _, _) => vec![document(text, &trained, false)?],
        (_, Some(path), _) => {
            let text = read(path, args, &trained)?;
            floor = floor_of(Grammar::built_in(), &text.whole)
                .ok()
                .filter(|_| text.blank_lines)
                .map(|floor| floor.bits_per_byte());
            text.documents
        }
        (_, _, Some(ids)) => {
            let ids = parse_ids(ids)?;
            trained.check_ids(&ids)?;
            let table = trained.tokenizer.as_ref().map(|tokenizer| tokenizer.token_table());
            let bytes =
                table.map_or(0, |table| ids.iter().skip(1).map(|&id| table.byte_len(id) as u64).sum());
            vec![Scored { ids, bytes }]
        }
        _ => return Err(usage("nothing to score: give --text, --file or --ids")),
    };
    let targets: u64 = documents.iter().map(|document| document.ids.len().saturating_sub(1) as u64).sum();
    if targets == 0 {
        return Err(usage("nothing to score: the first token is given, and there is no second"));
    }
    if let Some(path) = &args.logits {
        let [document] = documents.as_slice() else {
            return Err(usage("--logits are those of one --text or --ids, not of a --file"));
        };
        write_logits(path, &trained.model, narrow.as_ref(), &document.ids)?;
    }
    let windows = windows(&documents, trained.model.config().seq_len);
    let f32_nats = score(&trained.model, &windows, global)?;
    let narrow = narrow.map(|model| (score_narrow(&model, &windows, global), model));
    let nats = narrow.as_ref().map_or(f32_nats, |(nats, _)| *nats);
    let bytes: u64 = documents.iter().map(|document| document.bytes).sum();
    let loss = nats / targets as f64;
    let bits_per_byte = (bytes > 0).then(|| nats / (LN_2 * bytes as f64));
    let f32_loss = f32_nats / targets as f64;
    if global.json {
        let mut result = serde_json::json!({
            "log_likelihood": -nats, "tokens": targets, "bytes": bytes, "documents": documents.len(),
            "loss": loss, "perplexity": loss.exp(), "bits_per_byte": bits_per_byte, "floor_bits_per_byte": floor,
            "device": trained.device, "weights": "f32",
        });
        if let Some((_, model)) = &narrow {
            result["weights"] = model.format().name().into();
            result["weight_bytes"] = model.weight_bytes().into();
            result["f32"] = serde_json::json!({
                "loss": f32_loss, "perplexity": f32_loss.exp(), "weight_bytes": f32_bytes(model),
            });
            result["perplexity_change"] = (loss - f32_loss).exp_m1().into();
        }
        return line(result);
    }
    line(format!("log-likelihood  {:.4} nats over {targets} tokens", -nats))?;
    line(format!("loss            {loss:.4} nats a token"))?;
    line(format!("perplexity      {:.4}", loss.exp()))?;
    if let Some((_, model)) = &narrow {
        let (name, percent) = (model.format().name(), 100.0 * (loss - f32_loss).exp_m1());
        line(format!("  of f32        {:.4} ({name} changes it by {percent:+.3} %)", f32_loss.exp()))?;
        let (bytes, f32_bytes) = (size(model.weight_bytes() as u64), size(f32_bytes(model) as u64));
        line(format!("weights         {name}, {bytes} (f32: {f32_bytes})"))?;
    }
    if let Some(bits) = bits_per_byte {
        line(format!("bits per byte   {bits:.4}"))?;
        if let Some(floor) = floor {
            line(format!("floor           {floor:.4} ({:.4} above what is possible)", bits - floor))?;
        }
    }
    Ok(())
}

/// A text after an end of text, where the model knows one.
fn document(text: &str, trained: &Trained, with_end: bool) -> anyhow::Result<Scored> {
    let tokenizer = trained.tokenizer()?;
    let end = tokenizer.end_of_text();
    let mut ids: Vec<u32> = end.into_iter().collect();
    ids.extend(tokenizer.encode(text));
    if with_end {
        ids.extend(end);
    }
    // Without an end of text the first token is given, not predicted.
    let given =
        if end.is_some() { 0 } else { ids.first().map_or(0, |&id| tokenizer.token_table().byte_len(id)) };
    Ok(Scored { ids, bytes: (text.len() - given) as u64 })
}

struct FileText {
    whole: String,
    blank_lines: bool,
    documents: Vec<Scored>,
}

fn read(path: &Path, args: &ScoreArgs, trained: &Trained) -> anyhow::Result<FileText> {
    let boundary = match args.boundary {
        Some(boundary) => boundary.into(),
        None if RunFile::path(&args.run).exists() => RunFile::read(&args.run)?.config.data.boundary,
        None => DocumentBoundary::File,
    };
    let mut reader = DocumentReader::open(path, boundary)?;
    let mut documents = Vec::new();
    while let Some(text) = reader.next_document()? {
        documents.push(document(&text, trained, true)?);
    }
    if documents.is_empty() {
        return Err(usage(format!("{}: is empty; there is nothing to score", path.display())));
    }
    let whole = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(FileText { whole, blank_lines: boundary == DocumentBoundary::BlankLine, documents })
}

/// One window of a document: its ids, and how many of its targets are counted (the last ones; the others are there as
/// context and were counted before).
struct Window<'a> {
    ids: &'a [u32],
    counted: usize,
}

/// The windows of all documents: one that is longer than the context is read in windows that overlap by half of it.
fn windows(documents: &[Scored], context: usize) -> Vec<Window<'_>> {
    let mut windows: Vec<Window<'_>> = Vec::new();
    for document in documents {
        let targets = document.ids.len() - 1;
        let mut done = 0;
        while done < targets {
            let end = if done == 0 { targets.min(context) } else { targets.min(done + (context / 2).max(1)) };
            let start = end.saturating_sub(context);
            windows.push(Window { ids: &document.ids[start..=end], counted: end - done });
            done = end;
        }
    }
    // Rows of like length side by side: less padding. The order changes no row's result.
    windows.sort_by_key(|window| std::cmp::Reverse(window.ids.len()));
    windows
}

/// Nats of all targets.
fn score(model: &Decoder, windows: &[Window<'_>], global: &Global) -> anyhow::Result<f64> {
    let context = model.config().seq_len;
    let progress = bar(global, windows.len() as u64, "scoring {bar:30} {pos}/{len}, {eta} left");
    let device = model.device();
    let mut nats = 0.0;
    for batch in windows.chunks(rows_at_once(context)) {
        let seq = batch.iter().map(|window| window.ids.len() - 1).max().unwrap_or(1);
        let padded = |from: usize| -> Vec<i32> {
            let id = |window: &Window<'_>, i: usize| {
                if i + 1 < window.ids.len() { window.ids[i + from] as i32 } else { 0 }
            };
            batch.iter().flat_map(|window| (0..seq).map(move |i| id(window, i))).collect()
        };
        let ids = Tensor::<2, Int>::from_data(TensorData::new(padded(0), [batch.len(), seq]), &device);
        let targets = Tensor::<1, Int>::from_data(TensorData::new(padded(1), [batch.len() * seq]), &device);
        let hidden = model.hidden(ids, &AttentionMask::Causal, None);
        let rows = model.nats(hidden.reshape([batch.len() * seq, model.config().d_model]), targets);
        let rows: Vec<f32> =
            rows.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now");
        for (window, row) in batch.iter().zip(rows.chunks(seq)) {
            let len = window.ids.len() - 1;
            nats += row[len - window.counted..len].iter().map(|&nats| f64::from(nats)).sum::<f64>();
        }
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    Ok(nats)
}

/// The same with weights in less than 32 bits.
fn score_narrow(model: &CpuDecoder, windows: &[Window<'_>], global: &Global) -> f64 {
    let name = model.format().name();
    let progress =
        bar(global, windows.len() as u64, &format!("{name} {{bar:30}} {{pos}}/{{len}}, {{eta}} left"));
    let mut nats = 0.0;
    for batch in windows.chunks((512 / model.config().seq_len).max(1)) {
        let batch: Vec<(&[u32], usize)> = batch.iter().map(|window| (window.ids, window.counted)).collect();
        nats += narrow::nats(model, &batch);
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    nats
}

/// About 4,096 tokens at once.
fn rows_at_once(context: usize) -> usize {
    (4096 / context).max(1)
}

/// The logits at every position, as `logits_hf.py` reads them.
fn write_logits(
    path: &Path,
    model: &Decoder,
    narrow: Option<&CpuDecoder>,
    ids: &[u32],
) -> anyhow::Result<()> {
    let (len, vocab_size) = (ids.len(), model.config().vocab_size);
    if len > model.config().seq_len {
        return Err(usage(format!(
            "{len} tokens are more than the model's context of {}",
            model.config().seq_len
        )));
    }
    let logits: Vec<f32> = match narrow {
        Some(model) => narrow::logits(model, ids),
        None => {
            let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
            let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, len]), &model.device());
            let hidden = model.hidden(ids, &AttentionMask::Causal, None);
            let logits = model.logits(hidden.reshape([len, model.config().d_model]));
            logits.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now")
        }
    };
    let rows: Vec<&[f32]> = logits.chunks(vocab_size).collect();
    let json = serde_json::to_string(&serde_json::json!({"logits": rows}))?;
    firebrand_durable::write(path, json.as_bytes()).with_context(|| path.display().to_string())
}
