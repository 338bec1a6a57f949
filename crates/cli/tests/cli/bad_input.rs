//! What users get wrong: an exit code and a message with the cause and the way out, never a panic.

use crate::support::Scratch;
use std::process::Command;

#[test]
fn text_that_cannot_be_trained_on_is_named() {
    let scratch = Scratch::with_text();
    scratch.write("empty.txt", "");
    scratch.write("invalid.txt", b"one good line\nand \xff one bad\n");
    scratch.write("short.txt", "Too short.");
    std::fs::create_dir(scratch.path("folder")).expect("made");
    for (text, parts) in [
        ("missing.txt", ["missing.txt", "No such file"]),
        ("empty.txt", ["empty.txt", "is empty"]),
        ("invalid.txt", ["invalid.txt", "line 2, byte offset 18"]),
        ("folder", ["folder", "there is no text in the folder"]),
    ] {
        scratch.pretrain("run", &[&format!("data.texts={text}")]).fails(2, &parts);
        scratch.run(&["tokenizer", "train", text, "--out", "t"]).fails(2, &parts);
        scratch.run(&["prepare", text, "--tokenizer", "tok", "--out", "s"]).fails(2, &parts);
    }
    scratch
        .pretrain("run", &["data.texts=short.txt", "data.boundary=file"])
        .fails(2, &["one context of seq_len 16", "give more text or lower seq_len"]);
    scratch
        .pretrain("run", &["data.texts=[]"])
        .fails(2, &["nothing to train on", "--set data.texts=input.txt"]);
    scratch.pretrain("run", &["data.held_out=1.5"]).fails(2, &["held-out fraction", "1.5"]);
    assert!(!scratch.path("run/run.toml").exists(), "a refused command starts no run");
}

#[test]
fn tokenizers_that_cannot_be_had_are_named() {
    let scratch = Scratch::with_text();
    scratch.write("broken.json", "{\"model\": ");
    let train = |options: &[&str]| {
        scratch.run(&[&["tokenizer", "train", "train.txt", "--out", "t"], options].concat())
    };
    train(&["--vocab-size", "10"]).fails(2, &["vocab_size 10 is too small", "at least 257"]);
    train(&["--pattern", "(["]).fails(2, &["([", "not a valid regular expression"]);
    let encode =
        |tokenizer: &str| scratch.run(&["tokenizer", "encode", "--tokenizer", tokenizer, "train.txt"]);
    let missing = encode("nowhere").fails(2, &["nowhere", "No such file"]);
    assert_eq!(missing.stderr.matches("No such file").count(), 1, "said once: {}", missing.stderr);
    encode("broken.json").fails(1, &["broken.json", "line 1"]);
    scratch
        .pretrain("run", &["data.tokenizer=nowhere"])
        .fails(2, &["data.tokenizer nowhere", "firebrand tokenizer train"]);
    let decode = |ids: &str| scratch.run_with(&["tokenizer", "decode", "--tokenizer", "tok"], ids);
    decode("1,two").fails(2, &["`two` is no token id"]);
    decode("1,300").fails(2, &["300", "vocabulary of 300 tokens"]);
    scratch.write("invalid.txt", b"\xff");
    scratch
        .run(&["tokenizer", "encode", "--tokenizer", "tok", "invalid.txt"])
        .fails(2, &["not UTF-8", "byte 0"]);
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let scratch = Scratch::with_run();
    scratch.write("file", "in the way");
    scratch.pretrain("file", &[]).fails(2, &["--out file: is a file; a run needs a folder"]);
    scratch.pretrain("file/run", &[]).fails(2, &["--out file/run", "Not a directory"]);
    for out in ["file", "file/inside"] {
        scratch.run(&["tokenizer", "train", "train.txt", "--out", out]).fails(1, &["cannot write", out]);
        scratch.run(&["prepare", "train.txt", "--tokenizer", "tok", "--out", out]).fails(1, &["file"]);
    }
    scratch.run(&["data", "generate", "--bytes", "1KB", "--out", "file/x"]).fails(1, &["file"]);
    scratch.run(&["data", "generate", "--bytes", "1KB", "--out", "tok"]).fails(1, &["tok", "directory"]);
    scratch
        .run(&["score", "run", "--text", "Once", "--logits", "file/x"])
        .fails(2, &["file/x", "name another"]);
    scratch
        .run(&["prepare", "train.txt", "--tokenizer", "tok", "--out", "run"])
        .fails(2, &["run exists already", "choose another folder"]);
    assert_eq!(scratch.text("file"), "in the way");
}

