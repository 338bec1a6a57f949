//! A look at the built-in corpus.
//!
//! `cargo run --release -p firebrand-corpus --example built_in -- stories 10` prints ten documents (or `reviews`,
//! `pairs`); `… -- measure` prints speed, entropy, word types and how many sentences repeat.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use firebrand_corpus::generator::{Floor, Grammar, Kind, Split, write_stories};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let start = Instant::now();
    let grammar = match Grammar::parse_built_in() {
        Ok(grammar) => grammar,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    };
    eprintln!("loaded and checked in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let count = arguments.get(1).and_then(|count| count.parse().ok()).unwrap_or(5);
    match arguments.first().map(String::as_str) {
        Some("measure") => measure(&grammar),
        Some("reviews") => show(&grammar, Kind::Reviews, count),
        Some("pairs") => show(&grammar, Kind::Pairs, count),
        _ => show(&grammar, Kind::Stories, count),
    }
}

#[allow(clippy::print_stdout, reason = "documents are this program's data")]
fn show(grammar: &Grammar, kind: Kind, count: usize) {
    for document in grammar.documents(kind, Split::Train, 1).take(count) {
        let bits = -document.log_prob / std::f64::consts::LN_2 / document.text.len() as f64;
        println!("{}\n  {} bytes at {bits:.3} bits\n", document.to_json(kind), document.text.len());
    }
}

#[allow(clippy::print_stdout, reason = "figures are this program's data")]
fn measure(grammar: &Grammar) {
    let mut text = Vec::new();
    let start = Instant::now();
    let Ok(floor) = write_stories(grammar, Split::Train, 1, 20_000_000, &mut text) else { return };
    println!("stories: {:.1} MB/s", floor.bytes as f64 / 1e6 / start.elapsed().as_secs_f64());
    println!(
        "stories: {:.4} bits per byte, {} bytes each",
        floor.bits_per_byte(),
        floor.bytes / floor.documents
    );

    let text = String::from_utf8_lossy(&text[..5_000_000.min(text.len())]).into_owned();
    let start = Instant::now();
    let whole = &text[..text.rfind("\n\n").unwrap_or(text.len())];
    let parsed = firebrand_corpus::generator::floor_of(grammar, whole).map(|floor| floor.documents);
    println!("parsed {parsed:?} stories at {:.1} MB/s", 5.0 / start.elapsed().as_secs_f64());
    let mut words: HashMap<String, usize> = HashMap::new();
    for word in text.split(|c: char| !c.is_alphabetic() && c != '-' && c != '\'') {
        let word = word.trim_matches(['-', '\'']).to_lowercase();
        if !word.is_empty() {
            *words.entry(word).or_default() += 1;
        }
    }
    let often = words.values().filter(|count| **count >= 10).count();
    println!("5 MB: {} word types, {often} of them at least 10 times", words.len());
    let sentences: Vec<&str> =
        text.split(['.', '!', '?', '\n']).map(str::trim).filter(|s| s.len() > 3).collect();
    let distinct: HashSet<&str> = sentences.iter().copied().collect();
    println!(
        "5 MB: {} sentences, {:.3} distinct",
        sentences.len(),
        distinct.len() as f64 / sentences.len() as f64
    );
    let mut held_out = Vec::new();
    if write_stories(grammar, Split::Validation, 1, 200_000, &mut held_out).is_ok() {
        let held_out = String::from_utf8_lossy(&held_out).into_owned();
        let new = held_out.split(['.', '!', '?', '\n']).map(str::trim).filter(|s| s.len() > 3);
        let new: Vec<bool> = new.map(|sentence| !distinct.contains(sentence)).collect();
        let fresh = new.iter().filter(|new| **new).count() as f64 / new.len() as f64;
        println!("held out: {fresh:.3} of the sentences are not in the 5 MB");
    }

    for kind in [Kind::Stories, Kind::Reviews, Kind::Pairs] {
        let start = Instant::now();
        let entropy = grammar.entropy_nats(kind);
        let seconds = start.elapsed().as_secs_f64();
        let (mut floor, mut squares) = (Floor::default(), 0.0);
        for document in grammar.documents(kind, Split::Train, 2).take(50_000) {
            floor.add(&document.text, document.log_prob);
            squares += document.log_prob * document.log_prob;
        }
        let count = floor.documents as f64;
        let mean = floor.nats / count;
        let error = ((squares / count - mean * mean) / count).sqrt();
        println!("{}: entropy {entropy:.4} nats ({seconds:.2} s), mean {mean:.4} ± {error:.4}", kind.name());
        println!("{}: {:.4} bits per byte", kind.name(), floor.bits_per_byte());
    }
}
