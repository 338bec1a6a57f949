//! Datasets by name: what is known of them, copies from a folder, what is in them, what of it trains.

use crate::support::{Ran, Scratch};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What Python counts in the same files (`tests/golden/make.py`).
const GOLDEN: &str = include_str!("../golden/datasets.json");

/// The folder of real data, if it is here.
fn shared(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !folder.is_dir() {
        eprintln!("SKIPPED: {} is not here", folder.display());
        return None;
    }
    Some(folder)
}

fn data(scratch: &Scratch, args: &[&str]) -> Ran {
    scratch.run(&[&["data"], args, &["--dir", "store"]].concat())
}

/// Fetches from the folder of real data.
fn fetch_shared(scratch: &Scratch, name: &str) -> Option<Value> {
    let folder = shared(name)?;
    let from = folder.to_str().expect("a path of text");
    Some(data(scratch, &["fetch", name, "--from", from, "--json"]).json())
}

#[test]
fn every_dataset_is_listed_with_its_licence_and_whether_it_is_here() {
    let scratch = Scratch::empty();
    let plain = data(&scratch, &["list"]).succeeds().stdout;
    let lines = data(&scratch, &["list", "--json"]).json_lines();
    for name in [
        "firebrand-stories",
        "tinyshakespeare",
        "tinystories",
        "wikitext2",
        "sst2",
        "agnews",
        "trec",
        "cola",
        "blimp",
    ] {
        assert!(plain.lines().any(|line| line.starts_with(name) && line.ends_with('-')), "{name}: {plain}");
        let json = lines.iter().find(|json| json["name"] == name).expect("a line for each");
        assert!(
            json["licence"].is_string() && json["citation"].is_string() && json["fetched"] == false,
            "{json}"
        );
    }
    let card = data(&scratch, &["list", "trec"]).succeeds().stdout;
    for part in
        ["ISO-8859-1", "coarse: ABBR, DESC", "fine: 50 labels", "Li and Dan Roth", "published", "--variant"]
    {
        assert!(card.contains(part), "{part:?} is not in {card}");
    }
}

#[test]
fn an_unknown_name_names_the_nearest_before_anything_is_fetched() {
    let scratch = Scratch::empty();
    for args in [&["fetch", "firebrand-pairs", "sst-2"][..], &["inspect", "sst-2"], &["list", "sst-2"]] {
        data(&scratch, args).fails(2, &["no dataset `sst-2`; did you mean `sst2`?", "firebrand data list"]);
    }
    assert!(!scratch.path("store").exists());
    data(&scratch, &["inspect", "sst2"])
        .fails(2, &["dataset sst2 is not here", "store/sst2/data", "firebrand data fetch sst2"]);
    data(&scratch, &["inspect", "no.jsonl"]).fails(2, &["no.jsonl: there is no such file"]);
}

#[test]
fn the_built_in_corpus_is_made_to_the_published_checksums() {
    let scratch = Scratch::empty();
    let json = data(&scratch, &["fetch", "firebrand-pairs", "--json"]).json();
    assert!(
        json["sources"].as_array().expect("a list").iter().all(|source| source["published"] == true),
        "{json}"
    );
    let parts = data(&scratch, &["inspect", "firebrand-pairs", "--json"]).json_lines();
    let counts: Vec<(&str, Option<u64>)> = parts
        .iter()
        .map(|part| (part["part"].as_str().expect("a name"), part["examples"].as_u64()))
        .collect();
    assert_eq!(counts, [("train", Some(10_000)), ("validation", Some(1000)), ("test", Some(1000))]);
    assert!(parts.iter().all(|part| part["overlaps"] == serde_json::json!({})), "no text is in two splits");
    data(&scratch, &["fetch", "firebrand-pairs", "--from", "."])
        .fails(2, &["the built-in corpus is generated"]);
}

