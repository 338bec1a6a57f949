//! Prints stories of the built-in corpus: `cargo run --release -p firebrand-corpus --example built_in -- 10`.

use firebrand_corpus::generator::{Grammar, Kind, Split};

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(5);
    let kind = match std::env::args().nth(2).as_deref() {
        Some("reviews") => Kind::Reviews,
        Some("pairs") => Kind::Pairs,
        _ => Kind::Stories,
    };
    let start = std::time::Instant::now();
    let grammar = match Grammar::parse_built_in() {
        Ok(grammar) => grammar,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    };
    eprintln!("loaded in {:?}", start.elapsed());
    for document in grammar.documents(kind, Split::Train, 1).take(count) {
        let bits = -document.log_prob / std::f64::consts::LN_2 / document.text.len() as f64;
        eprintln!("{}\n  ({bits:.3} bits per byte, {} bytes)\n", document.to_json(kind), document.text.len());
    }
}
