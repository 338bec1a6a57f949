//! Our decoder keeps what [`LanguageModel`] promises, so that what holds for the fake model holds for it.

use std::ops::ControlFlow;

use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::{device, ops::AttentionMask};
use firebrand_decode::{
    Beam, Contrastive, DecoderModel, DecoderState, FinishReason, GenerateConfig, HiddenStates, LanguageModel,
    Logits, Positions, Sampling, Strategy, Uncached, generate, generate_contrastive,
};
use firebrand_transformer::{Decoder, Model, ModelConfig, NamedTensor, Preset, named_tensors, with_tensors};

const VOCAB_SIZE: usize = 13;
const SEQ_LEN: usize = 10;

/// Models whose logits differ clearly.
fn decoders() -> Vec<Decoder> {
    let (_, device) = device::resolve(Some("cpu")).expect("the cpu is always there");
    let decoder = |preset| {
        let config = ModelConfig::preset(preset, VOCAB_SIZE, 16, 2, 4, SEQ_LEN);
        let decoder = Decoder::new(&config, 5, &device).expect("a model");
        let larger = |tensor: NamedTensor| match tensor.shape.len() {
            2 => NamedTensor { values: tensor.values.iter().map(|x| x * 15.0).collect(), ..tensor },
            _ => tensor,
        };
        let tensors = named_tensors(&decoder).into_iter().map(larger).collect();
        with_tensors(decoder, tensors).expect("its own")
    };
    vec![decoder(Preset::Llama), decoder(Preset::Gpt2)]
}

/// Each decoder on slices and on tensors.
fn both_ways(decoders: &[Decoder]) -> impl Iterator<Item = (&Decoder, DecoderModel<'_>)> {
    decoders.iter().flat_map(|decoder| {
        [DecoderModel::new(decoder), DecoderModel::on_tensors(decoder)].map(|model| (decoder, model))
    })
}

/// The hidden states after each id, without a cache, as `[1, ids, d_model]`.
fn hidden(decoder: &Decoder, ids: &[u32]) -> Tensor<3> {
    let numbers: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let input = Tensor::<2, Int>::from_data(TensorData::new(numbers, [1, ids.len()]), &decoder.device());
    decoder.hidden(input, &AttentionMask::Causal, None)
}

/// The logits after each id, without a cache.
fn uncached(decoder: &Decoder, ids: &[u32]) -> Vec<Vec<f32>> {
    let hidden = hidden(decoder, ids);
    let logits = decoder.logits(hidden.reshape([ids.len(), decoder.config().d_model]));
    let values = logits.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
    values.chunks(VOCAB_SIZE).map(<[f32]>::to_vec).collect()
}

fn step(model: &DecoderModel<'_>, state: &mut DecoderState, ids: &[&[u32]], positions: Positions) -> Logits {
    model.step(state, ids, positions).expect("it cannot fail")
}

/// The logits of the last `positions` ids of `ids` are those of `row`.
fn check(decoder: &Decoder, logits: &Logits, row: usize, ids: &[u32]) {
    let expected = uncached(decoder, ids);
    let first = ids.len() - logits.positions(row);
    for (position, expected) in expected[first..].iter().enumerate() {
        for (actual, expected) in logits.at(row, position).iter().zip(expected) {
            assert!(
                (actual - expected).abs() <= 1e-5,
                "row {row}, position {position}: {actual}, {expected}"
            );
        }
    }
}

#[test]
fn logits_are_given_for_the_positions_asked_for() {
    let decoders = decoders();
    for (decoder, model) in both_ways(&decoders) {
        assert_eq!((model.vocab_size(), model.max_len()), (VOCAB_SIZE, Some(SEQ_LEN)));
        let rows: [&[u32]; 3] = [&[1, 2, 3, 4], &[], &[5, 6]];
        let all = step(&model, &mut model.start(3), &rows, Positions::All);
        assert_eq!([0, 1, 2].map(|row| all.positions(row)), [4, 0, 2]);
        let last = step(&model, &mut model.start(3), &rows, Positions::Last);
        assert_eq!([0, 1, 2].map(|row| last.positions(row)), [1, 0, 1]);
        for row in [0, 2] {
            check(decoder, &all, row, rows[row]);
            check(decoder, &last, row, rows[row]);
        }
        let nothing = step(&model, &mut model.start(2), &[&[], &[]], Positions::All);
        assert_eq!([nothing.positions(0), nothing.positions(1)], [0, 0]);
    }
}

