//! Text into token shards: how fast, and in how much memory.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use super::figure::{Figure, TargetIs};
use super::{Bench, Options, without_overrides};
use crate::process;

/// How much text the issue asks for, and within how much memory it is to be prepared.
const BYTES: u64 = 1_000_000_000;
const TARGET_MIB: f64 = 512.0;

/// How much of it the tokenizer learns from.
const TOKENIZER_BYTES: u64 = 10_000_000;

/// How much of it the other formats hold.
const OTHER_BYTES: u64 = 200_000_000;

/// A way to write the text: a case, the file, and the options to read it with.
struct Case {
    name: &'static str,
    file: PathBuf,
    options: &'static [&'static str],
    text_bytes: u64,
}

/// Measures in several rounds.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    const NAMES: [&str; 5] = ["1gb", "1gb-one-document", "200mb-zst", "200mb-jsonl", "200mb-jsonl-zst"];
    if !NAMES.iter().any(|name| options.wants(name)) {
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let path = |name: &str| folder.path().join(name);
    let (text, small, tokenizer) = (path("stories.txt"), path("small.txt"), path("tokenizer"));
    for (file, bytes) in [(&text, BYTES), (&small, TOKENIZER_BYTES)] {
        let mut generate = Command::new(firebrand);
        generate.args(["data", "generate", "--quiet", "--bytes", &bytes.to_string(), "--out"]).arg(file);
        process::run_step("generate text", &mut generate)?;
    }
    let mut train = Command::new(firebrand);
    train
        .args(["tokenizer", "train", "--quiet", "--vocab-size", "2048"])
        .arg(&small)
        .arg("--out")
        .arg(&tokenizer);
    process::run_step("train a tokenizer", &mut train)?;
    let others = OtherFormats::write(&text, folder.path())?;
    let cases = [
        (text.clone(), &["--boundary", "blank-line"][..], BYTES),
        (text, &[], BYTES),
        (others.zst, &["--boundary", "blank-line"], others.text_bytes),
        (others.jsonl, &[], others.text_bytes),
        (others.jsonl_zst, &[], others.text_bytes),
    ];
    let cases = NAMES.iter().zip(cases).filter(|(name, _)| options.wants(name));
    let mut figures = Vec::new();
    for (name, (file, options_of_case, text_bytes)) in cases {
        let case = Case { name, file, options: options_of_case, text_bytes };
        figures.extend(measure(firebrand, &case, &tokenizer, &path("shards"), options)?);
    }
    Ok(figures)
}

/// Speed and peak memory of one case.
fn measure(
    firebrand: &Path,
    case: &Case,
    tokenizer: &Path,
    out: &Path,
    options: &Options,
) -> Result<Vec<Figure>> {
    let (mut speeds, mut peaks) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let mut command = Command::new(firebrand);
        command.arg("prepare").arg(&case.file).args(case.options).arg("--tokenizer").arg(tokenizer);
        command.args(["--quiet", "--json", "--device", "cpu", "--threads", &options.threads.to_string()]);
        command.arg("--out").arg(out);
        without_overrides(&mut command);
        let started = Instant::now();
        let mut peak = None;
        process::output_watching("prepare text", &mut command, |process| {
            peak = peak_bytes(process).or(peak);
        })?;
        let speed = case.text_bytes as f64 / 1e6 / started.elapsed().as_secs_f64();
        let mib = peak.map(|bytes| bytes as f64 / f64::from(1 << 20));
        let shown = mib.map_or("unknown".to_owned(), |mib| format!("{mib:.0} MiB"));
        eprintln!("{} round {round}/{}: {speed:.1} MB/s, peak memory {shown}", case.name, options.rounds);
        speeds.push(speed);
        peaks.extend(mib);
        std::fs::remove_dir_all(out).with_context(|| format!("cannot remove {}", out.display()))?;
    }
    let bench = Bench::Prepare.name();
    let speed = Figure::new(bench, case.name, "MB/s", &speeds);
    let peak = Figure::new(bench, case.name, "MiB peak", &peaks);
    Ok(speed.into_iter().chain(peak.map(|peak| peak.with_target(TargetIs::MostValue, TARGET_MIB))).collect())
}

/// The most memory a running process has had so far; `None` where the system does not say.
fn peak_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The first stories of a text in other formats.
struct OtherFormats {
    zst: PathBuf,
    jsonl: PathBuf,
    jsonl_zst: PathBuf,
    /// Bytes of the stories in each.
    text_bytes: u64,
}

impl OtherFormats {
    fn write(text: &Path, folder: &Path) -> Result<Self> {
        let [zst, jsonl, jsonl_zst] = ["s.txt.zst", "s.jsonl", "s.jsonl.zst"].map(|name| folder.join(name));
        let create =
            |path: &Path| File::create(path).with_context(|| format!("cannot write {}", path.display()));
        let packed = |path: &Path| zstd::Encoder::new(create(path)?, 3).context("cannot start zstd");
        let (mut zst_file, mut jsonl_zst_file) = (packed(&zst)?, packed(&jsonl_zst)?);
        let mut jsonl_file = BufWriter::new(create(&jsonl)?);
        let file = File::open(text).with_context(|| format!("cannot read {}", text.display()))?;
        let mut text_bytes = 0;
        let mut story = String::new();
        for line in BufReader::with_capacity(1 << 20, file).lines() {
            let line = line.with_context(|| format!("cannot read {}", text.display()))?;
            if !line.is_empty() {
                story += &line;
                story.push('\n');
                continue;
            }
            writeln!(zst_file, "{story}")?;
            let json = serde_json::json!({"text": story.trim_end()}).to_string() + "\n";
            jsonl_file.write_all(json.as_bytes())?;
            jsonl_zst_file.write_all(json.as_bytes())?;
            text_bytes += story.len() as u64;
            story.clear();
            if text_bytes >= OTHER_BYTES {
                break;
            }
        }
        zst_file.finish()?;
        jsonl_zst_file.finish()?;
        jsonl_file.flush()?;
        Ok(Self { zst, jsonl, jsonl_zst, text_bytes })
    }
}
