//! `cargo xtask pipeline`: what it is asked for, and what it says; sweeps and their tables.
#![cfg(unix)]

mod support;

use std::fs;
use std::process::Command;

use support::{DIAMOND, Ended, RUN, Scratch, diamond, ran};

#[test]
fn a_dry_run_says_what_would_run_and_touches_nothing() {
    let scratch = diamond();
    let ended = scratch.run(&[&RUN[..], &["--dry-run"]].concat()).expect(0, "");
    for said in [
        "run   a: it has not run yet",
        "make --out o/a --read in.txt --threads 1\n",
        "score --threads 1 > o/c.json\n",
    ] {
        assert!(ended.stdout.contains(said), "{said} is not in:\n{}", ended.stdout);
    }
    assert!(scratch.log().is_empty() && !scratch.path("o").exists());
    // The commands can be pasted.
    let line = ended.stdout.lines().find(|line| line.contains("--out o/a")).expect("the command of a");
    fs::create_dir(scratch.path("o")).expect("created");
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(scratch.path("")).env("FAKE_LOG", scratch.path("log"));
    assert!(shell.status().expect("sh runs").success());
    assert_eq!(scratch.read("o/a"), "made of\ntext\n");
}

#[test]
fn a_setting_may_be_a_path_where_something_is_there() {
    let scratch = diamond();
    scratch.write("p.toml", &DIAMOND.replace("word = \"\"", "word = { if_exists = \"word.txt\" }"));
    let dry = || scratch.run(&[&RUN[..], &["--dry-run"]].concat()).expect(0, "").stdout;
    assert!(!dry().contains("--word"), "left out while the setting is empty");
    scratch.write("word.txt", "");
    assert!(dry().contains("--read in.txt --word word.txt --threads 1"), "{}", dry());
}

/// One text, a model for each size, scored.
const SWEEP: &str = r#"
description = "a sweep"
[settings]
size = 1
seed = 0
[sweep.grid]
size = [1, 2]
[stages.text]
run = ["make", "--out", "{out}/text"]
outputs = ["{out}/text"]
[stages.train]
run = ["pretrain", "--out", "{out}/run", "--read", "{out}/text", "--size", "{size}"]
inputs = ["{out}/text"]
trains = "{out}/run"
[stages.score]
run = ["score", "{out}/run", "--seed", "{seed}"]
inputs = ["{out}/run"]
stdout = "{out}/score.json"
[table]
columns = { loss = "{out}/score.json:loss" }
lowest = "loss"
"#;

#[test]
fn a_sweep_shares_what_it_can_and_ends_in_one_table() {
    let scratch = Scratch::new();
    scratch.write("p.toml", SWEEP);
    let ended = scratch.run(&RUN).expect(0, "5 of 5 stages ran");
    assert_eq!(ended.stdout, "size    loss\n   1  1.2500  ← best\n   2  1.2500\n");
    assert!(
        scratch.log().iter().any(|line| line.contains("--out o/size=2/run --read o/text ")),
        "{:?}",
        scratch.log()
    );
    assert!(scratch.read("o/results.md").contains("| **1** | **1.2500** |"));
    let json = "{\"size\":1,\"loss\":1.25,\"best\":true}\n{\"size\":2,\"loss\":1.25,\"best\":false}\n";
    assert_eq!(scratch.run(&[&RUN[..], &["--json"]].concat()).expect(0, "nothing to do").stdout, json);

    // Another size: only its stages run. Another seed in a grid: the models are shared by the scores.
    assert_eq!(ran(&scratch, &["--sweep", "size=1,2,3"]), "score train");
    assert_eq!(ran(&scratch, &["--sweep", "seed=0,1"]), "score score score score");
    assert!(
        scratch.path("o/size=2,seed=1/score.json").exists()
            || scratch.path("o/seed=1,size=2/score.json").exists()
    );
    assert_eq!(
        ran(&scratch, &["--sweep", "size=1", "--sweep", "train.optimizer.lr=0.1,0.2"]),
        "score score train train"
    );
    assert!(
        scratch.log().iter().any(|line| line.contains(" --set optimizer.lr=0.2 ")),
        "{:?}",
        scratch.log()
    );
}

#[test]
fn a_list_of_points_sets_several_keys_together() {
    let scratch = Scratch::new();
    let list = "[sweep]\nlist = [{ size = 1, seed = 5 }, { size = 2, seed = 6 }]\n";
    scratch.write("p.toml", &SWEEP.replace("[sweep.grid]\nsize = [1, 2]\n", list));
    let ended = scratch.run(&RUN).expect(0, "5 of 5 stages ran");
    assert!(ended.stdout.starts_with("seed  size    loss\n   5     1  1.2500"), "{}", ended.stdout);
    scratch.run(&[&RUN[..], &["--sweep", "seed=1"]].concat()).expect(2, "own list of points sets `seed`");
}

