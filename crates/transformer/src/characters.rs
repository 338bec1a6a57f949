//! Token embeddings computed from the bytes of tokens: convolutions of several widths, the maximum over all places, highway layers
//! [Srivastava 2015], a projection [Kim 2016; Jozefowicz 2016; Peters 2018].
//!
//! Where the original reads words by their characters, this reads tokens by their bytes, which it is given: it knows no text.

use crate::TransformerError;
use crate::config::ModelConfig;
use crate::init::Init;
use crate::layer::Linear;
use burn::module::{Module, Param};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::ops;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Beside the 256 bytes: before a token's first byte, after its last, and where there is none.
const BEGIN: i32 = 256;
const END: i32 = 257;
const PADDING: i32 = 258;
const SYMBOLS: usize = 259;

/// Tokens that are embedded at once, to bound the memory.
const AT_ONCE: usize = 2048;

/// The sizes of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Characters {
    /// Numbers in the vector of a byte.
    pub d_byte: usize,
    /// Convolutions: how many bytes each looks at, and how many there are of them. None: those of ELMo, as many as fit to
    /// `d_model`.
    pub filters: Vec<[usize; 2]>,
    /// Highway layers.
    pub highway_layers: usize,
    /// Of a longer token the rest is not looked at; two of them are marks before the first byte and after the last.
    pub max_bytes: usize,
}

impl Default for Characters {
    fn default() -> Self {
        Self { d_byte: 16, filters: Vec::new(), highway_layers: 2, max_bytes: 50 }
    }
}

impl Characters {
    /// The same with its filters spelled out: ELMo's have widths 1 to 7, and 32 to 1024 of them project to 512 numbers.
    #[must_use]
    pub fn resolved(mut self, d_model: usize) -> Self {
        if self.filters.is_empty() {
            let elmo = [[1, 32], [2, 32], [3, 64], [4, 128], [5, 256], [6, 512], [7, 1024]];
            self.filters = elmo.map(|[width, count]| [width, (count * d_model / 512).max(1)]).to_vec();
        }
        self
    }

    /// Outputs of all convolutions.
    fn features(&self) -> usize {
        self.filters.iter().map(|[_, count]| count).sum()
    }

    pub(crate) fn validate(&self) -> Result<(), TransformerError> {
        let fail = |message: String| Err(TransformerError::Config(format!("characters: {message}")));
        const MOST: usize = 1 << 16;
        for (name, value, least, most) in [
            ("d_byte", self.d_byte, 1, MOST),
            ("highway_layers", self.highway_layers, 0, 100),
            ("max_bytes", self.max_bytes, 3, 1024),
        ] {
            if !(least..=most).contains(&value) {
                return fail(format!("{name} {value} is not in {least} to {most}"));
            }
        }
        if self.filters.is_empty() {
            return fail("there are no filters: give them as [[width, number], …]".into());
        }
        for [width, count] in &self.filters {
            if *width == 0 || *width > self.max_bytes {
                return fail(format!("a filter's width {width} is not in 1 to max_bytes {}", self.max_bytes));
            }
            if *count == 0 || *count > MOST {
                return fail(format!("{count} filters of width {width} are not in 1 to {MOST}"));
            }
        }
        Ok(())
    }

    /// Trainable numbers, for a vocabulary with so many tokens without bytes.
    pub(crate) fn n_params(&self, d_model: usize, without_bytes: usize) -> usize {
        let features = self.features();
        let filters: usize =
            self.filters.iter().map(|[width, count]| (width * self.d_byte + 1) * count).sum();
        let highway = self.highway_layers * 2 * (features + 1) * features;
        (SYMBOLS + without_bytes) * self.d_byte + filters + highway + (features + 1) * d_model
    }

    /// Numbers kept for the backward pass for each token that is embedded, of `len` symbols.
    pub(crate) fn activations(&self, len: usize, d_model: usize) -> usize {
        let places = |width: usize| len.max(width) + 1 - width;
        let filter = |&[width, count]: &[usize; 2]| places(width) * (width * self.d_byte + count) + 2 * count;
        let convolutions: usize = self.filters.iter().map(filter).sum();
        len * self.d_byte + convolutions + self.features() * (2 + 8 * self.highway_layers) + 2 * d_model
    }
}

/// The bytes of every token. One without bytes, such as a special token, has a vector of its own instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Spellings(Arc<[Box<[u8]>]>);

impl Spellings {
    /// Of tokens in the order of their ids.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self(tokens.into_iter().map(Box::from).collect())
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of tokens without bytes.
    pub(crate) fn without_bytes(&self) -> usize {
        self.0.iter().filter(|bytes| bytes.is_empty()).count()
    }

    /// The most bytes a token has.
    pub(crate) fn longest(&self) -> usize {
        self.0.iter().map(|bytes| bytes.len()).max().unwrap_or(0)
    }
}

impl From<Spellings> for Vec<String> {
    fn from(spellings: Spellings) -> Self {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        spellings.0.iter().map(|bytes| hex(bytes)).collect()
    }
}

impl TryFrom<Vec<String>> for Spellings {
    type Error = String;

    fn try_from(tokens: Vec<String>) -> Result<Self, String> {
        let bytes = |token: &String| -> Option<Box<[u8]>> {
            let digits: Vec<u8> = token
                .chars()
                .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
                .collect::<Option<_>>()?;
            let pairs = digits.chunks(2);
            pairs.map(|pair| matches!(pair, [_, _]).then(|| pair[0] << 4 | pair[1])).collect()
        };
        let all =
            tokens.iter().map(|token| bytes(token).ok_or(format!("`{token}` are no hexadecimal bytes")));
        Ok(Self(all.collect::<Result<_, _>>()?))
    }
}

