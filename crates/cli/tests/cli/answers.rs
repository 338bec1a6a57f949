//! `firebrand finetune --template`: the whole model, adapters, a soft prompt, a prefix; and `classify` with what they left.

use crate::support::Scratch;
use serde_json::Value;
use std::fmt::Write;

const TEMPLATE: &str = "text = \"{text} It got [Z] at last.\"\n[labels]\nfood = [\"cheese\", \"grain\"]\nrest = [\"shade\", \"peace\"]\n";

/// A run that sees texts of 64 tokens, a template, and texts of whose words one says the label.
fn scratch() -> Scratch {
    let scratch = Scratch::with_text();
    scratch.pretrain("run", &["training.seq_len=64"]).succeeds();
    with_labelled(scratch)
}

fn with_labelled(scratch: Scratch) -> Scratch {
    scratch.write("wish.toml", TEMPLATE);
    let mut labelled = String::from("text,label\n");
    for i in 0..40 {
        let who = ["fox", "crow", "hen"][i % 3];
        let (what, label) = if i % 2 == 0 { ("hungry", "food") } else { ("tired", "rest") };
        writeln!(labelled, "The {who} number {i} was {what}.,{label}").expect("a string");
    }
    scratch.write("labelled.csv", labelled);
    scratch
}

fn finetune<'a>(out: &'a str, kind: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args =
        vec!["finetune", "--from", "run", "--data", "labelled.csv", "--config", "smoke", "--out", out];
    args.extend_from_slice(&["--template", "wish.toml", "--set", kind]);
    args.extend_from_slice(more);
    args
}

fn accuracy(scratch: &Scratch, run: &str) -> f64 {
    let args = ["classify", run, "--file", "labelled.csv", "--label", "label", "--json"];
    scratch.run(&args).json()["accuracy"].as_f64().expect("a number")
}

#[test]
fn every_method_learns_from_a_template_which_classify_then_uses_by_itself() {
    // A prompt in front of a model that has learned nothing changes nothing: this one has learned a little.
    let scratch = Scratch::with_text();
    let mut pretrain = vec!["pretrain", "--config", "causal-smoke", "--out", "run"];
    for set in
        ["data.texts=[\"train.txt\"]", "data.tokenizer=tok", "training.seq_len=64", "training.steps=300"]
    {
        pretrain.extend(["--set", set]);
    }
    scratch.run(&pretrain).succeeds();
    let scratch = with_labelled(scratch);
    let base = scratch.bytes("run/model.safetensors");
    for (out, kind, lr) in [
        ("pet", "method.kind=pet", "optimizer.lr=3e-3"),
        ("lora", "method.kind=lora", "optimizer.lr=1e-2"),
        ("soft", "method.kind=soft-prompt", "optimizer.lr=2e-2"),
        ("prefix", "method.kind=prefix", "optimizer.lr=1e-2"),
    ] {
        let more = ["--set", "training.steps=100", "--set", lr, "--json"];
        let summary = scratch.run(&finetune(out, kind, &more)).json();
        assert!(summary["figures"]["accuracy"].is_number(), "{summary}");
        assert!(base == scratch.bytes("run/model.safetensors"), "{out}: the base is as it was");
        assert_eq!(scratch.text(&format!("{out}/template.toml")), TEMPLATE);
        let accuracy = accuracy(&scratch, out);
        assert!(accuracy >= 0.9, "{out}: {accuracy}");
        let said = scratch.run(&["classify", out, "The hen was tired.", "--json"]).json();
        assert!(said["templates"].is_array() && said["measures"]["calibrated"].is_object(), "{said}");
    }
    for (prompt, peft_type) in [("soft", "PROMPT_TUNING"), ("prefix", "PREFIX_TUNING")] {
        assert!(!scratch.path(&format!("{prompt}/model.safetensors")).exists());
        let text = scratch.text(&format!("{prompt}/adapter_config.json"));
        let config: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(config["peft_type"], peft_type);
        let ran = scratch.run(&["score", prompt, "--text", "The fox."]);
        ran.fails(1, &["trained prompt", "firebrand classify"]);
    }
    assert!(scratch.path("pet/model.safetensors").exists());
    scratch.run(&["generate", "pet", "--prompt", "The fox", "--max-new-tokens", "2"]).succeeds();
}

#[test]
fn a_soft_prompt_that_begins_as_words_classifies_as_the_words_do() {
    let scratch = scratch();
    // The text begins as it does behind words; and a step at a rate that changes no number.
    scratch.write("wish.toml", TEMPLATE.replace("\"{text}", "\" {text}"));
    let words = "prompt.text=\"Once, in a wood.\"";
    let more = ["--set", "prompt.init=text", "--set", words, "--set", "training.steps=1", "--set"];
    let more = [&more[..], &["optimizer.lr=1e-30", "--set", "schedule.warmup_steps=0"]].concat();
    scratch.run(&finetune("soft", "method.kind=soft-prompt", &more)).succeeds();
    scratch.write("words.toml", TEMPLATE.replace("{text}", "Once, in a wood. {text}"));
    let text = "The hen was tired.";
    let sums = |args: &[&str]| -> Vec<f64> {
        let said = scratch.run(&[&["classify"], args, &[text, "--json"]].concat()).json();
        let answers = said["templates"][0]["answers"].as_array().expect("answers").clone();
        answers.iter().map(|answer| answer["values"]["sum"].as_f64().expect("a number")).collect()
    };
    let (soft, words) = (sums(&["soft"]), sums(&["run", "--template", "words.toml"]));
    assert_eq!((soft.len(), words.len()), (4, 4));
    for (soft, words) in soft.iter().zip(&words) {
        assert!((soft - words).abs() < 1e-5, "{soft} and {words}");
    }
}

