//! How far others make a text be padded changes nothing that is said of it.

use crate::{OUTPUTS, TASKS, VOCAB_SIZE, bodies, device, examples, far_from_first, model, objective, tiny};
use burn::tensor::Tensor;
use firebrand_finetune::{Example, Examples, predict};
use firebrand_training::{Alone, BatchKey, gradients_of_step};
use firebrand_transformer::{
    Classifier, ModelKind, NamedTensor, Padded, Pooling, Preset, Sequence, TaskKind, named_tensors,
};

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now")
}

fn close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "{what}: {a} and {b}");
    }
}

#[test]
fn a_text_alone_and_among_longer_ones_is_the_same() {
    let device = device("cpu");
    for (name, body) in bodies() {
        for task in TASKS {
            let (model, examples) = (model(&body, task, &device), examples(task, 6));
            let sequences: Vec<Sequence<'_>> = examples.iter().map(Example::sequence).collect();
            let alone = predict(&model, &sequences, 1);
            let together = predict(&model, &sequences, 6);
            for (alone, together) in alone.iter().zip(&together) {
                close(alone, together, name);
            }
            // They do differ from one another.
            assert!(alone.windows(2).all(|pair| pair[0] != pair[1]), "{name}: {alone:?}");
        }
    }
}

#[test]
fn gradients_of_a_text_do_not_depend_on_the_padding_of_others() {
    // One piece pads all texts to the longest, six pieces pad none; the second half of the claim is that of `gradients`.
    let (_, body) = bodies().swap_remove(3);
    let model = model(&body, TaskKind::Classification, &device("cpu").autodiff());
    let objective = objective(TaskKind::Classification, &body, 0.3);
    let key = BatchKey { seed: 1, step: 2, first_example: 0, training: true };
    let all = examples(TaskKind::Classification, 2);
    let loss = |examples: &[Example], first_example: usize| {
        let key = BatchKey { first_example, ..key };
        let rows = Examples(examples.to_vec());
        gradients_of_step(&objective, &model, &rows, 1, key, &model.device(), &mut Alone).1[0].1
    };
    let both = loss(&all, 0);
    let each = 0.5 * (loss(&all[..1], 0) + loss(&all[1..], 1));
    assert!((both / each - 1.0).abs() < 1e-5, "{both} and {each}");
}

#[test]
fn every_token_counts_where_all_are_seen_and_the_second_text_is_told_from_the_first() {
    let device = device("cpu");
    let ids: Vec<u32> = (0..6).map(|i| (i * i % VOCAB_SIZE) as u32).collect();
    for (name, body) in bodies() {
        let model = model(&body, TaskKind::Classification, &device);
        let of = |ids: &[u32], second| predict(&model, &[Sequence { ids, second }], 1).swap_remove(0);
        let whole = of(&ids, None);
        for at in 0..ids.len() {
            let mut changed = ids.clone();
            changed[at] = (changed[at] + 1) % VOCAB_SIZE as u32;
            assert_ne!(of(&changed, None), whole, "{name} does not see token {at}");
        }
        let has_types = body.token_types > 1;
        assert_eq!(of(&ids, Some(3)) != whole, has_types, "{name}");
    }
}

#[test]
fn a_text_is_read_from_the_state_that_its_pooling_names_and_padding_is_none() {
    let body = tiny(Preset::Llama, ModelKind::Decoder);
    let alike = model(&body, TaskKind::Classification, &device("cpu"));
    let rows: Vec<Example> = examples(TaskKind::Classification, 6);
    let padded = |rows: &[Example]| Padded::new(rows.iter().map(Example::sequence), &device("cpu"));
    for pooling in [Pooling::First, Pooling::Last, Pooling::Mean, Pooling::Max, Pooling::Concat] {
        let head = alike.head_config().clone().with_pooling(pooling);
        let model = far_from_first(Classifier::new(alike.body().clone(), head, 5).expect("they fit"));
        let together = floats(model.forward(&padded(&rows), None));
        let weights = named_tensors(&model).into_iter().find(|tensor| tensor.name == "head.weight");
        let NamedTensor { values: weights, shape, .. } = weights.expect("a head has weights");
        for (row, together) in rows.iter().zip(together.chunks(OUTPUTS)) {
            let states = floats(model.states(&padded(std::slice::from_ref(row)), None));
            let states: Vec<&[f32]> = states.chunks(body.d_model).collect();
            let of = |pick: &dyn Fn(usize) -> f32| (0..body.d_model).map(pick).collect::<Vec<f32>>();
            let first = states[0].to_vec();
            let last = states[states.len() - 1].to_vec();
            let mean = of(&|i| states.iter().map(|state| state[i]).sum::<f32>() / states.len() as f32);
            let max = of(&|i| states.iter().map(|state| state[i]).fold(f32::MIN, f32::max));
            let state = match pooling {
                Pooling::First => first,
                Pooling::Last => last,
                Pooling::Mean => mean,
                Pooling::Max => max,
                Pooling::Concat => [last, max, mean].concat(),
                Pooling::Each => unreachable!("for tags"),
            };
            let weight = |i: usize, output: usize| match shape[0] == OUTPUTS {
                true => weights[output * state.len() + i],
                false => weights[i * OUTPUTS + output],
            };
            let by_hand = |output| state.iter().enumerate().map(|(i, x)| x * weight(i, output)).sum::<f32>();
            close(together, &(0..OUTPUTS).map(by_hand).collect::<Vec<f32>>(), pooling.name());
        }
    }
}
