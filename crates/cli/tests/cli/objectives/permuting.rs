//! Permutation language models.

use crate::scoring::weights_are_rounded;
use crate::support::Scratch;

/// A model that was trained by its smoke config, as `run`.
fn trained() -> Scratch {
    let scratch = Scratch::with_text();
    let args = ["pretrain", "--config", "permutation-smoke", "--set", "data.texts=train.txt", "--out", "run"];
    scratch.run(&args).succeeds();
    scratch
}

#[test]
fn it_scores_texts_from_left_to_right_and_embeds_them() {
    let scratch = trained();
    let config = scratch.text("run/config.json");
    assert!(config.contains("FirebrandForPermutationLM"), "{config}");
    let last = scratch.metrics("run").into_iter().rfind(|line| line.get("val_loss").is_some());
    assert!(last.is_some_and(|line| line.get("val_bits_per_byte").is_none()), "not every token is predicted");
    let text = "Once there was a fox with 3 friends. The fox wanted peace.";
    let whole = scratch.run(&["score", "run", "--ids", "5,9,4", "--json"]).json();
    let nats = |ids: &str| {
        -scratch.run(&["score", "run", "--ids", ids, "--json"]).json()["log_likelihood"]
            .as_f64()
            .expect("a number")
    };
    // A text costs what its beginning does, and what its end does behind that.
    assert!(nats("5,9") > 0.0 && nats("5,9") < nats("5,9,4"), "{whole}");
    // Longer than the context of 32.
    let json = scratch.run(&["score", "run", "--text", text, "--json"]).json();
    assert!(json["bits_per_byte"].as_f64().is_some_and(|bits| bits > 0.0 && bits < 9.0), "{json}");
    let json = scratch.run(&["embed", "run", "--text", "Once"]).json();
    assert_eq!(json["embeddings"].as_array().map(Vec::len), Some(4));
    // Content sees what comes later.
    let first = |text: &str| {
        let json = scratch.run(&["embed", "run", "--text", text]).json();
        json["embeddings"][0].as_array().expect("a vector").clone()
    };
    assert_ne!(first("Once"), first("Onca"));
}

#[test]
fn its_logits_explain_its_score_with_narrow_weights_too() {
    let scratch = trained();
    weights_are_rounded(&scratch, &[5, 9, 4, 7, 9, 3]);
}

#[test]
fn what_it_cannot_do_is_said() {
    let scratch = trained();
    scratch
        .run(&["generate", "run", "--prompt", "Once"])
        .fails(2, &["run: a permutation model does not go on with a text", "score and embed"]);
    scratch.run(&["generate", "run", "--fill", "On[Z]"]).fails(2, &["run cannot say what stands between"]);
    // What is predicted has a position of its own: one of the 32.
    let long = |len: usize| vec!["5"; len].join(",");
    scratch.run(&["score", "run", "--ids", &long(31), "--logits", "l.json"]).succeeds();
    scratch
        .run(&["score", "run", "--ids", &long(32), "--logits", "l.json"])
        .fails(2, &["32 tokens are more than the 31", "context of 32"]);
    let pretrain =
        |set: &str| scratch.run(&["pretrain", "--config", "permutation-smoke", "--dry-run", "--set", set]);
    pretrain("permutation.predict=1").fails(2, &["permutation.predict 1 is not 2 or more"]);
    pretrain("training.seq_len=1").fails(2, &["training.seq_len 1 is too short"]);
    pretrain("objective=causal").fails(2, &["[permutation]", "causal"]);
}
