//! What an encoder with a head for masked tokens says of hidden tokens.

use crate::config::MASK;
use crate::exit::usage;
use crate::run::Trained;
use firebrand_decode::processors::log_sum_exp;
use firebrand_prompt::score::{Slots, mask_logits};
use firebrand_tokenizer::{TokenTable, Tokenizer};
use firebrand_transformer::{AnyModel, Encoder, Model};

/// A model that predicts tokens behind masks.
pub(crate) struct Masked<'a> {
    pub(crate) model: &'a Encoder,
    pub(crate) tokenizer: &'a Tokenizer,
    table: TokenTable,
    /// The id of the mask.
    pub(crate) mask: u32,
}

impl<'a> Masked<'a> {
    /// `trained`, if it is such a model.
    pub(crate) fn new(trained: &'a Trained) -> anyhow::Result<Self> {
        let AnyModel::Encoder(model) = &trained.model else {
            return Err(usage(
                "this model has no masks to predict: the objective masked trains one that has",
            ));
        };
        if !model.config().heads.masked {
            let trained_for = match model.config().heads.replaced {
                true => "it was trained to find replaced tokens",
                false => "it has no head for masked tokens",
            };
            return Err(usage(format!(
                "this encoder predicts no tokens ({trained_for}): `firebrand embed` shows its states; a model of the objective \
                 masked fills blanks and scores texts"
            )));
        }
        let tokenizer = trained.tokenizer()?;
        let mask = mask_of(tokenizer)
            .ok_or_else(|| usage(format!("the tokenizer of this model has no {MASK} token")))?;
        Ok(Self { model, tokenizer, table: tokenizer.token_table(), mask })
    }

    /// Whether a token stands for text.
    pub(crate) fn is_ordinary(&self, id: u32) -> bool {
        (id as usize) < self.table.len() && !self.table.is_special(id)
    }

    /// The ids of a text between those that stand around one: what is predicted, and what is seen beside.
    pub(crate) fn around(&self, ids: &[u32]) -> Vec<u32> {
        let (before, after) = around(self.tokenizer);
        before.into_iter().chain(ids.iter().copied()).chain(after).collect()
    }

    /// The most tokens that the model sees at once.
    pub(crate) fn context(&self) -> usize {
        self.model.config().seq_len
    }

    /// The log-probabilities of all tokens at one position of each row: `rows` are of one length, each with its position.
    pub(crate) fn log_probs(&self, rows: &[(Vec<u32>, usize)]) -> Vec<Vec<f32>> {
        let slots: Vec<Slots> =
            rows.iter().map(|(ids, at)| Slots { ids: ids.clone(), places: vec![*at] }).collect();
        let logits = mask_logits(self.model, &slots.iter().collect::<Vec<_>>());
        let log_probs = |logits: &[f32]| {
            let sum = log_sum_exp(logits);
            logits.iter().map(|&logit| (f64::from(logit) - sum) as f32).collect()
        };
        logits.chunks_exact(self.model.config().vocab_size).map(log_probs).collect()
    }
}

/// The token that stands for a hidden one.
pub(crate) fn mask_of(tokenizer: &Tokenizer) -> Option<u32> {
    [MASK, "<mask>"].iter().find_map(|name| tokenizer.token_to_id(name))
}

/// What stands before and behind a text for an encoder: `[CLS]` and `[SEP]` where the tokenizer has them, else ends of text, as in
/// the stream of tokens that it was trained on.
pub(crate) fn around(tokenizer: &Tokenizer) -> (Option<u32>, Option<u32>) {
    let id = |name| tokenizer.token_to_id(name);
    match (id("[CLS]"), id("[SEP]")) {
        (Some(cls), Some(sep)) => (Some(cls), Some(sep)),
        _ => (tokenizer.end_of_text(), tokenizer.end_of_text()),
    }
}
