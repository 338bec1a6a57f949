//! The character classes that the known patterns tell apart, by table look-up.
//!
//! The ranges come from `regex-syntax`, so that the hand-written scanners and regular expressions agree on
//! what a letter is; this module only lays them out for speed.

use regex_syntax::hir::{Class as HirClass, HirKind};
use std::sync::LazyLock;

/// What a character is to a pattern. Together `Upper`, `Lower` and `Letter` are `\p{L}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    /// Everything else: punctuation, symbols, controls, unassigned.
    Other,
    /// `\p{Lu}` and `\p{Lt}`.
    Upper,
    /// `\p{Ll}`.
    Lower,
    /// `\p{Lm}` and `\p{Lo}`: letters without case.
    Letter,
    /// `\p{N}`.
    Number,
    /// `\p{M}`: combining marks.
    Mark,
    /// `\s`.
    Space,
}

impl Class {
    /// `\p{L}`.
    pub(super) fn is_letter(self) -> bool {
        matches!(self, Class::Upper | Class::Lower | Class::Letter)
    }

    /// `[^\s\p{L}\p{N}]`.
    pub(super) fn is_symbol(self) -> bool {
        matches!(self, Class::Other | Class::Mark)
    }
}

const BLOCK: usize = 256;

/// Two stages: the block of a character, then its class within the block. Equal blocks are stored once, so
/// that what a text uses stays in the nearest cache.
struct Table {
    blocks: Vec<u16>,
    classes: Vec<[Class; BLOCK]>,
    /// Those of ASCII once more, one look-up away.
    ascii: [Class; 128],
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut flat = vec![Class::Other; char::MAX as usize + 1];
    let sources = [
        (r"[\p{Lu}\p{Lt}]", Class::Upper),
        (r"\p{Ll}", Class::Lower),
        (r"[\p{Lm}\p{Lo}]", Class::Letter),
        (r"\p{N}", Class::Number),
        (r"\p{M}", Class::Mark),
        (r"\s", Class::Space),
    ];
    for (expression, class) in sources {
        let hir = regex_syntax::parse(expression).expect("the expressions above are valid");
        let HirKind::Class(HirClass::Unicode(ranges)) = hir.kind() else {
            unreachable!("{expression} is a class of Unicode characters");
        };
        for range in ranges.iter() {
            flat[range.start() as usize..=range.end() as usize].fill(class);
        }
    }
    let ascii = std::array::from_fn(|code| flat[code]);
    let mut table = Table { blocks: Vec::new(), classes: Vec::new(), ascii };
    for block in flat.as_chunks::<BLOCK>().0 {
        let index = table.classes.iter().position(|known| known == block).unwrap_or_else(|| {
            table.classes.push(*block);
            table.classes.len() - 1
        });
        table.blocks.push(u16::try_from(index).expect("there are fewer than 65,536 blocks in all"));
    }
    table
});

/// Looks up classes; making one fetches the table once, not for every character.
#[derive(Clone, Copy)]
pub(super) struct Classes(&'static Table);

impl Classes {
    pub(super) fn new() -> Self {
        Self(&TABLE)
    }

    /// The class of an ASCII character; of other bytes nothing.
    #[inline]
    pub(super) fn of_ascii(self, byte: u8) -> Option<Class> {
        self.0.ascii.get(usize::from(byte)).copied()
    }

    /// The class of a character.
    #[inline]
    pub(super) fn of(self, char: char) -> Class {
        let code = char as usize;
        self.0.classes[self.0.blocks[code / BLOCK] as usize][code % BLOCK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_have_their_unicode_class() {
        let expected = [
            ('A', Class::Upper),
            ('ǅ', Class::Upper),
            ('ß', Class::Lower),
            ('日', Class::Letter),
            ('ʰ', Class::Letter),
            ('½', Class::Number),
            ('\u{301}', Class::Mark),
            ('\u{a0}', Class::Space),
            ('\u{85}', Class::Space),
            ('\u{200b}', Class::Other),
            ('🦙', Class::Other),
            (char::MAX, Class::Other),
        ];
        for (char, class) in expected {
            assert_eq!(Classes::new().of(char), class, "{char:?}");
        }
    }
}
