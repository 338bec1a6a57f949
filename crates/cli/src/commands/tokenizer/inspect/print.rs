//! Figures of tokenizers for the terminal: tables that fit it.

use super::count::{Counted, Inspected};
use super::scripts::{ScriptCount, is_common_name};
use crate::output::{line, thousands};
use crate::table::{self, Column};
use std::collections::BTreeSet;
use std::path::Path;

/// Scripts that are listed; JSON has all.
const SCRIPTS: usize = 16;
/// Scripts that are named on the line of a vocabulary.
const NAMED: usize = 5;

/// What one tokenizer is, its first and last tokens.
pub(super) fn vocabulary(one: &Inspected) -> anyhow::Result<()> {
    let (tokenizer, vocabulary) = (&one.tokenizer, &one.vocabulary);
    let n = tokenizer.vocab_size();
    let special: Vec<String> =
        tokenizer.special_tokens().iter().map(|(token, id)| format!("{token} ({id})")).collect();
    let special = if special.is_empty() { "none".to_string() } else { special.join(", ") };
    let [tokens, merges] = [n, tokenizer.n_merges()].map(|number| thousands(number as u64));
    line(format!("{tokens} tokens, {merges} merges; special: {special}"))?;
    let (mean, longest) = (vocabulary.mean_bytes(), vocabulary.longest_bytes());
    line(format!("bytes of a token: {mean:.1} on average, {longest} at most"))?;
    line(format!(
        "begin with a space: {}; no valid UTF-8 on their own: {}",
        of_all(one, vocabulary.word_initial),
        of_all(one, vocabulary.not_utf8)
    ))?;
    let named = vocabulary.by_script.iter().take(NAMED);
    let named: Vec<String> = named.map(|&(name, tokens)| format!("{name} {}", thousands(tokens))).collect();
    let more = match vocabulary.by_script.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; {more} more in --json"),
    };
    line(format!("by script: {}{more}", named.join(", ")))?;
    line("")?;
    print(lengths(std::slice::from_ref(one)))?;
    line("")?;
    let show = |id: usize| format!("{id:>8}  {:?}", tokenizer.id_to_token(id as u32).unwrap_or(""));
    (0..n.min(8)).chain(n.saturating_sub(16).max(8)..n).try_for_each(|id| line(show(id)))
}

/// Several tokenizers without texts, or one or several with them.
pub(super) fn comparison(inspected: &[Inspected]) -> anyhow::Result<()> {
    print(summary(inspected))?;
    let [first, ..] = inspected else { return Ok(()) };
    if first.texts.is_empty() {
        line("")?;
        return print(lengths(inspected));
    }
    if first.texts.len() > 1 {
        line("")?;
        print(by_text(inspected))?;
    }
    let with_scripts = first.scripts.iter().filter(|(name, _)| !is_common_name(name)).count() > 1;
    if with_scripts {
        line("")?;
        print(by_script(inspected))?;
        if let more @ 1.. = first.scripts.len().saturating_sub(SCRIPTS) {
            line(format!("{more} more scripts in --json"))?;
        }
    }
    line("")?;
    print(by_use(inspected))?;
    if with_scripts || first.texts.len() > 1 {
        line("")?;
        line("A word is what white space separates: of scripts without it, tokens a word say little.")?;
    }
    if with_scripts {
        line("A token, like a word, is of the script of its first letter; of Common if it has none.")?;
    }
    Ok(())
}

/// `1,234 (60.3 %)`
fn of_all(one: &Inspected, tokens: u64) -> String {
    format!("{} ({:.1} %)", thousands(tokens), 100.0 * one.vocabulary.share(tokens))
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
        column("bytes of a token", 2, &|one| format!("{:.1}", one.vocabulary.mean_bytes())),
        column("at most", 1, &|one| one.vocabulary.longest_bytes().to_string()),
    ];
    if inspected.iter().any(|one| !one.texts.is_empty()) {
        columns.extend([
            column("text as tokens", 5, &|one| thousands(one.whole().tokens)),
            column("bytes/token", 8, &|one| format!("{:.2}", one.whole().bytes_per_token())),
            column("tokens/word", 8, &|one| format!("{:.2}", one.whole().tokens_per_word())),
            column("unused", 7, &|one| format!("{:.1} %", 100.0 * one.usage.unused)),
        ]);
    } else {
        columns.extend([
            column("begin with a space", 1, &|one| of_all(one, one.vocabulary.word_initial)),
            column("no UTF-8", 1, &|one| of_all(one, one.vocabulary.not_utf8)),
        ]);
    }
    columns
}

/// How many tokens are how long, a row for each tokenizer.
fn lengths(inspected: &[Inspected]) -> Vec<Column> {
    let histograms: Vec<_> = inspected.iter().map(|one| one.vocabulary.histogram()).collect();
    let cells =
        inspected.iter().map(|one| if inspected.len() > 1 { name(&one.path) } else { "tokens".into() });
    let mut columns = vec![Column::new("bytes", false, 9, cells.collect())];
    for (row, (heading, _)) in histograms[0].iter().enumerate() {
        let cells = histograms.iter().map(|histogram| thousands(histogram[row].1));
        columns.push(Column::new(heading, true, 5, cells.collect()));
    }
    columns
}

