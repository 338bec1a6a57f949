//! The commands around training: `show`, `device`, `completions`, `--help`, `--version`.

use crate::support::Scratch;

#[test]
fn show_tells_what_a_run_is() {
    let scratch = Scratch::with_run();
    let plain = scratch.run(&["show", "run"]).succeeds().stdout;
    for part in [
        "LlamaForCausalLM",
        "1 layers, d_model 16, 2 heads, context 16, vocabulary 300",
        "on cpu (threads: 1, seed: 0)",
        "train.txt",
        "8 of 8 (finished)",
        "held-out loss",
        "█",
    ] {
        assert!(plain.contains(part), "{part:?} is not in\n{plain}");
    }
    let json = scratch.run(&["show", "run", "--json"]).json();
    assert_eq!((json["step"].as_u64(), json["finished"].as_bool()), (Some(8), Some(true)));
    assert_eq!(json["run"]["config"]["training"]["seq_len"], 16);
    assert_eq!(json["model"]["vocab_size"], 300);
    // A Hugging Face folder is a model without a history.
    for file in ["run.toml", "metrics.jsonl"] {
        std::fs::remove_file(scratch.path("run").join(file)).expect("removed");
    }
    let plain = scratch.run(&["show", "run"]).succeeds().stdout;
    assert!(plain.contains("LlamaForCausalLM") && !plain.contains("made by"), "{plain}");
    scratch.run(&["score", "run", "--text", "Once"]).succeeds();
}

#[test]
fn devices_are_listed_without_noise() {
    let scratch = Scratch::empty();
    let mut command = scratch.command(&["device", "--device", "cpu"]);
    let output = command.env_remove("XDG_RUNTIME_DIR").output().expect("it runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    assert!(stdout.contains("→ cpu") && stdout.contains("ndarray"), "{stdout}");
    let json = scratch.run(&["device", "--json"]).json();
    assert_eq!(json["used"], "cpu");
    assert_eq!(json["compiled"], serde_json::json!(["cpu", "ndarray", "wgpu"]));
    let used = json["devices"].as_array().expect("a list").iter().filter(|device| device["used"] == true);
    assert_eq!(used.count(), 1);
}

#[test]
fn ndarray_is_a_device_too() {
    let scratch = Scratch::with_run();
    let on = |device: &str| {
        let json = scratch.run(&["score", "run", "--text", "Once", "--json", "--device", device]).json();
        (json["device"].clone(), json["log_likelihood"].as_f64().expect("nats"))
    };
    let (cpu, ndarray) = (on("cpu"), on("ndarray"));
    assert_eq!((cpu.0.as_str(), ndarray.0.as_str()), (Some("cpu"), Some("ndarray")));
    assert!((cpu.1 - ndarray.1).abs() < 1e-3 * cpu.1.abs(), "{} {}", cpu.1, ndarray.1);
}

#[test]
fn the_version_names_the_devices() {
    let ran = Scratch::empty().run(&["--version"]).succeeds();
    assert_eq!(
        ran.stdout,
        format!("firebrand {} (devices: cpu, ndarray, wgpu)\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn completions_know_the_commands() {
    let scratch = Scratch::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = scratch.run(&["completions", shell]).succeeds().stdout;
        assert!(script.contains("pretrain") && script.contains("max-new-tokens"), "{shell}");
    }
}

#[test]
fn every_command_has_examples_that_can_be_copied_from_any_terminal() {
    let scratch = Scratch::empty();
    for command in [
        "",
        "data list",
        "data fetch",
        "data inspect",
        "data generate",
        "tokenizer train",
        "tokenizer encode",
        "tokenizer decode",
        "tokenizer inspect",
        "prepare",
        "pretrain",
        "generate",
        "score",
        "show",
        "device",
        "completions",
    ] {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = scratch.run(&args).succeeds().stdout;
        let (_, examples) =
            help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{command:?}:\n{help}"));
        for line in examples.lines() {
            assert!(line.starts_with("  ") && line.chars().count() <= 80, "{command:?} wraps at {line:?}");
        }
    }
}
