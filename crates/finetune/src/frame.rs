//! What stands around texts, so that a model reads them as it was trained to read.

use crate::config::LongTexts;

/// The ids before, between and after texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Frame {
    /// Before the first text.
    pub before: Option<u32>,
    /// Between two texts.
    pub between: Option<u32>,
    /// After the last text.
    pub after: Option<u32>,
}

/// Texts as the model reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed {
    /// All ids.
    pub ids: Vec<u32>,
    /// Where the second text begins, if there is one.
    pub second: Option<usize>,
    /// How many ids of texts there was no room for.
    pub cut: usize,
}

impl Frame {
    /// One text or two in at most `longest` ids. What is too much is cut off at the end: of two texts from the longer one, until
    /// they are of the same length, as BERT does it.
    pub fn compose(&self, first: &[u32], second: Option<&[u32]>, longest: usize) -> Framed {
        let around = self.around(second.is_some());
        let room = longest.saturating_sub(around);
        let (a, b) = (first.len(), second.map_or(0, <[u32]>::len));
        let (keep_a, keep_b) = match second {
            None => (a.min(room), 0),
            Some(_) if a + b <= room => (a, b),
            // The shorter one whole, if it takes no more than half; of the longer one what then fits.
            Some(_) => match a <= b {
                true => (a.min(room / 2), room - a.min(room / 2)),
                false => (room - b.min(room / 2), b.min(room / 2)),
            },
        };
        let mut ids: Vec<u32> = self.before.into_iter().chain(first[..keep_a].iter().copied()).collect();
        let start = second.map(|second| {
            ids.extend(self.between);
            let start = ids.len();
            ids.extend_from_slice(&second[..keep_b]);
            start
        });
        ids.extend(self.after);
        Framed { ids, second: start, cut: a + b - keep_a - keep_b }
    }

    /// [`compose`](Self::compose), or where `long` says so a text that is too long in parts, at least one.
    pub fn parts(
        &self,
        first: &[u32],
        second: Option<&[u32]>,
        longest: usize,
        long: LongTexts,
    ) -> Vec<Framed> {
        let room = longest.saturating_sub(self.around(false));
        if long == LongTexts::Cut || second.is_some() || first.len() <= room || room == 0 {
            return vec![self.compose(first, second, longest)];
        }
        let parts = first.len().div_ceil(room);
        let edge = |part: usize| first.len() * part / parts;
        (0..parts).map(|part| self.compose(&first[edge(part)..edge(part + 1)], None, longest)).collect()
    }

    /// How many ids it puts around one text, or around and between two.
    pub fn around(&self, two: bool) -> usize {
        [self.before, self.between.filter(|_| two), self.after].iter().flatten().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERT: Frame = Frame { before: Some(90), between: Some(91), after: Some(91) };

    fn composed(first: usize, second: Option<usize>, longest: usize) -> (Vec<u32>, Option<usize>, usize) {
        let ids = |len: usize, from: u32| (from..from + len as u32).collect::<Vec<u32>>();
        let second = second.map(|len| ids(len, 50));
        let Framed { ids, second, cut } = BERT.compose(&ids(first, 0), second.as_deref(), longest);
        (ids, second, cut)
    }

    #[test]
    fn texts_stand_between_what_is_around_them() {
        assert_eq!(composed(2, None, 10), (vec![90, 0, 1, 91], None, 0));
        assert_eq!(composed(2, Some(1), 10), (vec![90, 0, 1, 91, 50, 91], Some(4), 0));
        assert_eq!(Frame::default().compose(&[1], Some(&[2]), 9).ids, [1, 2]);
    }

    #[test]
    fn a_long_text_in_windows_is_read_as_a_whole_in_parts_of_like_lengths() {
        let ids: Vec<u32> = (0..10).collect();
        for longest in 3..14 {
            let parts = BERT.parts(&ids, None, longest, LongTexts::Windows);
            let read: Vec<u32> =
                parts.iter().flat_map(|part| part.ids[1..part.ids.len() - 1].to_vec()).collect();
            assert_eq!(read, ids, "in {longest}");
            assert!(parts.iter().all(|part| part.ids.len() <= longest && part.cut == 0));
            let lengths = || parts.iter().map(|part| part.ids.len());
            assert!(lengths().max() <= lengths().min().map(|least| least + 1));
        }
        assert_eq!(BERT.parts(&ids, None, 6, LongTexts::Cut), [BERT.compose(&ids, None, 6)]);
        assert_eq!(BERT.parts(&ids, Some(&[1]), 6, LongTexts::Windows), [BERT.compose(&ids, Some(&[1]), 6)]);
    }

    #[test]
    fn the_longer_text_is_cut_first_and_nothing_exceeds_the_limit() {
        assert_eq!(composed(9, None, 4), (vec![90, 0, 1, 91], None, 7));
        assert_eq!(composed(9, Some(1), 7), (vec![90, 0, 1, 2, 91, 50, 91], Some(5), 6));
        assert_eq!(composed(1, Some(9), 7), (vec![90, 0, 91, 50, 51, 52, 91], Some(3), 6));
        assert_eq!(composed(9, Some(9), 7).0, [90, 0, 1, 91, 50, 51, 91]);
        for (first, second, longest) in [(9, 8, 6), (8, 9, 8), (3, 3, 8), (0, 9, 5), (4, 5, 12)] {
            let (ids, _, cut) = composed(first, Some(second), longest);
            assert_eq!(ids.len(), longest.min(first + second + 3), "{first} and {second} in {longest}");
            assert_eq!(cut + ids.len(), first + second + 3);
        }
    }
}
