//! LSTM layers with projection and clipping, as those of ELMo [Peters 2018] and of the language model it comes from
//! [Jozefowicz 2016].

use crate::cache::LayerCache;
use crate::config::ModelConfig;
use crate::init::Init;
use crate::layer::Linear;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use firebrand_backend::ops::{self, LstmStates};

/// One layer: its cells have `d_ff` numbers, its outputs `d_model`.
#[derive(Module, Debug)]
pub(crate) struct LstmLayer {
    /// To the gates: input, candidate, forget, output.
    pub(crate) input: Linear,
    pub(crate) recurrent: Param<Tensor<2>>,
    pub(crate) projection: Param<Tensor<2>>,
    pub(crate) clip: f32,
}

impl LstmLayer {
    /// Maps keep the size of what they are given; cells begin by remembering, with a forget gate's bias of 1 [Jozefowicz 2015].
    pub(crate) fn new(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let (d, cell) = (config.d_model, config.d_ff);
        let std = |inputs: usize| 1.0 / (inputs as f64).sqrt();
        let forget = 2 * cell..3 * cell;
        let bias = (0..4 * cell).map(|i| if forget.contains(&i) { 1.0 } else { 0.0 }).collect();
        Self {
            input: Linear { weight: init.normal([d, 4 * cell], std(d)), bias: Some(init.vector(bias)) },
            recurrent: init.normal([d, 4 * cell], std(d)),
            projection: init.normal([cell, d], std(cell)),
            clip: if config.lstm_clip > 0.0 { config.lstm_clip as f32 } else { f32::INFINITY },
        }
    }

    /// `x` is `[batch, seq, d_model]`, and so is what is returned. With a cache each row goes on from the state after its last
    /// token, and the states after the new ones are kept.
    pub(crate) fn forward(&self, x: Tensor<3>, cache: Option<LayerCache<'_>>) -> Tensor<3> {
        let lstm = ops::Lstm {
            input: self.input.parameters(),
            recurrent: self.recurrent.val(),
            projection: self.projection.val(),
            clip: self.clip,
        };
        let Some(cache) = cache else { return ops::lstm(x, lstm) };
        let ([batch, _, _], [cell, width]) = (x.dims(), lstm.projection.dims());
        let state = cache.last().unwrap_or_else(|| {
            (Tensor::zeros([batch, width], &x.device()), Tensor::zeros([batch, cell], &x.device()))
        });
        let LstmStates { outputs, cells } = ops::lstm_from(x, lstm, state);
        // In the places of keys and values, of one head each.
        cache.append(outputs.clone().unsqueeze_dim(2), cells.unsqueeze_dim(2));
        outputs
    }
}
