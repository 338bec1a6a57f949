//! Fill-in-the-middle.

use crate::support::Scratch;

const BLANK: &str = "Once there was [Z] friends.";

/// A model that was trained to fill gaps, as `run`.
fn trained() -> Scratch {
    let scratch = Scratch::with_text();
    let set = ["data.texts=train.txt", "training.steps=8", "fill_in_the_middle.probability=0.7"];
    let set: Vec<&str> = set.iter().flat_map(|&set| ["--set", set]).collect();
    let args = ["pretrain", "--config", "fill-in-the-middle-smoke", "--out", "run"];
    scratch.run(&[&args[..], &set].concat()).succeeds();
    scratch
}

#[test]
fn a_model_that_fills_gaps_writes_the_whole_text_and_can_be_used_as_any_other() {
    let scratch = trained();
    let fill = |more: &[&str]| {
        scratch.run(&[&["generate", "run", "--max-new-tokens", "9", "--fill", BLANK], more].concat())
    };
    for strategy in [&[][..], &["--temperature", "1"], &["--beams", "3"], &["--draft", "ngram"]] {
        let json = fill(&[strategy, &["--json"]].concat()).json();
        let middle = json["text"].as_str().expect("a text");
        let whole = format!("Once there was {middle} friends.");
        assert_eq!((json["prompt"].as_str(), json["fill"].as_str()), (Some(BLANK), Some(whole.as_str())));
        // As it comes, and all at once.
        assert_eq!(fill(strategy).succeeds().stdout, whole.clone() + "\n");
    }
    let two = fill(&["--fill", "[Z]"]).succeeds().stdout;
    let one = fill(&[]).succeeds().stdout;
    assert!(two.starts_with(&(one + "\n")), "{two}");
    let config = scratch.text("run/run.toml");
    assert!(config.contains("objective = \"fill-in-the-middle\"") && config.contains("probability = 0.7"));
    let last = scratch.metrics("run").into_iter().rfind(|line| line.get("val_loss").is_some());
    assert!(last.is_some_and(|line| line["val_bits_per_byte"].as_f64().is_some_and(f64::is_finite)));
    scratch.run(&["score", "run", "--text", "Once there was a fox."]).succeeds();
    scratch.run(&["embed", "run", "--text", "Once"]).succeeds();
    scratch.run(&["generate", "run", "--prompt", "Once", "--max-new-tokens", "4"]).succeeds();
    // Who goes on with a text does not move parts of it, however likely the model thinks that.
    let (prefix, more) = (special_id(&scratch, "<|fim_prefix|>"), ["--max-new-tokens", "1", "--json"]);
    let bias = format!("{prefix}=99");
    let args = ["generate", "run", "--prompt", "Once", "--bias", &bias];
    let json = scratch.run(&[&args[..], &more].concat()).json();
    assert_ne!(json["ids"][0].as_u64(), Some(prefix));
    // Who fills a gap ends there.
    let json = fill(&["--bias", &bias, "--json"]).json();
    assert_eq!(
        (json["fill"].as_str(), json["finish_reason"].as_str()),
        (Some("Once there was  friends."), Some("stopped"))
    );
}

/// The id of a special token.
fn special_id(scratch: &Scratch, name: &str) -> u64 {
    let tokenizer: serde_json::Value =
        serde_json::from_str(&scratch.text("run/tokenizer.json")).expect("a tokenizer");
    let added = tokenizer["added_tokens"].as_array().expect("special tokens");
    let token = added.iter().find(|token| token["content"] == name);
    token.and_then(|token| token["id"].as_u64()).unwrap_or_else(|| panic!("{name} is not there"))
}

#[test]
fn what_the_model_is_given_is_prefix_and_suffix() {
    let scratch = trained();
    let json =
        scratch.run(&["generate", "run", "--max-new-tokens", "1", "--fill", "On[Z]e", "--json"]).json();
    let tokenizer: serde_json::Value =
        serde_json::from_str(&scratch.text("run/tokenizer.json")).expect("a tokenizer");
    let of = |text: &str| tokenizer["model"]["vocab"][text].as_u64().expect("a character of the text");
    let names = ["<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"];
    let [end, prefix, suffix, middle] = names.map(|name| special_id(&scratch, name));
    assert_eq!(
        json["prompt_ids"],
        serde_json::json!([end, prefix, of("O"), of("n"), suffix, of("e"), middle])
    );
}

#[test]
fn who_cannot_fill_says_who_can() {
    let scratch = Scratch::with_run();
    let fill = |text: &str| scratch.run(&["generate", "run", "--fill", text]);
    fill(BLANK).fails(2, &["run cannot say what stands between two texts", "fill-in-the-middle"]);
    let scratch = trained();
    let fill = |more: &[&str]| scratch.run(&[&["generate", "run", "--fill"], more].concat());
    fill(&["Once."]).fails(2, &["has no blank", "[Z]"]);
    fill(&["Once [Z] and [Z]."]).fails(2, &["2 blanks", "one at a time"]);
    fill(&[BLANK, "--prompt", "Once"]).fails(2, &["--prompt"]);
    let pretrain = |set: &str| {
        scratch.run(&["pretrain", "--config", "fill-in-the-middle-smoke", "--dry-run", "--set", set])
    };
    pretrain("fill_in_the_middle.probability=1.5")
        .fails(2, &["fill_in_the_middle.probability 1.5 is not in [0, 1]"]);
    pretrain("fill_in_the_middle.rate=1").fails(2, &["unknown field `rate`"]);
    pretrain("objective=causal").fails(2, &["[fill_in_the_middle]", "fill-in-the-middle", "causal"]);
}
