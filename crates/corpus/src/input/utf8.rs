//! Is it UTF-8? Asked of a stream, block by block.

/// Checks bytes as they go by and remembers where they are.
#[derive(Default)]
pub(super) struct Utf8Check {
    /// The beginning of a character that the last block ended in.
    partial: Vec<u8>,
    /// Bytes that are known to be valid.
    offset: u64,
    /// Line ends among them.
    line_ends: u64,
}

/// The place of the first byte that is not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidAt {
    /// Its line, counted from 1.
    pub(super) line: u64,
    /// Its position, counted from 0.
    pub(super) offset: u64,
}

impl Utf8Check {
    /// Checks the next block, which may end inside a character.
    pub(super) fn feed(&mut self, mut block: &[u8]) -> Result<(), InvalidAt> {
        // Complete the character the last block ended in, byte by byte: at most three times.
        while !self.partial.is_empty() {
            let Some((&byte, rest)) = block.split_first() else { return Ok(()) };
            block = rest;
            self.partial.push(byte);
            match std::str::from_utf8(&self.partial) {
                Ok(character) => {
                    self.offset += character.len() as u64;
                    self.partial.clear();
                }
                Err(error) if error.error_len().is_some() => return Err(self.here()),
                Err(_) => {}
            }
        }
        match std::str::from_utf8(block) {
            Ok(_) => self.pass(block),
            Err(error) => {
                let (valid, rest) = block.split_at(error.valid_up_to());
                self.pass(valid);
                if error.error_len().is_some() {
                    return Err(self.here());
                }
                self.partial.extend_from_slice(rest);
            }
        }
        Ok(())
    }

    /// Checks that no character is left half read.
    pub(super) fn end(&self) -> Result<(), InvalidAt> {
        if self.partial.is_empty() { Ok(()) } else { Err(self.here()) }
    }

    fn pass(&mut self, valid: &[u8]) {
        self.offset += valid.len() as u64;
        self.line_ends += line_ends(valid);
    }

    fn here(&self) -> InvalidAt {
        InvalidAt { line: self.line_ends + 1, offset: self.offset }
    }
}

/// How many line ends there are. In runs short enough for a byte to count them, which the compiler makes vectors of.
fn line_ends(bytes: &[u8]) -> u64 {
    let count = |run: &[u8]| run.iter().map(|&byte| u8::from(byte == b'\n')).fold(0_u8, u8::wrapping_add);
    bytes.chunks(255).map(|run| u64::from(count(run))).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the standard library says of all the bytes at once.
    fn expected(bytes: &[u8]) -> Result<(), InvalidAt> {
        let Err(error) = std::str::from_utf8(bytes) else { return Ok(()) };
        let valid = &bytes[..error.valid_up_to()];
        let line_ends = valid.iter().filter(|&&byte| byte == b'\n').count() as u64;
        Err(InvalidAt { line: line_ends + 1, offset: valid.len() as u64 })
    }

    fn in_blocks(bytes: &[u8], size: usize) -> Result<(), InvalidAt> {
        let mut check = Utf8Check::default();
        bytes.chunks(size).try_for_each(|block| check.feed(block))?;
        check.end()
    }

    proptest! {
        #[test]
        fn blocks_are_as_valid_as_the_whole(text in "[a\né€🦊]{0,20}", size in 1_usize..9) {
            prop_assert_eq!(in_blocks(text.as_bytes(), size), Ok(()));
        }

        #[test]
        fn the_first_invalid_byte_is_found_wherever_blocks_end(
            mut bytes in "[a\né€🦊]{0,20}".prop_map(String::into_bytes),
            at: prop::sample::Index,
            byte: u8,
            size in 1_usize..9,
        ) {
            bytes.push(b'x');
            let at = at.index(bytes.len());
            bytes[at] = byte;
            prop_assert_eq!(in_blocks(&bytes, size), expected(&bytes));
        }

        #[test]
        fn line_ends_are_counted(bytes in prop::collection::vec(9_u8..12, 0..600)) {
            prop_assert_eq!(line_ends(&bytes), bytes.iter().filter(|&&byte| byte == b'\n').count() as u64);
        }
    }
}
