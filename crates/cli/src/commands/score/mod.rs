//! `firebrand score`: log-likelihood, perplexity, bits per byte, logits; of encoders the pseudo-log-likelihood (`pseudo`).

mod directions;
mod documents;
mod encoder_decoder;
mod pseudo;
mod texts;
mod windows;

pub(crate) use texts::{TextScore, texts};

use super::narrow::{self, f32_bytes, narrow};
use crate::args::{Global, ScoreArgs, WeightsName};
use crate::exit::usage;
use crate::output::{line, size};
use crate::run::Trained;
use anyhow::Context;
use documents::Scored;
use firebrand_prompt::score::Predictor;
use firebrand_transformer::{AnyModel, CpuDecoder};
use serde_json::json;
use std::f64::consts::LN_2;
use std::path::Path;

/// A model that predicts all tokens but the given ones, and what it makes of them.
struct Reading {
    /// Which way it reads; of a model that reads one way only, nothing.
    name: Option<&'static str>,
    predictor: Predictor,
    narrow: Option<CpuDecoder>,
    documents: Vec<Scored>,
    /// Of each document.
    nats: Vec<f64>,
    /// The same with f32 weights.
    f32_nats: Vec<f64>,
}

impl Reading {
    fn new(
        name: Option<&'static str>,
        predictor: Predictor,
        documents: Vec<Scored>,
        weights: WeightsName,
        device: &str,
        global: &Global,
    ) -> anyhow::Result<Self> {
        let narrow = match &predictor {
            Predictor::Decoder(decoder) => narrow(decoder, weights, device)?,
            Predictor::Permutation(_) if weights != WeightsName::F32 => {
                return Err(usage("--weights is for decoders, and this model predicts in any order"));
            }
            Predictor::Permutation(_) => None,
        };
        let f32_nats = windows::nats(&predictor, &documents, global, "scoring");
        let nats = match &narrow {
            Some(model) => windows::narrow_nats(model, &documents, global),
            None => f32_nats.clone(),
        };
        Ok(Self { name, predictor, narrow, documents, nats, f32_nats })
    }
}

pub(crate) fn run(args: &ScoreArgs, global: &Global) -> anyhow::Result<()> {
    let trained = Trained::open(&args.run, global)?;
    if matches!(trained.model, AnyModel::Encoder(_)) {
        return pseudo::run(args, &trained, global);
    }
    let (documents, floor) = documents::asked_for(args, &trained)?;
    let n_documents = documents.len();
    if documents.iter().all(|document| document.ids.len() < 2) {
        return Err(usage("nothing to score: the first token is given, and there is no second"));
    }
    if args.logits.is_some() && n_documents != 1 {
        return Err(usage("--logits are those of one --text or --ids, not of a --file"));
    }
    let Trained { model, tokenizer, device } = trained;
    if let AnyModel::EncoderDecoder(model) = &model {
        if args.weights != WeightsName::F32 {
            return Err(usage("--weights are for decoders, and this is an encoder-decoder model"));
        }
        if args.logits.is_some() {
            return Err(usage("--logits are those of a decoder, and this is an encoder-decoder model"));
        }
        let nats = encoder_decoder::nats(model, tokenizer.as_ref(), &documents, global, "scoring")?;
        if args.each {
            return print_each(&documents, &nats);
        }
        let score = Score::of(&documents, nats.iter().sum(), floor, device);
        return if global.json { line(score.json(&[])) } else { score.print(&[]) };
    }
    let directions = directions::directions(&model, tokenizer.as_ref(), documents);
    let reading = |(name, predictor, documents)| {
        Reading::new(name, predictor, documents, args.weights, &device, global)
    };
    let readings = directions.into_iter().map(reading).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(path) = &args.logits {
        write_logits(path, &readings)?;
    }
    if args.each {
        let mean = |index: usize| {
            readings.iter().map(|reading| reading.nats[index]).sum::<f64>() / readings.len() as f64
        };
        let nats: Vec<f64> = (0..n_documents).map(mean).collect();
        return print_each(&readings[0].documents, &nats);
    }
    let score = Score::new(&readings, n_documents, floor, device);
    if global.json { line(score.json(&readings)) } else { score.print(&readings) }
}

/// A line of JSON for each document; of a model that reads both ways, the mean of the two.
fn print_each(documents: &[Scored], nats: &[f64]) -> anyhow::Result<()> {
    for (document, nats) in documents.iter().zip(nats) {
        let tokens = document.ids.len().saturating_sub(1);
        line(json!({"log_likelihood": -nats, "tokens": tokens, "bytes": document.bytes}))?;
    }
    Ok(())
}

/// What is said of all documents together; of a model that reads both ways, the mean of the two.
struct Score {
    nats: f64,
    f32_nats: f64,
    tokens: u64,
    bytes: u64,
    documents: usize,
    floor: Option<f64>,
    device: String,
}

impl Score {
    fn new(readings: &[Reading], documents: usize, floor: Option<f64>, device: String) -> Self {
        let mean =
            |of: &dyn Fn(&Reading) -> f64| readings.iter().map(of).sum::<f64>() / readings.len() as f64;
        let all = || readings.iter().flat_map(|reading| &reading.documents);
        let count = readings.len() as u64;
        Self {
            nats: mean(&|reading| reading.nats.iter().sum()),
            f32_nats: mean(&|reading| reading.f32_nats.iter().sum()),
            tokens: all().map(|document| document.ids.len().saturating_sub(1) as u64).sum::<u64>() / count,
            bytes: all().map(|document| document.bytes).sum::<u64>() / count,
            documents,
            floor,
            device,
        }
    }

