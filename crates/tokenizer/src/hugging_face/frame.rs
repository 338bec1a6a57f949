//! Reading what a file puts around every text: the post-processor.

use super::read::Source;
use super::schema::{in_turn, kind};
use crate::TokenizerError;
use crate::tokenizer::Frame;
use crate::vocabulary::Vocabulary;
use serde_json::Value;

/// The tokens around a text. Only a template's `single` matters: we never encode pairs.
pub(super) fn read_frame(post_processor: &Value, source: Source<'_>) -> Result<Frame, TokenizerError> {
    let mut frame = Frame::default();
    for part in in_turn(post_processor, "processors") {
        match kind(part) {
            // It only trims offsets.
            "ByteLevel" => {}
            "TemplateProcessing" => {
                let single = part.get("single").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let mut at_text = false;
                for piece in single {
                    match piece.pointer("/SpecialToken/id").and_then(Value::as_str) {
                        None => at_text = true,
                        Some(name) if at_text => frame.after.extend(template_ids(part, name, source)?),
                        Some(name) => frame.before.extend(template_ids(part, name, source)?),
                    }
                }
            }
            kind => {
                return Err(source.unsupported("post_processor", kind, "ByteLevel and TemplateProcessing"));
            }
        }
    }
    Ok(frame)
}

fn template_ids(template: &Value, name: &str, source: Source<'_>) -> Result<Vec<u32>, TokenizerError> {
    let ids =
        template.get("special_tokens").and_then(|tokens| tokens.get(name)).and_then(|token| token.get("ids"));
    let ids = ids.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let read: Option<Vec<u32>> =
        ids.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok())).collect();
    read.filter(|ids| !ids.is_empty())
        .ok_or_else(|| source.malformed("post_processor", format!("the template gives no ids for {name:?}")))
}

/// # Errors
/// When an id around a text is that of no token.
pub(super) fn check_frame(
    frame: &Frame,
    vocabulary: &Vocabulary,
    source: Source<'_>,
) -> Result<(), TokenizerError> {
    for &id in frame.before.iter().chain(&frame.after) {
        vocabulary.bytes(id).map_err(|error| source.malformed("post_processor", error.to_string()))?;
    }
    Ok(())
}
