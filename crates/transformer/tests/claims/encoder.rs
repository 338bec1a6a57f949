//! What an encoder promises, over configs that use every option.

use crate::{SEQ_LEN, VOCAB_SIZE, device, difference, ids};
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_transformer::{
    Encoder, EncoderHeads, GeneratorConfig, MlpKind, Model, ModelConfig, ModelKind, NamedTensor,
    NormPlacement, Preset, named_tensors, with_tensors,
};

/// Every value of every option, in company that differs.
pub(crate) fn encoders() -> Vec<(&'static str, ModelConfig)> {
    let case = |name, preset, change: fn(&mut ModelConfig)| {
        let mut config = ModelConfig::preset(preset, VOCAB_SIZE, 16, 2, 4, SEQ_LEN);
        (config.kind, config.heads.masked) = (ModelKind::Encoder, true);
        change(&mut config);
        (name, config)
    };
    let (llama, bert) = (Preset::Llama, Preset::Bert);
    vec![
        case("bert", bert, |_| {}),
        case("bert with next sentences, gelu-tanh", bert, |c| {
            (c.heads.next_sentence, c.mlp) = (true, MlpKind::GeluTanh);
        }),
        case("bert without biases", bert, |c| c.bias = false),
        case("bert without heads", bert, |c| c.heads = EncoderHeads::default()),
        case("electra", bert, |c| c.heads = EncoderHeads { replaced: true, ..EncoderHeads::default() }),
        case("electra with a narrower generator", bert, |c| {
            c.heads = EncoderHeads { replaced: true, ..EncoderHeads::default() };
            c.generator = Some(GeneratorConfig { d_model: 8, n_layers: 1, n_heads: 2, d_ff: 12 });
        }),
        case("llama's layers", llama, |c| c.tied_head = true),
        case("llama's layers, free head, biases, grouped and normalized queries", llama, |c| {
            (c.bias, c.n_kv_heads, c.qk_norm, c.logit_soft_cap) = (true, 2, true, 2.0);
        }),
        case("llama's layers with everything behind them", llama, |c| {
            c.heads = EncoderHeads { masked: true, next_sentence: true, replaced: true };
            c.generator = Some(GeneratorConfig { d_model: 16, n_layers: 2, n_heads: 4, d_ff: 32 });
        }),
        case("rms norms after each part, three token types", llama, |c| {
            (c.norm_placement, c.token_types, c.embedding_norm) = (NormPlacement::Post, 3, true);
        }),
        case("bert with wide heads and a generator", bert, |c| {
            c.d_head = Some(6);
            c.generator = Some(GeneratorConfig { d_model: 8, n_layers: 1, n_heads: 2, d_ff: 12 });
        }),
    ]
}

