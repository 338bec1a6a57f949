//! Scanners for the three well-known patterns: the same pieces as the regular expressions, found in one pass
//! without backtracking. `super::tests` compares each with the expression it replaces.
//!
//! A scanner is a function from a text and the start of a piece to the end of that piece; it knows nothing
//! before the start, which is what lets a piece be found from its start alone.

use super::classes::{Class, Classes};

/// A text being scanned. All positions are byte offsets at character boundaries.
pub(super) struct Scanner<'t> {
    text: &'t str,
    classes: Classes,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, classes: Classes::new() }
    }

    /// The character at a position, its class and the position after it.
    #[inline(always)]
    fn at(&self, position: usize) -> Option<(char, Class, usize)> {
        let byte = *self.text.as_bytes().get(position)?;
        if let Some(class) = self.classes.of_ascii(byte) {
            return Some((char::from(byte), class, position + 1));
        }
        let char = self.text[position..].chars().next()?;
        Some((char, self.classes.of(char), position + char.len_utf8()))
    }

    /// The end of the run of characters, from `position` on, that `belongs` accepts.
    #[inline]
    fn run(&self, position: usize, belongs: impl Fn(char, Class) -> bool) -> usize {
        let mut end = position;
        while let Some((char, class, after)) = self.at(end) {
            if !belongs(char, class) {
                break;
            }
            end = after;
        }
        end
    }

    #[inline(always)]
    fn letters(&self, position: usize) -> usize {
        let end = self.ascii_letters(position, Cases::Both);
        match self.text.as_bytes().get(end) {
            None | Some(..0x80) => end,
            Some(_) => self.run(end, |_, class| class.is_letter()),
        }
    }

    /// The end of the run of ASCII letters from `position` on, found eight bytes at a time: nothing foresees where a word
    /// ends, so that a branch a byte would often be mistaken.
    #[inline(always)]
    fn ascii_letters(&self, position: usize, cases: Cases) -> usize {
        let bytes = self.text.as_bytes();
        let mut end = position;
        while let Some(eight) = bytes.get(end..end + 8).and_then(<[u8]>::as_array) {
            let count = leading_letters(u64::from_le_bytes(*eight), cases);
            end += count;
            if count < 8 {
                return end;
            }
        }
        let fold = |byte: &u8| byte | cases as u8;
        while bytes.get(end).is_some_and(|byte| fold(byte).is_ascii_lowercase()) {
            end += 1;
        }
        end
    }

    fn symbols(&self, position: usize) -> usize {
        self.run(position, |_, class| class.is_symbol())
    }

    /// `\p{N}{1,3}` after a number that ends at `position`.
    fn two_more_numbers(&self, position: usize) -> usize {
        let mut end = position;
        for _ in 0..2 {
            match self.at(end) {
                Some((_, Class::Number, after)) => end = after,
                _ => break,
            }
        }
        end
    }

    /// The end of a contraction (`'s 't 're 've 'm 'll 'd`) whose apostrophe stands at `position`.
    fn contraction(&self, position: usize, any_case: bool) -> Option<usize> {
        if self.text.as_bytes().get(position) != Some(&b'\'') {
            return None;
        }
        let mut chars = self.text[position + 1..].chars();
        // Case-insensitively the long s is an s too; all other letters here have ASCII cases only.
        let fold = |char: char| match char {
            'ſ' if any_case => 's',
            _ if any_case => char.to_ascii_lowercase(),
            _ => char,
        };
        let first = chars.next()?;
        let after_first = position + 1 + first.len_utf8();
        match (fold(first), chars.next().map(fold)) {
            ('s' | 't' | 'm' | 'd', _) => Some(after_first),
            ('r' | 'v', Some('e')) | ('l', Some('l')) => Some(after_first + 1),
            _ => None,
        }
    }

    /// `\s+(?!\S)|\s+`: a run of spaces without its last one when something follows it, for the last space
    /// goes with what follows. The run starts at `start`, has a first character that ends at `after_first`.
    fn spaces(&self, start: usize, after_first: usize) -> usize {
        self.without_last(start, after_first, self.run_of_spaces(after_first).0)
    }

    /// `\s*[\r\n]+|\s+(?!\S)|\s+`: as [`Self::spaces`], but a run with line breaks ends after the last of them.
    fn lines_or_spaces(&self, start: usize, after_first: usize) -> usize {
        let (end, after_break) = self.run_of_spaces(after_first);
        let first_breaks = matches!(self.text.as_bytes()[start], b'\r' | b'\n');
        match after_break.or(first_breaks.then_some(after_first)) {
            Some(after_break) => after_break,
            None => self.without_last(start, after_first, end),
        }
    }

    /// The end of a run of spaces, from `position` on, and that of the last line break in it.
    fn run_of_spaces(&self, position: usize) -> (usize, Option<usize>) {
        let bytes = self.text.as_bytes();
        let (mut end, mut after_break) = (position, None);
        loop {
            while bytes.get(end..end + 8) == Some(b"        ") {
                end += 8;
            }
            match self.at(end) {
                Some((char, Class::Space, after)) => {
                    end = after;
                    if matches!(char, '\r' | '\n') {
                        after_break = Some(end);
                    }
                }
                _ => return (end, after_break),
            }
        }
    }

    /// The run of spaces from `start` to `end` without its last one when there is another and something follows.
    fn without_last(&self, start: usize, after_first: usize, end: usize) -> usize {
        if end == self.text.len() || end == after_first {
            return end;
        }
        let last = self.text[start..end].chars().next_back().map_or(0, char::len_utf8);
        end - last
    }
}

