//! Folders: what is written is read back as what it was.

use crate::{TASKS, bodies, device, examples, model};
use firebrand_finetune::{Example, predict};
use firebrand_transformer::{Body, NamedTensor, TaskKind, hugging_face, named_tensors};

fn sorted(mut tensors: Vec<NamedTensor>) -> Vec<NamedTensor> {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    tensors
}

#[test]
fn a_classifier_comes_back_with_every_bit() {
    let device = device("cpu");
    for (name, body) in bodies() {
        for task in TASKS {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let model = model(&body, task, &device);
            hugging_face::save_classifier(dir.path(), &model, Some(0)).expect("written");
            let read = hugging_face::load_classifier(dir.path(), &device).expect("a classifier's folder");
            assert_eq!(read.head_config(), model.head_config(), "{name}");
            assert_eq!(read.body().config(), model.body().config(), "{name}");
            assert_eq!(sorted(named_tensors(&read)), sorted(named_tensors(&model)), "{name}");
            let texts = examples(task, 3);
            let texts: Vec<_> = texts.iter().map(Example::sequence).collect();
            assert_eq!(predict(&read, &texts, 3), predict(&model, &texts, 3), "{name}");
        }
    }
}

#[test]
fn what_reads_can_be_used_without_the_head() {
    let device = device("cpu");
    for (name, body) in bodies() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let model = model(&body, TaskKind::Classification, &device);
        hugging_face::save_classifier(dir.path(), &model, None).expect("written");
        let alone = Body::from(hugging_face::load_any(dir.path(), &device).expect("a model's folder"));
        let of_both: Vec<NamedTensor> = named_tensors(&model)
            .into_iter()
            .filter_map(|tensor| {
                let name = tensor.name.strip_prefix("body.")?.to_owned();
                Some(NamedTensor { name, ..tensor })
            })
            .collect();
        assert_eq!(sorted(named_tensors(&alone)), sorted(of_both), "{name}");
    }
}

#[test]
fn heads_are_named_as_transformers_names_them() {
    let device = device("cpu");
    let class = |name: &str| {
        let (_, body) = bodies().into_iter().find(|(known, _)| *known == name).expect("one of them");
        let model = model(&body, TaskKind::Classification, &device);
        model.head_config().class(model.body().config())
    };
    assert_eq!(class("llama"), Some("LlamaForSequenceClassification"));
    assert_eq!(class("gpt2"), Some("GPT2ForSequenceClassification"));
    assert_eq!(class("bert"), Some("BertForSequenceClassification"));
    for own in ["prefix", "bidirectional", "lstm", "permutation", "t5"] {
        assert_eq!(class(own), None, "{own}");
    }
}

#[test]
fn a_model_without_a_head_says_so() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let device = device("cpu");
    let (_, config) = bodies().swap_remove(0);
    let Body::Decoder(decoder) = Body::made(&config, Some(1), &device).expect("a model") else {
        panic!("the first of the bodies is a decoder")
    };
    hugging_face::save(dir.path(), &decoder, None).expect("written");
    assert_eq!(hugging_face::load_head(dir.path()).expect("readable"), None);
    let error = hugging_face::load_classifier(dir.path(), &device).expect_err("no head").to_string();
    assert!(error.contains("firebrand finetune"), "{error}");
}