/// A model far from its first weights: differences that an untrained model would hide are seen.
pub(crate) fn encoder(config: &ModelConfig, device: &Device) -> Encoder {
    let model = Encoder::new(config, 7, device).expect("the config is a model's");
    let tensors = named_tensors(&model).into_iter().map(|tensor| {
        let matrix = tensor.shape.len() == 2;
        let change = |(i, value): (usize, f32)| {
            if matrix {
                value * 12.0
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

pub(crate) fn row(ids: &[u32], device: &Device) -> Tensor<2, Int> {
    let numbers: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    Tensor::from_data(TensorData::new(numbers, [1, ids.len()]), device)
}

pub(crate) fn vectors(states: Tensor<3>) -> Vec<Vec<f32>> {
    let width = states.dims()[2];
    let values = states.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
    values.chunks(width).map(<[f32]>::to_vec).collect()
}

fn states(model: &Encoder, ids: &[u32], types: Option<&[u32]>) -> Vec<Vec<f32>> {
    let device = model.device();
    let types = types.map(|types| row(types, &device));
    vectors(model.hidden(row(ids, &device), types, &AttentionMask::Full, None))
}

#[test]
fn every_token_changes_the_state_of_every_other() {
    for (name, config) in encoders() {
        let model = encoder(&config, &device("cpu"));
        let ids = ids(0, 9);
        let before = states(&model, &ids, None);
        for at in 0..ids.len() {
            let mut changed = ids.clone();
            changed[at] = (changed[at] + 1) % VOCAB_SIZE as u32;
            let after = states(&model, &changed, None);
            for (position, (a, b)) in before.iter().zip(&after).enumerate() {
                assert_ne!(a, b, "{name}: {at} changed, {position} looked at");
            }
        }
    }
}

#[test]
fn the_order_of_tokens_and_their_types_change_states() {
    for (name, config) in encoders() {
        let model = encoder(&config, &device("cpu"));
        let mut reversed = states(&model, &[5, 4, 3, 2, 1], None);
        reversed.reverse();
        assert!(difference(&reversed, &states(&model, &[1, 2, 3, 4, 5], None)) > 1e-3, "{name}");
        let zeros = states(&model, &[1, 2, 3], Some(&[0, 0, 0]));
        assert_eq!(zeros, states(&model, &[1, 2, 3], None), "{name}: types are 0 where they are not given");
        let of_types = difference(&zeros, &states(&model, &[1, 2, 3], Some(&[0, 1, 1])));
        assert_eq!(of_types > 1e-3, config.token_types > 1, "{name}: {of_types}");
    }
}

#[test]
fn the_cpu_and_burns_operations_agree_on_states_and_heads() {
    for (name, config) in encoders() {
        let of = |device_name: &str| {
            let device = device(device_name);
            let model = encoder(&config, &device);
            let hidden = model.hidden(row(&ids(1, 9), &device), None, &AttentionMask::Full, None);
            let flat = hidden.clone().reshape([9, config.d_model]);
            let mut all = vectors(hidden.clone());
            let numbers = |tensor: Tensor<2>| vectors(tensor.unsqueeze::<3>());
            all.extend(model.masked_logits(flat.clone()).into_iter().flat_map(numbers));
            all.extend(
                model.replaced_logits(flat).into_iter().flat_map(|logits| numbers(logits.unsqueeze::<2>())),
            );
            all.extend(model.next_sentence_logits(hidden).into_iter().flat_map(numbers));
            let generator = model.generator_hidden(row(&ids(1, 9), &device), &AttentionMask::Full, None);
            all.extend(generator.into_iter().flat_map(|states| {
                let width = states.dims()[2];
                numbers(model.generator_logits(states.reshape([9, width])).expect("there is one"))
            }));
            all
        };
        let (fused, plain) = (of("cpu"), of("ndarray"));
        let difference = difference(&fused, &plain);
        assert!(difference < 2e-4, "{name}: {difference:e}");
    }
}

#[test]
fn nats_are_those_of_the_logits() {
    for (name, config) in encoders().into_iter().filter(|(_, config)| config.heads.masked) {
        let device = device("cpu");
        let model = encoder(&config, &device);
        let hidden = model.hidden(row(&ids(1, 9), &device), None, &AttentionMask::Full, None);
        let hidden = hidden.reshape([9, config.d_model]);
        let targets = row(&ids(2, 9), &device).reshape([9]);
        let nats = vectors(model.masked_nats(hidden.clone(), targets).unsqueeze::<3>()).concat();
        let logits = vectors(model.masked_logits(hidden).expect("a head").unsqueeze::<3>());
        for ((nats, logits), target) in nats.iter().zip(&logits).zip(ids(2, 9)) {
            let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            let expected = sum.ln() - f64::from(logits[target as usize]);
            assert!((f64::from(*nats) - expected).abs() < 1e-4, "{name}: {nats} and {expected}");
        }
    }
}

#[test]
fn n_params_of_an_encoder_is_the_number_of_numbers_in_all_tensors() {
    for (name, config) in encoders() {
        let tensors = named_tensors(&Encoder::new(&config, 0, &device("cpu")).expect("a model"));
        let numbers: usize = tensors.iter().map(|tensor| tensor.values.len()).sum();
        assert_eq!(config.n_params(), numbers, "{name}");
    }
}

#[test]
fn states_of_layers_begin_with_the_embeddings_and_end_with_the_final_states() {
    for (name, config) in encoders() {
        let model = encoder(&config, &device("cpu"));
        let layers = model.layer_states(row(&ids(0, 7), &model.device()));
        assert_eq!(layers.len(), config.n_layers + 1, "{name}");
        assert_eq!(vectors(layers[config.n_layers].clone()), states(&model, &ids(0, 7), None), "{name}");
    }
}

#[test]
fn what_only_an_encoder_has_is_refused_elsewhere() {
    let of = |change: fn(&mut ModelConfig)| {
        let mut config = ModelConfig::preset(Preset::Gpt2, VOCAB_SIZE, 16, 2, 4, SEQ_LEN);
        change(&mut config);
        config.validate().expect_err("this is no decoder").to_string()
    };
    for (message, named) in [
        (of(|c| c.norm_placement = NormPlacement::Post), "norm_placement"),
        (of(|c| c.embedding_norm = true), "embedding_norm"),
        (of(|c| c.heads.masked = true), "heads"),
    ] {
        assert!(message.starts_with(named) && message.contains("this is a decoder model"), "{message}");
    }
    let mut config = ModelConfig::preset(Preset::Bert, VOCAB_SIZE, 16, 2, 4, SEQ_LEN);
    config.generator = Some(GeneratorConfig { d_model: 9, n_layers: 1, n_heads: 2, d_ff: 12 });
    let message = config.validate().expect_err("no such generator").to_string();
    assert_eq!(message, "of the generator: d_model 9 is not divisible by n_heads 2");
}
