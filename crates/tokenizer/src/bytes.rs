//! The printable stand-ins of bytes, by which byte-level vocabularies are written down.
//!
//! GPT-2 writes a token as text by giving each of the 256 bytes a printable character: the printable ones of
//! Latin-1 stand for themselves, and the 68 others (spaces, controls, the soft hyphen) get `U+0100` upwards in
//! order, so that a space is `Ġ`. This module knows that table and nothing of vocabularies.

/// Whether a byte is its own stand-in.
const fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

const STAND_INS: [char; 256] = {
    let mut table = ['\0'; 256];
    let mut next = 0x100;
    let mut byte = 0;
    while byte < 256 {
        table[byte] = if is_printable(byte as u8) {
            byte as u8 as char
        } else {
            next += 1;
            match char::from_u32(next - 1) {
                Some(char) => char,
                None => panic!("U+0100 to U+0143 are characters"),
            }
        };
        byte += 1;
    }
    table
};

/// By code point: the byte that a character stands for.
const STOOD_FOR: [Option<u8>; 0x144] = {
    let mut table = [None; 0x144];
    let mut byte = 0;
    while byte < 256 {
        table[STAND_INS[byte] as usize] = Some(byte as u8);
        byte += 1;
    }
    table
};

/// The character that stands for a byte.
pub(crate) fn stand_in(byte: u8) -> char {
    STAND_INS[byte as usize]
}

/// The bytes in the order of their stand-ins' code points: the order of their ids.
pub(crate) fn in_id_order() -> [u8; 256] {
    let mut bytes: [u8; 256] = std::array::from_fn(|byte| byte as u8);
    bytes.sort_by_key(|&byte| stand_in(byte));
    bytes
}

/// The bytes that a token's text stands for, or nothing when a character of it is no stand-in.
pub(crate) fn from_stand_ins(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|char| STOOD_FOR.get(char as usize).copied().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_stand_in_of_its_own() {
        let text: String = (0..=255).map(stand_in).collect();
        assert_eq!(from_stand_ins(&text), Some((0..=255).collect()));
        assert_eq!((stand_in(b' '), stand_in(b'\n'), stand_in(b'a')), ('Ġ', 'Ċ', 'a'));
    }

    #[test]
    fn ids_start_at_the_exclamation_mark_and_put_the_space_late() {
        let order = in_id_order();
        assert_eq!(order[0], b'!');
        assert_eq!(order.iter().position(|&byte| byte == b' '), Some(220));
    }

    #[test]
    fn other_characters_stand_for_nothing() {
        assert_eq!(from_stand_ins("a b"), None);
        assert_eq!(from_stand_ins("日"), None);
    }
}
