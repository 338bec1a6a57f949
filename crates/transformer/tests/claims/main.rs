//! What a decoder promises, over a table of configs that uses every option.

mod adapters;
mod classifier_folders;
mod cpu;
mod encoder;
mod encoder_decoder;
mod encoder_folders;
mod forward;
mod hugging_face;
mod llama2c;
mod prefix;
mod rounded;
mod weights;

use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::device;
use firebrand_backend::ops::AttentionMask;
use firebrand_transformer::{
    Bidirectional, Characters, Decoder, LayerKind, MlpKind, Model, ModelConfig, ModelKind, NamedTensor,
    NormKind, PositionKind, Preset, Spellings, named_tensors, with_tensors,
};

const VOCAB_SIZE: usize = 17;
const SEQ_LEN: usize = 12;

fn device(name: &str) -> Device {
    device::resolve(Some(name)).expect("the cpu and ndarray are always there").1
}

/// Every value of every option, in company that differs.
fn configs() -> Vec<(&'static str, ModelConfig)> {
    let case = |name, preset, change: fn(&mut ModelConfig)| {
        let mut config = ModelConfig::preset(preset, VOCAB_SIZE, 16, 2, 4, SEQ_LEN);
        change(&mut config);
        (name, config)
    };
    let (llama, gpt2) = (Preset::Llama, Preset::Gpt2);
    vec![
        case("llama", llama, |_| {}),
        case("gpt2", gpt2, |_| {}),
        case("llama, grouped queries, tied head", llama, |c| (c.n_kv_heads, c.tied_head) = (2, true)),
        case("llama, one key head, biases", llama, |c| (c.n_kv_heads, c.bias) = (1, true)),
        case("llama, normalized queries, soft cap, relu2", llama, |c| {
            (c.qk_norm, c.logit_soft_cap, c.mlp) = (true, 2.0, MlpKind::Relu2);
        }),
        case("gpt2 without biases, free head, gelu", gpt2, |c| {
            (c.bias, c.tied_head, c.mlp) = (false, false, MlpKind::Gelu);
        }),
        case("gpt2, rotary, normalized queries", gpt2, |c| {
            (c.position, c.qk_norm) = (PositionKind::Rope, true);
        }),
        case("no positions", llama, |c| c.position = PositionKind::None),
        case("rms, learned positions, gelu-tanh, grouped queries", gpt2, |c| {
            (c.norm, c.n_kv_heads) = (NormKind::Rms, 2);
        }),
        case("llama, wide heads, grouped queries, biases", llama, |c| {
            (c.d_head, c.n_kv_heads, c.bias) = (Some(6), 2, true);
        }),
        case("gpt2, narrow heads, normalized queries", gpt2, |c| (c.d_head, c.qk_norm) = (Some(3), true)),
    ]
}

/// A model far from its first weights. Differences that an untrained model would hide are seen.
fn model(config: &ModelConfig, device: &Device) -> Decoder {
    far_from_first(Decoder::new(config, 7, device).expect("the config is a model's"))
}

/// The same with larger weights, and no gain or bias at its neutral value.
fn far_from_first<M: Model>(model: M) -> M {
    // Those of LSTMs begin larger, and more would only hold their gates open or shut.
    let lstm = model.config().layers == LayerKind::Lstm;
    let tensors = named_tensors(&model).into_iter().map(|tensor| {
        let matrix = tensor.shape.len() == 2;
        let change = |(i, value): (usize, f32)| {
            if matrix {
                value * if lstm && tensor.name != "head" { 1.5 } else { 12.0 }
            } else {
                value + 0.3 * (i as f32 * 1.7 + tensor.name.len() as f32).sin()
            }
        };
        let values = tensor.values.iter().copied().enumerate().map(change).collect();
        NamedTensor { values, ..tensor }
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors).expect("they are its own")
}

/// The parts of ELMo: LSTM layers, with embeddings of a table and with embeddings computed from bytes.
fn elmos() -> [(&'static str, ModelConfig); 2] {
    let config = ModelConfig {
        kind: ModelKind::Bidirectional,
        layers: LayerKind::Lstm,
        lstm_clip: 0.5,
        position: PositionKind::None,
        ..ModelConfig::preset(Preset::Llama, VOCAB_SIZE, 16, 2, 4, SEQ_LEN)
    };
    // Every fifth token has none, as a special one.
    let bytes = |id: usize| (0..id % 5).map(|i| b'a' + ((id * 7 + i * 3) % 26) as u8).collect();
    let bytes: Vec<Vec<u8>> = (0..VOCAB_SIZE).map(bytes).collect();
    let characters =
        Characters { d_byte: 4, filters: vec![[1, 20], [3, 20]], highway_layers: 1, max_bytes: 20 };
    let from_bytes = ModelConfig {
        characters: Some(characters),
        spellings: Some(Spellings::new(bytes.iter().map(Vec::as_slice))),
        ..config.clone()
    };
    [("LSTM", config), ("LSTM, characters", from_bytes)]
}

fn elmo(config: &ModelConfig, device: &Device) -> Bidirectional {
    far_from_first(Bidirectional::new(config, 7, device).expect("the config is a model's"))
}

/// A model of every config, with the CPU's fused operations and with burn's.
fn models() -> Vec<(String, Decoder)> {
    let on = |name: &'static str| {
        let device = device(name);
        configs()
            .into_iter()
            .map(|(case, config)| (case, model(&config, &device)))
            .chain(elmos().map(|(case, config)| (case, elmo(&config, &device).forward())))
            .map(|(case, model)| (format!("{case} on {name}"), model))
            .collect::<Vec<_>>()
    };
    [on("cpu"), on("ndarray")].concat()
}

/// Ids without a pattern, other ones for each row.
fn ids(row: usize, len: usize) -> Vec<u32> {
    (0..len).map(|i| ((i * i * 5 + i * 3 + row * 7 + row * row * i) % VOCAB_SIZE) as u32).collect()
}

/// The logits of `[n, d_model]` hidden states, a vector each.
fn logits_of(model: &Decoder, hidden: Tensor<2>) -> Vec<Vec<f32>> {
    let logits = model.logits(hidden).into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
    logits.chunks(model.config().vocab_size).map(<[f32]>::to_vec).collect()
}

/// The logits at every position of `ids`, without a cache.
fn uncached(model: &Decoder, ids: &[u32]) -> Vec<Vec<f32>> {
    let numbers: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(numbers, [1, ids.len()]), &model.device());
    let [_, seq] = ids.dims();
    let hidden = model.hidden(ids, &AttentionMask::Causal, None);
    logits_of(model, hidden.reshape([seq, model.config().d_model]))
}

/// The largest absolute difference; the shapes must agree.
fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len(), "as many positions");
    let mut largest = 0.0f32;
    for (x, y) in a.iter().flatten().zip(b.iter().flatten()) {
        assert!(x.is_finite() && y.is_finite(), "{x} or {y} is not finite");
        largest = largest.max((x - y).abs());
    }
    largest
}
