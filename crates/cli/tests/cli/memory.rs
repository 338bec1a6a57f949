//! `--dry-run` says what memory a run will need. To measure anew after operations keep more or less than before:
//!   cargo test --release --workspace --all-targets the_estimate_of_memory -- --include-ignored --nocapture

use crate::support::Scratch;
use serde_json::Value;

/// A text of as many different characters as the vocabulary is to have, with line ends, some of them many times.
fn text(characters: u32) -> String {
    let character = |i: u32| char::from_u32(0x4e00 + i % (characters - 1)).expect("a CJK ideograph");
    (0..120_000.max(2 * characters))
        .flat_map(|i| [Some(character(i * i % 7919 + i)), (i % 60 == 59).then_some('\n')])
        .flatten()
        .collect()
}

/// The sets of one case, shared ones first.
fn sets<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let common =
        ["training.steps=3", "training.eval_tokens=4096", "training.eval_every=2", "data.boundary=file"];
    [&common[..], more].concat()
}

/// Asserts that the estimate is within 15 % of what a run held at most, and prints both.
#[track_caller]
fn check(vocabulary: u32, cases: &[(&str, &[&str])]) {
    let scratch = Scratch::empty();
    scratch.write("train.txt", text(vocabulary));
    let train = ["tokenizer", "train", "train.txt", "--out", "tok", "--algorithm", "characters"];
    scratch.run(&train).succeeds();
    scratch.write("model.toml", "[data]\ntexts = \"train.txt\"\ntokenizer = \"tok\"\n[model]\npreset = \"llama\"\nd_model = 128\nn_layers = 4\nn_heads = 4\n[training]\nseq_len = 64\n");
    if cases.iter().any(|(_, more)| more.contains(&TEACHER)) {
        let teacher = ["model.d_model=384", "model.n_layers=6", "training.steps=1"];
        let sets: Vec<&str> = teacher.iter().flat_map(|&set| ["--set", set]).collect();
        let train = ["pretrain", "--config", "model.toml", "--out", "teacher"];
        scratch.run(&[&train[..], &sets].concat()).succeeds();
    }
    let mut wrong = Vec::new();
    for (name, more) in cases {
        let run = |last: &[&str]| -> Value {
            let mut args = vec!["pretrain", "--config", "model.toml", "--json"];
            let sets = sets(more);
            args.extend(sets.iter().flat_map(|set| ["--set", set]));
            args.extend(last);
            scratch.run(&args).json()
        };
        let estimate = run(&["--dry-run"])["memory"].clone();
        let expected = estimate["peak"].as_f64().expect("a number");
        let Some(measured) = run(&["--out", name])["peak_bytes"].as_f64() else { return };
        let ratio = expected / measured;
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        eprintln!(
            "{name:<32} estimate {:7.1} MiB, measured {:7.1} MiB, ratio {ratio:.3}",
            mib(expected),
            mib(measured)
        );
        if !(0.85..=1.15).contains(&ratio) {
            wrong.push(format!("{name}: {ratio:.3}, {estimate}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const GPT2: &str = "model.preset=gpt2";
const BATCH_12: &str = "training.batch_size=12";
const CHECKPOINTING: &str = "training.activation_checkpointing=true";
const MUON: &str = "optimizer.kind=muon";
const TEACHER: &str = "distillation.teacher=teacher";
const BF16: &str = "training.precision=bf16";

/// Whether this processor can train in bf16; says so if not.
fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw") {
        return true;
    }
    eprintln!("skipped: this processor has no products of bf16");
    false
}

#[test]
fn the_estimate_of_memory_is_within_15_percent_of_small_runs() {
    check(
        256,
        &[
            ("llama", &[BATCH_12]),
            ("gpt2", &[BATCH_12, GPT2]),
            ("checkpointing", &["training.batch_size=48", CHECKPOINTING]),
            ("micro-batches", &["training.batch_size=48", "training.grad_accum_steps=4"]),
            ("muon", &[BATCH_12, MUON, "model.d_model=256"]),
            ("dropout-and-normalized-heads", &[BATCH_12, "model.dropout=0.1", "model.qk_norm=true"]),
        ],
    );
    check(
        4096,
        &[
            ("large-vocabulary", &[BATCH_12]),
            ("large-vocabulary-tied", &[BATCH_12, GPT2]),
            ("distilled", &["training.batch_size=24", TEACHER, "model.n_layers=1"]),
        ],
    );
}

#[test]
fn the_estimate_of_memory_is_within_15_percent_in_bf16() {
    if !has_bf16() {
        return;
    }
    let heads = ["model.dropout=0.1", "model.qk_norm=true"];
    check(
        256,
        &[
            ("llama", &[BATCH_12, BF16]),
            ("gpt2", &[BATCH_12, BF16, GPT2]),
            ("checkpointing", &["training.batch_size=48", BF16, CHECKPOINTING]),
            ("dropout-and-normalized-heads", &[BATCH_12, BF16, heads[0], heads[1]]),
        ],
    );
}

const BOTH_WAYS: &str = "objective=bidirectional";
const LSTM: &str = "model.layers=lstm";
const CHARACTERS: &str =
    "model.characters={filters=[[1,4],[2,4],[3,8],[4,16],[5,32],[6,64],[7,128]],max_bytes=50}";

#[test]
fn the_estimate_of_memory_is_within_15_percent_of_elmo() {
    let large = ["training.seq_len=128", "training.batch_size=16", "model.n_layers=2", "model.d_ff=384"];
    let elmo = |more: &[&'static str]| [&[BOTH_WAYS, LSTM], &large[..], more].concat();
    let cases = [
        ("bidirectional", vec![BOTH_WAYS, BATCH_12]),
        ("lstm", elmo(&[])),
        ("lstm-wide", elmo(&["model.d_ff=1024"])),
        ("lstm-dropout", elmo(&["model.dropout=0.1"])),
        ("lstm-checkpointing", elmo(&["model.n_layers=4", "training.batch_size=32", CHECKPOINTING])),
        ("lstm-micro-batches", elmo(&["training.batch_size=64", "training.grad_accum_steps=4"])),
    ];
    let cases: Vec<(&str, &[&str])> = cases.iter().map(|(name, sets)| (*name, sets.as_slice())).collect();
    check(256, &cases);
    let cases = [("lstm-large-vocabulary", elmo(&[])), ("elmo", elmo(&[CHARACTERS]))];
    let cases: Vec<(&str, &[&str])> = cases.iter().map(|(name, sets)| (*name, sets.as_slice())).collect();
    check(2048, &cases);
}

const OF_11M: &[&str] = &[
    "model.d_model=384",
    "model.n_layers=6",
    "model.n_heads=6",
    "training.seq_len=256",
    "training.batch_size=8",
];
const OF_50M: &[&str] = &[
    "model.d_model=640",
    "model.n_layers=8",
    "model.n_heads=10",
    "training.seq_len=512",
    "training.batch_size=4",
];

#[test]
#[ignore = "minutes: for whoever changes what is kept"]
fn the_estimate_of_memory_is_within_15_percent_of_large_runs() {
    let with = |base: &[&'static str], more: &[&'static str]| [base, more].concat();
    if has_bf16() {
        check(
            512,
            &[("11m-llama-bf16", &with(OF_11M, &[BF16])), ("11m-gpt2-bf16", &with(OF_11M, &[GPT2, BF16]))],
        );
        let checkpointing = with(OF_50M, &[BF16, CHECKPOINTING]);
        check(
            8192,
            &[
                ("50m-llama-bf16", &with(OF_50M, &[BF16])),
                ("50m-gpt2-tied-bf16", &with(OF_50M, &[GPT2, BF16])),
                ("50m-checkpointing-bf16", &checkpointing),
            ],
        );
    }
    let cases = [
        ("11m-llama", with(OF_11M, &[])),
        ("11m-gpt2", with(OF_11M, &[GPT2])),
        ("11m-checkpointing", with(OF_11M, &[CHECKPOINTING])),
        ("11m-micro-batches", with(OF_11M, &["training.grad_accum_steps=4"])),
        ("11m-both", with(OF_11M, &["training.grad_accum_steps=4", CHECKPOINTING])),
        ("11m-muon", with(OF_11M, &[MUON])),
    ];
    let cases: Vec<(&str, &[&str])> = cases.iter().map(|(name, sets)| (*name, sets.as_slice())).collect();
    check(512, &cases);
    let cases = [
        ("50m-llama", with(OF_50M, &[])),
        ("50m-gpt2-tied", with(OF_50M, &[GPT2])),
        ("50m-checkpointing", with(OF_50M, &[CHECKPOINTING])),
        ("50m-micro-batches", with(OF_50M, &["training.grad_accum_steps=4"])),
        ("50m-muon", with(OF_50M, &[MUON])),
    ];
    let cases: Vec<(&str, &[&str])> = cases.iter().map(|(name, sets)| (*name, sets.as_slice())).collect();
    check(8192, &cases);
}

#[test]
fn activation_checkpointing_changes_no_byte_of_a_run() {
    let scratch = Scratch::with_text();
    let sets = ["model.dropout=0.1", "training.grad_accum_steps=2"];
    scratch.pretrain("plain", &sets).succeeds();
    scratch.pretrain("again", &[&sets[..], &[CHECKPOINTING]].concat()).succeeds();
    assert!(scratch.bytes("plain/model.safetensors") == scratch.bytes("again/model.safetensors"));
}

#[test]
fn activation_checkpointing_is_refused_where_there_is_none() {
    let scratch = Scratch::with_text();
    let args =
        ["pretrain", "--config", "tiny.toml", "--out", "run", "--device", "ndarray", "--set", CHECKPOINTING];
    scratch.run(&args).fails(2, &["training.activation_checkpointing", "--device cpu", "ndarray"]);
    assert!(!scratch.path("run").exists());
}

#[test]
fn a_run_that_needs_more_memory_than_there_is_gets_a_warning() {
    let scratch = Scratch::with_text();
    let args = ["pretrain", "--config", "tiny.toml", "--dry-run"];
    let small = scratch.run(&args).succeeds();
    assert!(small.stdout.contains("of memory at most: weights 1 MiB"), "{}", small.stdout);
    assert_eq!(small.stderr, "");
    let large = ["--set", "model.d_model=65536", "--set", "model.n_layers=1000"];
    let large = scratch.run(&[&args[..], &large].concat()).succeeds();
    assert!(large.stderr.contains("warning: this will need about"), "{}", large.stderr);
}
