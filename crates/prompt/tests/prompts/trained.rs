//! Trained prompts: what they are made of says the same in words, and what is trained on is what is scored.

use crate::kinds::{models, near, questions, special};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::device;
use firebrand_prompt::{Asking, Candidate, Question, Scorer, scorer, scorer_behind};
use firebrand_transformer::{AnyModel, Beginning, Body, Prompted, TrainedPrompt};

/// Words, with what stands before a text in front.
const WORDS: [u32; 3] = [0, 4, 15];

fn body(model: &AnyModel) -> Body {
    match model {
        AnyModel::Decoder(model) => Body::Decoder(model.as_ref().clone()),
        AnyModel::Encoder(model) => Body::Encoder(model.as_ref().clone()),
        other => panic!("{other:?} has no prompts"),
    }
}

/// The models that prompts are trained with.
fn prompted() -> Vec<(String, AnyModel)> {
    let of_device = |name: &str| {
        let device = device::resolve(Some(name)).expect("always there").1;
        models(&device)
            .into_iter()
            .filter(|(_, model)| matches!(model, AnyModel::Decoder(_) | AnyModel::Encoder(_)))
            .map(|(kind, model)| (format!("{kind} on {name}"), model))
            .collect::<Vec<_>>()
    };
    ["cpu", "ndarray"].into_iter().flat_map(of_device).collect()
}

/// The same questions with ids in front of all texts.
fn behind(ids: &[u32], questions: &[Question], begins: bool) -> Vec<Question> {
    let question = |question: &Question| {
        let candidate = |candidate: &Candidate| Candidate {
            ids: [ids, &candidate.ids].concat(),
            answers: candidate.answers.iter().map(|at| at.start + ids.len()..at.end + ids.len()).collect(),
        };
        let candidates = question.candidates.iter().map(candidate).collect();
        Question { candidates, given: question.given + ids.len(), begins, ..question.clone() }
    };
    questions.iter().map(question).collect()
}

fn scores(scorer: &dyn Scorer, questions: &[Question]) -> Vec<Vec<f64>> {
    let scores = scorer.score(questions, &mut |_| {}).expect("scores");
    scores.into_iter().map(|scores| scores.into_iter().map(|score| score.log_prob).collect()).collect()
}

fn same(found: &[Vec<f64>], expected: &[Vec<f64>], what: &str) {
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            near(*found, *expected, &format!("{what}, question {number}, candidate {index}"));
        }
    }
}

#[test]
fn a_soft_prompt_of_words_says_what_the_words_say() {
    for (name, model) in prompted() {
        let is_encoder = matches!(model, AnyModel::Encoder(_));
        let words = [if is_encoder { 1 } else { WORDS[0] }, WORDS[1], WORDS[2]];
        let prompt =
            TrainedPrompt::soft(&body(&model), &Beginning::Ids(words.to_vec()), 0).expect("a prompt");
        let soft = scorer_behind(&model, &prompt, &special(false)).expect("a scorer");
        let plain = scorer(&model, &special(false)).expect("a scorer");
        let in_words = behind(&words[1..], &questions(), true);
        same(&scores(soft.as_ref(), &questions()), &scores(plain.as_ref(), &in_words), &name);
        assert_eq!(
            soft.most_ids(true) + 2,
            plain.most_ids(true),
            "{name}: words and vectors take as much room"
        );
    }
}

#[test]
fn a_prefix_of_a_texts_keys_and_values_says_what_the_text_says() {
    for (name, model) in prompted() {
        if matches!(model, AnyModel::Encoder(_)) {
            continue;
        }
        for mlp_width in [0, 5] {
            let words = Beginning::Ids(WORDS.to_vec());
            let prompt = TrainedPrompt::prefix(&body(&model), &words, mlp_width, 3).expect("a prompt");
            let behind_prefix = scorer_behind(&model, &prompt, &special(false)).expect("a scorer");
            let plain = scorer(&model, &special(false)).expect("a scorer");
            // The end of text that the texts begin with stands behind the prefix.
            let in_words = behind(&[&WORDS[..], &[0]].concat(), &questions(), false);
            same(&scores(behind_prefix.as_ref(), &questions()), &scores(plain.as_ref(), &in_words), &name);
        }
    }
}

