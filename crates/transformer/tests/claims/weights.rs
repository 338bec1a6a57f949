//! Weights by name, their number, and where they come from.

use crate::{configs, device, difference, elmos, ids, model, uncached};
use firebrand_transformer::{
    Bidirectional, Characters, Decoder, LayerKind, Model, ModelConfig, ModelKind, NamedTensor, PositionKind,
    named_tensors, read_tensors, with_tensors, write_tensors,
};

fn fresh(seed: u64, device_name: &str) -> (Decoder, Vec<NamedTensor>) {
    let (_, config) = configs().remove(0);
    let model = Decoder::new(&config, seed, &device(device_name)).expect("a model");
    let tensors = named_tensors(&model);
    (model, tensors)
}

/// What `with_tensors` says of a model whose tensors were tampered with.
fn complaint(change: impl FnOnce(&mut Vec<NamedTensor>)) -> String {
    let (model, mut tensors) = fresh(0, "cpu");
    change(&mut tensors);
    with_tensors(model, tensors).map(|_| ()).expect_err("these are not the model's tensors").to_string()
}

#[test]
fn n_params_is_the_number_of_numbers_in_all_tensors() {
    for (name, config) in configs() {
        let tensors = named_tensors(&Decoder::new(&config, 0, &device("cpu")).expect("a model"));
        let numbers: usize = tensors.iter().map(|tensor| tensor.values.len()).sum();
        assert_eq!(config.n_params(), numbers, "{name}");
        assert!(tensors.iter().all(|t| t.shape.iter().product::<usize>() == t.values.len()), "{name}");
    }
}

#[test]
fn n_params_is_the_number_of_numbers_of_a_bidirectional_model_too() {
    for (name, config) in elmos() {
        let model = Bidirectional::new(&config, 0, &device("cpu")).expect("a model");
        let numbers: usize = named_tensors(&model).iter().map(|tensor| tensor.values.len()).sum();
        assert_eq!(config.n_params(), numbers, "{name}");
    }
}

#[test]
fn parts_of_elmo_in_a_place_where_there_are_none_are_refused() {
    let [(_, lstm), (_, characters)] = elmos();
    let message = |config: ModelConfig| {
        let new = Bidirectional::new(&config, 0, &device("cpu")).map(|_| ());
        new.expect_err("this config describes no model").to_string()
    };
    let position = PositionKind::Learned;
    assert!(message(ModelConfig { position, ..lstm.clone() }).contains("position must be \"none\""));
    assert!(message(ModelConfig { lstm_clip: -1.0, ..lstm.clone() }).contains("lstm_clip -1"));
    assert!(
        message(ModelConfig { tied_head: true, ..characters.clone() }).contains("tied_head must be false")
    );
    assert!(
        message(ModelConfig { spellings: None, ..characters.clone() }).contains("bytes of 0 of 17 tokens")
    );
    let kind = ModelKind::Decoder;
    assert!(message(ModelConfig { kind, ..lstm }).contains("are for bidirectional models"));
    assert!(
        message(ModelConfig { kind, position, layers: LayerKind::Transformer, ..characters.clone() })
            .contains("characters are for bidirectional models")
    );
    let with = |change: fn(&mut Characters)| {
        let mut config = characters.clone();
        change(config.characters.as_mut().expect("it has them"));
        message(config)
    };
    assert!(with(|c| c.filters.clear()).contains("there are no filters"));
    assert!(with(|c| c.filters[0][0] = 21).contains("a filter's width 21 is not in 1 to max_bytes 20"));
    assert!(with(|c| c.max_bytes = 2).contains("max_bytes 2 is not in 3 to 1024"));
}

#[test]
fn tensors_taken_out_and_put_into_another_model_make_it_the_same() {
    for (name, config) in configs() {
        let one = model(&config, &device("cpu"));
        let tensors = named_tensors(&one);
        let other = Decoder::new(&config, 99, &device("cpu")).expect("a model");
        let other = with_tensors(other, tensors.clone()).expect("of the same config");
        assert_eq!(named_tensors(&other), tensors, "{name}");
        assert_eq!(difference(&uncached(&one, &ids(0, 5)), &uncached(&other, &ids(0, 5))), 0.0, "{name}");
    }
}

#[test]
fn tensors_survive_a_file_bit_by_bit() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("model.safetensors");
    let (_, mut tensors) = fresh(3, "cpu");
    tensors[0].values[..3].copy_from_slice(&[f32::MIN_POSITIVE / 2.0, -0.0, f32::MAX]);
    write_tensors(&path, &tensors).expect("written");
    let mut read = read_tensors(&path).expect("read");
    let by_name = |a: &NamedTensor, b: &NamedTensor| a.name.cmp(&b.name);
    tensors.sort_by(by_name);
    read.sort_by(by_name);
    let bits = |tensors: &[NamedTensor]| -> Vec<u32> {
        tensors.iter().flat_map(|tensor| tensor.values.iter().map(|value| value.to_bits())).collect()
    };
    assert_eq!(read, tensors);
    assert_eq!(bits(&read), bits(&tensors));
}

#[test]
fn first_weights_depend_on_the_seed_and_on_nothing_else() {
    let (_, tensors) = fresh(1, "cpu");
    assert_eq!(fresh(1, "cpu").1, tensors);
    assert_eq!(fresh(1, "ndarray").1, tensors);
    let other = fresh(2, "cpu").1;
    for (a, b) in tensors.iter().zip(&other).filter(|(a, _)| a.shape.len() == 2) {
        assert_ne!(a.values, b.values, "{} is the same for two seeds", a.name);
    }
}

#[test]
fn first_weights_have_the_spread_of_the_papers() {
    for (name, config) in configs() {
        for tensor in named_tensors(&Decoder::new(&config, 0, &device("cpu")).expect("a model")) {
            let n = tensor.values.len() as f64;
            if tensor.shape.len() == 1 {
                let expected = if tensor.name.ends_with("bias") { 0.0 } else { 1.0 };
                assert!(tensor.values.iter().all(|&x| x == expected), "{name}: {}", tensor.name);
                continue;
            }
            let residual = tensor.name.ends_with("output.weight") || tensor.name.ends_with("down.weight");
            let expected = if residual { 0.02 / (2.0 * config.n_layers as f64).sqrt() } else { 0.02 };
            let std = (tensor.values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n).sqrt();
            // Five standard errors.
            let tolerance = 5.0 / (2.0 * n).sqrt();
            assert!((std / expected - 1.0).abs() < tolerance, "{name}: {} has {std:.4}", tensor.name);
        }
    }
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let missing = complaint(|tensors| tensors.retain(|tensor| tensor.name != "layers.1.mlp.up.weight"));
    assert!(missing.contains("layers.1.mlp.up.weight is missing"), "{missing}");
    let left_over = complaint(|tensors| tensors[0].name = "token_embeddings".into());
    assert!(left_over.contains("token_embedding is missing"), "{left_over}");
    assert!(left_over.contains("token_embeddings has no place in the model"), "{left_over}");
    let wrong = complaint(|tensors| tensors[0].shape.reverse());
    assert!(wrong.contains("token_embedding is [16, 17] and should be [17, 16]"), "{wrong}");
}
