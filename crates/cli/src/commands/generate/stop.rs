//! Stop strings: where generated text spells one, however its tokens are cut.

use firebrand_decode::Stop;
use firebrand_tokenizer::TokenTable;

/// Says when new ids have spelled one of these. Special tokens spell nothing.
pub(super) fn when_spelled(texts: &[String], tokens: TokenTable) -> Stop {
    if texts.is_empty() {
        return Stop::default();
    }
    let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.clone().into_bytes()).collect();
    let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
    Stop::when(move |ids| {
        let of = |id: &u32| if tokens.is_special(*id) { &[][..] } else { tokens.bytes(*id) };
        let Some((last, before)) = ids.split_last() else { return false };
        // Before the last token there was none, so that one must end in it.
        let mut tail = Vec::new();
        for id in before.iter().rev().map(of) {
            if tail.len() >= longest {
                break;
            }
            tail.splice(0..0, id.iter().copied());
        }
        let begin = tail.len();
        tail.extend_from_slice(of(last));
        texts.iter().any(|text| {
            tail.windows(text.len()).enumerate().any(|(at, part)| part == text && at + text.len() > begin)
        })
    })
}

/// Ends where `stop` does, and behind each of the ids `ends`.
pub(super) fn at_ids(ends: Vec<u32>, stop: Stop) -> Stop {
    match ends.is_empty() {
        true => stop,
        false => Stop::when(move |ids| ids.last().is_some_and(|id| ends.contains(id)) || stop.ends(ids)),
    }
}

/// Text that comes bit by bit, up to the first stop string: what could be the beginning of one waits.
pub(super) struct UpToStop<'s> {
    stops: &'s [String],
    waiting: String,
    over: bool,
}

impl<'s> UpToStop<'s> {
    pub(super) fn new(stops: &'s [String]) -> Self {
        Self { stops, waiting: String::new(), over: false }
    }

    /// Adds text and returns what is known to come before any stop string.
    pub(super) fn push(&mut self, text: &str) -> String {
        if self.over {
            return String::new();
        }
        self.waiting.push_str(text);
        // The one that is complete first, whatever bits the text comes in.
        let found =
            self.stops.iter().filter_map(|stop| Some((self.waiting.find(stop.as_str())?, stop.len())));
        if let Some((at, _)) = found.min_by_key(|(at, len)| (at + len, *at)) {
            self.over = true;
            self.waiting.truncate(at);
            return std::mem::take(&mut self.waiting);
        }
        let may_begin = |at: &usize| self.stops.iter().any(|stop| stop.starts_with(&self.waiting[*at..]));
        let at = (0..self.waiting.len()).filter(|&at| self.waiting.is_char_boundary(at)).find(may_begin);
        let rest = self.waiting.split_off(at.unwrap_or(self.waiting.len()));
        std::mem::replace(&mut self.waiting, rest)
    }

    /// What has waited, at the end of the text.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firebrand_tokenizer::TokenEntry;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn bits_together_are_the_text_before_the_stop_that_is_complete_first(
            bits in prop::collection::vec("[abé]{0,3}", 0..9),
            stops in prop::collection::vec("[abé]{1,4}", 0..3),
        ) {
            let text = bits.concat();
            let ends = text.char_indices().map(|(at, char)| at + char.len_utf8());
            let first = |end: usize| stops.iter().filter(|stop| text[..end].ends_with(stop.as_str())).map(|stop| end - stop.len()).min();
            let end = ends.into_iter().find_map(first).unwrap_or(text.len());
            let mut up_to = UpToStop::new(&stops);
            let mut shown: String = bits.iter().map(|bit| up_to.push(bit)).collect();
            shown += &up_to.finish();
            prop_assert_eq!(shown, &text[..end]);
        }

        /// Tokens of any bytes: it stops with the first id after which the bytes hold a stop string.
        #[test]
        fn it_stops_where_the_text_holds_one(
            ids in prop::collection::vec(0..6_u32, 0..12),
            stops in prop::collection::vec("[ab]{1,4}", 1..3),
        ) {
            let tokens = ["a", "b", "ab", "ba", "aba", "b"];
            let entries = tokens.iter().zip(0..).map(|(text, id)| TokenEntry { bytes: text.as_bytes().to_vec(), special: id == 5 });
            let stop = when_spelled(&stops, TokenTable::new(entries));
            let text = |ids: &[u32]| ids.iter().filter(|id| **id != 5).map(|id| tokens[*id as usize]).collect::<String>();
            for end in 0..=ids.len() {
                let holds = stops.iter().any(|stop| text(&ids[..end]).contains(stop.as_str()));
                prop_assert_eq!(stop.ends(&ids[..end]), holds, "{:?}", &ids[..end]);
                if holds {
                    break;
                }
            }
        }
    }

    #[test]
    fn no_stop_strings_stop_nothing() {
        assert!(!when_spelled(&[], TokenTable::new([])).ends(&[1, 2]));
    }
}
