use super::*;
use crate::testing::{device, far_from_first};
use burn::tensor::DType;
use firebrand_training::{NamedGradients, Objective};
use firebrand_transformer::{Model, ModelConfig, PositionKind, Preset};

const VOCAB_SIZE: usize = 13;
const SEQ_LEN: usize = 24;

fn configs() -> Vec<ModelConfig> {
    let llama = ModelConfig { d_ff: 12, ..ModelConfig::preset(Preset::Llama, VOCAB_SIZE, 8, 2, 2, SEQ_LEN) };
    let gpt2 = ModelConfig::preset(Preset::Gpt2, VOCAB_SIZE, 8, 2, 2, SEQ_LEN);
    let without = ModelConfig { position: PositionKind::None, ..llama.clone() };
    vec![llama, gpt2, without]
}

fn model(config: &ModelConfig, device: &str) -> Decoder {
    far_from_first(Decoder::new(config, 7, &self::device(device)).expect("the config is a model's"))
}

/// A document of a prompt and a response.
fn document(prompt: &[u32], response: &[u32]) -> Written {
    Written::new([(prompt, false), (response, true)], SEQ_LEN + 1).expect("there is a response")
}

fn key() -> BatchKey {
    BatchKey { seed: 0, step: 0, first_example: 0, training: true }
}

fn writing() -> Writing {
    Writing { dropout: 0.0, end_of_text: Some(0) }
}

/// The sum of nats over rows of documents, and how many targets it is of.
fn loss(model: &Decoder, rows: &[Vec<Written>]) -> (f64, u64) {
    let rows = Examples(rows.iter().map(|row| Side(row.clone())).collect());
    let batch = writing().prepare(&rows, key(), &model.device());
    let count = writing().counts(&batch)[0];
    let terms = writing().loss(model, batch);
    (f64::from(terms[0].nats.clone().into_scalar::<f32>()), count)
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 2e-5 * expected.abs().max(1.0), "{found} should be {expected}");
}

#[test]
fn the_loss_of_a_response_is_the_one_computed_by_hand() {
    for config in configs() {
        let model = model(&config, "cpu");
        let (prompt, response) = ([3, 1, 4, 1, 5], [9, 2, 6, 0]);
        let all: Vec<u32> = [&prompt[..], &response[..]].concat();
        let ids: Vec<i32> = all[..all.len() - 1].iter().map(|&id| id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, all.len() - 1]), &model.device());
        let hidden = model.hidden(ids, &firebrand_backend::ops::AttentionMask::Causal, None);
        let logits = model.logits(hidden.reshape([all.len() - 1, config.d_model]));
        let logits = logits.into_data().convert_dtype(DType::F32).try_into_vec::<f32>().expect("f32");
        let by_hand: f64 = response
            .iter()
            .enumerate()
            .map(|(i, &target)| {
                let row = &logits[(prompt.len() - 1 + i) * VOCAB_SIZE..][..VOCAB_SIZE];
                let sum: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
                sum.ln() - f64::from(row[target as usize])
            })
            .sum();
        let (nats, count) = loss(&model, &[vec![document(&prompt, &response)]]);
        assert_eq!(count, 4, "the prompt is no target");
        close(nats, by_hand);
    }
}

#[test]
fn a_document_costs_the_same_alone_and_beside_others() {
    for name in ["cpu", "ndarray"] {
        for config in configs() {
            let model = model(&config, name);
            let documents =
                [document(&[1, 2, 3], &[4, 5, 0]), document(&[6], &[7, 8, 9, 0]), document(&[2, 2], &[3, 0])];
            let alone: f64 = documents.iter().map(|one| loss(&model, &[vec![one.clone()]]).0).sum();
            let (side, count) = loss(&model, &[documents.to_vec()]);
            close(side, alone);
            assert_eq!(count, 9);
            // Rows of different lengths, so that one is padded.
            let [a, b, c] = documents;
            close(loss(&model, &[vec![a, b], vec![c]]).0, alone);
        }
    }
}

#[test]
fn what_stands_beside_a_document_changes_none_of_its_gradients() {
    let device = firebrand_backend::device::resolve(Some("cpu")).expect("always there").1.autodiff();
    let config = configs().remove(0);
    let model = Decoder::new(&config, 7, &device).expect("the config is a model's");
    // The gradient of an embedding that only the first document has.
    let gradient = |other: &[u32]| -> Vec<f32> {
        let mut beside = document(other, &[0]);
        beside.learned.fill(false);
        let rows = Examples(vec![Side(vec![document(&[11, 12], &[11, 12, 0]), beside])]);
        let batch = writing().prepare(&rows, key(), &device);
        let nats = writing().loss(&model, batch).remove(0).nats;
        let mut gradients = nats.backward();
        let mut named = NamedGradients::default();
        named.add(&model, &mut gradients);
        let gradient = named.take("token_embedding").expect("it has one");
        gradient.into_data().convert_dtype(DType::F32).try_into_vec::<f32>().expect("f32")
    };
    let (one, other) = (gradient(&[1, 2, 3]), gradient(&[4, 5, 6]));
    let width = config.d_model;
    assert_eq!(one[11 * width..13 * width], other[11 * width..13 * width]);
    assert!(one[width..4 * width].iter().all(|&number| number == 0.0), "nobody looks at the others");
}

#[test]
fn everything_is_a_target_on_request() {
    let model = model(&configs()[0], "cpu");
    let (nats, count) = loss(&model, &[vec![document(&[1, 2, 3], &[4, 0]).all_learned()]]);
    assert_eq!(count, 4);
    let parts: f64 = [(&[1, 2, 3][..], &[4, 0][..]), (&[1, 2][..], &[3][..]), (&[1][..], &[2][..])]
        .iter()
        .map(|(prompt, response)| loss(&model, &[vec![document(prompt, response)]]).0)
        .sum();
    close(nats, parts);
}

#[test]
fn documents_are_cut_behind_what_is_learned() {
    let parts = |prompt: &'static [u32], response: &'static [u32], behind: &'static [u32]| {
        [(prompt, false), (response, true), (behind, false)]
    };
    let cut = Written::new(parts(&[1, 2], &[3, 4], &[5, 6]), 99).expect("there is a response");
    assert_eq!((cut.ids.as_slice(), cut.targets()), (&[1, 2, 3, 4][..], 2));
    assert_eq!(Written::new(parts(&[1, 2], &[3, 4], &[]), 3).map(|cut| cut.targets()), Some(1));
    assert_eq!(Written::new(parts(&[1, 2], &[3, 4], &[]), 2), None);
    assert_eq!(Written::new(parts(&[], &[3], &[]), 9), None, "what follows nothing cannot be learned");
}

#[test]
fn rows_of_documents_are_full_and_none_is_lost() {
    let documents: Vec<Written> = (0..200u32)
        .map(|n| {
            let response: Vec<u32> = std::iter::repeat_n(n % 9, 1 + n as usize * 7 % 11).collect();
            document(&[n], &response)
        })
        .collect();
    let rows = pack(&documents, 20, 3);
    assert!(rows.iter().all(|row| row.tokens() <= 20));
    let mut all: Vec<Vec<u32>> =
        rows.iter().flat_map(|row| row.0.iter().map(|one| one.ids.clone())).collect();
    let mut expected: Vec<Vec<u32>> = documents.iter().map(|one| one.ids.clone()).collect();
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
    let tokens: usize = documents.iter().map(Written::read).sum();
    assert!(rows.len() * 20 < tokens * 12 / 10, "{} rows of 20 for {tokens} tokens", rows.len());
    assert_ne!(pack(&documents, 20, 4), rows, "the seed says which stand together");
}
