//! Documents side by side in one row, none of which sees another.

use crate::decoder::Decoder;
use crate::dropout::Dropout;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;

/// Rows of documents, each padded to the longest at its end. Every document begins at position 0 and sees itself alone, so that it
/// is read as it would be by itself.
#[derive(Debug, Clone)]
pub struct Packed {
    /// `[batch, longest]`
    ids: Tensor<2, Int>,
    /// `[batch][longest]`: where each token stands in its document.
    positions: Vec<Vec<usize>>,
    /// `[batch][longest]`: where in the row its document begins.
    starts: Vec<Vec<usize>>,
    lens: Vec<usize>,
    /// How many tokens of a row's first document are its prompt.
    prompts: Vec<usize>,
    /// No row has more than one document.
    alone: bool,
}

/// One document, or what of it is read.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// At least one.
    pub ids: &'a [u32],
    /// How many of them are a prompt: what models with `prefix_attention` read as a whole.
    pub prompt: usize,
}

impl Packed {
    /// These rows of documents on `device`.
    ///
    /// # Panics
    /// When there is no row, or one without an id.
    pub fn new(rows: &[Vec<Document<'_>>], device: &Device) -> Self {
        let lens: Vec<usize> =
            rows.iter().map(|row| row.iter().map(|document| document.ids.len()).sum()).collect();
        assert!(!lens.is_empty() && !lens.contains(&0), "there are rows, and each has an id: {lens:?}");
        let longest = lens.iter().copied().max().unwrap_or(0);
        let mut ids = Vec::with_capacity(rows.len() * longest);
        let (mut positions, mut starts) = (Vec::new(), Vec::new());
        for row in rows {
            let (mut of_row, mut begun): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
            for document in row {
                let start = begun.len();
                ids.extend(document.ids.iter().map(|&id| id as i32));
                of_row.extend(0..document.ids.len());
                begun.extend(std::iter::repeat_n(start, document.ids.len()));
            }
            // Padding is a document of its own.
            let (start, padding) = (begun.len(), longest - begun.len());
            ids.extend(std::iter::repeat_n(0, padding));
            of_row.extend(0..padding);
            begun.extend(std::iter::repeat_n(start, padding));
            positions.push(of_row);
            starts.push(begun);
        }
        Self {
            ids: Tensor::from_data(TensorData::new(ids, [rows.len(), longest]), device),
            positions,
            starts,
            prompts: rows.iter().map(|row| row.first().map_or(0, |document| document.prompt)).collect(),
            alone: rows.iter().all(|row| row.len() == 1),
            lens,
        }
    }

    /// How many ids the longest row has.
    pub fn longest(&self) -> usize {
        self.positions[0].len()
    }

    /// How many ids each row has.
    pub fn lens(&self) -> &[usize] {
        &self.lens
    }
}

impl Decoder {
    /// Whether documents can stand side by side in a row: the state of an LSTM would go from one to the next, and where a prompt is
    /// read as a whole only the first one of a row would be.
    pub fn can_pack(&self) -> bool {
        self.lstm.is_empty() && !self.config.prefix_attention
    }

    /// Final hidden states of rows of documents, `[batch, longest, d_model]`; those of padding mean nothing.
    ///
    /// # Panics
    /// When a row has more than one document, and [`can_pack`](Self::can_pack) says no.
    pub fn packed_hidden(&self, rows: &Packed, mut dropout: Option<&mut Dropout>) -> Tensor<3> {
        assert!(rows.alone || self.can_pack(), "this model reads one document a row");
        if let Some(dropout) = &mut dropout {
            dropout.for_lens(&rows.lens);
        }
        if !rows.alone {
            let mask = AttentionMask::Documents(rows.starts.as_slice().into());
            return self.hidden_at(rows.ids.clone(), &rows.positions, &mask, dropout);
        }
        let mask = match self.config.prefix_attention {
            true => AttentionMask::Prefix(rows.prompts.as_slice().into()),
            false => AttentionMask::Causal,
        };
        self.hidden(rows.ids.clone(), &mask, dropout)
    }
}
