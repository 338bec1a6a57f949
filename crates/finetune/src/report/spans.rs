//! Spans of words from their tags, as conlleval and seqeval read them.

use std::ops::Range;

/// Some words that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Which words.
    pub words: Range<usize>,
    /// What they are.
    pub label: String,
}

/// Whether these are the tags of spans: `O`, and what begins with `B-`, `I-`, `E-` or `S-`.
pub(super) fn are_of_spans(names: &[String]) -> bool {
    names.iter().all(|name| name == "O" || split(name).is_some()) && names.iter().any(|name| name != "O")
}

/// The spans that the tags of a text mean. A span begins with `B-` or `S-`, behind `E-` or `S-`, or where another label
/// stands before; so `I-` behind `O` begins one too, as in conlleval.
pub fn spans_of_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    // Whether the word before may be gone on with.
    let mut open = false;
    for (word, tag) in tags.into_iter().enumerate() {
        let Some((part, label)) = split(tag) else {
            open = false;
            continue;
        };
        match spans.last_mut() {
            Some(span) if open && span.label == label && !matches!(part, 'B' | 'S') => {
                span.words.end = word + 1
            }
            _ => spans.push(Span { words: word..word + 1, label: label.to_owned() }),
        }
        open = !matches!(part, 'E' | 'S');
    }
    spans
}

/// `B-LOC`: its part of a span, and what the span is.
fn split(tag: &str) -> Option<(char, &str)> {
    let (part, label) = tag.split_once('-')?;
    let part = match part {
        "B" => 'B',
        "I" => 'I',
        "E" => 'E',
        "S" => 'S',
        _ => return None,
    };
    (!label.is_empty()).then_some((part, label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tags: &str) -> Vec<String> {
        let spans = spans_of_tags(tags.split(' '));
        spans.iter().map(|span| format!("{}{:?}", span.label, span.words)).collect()
    }

    #[test]
    fn spans_begin_and_end_as_in_conlleval() {
        assert_eq!(shown("O B-A I-A O"), ["A1..3"]);
        assert_eq!(shown("B-A B-A I-A"), ["A0..1", "A1..3"], "another one begins");
        assert_eq!(shown("I-A I-A O I-A"), ["A0..2", "A3..4"], "nothing needs to begin a span");
        assert_eq!(shown("B-A I-B I-A"), ["A0..1", "B1..2", "A2..3"], "another label is another span");
        assert_eq!(shown("B-A E-A I-A S-A I-A"), ["A0..2", "A2..3", "A3..4", "A4..5"]);
        assert_eq!(shown("O O"), [""; 0]);
    }
}
