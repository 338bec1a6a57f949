//! `cargo xtask pipeline` on a `firebrand` that only notes what it is asked for.
#![cfg(unix)]

mod support;

use std::fs;

use support::{DIAMOND, Ended, RUN, Scratch, diamond, ran, signal};

/// Everything that the diamond makes, in one text.
fn made(scratch: &Scratch) -> String {
    ["o/a", "o/b", "o/c.json", "o/run/model.safetensors"].map(|file| scratch.read(file)).concat()
}

#[test]
fn a_second_run_does_nothing() {
    let scratch = diamond();
    assert_eq!(ran(&scratch, &[]), "a b c d");
    scratch.clear_log();
    let ended = scratch.run(&RUN).expect(0, "nothing to do; all 4 stages are as they were made");
    assert_eq!(ended.stderr.matches("unchanged").count(), 4);
    assert!(scratch.log().is_empty(), "{:?}", scratch.log());
}

#[test]
fn contents_decide_and_not_clocks() {
    let scratch = diamond();
    ran(&scratch, &[]);
    scratch.write("in.txt", "text\n");
    assert_eq!(ran(&scratch, &[]), "", "the same text, written again");
    scratch.write("in.txt", "texd\n");
    assert_eq!(ran(&scratch, &[]), "a b c d", "another text of the same length");
    assert_eq!(
        ran(&scratch, &["--set", "word=x"]),
        "a",
        "what it makes is the same, and so what others make of it"
    );
}

#[test]
fn each_kind_of_change_is_noticed_and_named() {
    let scratch = diamond();
    ran(&scratch, &[]);
    let check = |more: &[&str], expected: &str, why: &str| {
        let stderr = scratch.run(&[&RUN[..], more, &["--dry-run"]].concat()).expect(0, "").stdout;
        assert!(stderr.contains(why), "{why} is not in:\n{stderr}");
        assert_eq!(ran(&scratch, more), expected, "{why}");
    };
    check(&["--set", "size=2"], "b", "b: its command has changed: 1 is now 2");
    check(&["--set", "size=2", "--set", "word=x"], "a", "a: its command has changed");
    check(&[], "a b", "b: after a");
    scratch.write("o/b", "tampered\n");
    check(&[], "b", "b: its output o/b has been changed");
    fs::remove_dir_all(scratch.path("o/run")).expect("removed");
    check(&[], "d", "d: its output o/run is missing");
    fs::remove_file(scratch.path("o/c.json")).expect("removed");
    check(&[], "c", "c: its output o/c.json is missing");
    check(&["--from", "b"], "b d", "b: you asked for it");
    scratch.write("o/run/metrics.jsonl", "clock times");
    assert_eq!(ran(&scratch, &[]), "", "they are no part of the model");
}

#[test]
fn another_binary_runs_everything_again() {
    let scratch = diamond();
    let binary = scratch.path("firebrand");
    let original = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake_firebrand.sh");
    fs::copy(original, &binary).expect("copied");
    let run = || {
        let mut command = scratch.xtask(&RUN);
        Ended::new(command.env("FIREBRAND_BIN", &binary).output().expect("xtask starts"))
    };
    run().expect(0, "4 of 4 stages ran");
    run().expect(0, "nothing to do");
    let script = fs::read_to_string(&binary).expect("readable") + "# another version\n";
    fs::write(&binary, script).expect("written");
    let ended = run().expect(0, "4 of 4 stages ran");
    assert_eq!(ended.stderr.matches("starts: the firebrand binary has changed").count(), 4);
}

#[test]
fn a_pipeline_that_has_moved_is_still_done() {
    let scratch = diamond();
    ran(&scratch, &[]);
    fs::rename(scratch.path("o"), scratch.path("elsewhere")).expect("moved");
    scratch.run(&["pipeline", "run", "p.toml", "--out", "elsewhere"]).expect(0, "nothing to do");
}

#[test]
fn killed_in_any_stage_and_run_again_it_ends_the_same() {
    let calm = diamond();
    ran(&calm, &[]);
    // Words by which the command lines of the four stages are told apart.
    for (stage, word, begun) in [
        ("a", "in.txt", "o/a "),
        ("b", "--size", "o/b "),
        ("c", "score", "score"),
        ("d", "pretrain", "o/run "),
    ] {
        let scratch = diamond();
        let child = scratch.start(&RUN, &[("FAKE_SLOW", word), ("FAKE_SAVE", "0.5")], begun);
        signal(&child, "KILL");
        Ended::of(child);
        // At once: what was started still saves, and is waited for.
        let ended = scratch.run(&RUN).expect(0, "waits for its process of an earlier pipeline");
        assert!(
            ended.stderr.contains(&format!("{stage}  starts: it was stopped on its way")),
            "{}",
            ended.stderr
        );
        assert_eq!(made(&scratch), made(&calm), "killed in {stage}");
        let log = scratch.log();
        let (saved, again) =
            (log.iter().position(|line| line == "saved"), log.iter().rposition(|line| line.contains(begun)));
        assert!(saved.is_some() && saved < again, "{log:?}");
        scratch.run(&RUN).expect(0, "nothing to do");
    }
}

