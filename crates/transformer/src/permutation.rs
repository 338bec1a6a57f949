//! The two-stream model of XLNet [Yang 2019, <https://arxiv.org/abs/1906.08237>]: it predicts tokens in any order, each from those
//! before it in that order, and from where it stands.
//!
//! Each token goes through the layers as *content*, which sees itself and what is earlier in the order. A token that is to be
//! predicted goes through them a second time as a *query*: it starts from one learned vector in the place of its embedding, and
//! sees the content of what is earlier, but not its own. Both go through the same weights, so they are one sequence here, content
//! first and queries behind it, under a mask that hides queries from all; what that computes in vain are keys and values of queries.
//!
//! XLNet's relative positions, segments and memory of earlier windows are not here: positions are a decoder's.

use crate::TransformerError;
use crate::config::{ModelConfig, ModelKind, PositionKind};
use crate::decoder::Decoder;
use crate::dropout::Dropout;
use crate::init::{Init, STD};
use crate::layer::{Layer, Norm};
use crate::model::{self, Model};
use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;

/// A decoder's weights, and the vector from which queries start.
#[derive(Module, Debug)]
pub struct Permutation {
    token_embedding: Param<Tensor<2>>,
    position_embedding: Option<Param<Tensor<2>>>,
    /// `[1, d_model]`
    query: Param<Tensor<2>>,
    layers: Vec<Layer>,
    norm: Norm,
    head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: ModelConfig,
    checkpointing: bool,
}

/// Which tokens of a row are predicted, and from which others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactorizationOrder {
    /// Of each position, its place in the order.
    pub ranks: Vec<usize>,
    /// The positions that are predicted, each from those of lower rank. None may have rank 0, which sees nothing.
    pub predicted: Vec<usize>,
}

impl FactorizationOrder {
    /// From left to right; all but the first are predicted.
    pub fn left_to_right(len: usize) -> Self {
        Self { ranks: (0..len).collect(), predicted: (1..len).collect() }
    }

    /// Who must not see whom, `[seq + predicted, seq + predicted]`: content first.
    fn hidden(&self) -> impl Iterator<Item = bool> + '_ {
        let seq = self.ranks.len();
        let content = (0..seq).map(|position| (self.ranks[position], true));
        let queries = self.predicted.iter().map(|&position| (self.ranks[position], false));
        content.chain(queries).flat_map(move |(rank, sees_itself)| {
            (0..seq + self.predicted.len()).map(move |key| match self.ranks.get(key) {
                Some(&other) => !(other < rank || (sees_itself && other == rank)),
                // Nobody sees a query.
                None => true,
            })
        })
    }
}

/// Texts that share their beginnings: each token once, behind the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTree {
    /// Of each node the one before it, which has a lower number; the first token of a text has none.
    pub parents: Vec<Option<usize>>,
    /// The nodes that are predicted, each from those before it. None may be a first token, which sees nothing.
    pub predicted: Vec<usize>,
}

impl TokenTree {
    /// The same with more nodes and predictions, which mean nothing: trees of one batch are alike. It has a prediction, if more of them are
    /// wanted.
    #[must_use]
    pub fn padded(&self, nodes: usize, predicted: usize) -> Self {
        let mut tree = self.clone();
        tree.parents.resize(nodes, None);
        let last = self.predicted.last().copied();
        tree.predicted.extend((self.predicted.len()..predicted).filter_map(|_| last));
        tree
    }

    /// How many tokens stand before each node.
    fn depths(&self) -> Vec<usize> {
        let mut depths: Vec<usize> = Vec::with_capacity(self.parents.len());
        for parent in &self.parents {
            depths.push(parent.map_or(0, |parent| depths[parent] + 1));
        }
        depths
    }

    /// Where each node, and then each predicted one, stands in its text.
    fn positions(&self) -> Vec<usize> {
        let depths = self.depths();
        depths.iter().copied().chain(self.predicted.iter().map(|&node| depths[node])).collect()
    }

    /// Who must not see whom, `[nodes + predicted, nodes + predicted]`: content first.
    fn hidden(&self) -> Vec<bool> {
        let (nodes, all) = (self.parents.len(), self.parents.len() + self.predicted.len());
        let mut hidden = vec![true; all * all];
        for query in 0..all {
            // Content sees itself, and a query what stands before its node.
            let mut at =
                if query < nodes { Some(query) } else { self.parents[self.predicted[query - nodes]] };
            while let Some(node) = at {
                hidden[query * all + node] = false;
                at = self.parents[node];
            }
        }
        hidden
    }
}

