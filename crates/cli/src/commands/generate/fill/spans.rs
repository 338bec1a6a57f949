//! Blanks for encoder–decoders: the encoder reads a sentinel or a mask for each, the decoder writes the spans, or the whole text.

use super::around_blanks;
use crate::commands::generate::encoder_decoder::Knows;
use crate::exit::usage;
use firebrand_pretrain::Mode;
use firebrand_tokenizer::Tokenizer;

/// A text with blanks, as the model sees it.
pub(in super::super) struct Blanks {
    /// The text.
    pub(in super::super) text: String,
    /// What stands between the blanks, without the space before each, which belongs to the blank.
    parts: Vec<String>,
    /// That space.
    spaces: Vec<String>,
    /// What the encoder reads.
    pub(in super::super) input: Vec<u32>,
    /// What the decoder begins with, behind its own start.
    pub(in super::super) begin: Vec<u32>,
}

impl Blanks {
    /// `ends` is the id that ends what the encoder reads.
    pub(in super::super) fn new(
        text: &str,
        knows: &Knows,
        tokenizer: &Tokenizer,
        ends: Option<u32>,
    ) -> anyhow::Result<Self> {
        let mut parts: Vec<String> = around_blanks(text)?.into_iter().map(String::from).collect();
        let n_blanks = parts.len() - 1;
        let mut spaces = Vec::with_capacity(n_blanks);
        for part in &mut parts[..n_blanks] {
            let end = part.trim_end_matches(' ').len();
            spaces.push(part.split_off(end));
        }
        let blank = |number: usize| match knows {
            Knows { sentinels, .. } if number < sentinels.len() => Ok(sentinels.id(number)),
            Knows { sentinels, mask: Some(mask), .. } if sentinels.is_empty() => Ok(*mask),
            Knows { sentinels, .. } if sentinels.is_empty() => Err(usage(
                "--fill: this model has no token for a blank: its tokenizer has neither <extra_id_0> nor [MASK]",
            )),
            Knows { sentinels, .. } => Err(usage(format!(
                "--fill: {n_blanks} blanks, and this model was trained with {} at most",
                sentinels.len()
            ))),
        };
        let mut input: Vec<u32> = knows.modes.iter().map(|modes| modes.id(Mode::R)).collect();
        for (number, part) in parts.iter().enumerate() {
            input.extend(tokenizer.encode(part));
            if number < n_blanks {
                input.push(blank(number)?);
            }
        }
        input.extend(ends);
        let begin = if knows.sentinels.is_empty() { vec![] } else { vec![knows.sentinels.id(0)] };
        Ok(Self { text: text.to_owned(), parts, spaces, input, begin })
    }

    /// The text with what the decoder wrote in the blanks, and the spans, which a model that writes the whole text does not mark.
    pub(in super::super) fn filled(
        &self,
        written: &[u32],
        knows: &Knows,
        tokenizer: &Tokenizer,
    ) -> anyhow::Result<(String, Option<Vec<String>>)> {
        let table = tokenizer.token_table();
        let text = |ids: &[u32]| -> anyhow::Result<String> {
            let ids: Vec<u32> = ids.iter().copied().filter(|&id| !table.is_special(id)).collect();
            Ok(tokenizer.decode(&ids)?)
        };
        if knows.sentinels.is_empty() {
            return Ok((text(written)?, None));
        }
        let (mut whole, mut spans) = (self.parts[0].clone(), Vec::new());
        let written = knows.sentinels.spans(&[&self.begin, written].concat());
        for ((span, space), part) in written.iter().zip(&self.spaces).zip(&self.parts[1..]) {
            let span = text(span)?;
            if !span.starts_with(char::is_whitespace) {
                whole.push_str(space);
            }
            whole.push_str(&span);
            whole.push_str(part);
            spans.push(span);
        }
        Ok((whole, Some(spans)))
    }
}