/// Which letters count; as a number, the bit by which the others become those.
#[derive(Clone, Copy)]
enum Cases {
    Lower = 0,
    Both = 0x20,
}

/// How many of eight bytes, the lowest first, are ASCII letters up to the first that is none.
#[inline(always)]
fn leading_letters(eight: u64, cases: Cases) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // All in lower case where both count, and without the highest bit, no sum below carries into the next byte.
    let lower = (eight | (cases as u64 * ONES)) & !HIGH;
    let from_a = lower + (0x80 - u64::from(b'a')) * ONES;
    let behind_z = lower + (0x7F - u64::from(b'z')) * ONES;
    let letters = from_a & !behind_z & !eight & HIGH;
    (!letters & HIGH).trailing_zeros() as usize / 8
}

/// GPT-2: `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
#[inline(always)]
pub(super) fn gpt2(text: &Scanner<'_>, start: usize) -> usize {
    word(text, start).unwrap_or_else(|| gpt2_other(text, start))
}

/// The end of ` ?\p{L}+` if that begins with an ASCII letter: what most pieces are.
#[inline(always)]
fn word(text: &Scanner<'_>, start: usize) -> Option<usize> {
    let bytes = text.text.as_bytes();
    let from = start + usize::from(bytes[start] == b' ');
    bytes.get(from).is_some_and(u8::is_ascii_alphabetic).then(|| text.letters(from))
}

#[inline(never)]
fn gpt2_other(text: &Scanner<'_>, start: usize) -> usize {
    let Some((first, class, after)) = text.at(start) else { return start };
    if let Some(end) = text.contraction(start, false) {
        return end;
    }
    let (lead, after_lead) = match text.at(after) {
        Some((_, next, after_next)) if first == ' ' && next != Class::Space => (next, after_next),
        _ => (class, after),
    };
    match lead {
        Class::Upper | Class::Lower | Class::Letter => text.letters(after_lead),
        Class::Number => text.run(after_lead, |_, class| class == Class::Number),
        Class::Other | Class::Mark => text.symbols(after_lead),
        Class::Space => text.spaces(start, after),
    }
}

/// GPT-4, Llama 3: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
///  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`.
#[inline(always)]
pub(super) fn cl100k(text: &Scanner<'_>, start: usize) -> usize {
    word(text, start).unwrap_or_else(|| cl100k_other(text, start))
}

