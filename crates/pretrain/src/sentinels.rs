//! The tokens `<extra_id_0>`, `<extra_id_1>`, … that stand for spans of a text [Raffel 2020].

/// Sentinels by number. In a tokenizer they count down from the top of the vocabulary, as in T5's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinels(Vec<u32>);

impl Sentinels {
    /// As many as T5 has, and there are no more.
    pub const MOST: usize = 100;

    /// How sentinel `number` is written.
    pub fn name(number: usize) -> String {
        format!("<extra_id_{number}>")
    }

    /// `count` of them, in the order in which they are put behind a tokenizer's tokens: the first sentinel is the last token.
    pub fn names(count: usize) -> Vec<String> {
        (0..count).rev().map(Self::name).collect()
    }

    /// Those of a tokenizer, of which there may be none; `id` is what it says of a token's name.
    pub fn of(id: impl Fn(&str) -> Option<u32>) -> Self {
        Self((0..).map_while(|number| id(&Self::name(number))).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first one.
    pub fn first(&self) -> Option<u32> {
        self.0.first().copied()
    }

    /// Whether an id is one of them.
    pub fn contains(&self, id: u32) -> bool {
        self.0.contains(&id)
    }

    /// The id of sentinel `number`.
    ///
    /// # Panics
    /// When there is none.
    pub fn id(&self, number: usize) -> u32 {
        assert!(number < self.len(), "sentinel {number} of {}", self.len());
        self.0[number]
    }

    /// The spans of what a decoder wrote, by sentinel: what stands between one and the next. Those that it left out are empty; what it
    /// wrote before the first one is part of none; of a sentinel that comes twice the first span counts.
    pub fn spans(&self, written: &[u32]) -> Vec<Vec<u32>> {
        let mut spans: Vec<Option<Vec<u32>>> = vec![None; self.len()];
        let mut open = None;
        for &id in written {
            match self.0.iter().position(|&sentinel| sentinel == id) {
                Some(number) => {
                    open = spans[number].is_none().then_some(number);
                    spans[number].get_or_insert_default();
                }
                None => {
                    if let Some(span) = open.and_then(|number: usize| spans[number].as_mut()) {
                        span.push(id);
                    }
                }
            }
        }
        spans.into_iter().map(Option::unwrap_or_default).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentinel_is_the_last_token() {
        assert_eq!(Sentinels::names(3), ["<extra_id_2>", "<extra_id_1>", "<extra_id_0>"]);
        let names = Sentinels::names(3);
        let id = |name: &str| names.iter().position(|known| known == name).map(|at| 7 + at as u32);
        assert_eq!(Sentinels::of(id), Sentinels(vec![9, 8, 7]));
    }

    #[test]
    fn spans_are_found_by_their_sentinels_whatever_else_is_written() {
        let sentinels = Sentinels(vec![9, 8, 7]);
        assert_eq!(sentinels.spans(&[9, 1, 2, 8, 3]), [vec![1, 2], vec![3], vec![]]);
        assert_eq!(sentinels.spans(&[5, 7, 1, 9, 7, 2]), [vec![], vec![], vec![1]]);
        assert_eq!(sentinels.spans(&[]), [const { Vec::<u32>::new() }; 3]);
    }
}
