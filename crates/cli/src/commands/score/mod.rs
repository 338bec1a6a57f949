//! `firebrand score`: log-likelihood, perplexity, bits per byte, logits; of encoders the pseudo-log-likelihood (`pseudo`).

mod documents;
mod encoder_decoder;
mod ngram;
mod predictor;
mod pseudo;
mod run_data;
mod texts;
mod weights;
mod windows;

use super::narrow;
use crate::args::{Global, ScoreArgs};
use crate::exit::usage;
use crate::output::{check_writable, line};
use crate::run::{Trained, device};
use anyhow::Context;
use documents::Scored;
use encoder_decoder::Writer;
use firebrand_transformer::AnyModel;
use ngram::Baseline;
use predictor::{Narrow, Predictor};
use run_data::RunData;
use serde_json::json;
use std::f64::consts::LN_2;
use std::path::Path;
pub(super) use texts::{TextScore, texts};
use weights::Weights;
use windows::Nats;

/// A model that predicts all tokens but the given ones, and what it is to make of them.
struct Reading {
    /// Which way it reads; of a model that reads one way only, nothing.
    name: Option<&'static str>,
    predictor: Predictor,
    narrow: Option<Narrow>,
    documents: Vec<Scored>,
}

/// A reading, and what it says of each document.
struct Read {
    reading: Reading,
    nats: Vec<Nats>,
    /// The same with f32 weights.
    f32_nats: Vec<Nats>,
}

impl Reading {
    fn read(self, global: &Global) -> Read {
        let f32_nats = windows::nats(&self.predictor, "scoring", &self.documents, global);
        let nats = match &self.narrow {
            Some(narrow) => windows::nats(&narrow.predictor, narrow.format.name(), &self.documents, global),
            None => f32_nats.clone(),
        };
        Read { reading: self, nats, f32_nats }
    }

    /// What predicts, with the weights that are asked for.
    fn asked(&self) -> &Predictor {
        self.narrow.as_ref().map_or(&self.predictor, |narrow| &narrow.predictor)
    }
}

pub(crate) fn run(args: &ScoreArgs, global: &Global) -> anyhow::Result<()> {
    check(args, global)?;
    let trained = Trained::open(&args.run, global)?;
    let option = if args.held_out { "--held-out" } else { "--ngram" };
    let data = args.held_out || args.ngram.is_some();
    let data = data.then(|| RunData::open(&args.run, option, global)).transpose()?;
    if matches!(trained.model, AnyModel::Encoder(_)) {
        return pseudo::run(args, &trained, data.as_ref(), global);
    }
    let (documents, floor) = documents::asked_for(args, &trained, data.as_ref())?;
    if documents.iter().all(|document| document.ids.len() < 2) {
        return Err(usage("nothing to score: the first token is given, and there is no second"));
    }
    let n_documents = documents.len();
    let ngram = args.ngram.zip(data.as_ref());
    let ngram = ngram.map(|(order, data)| Baseline::new(usize::from(order), data, &documents)).transpose()?;
    drop(data);
    let device = trained.device.clone();
    let readings = readings(args, &trained, documents)?;
    if let Some(path) = &args.logits {
        write_logits(path, &readings)?;
    }
    let all: Vec<Read> = readings.into_iter().map(|reading| reading.read(global)).collect();
    if args.each {
        return print_each(&all);
    }
    let score = Score { ngram, ..Score::new(&all, n_documents, floor, device) };
    if global.json { line(score.json(&all)) } else { score.print(&all) }
}

/// Refuses, before anything is read, what can be told from the options alone.
fn check(args: &ScoreArgs, global: &Global) -> anyhow::Result<()> {
    if let Some(path) = &args.logits {
        if args.file.is_some() || args.held_out {
            return Err(usage("--logits are those of one --text or --ids, not of a --file"));
        }
        check_writable("--logits", path, "logits.json")?;
    }
    narrow::check_device(args.weights, &device(global)?.0)
}

/// What of the model reads the documents.
fn readings(args: &ScoreArgs, trained: &Trained, documents: Vec<Scored>) -> anyhow::Result<Vec<Reading>> {
    let reading = |(name, predictor, documents): Direction| {
        let ids = &documents[0].ids;
        let (most, context) = (predictor.most_ids(ids), predictor.config().seq_len);
        if args.logits.is_some() && ids.len() > most {
            return Err(usage(format!(
                "--logits: {} tokens are more than the {most} that fit in the model's context of {context}",
                ids.len()
            )));
        }
        let narrow = predictor.narrow(args.weights, &trained.device)?;
        Ok(Reading { name, predictor, narrow, documents })
    };
    directions(trained, documents)?.into_iter().map(reading).collect()
}