/// The sums of what a reading predicts, by the states of all rows at once.
fn by_readings(model: &Prompted, asking: &Asking, questions: &[Question]) -> Vec<Vec<f64>> {
    let device = model.device();
    let of_question = |question: &Question| {
        let reading = asking.ask(question);
        let rows: Vec<&[u32]> = reading.texts.iter().map(Vec::as_slice).collect();
        let states = model.states(&rows, None);
        let [rows, longest, d_model] = states.dims();
        let states = states.reshape([rows * longest, d_model]);
        let vector = |numbers: Vec<i32>| {
            let n = numbers.len();
            Tensor::<1, Int>::from_data(TensorData::new(numbers, [n]), &device)
        };
        let of_candidate = |predicted: &firebrand_prompt::Predicted| {
            let places = predicted.ids.iter().map(|(at, _)| (predicted.text * longest + at) as i32).collect();
            let ids = predicted.ids.iter().map(|(_, id)| *id as i32).collect();
            let nats = model.nats(states.clone().select(0, vector(places)), vector(ids));
            -f64::from(nats.sum().into_scalar::<f32>())
        };
        reading.candidates.iter().map(of_candidate).collect()
    };
    questions.iter().map(of_question).collect()
}

#[test]
fn what_is_trained_on_is_what_is_scored() {
    for (name, model) in prompted() {
        let (special, config) = (special(false), model.config().clone());
        let ask = |taken| Asking::new(&config, &special, config.seq_len, taken).expect("it is asked so");
        let plain = Prompted::new(body(&model), None).expect("a kind that is asked");
        let expected = scores(scorer(&model, &special).expect("a scorer").as_ref(), &questions());
        same(&by_readings(&plain, &ask(0), &questions()), &expected, &name);
        let chance = Beginning::Random(4);
        let mut prompts = vec![TrainedPrompt::soft(&body(&model), &chance, 1).expect("a prompt")];
        prompts.extend(TrainedPrompt::prefix(&body(&model), &chance, 3, 1));
        for prompt in prompts {
            let scorer = scorer_behind(&model, &prompt, &special).expect("a scorer");
            let expected = scores(scorer.as_ref(), &questions());
            let asking = match prompt {
                TrainedPrompt::Soft(_) => ask(prompt.taken()).behind_soft_prompt(),
                TrainedPrompt::Prefix(_) => ask(prompt.taken()),
            };
            assert_eq!(asking.most_ids(), scorer.most_ids(true), "{name}");
            let behind = Prompted::new(body(&model), Some(prompt)).expect("they go together");
            same(&by_readings(&behind, &asking, &questions()), &expected, &name);
        }
    }
}

#[test]
fn prompts_that_make_no_sense_are_refused() {
    let device = device::resolve(Some("cpu")).expect("always there").1;
    let mut models = models(&device).into_iter();
    let mut named = |wanted: &str| models.find(|(name, _)| *name == wanted).expect("there is one").1;
    let (llama, both, encoder) = (named("llama"), named("both ways"), named("an encoder"));
    let refused = |prompt: Result<TrainedPrompt, _>| {
        let error: firebrand_transformer::TransformerError = prompt.expect_err("it makes no sense");
        error.to_string()
    };
    let soft = |model: &AnyModel, n| TrainedPrompt::soft(&body(model), &Beginning::Random(n), 0);
    assert!(refused(soft(&llama, 0)).contains("a prompt of no vectors"));
    let long = refused(soft(&llama, 16));
    assert!(long.contains("a prompt of 16 leaves no room") && long.contains("context of 16"), "{long}");
    let prefix = |model: &AnyModel, n| TrainedPrompt::prefix(&body(model), &Beginning::Random(n), 0, 0);
    assert!(refused(prefix(&llama, 17)).contains("a prompt of 17"));
    assert!(refused(prefix(&encoder, 2)).contains("an encoder"));
    let AnyModel::Bidirectional(both) = both else { panic!("it reads both ways") };
    let both = Body::Bidirectional(*both);
    assert!(refused(TrainedPrompt::soft(&both, &Beginning::Random(2), 0)).contains("a bidirectional model"));
}
