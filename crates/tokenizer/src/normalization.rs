//! Unicode normalization: one spelling for what looks the same, before anything else looks at a text.
//!
//! It knows characters, not tokens.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;
use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkc_quick};

/// How texts are normalized, at training and at encoding. What is decoded is then the normalized text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Not at all: every text is decoded as it was.
    #[default]
    None,
    /// Canonical composition: `e` and a combining accent become `é`.
    Nfc,
    /// Compatibility composition: also `ﬁ` becomes `fi`, `①` becomes `1`, a no-break space a space.
    Nfkc,
    /// Canonical composition, and then small letters: `É` becomes `é`. Character by character, as Hugging Face's `Lowercase` does it: a
    /// final sigma is no special case.
    Lowercase,
}

impl Normalization {
    /// A text normalized, borrowed where it is so already.
    pub(crate) fn apply(self, text: &str) -> Cow<'_, str> {
        let composed = text.is_ascii() || self.quick(text.chars()) == IsNormalized::Yes;
        let normalized: String = match self {
            Self::Lowercase if text.is_ascii() => text.to_ascii_lowercase(),
            Self::Lowercase if composed => lowercase(text.chars()),
            Self::Lowercase => lowercase(text.nfc()),
            Self::None | Self::Nfc | Self::Nfkc if composed => return Cow::Borrowed(text),
            Self::None | Self::Nfc => text.nfc().collect(),
            Self::Nfkc => text.nfkc().collect(),
        };
        if normalized == text { Cow::Borrowed(text) } else { Cow::Owned(normalized) }
    }

    fn quick(self, chars: impl Iterator<Item = char>) -> IsNormalized {
        match self {
            Self::None => IsNormalized::Yes,
            Self::Nfc | Self::Lowercase => is_nfc_quick(chars),
            Self::Nfkc => is_nfkc_quick(chars),
        }
    }

    /// Whether a character stays as it is, but for its case, whatever stands around it, and what is before it does not depend on it: a
    /// text may be normalized in two parts before it.
    pub(crate) fn keeps(self, char: char) -> bool {
        let keeps = |char| {
            canonical_combining_class(char) == 0 && self.quick(std::iter::once(char)) == IsNormalized::Yes
        };
        self == Self::None || char.is_ascii() || keeps(char)
    }

    /// Whether a text may be normalized in two parts before a character, also if that does not stay as it is.
    fn may_begin(self, char: char) -> bool {
        let mut buffer = [0; 4];
        let text = &*char.encode_utf8(&mut buffer);
        let first = match self {
            Self::None => Some(char),
            Self::Nfc | Self::Lowercase => text.nfd().next(),
            Self::Nfkc => text.nfkd().next(),
        };
        self.keeps(char) || first.is_some_and(|first| self.keeps(first))
    }

    /// A text normalized, and which part of the text each part of it comes from: both cut at the same places, as finely as
    /// parts can be normalized by themselves.
    pub(crate) fn apply_with_parts(self, text: &str) -> (String, Vec<Part>) {
        let (mut normalized, mut parts) = (String::new(), Vec::new());
        let mut starts: Vec<usize> =
            text.char_indices().filter(|&(_, char)| self.may_begin(char)).map(|(at, _)| at).collect();
        if starts.first() != Some(&0) {
            starts.insert(0, 0);
        }
        starts.push(text.len());
        for ends in starts.windows(2) {
            let (before, after) = (&text[ends[0]..ends[1]], self.apply(&text[ends[0]..ends[1]]));
            // What is the same at the beginning is a part of its own: the space before a ligature stays one.
            let same = before.chars().zip(after.chars()).take_while(|(before, after)| before == after);
            let same: usize = same.map(|(char, _)| char.len_utf8()).sum();
            let start = normalized.len();
            normalized.push_str(&after);
            let part = |normalized, original| Part { normalized, original };
            parts.push(part(start..start + same, ends[0]..ends[0] + same));
            parts.push(part(start + same..normalized.len(), ends[0] + same..ends[1]));
        }
        parts.retain(|part| !part.original.is_empty() || !part.normalized.is_empty());
        (normalized, parts)
    }
}

fn lowercase(chars: impl Iterator<Item = char>) -> String {
    chars.flat_map(char::to_lowercase).collect()
}

/// A part of a text before and after.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) normalized: Range<usize>,
    pub(crate) original: Range<usize>,
}

/// Which bytes of the text a range of the normalized one comes from: all of a part that changed.
pub(crate) fn original(parts: &[Part], range: &Range<usize>) -> Range<usize> {
    let part_at = |at: usize| {
        let index = parts.partition_point(|part| part.normalized.end <= at);
        parts.get(index).or(parts.last())
    };
    let same_length = |part: &Part| part.normalized.len() == part.original.len();
    let start = part_at(range.start).map_or(range.start, |part| {
        let within = if same_length(part) { range.start - part.normalized.start } else { 0 };
        part.original.start + within
    });
    let end = part_at(range.end.saturating_sub(1)).map_or(range.end, |part| {
        let within = if same_length(part) { part.normalized.end - range.end } else { 0 };
        part.original.end - within
    });
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_composed() {
        assert_eq!(Normalization::Nfc.apply("e\u{301}te\u{301} ﬁ"), "été ﬁ");
        assert_eq!(Normalization::Nfkc.apply("e\u{301} ﬁ①\u{a0}Ａ"), "é fi1 A");
        assert_eq!(Normalization::None.apply("e\u{301}"), "e\u{301}");
        assert_eq!(Normalization::Lowercase.apply("E\u{301}T\u{c9} ΣΑΣ \u{130} ﬁ"), "été σασ i\u{307} ﬁ");
        assert!(matches!(Normalization::Lowercase.apply("a film ."), Cow::Borrowed(_)));
        assert!(matches!(Normalization::Nfkc.apply("日本 café"), Cow::Borrowed(_)));
    }

    #[test]
    fn parts_say_where_they_come_from() {
        let (normalized, parts) = Normalization::Nfkc.apply_with_parts("a ﬁe\u{301}b");
        assert_eq!(normalized, "a fiéb");
        let from = |range| original(&parts, &range);
        assert_eq!(
            (from(0..1), from(2..3), from(2..4), from(4..6), from(6..7)),
            (0..1, 2..5, 2..5, 5..8, 8..9)
        );
    }

    /// Texts of characters that compose, decompose and reorder.
    fn text() -> impl Strategy<Value = String> {
        let composing = "[aeEÀΣİ\u{301}\u{323}\u{327}\u{1100}\u{1161}\u{11a8}가ﬁ①½ｶ\u{ff9e}Å\u{2126}\u{9bc}\u{9be}\u{9c7} ']{0,12}";
        prop_oneof![composing, any::<String>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn parts_are_normalized_by_themselves(text in text()) {
            for normalization in [Normalization::None, Normalization::Nfc, Normalization::Nfkc, Normalization::Lowercase]
            {
                let (normalized, parts) = normalization.apply_with_parts(&text);
                prop_assert_eq!(&*normalization.apply(&text), &*normalized);
                prop_assert_eq!(parts.iter().map(|part| &text[part.original.clone()]).collect::<String>(), text.clone());
            }
        }
    }
}