#[test]
fn copies_of_real_data_are_what_python_counts_in_them() {
    let golden: Value = serde_json::from_str(GOLDEN).expect("JSON");
    let scratch = Scratch::empty();
    for (name, form, parts) in [
        ("sst2", "unpacked", &[("train", "", "sst2 train"), ("validation", "", "sst2 validation")][..]),
        ("agnews", "label-text", &[("train", "", "agnews train")]),
        ("trec", "jsonl", &[("train", "coarse", "trec coarse"), ("train", "fine", "trec fine")]),
        ("tinystories", "excerpt", &[("train", "", "tinystories train")]),
        ("blimp", "some", &[("test", "", "blimp test")]),
    ] {
        let Some(fetched) = fetch_shared(&scratch, name) else { continue };
        assert_eq!(fetched["variant"], form, "{name}");
        for (split, label, key) in parts {
            let mut args = vec!["inspect", name, "--split", split, "--json"];
            if !label.is_empty() {
                args.extend(["--label", label]);
            }
            let found = &data(&scratch, &args).json_lines()[0];
            for (what, expected) in golden[key].as_object().expect("an object") {
                if what != "labels" {
                    assert_eq!(&found[what], expected, "{key}: {what}");
                    continue;
                }
                // A label that never comes has a count of its own here.
                let mut counted = found[what].as_object().expect("an object").clone();
                counted.retain(|_, count| *count != 0);
                counted.sort_keys();
                assert_eq!(&Value::Object(counted), expected, "{key}");
            }
        }
    }
}

#[test]
fn a_copy_of_the_original_is_held_to_its_checksum() {
    let scratch = Scratch::empty();
    if let Some(fetched) = fetch_shared(&scratch, "tinyshakespeare") {
        assert_eq!(
            (&fetched["variant"], &fetched["sources"][0]["published"]),
            (&Value::Null, &Value::Bool(true))
        );
        let found = &data(&scratch, &["inspect", "tinyshakespeare", "--json"]).json_lines()[0];
        assert_eq!((found["examples"].as_u64(), found["characters"].as_u64()), (Some(1), Some(1_115_394)));
    }
    if let Some(fetched) = fetch_shared(&scratch, "wikitext2") {
        assert_eq!(fetched["splits"], serde_json::json!({"validation": ["wiki.valid.tokens"]}));
        data(&scratch, &["inspect", "wikitext2", "--split", "train"])
            .fails(2, &["wikitext2 has no train split here; there is validation"]);
    }
    std::fs::create_dir(scratch.path("from")).expect("made");
    scratch.write("from/input.txt", "To be, or not");
    data(&scratch, &["fetch", "tinyshakespeare", "--from", "from", "--force"])
        .fails(1, &["from/input.txt is not the file it should be", "86c4e6aa", "sha256 found"]);
    assert!(scratch.path("from/input.txt").exists(), "what is not ours stays");
    // The files of AG News are called alike in both forms.
    scratch.write("from/train.csv", "label,text\nSports,A goal\n");
    scratch.write("from/test.csv", "label,text\nWorld,A treaty\n");
    data(&scratch, &["fetch", "agnews", "--from", "from"]).fails(1, &["say --variant label-text"]);
    data(&scratch, &["fetch", "agnews", "--from", "from", "--variant", "label-text"]).succeeds();
    data(&scratch, &["fetch", "agnews", "--from", "from", "--force", "--variant", "labeltext"])
        .fails(2, &["agnews has no variant `labeltext`; there is original, label-text"]);
    data(&scratch, &["fetch", "cola", "--from", "from"]).fails(
        2,
        &[
            "--from from: holds no known form of cola",
            "original: there is no CoLA.zip",
            "cola_public: there is no",
        ],
    );
    data(&scratch, &["fetch", "cola", "--from", "nowhere"]).fails(2, &["cannot read nowhere"]);
}

