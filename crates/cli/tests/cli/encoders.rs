//! Encoders: trained by two objectives, scored, embedded, and asked what stands in a blank.

use crate::support::Scratch;
use firebrand_transformer::{read_tensors, write_tensors};
use serde_json::Value;

/// A run of an objective in `run`.
fn trained(config: &str, set: &[&str]) -> Scratch {
    let scratch = Scratch::with_text();
    let data = ["data.texts=train.txt", "data.tokenizer=tok", "data.boundary=blank-line"];
    let mut args = vec!["pretrain", "--config", config, "--out", "run"];
    args.extend(data.iter().chain(set).flat_map(|&set| ["--set", set]));
    scratch.run(&args).succeeds();
    scratch
}

fn config(scratch: &Scratch) -> Value {
    serde_json::from_str(&scratch.text("run/config.json")).expect("JSON")
}

#[test]
fn a_masked_run_is_a_bert_folder_with_its_special_tokens_behind_the_others() {
    let scratch = trained("masked-smoke", &[]);
    let config = config(&scratch);
    assert_eq!(
        (&config["architectures"][0], &config["model_type"]),
        (&"BertForPreTraining".into(), &"bert".into())
    );
    assert_eq!(config["vocab_size"], 303);
    let tokenizer: Value = serde_json::from_str(&scratch.text("run/tokenizer_config.json")).expect("JSON");
    assert_eq!((&tokenizer["mask_token"], &tokenizer["cls_token"]), (&"[MASK]".into(), &"[CLS]".into()));
    let metrics = scratch.metrics("run");
    let loss = |line: &Value| line["train_loss"].as_f64().expect("a loss");
    assert!(loss(metrics.last().expect("lines")) < loss(&metrics[0]), "{metrics:?}");
    assert!(
        metrics.iter().all(|line| line.get("val_bits_per_byte").is_none_or(Value::is_null)),
        "{metrics:?}"
    );
    let plain = trained("masked-smoke", &["masked.next_sentence=false", "masked.whole_words=true"]);
    let config = self::config(&plain);
    assert_eq!(
        (&config["architectures"][0], &config["vocab_size"]),
        (&"BertForMaskedLM".into(), &301.into())
    );
    assert!(plain.text("run/run.toml").contains("whole_words = true"), "options are recorded");
    // Weights of one run start another.
    plain
        .run(&[
            "pretrain",
            "--config",
            "masked-smoke",
            "--from",
            "run",
            "--out",
            "again",
            "--set",
            "data.texts=train.txt",
            "--set",
            "data.tokenizer=tok",
            "--set",
            "masked.next_sentence=false",
        ])
        .succeeds();
}

fn encoded(scratch: &Scratch, text: &str) -> Vec<u32> {
    let ids = scratch.run_with(&["tokenizer", "encode", "--tokenizer", "run"], text).succeeds().stdout;
    let ids = ids.split([',', ' ', '\n']).filter(|id| !id.is_empty());
    ids.map(|id| id.parse().expect("an id")).collect()
}

/// `log P` of the token at a place, if the mask (300) stands there.
fn hidden_log_prob(scratch: &Scratch, run: &str, ids: &[u32], at: usize) -> f64 {
    let mut hidden: Vec<String> = ids.iter().map(u32::to_string).collect();
    hidden[at] = "300".into();
    scratch.run(&["score", run, "--ids", &hidden.join(","), "--logits", "logits.json"]).succeeds();
    let file: Value = serde_json::from_slice(&scratch.bytes("logits.json")).expect("JSON");
    let rows: Vec<Vec<f64>> = serde_json::from_value(file["logits"].clone()).expect("rows of numbers");
    rows[at][ids[at] as usize] - rows[at].iter().map(|logit| logit.exp()).sum::<f64>().ln()
}

