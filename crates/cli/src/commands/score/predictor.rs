//! What predicts the tokens of a text from those before.

use super::documents::Scored;
use crate::exit::usage;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{AnyModel, Decoder, FactorizationOrder, Model, Permutation};

/// A model, and the order in which it is asked.
pub(super) enum Predictor {
    Decoder(Box<Decoder>),
    /// Asked from left to right, which is one order among others to it.
    Permutation(Box<Permutation>),
}

/// A way of reading texts: its name, where a model has several, what predicts, and the texts as they are read.
pub(super) type Direction = (Option<&'static str>, Predictor, Vec<Scored>);

/// The ways in which a model reads texts; none where it predicts no token from those before alone.
pub(super) fn directions(
    model: &AnyModel,
    tokenizer: Option<&Tokenizer>,
    documents: Vec<Scored>,
) -> Vec<Direction> {
    match model {
        AnyModel::EncoderDecoder(_) | AnyModel::Encoder(_) => Vec::new(),
        // A model that sees all of a prompt is given one token of each text: then every other is predicted from those before.
        AnyModel::Decoder(model) => {
            let model = Decoder::clone(model).reading_causally();
            vec![(None, Predictor::Decoder(Box::new(model)), documents)]
        }
        AnyModel::Permutation(model) => vec![(None, Predictor::Permutation(model.clone()), documents)],
        AnyModel::Bidirectional(model) => {
            let tokens = tokenizer.map(Tokenizer::token_table);
            let reversed = documents.iter().map(|document| document.reversed(tokens.as_ref())).collect();
            let [forward, backward] =
                [model.forward(), model.backward()].map(|model| Predictor::Decoder(Box::new(model)));
            vec![(Some("forward"), forward, documents), (Some("backward"), backward, reversed)]
        }
    }
}

impl Predictor {
    /// How many tokens it predicts at once, from those before and one that is given.
    pub(super) fn most_targets(&self) -> usize {
        match self {
            Self::Decoder(model) => model.config().seq_len,
            // What it predicts has a position of its own.
            Self::Permutation(model) => model.config().seq_len - 1,
        }
    }

    pub(super) fn device(&self) -> Device {
        match self {
            Self::Decoder(model) => model.device(),
            Self::Permutation(model) => model.device(),
        }
    }

    /// `−log P` of each id but the first, from those before: `[rows, seq + 1]` to `[rows · seq]`.
    pub(super) fn nats(&self, ids: Tensor<2, Int>) -> Tensor<1> {
        let [rows, len] = ids.dims();
        let seq = len - 1;
        let targets = ids.clone().narrow(1, 1, seq).reshape([rows * seq]);
        let flat = |states: Tensor<3>| {
            let d_model = states.dims()[2];
            states.reshape([rows * seq, d_model])
        };
        match self {
            Self::Decoder(model) => {
                let states = model.hidden(ids.narrow(1, 0, seq), &AttentionMask::Causal, None);
                model.nats(flat(states), targets)
            }
            Self::Permutation(model) => {
                let orders = vec![FactorizationOrder::left_to_right(len); rows];
                model.decoder().nats(flat(model.predictions(ids, &orders, None)), targets)
            }
        }
    }

    /// The logits behind every one of `ids`, `[ids, vocab]`.
    pub(super) fn logits(&self, ids: &[u32]) -> anyhow::Result<Vec<f32>> {
        let Self::Decoder(model) = self else {
            return Err(usage("--logits are those of a decoder, and this model predicts in any order"));
        };
        let len = ids.len();
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, len]), &model.device());
        let hidden = model.hidden(ids, &AttentionMask::Causal, None);
        let logits = model.logits(hidden.reshape([len, model.config().d_model]));
        Ok(logits.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now"))
    }
}
