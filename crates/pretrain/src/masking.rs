//! Which tokens of a row are to be predicted, and what stands in their place.

use crate::draws::Draws;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_tokenizer::TokenTable;
use firebrand_training::{BatchKey, TrainingError};

/// Hides tokens as BERT does: of the ordinary ones `round(probability · n)` are chosen, halves going to the even number, and at
/// least one, without replacement; most become a mask, some another token, some stay.
#[derive(Debug, Clone)]
pub struct Masking {
    /// The part of the ordinary tokens that is chosen.
    pub probability: f64,
    /// Of those the part that becomes a mask.
    pub to_mask: f64,
    /// Of those the part that becomes a random ordinary token; the rest stays as it is.
    pub to_random: f64,
    /// Choose whole words; as many tokens as else, as far as words go in. Where each is longer than that, as in a text without spaces, a
    /// part of one is chosen.
    pub whole_words: bool,
    /// The id of the mask.
    pub mask: u32,
    /// For each id, whether it starts a word; nothing for special tokens and ids that no token uses, which are not chosen.
    pub starts_word: Vec<Option<bool>>,
    /// The ids of ordinary tokens.
    pub ordinary: Vec<u32>,
}

/// A row with hidden tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noised {
    /// What the model sees.
    pub ids: Vec<u32>,
    /// The chosen positions, in order, and what stood there.
    pub targets: Vec<(usize, u32)>,
}

impl Masking {
    /// With BERT's rates, for tokens that `table` describes: 15 %, of which 80 % become `mask`, 10 % another token.
    pub fn new(table: &TokenTable, mask: u32) -> Self {
        let ids = 0..table.len() as u32;
        let starts_word = |id| table.is_ordinary(id).then(|| table.starts_word(id));
        Self {
            probability: 0.15,
            to_mask: 0.8,
            to_random: 0.1,
            whole_words: false,
            mask,
            starts_word: ids.clone().map(starts_word).collect(),
            ordinary: ids.filter(|&id| table.is_ordinary(id)).collect(),
        }
    }

    /// Whether a token is ordinary. One that the table does not know is not.
    fn is_ordinary(&self, id: u32) -> bool {
        self.starts_word(id).is_some()
    }

    fn starts_word(&self, id: u32) -> Option<bool> {
        self.starts_word.get(id as usize).copied().flatten()
    }

    /// Hides tokens of `ids`, which stand at place `row` of the batch that `key` is of.
    pub fn noise(&self, ids: &[u32], key: BatchKey, row: usize) -> Noised {
        let mut draws = Draws::new("masked", key, row);
        let mut chosen = self.choose(ids, &mut draws);
        chosen.sort_unstable();
        let mut noised = Noised { ids: ids.to_vec(), targets: Vec::with_capacity(chosen.len()) };
        for position in chosen {
            noised.targets.push((position, ids[position]));
            if draws.happens(self.to_mask) {
                noised.ids[position] = self.mask;
            } else if self.to_mask < 1.0 && draws.happens(self.to_random / (1.0 - self.to_mask)) {
                noised.ids[position] = self.ordinary[draws.below(self.ordinary.len())];
            }
        }
        noised
    }

    fn choose(&self, ids: &[u32], draws: &mut Draws) -> Vec<usize> {
        let mut positions: Vec<usize> = (0..ids.len()).filter(|&i| self.is_ordinary(ids[i])).collect();
        if positions.is_empty() {
            return positions;
        }
        let count = ((self.probability * positions.len() as f64).round_ties_even() as usize).max(1);
        if self.whole_words {
            return self.choose_words(ids, &positions, count, draws);
        }
        draws.shuffle(&mut positions);
        positions.truncate(count);
        positions
    }

    /// Words in random order, each of those that still go into `count` tokens; where none does, so many tokens in a row of one.
    fn choose_words(&self, ids: &[u32], positions: &[usize], count: usize, draws: &mut Draws) -> Vec<usize> {
        let mut words: Vec<Vec<usize>> = Vec::new();
        for &position in positions {
            match words.last_mut() {
                // Behind an ordinary token, and no start of a word itself.
                Some(word)
                    if self.starts_word(ids[position]) == Some(false)
                        && word.last() == Some(&position.wrapping_sub(1)) =>
                {
                    word.push(position);
                }
                _ => words.push(vec![position]),
            }
        }
        draws.shuffle(&mut words);
        let mut chosen = Vec::with_capacity(count);
        for word in &words {
            if chosen.len() + word.len() <= count {
                chosen.extend(word);
            }
        }
        if chosen.is_empty() {
            // All words are longer than `count`.
            let start = draws.below(words[0].len() - count + 1);
            chosen.extend(&words[0][start..start + count]);
        }
        chosen
    }
}

/// The chosen places of a batch and what is to be predicted there.
#[derive(Debug)]
pub(crate) struct Targets {
    /// In `[batch · seq]`: `[targets]`.
    pub(crate) places: Tensor<1, Int>,
    /// `[targets]`
    pub(crate) ids: Tensor<1, Int>,
}

impl Targets {
    /// Of rows of `seq` ids; nothing where nothing was chosen: a tensor of no numbers is nothing to compute with.
    pub(crate) fn new(rows: &[Noised], seq: usize, device: &Device) -> Option<Self> {
        let each = || {
            rows.iter().enumerate().flat_map(move |(row, noised)| {
                noised.targets.iter().map(move |&(position, id)| (row * seq + position, id))
            })
        };
        let places = vector(each().map(|(place, _)| place as i32).collect(), device)?;
        Some(Self { places, ids: vector(each().map(|(_, id)| id as i32).collect(), device)? })
    }

    pub(crate) fn count(&self) -> usize {
        self.places.dims()[0]
    }

    /// Of states `[batch, seq, d]` those at the chosen places: `[targets, d]`.
    pub(crate) fn select(&self, states: Tensor<3>) -> Tensor<2> {
        let [batch, seq, d] = states.dims();
        states.reshape([batch * seq, d]).select(0, self.places.clone())
    }
}

fn vector(numbers: Vec<i32>, device: &Device) -> Option<Tensor<1, Int>> {
    let len = numbers.len();
    (len > 0).then(|| Tensor::from_data(TensorData::new(numbers, [len]), device))
}

/// `[batch, seq]`, of rows of one length.
pub(crate) fn matrix<'a>(rows: impl Iterator<Item = &'a Vec<u32>>, device: &Device) -> Tensor<2, Int> {
    let (mut count, mut ids) = (0, Vec::new());
    for row in rows {
        count += 1;
        ids.extend(row.iter().map(|&id| id as i32));
    }
    let seq = ids.len() / count;
    Tensor::from_data(TensorData::new(ids, [count, seq]), device)
}

/// Refuses a number that is no part of a whole.
pub(crate) fn check_part(name: &str, part: f64) -> Result<(), TrainingError> {
    match (0.0..=1.0).contains(&part) {
        true => Ok(()),
        false => Err(TrainingError::Config(format!("{name} {part} is not in [0, 1]"))),
    }
}

/// Refuses a probability by which nothing is chosen, or everything.
pub(crate) fn check_probability(name: &str, probability: f64) -> Result<(), TrainingError> {
    match probability > 0.0 && probability < 1.0 {
        true => Ok(()),
        false => {
            Err(TrainingError::Config(format!("{name} {probability} is not between 0 and 1: 0.15 is usual")))
        }
    }
}
