//! Fill-in-the-middle.

use crate::scoring::explained_by_logits;
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
        let middle = json["fills"][0].as_str().expect("a text");
        let whole = format!("Once there was {middle} friends.");
        assert_eq!((json["prompt"].as_str(), json["text"].as_str()), (Some(BLANK), Some(whole.as_str())));
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
        (json["text"].as_str(), json["finish_reason"].as_str()),
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
        json["input_ids"],
        serde_json::json!([end, prefix, of("O"), of("n"), suffix, of("e"), middle])
    );
}

#[test]
fn a_filled_blank_has_one_form_whatever_model_filled_it() {
    let keys = |json: &serde_json::Value| -> Vec<String> {
        json.as_object().expect("an object").keys().cloned().collect()
    };
    let mut forms = Vec::new();
    for config in ["fill-in-the-middle-smoke", "masked-smoke", "span-corruption-smoke", "denoising-smoke"] {
        let scratch = Scratch::with_text();
        let set = ["data.texts=train.txt", "data.tokenizer=tok", "training.steps=2"];
        let args = ["pretrain", "--config", config, "--out", "run"].into_iter();
        scratch
            .run(&args.chain(set.into_iter().flat_map(|set| ["--set", set])).collect::<Vec<_>>())
            .succeeds();
        let json =
            scratch.run(&["generate", "run", "--fill", BLANK, "--max-new-tokens", "4", "--json"]).json();
        assert_eq!((&json["prompt"], &json["rank"]), (&BLANK.into(), &1.into()), "{config}");
        forms.push(keys(&json));
    }
    let expected =
        ["fills", "finish_reason", "ids", "input_ids", "log_prob", "prompt", "rank", "score", "text"];
    forms.iter_mut().for_each(|form| form.sort());
    assert!(forms.iter().all(|form| form == &expected), "{forms:?}");
}

#[test]
fn bits_per_byte_count_what_stands_for_text_and_ends_of_documents() {
    let scratch = trained();
    let tokenizer: serde_json::Value =
        serde_json::from_str(&scratch.text("run/tokenizer.json")).expect("a tokenizer");
    let of = |text: &str| tokenizer["model"]["vocab"][text].as_u64().expect("a token") as u32;
    let [end, mark] = ["<|endoftext|>", "<|fim_suffix|>"].map(|name| special_id(&scratch, name) as u32);
    let ids = [end, of("O"), mark, of("n"), of("<unk>"), of("c"), end];
    let (nats, score) = explained_by_logits(&scratch, &ids, &[]);
    assert_eq!(score["bytes"], 3);
    // All but the mark's, and of what an unknown character was, nothing is known.
    let counted: f64 = [nats[0], nats[2], nats[4], nats[5]].iter().sum();
    let bits = |json: &serde_json::Value| json["bits_per_byte"].as_f64().expect("bits");
    assert!((bits(&score) - counted / 3.0 / std::f64::consts::LN_2).abs() < 1e-4, "{score}");
    // In a text its bytes count, and so do its nats.
    let score = scratch.run(&["score", "run", "--text", "On\u{3bc}ce", "--json"]).json();
    let nats = -score["log_likelihood"].as_f64().expect("nats");
    assert_eq!((score["bytes"].as_u64(), score["tokens"].as_u64()), (Some(6), Some(5)));
    assert!((bits(&score) - nats / 6.0 / std::f64::consts::LN_2).abs() < 1e-9, "{score}");
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
