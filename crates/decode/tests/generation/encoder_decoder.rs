//! An encoder–decoder keeps what [`LanguageModel`] promises, and every strategy works with it.

use std::ops::ControlFlow;

use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::device;
use firebrand_decode::{
    Beam, Contrastive, EncoderDecoderModel, GenerateConfig, HiddenStates, LanguageModel, Positions, Sampling,
    Strategy, generate, generate_contrastive,
};
use firebrand_transformer::{
    EncoderDecoder, Model, ModelConfig, ModelKind, NamedTensor, Preset, named_tensors, with_tensors,
};

const VOCAB_SIZE: usize = 13;
const TEXTS: [&[u32]; 2] = [&[3, 1, 4, 1, 5, 9], &[2, 6]];

/// Models whose logits differ clearly.
fn models() -> Vec<EncoderDecoder> {
    let (_, device) = device::resolve(Some("cpu")).expect("the cpu is always there");
    let model = |preset| {
        let config = ModelConfig::preset(preset, VOCAB_SIZE, 16, 2, 4, 10);
        // A tied head of large weights says the last id once more, whatever the text is.
        let config = ModelConfig { kind: ModelKind::EncoderDecoder, tied_head: false, ..config };
        let model = EncoderDecoder::new(&config, 5, &device).expect("a model");
        let larger = |tensor: NamedTensor| match tensor.shape.len() {
            2 => NamedTensor { values: tensor.values.iter().map(|x| x * 15.0).collect(), ..tensor },
            _ => tensor,
        };
        let tensors = named_tensors(&model).into_iter().map(larger).collect();
        with_tensors(model, tensors).expect("its own")
    };
    vec![model(Preset::T5), model(Preset::Llama), model(Preset::Gpt2)]
}

/// The logits after each of `ids`, written to `text`, without a cache.
fn uncached(model: &EncoderDecoder, text: &[u32], ids: &[u32]) -> Vec<Vec<f32>> {
    let tensor = |ids: &[u32]| {
        let numbers: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        Tensor::<2, Int>::from_data(TensorData::new(numbers, [1, ids.len()]), &model.device())
    };
    let encoded = model.encode(tensor(text), &[text.len()], None);
    let hidden = model.hidden(&encoded, tensor(ids), &[ids.len()], None);
    let logits = model.logits(hidden.reshape([ids.len(), model.config().d_model]));
    let values = logits.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
    values.chunks(VOCAB_SIZE).map(<[f32]>::to_vec).collect()
}

/// The likeliest ids one after the other, without a cache.
fn by_hand(model: &EncoderDecoder, text: &[u32], count: usize) -> Vec<u32> {
    let mut ids = vec![0];
    for _ in 0..count {
        let logits = uncached(model, text, &ids).pop().expect("one for each id");
        let best = (0..VOCAB_SIZE).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).expect("some");
        ids.push(best as u32);
    }
    ids.split_off(1)
}

#[test]
fn what_is_greedily_written_depends_on_the_text_and_is_the_likeliest() {
    for model in models() {
        let config = GenerateConfig { max_new_tokens: 8, ..GenerateConfig::default() };
        let written = TEXTS.map(|text| {
            let reader = EncoderDecoderModel::new(&model, text);
            let found =
                generate(&reader, &[vec![0]], &config, &mut |_, _| ControlFlow::Continue(())).expect("valid");
            assert_eq!(found[0].ids, by_hand(&model, text, 8));
            found[0].ids.clone()
        });
        assert_ne!(written[0], written[1]);
    }
}

#[test]
fn rows_are_forked_reordered_and_truncated_as_the_trait_says() {
    for model in models() {
        let reader = EncoderDecoderModel::new(&model, TEXTS[0]);
        let feed = |state: &mut _, ids: &[&[u32]]| {
            reader.step_with_hidden(state, ids, Positions::Last).expect("it cannot fail")
        };
        let mut state = reader.start(2);
        feed(&mut state, &[&[0, 1, 2], &[0, 7]]);
        let mut fork = reader.fork(&state, &[1, 0, 1]);
        reader.truncate(&mut fork, 1, 2);
        reader.reorder(&mut state, &[1]);
        let (forked, hidden) = feed(&mut fork, &[&[3], &[4], &[]]);
        let (kept, _) = feed(&mut state, &[&[5, 6]]);
        assert_eq!([0, 1, 2].map(|row| hidden.row(row).len()), [1, 1, 0]);
        for (logits, row, ids) in
            [(&forked, 0, &[0, 7, 3][..]), (&forked, 1, &[0, 1, 4]), (&kept, 0, &[0, 7, 5, 6])]
        {
            let expected = uncached(&model, TEXTS[0], ids).pop().expect("one for each id");
            let close = logits.last(row).iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 2e-5);
            assert!(close, "{ids:?}: {:?}, {expected:?}", logits.last(row));
        }
    }
}

#[test]
fn every_strategy_writes_within_the_context() {
    for model in models() {
        let reader = EncoderDecoderModel::new(&model, TEXTS[1]);
        let each = &mut |_, _| ControlFlow::Continue(());
        for strategy in [Strategy::Beam(Beam::default()), Strategy::Sample(Sampling::default())] {
            let config = GenerateConfig { strategy, max_new_tokens: 50, ..GenerateConfig::default() };
            let found = generate(&reader, &[vec![0], vec![0, 1]], &config, each).expect("valid");
            // The context of 10, and the id after its last position.
            assert_eq!(found.iter().map(|one| one.ids.len()).collect::<Vec<_>>(), [10, 9]);
            let alone = generate(&reader, &[vec![0]], &config, each).expect("valid");
            assert_eq!(alone[0].ids, found[0].ids, "what else is written does not matter");
        }
        let config = GenerateConfig { max_new_tokens: 5, ..GenerateConfig::default() };
        let options = Contrastive { k: 4, alpha: 0.6 };
        let found = generate_contrastive(&reader, &[vec![0]], &options, &config, each).expect("valid");
        assert_eq!(found[0].ids.len(), 5);
    }
}

#[test]
fn a_wider_beam_finds_what_is_no_less_likely() {
    for model in models() {
        let reader = EncoderDecoderModel::new(&model, TEXTS[0]);
        let best = |width| {
            let strategy = Strategy::Beam(Beam { width, ..Beam::default() });
            let config = GenerateConfig { strategy, max_new_tokens: 3, ..GenerateConfig::default() };
            let each = &mut |_, _| ControlFlow::Continue(());
            generate(&reader, &[vec![0]], &config, each).expect("valid").remove(0)
        };
        // As wide as there are sequences of two: the search misses none.
        let (narrow, all) = (best(1), best(VOCAB_SIZE * VOCAB_SIZE));
        assert!(all.log_prob() >= narrow.log_prob() - 1e-6);
        let logits = uncached(&model, TEXTS[0], &[&[0], &all.ids[..]].concat());
        let log_prob = |position: usize, id: u32| {
            let sum: f64 = logits[position].iter().map(|&x| f64::from(x).exp()).sum();
            f64::from(logits[position][id as usize]) - sum.ln()
        };
        let expected: f64 = all.ids.iter().enumerate().map(|(at, &id)| log_prob(at, id)).sum();
        assert!((all.log_prob() - expected).abs() < 1e-4, "{} and {expected}", all.log_prob());
    }
}
