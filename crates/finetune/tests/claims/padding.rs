//! How far others make a text be padded changes nothing that is said of it.

use crate::{TASKS, VOCAB_SIZE, bodies, device, examples, model, objective};
use firebrand_finetune::{Example, Examples, predict};
use firebrand_training::{Alone, BatchKey, gradients_of_step};
use firebrand_transformer::{Sequence, TaskKind};

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
