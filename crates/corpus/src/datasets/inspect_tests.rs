#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use super::super::examples::Layout;
use super::*;
use crate::records::{Field, Format};
use crate::sources::DocumentBoundary;

fn part(folder: &Path, name: &str, lines: &[(&str, &str)]) -> Part {
    let path = folder.join(name);
    let record = |(text, label): &(&str, &str)| serde_json::json!({"text": text, "label": label}).to_string();
    std::fs::write(&path, lines.iter().map(record).collect::<Vec<_>>().join("\n")).unwrap();
    let layout = Layout {
        format: Format::JsonLines,
        header: true,
        boundary: DocumentBoundary::File,
        text: Field::Name("text".into()),
        text_b: None,
        label: Some(Field::Name("label".into())),
    };
    Part { name: name.to_owned(), examples: Examples::new(vec![path], layout) }
}

#[test]
fn duplicates_are_counted_within_and_across_parts_whatever_their_white_space() {
    let folder = tempfile::tempdir().unwrap();
    let a = part(folder.path(), "a", &[("x y", "1"), (" x  y\n", "1"), ("z", "2"), ("x y", "2"), ("", "1")]);
    let b = part(folder.path(), "b", &[("z", "2"), ("z", "2"), ("new é", "1")]);
    let c = part(folder.path(), "c", &[("z", "2"), ("new é", "3")]);
    let found = inspect(vec![a, b, c], 0, 0, &mut |_| {}).unwrap();
    let counts = |i: usize| {
        let part = &found.parts[i];
        (part.documents, part.empty, part.duplicates, part.overlaps.clone())
    };
    assert_eq!(counts(0), (5, 1, 2, vec![]));
    // The second z of b is a duplicate within b; it is not counted against a once more.
    assert_eq!(counts(1), (3, 0, 1, vec![("a".into(), 1)]));
    assert_eq!(counts(2), (2, 0, 0, vec![("a".into(), 1), ("b".into(), 1)]));
    assert_eq!(found.contradictions, 2, "`x y` is 1 and 2, `new é` 1 and 3");
    assert_eq!(found.parts[0].labels, [("1".into(), 3), ("2".into(), 2)]);
    let words = found.parts.iter().map(|part| part.words).sum::<u64>();
    assert_eq!((words, found.parts[1].characters, found.parts[1].bytes), (14, 7, 8));
}

#[test]
fn the_same_seed_draws_the_same_examples_and_every_example_is_as_likely() {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..10).map(|i| i.to_string()).collect();
    let lines: Vec<(&str, &str)> = texts.iter().map(|text| (text.as_str(), "l")).collect();
    let drawn = |seed: u64| {
        let found = inspect(vec![part(folder.path(), "a", &lines)], 3, seed, &mut |_| {}).unwrap();
        let numbers: Vec<u64> = found.parts[0].samples.iter().map(|sample| sample.number).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        for sample in &found.parts[0].samples {
            assert_eq!(sample.text, (sample.number - 1).to_string());
            assert_eq!(sample.label.as_deref(), Some("l"));
        }
        numbers
    };
    assert_eq!(drawn(7), drawn(7));
    let mut counts = [0; 11];
    for seed in 0..1000 {
        drawn(seed).iter().for_each(|&number| counts[number as usize] += 1);
    }
    // Each is drawn 300 times on average, with a standard deviation of 14.5.
    assert!(counts[1..].iter().all(|&count| (230..370).contains(&count)), "{counts:?}");
}

#[test]
fn lengths_fall_into_bins_that_fit_them() {
    let lengths = |words: &[u64]| {
        let mut lengths = Lengths::default();
        words.iter().for_each(|&words| lengths.add(words));
        lengths
    };
    let short = lengths(&[3, 4, 4, 7, 12]);
    assert_eq!(
        short.bins(13),
        [
            (3, 3, 1),
            (4, 4, 2),
            (5, 5, 0),
            (6, 6, 0),
            (7, 7, 1),
            (8, 8, 0),
            (9, 9, 0),
            (10, 10, 0),
            (11, 11, 0),
            (12, 12, 1)
        ]
    );
    assert_eq!(short.bins(3), [(0, 4, 3), (5, 9, 1), (10, 14, 1)]);
    assert_eq!((short.quantile(0.5), short.quantile(0.0), short.quantile(1.0)), (4, 3, 12));
    let long = lengths(&[0, 1, 3, 10_000, 9000]);
    assert_eq!(long.bins(12)[..3], [(0, 0, 1), (1, 1, 1), (2, 3, 1)]);
    assert_eq!(long.bins(12).last(), Some(&(8192, 16_383, 2)));
    assert_eq!((long.quantile(0.5), long.longest()), (3, 10_000));
    assert!(lengths(&[]).bins(5).is_empty());
}
