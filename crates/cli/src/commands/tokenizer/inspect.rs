//! What tokenizers are, and what they make of texts.

use crate::args::{Global, TokenizerInspectArgs};
use crate::output::{line, thousands};
use crate::table::{self, Column};
use crate::text;
use anyhow::Context;
use firebrand_corpus::sources::{DocumentBoundary, HeldOut, Sources};
use firebrand_tokenizer::Tokenizer;
use std::path::{Path, PathBuf};

/// How wide a table is where nobody says how wide the terminal is.
const WIDTH: usize = 200;

/// A tokenizer and what it made of each text.
struct Inspected {
    path: PathBuf,
    tokenizer: Tokenizer,
    texts: Vec<Counted>,
    /// Of the tokens that are not special, those that no text became; nothing without texts.
    unused: usize,
}

/// One file of text as tokens.
struct Counted {
    path: PathBuf,
    bytes: u64,
    /// What white space separates.
    words: u64,
    tokens: u64,
}

impl Counted {
    fn bytes_per_token(&self) -> f64 {
        self.bytes as f64 / self.tokens.max(1) as f64
    }

    /// The fertility.
    fn tokens_per_word(&self) -> f64 {
        self.tokens as f64 / self.words.max(1) as f64
    }
}

impl Inspected {
    /// The tokens that text can become: how many, their mean length in bytes, the largest.
    fn ordinary(&self) -> (usize, f64, usize) {
        let table = self.tokenizer.token_table();
        let lengths: Vec<usize> = (0..table.len() as u32)
            .filter(|&id| !table.is_special(id))
            .map(|id| table.byte_len(id))
            .collect();
        let mean = lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64;
        (lengths.len(), mean, lengths.iter().copied().max().unwrap_or(0))
    }

    /// All texts as one.
    fn whole(&self) -> Counted {
        let sum = |of: fn(&Counted) -> u64| self.texts.iter().map(of).sum();
        let (bytes, words, tokens) =
            (sum(|text| text.bytes), sum(|text| text.words), sum(|text| text.tokens));
        Counted { path: PathBuf::new(), bytes, words, tokens }
    }

    fn unused_share(&self) -> f64 {
        self.unused as f64 / self.ordinary().0.max(1) as f64
    }

    fn json(&self) -> serde_json::Value {
        let (_, mean, longest) = self.ordinary();
        let count = |text: &Counted| {
            serde_json::json!({
                "path": text.path, "bytes": text.bytes, "words": text.words, "tokens": text.tokens,
                "bytes_per_token": text.bytes_per_token(), "tokens_per_word": text.tokens_per_word(),
            })
        };
        let mut json = serde_json::json!({
            "tokenizer": self.path, "vocab_size": self.tokenizer.vocab_size(), "merges": self.tokenizer.n_merges(),
            "special_tokens": self.tokenizer.special_tokens(), "mean_token_bytes": mean, "longest_token_bytes": longest,
        });
        if !self.texts.is_empty() {
            json["texts"] = self.texts.iter().map(count).collect();
            json["unused_share"] = self.unused_share().into();
        }
        json
    }
}

pub(super) fn run(args: &TokenizerInspectArgs, global: &Global) -> anyhow::Result<()> {
    let files = files(&args.texts)?;
    let inspect = |path: &PathBuf| {
        let tokenizer = Tokenizer::load(path)?;
        let mut used = vec![false; tokenizer.vocab_size()];
        let texts: Vec<Counted> = files
            .iter()
            .map(|file| count(&tokenizer, file, &mut used, global))
            .collect::<anyhow::Result<_>>()?;
        let table = tokenizer.token_table();
        let unused = (0_u32..).zip(&used).filter(|(id, used)| !**used && !table.is_special(*id)).count();
        Ok(Inspected { path: path.clone(), tokenizer, texts, unused })
    };
    let inspected: Vec<Inspected> = args.tokenizers.iter().map(inspect).collect::<anyhow::Result<_>>()?;
    if global.json {
        return inspected.iter().try_for_each(|one| line(one.json()));
    }
    if let ([one], []) = (&inspected[..], &files[..]) {
        return vocabulary(one);
    }
    print(&summary(&inspected))?;
    if files.len() > 1 {
        line("")?;
        print(&by_text(&inspected))?;
        line("")?;
        line("A word is what white space separates: of scripts without it, tokens a word say little.")?;
    }
    Ok(())
}

/// The files of folders, and the files that are given.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        let mut inside: Vec<PathBuf> =
            entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        inside.retain(|path| path.is_file());
        inside.sort();
        files.append(&mut inside);
    }
    Ok(files)
}

