//! `firebrand prepare`: the same shards from every format, at any number of threads, however often it is killed; and
//! what it says of input that is wrong.

use crate::support::{Ran, Scratch, finish};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Shards of `text` in `out`, with these options.
fn prepare(scratch: &Scratch, text: &str, out: &str, options: &[&str]) -> Ran {
    scratch.run(&[&["prepare", text, "--tokenizer", "tok", "--out", out], options].concat())
}

/// The token files of shards.
fn tokens(scratch: &Scratch, out: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(scratch.path(out)).expect("the shards are there");
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().expect("a plain name");
    let names = entries.map(|entry| name(entry.expect("an entry"))).filter(|name| name.ends_with(".bin"));
    names.map(|name| (name.clone(), scratch.bytes(&format!("{out}/{name}")))).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).and_then(|()| encoder.finish()).expect("memory can be written")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).expect("memory can be written")
}

#[test]
fn every_format_and_compression_gives_the_same_shards() {
    let scratch = Scratch::with_text();
    let text = scratch.text("train.txt");
    let documents: Vec<String> = text.split("\n\n").map(|text| text.trim_end().to_owned()).collect();
    assert_eq!(documents.len(), 40);
    let json = |text: &String| serde_json::json!({"id": 7, "text": text, "tags": ["a"]}).to_string() + "\n";
    let csv = |text: &String| format!("7,\"{}\"\r\n", text.replace('"', "\"\""));
    let formats = [
        ("a.txt", text.clone()),
        ("a.jsonl", documents.iter().map(json).collect()),
        ("a.ndjson", documents.iter().map(json).collect()),
        ("a.csv", "\u{feff}id,text\r\n".to_owned() + &documents.iter().map(csv).collect::<String>()),
    ];
    prepare(&scratch, "train.txt", "expected", &["--boundary", "blank-line"]).succeeds();
    let expected = tokens(&scratch, "expected");
    assert_eq!(expected.len(), 2, "a train and a held-out file");
    for (name, contents) in formats {
        for (extension, contents) in [
            ("", contents.clone().into_bytes()),
            (".gz", gzip(contents.as_bytes())),
            (".zst", zstd(contents.as_bytes())),
        ] {
            let name = format!("{name}{extension}");
            scratch.write(&name, contents);
            let out = format!("{name}.shards");
            prepare(&scratch, &name, &out, &["--boundary", "blank-line"]).succeeds();
            assert!(tokens(&scratch, &out) == expected, "{name}");
        }
    }
    // TSV has no way to write a line end; a forced format and another field do.
    let line = |text: &String| format!("{}\t0\n", text.replace('\n', " "));
    scratch.write("a.data", "story\tlabel\n".to_owned() + &documents.iter().map(line).collect::<String>());
    prepare(&scratch, "a.data", "tsv", &["--format", "tsv", "--field", "story"]).succeeds();
    scratch
        .write("lines.txt", documents.iter().map(|text| text.replace('\n', " ") + "\n").collect::<String>());
    prepare(&scratch, "lines.txt", "lines", &["--boundary", "line"]).succeeds();
    assert!(tokens(&scratch, "tsv") == tokens(&scratch, "lines"));
}

#[test]
fn files_of_other_programs_give_the_same_shards() {
    let scratch = Scratch::with_text();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/tests/golden");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&golden)
        .expect("it is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.retain(|path| {
        !["py", "json"].contains(&path.extension().and_then(|name| name.to_str()).unwrap_or(""))
    });
    files.sort();
    assert!(files.len() >= 15, "{files:?}");
    let mut expected = None;
    for (number, path) in files.iter().enumerate() {
        let out = format!("shards-{number}");
        prepare(&scratch, &path.display().to_string(), &out, &["--held-out", "0"]).succeeds();
        let found = tokens(&scratch, &out);
        assert!(*expected.get_or_insert_with(|| found.clone()) == found, "{}", path.display());
    }
}