/// A row for each text, with two columns for each tokenizer.
fn by_text(inspected: &[Inspected]) -> Vec<Column> {
    let texts = &inspected[0].texts;
    let mut columns = vec![
        Column::new("text", false, 9, texts.iter().map(|text| name(&text.path)).collect()),
        Column::new("bytes", true, 5, texts.iter().map(|text| thousands(text.bytes)).collect()),
    ];
    for one in inspected {
        let cells = |number: fn(&Counted) -> f64| {
            one.texts.iter().map(|text| format!("{:.2}", number(text))).collect()
        };
        let heading = |of| heading(of, one, inspected);
        columns.push(Column::new(&heading("bytes/token"), true, 8, cells(Counted::bytes_per_token)));
        columns.push(Column::new(&heading("tokens/word"), true, 7, cells(Counted::tokens_per_word)));
    }
    columns
}

/// A row for each script, with four columns for each tokenizer.
fn by_script(inspected: &[Inspected]) -> Vec<Column> {
    let names: Vec<&str> = inspected[0].scripts.iter().take(SCRIPTS).map(|(name, _)| *name).collect();
    let cells = |one: &Inspected, cell: &dyn Fn(&ScriptCount) -> String| {
        let count = |name: &&str| one.scripts.iter().find(|(of, _)| of == name).map(|(_, count)| *count);
        names.iter().map(|name| cell(&count(name).unwrap_or_default())).collect::<Vec<_>>()
    };
    let column = |heading: &str, importance, one, cell: &dyn Fn(&ScriptCount) -> String| {
        Column::new(heading, true, importance, cells(one, cell))
    };
    let ratio = |number: f64| format!("{number:.2}");
    // The text is the same for all tokenizers.
    let first = &inspected[0];
    let mut columns = vec![
        Column::new("script", false, 9, names.iter().map(ToString::to_string).collect()),
        column("characters", 3, first, &|count| thousands(count.characters)),
        column("words", 2, first, &|count| thousands(count.words)),
    ];
    for one in inspected {
        let heading = |of| heading(of, one, inspected);
        columns.extend([
            column(&heading("tokens"), 4, one, &|count| thousands(count.tokens)),
            column(&heading("bytes/token"), 8, one, &|count| ratio(count.bytes_per_token())),
            column(&heading("characters/token"), 1, one, &|count| ratio(count.characters_per_token())),
            column(&heading("tokens/word"), 7, one, &|count| {
                count.tokens_per_word().map_or_else(|| "–".to_string(), ratio)
            }),
        ]);
    }
    columns
}

/// The most used tokens, and of a tokenizer alone the least used ones.
fn by_use(inspected: &[Inspected]) -> Vec<Column> {
    let mut columns = Vec::new();
    for one in inspected {
        let token = |(id, _): &(u32, u64)| one.vocabulary.readable(*id);
        let times = |(_, times): &(u32, u64)| thousands(*times);
        let mut pair = |of, importance, found: &[(u32, u64)]| {
            let heading = heading(of, one, inspected);
            columns.push(Column::new(&heading, false, importance, found.iter().map(token).collect()));
            columns.push(Column::new("times", true, importance, found.iter().map(times).collect()));
        };
        pair("most used", 9, &one.usage.most);
        if inspected.len() == 1 {
            pair("least used", 5, &one.usage.least);
        }
    }
    columns
}

/// What a column is of, and of which tokenizer if there are several.
fn heading(of: &str, one: &Inspected, inspected: &[Inspected]) -> String {
    if inspected.len() > 1 { format!("{of} {}", name(&one.path)) } else { of.to_string() }
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn print(columns: Vec<Column>) -> anyhow::Result<()> {
    let width = table::terminal_width();
    let (alike, mut dropped) = fit_alike(columns, width);
    let (columns, more) = table::fit(alike, width);
    dropped.extend(more);
    table::lines(&columns).into_iter().try_for_each(line)?;
    if dropped.is_empty() {
        Ok(())
    } else {
        line(format!("left out: {}; --json has all", dropped.join(", ")))
    }
}

/// Without the columns that matter least while there is no room, those of all tokenizers alike: what is shown of one can be
/// compared with the others. The columns that matter most stay.
fn fit_alike(mut columns: Vec<Column>, width: usize) -> (Vec<Column>, Vec<String>) {
    let mut dropped = Vec::new();
    while !table::fit(columns.clone(), width).1.is_empty() {
        let importances: BTreeSet<u8> = columns.iter().map(|column| column.importance).collect();
        let (Some(least), 3..) = (importances.first().copied(), importances.len()) else { break };
        columns.retain(|column| {
            let stays = column.importance != least;
            if !stays && !dropped.contains(&column.heading) {
                dropped.push(column.heading.clone());
            }
            stays
        });
    }
    (columns, dropped)
}
