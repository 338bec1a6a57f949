//! Texts whose words are tagged: each with its spans.

use super::heads::Reader;
use super::input::{Source, Text};
use crate::args::Global;
use crate::commands::tags::cut;
use crate::exit::usage;
use crate::output::line;
use firebrand_corpus::labelled::words_of;
use firebrand_finetune::report::spans_of_tags;
use firebrand_finetune::{likeliest, predict, probabilities};
use firebrand_transformer::{Sequence, TaskKind};
use serde_json::{Value, json};
use std::ops::Range;

/// A word of a text, its tag, and with which probability it has that.
struct Word {
    range: Range<usize>,
    tag: usize,
    probability: f64,
}

/// Prints every text of a source with its spans.
pub(super) fn run(
    reader: &Reader,
    source: &mut dyn Source,
    batch: usize,
    global: &Global,
) -> anyhow::Result<u64> {
    let mut count = 0;
    loop {
        let texts = source.next_chunk(batch)?;
        if texts.is_empty() {
            return Ok(count);
        }
        for (text, words) in texts.iter().zip(tag(reader, &texts, batch)) {
            count += 1;
            if text.first.trim().is_empty() {
                return Err(usage(format!("text {count} is empty: there is nothing to tag")));
            }
            match global.json {
                true => line(as_json(&text.first, &words, &reader.model.head_config().labels))?,
                false => line(marked(&text.first, &words, &reader.model.head_config().labels))?,
            }
        }
    }
}

/// The words of a text: those that it was given as, or else what it is cut into.
fn words(text: &Text) -> Vec<Range<usize>> {
    text.words.clone().unwrap_or_else(|| words_of(&text.first))
}

/// The words of each text, with their tags. A word that begins inside the token of another one has that one's.
fn tag(reader: &Reader, texts: &[Text], batch: usize) -> Vec<Vec<Word>> {
    let Reader { model, tokenizer, frame, longest, .. } = reader;
    let all_words: Vec<Vec<Range<usize>>> = texts.iter().map(words).collect();
    let mut runs = Vec::new();
    for (number, (text, words)) in texts.iter().zip(&all_words).enumerate() {
        let of_text = cut(&text.first, words, tokenizer, *frame, *longest);
        runs.extend(of_text.into_iter().map(|run| (number, run)));
    }
    let sequences: Vec<Sequence<'_>> =
        runs.iter().map(|(_, run)| Sequence { ids: &run.ids, second: None }).collect();
    let outputs = predict(model, &sequences, batch);
    let n_tags = model.head_config().outputs;
    let mut tagged: Vec<Vec<Word>> = texts.iter().map(|_| Vec::new()).collect();
    for ((number, run), outputs) in runs.iter().zip(&outputs) {
        for (place, word) in run.places.iter().zip(run.words.clone()) {
            let Some(place) = place else { continue };
            let probabilities = probabilities(TaskKind::Tagging, &outputs[place * n_tags..][..n_tags]);
            let tag = likeliest(&probabilities);
            let range = all_words[*number][word].clone();
            tagged[*number].push(Word { range, tag, probability: probabilities[tag] });
        }
    }
    tagged
}

/// A span of a text.
struct Marked<'a> {
    bytes: Range<usize>,
    label: String,
    words: &'a [Word],
}

fn spans<'a>(words: &'a [Word], names: &[String]) -> Vec<Marked<'a>> {
    let found = spans_of_tags(words.iter().map(|word| names.get(word.tag).map_or("", String::as_str)));
    let mark = |span: firebrand_finetune::report::Span| {
        let words = &words[span.words];
        Marked { bytes: words[0].range.start..words[words.len() - 1].range.end, label: span.label, words }
    };
    found.into_iter().map(mark).collect()
}

/// Whether the tags are those of spans.
fn of_spans(names: &[String]) -> bool {
    names.iter().any(|name| name == "O")
        && names.iter().any(|name| name.starts_with("B-") || name.starts_with("I-"))
}

/// The text with its spans in brackets, `[New York](LOC)`; where tags are not those of spans, every word with its tag.
fn marked(text: &str, words: &[Word], names: &[String]) -> String {
    let one_line = |text: &str| text.replace(['\n', '\r'], " ");
    if !of_spans(names) {
        let word = |word: &Word| format!("{}/{}", &text[word.range.clone()], names[word.tag]);
        return words.iter().map(word).collect::<Vec<_>>().join(" ");
    }
    let (mut shown, mut done) = (String::new(), 0);
    for Marked { bytes, label, .. } in spans(words, names) {
        shown += &format!("{}[{}]({label})", &text[done..bytes.start], &text[bytes.clone()]);
        done = bytes.end;
    }
    one_line(&(shown + &text[done..]))
}

/// The text, its words, and its spans with offsets in characters; the probability of a span is that of its least certain word.
fn as_json(text: &str, words: &[Word], names: &[String]) -> Value {
    let characters = |byte: usize| text[..byte].chars().count();
    let place = |range: &Range<usize>| (characters(range.start), characters(range.end), &text[range.clone()]);
    let word = |word: &Word| {
        let (start, end, shown) = place(&word.range);
        json!({"start": start, "end": end, "text": shown, "tag": names[word.tag], "probability": word.probability})
    };
    let mut all = json!({"text": text, "words": words.iter().map(word).collect::<Vec<_>>()});
    if of_spans(names) {
        let span = |span: Marked<'_>| {
            let (start, end, shown) = place(&span.bytes);
            let least = span.words.iter().map(|word| word.probability).fold(1.0, f64::min);
            json!({"start": start, "end": end, "text": shown, "label": span.label, "probability": least})
        };
        all["spans"] = spans(words, names).into_iter().map(span).collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(text: &str, tags: &[usize]) -> Vec<Word> {
        let words = words_of(text).into_iter().zip(tags);
        words.map(|(range, &tag)| Word { range, tag, probability: 0.5 + tag as f64 / 10.0 }).collect()
    }

    #[test]
    fn spans_stand_in_brackets_and_their_offsets_are_characters() {
        let names = ["B-LOC", "I-LOC", "O"].map(str::to_owned);
        let text = "Zoë in New York.";
        let words = tagged(text, &[2, 2, 0, 1, 2]);
        assert_eq!(marked(text, &words, &names), "Zoë in [New York](LOC).");
        let json = as_json(text, &words, &names);
        let span = json!({"start": 7, "end": 15, "text": "New York", "label": "LOC", "probability": 0.5});
        assert_eq!(json["spans"], json!([span]));
        assert_eq!(
            json["words"][0],
            json!({"start": 0, "end": 3, "text": "Zoë", "tag": "O", "probability": 0.7})
        );
    }

    #[test]
    fn other_tags_stand_behind_their_words() {
        let names = ["NOUN", "VERB"].map(str::to_owned);
        assert_eq!(marked("dogs bark", &tagged("dogs bark", &[0, 1]), &names), "dogs/NOUN bark/VERB");
    }
}