#[test]
fn hidden_states_are_those_of_all_fed_positions_and_change_no_logits() {
    let decoders = decoders();
    for (decoder, model) in both_ways(&decoders) {
        let (mut state, mut plain) = (model.start(3), model.start(3));
        let mut whole = vec![Vec::new(); 3];
        for fed in [[&[1u32, 2, 3, 4][..], &[], &[5, 6]], [&[7], &[8, 9], &[]]] {
            for positions in [Positions::All, Positions::Last] {
                let with_hidden =
                    model.step_with_hidden(&mut state, &fed, positions).expect("it cannot fail");
                assert_eq!(with_hidden.0, step(&model, &mut plain, &fed, positions));
                for (row, (ids, whole)) in fed.iter().zip(&mut whole).enumerate() {
                    let before = whole.len();
                    whole.extend_from_slice(ids);
                    assert_eq!(with_hidden.1.row(row).len(), ids.len());
                    if ids.is_empty() {
                        continue;
                    }
                    let expected = hidden(decoder, whole).into_data().try_into_vec::<f32>().expect("f32");
                    for (actual, expected) in with_hidden.1.row(row).zip(expected.chunks(16).skip(before)) {
                        let close = actual.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-4);
                        assert!(close, "{actual:?}, {expected:?}");
                    }
                    // The other kind of positions is fed from the same place.
                    if positions == Positions::All {
                        whole.truncate(before);
                        model.truncate(&mut state, row, before);
                        model.truncate(&mut plain, row, before);
                    }
                }
            }
        }
    }
}

#[test]
fn contrastive_search_finds_the_same_on_slices_and_on_tensors_alone_and_in_a_batch() {
    let prompts = vec![vec![1, 2, 3], vec![4], vec![5, 6, 7, 8, 9, 10, 11, 12], vec![0, 0]];
    let config = GenerateConfig { max_new_tokens: 8, ..GenerateConfig::default() };
    let search = |model: &DecoderModel<'_>, prompts: &[Vec<u32>], options: &Contrastive| -> Vec<Vec<u32>> {
        let each = &mut |_, _| ControlFlow::Continue(());
        let found = generate_contrastive(model, prompts, options, &config, each).expect("valid");
        found.into_iter().map(|generation| generation.ids).collect()
    };
    for decoder in decoders() {
        let models = [DecoderModel::new(&decoder), DecoderModel::on_tensors(&decoder)];
        let options = Contrastive { k: 4, alpha: 0.6 };
        let [slices, tensors] = models.each_ref().map(|model| search(model, &prompts, &options));
        assert_eq!(slices, tensors);
        let alone =
            prompts.iter().flat_map(|prompt| search(&models[0], std::slice::from_ref(prompt), &options));
        assert_eq!(slices, alone.collect::<Vec<_>>());
        assert_ne!(slices, search(&models[0], &prompts, &Contrastive { alpha: 0.0, ..options }));
    }
}

#[test]
fn a_fork_goes_its_own_way_and_leaves_the_state_as_it_was() {
    let decoders = decoders();
    for (decoder, model) in both_ways(&decoders) {
        let mut state = model.start(2);
        step(&model, &mut state, &[&[1, 2, 3], &[4]], Positions::Last);
        let mut fork = model.fork(&state, &[1, 0, 0]);
        let logits = step(&model, &mut fork, &[&[7], &[8, 9], &[10]], Positions::All);
        for (row, ids) in [vec![4, 7], vec![1, 2, 3, 8, 9], vec![1, 2, 3, 10]].iter().enumerate() {
            check(decoder, &logits, row, ids);
        }
        let logits = step(&model, &mut state, &[&[11], &[12]], Positions::All);
        check(decoder, &logits, 0, &[1, 2, 3, 11]);
        check(decoder, &logits, 1, &[4, 12]);
    }
}