#[test]
fn narrow_weights_are_scored_by_and_compared_with_f32() {
    let scratch = trained("masked-smoke", &[]);
    let text = "Once there was a crow.";
    let score =
        |more: &[&str]| scratch.run(&[&["score", "run", "--text", text, "--json"], more].concat()).json();
    let loss = |value: &Value| value["loss"].as_f64().expect("nats a token");
    let wide = score(&["--logits", "wide.json"]);
    for weights in ["bf16", "int8"] {
        let narrow = score(&["--weights", weights, "--logits", "narrow.json"]);
        assert_eq!((&narrow["weights"], &narrow["pseudo"]), (&weights.into(), &true.into()));
        assert_eq!(loss(&narrow["f32"]), loss(&wide), "{weights}");
        let change = (loss(&narrow) - loss(&wide)).exp_m1();
        assert!((narrow["perplexity_change"].as_f64().expect("a number") - change).abs() < 1e-12);
        assert!(change != 0.0 && change.abs() < 0.1, "{weights} changes it by {change}");
        // The head that is the embedding, too, is stored once more: so small a model saves that only in eight bits.
        let saves = narrow["weight_bytes"].as_u64() < narrow["f32"]["weight_bytes"].as_u64();
        assert_eq!(saves, weights == "int8");
        assert_ne!(scratch.bytes("wide.json"), scratch.bytes("narrow.json"), "its own logits");
        let table = scratch.run(&["score", "run", "--text", text, "--weights", weights]).succeeds().stdout;
        assert!(
            table.contains(&format!("({weights} changes it by")) && table.contains("weights  "),
            "{table}"
        );
    }
}

#[test]
fn marks_stand_around_texts_and_their_parts_where_the_model_was_trained_with_them() {
    // [CLS] is 301, [SEP] 302.
    let scratch = trained("masked-smoke", &[]);
    let log_likelihood = |args: &[&str]| {
        let json = scratch.run(&[&["score"], args, &["--json"]].concat()).json();
        json["log_likelihood"].as_f64().expect("nats")
    };
    let text = "Once there was a crow.";
    let ids: Vec<String> = encoded(&scratch, text).iter().map(u32::to_string).collect();
    let framed = |run: &str, mark: [&str; 2]| {
        log_likelihood(&[run, "--ids", &format!("{},{},{}", mark[0], ids.join(","), mark[1])])
    };
    const MARKS: [&str; 2] = ["301", "302"];
    const ENDS: [&str; 2] = ["0", "0"];
    // The same numbers in the same order: to the last bit.
    assert_eq!(log_likelihood(&["run", "--text", text]), framed("run", MARKS));
    assert_ne!(framed("run", MARKS), framed("run", ENDS));
    // The same tokenizer, but no marks in training.
    let set =
        ["data.texts=train.txt", "data.tokenizer=run", "masked.next_sentence=false", "training.steps=3"];
    let args = ["pretrain", "--config", "masked-smoke", "--out", "plain"].into_iter();
    scratch.run(&args.chain(set.into_iter().flat_map(|set| ["--set", set])).collect::<Vec<_>>()).succeeds();
    // Far from its first weights, what a token sees makes a difference.
    let weights = scratch.path("plain/model.safetensors");
    let mut tensors = read_tensors(&weights).expect("readable");
    for tensor in tensors.iter_mut().filter(|tensor| tensor.shape.len() == 2) {
        tensor.values.iter_mut().for_each(|value| *value *= 8.0);
    }
    write_tensors(&weights, &tensors).expect("written");
    assert_eq!(log_likelihood(&["plain", "--text", text]), framed("plain", ENDS));
    assert!((framed("plain", MARKS) - framed("plain", ENDS)).abs() > 0.05);
    // A folder of somebody else's knows them, as BERT does.
    let mut json: Value = serde_json::from_str(&scratch.text("plain/config.json")).expect("JSON");
    json.as_object_mut().expect("an object").remove("firebrand");
    scratch.write("plain/config.json", json.to_string());
    assert_eq!(log_likelihood(&["plain", "--text", text]), framed("plain", MARKS));
    // Of a text longer than the context of 32 each token is seen in a part of 30, which has its marks, too.
    let long = "The fox wanted cheese. It got cheese at last. The hen with 7 friends wanted shade.";
    let ids = encoded(&scratch, long);
    assert!(ids.len() > 33, "{}", ids.len());
    let of_token = |at: usize| {
        let start = at.saturating_sub(15).min(ids.len() - 30);
        let window = [&[301], &ids[start..start + 30], &[302]].concat();
        hidden_log_prob(&scratch, "plain", &window, at - start + 1)
    };
    let expected: f64 = (0..ids.len()).map(of_token).sum();
    let found = log_likelihood(&["plain", "--text", long]);
    assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
}