#[test]
fn the_bytes_are_the_same_at_any_number_of_threads_and_from_one_file_or_many() {
    let scratch = Scratch::with_text();
    scratch.run(&["data", "generate", "--bytes", "12MB", "--out", "big.txt", "--quiet"]).succeeds();
    for boundary in ["file", "blank-line"] {
        for threads in ["1", "2", "8"] {
            let out = format!("{boundary}-{threads}");
            let args = ["prepare", "big.txt", "--tokenizer", "tok", "--out", &out, "--boundary", boundary];
            scratch.run(&[&args[..], &["--device", "cpu", "--threads", threads]].concat()).succeeds();
            assert!(tokens(&scratch, &out) == tokens(&scratch, &format!("{boundary}-1")), "{out}");
        }
    }
    let text = scratch.text("big.txt");
    let middle = text[..text.len() / 2].rfind("\n\n").expect("there are many stories") + 2;
    std::fs::create_dir(scratch.path("parts")).expect("made");
    scratch.write("parts/a.txt", &text[..middle]);
    scratch.write("parts/b.txt.zst", zstd(&text.as_bytes()[middle..]));
    prepare(&scratch, "parts", "many", &["--boundary", "blank-line"]).succeeds();
    assert!(tokens(&scratch, "many") == tokens(&scratch, "blank-line-1"));
}

