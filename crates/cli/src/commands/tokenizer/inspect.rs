//! What tokenizers are, and what they make of texts.

use crate::args::{Global, TokenizerInspectArgs};
use crate::named;
use crate::output::{line, thousands};
use crate::table::{self, Column};
use crate::text;
use firebrand_corpus::sources::{DocumentBoundary, HeldOut, Sources, source_files};
use firebrand_tokenizer::Tokenizer;
use std::path::{Path, PathBuf};

/// A tokenizer and what it made of each text.
struct Inspected {
    path: PathBuf,
    tokenizer: Tokenizer,
    texts: Vec<Counted>,
    /// The tokens that text can become, the special ones left out.
    ordinary: Ordinary,
}

struct Ordinary {
    mean_bytes: f64,
    longest_bytes: usize,
    /// The share of those that no text became.
    unused: f64,
}

impl Ordinary {
    fn new(tokenizer: &Tokenizer, used: &[bool]) -> Self {
        let table = tokenizer.token_table();
        let ids: Vec<u32> = (0..table.len() as u32).filter(|&id| !table.is_special(id)).collect();
        let (lengths, count) = (ids.iter().map(|&id| table.byte_len(id)), ids.len().max(1) as f64);
        Self {
            mean_bytes: lengths.clone().sum::<usize>() as f64 / count,
            longest_bytes: lengths.max().unwrap_or(0),
            unused: ids.iter().filter(|&&id| !used[id as usize]).count() as f64 / count,
        }
    }
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
    /// All texts as one.
    fn whole(&self) -> Counted {
        let sum = |of: fn(&Counted) -> u64| self.texts.iter().map(of).sum();
        let (bytes, words, tokens) =
            (sum(|text| text.bytes), sum(|text| text.words), sum(|text| text.tokens));
        Counted { path: PathBuf::new(), bytes, words, tokens }
    }

    fn json(&self) -> serde_json::Value {
        let Ordinary { mean_bytes, longest_bytes, unused } = self.ordinary;
        let count = |text: &Counted| {
            serde_json::json!({
                "path": text.path, "bytes": text.bytes, "words": text.words, "tokens": text.tokens,
                "bytes_per_token": text.bytes_per_token(), "tokens_per_word": text.tokens_per_word(),
            })
        };
        let mut json = serde_json::json!({
            "tokenizer": self.path, "vocab_size": self.tokenizer.vocab_size(), "merges": self.tokenizer.n_merges(),
            "special_tokens": self.tokenizer.special_tokens(), "mean_token_bytes": mean_bytes, "longest_token_bytes": longest_bytes,
        });
        if !self.texts.is_empty() {
            json["texts"] = self.texts.iter().map(count).collect();
            json["unused_share"] = unused.into();
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
        let ordinary = Ordinary::new(&tokenizer, &used);
        Ok(Inspected { path: path.clone(), tokenizer, texts, ordinary })
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

/// The files that paths and names stand for.
fn files(texts: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let sources = named::resolve(Sources { texts: texts.to_vec(), ..Sources::default() })?;
    Ok(source_files(&sources.texts, sources.format)?)
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
    let Ordinary { mean_bytes, longest_bytes, .. } = one.ordinary;
    let [tokens, merges] = [n, tokenizer.n_merges()].map(|number| thousands(number as u64));
    line(format!("{tokens} tokens, {merges} merges; special: {special}"))?;
    line(format!("bytes of a token: {mean_bytes:.1} on average, {longest_bytes} at most"))?;
    let show = |id: usize| format!("{id:>8}  {:?}", tokenizer.id_to_token(id as u32).unwrap_or(""));
    (0..n.min(8)).chain(n.saturating_sub(16).max(8)..n).try_for_each(|id| line(show(id)))
}

/// A row for each tokenizer.
fn summary(inspected: &[Inspected]) -> Vec<Column> {
    let column = |heading: &str, importance, cell: &dyn Fn(&Inspected) -> String| {
        Column::new(heading, heading != "tokenizer", importance, inspected.iter().map(cell).collect())
    };
    let mut columns = vec![
        column("tokenizer", 9, &|one| one.path.display().to_string()),
        column("tokens", 6, &|one| thousands(one.tokenizer.vocab_size() as u64)),
        column("merges", 4, &|one| thousands(one.tokenizer.n_merges() as u64)),
        column("special", 3, &|one| one.tokenizer.special_tokens().len().to_string()),
        column("bytes of a token", 2, &|one| format!("{:.1}", one.ordinary.mean_bytes)),
        column("at most", 1, &|one| one.ordinary.longest_bytes.to_string()),
    ];
    if inspected.iter().any(|one| !one.texts.is_empty()) {
        columns.extend([
            column("text as tokens", 5, &|one| thousands(one.whole().tokens)),
            column("bytes/token", 8, &|one| format!("{:.2}", one.whole().bytes_per_token())),
            column("tokens/word", 8, &|one| format!("{:.2}", one.whole().tokens_per_word())),
            column("unused", 7, &|one| format!("{:.1} %", 100.0 * one.ordinary.unused)),
        ]);
    }
    columns
}

/// A row for each text, with two columns for each tokenizer.
fn by_text(inspected: &[Inspected]) -> Vec<Column> {
    let texts = &inspected[0].texts;
    // The name of a text is never left out.
    let column = |heading: &str, right, cells| Column::new(heading, right, if right { 5 } else { 9 }, cells);
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
    let (columns, dropped) = table::fit(columns.to_vec(), table::terminal_width());
    table::lines(&columns).into_iter().try_for_each(line)?;
    if dropped.is_empty() {
        Ok(())
    } else {
        line(format!("left out: {}; --json has all", dropped.join(", ")))
    }
}
