//! What weights in less than 32 bits are as f32.

use crate::{VOCAB_SIZE, device, difference, far_from_first, ids, model, uncached};
use firebrand_transformer::{
    CpuDecoder, Encoder, EncoderDecoder, EncoderHeads, Model, ModelConfig, Permutation, Preset, Wanted,
    WeightFormat, named_tensors, rounded,
};

const NARROW: [WeightFormat; 2] = [WeightFormat::Bf16, WeightFormat::Int8];

#[test]
fn a_rounded_decoder_computes_what_one_with_narrow_weights_does() {
    for preset in [Preset::Llama, Preset::Gpt2] {
        // Widths that fill the panels of narrow weights, which are counted whole.
        let config = ModelConfig { d_ff: 128, ..ModelConfig::preset(preset, VOCAB_SIZE, 64, 2, 4, 12) };
        let wide = model(&config, &device("cpu"));
        let ids = ids(1, 9);
        for format in NARROW {
            let narrow = CpuDecoder::new(&wide, format).expect("on the CPU");
            let logits = narrow.step(&mut narrow.start(1), &[&ids], Wanted::All);
            let logits: Vec<Vec<f32>> = logits.chunks(VOCAB_SIZE).map(<[f32]>::to_vec).collect();
            let rounded = rounded(&wide, format).expect("on the CPU");
            let what = format!("{} {}", preset.name(), format.name());
            let (of_f32, of_rounded) = (uncached(&wide, &ids), uncached(&rounded.model, &ids));
            let apart = difference(&of_rounded, &logits);
            assert!(apart <= 2e-4, "{what}: {apart:e}");
            let changed = difference(&of_rounded, &of_f32);
            assert!(changed > 10.0 * apart, "{what}: {changed:e}, {apart:e}");
            assert_eq!(rounded.bytes, narrow.weight_bytes(), "{what}");
        }
    }
}

/// The names of tensors that rounding changes.
fn changed<M: Model>(model: &M, format: WeightFormat) -> Vec<String> {
    let (before, after) =
        (named_tensors(model), named_tensors(&rounded(model, format).expect("on the CPU").model));
    let kept = |name: &str| after.iter().find(|tensor| tensor.name == name).expect("it has what it had");
    let changed = before.iter().filter(|tensor| kept(&tensor.name) != *tensor);
    changed.map(|tensor| tensor.name.clone()).collect()
}

#[test]
fn of_every_kind_matrices_are_rounded_and_nothing_else() {
    let config = |preset, kind| {
        let config = ModelConfig::preset(preset, VOCAB_SIZE, 16, 1, 4, 12);
        ModelConfig { kind, ..config }
    };
    let cpu = device("cpu");
    for format in NARROW {
        let t5 = config(Preset::T5, EncoderDecoder::KIND);
        let t5 = far_from_first(EncoderDecoder::new(&t5, 7, &cpu).expect("a model"));
        let permutation = config(Preset::Gpt2, Permutation::KIND);
        let permutation = far_from_first(Permutation::new(&permutation, 7, &cpu).expect("a model"));
        let bert = ModelConfig {
            heads: EncoderHeads { masked: true, ..EncoderHeads::default() },
            ..config(Preset::Gpt2, Encoder::KIND)
        };
        let bert = far_from_first(Encoder::new(&bert, 7, &cpu).expect("a model"));
        let of_bert = changed(&bert, format);
        // Those of its layer, the map of its head, and what predictions are compared with, which is apart from the embedding now.
        assert_eq!(of_bert.len(), 7, "{of_bert:?}");
        assert!(of_bert.contains(&"masked_head.dense.weight".to_owned()), "{of_bert:?}");
        let names = [changed(&t5, format), changed(&permutation, format)];
        // Of attention four maps, of a feed-forward part two; a decoder that looks at an encoder has attention twice.
        assert_eq!(names.each_ref().map(Vec::len), [16, 6], "{names:?}");
        assert!(
            names.iter().flatten().all(|name| name.contains("attention.") || name.contains("mlp.")),
            "{names:?}"
        );
    }
    let (_, other) = firebrand_backend::device::resolve(Some("ndarray")).expect("it is always there");
    let elsewhere = Permutation::new(&config(Preset::Gpt2, Permutation::KIND), 7, &other).expect("a model");
    assert!(rounded(&elsewhere, WeightFormat::Int8).is_err(), "{:?}", elsewhere.device());
}