/// `gate · relu(map x) + (1 − gate) · x`
#[derive(Module, Debug)]
struct Highway {
    gate: Linear,
    map: Linear,
}

/// The network.
#[derive(Module, Debug)]
pub(crate) struct CharacterCnn {
    /// Of each symbol: a byte, a mark, or a token that has no bytes.
    symbol_embedding: Param<Tensor<2>>,
    filters: Vec<Linear>,
    highway: Vec<Highway>,
    output: Linear,
    #[module(skip)]
    tokens: Symbols,
}

/// The symbols of each token.
#[derive(Debug, Clone)]
struct Symbols {
    /// `[vocab, len]`
    symbols: Arc<[i32]>,
    len: usize,
    /// Bytes that each filter looks at.
    widths: Vec<usize>,
}

impl Symbols {
    /// All as long as the longest, or as the widest filter.
    fn new(characters: &Characters, spellings: &Spellings) -> Self {
        let widths: Vec<usize> = characters.filters.iter().map(|[width, _]| *width).collect();
        let widest = widths.iter().copied().max().unwrap_or(1);
        let len = (spellings.longest().max(1) + 2).min(characters.max_bytes).max(widest);
        let mut own = SYMBOLS as i32;
        let mut symbols = Vec::with_capacity(spellings.len() * len);
        for bytes in spellings.0.iter() {
            let start = symbols.len();
            symbols.push(BEGIN);
            if bytes.is_empty() {
                symbols.push(own);
                own += 1;
            }
            symbols.extend(bytes.iter().take(len - 2).map(|&byte| i32::from(byte)));
            symbols.push(END);
            symbols.resize(start + len, PADDING);
        }
        Self { symbols: symbols.into(), len, widths }
    }
}

impl CharacterCnn {
    pub(crate) fn new(
        characters: &Characters,
        spellings: &Spellings,
        config: &ModelConfig,
        init: &mut Init<'_>,
    ) -> Self {
        let features = characters.features();
        let std = |inputs: usize| 1.0 / (inputs as f64).sqrt();
        let linear = |d_in: usize, d_out: usize, bias: f32, init: &mut Init<'_>| Linear {
            weight: init.normal([d_in, d_out], std(d_in)),
            bias: Some(init.constant(d_out, bias)),
        };
        let symbols = SYMBOLS + spellings.without_bytes();
        let filters = characters.filters.iter();
        Self {
            symbol_embedding: init.normal([symbols, characters.d_byte], 0.5),
            filters: filters
                .map(|&[width, count]| linear(width * characters.d_byte, count, 0.0, init))
                .collect(),
            // They begin by letting most through [Srivastava 2015].
            highway: (0..characters.highway_layers)
                .map(|_| Highway {
                    gate: linear(features, features, -2.0, init),
                    map: linear(features, features, 0.0, init),
                })
                .collect(),
            output: linear(features, config.d_model, 0.0, init),
            tokens: Symbols::new(characters, spellings),
        }
    }

    /// The embeddings of all tokens, `[vocab, d_model]`; with `only`, sorted and without repetitions, those of these, and zeros for
    /// the others.
    pub(crate) fn table(&self, only: Option<&[u32]>) -> Tensor<2> {
        let vocab = self.tokens.symbols.len() / self.tokens.len;
        let all: Vec<u32>;
        let ids = match only {
            Some(ids) => ids,
            None => {
                all = (0..vocab as u32).collect();
                &all
            }
        };
        let rows = Tensor::cat(ids.chunks(AT_ONCE).map(|ids| self.embed(ids)).collect(), 0);
        if ids.len() == vocab {
            return rows;
        }
        let index: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [ids.len()]), &rows.device());
        let zeros = Tensor::zeros([vocab, rows.dims()[1]], &rows.device());
        zeros.select_assign(0, index, rows, burn::tensor::IndexingUpdateOp::Add)
    }

    /// `[ids, d_model]`
    fn embed(&self, ids: &[u32]) -> Tensor<2> {
        let (n, len) = (ids.len(), self.tokens.len);
        let symbols = ids.iter().flat_map(|&id| &self.tokens.symbols[id as usize * len..][..len]);
        let symbols: Vec<i32> = symbols.copied().collect();
        let table = self.symbol_embedding.val();
        let d = table.dims()[1];
        let symbols = Tensor::<1, Int>::from_data(TensorData::new(symbols, [n * len]), &table.device());
        // [ids, len, d_byte]
        let x = table.select(0, symbols).reshape([n, len, d]);
        let filters = self.tokens.widths.iter().zip(&self.filters);
        let features = filters.map(|(&width, filter)| {
            let places = len + 1 - width;
            // What the filter looks at, place after place: [ids, places, width · d_byte].
            let windows = Tensor::cat((0..width).map(|k| x.clone().narrow(1, k, places)).collect(), 2);
            relu(linear(windows, filter).max_dim(1).squeeze_dim::<2>(1))
        });
        let mut y = Tensor::cat(features.collect(), 1);
        for Highway { gate, map } in &self.highway {
            let gate = sigmoid(linear(y.clone(), gate));
            let change = relu(linear(y.clone(), map)) - y.clone();
            y = y + gate * change;
        }
        linear(y, &self.output)
    }
}

fn linear<const D: usize>(x: Tensor<D>, map: &Linear) -> Tensor<D> {
    ops::linear(x, map.weight.val(), map.bias.as_ref().map(Param::val))
}
