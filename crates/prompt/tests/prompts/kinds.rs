//! A tiny model of every kind: the fast way gives what each text by itself gives.

use crate::candidates;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::device;
use firebrand_backend::ops::AttentionMask;
use firebrand_prompt::{Candidate, Question, SpecialIds, one_by_one, scorer};
use firebrand_transformer::{
    AnyModel, Bidirectional, Decoder, Encoder, EncoderDecoder, EncoderHeads, FactorizationOrder, LayerKind,
    Model, ModelConfig, ModelKind, NamedTensor, Permutation, PositionKind, Preset, named_tensors,
    with_tensors,
};

const VOCAB_SIZE: usize = 19;
const SEQ_LEN: usize = 16;

/// The models of a device, each with a name.
pub(crate) fn models(device: &Device) -> Vec<(&'static str, AnyModel)> {
    let config = |preset, change: fn(&mut ModelConfig)| {
        let mut config = ModelConfig::preset(preset, VOCAB_SIZE, 16, 2, 4, SEQ_LEN);
        change(&mut config);
        config
    };
    let decoder = |config: &ModelConfig| AnyModel::Decoder(Box::new(made::<Decoder>(config, device)));
    let both =
        |config: &ModelConfig| AnyModel::Bidirectional(Box::new(made::<Bidirectional>(config, device)));
    let spans =
        |config: &ModelConfig| AnyModel::EncoderDecoder(Box::new(made::<EncoderDecoder>(config, device)));
    vec![
        ("llama", decoder(&config(Preset::Llama, |c| c.n_kv_heads = 2))),
        ("gpt2", decoder(&config(Preset::Gpt2, |_| {}))),
        ("a prefix model", decoder(&config(Preset::Llama, |c| c.prefix_attention = true))),
        ("both ways", both(&config(Preset::Llama, |c| c.kind = ModelKind::Bidirectional))),
        (
            "LSTMs both ways",
            both(&config(Preset::Llama, |c| {
                (c.kind, c.layers, c.position) =
                    (ModelKind::Bidirectional, LayerKind::Lstm, PositionKind::None);
            })),
        ),
        (
            "a permutation model",
            AnyModel::Permutation(Box::new(made::<Permutation>(
                &config(Preset::Llama, |c| c.kind = ModelKind::Permutation),
                device,
            ))),
        ),
        (
            "an encoder",
            AnyModel::Encoder(Box::new(made::<Encoder>(
                &config(Preset::Bert, |c| (c.kind, c.heads.masked) = (ModelKind::Encoder, true)),
                device,
            ))),
        ),
        ("an encoder-decoder", spans(&config(Preset::T5, |c| c.kind = ModelKind::EncoderDecoder))),
    ]
}

/// Far from its first weights: differences that an untrained model would hide are seen.
fn made<M: Model>(config: &ModelConfig, device: &Device) -> M {
    let model = M::new(config, 7, device).expect("the config is a model's");
    let lstm = config.layers == LayerKind::Lstm;
    let tensors = named_tensors(&model).into_iter().map(|tensor| {
        let matrix = tensor.shape.len() == 2;
        let change = |(i, value): (usize, f32)| match matrix {
            true => value * if lstm { 1.5 } else { 8.0 },
            false => value + 0.3 * (i as f32 * 1.7 + tensor.name.len() as f32).sin(),
        };
        let values = tensor.values.iter().copied().enumerate().map(change).collect();
        NamedTensor { values, ..tensor }
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors).expect("they are its own")
}

/// With sentinels; `denoising` is a tokenizer that has a mask only.
pub(crate) fn special(denoising: bool) -> SpecialIds {
    SpecialIds {
        end_of_text: Some(0),
        before: Some(1),
        after: Some(2),
        mask: Some(3),
        sentinels: if denoising { vec![] } else { vec![18, 17] },
        ..SpecialIds::default()
    }
}

/// Blanks first, in the middle and last, and twice; answers of one token and of several, one the beginning of another.
pub(crate) fn questions() -> Vec<Question> {
    let answers: [&[u32]; 4] = [&[5], &[6, 7], &[6, 7, 8], &[9]];
    let filled = |parts: &[&[u32]]| -> Question {
        let candidate = |answer: &[u32]| {
            let mut candidate = Candidate::default();
            for (number, part) in parts.iter().enumerate() {
                if number > 0 {
                    let start = candidate.ids.len();
                    candidate.ids.extend(answer);
                    candidate.answers.push(start..candidate.ids.len());
                }
                candidate.ids.extend(*part);
            }
            candidate
        };
        Question::compare(answers.map(candidate).to_vec())
    };
    vec![
        filled(&[&[10, 11, 12], &[]]),
        filled(&[&[10, 11], &[12, 13]]),
        filled(&[&[], &[12, 13, 14]]),
        filled(&[&[4], &[15], &[16]]),
        filled(&[&[], &[15, 10], &[]]),
    ]
}

pub(crate) fn near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < 1e-5, "{what}: {found} is not {expected}");
}

