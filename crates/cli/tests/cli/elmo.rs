//! A run with the parts of ELMo: LSTM layers, embeddings computed from the bytes of tokens.

use crate::support::Scratch;

fn with_run() -> Scratch {
    let scratch = Scratch::with_text();
    let pretrain = ["pretrain", "--config", "elmo-smoke", "--set", "data.texts=train.txt", "--out", "run"];
    scratch.run(&pretrain).succeeds();
    scratch
}

#[test]
fn every_command_for_bidirectional_models_takes_it() {
    let scratch = with_run();
    let losses = |key: &str| -> Vec<f64> {
        scratch.metrics("run").iter().filter_map(|line| line.get(key)?.as_f64()).collect()
    };
    let train = losses("train_loss");
    assert!(train[19] < 0.9 * train[0], "it learns: {train:?}");
    let shown = scratch.run(&["show", "run"]).succeeds().stdout;
    assert!(shown.contains("FirebrandForBidirectionalLM") && shown.contains("LSTM cells of 64"), "{shown}");

    let score = scratch.run(&["score", "run", "--text", "The fox got cheese.", "--json"]).json();
    let nats = |value: &serde_json::Value| value["log_likelihood"].as_f64().expect("nats");
    let mean = (nats(&score["forward"]) + nats(&score["backward"])) / 2.0;
    assert!((nats(&score) - mean).abs() < 1e-6);
    assert_ne!(nats(&score["forward"]), nats(&score["backward"]));

    let embed = |layer: &str| {
        let embed = ["embed", "run", "--text", "fox", "--layer", layer, "--json"];
        let line = scratch.run(&embed).json();
        let rows: Vec<Vec<f64>> =
            serde_json::from_value(line["embeddings"].clone()).expect("rows of numbers");
        rows
    };
    assert_eq!(embed("0").iter().map(Vec::len).collect::<Vec<_>>(), [64, 64, 64], "both directions");
    assert_ne!(embed("2"), embed("1"));
    scratch.run(&["embed", "run", "--text", "fox", "--layer", "3"]).fails(2, &["0 (the embedding) to 2"]);

    // The forward half, step by step, under strategies that keep, copy and cut states.
    let generate = |more: &[&str]| {
        let generate = ["generate", "run", "--prompt", "The fox", "--max-new-tokens", "12"];
        scratch.run(&[&generate[..], more].concat()).succeeds().stdout
    };
    let greedy = generate(&["--strategy", "greedy"]);
    assert!(greedy.chars().count() > 12, "{greedy:?}");
    assert_eq!(generate(&["--strategy", "beam", "--beams", "1"]), greedy);
    assert_eq!(generate(&["--strategy", "greedy", "--draft", "ngram"]), greedy);
    assert_eq!(generate(&["--strategy", "greedy", "--draft", "self:1"]), greedy);
    let narrow =
        scratch.run(&["score", "run", "--text", "The fox got cheese.", "--weights", "int8", "--json"]).json();
    let change = narrow["perplexity_change"].as_f64().expect("a number");
    assert!(change != 0.0 && change.abs() < 0.02, "{narrow}");
    assert!(!generate(&["--weights", "int8"]).is_empty());
}

#[test]
fn parts_of_elmo_where_there_are_none_name_the_way_out() {
    let scratch = Scratch::with_text();
    let refused = |set: &[&str], message: &str| {
        scratch.pretrain("run", set).fails(2, &[message]);
    };
    refused(&["model.layers=lstm"], "objective = \"bidirectional\"");
    refused(&["model.characters={}"], "objective = \"bidirectional\"");
    let lstm = ["objective=bidirectional", "model.layers=lstm"];
    refused(&[&lstm[..], &["model.position=rope"]].concat(), "position must be \"none\"");
    refused(&[&lstm[..], &["model.lstm_clip=-3"]].concat(), "lstm_clip -3");
    refused(
        &["objective=bidirectional", "model.characters={filters=[[99, 4]]}"],
        "a filter's width 99 is not in 1 to max_bytes 50",
    );
    refused(&["model.layers=gru"], "unknown variant `gru`");
    refused(&["model.characters={d_bytes=4}"], "did you mean `d_byte`?");
}
