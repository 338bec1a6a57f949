//! What the issue asks of the built-in corpus.

use std::collections::HashSet;

use crate::generator::recognize::derivations;
use crate::generator::{Floor, Grammar, Kind, Split, floor_of, write_labelled, write_stories};

const KINDS: [Kind; 3] = [Kind::Stories, Kind::Reviews, Kind::Pairs];
const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

fn stories(split: Split, seed: u64, bytes: u64) -> (String, Floor) {
    let mut out = Vec::new();
    let floor = write_stories(Grammar::built_in(), split, seed, bytes, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), floor)
}

/// Sentences, cut where they end.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split(['.', '!', '?', '\n']).map(str::trim).filter(|sentence| sentence.len() > 3)
}

#[test]
fn the_text_alone_gives_back_the_probability_and_the_labels() {
    let grammar = Grammar::built_in();
    for kind in KINDS {
        for document in grammar.documents(kind, Split::Train, 3).take(5_000) {
            assert_eq!(grammar.log_prob(kind, &document.text), Some(document.log_prob), "{}", document.text);
            assert_eq!(grammar.labels(kind, &document.text), Some(document.labels));
        }
    }
}

#[test]
fn every_document_has_exactly_one_derivation() {
    let grammar = Grammar::built_in();
    for kind in KINDS {
        let start = grammar.program.starts[kind as usize].unwrap();
        for document in grammar.documents(kind, Split::Test, 4).take(2_000) {
            assert_eq!(derivations(&grammar.program, start, &document.text, 2).len(), 1, "{}", document.text);
        }
    }
}

#[test]
fn the_mean_over_a_sample_agrees_with_the_entropy() {
    let grammar = Grammar::built_in();
    for kind in KINDS {
        let entropy = grammar.entropy_nats(kind);
        let sample: Vec<f64> = grammar
            .documents(kind, Split::Train, 6)
            .take(40_000)
            .map(|document| -document.log_prob)
            .collect();
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|nats| (nats - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let error = (variance / count).sqrt();
        assert!((mean - entropy).abs() < 4.0 * error, "{}: {mean} ± {error}, entropy {entropy}", kind.name());
    }
}

#[test]
fn the_floor_of_a_file_is_that_of_its_documents() {
    let (text, written) = stories(Split::Validation, 7, 100_000);
    assert!(written.bytes >= 100_000);
    assert_eq!(floor_of(Grammar::built_in(), &text).unwrap(), written);
    assert_eq!(text.len() as u64, written.bytes + 2 * (written.documents - 1) + 1);
    let bits = written.bits_per_byte();
    assert!((0.15..1.1).contains(&bits), "{bits} bits per byte");
}

#[test]
fn documents_do_not_depend_on_the_chunking() {
    let grammar = Grammar::built_in();
    for kind in KINDS {
        let all: Vec<_> = grammar.documents(kind, Split::Train, 9).take(300).collect();
        for index in [0, 1, 17, 150, 299] {
            assert_eq!(grammar.document(kind, Split::Train, 9, index).unwrap(), all[index as usize]);
        }
        let mut later = grammar.documents(kind, Split::Train, 9).skip(200);
        assert_eq!((later.next().unwrap(), later.next().unwrap()), (all[200].clone(), all[201].clone()));
        let other_seed = grammar.documents(kind, Split::Train, 10).take(300);
        assert!(other_seed.zip(&all).filter(|(a, b)| a.text == b.text).count() < 5);
    }
    assert_eq!(stories(Split::Train, 1, 50_000), stories(Split::Train, 1, 50_000));
    let (longer, _) = stories(Split::Train, 1, 60_000);
    assert!(longer.starts_with(stories(Split::Train, 1, 50_000).0.trim_end()));
}

#[test]
fn splits_share_no_document_whatever_the_seed() {
    let grammar = Grammar::built_in();
    for kind in KINDS {
        let texts = SPLITS.map(|split| {
            let seeds = [1, 2].into_iter();
            let documents = seeds.flat_map(|seed| grammar.documents(kind, split, seed).take(3_000));
            documents.map(|document| document.text).collect::<HashSet<_>>()
        });
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            assert!(texts[a].is_disjoint(&texts[b]));
        }
    }
}

#[test]
fn stories_have_at_least_1500_word_types() {
    let (text, _) = stories(Split::Train, 11, 5_000_000);
    let words = text.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase).collect::<HashSet<_>>();
    assert!(words.len() > 1_500, "{} word types", words.len());
}

#[test]
fn most_held_out_sentences_are_new() {
    let (train, _) = stories(Split::Train, 12, 5_000_000);
    let known: HashSet<&str> = sentences(&train).collect();
    let (held_out, _) = stories(Split::Test, 12, 200_000);
    let new: Vec<bool> = sentences(&held_out).map(|sentence| !known.contains(sentence)).collect();
    let share = new.iter().filter(|new| **new).count() as f64 / new.len() as f64;
    assert!(share > 0.6, "only {share:.3} of the held-out sentences are new");
}

#[test]
fn stories_are_well_formed() {
    let (text, _) = stories(Split::Train, 13, 1_000_000);
    for story in text.trim_end().split("\n\n") {
        assert!(
            !story.contains('\n') && !story.contains("  ") && !story.contains(" .") && !story.contains(".."),
            "{story}"
        );
        assert!(story.ends_with(['.', '!', '"']), "{story}");
        let words = story.split_whitespace().count();
        assert!((45..260).contains(&words), "{words} words: {story}");
        let mut begins = true;
        for word in story.split_whitespace() {
            let letter = word.trim_start_matches('"').chars().next().unwrap();
            assert!(!begins || letter.is_uppercase(), "{word} begins a sentence: {story}");
            begins = word.ends_with(['.', '!', '?']) && !word.starts_with("Mr");
        }
        for pair in story.split_whitespace().collect::<Vec<_>>().windows(2) {
            let first = pair[1].chars().next().unwrap();
            if pair[0] == "a" || pair[0] == "A" {
                assert!(!"aeio".contains(first), "{} {}: {story}", pair[0], pair[1]);
            }
            if pair[0] == "an" || pair[0] == "An" {
                assert!("aeiouh".contains(first), "{} {}: {story}", pair[0], pair[1]);
            }
            assert!(pair[0] != pair[1], "{} twice: {story}", pair[0]);
        }
    }
}

#[test]
fn labelled_documents_are_json_lines_with_all_labels() {
    let grammar = Grammar::built_in();
    for (kind, label_names, texts) in [
        (Kind::Reviews, ["positive", "negative"].as_slice(), ["text"].as_slice()),
        (Kind::Pairs, &["entailed", "contradicted", "neutral"], &["premise", "hypothesis"]),
    ] {
        let mut out = Vec::new();
        let floor = write_labelled(grammar, kind, Split::Train, 1, 2_000, &mut out).unwrap();
        assert_eq!(floor.documents, 2_000);
        let mut counts = vec![0; label_names.len()];
        for line in String::from_utf8(out).unwrap().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(texts.iter().all(|name| value[name].is_string()), "{line}");
            let label = value["label"].as_str().unwrap();
            counts[label_names.iter().position(|name| *name == label).unwrap()] += 1;
        }
        assert!(counts.iter().all(|&count| count > 500), "{label_names:?} occur {counts:?} times");
    }
}
