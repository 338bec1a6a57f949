//! `--ngram`: what an n-gram model that was counted on the run's own training text makes of the same documents.

use super::documents::Scored;
use super::run_data::RunData;
use crate::exit::usage;
use crate::output::{line, thousands};
use firebrand_corpus::sources::Split;
use firebrand_decode::{NgramCounts, NgramModel};
use serde_json::{Value, json};
use std::f64::consts::LN_2;

/// About 4 GB of them.
const MOST: usize = 1 << 26;

/// A model to compare with, and what the documents cost it.
pub(super) struct Baseline {
    model: NgramModel,
    /// Tokens it was counted on.
    counted: usize,
    nats: f64,
    tokens: usize,
    bytes: u64,
}

impl Baseline {
    pub(super) fn new(order: usize, data: &RunData, documents: &[Scored]) -> anyhow::Result<Self> {
        let mut counts = NgramCounts::new(order, MOST);
        let mut counted = 0;
        for document in data.documents(Split::Train)? {
            counted += document.len() - 1;
            counts.learn(&document).map_err(|_| {
                usage(format!(
                    "--ngram {order}: the training text has more than {} different n-grams; a lower order has fewer",
                    thousands(MOST as u64)
                ))
            })?;
        }
        let model = counts.model(data.vocab_size());
        let nats = documents.iter().map(|document| model.nats(&document.ids)).sum();
        let tokens = documents.iter().map(|document| document.ids.len().saturating_sub(1)).sum();
        let bytes = documents.iter().map(|document| document.bytes).sum();
        Ok(Self { model, counted, nats, tokens, bytes })
    }

    fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.nats / (LN_2 * self.bytes as f64))
    }

    pub(super) fn json(&self) -> Value {
        let loss = self.nats / self.tokens as f64;
        json!({
            "order": self.model.order(), "ngrams": self.model.len(), "counted_tokens": self.counted,
            "log_likelihood": -self.nats, "loss": loss, "perplexity": loss.exp(), "bits_per_byte": self.bits_per_byte(),
        })
    }

    pub(super) fn print(&self) -> anyhow::Result<()> {
        let perplexity = (self.nats / self.tokens as f64).exp();
        let bits = self.bits_per_byte().map_or(String::new(), |bits| format!("{bits:.4} bits per byte, "));
        line(format!(
            "{:<16}{bits}perplexity {perplexity:.4} ({} n-grams of {} tokens)",
            format!("{}-gram model", self.model.order()),
            thousands(self.model.len() as u64),
            thousands(self.counted as u64)
        ))
    }
}