    /// Of a model that says itself what its tokens cost.
    fn of(documents: &[Scored], nats: f64, floor: Option<f64>, device: String) -> Self {
        let tokens = documents.iter().map(|document| document.ids.len().saturating_sub(1) as u64).sum();
        let bytes = documents.iter().map(|document| document.bytes).sum();
        Self { nats, f32_nats: nats, tokens, bytes, documents: documents.len(), floor, device }
    }

    fn loss(&self) -> f64 {
        self.nats / self.tokens as f64
    }

    fn f32_loss(&self) -> f64 {
        self.f32_nats / self.tokens as f64
    }

    fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.nats / (LN_2 * self.bytes as f64))
    }

    fn json(&self, readings: &[Reading]) -> serde_json::Value {
        let (loss, f32_loss) = (self.loss(), self.f32_loss());
        let mut result = json!({
            "log_likelihood": -self.nats, "tokens": self.tokens, "bytes": self.bytes, "documents": self.documents,
            "loss": loss, "perplexity": loss.exp(), "bits_per_byte": self.bits_per_byte(),
            "floor_bits_per_byte": self.floor, "device": self.device, "weights": "f32",
        });
        for reading in readings {
            if let Some(name) = reading.name {
                let nats: f64 = reading.nats.iter().sum();
                let loss = nats / self.tokens as f64;
                result[name] = json!({"log_likelihood": -nats, "loss": loss, "perplexity": loss.exp()});
            }
        }
        if let Some((format, bytes, f32_bytes)) = narrow_sizes(readings) {
            result["weights"] = format.into();
            result["weight_bytes"] = bytes.into();
            result["f32"] =
                json!({"loss": f32_loss, "perplexity": f32_loss.exp(), "weight_bytes": f32_bytes});
            result["perplexity_change"] = (loss - f32_loss).exp_m1().into();
        }
        result
    }

    fn print(&self, readings: &[Reading]) -> anyhow::Result<()> {
        let (loss, f32_loss) = (self.loss(), self.f32_loss());
        line(format!("log-likelihood  {:.4} nats over {} tokens", -self.nats, self.tokens))?;
        for reading in readings {
            if let Some(name) = reading.name {
                let nats: f64 = reading.nats.iter().sum();
                let perplexity = (nats / self.tokens as f64).exp();
                line(format!("  {name:<13} {:.4} nats, perplexity {perplexity:.4}", -nats))?;
            }
        }
        line(format!("loss            {loss:.4} nats a token"))?;
        line(format!("perplexity      {:.4}", loss.exp()))?;
        if let Some((format, bytes, f32_bytes)) = narrow_sizes(readings) {
            let percent = 100.0 * (loss - f32_loss).exp_m1();
            line(format!("  of f32        {:.4} ({format} changes it by {percent:+.3} %)", f32_loss.exp()))?;
            let (bytes, f32_bytes) = (size(bytes as u64), size(f32_bytes as u64));
            line(format!("weights         {format}, {bytes} (f32: {f32_bytes})"))?;
        }
        if let Some(bits) = self.bits_per_byte() {
            line(format!("bits per byte   {bits:.4}"))?;
            if let Some(floor) = self.floor {
                line(format!("floor           {floor:.4} ({:.4} above what is possible)", bits - floor))?;
            }
        }
        Ok(())
    }
}

/// The format of narrow weights, their bytes, and those of f32; the embedding that two readings share counts for each.
fn narrow_sizes(readings: &[Reading]) -> Option<(&'static str, usize, usize)> {
    let narrow: Vec<&CpuDecoder> = readings.iter().filter_map(|reading| reading.narrow.as_ref()).collect();
    let format = narrow.first()?.format().name();
    let sum = |of: &dyn Fn(&CpuDecoder) -> usize| narrow.iter().map(|model| of(model)).sum();
    Some((format, sum(&CpuDecoder::weight_bytes), sum(&f32_bytes)))
}

/// The logits at every position, as `logits_hf.py` reads them; those of a model that reads from the end beside.
fn write_logits(path: &Path, readings: &[Reading]) -> anyhow::Result<()> {
    let mut result = json!({});
    for reading in readings {
        let name = if reading.name == Some("backward") { "backward_logits" } else { "logits" };
        let ids = &reading.documents[0].ids;
        let logits = logits(&reading.predictor, reading.narrow.as_ref(), ids)?;
        let rows: Vec<&[f32]> = logits.chunks(logits.len() / ids.len()).collect();
        result[name] = json!(rows);
    }
    let json = serde_json::to_string(&result)?;
    firebrand_durable::write(path, json.as_bytes()).with_context(|| path.display().to_string())
}

/// `[ids, vocab]`
fn logits(model: &Predictor, narrow: Option<&CpuDecoder>, ids: &[u32]) -> anyhow::Result<Vec<f32>> {
    let (len, context) = (ids.len(), model.most_targets());
    if len > context {
        return Err(usage(format!("{len} tokens are more than the model's context of {context}")));
    }
    match narrow {
        Some(model) => Ok(narrow::logits(model, ids)),
        None => model
            .logits(ids)
            .ok_or_else(|| usage("--logits are those of a decoder, and this model predicts in any order")),
    }
}