#[test]
fn ctrl_c_lets_a_stage_save_and_the_same_command_goes_on() {
    let scratch = diamond();
    let child = scratch.start(&RUN, &[("FAKE_SLOW", "pretrain")], "pretrain");
    signal(&child, "INT");
    let ended = Ended::of(child).expect(130, "stopped by Ctrl-C (stage d)");
    assert!(ended.stderr.contains("d  stopped"), "{}", ended.stderr);
    assert_eq!(scratch.log().last().map(String::as_str), Some("saved"));
    scratch.clear_log();
    assert_eq!(ran(&scratch, &[]), "d");
    assert!(scratch.log()[0].ends_with(" --resume"), "{:?}", scratch.log());
}

#[test]
fn a_stopped_stage_whose_settings_change_starts_anew() {
    let scratch = diamond();
    let child = scratch.start(&RUN, &[("FAKE_SLOW", "pretrain")], "pretrain");
    signal(&child, "INT");
    Ended::of(child).expect(130, "");
    fs::create_dir_all(scratch.path("o/run/checkpoints/step-1")).expect("created");
    scratch
        .run(&[&RUN[..], &["--set", "d.optimizer.lr=0.1"]].concat())
        .expect(0, "d  starts: its command has changed");
    assert!(!scratch.path("o/run/checkpoints").exists(), "what was trained with other settings is gone");
    assert!(
        scratch.log().last().is_some_and(|line| line.contains("--set optimizer.lr=0.1 ")),
        "{:?}",
        scratch.log()
    );
}

#[test]
fn a_key_that_does_not_exist_costs_no_run() {
    let scratch = diamond();
    ran(&scratch, &[]);
    let wrong = ["--set", "d.optimizer.lrr=0.1"];
    scratch
        .run(&[&RUN[..], &wrong].concat())
        .expect(2, "stage d (its run is as it was):\n  error: unknown field lrr");
    assert!(scratch.path("o/run/model.safetensors").exists());
    assert_eq!(ran(&scratch, &[]), "");
}

#[test]
fn two_pipelines_do_not_share_a_folder() {
    let scratch = diamond();
    let child = scratch.start(&RUN, &[("FAKE_SLOW", "pretrain")], "pretrain");
    let who = format!("process {} runs a pipeline in o", child.id());
    scratch.run(&RUN).expect(1, &who);
    signal(&child, "INT");
    Ended::of(child).expect(130, "");
    scratch.write("q.toml", DIAMOND);
    scratch.run(&["pipeline", "run", "q.toml", "--out", "o"]).expect(2, "o belongs to the pipeline `p`");
}

#[test]
fn what_the_pipeline_has_not_made_is_left_alone() {
    let scratch = diamond();
    fs::create_dir_all(scratch.path("o/run")).expect("created");
    scratch.write("o/b", "precious");
    scratch.run(&RUN).expect(2, "o/b exists and was not made by this pipeline (stage b would write it)");
    assert!(scratch.log().is_empty());
    fs::remove_file(scratch.path("o/b")).expect("removed");
    scratch.write("o/run/run.toml", "precious");
    scratch.run(&RUN).expect(2, "o/run/run.toml exists");
    fs::rename(scratch.path("o/run/run.toml"), scratch.path("o/run/notes.toml")).expect("renamed");
    ran(&scratch, &[]);
    ran(&scratch, &["--from", "a"]);
    assert_eq!(scratch.read("o/run/notes.toml"), "precious");
}

#[test]
fn outputs_may_change_their_owners() {
    let scratch = diamond();
    ran(&scratch, &[]);
    // What was b's name is a's now, and the other way round.
    let swapped =
        DIAMOND.replace("{out}/b", "{out}/x").replace("{out}/a", "{out}/b").replace("{out}/x", "{out}/a");
    scratch.write("p.toml", &swapped);
    ran(&scratch, &[]);
    assert_eq!(
        (scratch.read("o/b"), scratch.read("o/a")),
        ("made of\ntext\n".into(), "made of\nmade of\ntext\n".into())
    );
    assert_eq!(ran(&scratch, &[]), "");
}

