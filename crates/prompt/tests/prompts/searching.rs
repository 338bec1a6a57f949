//! Answers found from few labelled examples.

use crate::calibrating::{fields, prompt};
use crate::fake::Fake;
use crate::filling::words as tokenizer;
use firebrand_prompt::{Causal, Example, answers_of, words};

#[test]
fn words_are_the_tokens_that_begin_one() {
    let tokenizer = tokenizer();
    let words = words(&tokenizer.token_table(), 1000);
    assert!(words.contains(&"great".to_owned()) && words.contains(&"terrible".to_owned()), "{words:?}");
    assert!(words.iter().all(|word| word.len() > 1 && word.chars().all(char::is_alphabetic)));
    assert_eq!(firebrand_prompt::words(&tokenizer.token_table(), 3).len(), 3);
}

#[test]
fn answers_that_a_model_tells_labels_by_are_found() {
    let tokenizer = tokenizer();
    let id = |word: &str| tokenizer.encode(word)[0];
    let (service, room) = (id(" service"), id(" room"));
    let (great, terrible, was) = (id(" great"), id(" terrible"), id(" was"));
    let vocab_size = tokenizer.vocab_size();
    // Behind a service it says great, behind a room terrible; `was` it finds likely always, which tells nothing.
    let model = Fake::new(vocab_size, move |prefix| {
        let mut logits = vec![0.0; vocab_size];
        logits[was as usize] = 6.0;
        logits[great as usize] = if prefix.contains(&service) { 4.0 } else { 1.0 };
        logits[terrible as usize] = if prefix.contains(&room) { 4.0 } else { 1.0 };
        logits
    });
    let scorer = Causal::new(model, tokenizer.end_of_text());
    let prompt =
        prompt("text = \"{text}, it was [Z]\"\n[labels]\nnegative = [\"bad\"]\npositive = [\"good\"]");
    let example = |text: &str, label| Example { fields: fields(text), label: Some(label) };
    let examples = [example("the service", 1), example("the room", 0), example("and the service", 1)];
    let words = words(&tokenizer.token_table(), 1000);
    let found =
        answers_of(&prompt, &prompt.templates[0], &words, &examples, 1, &tokenizer, &scorer).expect("found");
    assert_eq!((found[0][0].word.as_str(), found[1][0].word.as_str()), ("terrible", "great"));
    assert!((found[0][0].ratio - 3.0).abs() < 0.2 && found[0][0].ratio > 0.0);
    let error = answers_of(&prompt, &prompt.templates[0], &words, &examples[1..2], 1, &tokenizer, &scorer)
        .expect_err("no example")
        .to_string();
    assert_eq!(error, "there is no example of the label `positive` to find answers by");
    let other = [example("the service", 1), example("the room", 2)];
    let error = answers_of(&prompt, &prompt.templates[0], &words, &other, 1, &tokenizer, &scorer)
        .expect_err("a third label")
        .to_string();
    assert_eq!(error, "an example has the label of number 2, and the prompt `test.toml` has 2 labels");
}
