//! `finetune --task seq2seq|instruction`, and `generate --chat`.

use crate::support::Scratch;
use serde_json::{Value, json};

/// Questions with their answers.
fn chats() -> String {
    let line = |i: usize| {
        let (who, what) = (["fox", "crow", "hen"][i % 3], ["cheese", "grain", "peace"][i % 3]);
        let messages = json!([
            {"role": "user", "content": format!("What did the {who} want?")},
            {"role": "assistant", "content": what},
        ]);
        format!("{}\n", json!({"messages": messages}))
    };
    (0..30).map(line).collect()
}

/// A model of contexts of 64 tokens in `base`.
fn base() -> Scratch {
    let scratch = Scratch::with_text();
    scratch.pretrain("base", &["training.seq_len=64"]).succeeds();
    scratch
}

fn finetune<'a>(data: &'a str, task: &'a str, out: &'a str, set: &[&'a str]) -> Vec<&'a str> {
    let mut args =
        vec!["finetune", "--from", "base", "--data", data, "--config", "smoke", "--task", task, "--out", out];
    set.iter().for_each(|set| args.extend(["--set", set]));
    args
}

#[test]
fn a_chat_is_learned_and_answered() {
    let scratch = Scratch::with_text();
    // Rows in which two chats and more find room, and a prompt of two turns.
    scratch.pretrain("base", &["training.seq_len=160"]).succeeds();
    scratch.write("chats.jsonl", chats());
    let set = [
        "training.steps=150",
        "training.eval_every=50",
        "training.seq_len=160",
        "optimizer.lr=0.01",
        "head.dropout=0",
    ];
    let ran = scratch.run(&finetune("chats.jsonl", "instruction", "chat", &set)).succeeds();
    assert!(ran.stderr.contains("packed into "), "{}", ran.stderr);
    let config: Value = serde_json::from_str(&scratch.text("chat/tokenizer_config.json")).expect("JSON");
    assert!(
        config["chat_template"].as_str().is_some_and(|template| template.contains("add_generation_prompt"))
    );
    for (who, what) in [("fox", "cheese"), ("crow", "grain"), ("hen", "peace")] {
        let prompt = format!("What did the {who} want?");
        let ran = scratch.run(&["generate", "chat", "--chat", "--prompt", &prompt]);
        assert_eq!(ran.succeeds().stdout.trim(), what);
    }
    // A chat that goes on is read as it was trained: by its parts.
    let so_far = json!([{"role": "user", "content": "What did the hen want?"}, {"role": "assistant", "content": "peace"},
        {"role": "user", "content": "What did the fox want?"}]);
    let ran = scratch.run(&["generate", "chat", "--chat", "--json", "--prompt", &so_far.to_string()]);
    let said: Value = serde_json::from_str(&ran.succeeds().stdout).expect("JSON");
    assert!(said["prompt_ids"].as_array().is_some_and(|ids| ids.len() > 20));
    // What was fine-tuned goes on from where it stands, with the template that it has.
    scratch.run(&["finetune", "--out", "chat", "--resume"]).succeeds();
}

#[test]
fn an_input_becomes_a_text_with_a_decoder_too() {
    let scratch = base();
    let rows: String = (0..12).map(|i| format!("{0} and {0},{0}\n", ["fox", "crow", "hen"][i % 3])).collect();
    scratch.write("pairs.csv", format!("source,target\n{rows} ,hen\n"));
    let set = [
        "training.steps=100",
        "training.eval_every=50",
        "training.seq_len=64",
        "optimizer.lr=0.01",
        "writing.pack=false",
        "data.empty_texts=skip",
    ];
    let mut tested = finetune("pairs.csv", "seq2seq", "short", &set);
    tested.extend(["--set", "data.test=0.25", "--json"]);
    let ran = scratch.run(&tested).succeeds();
    // There are three pairs, four times each.
    for part in [
        "1 examples without a text were left out",
        "warning: 3 test texts are trained on as well, word for word",
        "data.drop_duplicates=true",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    let result = ran.json();
    assert_eq!(result["part"], "test");
    assert!(result["test_loss"].is_f64() && result["val_loss"].is_f64(), "{result}");
    let ran = scratch.run(&["generate", "short", "--chat", "--prompt", "hen and hen"]);
    assert_eq!(ran.succeeds().stdout.trim(), "hen");
}

#[test]
fn what_cannot_be_learned_or_answered_is_told() {
    let scratch = base();
    scratch.write("chats.jsonl", chats());
    let ran = scratch.run(&["generate", "base", "--chat", "--prompt", "Hello?"]);
    ran.fails(2, &["has no chat template"]);
    scratch.write("open.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n");
    let ran = scratch.run(&finetune("open.jsonl", "instruction", "x", &[]));
    ran.fails(2, &["open.jsonl, line 1: no message is by the assistant"]);
    scratch.write("endless.jinja", "{% for message in messages %}{{ message.content }}{% endfor %}");
    let ran = scratch.run(&finetune("chats.jsonl", "instruction", "x", &["writing.template=endless.jinja"]));
    ran.fails(2, &["puts no `<|endoftext|>` behind a response"]);
    let ran = scratch.run(&finetune("chats.jsonl", "instruction", "x", &["head.label_smoothing=0.1"]));
    ran.fails(2, &["of [head] the task instruction has only dropout"]);
    let ran = scratch.run(&finetune("chats.jsonl", "instruction", "x", &["training.seq_len=5"]));
    ran.fails(2, &["nothing to learn is left of ", "raise training.seq_len, up to 64"]);
    scratch.write("special.jsonl", chats().replace("cheese", "<|endoftext|>"));
    let ran = scratch.run(&finetune("special.jsonl", "instruction", "x", &[]));
    ran.fails(2, &["special.jsonl, line ", "<|endoftext|>"]);
    assert!(!scratch.path("x/run.toml").exists(), "a refused command leaves nothing");
}