#[test]
fn columns_without_names_and_numbers_for_labels_are_read_as_the_manifest_says() {
    let scratch = Scratch::empty();
    std::fs::create_dir(scratch.path("from")).expect("made");
    scratch.write(
        "from/train.tsv",
        "gj04\t1\t\tOur \"friends won't buy this.\ngj04\t0\t*\tThey drank the pub.\n",
    );
    scratch.write("from/dev.tsv", "gj04\t1\t\tThe cat sat.\n");
    data(&scratch, &["fetch", "cola", "--from", "from"]).succeeds();
    let parts = data(&scratch, &["inspect", "cola", "--json"]).json_lines();
    assert_eq!(parts[0]["labels"], serde_json::json!({"unacceptable": 1, "acceptable": 1}));
    assert_eq!(parts[0]["samples"][0]["text"], "Our \"friends won't buy this.");
    assert_eq!(parts[1]["samples"][0]["label"], "acceptable");

    scratch.write("from/dev.tsv", "gj04\t1\t\tThe cat sat.\ngj04\t2\t\tThe cat sat.\n");
    data(&scratch, &["fetch", "cola", "--from", "from", "--force"]).succeeds();
    data(&scratch, &["inspect", "cola"])
        .fails(2, &["dev.tsv", "line 2", "`2` is no label of `acceptability`: unacceptable, acceptable"]);
    data(&scratch, &["inspect", "cola", "--label", "sentiment"])
        .fails(2, &["has no labels `sentiment`; there is acceptability"]);
}

#[test]
fn what_is_wrong_with_a_manifest_is_said_with_its_line() {
    let scratch = Scratch::empty();
    let good = "name = 'mine'\ntitle = 'Mine'\nlicence = 'MIT'\nkind = 'text'\n\n[[files]]\nname = 'a.txt'\n\
                urls = ['http://127.0.0.1:9/a.txt']\n\n[splits.train]\nfiles = ['a.txt']\nformat = 'text'\nboundary = 'line'\n";
    for (from, to, parts) in [
        ("kind = 'text'", "kind = ", &["mine.toml, line 4"][..]),
        (
            "licence =",
            "license =",
            &["mine.toml, line 3: unknown field `license`", "did you mean `licence`?"],
        ),
        ("kind = 'text'", "kind = 'txt'", &["line 4: unknown variant `txt`", "did you mean `text`?"]),
        ("title = 'Mine'\n", "", &["mine.toml", "missing field `title`"]),
        ("name = 'a.txt'", "name = '../a.txt'", &["line 7", "`../a.txt`", "a plain file name"]),
        ("name = 'mine'", "name = '../mine'", &["line 1", "name `../mine` cannot be the name of a folder"]),
        ("http://", "ftp://", &["line 8", "`ftp://127.0.0.1:9/a.txt` is not an http or https address"]),
        ("urls =", "sha256 = 'abc'\nurls =", &["file `a.txt`: sha256 `abc` is not 64 digits"]),
        ("urls =", "unpack = 'zip'\nurls =", &["members says which files of an archive are wanted"]),
        ("urls =", "unpack = 'zip'\nmembers = ['../a.txt']\nurls =", &["member `../a.txt` would lead out"]),
        ("files = ['a.txt']", "files = ['b.txt']", &["line 11", "`b.txt` is none of the files"]),
        ("boundary = 'line'", "", &["splits.train: text needs a boundary"]),
        ("kind = 'text'", "kind = 'labelled'", &["plain text has no labels"]),
    ] {
        assert!(good.contains(from), "{from}");
        scratch.write("mine.toml", good.replacen(from, to, 1));
        data(&scratch, &["fetch", "--manifest", "mine.toml"]).fails(2, parts);
    }
    data(&scratch, &["fetch", "--manifest", "none.toml"]).fails(2, &["none.toml", "No such file"]);
    assert!(!scratch.path("store").exists());
}