/// Scores of everything at once, and those of each text by itself.
fn check(model: &AnyModel, special: &SpecialIds, questions: &[Question], name: &str) {
    let scorer = scorer(model, special).expect("a scorer");
    let together = scorer.score(questions, &mut |_| {}).expect("scores");
    let alone = one_by_one(model, special, questions).expect("scores");
    for (number, (together, alone)) in together.iter().zip(&alone).enumerate() {
        assert_eq!((together.len(), alone.len()), (questions[number].candidates.len(), together.len()));
        for (index, (score, &expected)) in together.iter().zip(alone).enumerate() {
            near(score.log_prob, expected, &format!("{name}, question {number}, candidate {index}"));
            assert!(score.tokens > 0 && score.log_prob < 0.0);
        }
    }
}

#[test]
fn scores_of_a_tree_are_those_of_each_text_for_every_kind_and_device() {
    for device_name in ["cpu", "ndarray"] {
        let device = device::resolve(Some(device_name)).expect("always there").1;
        for (name, model) in models(&device) {
            check(&model, &special(false), &questions(), &format!("{name} on {device_name}"));
        }
    }
}

#[test]
fn whole_texts_are_scored_by_every_kind() {
    let device = device::resolve(Some("cpu")).expect("always there").1;
    let whole: Vec<Question> =
        [&[10, 11, 12][..], &[10, 11, 13, 5], &[9]].map(|ids| Question::whole(ids.to_vec())).to_vec();
    for (name, model) in models(&device) {
        check(&model, &special(false), &whole, name);
        check(&model, &special(true), &whole, name);
    }
}

#[test]
fn an_encoder_decoder_with_masks_writes_the_whole_text() {
    let device = device::resolve(Some("cpu")).expect("always there").1;
    let (name, model) = models(&device).pop().expect("the last one");
    check(&model, &special(true), &questions(), name);
}

/// `log P(id)` at the last of some hidden states' positions.
fn log_prob(logits: Tensor<2>, row: usize, id: u32) -> f64 {
    let vocab_size = logits.dims()[1];
    let values: Vec<f32> = logits.into_data().convert::<f32>().try_into_vec().expect("converted");
    let row = &values[row * vocab_size..][..vocab_size];
    f64::from(row[id as usize]) - row.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln()
}

fn tensor(ids: &[u32], device: &Device) -> Tensor<2, Int> {
    let values: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    Tensor::from_data(TensorData::new(values, [1, ids.len()]), device)
}

#[test]
fn a_causal_score_of_a_filled_text_is_the_sum_of_its_log_probabilities() {
    let device = device::resolve(Some("cpu")).expect("always there").1;
    for (name, model) in models(&device).into_iter().take(3) {
        let AnyModel::Decoder(decoder) = &model else { panic!("{name} is a decoder") };
        let decoder = decoder.as_ref().clone().reading_causally();
        let ids = [10, 11, 6, 7, 12];
        let with_begin = [&[0], &ids[..]].concat();
        let states = decoder.hidden(tensor(&with_begin, &device), &AttentionMask::Causal, None);
        let [_, seq, d_model] = states.dims();
        let logits = decoder.logits(states.reshape([seq, d_model]));
        let each: Vec<f64> = (0..ids.len()).map(|at| log_prob(logits.clone(), at, ids[at])).collect();
        let special = special(false);
        let scorer = scorer(&model, &special).expect("a scorer");
        let score = |question: Question| scorer.score(&[question], &mut |_| {}).expect("scores")[0][0];
        near(score(Question::whole(ids.to_vec())).log_prob, each.iter().sum(), name);
        near(score(Question::continued(&ids[..2], &ids[2..])).log_prob, each[2..].iter().sum(), name);
        // What differs is the third token: what stands behind it counts too.
        let question = Question::compare(candidates(&[(&ids, 2..4), (&[10, 11, 5, 12], 2..3)]));
        let compared = score(question);
        near(compared.log_prob, each[2..].iter().sum(), name);
        assert_eq!(compared.tokens, 3);
    }
}