#[test]
fn masked_models_score_texts_by_hiding_each_token() {
    let scratch = trained("masked-smoke", &["masked.next_sentence=false"]);
    let text = "Once there was a crow.";
    let score = scratch.run(&["score", "run", "--text", text, "--json"]).json();
    let ids = encoded(&scratch, text);
    assert_eq!(score["tokens"], ids.len());
    assert_eq!((&score["pseudo"], &score["bits_per_byte"]), (&true.into(), &Value::Null));
    // By hand: hide each token and look at its logit.
    let whole = [&[0], &ids[..], &[0]].concat();
    let expected: f64 = (1..=ids.len()).map(|at| hidden_log_prob(&scratch, "run", &whole, at)).sum();
    let found = score["log_likelihood"].as_f64().expect("nats");
    assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
    // Longer than the context of 32, and each document by itself.
    let file = scratch.run(&["score", "run", "--file", "train.txt", "--json"]).json();
    assert_eq!(file["documents"], 40);
    let each = scratch.run(&["score", "run", "--file", "train.txt", "--each"]).json_lines();
    let sum = |key: &str| each.iter().map(|line| line[key].as_f64().expect("a number")).sum::<f64>();
    assert!((sum("log_likelihood") / file["log_likelihood"].as_f64().expect("nats") - 1.0).abs() < 1e-9);
    assert_eq!(Some(sum("tokens")), file["tokens"].as_f64());
    // A tenth was held out: the last four documents.
    let held_out = scratch.run(&["score", "run", "--held-out", "--json"]).json();
    let last: f64 = each[36..].iter().map(|line| line["log_likelihood"].as_f64().expect("nats")).sum();
    let found = held_out["log_likelihood"].as_f64().expect("nats");
    assert!(held_out["documents"] == 4 && (found / last - 1.0).abs() < 1e-5, "{held_out}");
    let ngram = ["score", "run", "--held-out", "--ngram", "3"];
    scratch.run(&ngram).fails(2, &["--ngram", "pseudo-log-likelihood", "does not compare"]);
    let plain = scratch.run(&["score", "run", "--text", text]).succeeds().stdout;
    assert!(plain.contains("pseudo-log-likelihood") && plain.contains("pseudo-perplexity"), "{plain}");
    scratch.run(&["score", "run", "--ids", "0,300"]).fails(2, &["nothing to score"]);
    scratch.run(&["score", "run", "--file", "train.txt", "--logits", "l"]).fails(2, &["not of a --file"]);
}

