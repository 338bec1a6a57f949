//! Text in which what is no UTF-8 is replaced.

use std::io;

use serde::{Deserialize, Serialize};

/// What becomes of bytes that are no UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvalidUtf8 {
    /// The file is refused, which says where they are.
    #[default]
    Refuse,
    /// As much of each as could begin a character becomes one U+FFFD, as in every browser (Unicode 16, section 3.9).
    Replace,
}

/// Replaces what is no UTF-8 in a stream.
#[derive(Default)]
pub(super) struct Replacer {
    /// What has been read: the beginning of a character that a block may have ended in, or the next block.
    raw: Vec<u8>,
    /// Text that has not been given out, from `given` on.
    text: Vec<u8>,
    given: usize,
    at_end: bool,
    replaced: u64,
}

impl Replacer {
    /// How often something was replaced so far.
    pub(super) fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Gives out text; `read` fills a block and says how many bytes it has, none at the end.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        while self.given == self.text.len() && !self.at_end {
            let before = self.raw.len();
            self.raw.resize(before + super::BLOCK, 0);
            let result = read(&mut self.raw[before..]);
            self.raw.truncate(before + *result.as_ref().unwrap_or(&0));
            self.at_end = result? == 0;
            self.replace();
        }
        let count = buffer.len().min(self.text.len() - self.given);
        buffer[..count].copy_from_slice(&self.text[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }

    fn replace(&mut self) {
        self.text.clear();
        self.given = 0;
        let mut rest = &*self.raw;
        for chunk in self.raw.utf8_chunks() {
            self.text.extend_from_slice(chunk.valid().as_bytes());
            rest = &rest[chunk.valid().len()..];
            let invalid = chunk.invalid();
            let may_go_on = || std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if invalid.is_empty() || (invalid.len() == rest.len() && !self.at_end && may_go_on()) {
                break;
            }
            rest = &rest[invalid.len()..];
            self.text.extend_from_slice("\u{fffd}".as_bytes());
            self.replaced += 1;
        }
        let done = self.raw.len() - rest.len();
        self.raw.drain(..done);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// Bytes among which many begin characters and few end them, in reads of any length.
        #[test]
        fn what_comes_out_is_what_the_standard_library_gives(
            bytes in prop::collection::vec(prop_oneof![Just(b'a'), Just(0xe2), Just(0x82), Just(0xf0), any::<u8>()], 0..40),
            lengths in prop::collection::vec(1..5_usize, 1..9),
        ) {
            let mut rest = &*bytes;
            let mut reads = lengths.iter().cycle();
            let mut read = |buffer: &mut [u8]| {
                let (next, others) = rest.split_at(rest.len().min(*reads.next().unwrap()));
                buffer[..next.len()].copy_from_slice(next);
                rest = others;
                Ok(next.len())
            };
            let (mut replacer, mut text, mut buffer) = (Replacer::default(), Vec::new(), [0; 3]);
            while let count @ 1.. = replacer.read(&mut buffer, &mut read).unwrap() {
                text.extend_from_slice(&buffer[..count]);
            }
            let expected = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(&*text, expected.as_bytes());
            let in_bytes = String::from_utf8_lossy(&bytes).matches('\u{fffd}').count() as u64;
            let spelled = bytes.windows(3).filter(|three| *three == "\u{fffd}".as_bytes()).count() as u64;
            prop_assert_eq!(replacer.replaced(), in_bytes - spelled);
        }
    }
}
