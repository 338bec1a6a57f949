//! What a text costs an encoder–decoder that has read nothing of it: the decoder writes the whole text for an input of one blank
//! (`<extra_id_0>`, or `[MASK]`; after `[S]` where the model knows modes), or of nothing but an end of text where it knows none.

use super::predictor::{flat, numbers, padded};
use super::windows::Window;
use crate::commands::generate::Knows;
use crate::exit::usage;
use burn::tensor::Tensor;
use firebrand_pretrain::Mode;
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{EncoderDecoder, Model};

/// A model that writes texts.
pub(super) struct Writer {
    model: EncoderDecoder,
    given: Given,
}

/// What the encoder reads, and what the decoder has written before the text.
#[derive(Clone)]
struct Given {
    input: Vec<u32>,
    begin: Vec<u32>,
    /// Ends texts; it stands before one that models continue, and here the beginning takes its place.
    ends: Option<u32>,
}

impl Writer {
    /// `ends` is the id that ends texts.
    pub(super) fn new(
        model: EncoderDecoder,
        tokenizer: Option<&Tokenizer>,
        ends: Option<u32>,
    ) -> anyhow::Result<Self> {
        let knows = Knows::new(&model, tokenizer)?;
        let sentinel = knows.sentinels.first();
        let mode = knows.modes.map(|modes| modes.id(Mode::S));
        let input: Vec<u32> = mode.into_iter().chain(sentinel.or(knows.mask)).chain(ends).collect();
        // Without a tokenizer there may be no end of text: then what the decoder begins with is all that is read.
        let input = if input.is_empty() { vec![knows.start] } else { input };
        let begin: Vec<u32> = [knows.start].into_iter().chain(sentinel).collect();
        let context = model.config().seq_len;
        match context > begin.len() {
            true => Ok(Self { model, given: Given { input, begin, ends } }),
            false => Err(usage(format!("the model's context of {context} leaves no room for a text"))),
        }
    }

    /// The same with another model of its shape.
    pub(super) fn with(&self, model: EncoderDecoder) -> Self {
        Self { model, given: self.given.clone() }
    }

    pub(super) fn model(&self) -> &EncoderDecoder {
        &self.model
    }

    /// How many tokens of a text it writes at once.
    pub(super) fn most_targets(&self) -> usize {
        self.model.config().seq_len - self.given.begin.len()
    }

    /// How many ids that begin like `ids` it can write, and one more.
    pub(super) fn most_ids(&self, ids: &[u32]) -> usize {
        self.model.config().seq_len + ids.len() - self.given.written(ids).len()
    }

    /// `−log P` of each id but the first of each window, from those before.
    pub(super) fn target_nats(&self, batch: &[Window]) -> Vec<Vec<f64>> {
        let rows: Vec<Vec<u32>> = batch.iter().map(|window| self.given.written(&window.ids)).collect();
        let before: Vec<&[u32]> = rows.iter().map(|row| &row[..row.len() - 1]).collect();
        let targets: Vec<&[u32]> = rows.iter().map(|row| &row[1..]).collect();
        let longest = targets.iter().map(|row| row.len()).max().unwrap_or(1);
        let hidden = self.hidden(&before, longest);
        let targets = padded(&targets, longest, &self.model.device()).reshape([rows.len() * longest]);
        let nats = numbers(self.model.nats(hidden, targets));
        let of_window = |((window, before), nats): ((&Window, &&[u32]), &[f32])| {
            let counted = before.len() - (window.ids.len() - 1)..before.len();
            nats[counted].iter().map(|&nats| f64::from(nats)).collect()
        };
        batch.iter().zip(&before).zip(nats.chunks(longest)).map(of_window).collect()
    }

    /// The logits behind every one of `ids`, `[ids, vocab]`.
    pub(super) fn logits(&self, ids: &[u32]) -> Vec<f32> {
        let written = self.given.written(ids);
        let hidden = self.hidden(&[written.as_slice()], written.len());
        numbers(self.model.logits(hidden.narrow(0, written.len() - ids.len(), ids.len())))
    }

    /// The decoder's states behind what it has written, `[rows · len, d_model]`.
    fn hidden(&self, written: &[&[u32]], len: usize) -> Tensor<2> {
        let (device, rows, input) = (self.model.device(), written.len(), &self.given.input);
        let read = padded(&vec![input.as_slice(); rows], input.len(), &device);
        let encoded = self.model.encode(read, &vec![input.len(); rows], None);
        let lens: Vec<usize> = written.iter().map(|row| row.len()).collect();
        flat(self.model.hidden(&encoded, padded(written, len, &device), &lens, None))
    }
}

impl Given {
    /// What the decoder writes where `ids` are asked for, which are the last of it; or the beginning stands for the first of them.
    fn written(&self, ids: &[u32]) -> Vec<u32> {
        let text = match ids.split_first() {
            Some((&first, text)) if Some(first) == self.ends => text,
            _ => ids,
        };
        [self.begin.as_slice(), text].concat()
    }
}
