//! The layers of one direction, and what belongs to them.

use crate::config::{LayerKind, ModelConfig, PositionKind};
use crate::init::{Init, STD};
use crate::layer::{Layer, Norm};
use crate::lstm::LstmLayer;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// What belongs to one direction. LSTM layers know where a token stands, and have no norm after them.
#[derive(Module, Debug)]
pub(crate) struct Stack {
    pub(crate) position_embedding: Option<Param<Tensor<2>>>,
    pub(crate) layers: Vec<Layer>,
    /// In the place of `layers`.
    pub(crate) lstm: Vec<LstmLayer>,
    pub(crate) norm: Option<Norm>,
}

impl Stack {
    pub(crate) fn new(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        if config.layers == LayerKind::Lstm {
            let lstm = (0..config.n_layers).map(|_| LstmLayer::new(config, init)).collect();
            return Self { position_embedding: None, layers: Vec::new(), lstm, norm: None };
        }
        Self {
            position_embedding: (config.position == PositionKind::Learned)
                .then(|| init.normal([config.seq_len, config.d_model], STD)),
            layers: (0..config.n_layers).map(|_| Layer::new(config, init)).collect(),
            lstm: Vec::new(),
            norm: Some(Norm::new(config, config.d_model, init)),
        }
    }
}