#[test]
fn a_full_disk_is_a_failed_run() {
    /// A small file system, unmounted when the test ends, whatever its end.
    struct Mounted(std::path::PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            Command::new("umount").arg(&self.0).status().ok();
        }
    }
    let scratch = Scratch::with_text();
    let disk = scratch.path("disk");
    std::fs::create_dir(&disk).expect("made");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=48k", "tmpfs"]).arg(&disk).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this user cannot mount a small file system to fill");
        return;
    }
    let _mounted = Mounted(disk);
    scratch.pretrain("disk/run", &[]).fails(1, &["disk/run", "No space left on device"]);
    scratch
        .run(&["data", "generate", "--bytes", "1MB", "--out", "disk/x"])
        .fails(1, &["No space left on device"]);
    assert!(!scratch.path("disk/x").exists(), "a file is whole or not there");
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let scratch = Scratch::with_run();
    let score = |device: &str| scratch.run(&["score", "run", "--text", "Once", "--device", device]);
    for device in ["tpu", "wgpu:first", "CPU"] {
        score(device).fails(2, &[&format!("no such device `{device}`"), "use cpu, ndarray, wgpu or wgpu:N"]);
    }
    score("wgpu:99").fails(2, &["no such device `wgpu:99`", "`firebrand device` lists what is here"]);
}

#[test]
fn runs_that_cannot_be_used_are_named() {
    let scratch = Scratch::with_run();
    let score = |run: &str| scratch.run(&["score", run, "--text", "Once"]);
    score("nowhere").fails(2, &["nowhere: there is no such run"]);
    score("tok").fails(2, &["tok: holds no model"]);
    score("train.txt").fails(2, &["train.txt: holds no model"]);
    scratch.run(&["show", "tok"]).fails(2, &["tok: holds neither a run nor a model"]);

    // Each of these spoils one file of the run and puts it back.
    let with = |file: &str, content: &[u8], code: i32, parts: &[&str]| {
        let before = scratch.bytes(file);
        scratch.write(file, content);
        score("run").fails(code, parts);
        scratch.write(file, before);
    };
    let run_toml = scratch.text("run/run.toml").replace("format = 1", "format = 7");
    let way_out = "use the version that made the run, or train anew";
    with("run/run.toml", run_toml.as_bytes(), 2, &["run.toml", "format 7", "reads format 1", way_out]);
    with("run/run.toml", b"format = ", 1, &["run.toml"]);
    let weights = scratch.bytes("run/model.safetensors");
    with("run/model.safetensors", &weights[..weights.len() / 2], 1, &["model.safetensors"]);
    with("run/model.safetensors", b"", 1, &["model.safetensors"]);
    with("run/model.safetensors", &[0xff; 64], 1, &["model.safetensors"]);
    let unknown = br#"{"model_type": "mamba", "vocab_size": 300}"#;
    with("run/config.json", unknown, 1, &["config.json", "`mamba` is not supported; llama, gpt2"]);
    with("run/config.json", b"{}", 1, &["config.json", "no `model_type`"]);
    with("run/config.json", b"not JSON", 1, &["config.json", "is not JSON"]);
    with("run/tokenizer.json", b"[]", 1, &["tokenizer.json"]);
    score("run").succeeds();
}

#[test]
fn wrong_arguments_are_named() {
    let scratch = Scratch::empty();
    for (args, part) in [
        (vec!["data", "generate", "--bytes", "lots"], "write 500, 20KB, 12MB or 1GB"),
        (vec!["device", "--threads", "0"], "write 1 to 1024"),
        (vec!["device", "--threads", "100000"], "write 1 to 1024"),
        (vec!["scoer"], "a similar subcommand exists: 'score'"),
        (vec!["pretrain"], "--config <FILE|NAME>"),
        (vec!["pretrain", "--resume"], "--out"),
        (vec!["prepare", "a", "--tokenizer", "t", "--out", "o", "--boundary", "lines"], "blank-line"),
    ] {
        scratch.run(&args).fails(2, &["error: ", part]);
    }
}

#[test]
fn a_precision_that_cannot_be_had_is_refused_with_the_way_out() {
    let scratch = Scratch::with_text();
    let pretrain = |device: &str, precision: &str| {
        let set = format!("training.precision={precision}");
        scratch.run(&["pretrain", "--config", "tiny.toml", "--out", "run", "--device", device, "--set", &set])
    };
    pretrain("ndarray", "bf16").fails(2, &["training.precision", "bf16", "--device cpu", "use `f32`"]);
    pretrain("cpu", "fp8").fails(2, &["fp8", "f32", "bf16"]);
    assert!(!scratch.path("run").exists());
}
