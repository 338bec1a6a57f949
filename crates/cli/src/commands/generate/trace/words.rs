//! What a token looks like on the page.

use crate::html;
use firebrand_tokenizer::{TokenTable, Tokenizer};

/// The tokens of a model, or their ids where there is no tokenizer.
pub(super) struct Words<'t>(Option<(&'t Tokenizer, TokenTable)>);

impl<'t> Words<'t> {
    pub(super) fn new(tokenizer: Option<&'t Tokenizer>) -> Self {
        Self(tokenizer.map(|tokenizer| (tokenizer, tokenizer.token_table())))
    }

    /// The bytes that a token stands for, or else its name.
    fn spelling(&self, id: u32) -> Result<&[u8], String> {
        // llama2.c's begin with a line of their own.
        let named = |tokenizer: &Tokenizer| tokenizer.id_to_token(id).map(|name| name.trim().to_owned());
        match &self.0 {
            // A vocabulary may be larger than its tokenizer's.
            Some((_, table)) if id as usize >= table.len() => Err(format!("id {id}")),
            Some((_, table)) if !table.bytes(id).is_empty() => Ok(table.bytes(id)),
            Some((tokenizer, _)) => Err(named(tokenizer).unwrap_or_else(|| format!("id {id}"))),
            None => Err(format!("id {id}")),
        }
    }

    /// As HTML, in which white space and bytes of split characters are marked.
    pub(super) fn html(&self, id: u32) -> String {
        let mut shown = String::new();
        match self.spelling(id) {
            Ok(bytes) => html::bytes(&mut shown, bytes),
            Err(name) => {
                html::write(&mut shown, format_args!("<b class=\"special\">{}</b>", html::escaped(name)));
            }
        }
        shown
    }

    /// The same behind others, of which `behind` holds the bytes of a character that they began and did not end: it is shown with
    /// its last byte.
    pub(super) fn html_behind(&self, behind: &mut Vec<u8>, id: u32) -> String {
        let Ok(bytes) = self.spelling(id) else {
            behind.clear();
            return self.html(id);
        };
        let before = behind.len();
        behind.extend_from_slice(bytes);
        let whole = |end: &usize| std::str::from_utf8(&behind[..*end]).is_ok();
        let ends = (before + 1..=behind.len().min(4)).find(whole).filter(|_| before > 0);
        let mut shown = String::new();
        match ends {
            Some(end) => {
                html::hexadecimal(&mut shown, &behind[before..end]);
                html::bytes(&mut shown, &behind[..end]);
                html::bytes(&mut shown, &behind[end..]);
            }
            None => html::bytes(&mut shown, bytes),
        }
        let begun = behind.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
        behind.drain(..behind.len() - begun);
        shown
    }

    /// Tokens as they stand together, and the bytes of a character that they begin and do not end.
    pub(super) fn run(&self, ids: &[u32]) -> (String, Vec<u8>) {
        let (mut shown, mut together) = (String::new(), Vec::new());
        for &id in ids {
            match self.spelling(id) {
                Ok(bytes) => together.extend_from_slice(bytes),
                Err(_) => {
                    html::bytes(&mut shown, &std::mem::take(&mut together));
                    shown += &self.html(id);
                }
            }
        }
        html::bytes(&mut shown, &together);
        let begun = together.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
        (shown, together.split_off(together.len() - begun))
    }

    /// Tokens as one line of text, not as HTML.
    pub(super) fn plain(&self, ids: &[u32]) -> String {
        let (mut shown, mut together) = (String::new(), Vec::new());
        for &id in ids {
            match self.spelling(id) {
                Ok(bytes) => together.extend_from_slice(bytes),
                Err(name) => {
                    shown += &line(&std::mem::take(&mut together));
                    shown += &name;
                }
            }
        }
        shown + &line(&together)
    }
}

/// Bytes as one line of text.
fn line(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                ' ' => shown.push('·'),
                '\n' => shown.push('↵'),
                '\t' => shown.push('→'),
                _ if html::is_unseen(character) => {
                    shown.push_str(&format!("<U+{:04X}>", u32::from(character)));
                }
                _ => shown.push(character),
            }
        }
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("<0x{byte:02X}>")));
    }
    shown
}

/// A probability for people.
pub(super) fn percent(prob: f64) -> String {
    let percent = 100.0 * prob;
    match percent {
        0.0 => "0 %".to_owned(),
        _ if percent < 0.01 => "&lt; 0.01 %".to_owned(),
        _ if percent < 10.0 => format!("{percent:.2} %"),
        _ => format!("{percent:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_as_exact_as_they_are_small() {
        let shown = [0.0, 1e-7, 0.0123, 0.4567, 1.0].map(percent);
        assert_eq!(shown, ["0 %", "&lt; 0.01 %", "1.23 %", "45.7 %", "100.0 %"]);
    }

    #[test]
    fn a_split_character_is_shown_with_its_last_byte() {
        let tokenizer = Tokenizer::train_byte_level(["a"], &firebrand_tokenizer::ByteLevelConfig::default())
            .expect("bytes");
        let words = Words::new(Some(&tokenizer));
        // A byte is a token.
        let ids = tokenizer.encode("€\n");
        assert_eq!(ids.len(), 4);
        let mut behind = Vec::new();
        let shown: Vec<String> = ids.iter().map(|&id| words.html_behind(&mut behind, id)).collect();
        let byte = |byte| format!("<i data-m=\"&lt;0x{byte}&gt;\"></i>");
        let end = "<i class=\"n\">\n</i>";
        assert_eq!(shown, [byte("E2"), byte("82"), byte("AC") + "€", end.to_owned()]);
        assert_eq!(words.run(&ids), (format!("€{end}"), vec![]));
        assert_eq!(words.run(&ids[..2]).1, b"\xE2\x82");
        assert_eq!(words.plain(&ids), "€↵");
        assert_eq!(words.plain(&ids[..1]), "<0xE2>");
        // What follows an end that is missing is shown all the same.
        let mut behind = b"\xE2".to_vec();
        assert_eq!(words.html_behind(&mut behind, tokenizer.encode("a")[0]), "a");
        assert!(behind.is_empty());
    }

    #[test]
    fn without_a_tokenizer_there_are_ids() {
        let words = Words::new(None);
        assert_eq!(words.html(7), "<b class=\"special\">id 7</b>");
        assert_eq!(words.plain(&[7, 8]), "id 7id 8");
    }
}