#[test]
fn killed_at_any_instant_it_goes_on_and_ends_the_same() {
    let scratch = Scratch::with_text();
    scratch.run(&["data", "generate", "--bytes", "60MB", "--out", "big.txt", "--quiet"]).succeeds();
    let args = |boundary: &'static str, out: &str| {
        ["prepare", "big.txt", "--tokenizer", "tok", "--boundary", boundary, "--out", out].map(str::to_owned)
    };
    let command = |boundary, out: &str| {
        let args = args(boundary, out);
        scratch.command(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (mut killed, mut went_on) = (0, 0);
    for boundary in ["file", "blank-line"] {
        let calm = format!("{boundary}-calm");
        let started = Instant::now();
        finish(&mut command(boundary, &calm)).succeeds();
        let undisturbed = started.elapsed();
        let expected = tokens(&scratch, &calm);
        for round in 0..4 {
            let out = format!("{boundary}-{round}");
            for life in 0..3 {
                let mut child = command(boundary, &out);
                let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
                // Every other one lives until there is something to go on with, however slow the machine is.
                let journal = scratch.path(&format!("{out}.preparing/journal.json"));
                while (round + life) % 2 == 0
                    && !journal.exists()
                    && child.try_wait().expect("asked").is_none()
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                std::thread::sleep(undisturbed.mul_f64(f64::from(3 * round + life) / 24.0));
                child.kill().expect("killed, or has ended");
                killed += u32::from(child.wait().expect("it ends").code().is_none());
            }
            let ran = finish(&mut command(boundary, &out)).succeeds();
            went_on += u32::from(ran.stderr.contains("going on: "));
            assert!(tokens(&scratch, &out) == expected, "{out}");
            assert!(!scratch.path(&format!("{out}.preparing")).exists(), "{out}: something is left");
            scratch.run(&["prepare", "--check", &out]).succeeds();
        }
    }
    eprintln!("{killed} were killed, {went_on} went on");
    assert!(went_on >= 2, "only {went_on} of {killed} killed processes had come far enough to go on");
}

#[test]
fn two_do_not_prepare_the_same_folder() {
    let scratch = Scratch::with_text();
    scratch.run(&["data", "generate", "--bytes", "60MB", "--out", "big.txt", "--quiet"]).succeeds();
    let mut first = scratch.command(&["prepare", "big.txt", "--tokenizer", "tok", "--out", "shards"]);
    let mut first = first.spawn().expect("the binary starts");
    let lock = scratch.path("shards.preparing/lock");
    while !lock.exists() || std::fs::read(&lock).is_ok_and(|number| number.is_empty()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let who = format!("(number {})", first.id());
    prepare(&scratch, "big.txt", "shards", &[]).fails(1, &["shards is being prepared", &who, "wait for it"]);
    first.kill().expect("killed");
    first.wait().expect("it ends");
    prepare(&scratch, "big.txt", "shards", &[]).succeeds();
}

#[test]
fn shards_are_checked() {
    let scratch = Scratch::with_text();
    prepare(&scratch, "train.txt", "shards", &[]).succeeds();
    let lines = scratch.run(&["prepare", "--check", "shards", "--json"]).json_lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["split"], "train");
    scratch.run(&["prepare", "--check", "shards", "--tokenizer", "tok"]).succeeds();
    scratch.run(&["tokenizer", "train", "train.txt", "--out", "other", "--vocab-size", "290"]).succeeds();
    scratch
        .run(&["prepare", "--check", "shards", "--tokenizer", "other"])
        .fails(2, &["the shards in shards were made by another tokenizer", "make the shards again"]);
    let mut bytes = scratch.bytes("shards/train-00000.bin");
    bytes[10] ^= 1;
    scratch.write("shards/train-00000.bin", &bytes);
    scratch
        .run(&["prepare", "--check", "shards"])
        .fails(1, &["train-00000.bin is corrupted", "its sha256 is", "run `firebrand prepare` again"]);
    scratch.write("shards/train-00000.bin", &bytes[1..]);
    scratch.run(&["prepare", "--check", "shards"]).fails(1, &["train-00000.bin has", "cut short"]);
    for (manifest, reason) in [
        ("{", "EOF"),
        ("{}", "no format_version"),
        ("{\"format_version\": 99}", "shard format 99"),
        ("{\"format_version\": 1}", "missing field"),
    ] {
        scratch.write("shards/manifest.json", manifest);
        scratch.run(&["prepare", "--check", "shards"]).fails(1, &["manifest.json", reason]);
    }
    scratch.run(&["prepare", "--check", "tok"]).fails(2, &["tok holds no token shards", "firebrand prepare"]);
    scratch.run(&["prepare", "--check", "shards", "train.txt"]).fails(2, &["cannot be used with"]);
    scratch.run(&["prepare", "train.txt"]).fails(2, &["--tokenizer", "--out"]);
}

#[test]
fn records_that_are_wrong_are_named_by_line() {
    let scratch = Scratch::with_text();
    let json = "{\"text\": \"one\"}\n{\"text\": \"two\"}\n";
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/tests/golden");
    let parquet = crate::support::read(&golden.join("pyarrow-snappy.parquet"));
    let files: [(&str, Vec<u8>, &[&str]); 13] = [
        (
            "ragged.csv",
            b"id,text\n1,one\n2,two,three\n".into(),
            &["line 3: 3 fields where there should be 2"],
        ),
        (
            "open.csv",
            b"id,text\n1,one\n2,\"two\n3,three\n".into(),
            &["line 3: a quote is opened", "never closed"],
        ),
        (
            "columns.csv",
            b"id,texts\n1,one\n".into(),
            &["no field `text`", "`id`, `texts`", "did you mean `texts`?"],
        ),
        ("list.json", b"[{\"text\": \"one\"}]".into(), &["line 1: a list", "jq -c '.[]'"]),
        ("pretty.json", b"{\n \"text\": \"one\"\n}\n".into(), &["on one line", "jq -c ."]),
        ("broken.jsonl", (json.to_owned() + "{\"text\": \"thr\n").into(), &["line 3"]),
        (
            "number.jsonl",
            (json.to_owned() + "{\"text\": 3}\n").into(),
            &["line 3: the field `text` is no text: it holds 3"],
        ),
        (
            "missing.jsonl",
            (json.to_owned() + "\n{\"txt\": \"x\"}\n").into(),
            &["line 4", "did you mean `txt`?"],
        ),
        (
            "bytes.jsonl",
            b"{\"text\": \"one\"}\n{\"text\": \"\xff\"}\n".into(),
            &["not valid UTF-8: line 2, byte offset 26"],
        ),
        ("cut.jsonl.gz", gzip(json.as_bytes())[..20].to_vec(), &["cannot be read as gzip", "whole file?"]),
        ("plain.txt.zst", json.into(), &["cannot be read as zstd", "whole file?"]),
        ("cut.parquet", parquet[..parquet.len() - 9].to_vec(), &["(as Parquet)"]),
        (
            "whole.parquet.gz",
            gzip(&parquet),
            &["Parquet file inside a compressed one", "decompress it first"],
        ),
    ];
    for (name, contents, parts) in files {
        scratch.write(name, contents);
        let ran = prepare(&scratch, name, "shards", &[]).fails(2, parts);
        assert!(ran.stderr.contains(name), "{name} is not in: {}", ran.stderr);
        let ran = scratch.run(&["tokenizer", "train", name, "--out", "t"]).fails(2, parts);
        assert!(ran.stderr.contains(name), "{name} is not in: {}", ran.stderr);
    }
    scratch.write("whole.parquet", parquet);
    prepare(&scratch, "whole.parquet", "shards", &["--field", "label"])
        .fails(2, &["whole.parquet, row 1: the field `label` is no text: it holds 0"]);
    prepare(&scratch, "whole.parquet", "shards", &["--field", "lable"])
        .fails(2, &["no field `lable`", "`text`, `label`, `score`", "did you mean `label`?"]);
    scratch.write("ok.jsonl", json);
    scratch
        .run(&["prepare", "ok.jsonl", "train.txt", "--tokenizer", "tok", "--out", "shards"])
        .fails(2, &["train.txt is plain text and ok.jsonl holds records"]);
    for left in ["shards", "shards.preparing", "t"] {
        assert!(!scratch.path(left).exists(), "{left} is left of commands that were refused");
    }
}

#[test]
fn records_train_a_model_as_their_text_does() {
    let scratch = Scratch::with_text();
    let text = scratch.text("train.txt");
    let json = |text: &str| serde_json::json!({"story": text.trim_end()}).to_string() + "\n";
    scratch.write("train.jsonl.gz", gzip(text.split("\n\n").map(json).collect::<String>().as_bytes()));
    scratch.pretrain("a", &[]).succeeds();
    scratch.pretrain("b", &["data.texts=train.jsonl.gz", "data.field=story"]).succeeds();
    assert!(scratch.bytes("a/model.safetensors") == scratch.bytes("b/model.safetensors"));
    // Characters of records need something between them, too.
    let characters =
        ["data.texts=train.jsonl.gz", "data.field=story", "data.tokenizer=characters", "data.boundary=file"];
    scratch.pretrain("c", &characters).succeeds();
    scratch
        .pretrain("d", &["data.format=jsonl"])
        .fails(2, &["unknown variant `jsonl`", "did you mean `json-lines`?"]);
}

#[test]
fn a_tokenizer_learns_the_same_from_records() {
    let scratch = Scratch::with_text();
    let text = scratch.text("train.txt");
    scratch.write("one.jsonl", serde_json::json!({"text": text}).to_string());
    scratch.run(&["tokenizer", "train", "one.jsonl", "--out", "other", "--vocab-size", "300"]).succeeds();
    assert!(scratch.bytes("other/tokenizer.json") == scratch.bytes("tok/tokenizer.json"));
}

#[test]
fn what_is_not_utf8_is_replaced_when_asked_for() {
    let scratch = Scratch::with_text();
    let text = scratch.text("train.txt");
    let cut = text.find(' ').expect("there are words");
    let (before, after) = text.as_bytes().split_at(cut);
    let torn = [before, b"\xff\xe2\x82", after].concat();
    scratch.write("torn.txt", &torn);
    scratch.write("torn.jsonl", [b"{\"text\": \"", b"a \xff b".as_slice(), b"\"}\n"].concat());
    scratch.write("mended.txt", [&text[..cut], "\u{fffd}\u{fffd}", &text[cut..]].concat().as_bytes());

    let refused = prepare(&scratch, "torn.txt", "refused", &[]);
    refused.fails(2, &["torn.txt is not valid UTF-8: line 1, byte offset", "--lossy"]);
    let ran = prepare(&scratch, "torn.txt", "torn", &["--lossy"]).succeeds();
    assert!(ran.stderr.contains("2 places not UTF-8: U+FFFD stands for each now"), "{}", ran.stderr);
    prepare(&scratch, "mended.txt", "mended", &[]).succeeds();
    assert_eq!(tokens(&scratch, "torn"), tokens(&scratch, "mended"));

    let train = ["tokenizer", "train", "torn.txt", "torn.jsonl", "--out", "lossy", "--vocab-size", "300"];
    scratch.run(&train).fails(2, &["torn.txt is not valid UTF-8", "--lossy"]);
    let ran = scratch.run(&[&train[..], &["--lossy"]].concat()).succeeds();
    assert!(ran.stderr.contains("3 places not UTF-8"), "{}", ran.stderr);
    let set = ["data.texts=torn.txt", "data.boundary=file", "data.invalid_utf8=replace"];
    let ran = scratch.pretrain("run", &set).succeeds();
    assert!(ran.stderr.contains("2 places not UTF-8"), "{}", ran.stderr);
}
