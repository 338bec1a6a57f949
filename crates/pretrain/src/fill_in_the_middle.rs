//! Causal language modelling of texts some of which are rewritten so that their middle comes last [Bavarian 2022,
//! <https://arxiv.org/abs/2207.14255>]: whoever goes on with such a text fills a gap in it.
//!
//! A document becomes `<pre> prefix <suf> suffix <mid> middle <end of text>`. All of its tokens are targets, as in the paper.

use crate::causal::{Causal, CausalBatch};
use crate::draws::Draws;
use crate::masking::check_part;
use burn::tensor::Device;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::Decoder;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The section `[fill_in_the_middle]` of a config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FillInTheMiddleConfig {
    /// How likely a document is rewritten.
    pub probability: f64,
}

impl Default for FillInTheMiddleConfig {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

impl FillInTheMiddleConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        check_part("fill_in_the_middle.probability", self.probability)
    }
}

/// The tokens that a rewritten document has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MiddleTokens {
    /// Stands before the prefix.
    pub prefix: u32,
    /// Stands before the suffix.
    pub suffix: u32,
    /// Stands before the middle.
    pub middle: u32,
    /// Stands between documents, and ends each that is rewritten.
    pub end_of_text: u32,
}

impl MiddleTokens {
    /// How the first three are written, in their order.
    pub const NAMES: [&'static str; 3] = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"];

    /// Those of a tokenizer, if it has all of them; `id` is what it says of a special token's name.
    pub fn of(id: impl Fn(&str) -> Option<u32>, end_of_text: Option<u32>) -> Option<Self> {
        let [prefix, suffix, middle] = Self::NAMES.map(id);
        Some(Self { prefix: prefix?, suffix: suffix?, middle: middle?, end_of_text: end_of_text? })
    }

    /// What a model is given that is to say what stands between two texts.
    pub fn prompt(&self, before: &[u32], after: &[u32]) -> Vec<u32> {
        [&[self.prefix], before, &[self.suffix], after, &[self.middle]].concat()
    }

    /// A row with some of its documents rewritten: of as many ids as before.
    ///
    /// A document is what stands between two ends of text, or one of them and an end of the row. Each that is rewritten is four ids
    /// longer, or three where an end of text followed it already, and the last ones of the row are lost for that: documents take the
    /// room that there is one after the other, and one that finds less than it needs is cut at its end *before* it is rewritten. So
    /// every middle is whole and followed by an end of text, from which a model learns where to stop; behind a document that the row
    /// has cut, that stands for the end of the part that is there.
    fn rewrite(&self, row: &[u32], probability: f64, draws: &mut Draws) -> Vec<u32> {
        let mut rewritten = Vec::with_capacity(row.len());
        let mut rest = row;
        while rewritten.len() < row.len() {
            let end = rest.iter().position(|&id| id == self.end_of_text).unwrap_or(rest.len());
            let (document, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or(&[]);
            let room = row.len() - rewritten.len();
            let is_chosen = draws.happens(probability);
            if !is_chosen || document.is_empty() || room < 5 {
                rewritten.extend(document.iter().chain(behind.first()).take(room));
                continue;
            }
            let document = &document[..document.len().min(room - 4)];
            let cuts = [0; 2].map(|_| draws.below(document.len() + 1));
            let (start, end) = (cuts[0].min(cuts[1]), cuts[0].max(cuts[1]));
            rewritten.extend(self.prompt(&document[..start], &document[end..]));
            rewritten.extend(&document[start..end]);
            rewritten.push(self.end_of_text);
        }
        rewritten
    }
}

/// The objective of fill-in-the-middle. In evaluation nothing is rewritten: the held-out loss is that of causal language
/// modelling and compares with it, as do its bits per byte. What it has more than that is, behind each end of text, the surprise that
/// the document was not rewritten: about `−ln(1 − probability)` nats.
#[derive(Debug, Clone)]
pub struct FillInTheMiddle {
    /// How likely a document is rewritten.
    pub probability: f64,
    /// What it is rewritten with.
    pub tokens: MiddleTokens,
    /// What is done with the rows then.
    pub causal: Causal,
}

impl FillInTheMiddle {
    /// The rows that are trained on.
    pub fn rewrite(&self, rows: &TokenBatch, key: BatchKey) -> TokenBatch {
        let rewrite = |row| {
            let mut draws = Draws::new("middle", key, row);
            self.tokens.rewrite(rows.row(row), self.probability, &mut draws)
        };
        TokenBatch { ids: (0..rows.rows).flat_map(rewrite).collect(), ..*rows }
    }
}

impl Objective for FillInTheMiddle {
    type Model = Decoder;
    type Rows = TokenBatch;
    type Batch = CausalBatch;
    type Answers = ();

    fn prepare(&self, rows: &TokenBatch, key: BatchKey, device: &Device) -> CausalBatch {
        match key.training {
            true => self.causal.prepare(&self.rewrite(rows, key), key, device),
            false => self.causal.prepare(rows, key, device),
        }
    }

    fn counts(&self, batch: &CausalBatch) -> Vec<u64> {
        self.causal.counts(batch)
    }

    fn loss(&self, model: &Decoder, batch: CausalBatch) -> Vec<Term> {
        self.causal.loss(model, batch)
    }

    fn text_nats(&self, terms: &[(&'static str, f64, u64)]) -> Option<f64> {
        self.causal.text_nats(terms)
    }

    fn export(&self, model: &Decoder, dir: &Path) -> Result<(), TrainingError> {
        self.causal.export(model, dir)
    }
}
