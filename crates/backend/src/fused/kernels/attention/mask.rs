//! Which keys a query sees: a range of them, and perhaps a pattern in it.

/// A mask over `s` queries, the last of `t` positions.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mask<'a> {
    /// All.
    Full,
    /// Those up to the query's own position.
    Causal,
    /// Of those, the ones from `[batch][position]` on.
    Documents(&'a [Vec<usize>]),
    /// Those up to the query's own position, and the first `[batch]`.
    Prefix(&'a [usize]),
    /// Those where this, `[batch, s, t]`, is zero; the score of the others counts as −1e30.
    Hidden(&'a [u8]),
}

impl<'a> Mask<'a> {
    /// Checks that the mask fits an attention of these sizes.
    pub(super) fn check(self, batch: usize, s: usize, t: usize) {
        if !matches!(self, Mask::Full | Mask::Hidden(_)) {
            assert!(s <= t, "{s} queries are the last of {t} positions");
        }
        match self {
            Mask::Full | Mask::Causal => {}
            Mask::Documents(starts) => {
                let fits = |starts: &Vec<usize>| {
                    starts.len() == t && starts.iter().enumerate().all(|(i, &start)| start <= i)
                };
                assert!(
                    starts.len() == batch && starts.iter().all(fits),
                    "each of {batch} examples has the start of its document, no later than itself, at {t} positions"
                );
            }
            Mask::Prefix(lengths) => assert_eq!(lengths.len(), batch, "a prefix for each example"),
            Mask::Hidden(hidden) => assert_eq!(hidden.len(), batch * s * t, "the mask is [batch, s, t]"),
        }
    }

    /// The first key that query `query` of `s` sees, of `t`, and the first after the last.
    #[inline(always)]
    fn range(self, example: usize, query: usize, s: usize, t: usize) -> (usize, usize) {
        let next = (query + t).saturating_sub(s) + 1;
        match self {
            Mask::Full | Mask::Hidden(_) => (0, t),
            Mask::Causal => (0, next),
            Mask::Documents(starts) => (starts[example][next - 1], next),
            Mask::Prefix(lengths) => (0, next.max(lengths[example]).min(t)),
        }
    }

    /// The keys that the `len` queries from `start` on see together, as a range.
    pub(super) fn reach(
        self,
        example: usize,
        (start, len): (usize, usize),
        s: usize,
        t: usize,
    ) -> (usize, usize) {
        let ranges = (start..start + len).map(|query| self.range(example, query, s, t));
        ranges.fold((t, 0), |(first, end), range| (first.min(range.0), end.max(range.1)))
    }
}

/// A mask as seen from a block of queries and keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) mask: Mask<'a>,
    pub(super) example: usize,
    /// The block's first query and first key.
    pub(super) query: usize,
    pub(super) key: usize,
    /// Queries and keys in all.
    pub(super) s: usize,
    pub(super) t: usize,
}

impl<'a> Window<'a> {
    /// The range of the block's `width` keys that its query `row` sees, and which keys of the block are hidden.
    #[inline(always)]
    pub(super) fn of(&self, row: usize, width: usize) -> (usize, usize, Option<&'a [u8]>) {
        let query = self.query + row;
        let (first, end) = self.mask.range(self.example, query, self.s, self.t);
        let inside = |key: usize| key.saturating_sub(self.key).min(width);
        let hidden = match self.mask {
            Mask::Hidden(hidden) => {
                Some(&hidden[(self.example * self.s + query) * self.t + self.key..][..width])
            }
            _ => None,
        };
        (inside(first), inside(end), hidden)
    }
}