#[test]
fn masked_models_fill_blanks_and_say_so_when_asked_to_go_on() {
    let scratch = trained("masked-smoke", &[]);
    let fill = ["generate", "run", "--fill", "Once there [Z] a crow."];
    let plain = scratch.run(&fill).succeeds().stdout;
    assert!(plain.starts_with("Once there") && plain.trim_end().ends_with(" a crow."), "{plain}");
    let json = scratch.run(&[&fill[..], &["--n-best", "3", "--json"]].concat()).json_lines();
    assert_eq!(json[0]["text"], plain.trim_end());
    let log_prob = |line: &Value| line["log_prob"].as_f64().expect("a number");
    assert_eq!(json.len(), 3);
    assert!(json.windows(2).all(|pair| log_prob(&pair[0]) >= log_prob(&pair[1])), "{json:?}");
    let two = ["generate", "run", "--fill", "The [Z] wanted [Z].", "--blank-tokens", "2", "--json"];
    let two = scratch.run(&two).json();
    let fills: Vec<String> = serde_json::from_value(two["fills"].clone()).expect("texts");
    assert_eq!(two["text"], format!("The{} wanted{}.", fills[0], fills[1]));
    let list = |key: &str| two[key].as_array().expect("ids").len();
    let masks = two["input_ids"].as_array().expect("ids").iter().filter(|&id| *id == 300).count();
    assert_eq!((list("ids"), masks), (4, 4));
    let check = |args: &[&str], parts: &[&str]| {
        scratch.run(&[&["generate", "run"], args].concat()).fails(2, parts);
    };
    check(&["--prompt", "Once"], &["sees both sides", "--fill"]);
    check(&["--fill", "no blank"], &["has no blank", "[Z]"]);
    check(&["--fill", "a [Z]", "--temperature", "0.5"], &["--temperature", "--n-best"]);
    check(&["--fill", "a [Z]", "--blank-tokens", "40"], &["context of 32"]);
    check(&["--fill", "a [Z]", "--blank-tokens", "0"], &["--blank-tokens"]);
    check(&["--fill", "a [Z]", "--prompt", "b"], &["cannot be used with"]);
}

#[test]
fn states_of_encoders_are_embedded_and_other_models_fill_no_blanks() {
    let scratch = trained("replaced-token-smoke", &[]);
    assert_eq!(config(&scratch)["architectures"][0], "ElectraForPreTraining");
    let mean = ["embed", "run", "--text", "Once there was a crow.", "--pool", "mean", "--json"];
    let embedded = scratch.run(&mean).json();
    assert_eq!(embedded["embedding"].as_array().map(Vec::len), Some(32));
    for layer in ["0", "2", "mix"] {
        scratch.run(&["embed", "run", "--text", "Once", "--layer", layer]).succeeds();
    }
    let metrics = scratch.metrics("run");
    for term in ["mlm", "rtd"] {
        assert!(metrics[0].to_string().contains(term), "{}", metrics[0]);
    }
    scratch.run(&["score", "run", "--text", "Once"]).fails(2, &["to find replaced tokens", "embed"]);
    scratch.run(&["generate", "run", "--fill", "a [Z]"]).fails(2, &["predicts no tokens", "masked"]);
    scratch.run(&["generate", "run", "--prompt", "Once"]).fails(2, &["sees both sides", "embed"]);
    scratch.pretrain("decoder", &[]).succeeds();
    scratch.run(&["generate", "decoder", "--fill", "a [Z]"]).fails(2, &["--fill", "--prompt"]);
}

#[test]
fn options_of_encoders_are_checked() {
    let scratch = Scratch::with_text();
    let check = |config: &str, set: &[&str], parts: &[&str]| {
        let mut args = vec!["pretrain", "--config", config, "--out", "run", "--set", "data.texts=train.txt"];
        args.extend(set.iter().flat_map(|&set| ["--set", set]));
        scratch.run(&args).fails(2, parts);
    };
    check("masked-smoke", &["masked.probability=1.5"], &["masked.probability 1.5"]);
    check("masked-smoke", &["masked.to_random=0.5"], &["more than 1 together"]);
    check("masked-smoke", &["masked.whole_word=true"], &["did you mean `whole_words`?"]);
    check("masked-smoke", &["training.seq_len=4"], &["training.seq_len 4 is too short"]);
    check("masked-smoke", &["objective=causal"], &["[masked]", "this run's is causal"]);
    check("causal-smoke", &["model.preset=bert"], &["is for an encoder", "this is a decoder model"]);
    check("replaced-token-smoke", &["replaced_token.generator_size=2"], &["generator_size 2"]);
    check("replaced-token-smoke", &["masked.whole_words=true"], &["[masked]", "replaced-token"]);
}
