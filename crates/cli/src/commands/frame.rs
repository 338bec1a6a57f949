//! What stands around texts that a model reads as a whole.

use super::masked::around;
use firebrand_finetune::Frame;
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::ModelKind;

/// The ids that a kind of model was trained to find around a text: a text begins after an end of text, and whoever reads from the
/// end begins there too; what the encoder of two stacks reads ends with one. Two texts have between them what ends one.
pub(crate) fn frame(kind: ModelKind, tokenizer: &Tokenizer) -> Frame {
    let end_of_text = tokenizer.end_of_text();
    let (before, after) = match kind {
        ModelKind::Decoder | ModelKind::Permutation => (end_of_text, None),
        ModelKind::Bidirectional => (end_of_text, end_of_text),
        ModelKind::Encoder => around(tokenizer),
        ModelKind::EncoderDecoder => (None, end_of_text),
    };
    Frame { before, between: after.or(end_of_text), after }
}