#[test]
fn a_run_that_was_stopped_is_not_thrown_away_because_its_paths_have_changed() {
    let scratch = diamond();
    let child = scratch.start(&RUN, &[("FAKE_SLOW", "pretrain")], "pretrain");
    signal(&child, "INT");
    Ended::of(child).expect(130, "");
    fs::rename(scratch.path("o"), scratch.path("moved")).expect("renamed");
    let moved = ["pipeline", "run", "p.toml", "--out", "moved"];
    scratch.run(&moved).expect(2, "stage d was stopped on its way, under other paths");
    scratch.run(&[&moved[..], &["--from", "d"]].concat()).expect(0, "1 of 4 stages ran");
}

/// The most stages that were at work at once.
fn most_at_once(log: &[String]) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in log {
        now =
            if line.starts_with("begins ") { now + 1 } else { now - usize::from(line.starts_with("ends ")) };
        most = most.max(now);
    }
    most
}

#[test]
fn independent_stages_run_side_by_side_within_the_budget() {
    let scratch = Scratch::new();
    let stage = |name: &str, threads: &str| {
        format!(
            "[stages.{name}]\nrun = [\"make\", \"--out\", \"{{out}}/{name}\", \"--pause\", \"0.3\"]\n\
             outputs = [\"{{out}}/{name}\"]\nthreads = {threads}\n"
        )
    };
    let many: String = ["a", "b", "c", "d", "e"].map(|name| stage(name, "1")).concat();
    scratch.write("p.toml", &format!("description = \"d\"\n{many}"));
    for (threads, expected) in [("1", 1), ("2", 2), ("3", 3)] {
        fs::remove_dir_all(scratch.path("o")).ok();
        scratch.clear_log();
        ran(&scratch, &["--threads", threads]);
        assert_eq!(most_at_once(&scratch.log()), expected, "{:?}", scratch.log());
    }
    // What takes all threads, or more than there are, runs alone.
    scratch.write("p.toml", &format!("description = \"d\"\n{}{}", stage("f", "\"all\""), stage("g", "9")));
    scratch.clear_log();
    ran(&scratch, &["--threads", "2"]);
    assert_eq!(most_at_once(&scratch.log()), 1);
    for told in ["--out o/f --pause 0.3 --threads 2", "--out o/g --pause 0.3 --threads 9"] {
        assert!(scratch.log().iter().any(|line| line.ends_with(told)), "{:?}", scratch.log());
    }
}

#[test]
fn a_stage_waits_for_those_it_is_to_come_after() {
    let scratch = Scratch::new();
    let stage = |name: &str| {
        format!(
            "[stages.{name}]\nrun = [\"make\", \"--out\", \"{{out}}/{name}\"]\noutputs = [\"{{out}}/{name}\"]\n"
        )
    };
    scratch.write("p.toml", &format!("description = \"d\"\n{}after = [\"b\"]\n{}", stage("a"), stage("b")));
    ran(&scratch, &["--threads", "2"]);
    let order: Vec<String> = scratch.log().into_iter().filter(|line| !line.starts_with("make")).collect();
    assert_eq!(order, ["begins o/b", "ends o/b", "begins o/a", "ends o/a"]);
}

#[test]
fn after_a_failure_what_does_not_depend_on_it_still_runs() {
    let scratch = diamond();
    let mut command = scratch.xtask(&RUN);
    let ended = Ended::new(command.env("FAKE_FAIL", "--size").output().expect("xtask starts"));
    let ended =
        ended.expect(1, "failed (exit status: 1): stage b:\n  about to fail\n  error: told to fail\n");
    for said in [
        "c  done",
        "d  not run: something it needs failed",
        "all it said is in o/.pipeline/b.log",
        "make --out o/b",
    ] {
        assert!(ended.stderr.contains(said), "{said} is not in:\n{}", ended.stderr);
    }
    assert!(scratch.read("o/.pipeline/b.log").contains("told to fail"));
    assert_eq!(ran(&scratch, &[]), "b d", "what was done is not done again");
}

#[test]
fn a_stage_that_makes_nothing_has_failed() {
    let scratch = Scratch::new();
    scratch.write("p.toml", "description = \"d\"\n[stages.a]\nrun = [\"idle\"]\noutputs = [\"{out}/a\"]\n");
    scratch.run(&RUN).expect(1, "stage a ended well, but did not make o/a");
}
