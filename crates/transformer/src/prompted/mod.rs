//! A model that is asked which answer it finds probable: alone, or behind a prompt that was trained in the place of words.
//!
//! A row begins with the id that every text begins with (an end of text, `[CLS]`). A soft prompt stands in the place of that id, so that one
//! that is made of words is these words; a prefix stands in front of it.

mod prompt;

pub use prompt::{Beginning, Prefix, SoftPrompt, TrainedPrompt};

use crate::TransformerError;
use crate::cache::Cache;
use crate::classifier::{Body, Padded, Sequence};
use crate::config::{ModelConfig, ModelKind};
use crate::decoder::Decoder;
use crate::dropout::Dropout;
use crate::hugging_face::{AdapterFolder, SaveAdapters};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use firebrand_backend::ops::AttentionMask;
use std::path::Path;

/// A decoder, or an encoder with a head for masked tokens, and perhaps a prompt in front of all that it reads.
#[derive(Module, Debug)]
pub struct Prompted {
    body: Body,
    prompt: Option<TrainedPrompt>,
}

impl Prompted {
    /// `body` behind `prompt`.
    ///
    /// # Errors
    /// When this kind of model cannot be asked so, or the prompt is not for it.
    pub fn new(body: Body, prompt: Option<TrainedPrompt>) -> Result<Self, TransformerError> {
        check(body.config(), prompt.as_ref())?;
        Ok(Self { body, prompt })
    }

    /// What reads.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// What stands in front.
    pub fn prompt(&self) -> Option<&TrainedPrompt> {
        self.prompt.as_ref()
    }

    /// Where its weights are.
    pub fn device(&self) -> Device {
        self.body.device()
    }

    /// This model with activation checkpointing on or off.
    #[must_use]
    pub fn with_checkpointing(self, checkpointing: bool) -> Self {
        Self { body: self.body.with_checkpointing(checkpointing), ..self }
    }

    /// The states of rows of ids, each at least one: `[rows, longest, d_model]`. A decoder's tokens see those before them, an encoder's all
    /// of their row. Where a soft prompt stands in the place of the first id, the first state is that of its last vector. Behind a prompt
    /// nothing is dropped.
    ///
    /// # Panics
    /// When there is no row, or one is empty.
    pub fn states(&self, rows: &[&[u32]], mut dropout: Option<&mut Dropout>) -> Tensor<3> {
        let padded = Padded::new(rows.iter().map(|ids| Sequence { ids, second: None }), &self.device());
        if let Some(dropout) = &mut dropout {
            dropout.for_lens(padded.lens());
        }
        match (&self.body, &self.prompt) {
            (Body::Decoder(decoder), None) => decoder.hidden(padded.ids(), &AttentionMask::Causal, dropout),
            (Body::Decoder(decoder), Some(prompt)) => {
                let (mut cache, last) = prompt.read_by(decoder);
                cache.reorder(&vec![0; rows.len()]);
                step_behind(decoder, last, rows, &mut cache)
            }
            (Body::Encoder(encoder), None) => {
                encoder.hidden(padded.ids(), None, &padded.both_sides(), dropout)
            }
            (Body::Encoder(encoder), Some(TrainedPrompt::Soft(prompt))) => {
                let more = prompt.len() - 1;
                let mask = match padded.both_sides() {
                    AttentionMask::Prefix(lens) => {
                        AttentionMask::Prefix(lens.iter().map(|len| len + more).collect())
                    }
                    full => full,
                };
                encoder.hidden_behind(prompt.vectors(), padded.ids(), &mask)
            }
            _ => unreachable!("refused when it was made"),
        }
    }

    /// `−log P` of each target, in nats: `[n, d_model]` and `[n]` to `[n]`.
    pub fn nats(&self, states: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        match &self.body {
            Body::Decoder(decoder) => decoder.nats(states, targets),
            Body::Encoder(encoder) => encoder.masked_nats(states, targets),
            _ => unreachable!("refused when it was made"),
        }
    }
}

impl SaveAdapters for Prompted {
    fn save_adapters(
        &self,
        dir: &Path,
        end_of_text: Option<u32>,
        folder: AdapterFolder<'_>,
    ) -> Result<(), TransformerError> {
        match &self.body {
            Body::Decoder(decoder) => decoder.save_adapters(dir, end_of_text, folder),
            Body::Encoder(encoder) => encoder.save_adapters(dir, end_of_text, folder),
            _ => unreachable!("refused when it was made"),
        }
    }
}

/// Feeds rows behind a prompt, of which `cache` holds what `last` is the last state of; `last` is that of each row's first id then.
fn step_behind(decoder: &Decoder, last: Option<Tensor<3>>, rows: &[&[u32]], cache: &mut Cache) -> Tensor<3> {
    let Some(last) = last else { return decoder.step(rows, cache) };
    let last = last.repeat_dim(0, rows.len());
    let behind: Vec<&[u32]> = rows.iter().map(|row| &row[1..]).collect();
    match behind.iter().all(|row| row.is_empty()) {
        true => last,
        false => Tensor::cat(vec![last, decoder.step(&behind, cache)], 1),
    }
}

/// Refuses models and prompts that do not go together.
fn check(config: &ModelConfig, prompt: Option<&TrainedPrompt>) -> Result<(), TransformerError> {
    let fail = |message: String| Err(TransformerError::Config(message));
    let kind = config.kind.name();
    match (config.kind, prompt) {
        (ModelKind::Decoder, _) | (ModelKind::Encoder, None | Some(TrainedPrompt::Soft(_))) => {}
        (ModelKind::Encoder, Some(TrainedPrompt::Prefix(_))) => {
            return fail("a prefix is for decoders, and this is an encoder: give it a soft prompt".into());
        }
        _ => {
            return fail(format!(
                "prompts are trained with decoders and with encoders of the objective masked, and this is a {kind} model"
            ));
        }
    }
    if config.kind == ModelKind::Encoder && !config.heads.masked {
        return fail(
            "this encoder predicts no tokens: it has no head for masked ones, and so no answers".into(),
        );
    }
    let Some(prompt) = prompt else { return Ok(()) };
    let ([n, width], wanted) = (prompt.shape(), prompt.width_for(config));
    if width != wanted {
        return fail(format!("the prompt is of vectors of {width} numbers, and this model's have {wanted}"));
    }
    // One for the id that a text begins with, and one for a token of it.
    if prompt.taken() + 2 > config.seq_len {
        return fail(format!(
            "a prompt of {n} leaves no room for a text in the model's context of {}: make it shorter",
            config.seq_len
        ));
    }
    Ok(())
}
