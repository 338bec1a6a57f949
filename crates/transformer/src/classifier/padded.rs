//! Rows of ids of different lengths in one tensor.

use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;

/// One row: a text, or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence<'a> {
    /// Its ids, at least one.
    pub ids: &'a [u32],
    /// Where the second text begins, if there is one.
    pub second: Option<usize>,
}

/// Rows of ids, each padded to the longest at its end. What stands there changes nothing: no token sees it.
#[derive(Debug, Clone)]
pub struct Padded {
    rows: Vec<Vec<u32>>,
    seconds: Vec<Option<usize>>,
    lens: Vec<usize>,
    longest: usize,
    device: Device,
}

impl Padded {
    /// The rows on `device`.
    ///
    /// # Panics
    /// When there is none, or one is empty.
    pub fn new<'a>(rows: impl IntoIterator<Item = Sequence<'a>>, device: &Device) -> Self {
        let (rows, seconds): (Vec<Vec<u32>>, Vec<Option<usize>>) =
            rows.into_iter().map(|row| (row.ids.to_vec(), row.second)).unzip();
        let lens: Vec<usize> = rows.iter().map(Vec::len).collect();
        assert!(!lens.is_empty() && !lens.contains(&0), "there are rows, and each has an id: {lens:?}");
        let longest = lens.iter().copied().max().unwrap_or(0);
        Self { rows, seconds, lens, longest, device: device.clone() }
    }

    /// How many ids each row has.
    pub fn lens(&self) -> &[usize] {
        &self.lens
    }

    /// How many ids the longest row has.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The rows as they are without padding.
    pub fn rows(&self) -> &[Vec<u32>] {
        &self.rows
    }

    /// `[batch, longest]`
    pub fn ids(&self) -> Tensor<2, Int> {
        self.padded(|row| row.iter().map(|&id| id as i32).collect())
    }

    /// The ids of each row in reverse order, its padding behind them all the same: `[batch, longest]`.
    pub(crate) fn reversed(&self) -> Tensor<2, Int> {
        self.padded(|row| row.iter().rev().map(|&id| id as i32).collect())
    }

    /// The states of rows that were read in reverse order, `[batch, longest, width]`, each at the place where its token stands.
    pub(crate) fn in_order(&self, states: Tensor<3>) -> Tensor<3> {
        let [batch, seq, width] = states.dims();
        let places = self.lens.iter().enumerate().flat_map(|(row, &len)| {
            (0..seq).map(move |i| (row * seq + if i < len { len - 1 - i } else { i }) as i32)
        });
        let places = TensorData::new(places.collect::<Vec<i32>>(), [batch * seq]);
        let places = Tensor::<1, Int>::from_data(places, &self.device);
        states.reshape([batch * seq, width]).select(0, places).reshape([batch, seq, width])
    }

    fn padded(&self, ids: impl Fn(&[u32]) -> Vec<i32>) -> Tensor<2, Int> {
        let mut all = Vec::with_capacity(self.rows.len() * self.longest);
        for (index, row) in self.rows.iter().enumerate() {
            all.extend(ids(row));
            all.resize((index + 1) * self.longest, 0);
        }
        Tensor::from_data(TensorData::new(all, [self.rows.len(), self.longest]), &self.device)
    }

    /// 1 where a row's second text stands, `[batch, longest]`; `None` where no row has one.
    pub(super) fn types(&self) -> Option<Tensor<2, Int>> {
        self.seconds.iter().any(Option::is_some).then(|| {
            let types = self.seconds.iter().flat_map(|second| {
                let second = second.unwrap_or(self.longest);
                (0..self.longest).map(move |i| i32::from(i >= second))
            });
            let types = TensorData::new(types.collect::<Vec<i32>>(), [self.rows.len(), self.longest]);
            Tensor::from_data(types, &self.device)
        })
    }

    /// The mask under which each token sees all others of its row, and none the padding. (Padding sees what is before it; nobody
    /// asks what it makes of that.)
    pub(super) fn both_sides(&self) -> AttentionMask {
        match self.lens.iter().all(|&len| len == self.longest) {
            true => AttentionMask::Full,
            false => AttentionMask::Prefix(self.lens.as_slice().into()),
        }
    }

    /// For each row the index of one of its tokens among all `batch · longest`: `[batch]`.
    pub(super) fn places(&self, place: impl Fn(usize) -> usize) -> Tensor<1, Int> {
        let places = self.lens.iter().enumerate();
        let places: Vec<i32> = places.map(|(row, &len)| (row * self.longest + place(len)) as i32).collect();
        Tensor::from_data(TensorData::new(places, [self.rows.len()]), &self.device)
    }

    /// What each position weighs in the mean of its row, `[batch, longest, 1]`: padding nothing.
    pub(super) fn shares(&self) -> Tensor<3> {
        self.each(|i, len| if i < len { 1.0 / len as f32 } else { 0.0 })
    }

    /// What is added so that padding is never a maximum, `[batch, longest, 1]`.
    pub(super) fn floor(&self) -> Tensor<3> {
        self.each(|i, len| if i < len { 0.0 } else { -1e30 })
    }

    /// A number for each position, from its index and the length of its row: `[batch, longest, 1]`.
    fn each(&self, number: impl Fn(usize, usize) -> f32) -> Tensor<3> {
        let numbers = self.lens.iter().flat_map(|&len| (0..self.longest).map(move |i| (i, len)));
        let numbers: Vec<f32> = numbers.map(|(i, len)| number(i, len)).collect();
        Tensor::from_data(TensorData::new(numbers, [self.rows.len(), self.longest, 1]), &self.device)
    }

    /// What predicts the next token and that token, for each but the last of each row: the index among all `batch · longest`,
    /// and the id, `[n]` each; `None` where all rows have one token.
    pub(super) fn next_tokens(&self) -> Option<(Tensor<1, Int>, Tensor<1, Int>)> {
        let (mut places, mut targets) = (Vec::new(), Vec::new());
        for (index, row) in self.rows.iter().enumerate() {
            places.extend((0..row.len() - 1).map(|i| (index * self.longest + i) as i32));
            targets.extend(row[1..].iter().map(|&id| id as i32));
        }
        let n = places.len();
        let tensor = |values| Tensor::from_data(TensorData::new(values, [n]), &self.device);
        (n > 0).then(|| (tensor(places), tensor(targets)))
    }
}