/// A way to read, the model that reads so, and what it reads.
type Direction = (Option<&'static str>, Predictor, Vec<Scored>);

/// The ways in which a model reads documents. What predicts shares the weights of the model.
fn directions(trained: &Trained, documents: Vec<Scored>) -> anyhow::Result<Vec<Direction>> {
    let (ends, tokenizer) = (trained.end_of_text(), trained.tokenizer.as_ref());
    Ok(match &trained.model {
        // A model that sees all of a prompt is given one token of each text: then every other is predicted from those before.
        AnyModel::Decoder(model) => {
            vec![(None, Predictor::Decoder(Box::new((**model).clone().reading_causally())), documents)]
        }
        AnyModel::Permutation(model) => vec![(None, Predictor::Permutation(model.clone()), documents)],
        AnyModel::EncoderDecoder(model) => {
            let writer = Writer::new((**model).clone(), tokenizer, ends)?;
            vec![(None, Predictor::EncoderDecoder(Box::new(writer)), documents)]
        }
        AnyModel::Bidirectional(model) => {
            let tokens = tokenizer.map(|tokenizer| tokenizer.token_table());
            let reversed = documents.iter().map(|document| document.reversed(tokens.as_ref())).collect();
            vec![
                (Some("forward"), Predictor::Decoder(Box::new(model.forward())), documents),
                (Some("backward"), Predictor::Decoder(Box::new(model.backward())), reversed),
            ]
        }
        AnyModel::Encoder(_) => unreachable!("scored in another way"),
    })
}

/// A line of JSON for each document; of a model that reads both ways, the mean of the two.
fn print_each(all: &[Read]) -> anyhow::Result<()> {
    for (index, document) in all[0].reading.documents.iter().enumerate() {
        let nats = all.iter().map(|read| read.nats[index].all).sum::<f64>() / all.len() as f64;
        let tokens = document.ids.len().saturating_sub(1);
        line(json!({"log_likelihood": -nats, "tokens": tokens, "bytes": document.bytes}))?;
    }
    Ok(())
}

/// What is said of all documents together; of a model that reads both ways, the mean of the two.
struct Score {
    nats: f64,
    f32_nats: f64,
    /// Those that bits per byte count.
    text_nats: f64,
    tokens: u64,
    bytes: u64,
    documents: usize,
    floor: Option<f64>,
    ngram: Option<Baseline>,
    device: String,
}

impl Score {
    fn new(all: &[Read], documents: usize, floor: Option<f64>, device: String) -> Self {
        let mean = |of: &dyn Fn(&Read) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        let scored = || all.iter().flat_map(|read| &read.reading.documents);
        let count = all.len() as u64;
        Self {
            nats: mean(&|read| sum(&read.nats)),
            f32_nats: mean(&|read| sum(&read.f32_nats)),
            text_nats: mean(&|read| read.nats.iter().map(|nats| nats.of_text).sum()),
            tokens: scored().map(|document| document.ids.len().saturating_sub(1) as u64).sum::<u64>() / count,
            bytes: scored().map(|document| document.bytes).sum::<u64>() / count,
            documents,
            floor,
            ngram: None,
            device,
        }
    }

    fn loss(&self) -> f64 {
        self.nats / self.tokens as f64
    }

    /// What narrow weights change, if these are; the embedding that two readings share counts for each.
    fn weights(&self, all: &[Read]) -> Option<Weights> {
        let narrow: Vec<&Narrow> = all.iter().filter_map(|read| read.reading.narrow.as_ref()).collect();
        let format = narrow.first()?.format.name();
        let sum = |of: &dyn Fn(&Narrow) -> usize| narrow.iter().map(|narrow| of(narrow)).sum();
        let (bytes, f32_bytes) = (sum(&|narrow| narrow.bytes), sum(&|narrow| narrow.f32_bytes));
        Some(Weights { format, bytes, f32_bytes, f32_loss: self.f32_nats / self.tokens as f64 })
    }

    fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.text_nats / (LN_2 * self.bytes as f64))
    }

    fn json(&self, all: &[Read]) -> serde_json::Value {
        let loss = self.loss();
        let mut result = json!({
            "log_likelihood": -self.nats, "tokens": self.tokens, "bytes": self.bytes, "documents": self.documents,
            "loss": loss, "perplexity": loss.exp(), "bits_per_byte": self.bits_per_byte(),
            "floor_bits_per_byte": self.floor, "device": self.device, "weights": "f32",
        });
        for read in all {
            if let Some(name) = read.reading.name {
                let nats = sum(&read.nats);
                let loss = nats / self.tokens as f64;
                result[name] = json!({"log_likelihood": -nats, "loss": loss, "perplexity": loss.exp()});
            }
        }
        if let Some(ngram) = &self.ngram {
            result["ngram"] = ngram.json();
        }
        if let Some(weights) = self.weights(all) {
            weights.add_to(&mut result, loss);
        }
        result
    }

    fn print(&self, all: &[Read]) -> anyhow::Result<()> {
        let loss = self.loss();
        line(format!("log-likelihood  {:.4} nats over {} tokens", -self.nats, self.tokens))?;
        for read in all {
            if let Some(name) = read.reading.name {
                let nats = sum(&read.nats);
                let perplexity = (nats / self.tokens as f64).exp();
                line(format!("  {name:<13} {:.4} nats, perplexity {perplexity:.4}", -nats))?;
            }
        }
        line(format!("loss            {loss:.4} nats a token"))?;
        line(format!("perplexity      {:.4}", loss.exp()))?;
        if let Some(weights) = self.weights(all) {
            weights.print(loss, 16)?;
        }
        if let Some(bits) = self.bits_per_byte() {
            line(format!("bits per byte   {bits:.4}"))?;
            if let Some(floor) = self.floor {
                line(format!("floor           {floor:.4} ({:.4} above what is possible)", bits - floor))?;
            }
        }
        self.ngram.as_ref().map_or(Ok(()), Baseline::print)
    }
}

/// What all documents cost together.
fn sum(nats: &[Nats]) -> f64 {
    nats.iter().map(|nats| nats.all).sum()
}

/// The logits at every position, as `logits_hf.py` reads them; those of a model that reads from the end beside.
fn write_logits(path: &Path, readings: &[Reading]) -> anyhow::Result<()> {
    let mut result = json!({});
    for reading in readings {
        let name = if reading.name == Some("backward") { "backward_logits" } else { "logits" };
        let ids = &reading.documents[0].ids;
        let logits = reading.asked().logits(ids);
        let rows: Vec<&[f32]> = logits.chunks(logits.len() / ids.len()).collect();
        result[name] = json!(rows);
    }
    let json = serde_json::to_string(&result)?;
    firebrand_durable::write(path, json.as_bytes()).with_context(|| path.display().to_string())
}