#[test]
fn a_permutation_model_is_asked_from_left_to_right() {
    let device = device::resolve(Some("cpu")).expect("always there").1;
    let (_, model) = models(&device).swap_remove(5);
    let AnyModel::Permutation(permutation) = &model else { panic!("a permutation model") };
    let ids = [0, 10, 11, 5, 12];
    let states =
        permutation.predictions(tensor(&ids, &device), &[FactorizationOrder::left_to_right(5)], None);
    let logits = permutation.decoder().logits(states.reshape([4, 16]));
    let expected: f64 = (1..5).map(|at| log_prob(logits.clone(), at - 1, ids[at])).sum();
    let special = special(false);
    let scorer = scorer(&model, &special).expect("a scorer");
    near(
        scorer.score(&[Question::whole(ids[1..].to_vec())], &mut |_| {}).expect("scores")[0][0].log_prob,
        expected,
        "whole",
    );
}

#[test]
fn an_encoder_sees_a_mask_for_each_token_of_an_answer() {
    let device = device::resolve(Some("cpu")).expect("always there").1;
    let (_, model) = models(&device).swap_remove(6);
    let AnyModel::Encoder(encoder) = &model else { panic!("an encoder") };
    // [CLS] 10 [MASK] [MASK] 12 [SEP]
    let states = encoder.hidden(tensor(&[1, 10, 3, 3, 12, 2], &device), None, &AttentionMask::Full, None);
    let logits = encoder.masked_logits(states.reshape([6, 16])).expect("a head");
    let expected = log_prob(logits.clone(), 2, 6) + log_prob(logits, 3, 7);
    let question = Question::compare(candidates(&[(&[10, 6, 7, 12], 1..3), (&[10, 5, 12], 1..2)]));
    let special = special(false);
    let scorer = scorer(&model, &special).expect("a scorer");
    let scores = scorer.score(&[question], &mut |_| {}).expect("scores");
    near(scores[0][0].log_prob, expected, "two masks");
    assert_eq!((scores[0][0].tokens, scores[0][1].tokens), (2, 1));
}

#[test]
fn an_encoder_decoder_scores_the_span_of_the_sentinel_and_what_closes_it() {
    let device = device::resolve(Some("cpu")).expect("always there").1;
    let (_, model) = models(&device).swap_remove(7);
    let AnyModel::EncoderDecoder(spans) = &model else { panic!("an encoder-decoder") };
    // The encoder reads 10 <extra_id_0> 12 </s>; the decoder has begun with an end of text and the sentinel.
    let memory = spans.remember(&[10, 18, 12, 0]);
    let mut cache = spans.cache(1);
    let states = spans.step(&memory, &[&[0, 18, 6, 7]], &mut cache);
    let logits = spans.logits(states.reshape([4, 16]));
    let expected: f64 =
        [(1, 6), (2, 7), (3, 0)].into_iter().map(|(at, id)| log_prob(logits.clone(), at, id)).sum();
    let question = Question::compare(candidates(&[(&[10, 6, 7, 12], 1..3), (&[10, 5, 12], 1..2)]));
    let special = special(false);
    let scorer = scorer(&model, &special).expect("a scorer");
    let scores = scorer.score(&[question], &mut |_| {}).expect("scores");
    near(scores[0][0].log_prob, expected, "a span");
    assert_eq!((scores[0][0].tokens, scores[0][1].tokens), (3, 2));
}

#[test]
fn models_that_cannot_be_asked_say_why() {
    let device = device::resolve(Some("cpu")).expect("always there").1;
    let heads = EncoderHeads::default();
    let config = ModelConfig { heads, ..ModelConfig::preset(Preset::Bert, 9, 8, 1, 2, 8) };
    let headless = AnyModel::Encoder(Box::new(Encoder::new(&config, 0, &device).expect("a model")));
    let error = |model: &AnyModel, special: &SpecialIds| match scorer(model, special) {
        Ok(_) => panic!("a scorer"),
        Err(error) => error.to_string(),
    };
    assert!(error(&headless, &special(false)).contains("no head for masked ones"));
    let (_, encoder) = models(&device).swap_remove(6);
    assert!(error(&encoder, &SpecialIds { mask: None, ..special(false) }).contains("no [MASK] token"));
    let (_, spans) = models(&device).swap_remove(7);
    let nothing = SpecialIds::default();
    assert!(error(&spans, &nothing).contains("what the decoder begins with"));
    let three = Candidate { ids: vec![5, 9, 5, 9, 5], answers: vec![0..1, 2..3, 4..5] };
    let three = Question::compare(vec![three]);
    let special = special(false);
    let blanks = scorer(&spans, &special).expect("a scorer").score(&[three], &mut |_| {});
    assert!(
        blanks
            .expect_err("refused")
            .to_string()
            .contains("3 blanks, and this model was trained with 2 at most")
    );
}
