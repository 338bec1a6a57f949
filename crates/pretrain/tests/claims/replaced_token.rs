//! What ELECTRA's objective promises: samples in the place of masks, and a question about every token.

use crate::masked::{masking, tiny_encoder};
use crate::{VOCAB_SIZE, batch, device, far_from_first};
use firebrand_pretrain::{ReplacedToken, ReplacedTokenConfig};
use firebrand_training::{BatchKey, Objective};
use firebrand_transformer::{
    Encoder, EncoderHeads, Model, ModelConfig, NamedTensor, Preset, named_tensors, with_tensors,
};

const KEY: BatchKey = BatchKey { seed: 3, step: 4, first_example: 0, training: true };
const MASK: u32 = VOCAB_SIZE as u32;

fn config(size: f64) -> ModelConfig {
    let config = tiny_encoder(Preset::Bert);
    let options = ReplacedTokenConfig { generator_size: size, ..ReplacedTokenConfig::default() };
    let heads = EncoderHeads { replaced: true, ..EncoderHeads::default() };
    ModelConfig { heads, generator: Some(options.generator(&config)), ..config }
}

fn objective() -> ReplacedToken {
    ReplacedToken::new(&ReplacedTokenConfig::default(), masking(), 0.0, Some(0))
}

fn model(config: &ModelConfig) -> Encoder {
    far_from_first(Encoder::new(config, 7, &device("cpu")).expect("a model"))
}

fn with(model: Encoder, change: impl Fn(&mut NamedTensor)) -> Encoder {
    let mut tensors = named_tensors(&model);
    tensors.iter_mut().for_each(change);
    with_tensors(model, tensors).expect("its own")
}

/// Nats of each term.
fn nats(model: &Encoder) -> [f64; 2] {
    let objective = objective();
    let batch = objective.prepare(&batch(3, 9), KEY, &device("cpu"));
    let terms = objective.loss(model, batch);
    assert_eq!(
        terms.iter().map(|term| (term.name, term.weight)).collect::<Vec<_>>(),
        [("mlm", 1.0), ("rtd", 50.0)]
    );
    let nats: Vec<f64> = terms.into_iter().map(|term| f64::from(term.nats.into_scalar::<f32>())).collect();
    nats.try_into().expect("two terms")
}

#[test]
fn every_chosen_token_becomes_a_mask_and_every_token_is_asked_about() {
    let objective = objective();
    let batch = objective.prepare(&batch(5, 9), KEY, &device("cpu"));
    let masks = batch.rows().iter().flat_map(|row| &row.ids).filter(|&&id| id == MASK).count();
    let chosen: usize = batch.rows().iter().map(|row| row.targets.len()).sum();
    assert_eq!((masks, chosen), (5, 5), "round(0.15 · 8) = 1 of each row");
    assert_eq!(objective.counts(&batch), [5, 5 * 8]);
}

#[test]
fn a_sample_that_is_the_original_counts_as_original() {
    let objective = objective();
    let rows = batch(3, 9);
    let batch = objective.prepare(&rows, KEY, &device("cpu"));
    let originals: Vec<u32> =
        batch.rows().iter().flat_map(|row| row.targets.iter().map(|&(_, id)| id)).collect();
    let (filled, replaced) = batch.filled(&originals);
    assert!(replaced.iter().all(|replaced| !replaced));
    for (row, ids) in filled.iter().enumerate() {
        assert_eq!(ids[..], rows.row(row)[..8], "the text as it was");
    }
    let mut samples = originals.clone();
    samples[1] = 1 + samples[1] % 10;
    let (filled, replaced) = batch.filled(&samples);
    let (position, _) = batch.rows()[1].targets[0];
    let expected: Vec<bool> = (0..24).map(|place| place == 8 + position).collect();
    assert_eq!(replaced, expected);
    assert_eq!(filled[1][position], samples[1]);
}

#[test]
fn a_generator_that_always_fills_in_one_token_makes_the_labels_that_follow_from_it() {
    // Its head's bias decides: every mask becomes token 7. A discriminator that says "original" with log-odds −2 everywhere pays
    // log(1 + e^−2) for each original token and log(1 + e^2) for each replaced one.
    let model = with(model(&config(0.5)), |tensor| match tensor.name.as_str() {
        "generator.masked_head.bias" => tensor.values[7] = 1e4,
        "replaced_head.classifier.weight" => tensor.values.fill(0.0),
        "replaced_head.classifier.bias" => tensor.values.fill(-2.0),
        _ => {}
    });
    let batch = objective().prepare(&batch(3, 9), KEY, &device("cpu"));
    let targets = batch.rows().iter().flat_map(|row| &row.targets);
    let replaced = targets.filter(|(_, id)| *id != 7).count() as f64;
    let expected = (24.0 - replaced) * (-2.0_f64).exp().ln_1p() + replaced * 2.0_f64.exp().ln_1p();
    let [_, rtd] = nats(&model);
    assert!((rtd - expected).abs() < 1e-3, "{rtd} and {expected}");
}

#[test]
fn the_generator_shares_the_embeddings_and_the_discriminator_does_not_change_its_loss() {
    for size in [0.25, 0.5, 1.0] {
        let config = config(size);
        let model = model(&config);
        let [mlm, rtd] = nats(&model);
        let other = with(model.clone(), |tensor| {
            if tensor.name.starts_with("layers.0.mlp") {
                tensor.values.iter_mut().for_each(|value| *value *= 1.5);
            }
        });
        let [mlm_of_other, rtd_of_other] = nats(&other);
        assert_eq!(mlm_of_other, mlm, "size {size}");
        assert_ne!(rtd_of_other, rtd);
        let other = with(model, |tensor| {
            if tensor.name == "token_embedding" {
                tensor.values.iter_mut().for_each(|value| *value *= 1.1);
            }
        });
        assert_ne!(nats(&other)[0], mlm, "size {size}");
    }
}

#[test]
fn a_generator_is_as_wide_as_its_size_says_in_heads_as_wide_as_the_models() {
    let model = ModelConfig::preset(Preset::Bert, 100, 128, 4, 4, 64);
    let of = |generator_size| {
        ReplacedTokenConfig { generator_size, ..ReplacedTokenConfig::default() }.generator(&model)
    };
    let quarter = of(0.25);
    assert_eq!((quarter.d_model, quarter.n_heads, quarter.n_layers, quarter.d_ff), (32, 1, 4, 128));
    assert_eq!((of(1.0).d_model, of(0.01).d_model, of(0.01).n_heads), (128, 32, 1));
    let refused = |config: ReplacedTokenConfig| config.validate().expect_err("no such options").to_string();
    let default = ReplacedTokenConfig::default();
    assert!(refused(ReplacedTokenConfig { generator_size: 1.5, ..default }).contains("generator_size 1.5"));
    assert!(refused(ReplacedTokenConfig { weight: -1.0, ..default }).contains("weight -1"));
    assert!(refused(ReplacedTokenConfig { probability: 1.0, ..default }).contains("probability 1"));
}