#[inline(never)]
fn cl100k_other(text: &Scanner<'_>, start: usize) -> usize {
    let Some((first, class, after)) = text.at(start) else { return start };
    if let Some(end) = text.contraction(start, true) {
        return end;
    }
    let next = text.at(after);
    match class {
        Class::Upper | Class::Lower | Class::Letter => return text.letters(after),
        Class::Number => return text.two_more_numbers(after),
        Class::Other | Class::Mark | Class::Space => {}
    }
    if let Some((_, _, after_next)) =
        next.filter(|(_, next, _)| next.is_letter() && !matches!(first, '\r' | '\n'))
    {
        return text.letters(after_next);
    }
    symbols_or_spaces(text, start, &['\r', '\n'])
}

/// ` ?[^\s\p{L}\p{N}]+[…]*|\s*[\r\n]+|\s+(?!\S)|\s+`, where `trailing` is the class `[…]`.
fn symbols_or_spaces(text: &Scanner<'_>, start: usize, trailing: &[char]) -> usize {
    let Some((first, class, after)) = text.at(start) else { return start };
    let symbols_from = match text.at(after) {
        _ if class.is_symbol() => Some(after),
        Some((_, next, after_next)) if first == ' ' && next.is_symbol() => Some(after_next),
        _ => None,
    };
    match symbols_from {
        Some(position) => {
            let end = text.symbols(position);
            text.run(end, |char, _| trailing.contains(&char))
        }
        None => text.lines_or_spaces(start, after),
    }
}

/// GPT-4o: words are cut where upper case follows lower case, and keep their contraction. The expression is
/// [`super::O200K`].
#[inline(always)]
pub(super) fn o200k(text: &Scanner<'_>, start: usize) -> usize {
    cased_word(text, start).unwrap_or_else(|| o200k_other(text, start))
}

/// The end of ` ?[A-Z]*[a-z]+` if something of ASCII follows that goes on with neither word nor contraction: what most
/// pieces are.
#[inline(always)]
fn cased_word(text: &Scanner<'_>, start: usize) -> Option<usize> {
    let bytes = text.text.as_bytes();
    let mut from = start + usize::from(bytes[start] == b' ');
    while bytes.get(from).is_some_and(u8::is_ascii_uppercase) {
        from += 1;
    }
    let end = text.ascii_letters(from, Cases::Lower);
    let follows = bytes.get(end).copied().unwrap_or(b' ');
    (end > from && follows.is_ascii() && follows != b'\'').then_some(end)
}

#[inline(never)]
fn o200k_other(text: &Scanner<'_>, start: usize) -> usize {
    let Some((first, class, after)) = text.at(start) else { return start };
    if class == Class::Number {
        return text.two_more_numbers(after);
    }
    // The optional first character: `[^\r\n\p{L}\p{N}]?`. It is tried first, then done without.
    let may_lead = !class.is_letter() && !matches!(first, '\r' | '\n');
    let word = [may_lead.then_some(after), Some(start)]
        .into_iter()
        .flatten()
        .find_map(|position| lower_ending_word(text, position))
        .or_else(|| upper_word(text, if may_lead { after } else { start }));
    match word {
        Some(end) => text.contraction(end, true).unwrap_or(end),
        None => symbols_or_spaces(text, start, &['\r', '\n', '/']),
    }
}

/// Whether a character may stand in the first part of a word: `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`.
fn in_head(class: Class) -> bool {
    matches!(class, Class::Upper | Class::Letter | Class::Mark)
}

/// Whether a character may stand in the second part of a word: `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`.
fn in_tail(class: Class) -> bool {
    matches!(class, Class::Lower | Class::Letter | Class::Mark)
}

/// Head, then a tail that isn't empty. When the head took everything, it gives back up to its last character
/// that a tail may have; what follows that one is upper case, so the tail is this one character.
fn lower_ending_word(text: &Scanner<'_>, start: usize) -> Option<usize> {
    let head = text.run(start, |_, class| in_head(class));
    let end = text.run(head, |_, class| in_tail(class));
    if end > head {
        return Some(end);
    }
    let last =
        text.text[start..head].char_indices().rev().find(|&(_, char)| in_tail(text.classes.of(char)))?;
    Some(start + last.0 + last.1.len_utf8())
}

/// A head that isn't empty. No tail can follow: [`lower_ending_word`] would have taken it.
fn upper_word(text: &Scanner<'_>, start: usize) -> Option<usize> {
    let end = text.run(start, |_, class| in_head(class));
    (end > start).then_some(end)
}
