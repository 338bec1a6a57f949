//! Config files and `--set`.

use crate::support::Scratch;

#[test]
fn mistakes_in_a_file_have_a_line_and_the_nearest_key() {
    let scratch = Scratch::with_text();
    let good = scratch.text("tiny.toml");
    let pretrain = |text: String, set: &[&str]| {
        scratch.write("tiny.toml", text);
        scratch.pretrain("run", set)
    };
    let unknown = good.replace("batch_size", "batchsize");
    for set in [&[][..], &["optimizer.lr=1e-3"]] {
        pretrain(unknown.clone(), set)
            .fails(2, &["tiny.toml", "line 15", "`batchsize`", "did you mean `batch_size`?"]);
    }
    pretrain(good.replace("[training]", "[trainin]"), &[]).fails(2, &["did you mean `training`?"]);
    pretrain(good.replace("steps = 8", "steps = \"many\""), &[])
        .fails(2, &["line 14", "invalid type: string \"many\""]);
    pretrain(good.replace("steps = 8", "steps = "), &[]).fails(2, &["tiny.toml", "line 14"]);
    pretrain(good.replace("preset = \"llama\"\n", ""), &[]).fails(2, &["missing field `preset`"]);
}

#[test]
fn mistakes_in_set_name_the_key() {
    let scratch = Scratch::with_text();
    let check = |assignment: &str, parts: &[&str]| {
        scratch.pretrain("run", &[assignment]).fails(2, parts);
    };
    check("optimizer.lrr=1", &["unknown field `lrr`", "in `optimizer`", "did you mean `lr`?"]);
    check("training.steps=many", &["invalid type: string \"many\"", "in `training.steps`"]);
    check("training.steps=-1", &["invalid value: integer `-1`"]);
    check("training.steps", &["--set training.steps: write KEY=VALUE"]);
    check("=3", &["the key is empty"]);
    check("training.steps.x=3", &["`steps` is no section"]);
    check("model.preset=lama", &["did you mean `llama`?"]);
}

#[test]
fn impossible_numbers_name_the_key_and_the_value() {
    let scratch = Scratch::with_text();
    let check = |set: &[&str], part: &str| {
        scratch.pretrain("run", set).fails(2, &[part]);
    };
    check(&["model.d_model=100", "model.n_heads=6"], "d_model 100 is not divisible by n_heads 6");
    check(&["model.n_heads=4", "model.n_kv_heads=3"], "n_kv_heads 3");
    check(&["model.n_layers=0"], "n_layers must be at least 1");
    check(&["model.dropout=1.5"], "dropout 1.5");
    check(&["model.seq_len=8"], "training.seq_len 16 is longer than the model's context, model.seq_len 8");
    check(&["training.steps=0"], "training.steps must be at least 1");
    check(
        &["training.grad_accum_steps=3"],
        "training.batch_size 4 is not divisible by training.grad_accum_steps 3",
    );
    check(&["optimizer.lr=-1"], "optimizer.lr -1 is not above 0");
    check(&["optimizer.beta1=1"], "optimizer.beta1 1 is not in [0, 1)");
    check(&["training.batch_size=10000000000000"], "training.batch_size 10000000000000 is too large");
    check(&["model.d_model=100000000"], "model.d_model 100000000 is too large");
    check(&["schedule.min_lr_ratio=2"], "schedule.min_lr_ratio 2 is not in [0, 1]");
}

#[test]
fn a_config_that_is_not_there_names_those_that_are() {
    let scratch = Scratch::empty();
    let dry = |config: &str| scratch.run(&["pretrain", "--dry-run", "--config", config]);
    dry("shakespear-char").fails(2, &["did you mean `shakespeare-char`?"]);
    dry("zzz").fails(2, &["no config `zzz`", "causal-smoke", "quickstart"]);
    dry("missing.toml").fails(2, &["missing.toml", "No such file"]);
}

#[test]
fn a_dry_run_shows_the_whole_config_and_writes_nothing() {
    let scratch = Scratch::empty();
    let ran = scratch.run(&["pretrain", "--config", "causal-smoke", "--dry-run"]).succeeds();
    assert!(ran.stdout.contains("parameters at a vocabulary of 256"), "{}", ran.stdout);
    // What it prints is a config again.
    scratch.write("again.toml", &ran.stdout);
    let again = scratch.run(&["pretrain", "--config", "again.toml", "--dry-run"]).succeeds();
    assert_eq!(again.stdout, ran.stdout);
    let json = scratch.run(&["pretrain", "--config", "causal-smoke", "--dry-run", "--json"]).json();
    assert_eq!(json["model"]["d_model"], 32);
    assert!(!scratch.path("runs").exists());
}

#[test]
fn a_diverging_run_says_when_and_what_to_do() {
    let scratch = Scratch::with_text();
    scratch
        .pretrain("run", &["optimizer.lr=1e30", "training.grad_clip_norm=0"])
        .fails(1, &["at step", "diverged", "lower learning rate"]);
}