#[test]
fn a_point_that_fails_leaves_the_others_their_results() {
    let scratch = Scratch::new();
    scratch.write("p.toml", SWEEP);
    let mut command = scratch.xtask(&RUN);
    let ended = Ended::new(command.env("FAKE_FAIL", "o/size=2/run").output().expect("xtask starts"));
    let ended = ended.expect(1, "What is there so far:\nsize    loss\n   1  1.2500");
    assert!(ended.stderr.contains("   2       –"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[test]
fn mistakes_in_a_file_are_named_with_line_and_way_out_before_anything_runs() {
    let check = |from: &str, to: &str, expected: &str| {
        let scratch = diamond();
        assert!(DIAMOND.contains(from), "{from}");
        scratch.write("p.toml", &DIAMOND.replacen(from, to, 1));
        scratch.run(&RUN).expect(2, expected);
        assert!(scratch.log().is_empty() && !scratch.path("o").exists(), "{expected}");
    };
    check(
        "inputs = [\"in.txt\"]",
        "inputs = [\"in.txt\", \"{out}/b\"]",
        "p.toml:8: stage `a`: it waits for itself: a → b → a",
    );
    check("inputs = [\"in.txt\"]", "inputs = [\"in.txt\"]\nafter = [\"a\"]", "it waits for itself: a → a");
    check(
        "inputs = [\"in.txt\"]",
        "inputs = [\"on.txt\"]",
        "p.toml:8: stage `a`: its input on.txt does not exist",
    );
    check(
        "inputs = [\"{out}/b\", ",
        "inputs = [\"{out}/bb\", ",
        "p.toml:23: stage `d`: no stage makes its input {out}/bb; did you mean `{out}/b`?",
    );
    check(
        "outputs = [\"{out}/b\"]",
        "outputs = [\"{out}/a\"]",
        "p.toml:13: stage `b`: it writes {out}/a, which stage `a` (line 8) writes, too",
    );
    check("outputs = [\"{out}/b\"]", "outputs = [\"{out}/a/b\"]", "lie one in the other");
    check(
        "outputs = [\"{out}/b\"]",
        "outputs = [\"b\"]",
        "output `b` must be a plain path that begins with {out}/",
    );
    check("outputs = [\"{out}/b\"]", "outputs = [\"{out}/../b\"]", "must be a plain path");
    check("outputs = [\"{out}/b\"]", "after = [\"e\"]\noutputs = [\"{out}/b\"]", "no stage is called so");
    check(
        "\"{size}\"",
        "\"{sise}\"",
        "p.toml:13: stage `b`: `{sise}`: no setting is called `sise`; did you mean `size`?",
    );
    check(
        "inputs = [\"{out}/a\"]\noutputs",
        "outputs",
        "`{out}/a` names what stage `a` makes; add \"{out}/a\" to its inputs",
    );
    check("stdout = ", "stdot = ", "did you mean `stdout`?");
    check("run = [\"score\"]", "run = []", "`run` begins with a command of firebrand");
    check("run = [\"score\"]", "run = [\"score\"]\nthreads = \"many\"", "write a number or \"all\"");
    check(
        "run = [\"score\"]",
        "run = [\"score\"]\nset = { a = 1 }",
        "`set` is for a stage that `trains` a run",
    );
    check("size = 1", "size = [1]", "the default of setting `size` must be");
    check("size = 1", "out = 1", "a setting cannot be called `out`");
    check(
        "[settings]",
        "[sweep.grid]\nsise = [1]\n[settings]",
        "[sweep.grid] sise: pipeline p has no setting `sise`; did you mean `size`?",
    );
    check("[settings]", "[sweep.grid]\nsize = [1, 1]\n[settings]", "size=1 is there twice");
    check(
        "[settings]",
        "[table]\ncolumns = { x = \"{out}/c.json\" }\n[settings]",
        "names no value; write \"FILE.json:KEY\"",
    );
}

#[test]
fn wrong_usage_is_named_before_anything_runs() {
    let scratch = diamond();
    let check = |more: &[&str], expected: &str| {
        scratch.run(&[&RUN[..], more].concat()).expect(2, expected);
    };
    check(
        &["--set", "sise=2"],
        "--set sise=2: pipeline p has no setting `sise`; did you mean `size`? (its settings: size, word)",
    );
    check(&["--set", "size"], "--set size: write KEY=VALUE");
    check(&["--set", "size=large"], "`size` is a number, not `large`");
    check(&["--set", "e.lr=1"], "pipeline p has no stage `e`");
    check(&["--set", "b.lr=1"], "stage `b` trains nothing");
    check(&["--from", "dd"], "--from dd: no stage is called so");
    check(&["--sweep", "size=1,1"], "size=1 is there twice");
    check(&["--threads", "0"], "--threads");
    scratch
        .run(&["pipeline", "run", "quickstar"])
        .expect(2, "no pipeline is called `quickstar`; did you mean `quickstart`?");
    scratch
        .run(&["pipeline", "run", "own-text"])
        .expect(2, "YOUR-TEXT.txt does not exist, and no stage makes it; give one by --set text=PATH");
    scratch.run(&["pipeline", "run", "nowhere.toml"]).expect(2, "nowhere.toml: no such file");
    assert!(scratch.log().is_empty() && !scratch.path("o").exists());
}

#[test]
fn pipelines_can_be_listed() {
    let scratch = Scratch::new();
    let listed = scratch.run(&["pipeline", "list"]).expect(0, "").stdout;
    for said in
        ["quickstart", "shakespeare", "vocab-size", "lr", "own-text", "stages", "settings", "steps=1200"]
    {
        assert!(listed.contains(said), "{said} is missing:\n{listed}");
    }
    assert!(listed.lines().all(|line| line.chars().count() <= 80), "{listed}");
    let json = scratch.run(&["pipeline", "list", "--json"]).expect(0, "").stdout;
    for line in json.lines() {
        let pipeline: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        assert!(pipeline["stages"].as_array().is_some_and(|stages| !stages.is_empty()), "{line}");
    }
}