#[test]
fn files_of_every_format_are_inspected_alike() {
    let scratch = Scratch::empty();
    scratch.write("a.jsonl", "{\"text\": \"one two\", \"y\": 1}\n{\"text\": \"one  two\", \"y\": 2}\n{\"text\": \"three\", \"y\": 1}\n");
    scratch.write("b.csv", "y,text\n1,\"one two\"\n3,\n");
    scratch.write("c.tsv", "1\tthree\n1\tfour\n");
    scratch.write("d.txt", "one two\n\nfive\n");
    let inspect = |args: &[&str]| scratch.run(&[&["data", "inspect"], args, &["--json"]].concat());
    let parts = inspect(&["a.jsonl", "b.csv", "--label", "y"]).json_lines();
    assert_eq!(parts[0]["labels"], serde_json::json!({"1": 2, "2": 1}));
    assert_eq!((&parts[0]["duplicates"], &parts[0]["contradictions"]), (&1.into(), &1.into()));
    assert_eq!((&parts[1]["empty"], &parts[1]["overlaps"]), (&1.into(), &serde_json::json!({"a.jsonl": 1})));
    let parts = inspect(&["c.tsv", "--no-header", "--field", "1", "--label", "0"]).json_lines();
    assert_eq!((&parts[0]["examples"], &parts[0]["labels"]), (&2.into(), &serde_json::json!({"1": 2})));
    let parts = inspect(&["d.txt", "a.jsonl"]).json_lines();
    assert_eq!((&parts[0]["examples"], &parts[1]["overlaps"]), (&2.into(), &serde_json::json!({"d.txt": 1})));
    let whole = inspect(&["d.txt", "--boundary", "file"]).json_lines();
    assert_eq!((&whole[0]["examples"], &whole[0]["words"]), (&1.into(), &3.into()));
    let one = |seed: &str| {
        inspect(&["a.jsonl", "--examples", "1", "--seed", seed]).json_lines()[0]["samples"].clone()
    };
    assert_eq!(one("7"), one("7"));

    inspect(&["a.jsonl", "--label", "z"]).fails(2, &["a.jsonl, line 1", "the field `z` is missing"]);
    inspect(&["b.csv", "--field", "txt"]).fails(2, &["b.csv", "no field `txt`", "did you mean `text`?"]);
    inspect(&["d.txt", "--label", "y"]).fails(2, &["plain text has no fields"]);
    inspect(&["a.jsonl", "--split", "train"]).fails(2, &["a file has no splits"]);
}

/// A store with `mine`: a text for each split, documents separated by blank lines.
fn with_mine() -> Scratch {
    let scratch = Scratch::with_text();
    std::fs::create_dir(scratch.path("from")).expect("made");
    let text = scratch.text("train.txt");
    let half = text.len() / 2 + text[text.len() / 2..].find("\n\n").expect("it has paragraphs");
    scratch.write("from/a.txt", &text[..half]);
    scratch.write("from/b.txt", &text[half..]);
    let split = |name: &str, file: &str| {
        format!("[splits.{name}]\nfiles = ['{file}']\nformat = 'text'\nboundary = 'blank-line'\n")
    };
    let head = "name = 'mine'\ntitle = 'Mine'\nlicence = 'MIT'\nkind = 'text'\nbase_urls = ['http://127.0.0.1:9']\n\
                files = [{ name = 'a.txt' }, { name = 'b.txt' }]\n";
    scratch.write("mine.toml", [head, &split("train", "a.txt"), &split("validation", "b.txt")].concat());
    scratch.run(&["data", "fetch", "--manifest", "mine.toml", "--from", "from"]).succeeds();
    scratch
}