fn count(tokenizer: &Tokenizer, file: &Path, used: &mut [bool], global: &Global) -> anyhow::Result<Counted> {
    let sources = Sources {
        texts: vec![file.to_path_buf()],
        boundary: DocumentBoundary::File,
        held_out: HeldOut::None,
        ..Sources::default()
    };
    let corpus = text::scan(sources, global)?;
    let mut counted = Counted { path: file.to_path_buf(), bytes: 0, words: 0, tokens: 0 };
    text::for_each_part(
        &corpus,
        |text| tokenizer.safe_cut(text),
        global,
        |text| {
            let ids = tokenizer.encode(text);
            ids.iter().for_each(|&id| used[id as usize] = true);
            counted.bytes += text.len() as u64;
            counted.words += text.split_whitespace().count() as u64;
            counted.tokens += ids.len() as u64;
        },
    )?;
    Ok(counted)
}

/// What one tokenizer is, its first and last tokens.
fn vocabulary(one: &Inspected) -> anyhow::Result<()> {
    let tokenizer = &one.tokenizer;
    let n = tokenizer.vocab_size();
    let special: Vec<String> =
        tokenizer.special_tokens().iter().map(|(token, id)| format!("{token} ({id})")).collect();
    let special = if special.is_empty() { "none".to_string() } else { special.join(", ") };
    let (_, mean, longest) = one.ordinary();
    let [tokens, merges] = [n, tokenizer.n_merges()].map(|number| thousands(number as u64));
    line(format!("{tokens} tokens, {merges} merges; special: {special}"))?;
    line(format!("bytes of a token: {mean:.1} on average, {longest} at most"))?;
    let show = |id: usize| format!("{id:>8}  {:?}", tokenizer.id_to_token(id as u32).unwrap_or(""));
    (0..n.min(8)).chain(n.saturating_sub(16).max(8)..n).try_for_each(|id| line(show(id)))
}

/// A row for each tokenizer.
fn summary(inspected: &[Inspected]) -> Vec<Column> {
    let column = |heading: &str, cell: &dyn Fn(&Inspected) -> String| {
        Column::new(heading, heading != "tokenizer", 5, inspected.iter().map(cell).collect())
    };
    let mut columns = vec![
        column("tokenizer", &|one| one.path.display().to_string()),
        column("tokens", &|one| thousands(one.tokenizer.vocab_size() as u64)),
        column("merges", &|one| thousands(one.tokenizer.n_merges() as u64)),
        column("special", &|one| one.tokenizer.special_tokens().len().to_string()),
        column("bytes of a token", &|one| format!("{:.1}", one.ordinary().1)),
        column("at most", &|one| one.ordinary().2.to_string()),
    ];
    if inspected.iter().any(|one| !one.texts.is_empty()) {
        columns.extend([
            column("text as tokens", &|one| thousands(one.whole().tokens)),
            column("bytes/token", &|one| format!("{:.2}", one.whole().bytes_per_token())),
            column("tokens/word", &|one| format!("{:.2}", one.whole().tokens_per_word())),
            column("unused", &|one| format!("{:.1} %", 100.0 * one.unused_share())),
        ]);
    }
    columns
}

/// A row for each text, with two columns for each tokenizer.
fn by_text(inspected: &[Inspected]) -> Vec<Column> {
    let texts = &inspected[0].texts;
    let column = |heading: &str, right: bool, cells: Vec<String>| Column::new(heading, right, 5, cells);
    let name =
        |path: &Path| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut columns = vec![
        column("text", false, texts.iter().map(|text| name(&text.path)).collect()),
        column("bytes", true, texts.iter().map(|text| thousands(text.bytes)).collect()),
    ];
    for one in inspected {
        let of = if inspected.len() > 1 { format!(" {}", name(&one.path)) } else { String::new() };
        let cells = |number: fn(&Counted) -> f64| {
            one.texts.iter().map(|text| format!("{:.2}", number(text))).collect()
        };
        columns.push(column(&format!("bytes/token{of}"), true, cells(Counted::bytes_per_token)));
        columns.push(column(&format!("tokens/word{of}"), true, cells(Counted::tokens_per_word)));
    }
    columns
}

fn print(columns: &[Column]) -> anyhow::Result<()> {
    let (columns, dropped) = table::fit(columns.to_vec(), WIDTH);
    table::lines(&columns).into_iter().try_for_each(line)?;
    if dropped.is_empty() {
        Ok(())
    } else {
        line(format!("left out: {}; --json has all", dropped.join(", ")))
    }
}