impl Permutation {
    /// Final states of the predicted tokens, normalized, `[batch, predicted, d_model]`. `ids` is `[batch, seq]`; there is an order for each
    /// row, and all predict as many.
    ///
    /// # Panics
    /// When the orders do not fit `ids` or each other, or predict what nothing comes before.
    pub fn predictions(
        &self,
        ids: Tensor<2, Int>,
        orders: &[FactorizationOrder],
        dropout: Option<&mut Dropout>,
    ) -> Tensor<3> {
        let [batch, seq] = ids.dims();
        let count = orders.first().map_or(0, |order| order.predicted.len());
        assert_eq!(orders.len(), batch, "an order for each row");
        for order in orders {
            assert_eq!((order.ranks.len(), order.predicted.len()), (seq, count), "rows are alike");
            assert!(order.predicted.iter().all(|&position| order.ranks[position] > 0), "{order:?}");
        }
        let hidden = orders.iter().flat_map(FactorizationOrder::hidden).collect();
        let positions: Vec<Vec<usize>> =
            orders.iter().map(|order| (0..seq).chain(order.predicted.iter().copied()).collect()).collect();
        self.two_streams(ids, hidden, &positions, dropout)
    }

    /// The same for texts that share their beginnings, from left to right: final states of the predicted tokens of each tree,
    /// `[batch, predicted, d_model]`. `ids`, `[batch, nodes]`, stand at the nodes of their tree.
    ///
    /// # Panics
    /// When the trees do not fit `ids` or each other, or predict what nothing comes before.
    pub fn predictions_in_trees(&self, ids: Tensor<2, Int>, trees: &[TokenTree]) -> Tensor<3> {
        let [batch, nodes] = ids.dims();
        let count = trees.first().map_or(0, |tree| tree.predicted.len());
        assert_eq!(trees.len(), batch, "a tree for each row");
        for tree in trees {
            assert_eq!((tree.parents.len(), tree.predicted.len()), (nodes, count), "rows are alike");
            assert!(tree.predicted.iter().all(|&node| tree.parents[node].is_some()), "{tree:?}");
        }
        let hidden = trees.iter().flat_map(TokenTree::hidden).collect();
        let positions: Vec<Vec<usize>> = trees.iter().map(TokenTree::positions).collect();
        self.two_streams(ids, hidden, &positions, None)
    }

    /// Final states of queries. `hidden` says who must not see whom, `[batch, seq + queries, seq + queries]`, and `positions` where each
    /// stands; content comes first.
    fn two_streams(
        &self,
        ids: Tensor<2, Int>,
        hidden: Vec<bool>,
        positions: &[Vec<usize>],
        dropout: Option<&mut Dropout>,
    ) -> Tensor<3> {
        let [batch, seq] = ids.dims();
        let all = positions[0].len();
        let count = all - seq;
        let hidden = Tensor::<3, Bool>::from_data(TensorData::new(hidden, [batch, all, all]), &ids.device());
        let decoder = self.decoder();
        let queries = self.query.val().unsqueeze::<3>().expand([batch, count, self.config.d_model]);
        let x = Tensor::cat(vec![decoder.embed(ids), queries], 1);
        let states =
            decoder.through_layers(x, positions, &AttentionMask::Hidden(hidden), None, dropout, &mut |_| {});
        states.narrow(1, seq, count)
    }

    /// The decoder of the same weights: what predicts from final states, and of whose states those of content are.
    pub fn decoder(&self) -> Decoder {
        Decoder {
            token_embedding: self.token_embedding.clone(),
            position_embedding: self.position_embedding.clone(),
            layers: self.layers.clone(),
            lstm: Vec::new(),
            norm: Some(self.norm.clone()),
            head: self.head.clone(),
            config: ModelConfig { kind: ModelKind::Decoder, ..self.config.clone() },
            checkpointing: self.checkpointing,
        }
    }

    /// The states of the content of each layer where every token sees all others, `n_layers + 1` of `[batch, seq, d_model]`.
    pub fn layer_states(&self, ids: Tensor<2, Int>) -> Vec<Tensor<3>> {
        self.decoder().layer_states(ids, &AttentionMask::Full)
    }
}

impl Permutation {
    fn with(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let d = config.d_model;
        Self {
            token_embedding: init.normal([config.vocab_size, d], STD),
            position_embedding: (config.position == PositionKind::Learned)
                .then(|| init.normal([config.seq_len, d], STD)),
            query: init.normal([1, d], STD),
            layers: (0..config.n_layers).map(|_| Layer::new(config, init)).collect(),
            norm: Norm::new(config, d, init),
            head: (!config.tied_head).then(|| init.normal([config.vocab_size, d], STD)),
            config: config.clone(),
            checkpointing: false,
        }
    }
}

impl Model for Permutation {
    const KIND: ModelKind = ModelKind::Permutation;

    fn made(config: &ModelConfig, seed: Option<u64>, device: &Device) -> Result<Self, TransformerError> {
        model::check(config, Self::KIND)?;
        Ok(Self::with(config, &mut Init::new(seed, device)))
    }

    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn device(&self) -> Device {
        self.token_embedding.val().device()
    }

    fn with_checkpointing(self, checkpointing: bool) -> Self {
        Self { checkpointing, ..self }
    }
}
