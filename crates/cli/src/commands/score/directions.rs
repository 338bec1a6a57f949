//! The ways in which models read texts.

use super::documents::Scored;
use firebrand_prompt::score::Predictor;
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{AnyModel, Decoder};

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