#[test]
fn a_masked_encoder_learns_from_a_template_but_has_no_prefix() {
    let scratch = Scratch::with_text();
    let args = ["pretrain", "--config", "masked-smoke", "--out", "run", "--set", "data.texts=train.txt"];
    let more = ["--set", "data.tokenizer=tok", "--set", "training.seq_len=64"];
    scratch.run(&[&args[..], &more].concat()).succeeds();
    let scratch = with_labelled(scratch);
    for (out, kind) in [("pet", "method.kind=pet"), ("soft", "method.kind=soft-prompt")] {
        scratch
            .run(&finetune(out, kind, &["--set", "prompt.length=4"][..2 * usize::from(out == "soft")]))
            .succeeds();
        accuracy(&scratch, out);
    }
    let ran = scratch.run(&finetune("prefix", "method.kind=prefix", &[]));
    ran.fails(2, &["a prefix is for decoders", "soft prompt"]);
}

#[test]
fn a_prompt_in_training_is_gone_on_with_by_the_template_that_it_has() {
    let scratch = scratch();
    let more = ["--set", "training.steps=8"];
    scratch.run(&finetune("whole", "method.kind=soft-prompt", &more)).succeeds();
    scratch.run(&finetune("again", "method.kind=soft-prompt", &more)).succeeds();
    std::fs::remove_file(scratch.path("again/adapter_model.safetensors")).expect("removed");
    std::fs::remove_dir_all(scratch.path("again/checkpoints/step-00000008")).expect("removed");
    std::fs::remove_file(scratch.path("wish.toml")).expect("removed");
    scratch.run(&["finetune", "--out", "again", "--resume"]).succeeds();
    let file = "adapter_model.safetensors";
    assert!(scratch.bytes(&format!("whole/{file}")) == scratch.bytes(&format!("again/{file}")));
}

#[test]
fn what_makes_no_sense_with_a_template_is_refused_with_the_reason() {
    let scratch = scratch();
    let fails = |kind: &str, more: &[&str], wanted: &[&str]| {
        scratch.run(&finetune("bad", kind, more)).fails(2, wanted);
    };
    let soft = "method.kind=soft-prompt";
    fails(soft, &["--set", "prompt.length=0"], &["prompt.length 0"]);
    fails(soft, &["--set", "prompt.length=64"], &["a prompt of 64", "context of 64"]);
    fails(soft, &["--set", "prompt.init=text"], &["prompt.text"]);
    fails(soft, &["--set", "head.label_smoothing=0.1"], &["[head]"]);
    fails(soft, &["--task", "regression"], &["regression", "classes"]);
    fails("method.kind=frozen", &[], &["frozen", "pet"]);
    fails("method.kind=pet", &["--set", "prompt.length=3"], &["[prompt]", "pet"]);
    fails(soft, &["--set", "method.layer_decay=2.0"], &["layer_decay"]);
    scratch.write("wish.toml", TEMPLATE.replace("rest =", "sleep ="));
    fails(soft, &[], &["labelled.csv", "`rest`"]);
    scratch.write("wish.toml", TEMPLATE.replace("[Z] ", ""));
    fails(soft, &[], &["wish.toml", "[Z]"]);
    scratch.write("wish.toml", TEMPLATE.replace("{text}", "{txt}"));
    fails(soft, &[], &["`txt`", "did you mean `text`?"]);
    scratch.write("wish.toml", TEMPLATE);
    let bare = ["finetune", "--from", "run", "--data", "labelled.csv", "--out", "bad", "--set", soft];
    scratch.run(&bare).fails(2, &["soft-prompt", "--template FILE"]);
    scratch.run(&["classify", "run", "--limit", "3", "A fox."]).fails(2, &["--limit", "--template FILE"]);
}

#[test]
fn a_kind_of_model_that_is_not_trained_by_templates_is_named() {
    let scratch = Scratch::with_text();
    let args =
        ["pretrain", "--config", "bidirectional-smoke", "--out", "run", "--set", "data.texts=train.txt"];
    scratch.run(&[&args[..], &["--set", "data.tokenizer=tok"]].concat()).succeeds();
    let scratch = with_labelled(scratch);
    for kind in ["method.kind=pet", "method.kind=soft-prompt", "method.kind=prefix"] {
        scratch.run(&finetune("bad", kind, &[])).fails(2, &["--from run", "a bidirectional model"]);
    }
}