#[test]
fn a_dataset_stands_where_a_text_can() {
    let scratch = with_mine();
    let tokens = |text: &str, out: &str| {
        let args =
            ["prepare", text, "--tokenizer", "tok", "--out", out, "--boundary", "blank-line", "--json"];
        scratch.run(&args).json_lines()
    };
    // The validation split is held out, not the last tenth of train.
    let named = tokens("dataset:mine", "shards");
    scratch.run(&["prepare", "dataset:mine", "--tokenizer", "tok", "--out", "other", "--json"]).succeeds();
    let [train, held_out] = ["a.txt", "b.txt"].map(|file| {
        let args =
            ["prepare", &format!("from/{file}"), "--tokenizer", "tok", "--out", file, "--held-out", "0"];
        scratch.run(&[&args[..], &["--boundary", "blank-line", "--json"]].concat()).json_lines()[0]["tokens"]
            .clone()
    });
    assert_eq!((&named[0]["tokens"], &named[1]["tokens"]), (&train, &held_out));
    let validation = tokens("dataset:mine/validation", "validation");
    assert_eq!(validation.len(), 2, "of a split other than train a part is held out");
    scratch.run(&["tokenizer", "train", "dataset:mine", "--out", "t", "--vocab-size", "300"]).succeeds();
    scratch.pretrain("run", &["data.texts=dataset:mine", "data.boundary=file"]).succeeds();
    assert!(scratch.text("run/run.toml").contains("\"dataset:mine\""), "the run says what it was told");

    let prepare = |text: &str| scratch.run(&["prepare", text, "--tokenizer", "tok", "--out", "no"]);
    prepare("dataset:mine/test").fails(2, &["mine has no test split here; there is train, validation"]);
    prepare("dataset:mine/dev").fails(2, &["no split `dev`", "train, validation or test"]);
    prepare("dataset:tinystories").fails(2, &["tinystories is not here", "firebrand data fetch tinystories"]);
    prepare("dataset:tiny-stories").fails(2, &["did you mean `tinystories`?"]);
    scratch
        .run(&["prepare", "dataset:mine", "train.txt", "--tokenizer", "tok", "--out", "no"])
        .fails(2, &["dataset:mine: is not read like the other texts (it is text, boundary blank-line)"]);
    scratch
        .run(&[
            "prepare",
            "dataset:mine",
            "train.txt",
            "--tokenizer",
            "tok",
            "--out",
            "both",
            "--boundary",
            "line",
        ])
        .succeeds();
}

#[test]
fn records_of_a_dataset_are_text_too() {
    let scratch = Scratch::with_text();
    std::fs::create_dir(scratch.path("from")).expect("made");
    let line = |i: usize| format!("Once there was a fox with {i} friends.\t{}\n", i % 2);
    let rows = |n: usize| {
        std::iter::once("sentence\tlabel\n".to_string()).chain((0..n).map(line)).collect::<String>()
    };
    scratch.write("from/train.tsv", rows(40));
    scratch.write("from/dev.tsv", rows(9));
    scratch.run(&["data", "fetch", "sst2", "--from", "from"]).succeeds();
    let parts =
        scratch.run(&["prepare", "dataset:sst2", "--tokenizer", "tok", "--out", "s", "--json"]).json_lines();
    assert_eq!((&parts[0]["documents"], &parts[1]["documents"]), (&40.into(), &9.into()));
    scratch.write("from/train.tsv", "gj04\t1\t\tThe cat sat.\n");
    scratch.run(&["data", "fetch", "cola", "--from", "from", "--variant", "unpacked"]).succeeds();
    scratch
        .run(&["prepare", "dataset:cola", "--tokenizer", "tok", "--out", "no"])
        .fails(2, &["dataset:cola", "columns without names"]);
}

#[test]
fn datasets_are_where_the_project_or_the_environment_has_them() {
    let scratch = with_mine();
    assert!(scratch.path("cache/datasets/mine/data/a.txt").exists());
    let list = |environment: Option<&str>| {
        let mut command = scratch.command(&["data", "list", "mine", "--json"]);
        command.env_remove("FIREBRAND_DATA");
        if let Some(folder) = environment {
            command.env("FIREBRAND_DATA", scratch.path(folder));
        }
        crate::support::finish(&mut command)
    };
    assert_eq!(list(None).json()["fetched"], true);
    assert_eq!(list(Some("cache/datasets")).json()["fetched"], true);
    list(Some("elsewhere")).fails(2, &["no dataset `mine`"]);
    std::fs::create_dir(scratch.path("datasets")).expect("made");
    list(None).fails(2, &["no dataset `mine`"]);
}
