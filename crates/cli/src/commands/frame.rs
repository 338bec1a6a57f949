//! What stands around texts that a model reads as a whole.

use firebrand_finetune::Frame;
use firebrand_pretrain::NextSentence;
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::ModelKind;

/// The ids that a kind of model was trained to find around a text: a text begins after an end of text, and whoever reads from the
/// end begins there too; what the encoder of two stacks reads ends with one. Two texts have between them what ends one.
pub(crate) fn frame(kind: ModelKind, tokenizer: &Tokenizer) -> Frame {
    let end_of_text = tokenizer.end_of_text();
    let (before, after) = match kind {
        ModelKind::Decoder | ModelKind::Permutation => (end_of_text, None),
        ModelKind::Bidirectional => (end_of_text, end_of_text),
        ModelKind::Encoder => marks(tokenizer),
        ModelKind::EncoderDecoder => (None, end_of_text),
    };
    Frame { before, between: after.or(end_of_text), after }
}

/// `[CLS]` and `[SEP]` where the tokenizer has them, else ends of text. Whether the model knew the marks before does not matter: it
/// learns them with its head.
fn marks(tokenizer: &Tokenizer) -> (Option<u32>, Option<u32>) {
    match NextSentence::TOKENS.map(|name| tokenizer.token_to_id(name)) {
        [Some(cls), Some(sep)] => (Some(cls), Some(sep)),
        _ => (tokenizer.end_of_text(), tokenizer.end_of_text()),
    }
}