#[test]
fn reordering_equals_forking() {
    let decoders = decoders();
    for (_, model) in both_ways(&decoders) {
        for order in [&[0, 1, 2][..], &[2, 1, 0], &[1], &[0, 0, 2, 2]] {
            let mut state = model.start(3);
            step(&model, &mut state, &[&[1, 2], &[3], &[4, 5, 6]], Positions::Last);
            let mut fork = model.fork(&state, order);
            model.reorder(&mut state, order);
            let ids = vec![&[9u32][..]; order.len()];
            let logits = [&mut state, &mut fork].map(|state| step(&model, state, &ids, Positions::All));
            assert_eq!(logits[0], logits[1], "{order:?}");
        }
    }
}

#[test]
fn truncated_rows_forget() {
    let decoders = decoders();
    for (decoder, model) in both_ways(&decoders) {
        let mut state = model.start(2);
        step(&model, &mut state, &[&[1, 2, 3, 4, 5], &[6, 7]], Positions::Last);
        model.truncate(&mut state, 0, 3);
        model.truncate(&mut state, 1, 0);
        let logits = step(&model, &mut state, &[&[8], &[9, 10]], Positions::All);
        check(decoder, &logits, 0, &[1, 2, 3, 8]);
        check(decoder, &logits, 1, &[9, 10]);
    }
}

#[test]
fn greedy_generation_is_the_argmax_of_uncached_logits_for_each_prompt_of_a_batch() {
    let decoders = decoders();
    for (decoder, model) in both_ways(&decoders) {
        let prompts = vec![vec![1, 2, 3], vec![4], vec![5, 6, 7, 8, 9, 10, 11, 12], vec![0, 0]];
        let config = GenerateConfig { max_new_tokens: 8, ..GenerateConfig::default() };
        let generations =
            generate(&model, &prompts, &config, &mut |_, _| ControlFlow::Continue(())).expect("valid");
        for (prompt, generation) in prompts.iter().zip(generations) {
            let mut ids = prompt.clone();
            // A full context still predicts one more.
            while ids.len() < prompt.len() + 8 && ids.len() <= SEQ_LEN {
                let logits = uncached(decoder, &ids).pop().expect("the prompt is not empty");
                let best = (0..VOCAB_SIZE).max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a)));
                ids.push(best.expect("there are ids") as u32);
            }
            assert_eq!(generation.ids, ids[prompt.len()..], "prompt {prompt:?}");
            let full = generation.ids.len() < 8;
            let expected = if full { FinishReason::ContextFull } else { FinishReason::MaxNewTokens };
            assert_eq!(generation.finish_reason, expected);
        }
    }
}

#[test]
fn without_its_cache_a_decoder_generates_the_same() {
    let decoders = decoders();
    for (_, model) in both_ways(&decoders) {
        let without = Uncached::new(&model);
        let prompts = [vec![1, 2, 3], vec![4], vec![0, 0, 7]];
        let sampling = Sampling { seed: 4, ..Default::default() };
        for strategy in [
            Strategy::Greedy,
            Strategy::Sample(sampling),
            Strategy::Beam(Beam { width: 3, ..Default::default() }),
        ] {
            let config = GenerateConfig { strategy, max_new_tokens: 8, ..GenerateConfig::default() };
            let each = &mut |_, _| ControlFlow::Continue(());
            let expected = generate(&model, &prompts, &config, each).expect("valid");
            let found = generate(&without, &prompts, &config, each).expect("valid");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.ids, expected.ids, "{:?}", config.strategy);
                assert!((found.score - expected.score).abs() < 1e-3);
            }
        }
    }
}
