//! Words with tags: given as two lists, or as a text and spans of it.

use std::ops::Range;

use serde_json::Value;

/// A text, the bytes of its words, and a tag for each.
pub(super) type Tagged = (String, Vec<Range<usize>>, Vec<String>);

/// The words of a list, joined by a space, with tags of a second list.
pub(super) fn from_lists(words: &[String], tags: Vec<String>) -> Result<Tagged, String> {
    if words.len() != tags.len() {
        return Err(format!("there are {} words and {} tags", words.len(), tags.len()));
    }
    let (text, ranges) = joined(words)?;
    Ok((text, ranges, tags))
}

/// The words of a list, joined by a space, and the bytes of each.
pub(super) fn joined(words: &[String]) -> Result<(String, Vec<Range<usize>>), String> {
    let mut text = String::new();
    let mut ranges = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let word = word.trim();
        if word.is_empty() {
            return Err(format!("word {} of {} is empty", index + 1, words.len()));
        }
        if !text.is_empty() {
            text.push(' ');
        }
        ranges.push(text.len()..text.len() + word.len());
        text.push_str(word);
    }
    Ok((text, ranges))
}

/// The words of a text, tagged `B-…`, `I-…` and `O` by spans of its characters: objects with `start`, `end` (the first
/// character behind it) and `label`. A word that a span begins or ends inside of is cut there.
pub(super) fn from_spans(text: &str, spans: &[Value]) -> Result<Tagged, String> {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut marked: Vec<(Range<usize>, String)> = Vec::new();
    for (number, span) in (1..).zip(spans) {
        let place = |name: &str| {
            let character = span.get(name).and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
            let character = character.ok_or_else(|| format!("span {number} has no number `{name}`"))?;
            starts.get(character).copied().ok_or_else(|| {
                format!(
                    "`{name}` of span {number} is {character}, and the text has {} characters",
                    starts.len() - 1
                )
            })
        };
        let range = place("start")?..place("end")?;
        let label = span.get("label").and_then(Value::as_str);
        let label = label.ok_or_else(|| format!("span {number} has no text `label`"))?;
        if text.get(range.clone()).is_none_or(|span| span.trim().is_empty()) {
            return Err(format!("span {number} (`{label}`) holds no word"));
        }
        marked.push((range, label.to_owned()));
    }
    marked.sort_by_key(|(range, _)| range.start);
    if let Some(pair) = marked.windows(2).find(|pair| pair[0].0.end > pair[1].0.start) {
        return Err(format!(
            "two spans overlap: `{}` and `{}`",
            &text[pair[0].0.clone()],
            &text[pair[1].0.clone()]
        ));
    }
    let cuts: Vec<usize> = marked.iter().flat_map(|(range, _)| [range.start, range.end]).collect();
    let ranges = words(text, &cuts);
    let mut begun = None;
    let tags = ranges.iter().map(|word| {
        let span = marked.iter().position(|(range, _)| range.start <= word.start && word.end <= range.end);
        let tag = match span {
            None => "O".to_owned(),
            Some(span) if begun == Some(span) => format!("I-{}", marked[span].1),
            Some(span) => format!("B-{}", marked[span].1),
        };
        begun = span;
        tag
    });
    let tags = tags.collect();
    Ok((text.to_owned(), ranges, tags))
}

/// The bytes of the words of a text: runs of letters and digits, and every other character that is no white space for
/// itself; cut at `cuts` as well.
pub(super) fn words(text: &str, cuts: &[usize]) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut open = false;
    for (at, character) in text.char_indices() {
        let end = at + character.len_utf8();
        let joins = character.is_alphanumeric();
        match words.last_mut() {
            Some(word) if open && joins && !cuts.contains(&at) => word.end = end,
            _ if character.is_whitespace() => {}
            _ => words.push(at..end),
        }
        open = joins;
    }
    words
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown((text, ranges, tags): &Tagged) -> Vec<String> {
        ranges.iter().zip(tags).map(|(range, tag)| format!("{}/{tag}", &text[range.clone()])).collect()
    }

    fn spans(text: &str, spans: Value) -> Result<Tagged, String> {
        from_spans(text, spans.as_array().unwrap())
    }

    #[test]
    fn spans_of_characters_become_tags_of_words() {
        let list = json!([{"start": 10, "end": 18, "label": "LOC"}, {"start": 0, "end": 4, "label": "PER"}]);
        let tagged = spans("Zoë's in (New York).", list).unwrap();
        let expected =
            ["Zoë/B-PER", "'/I-PER", "s/O", "in/O", "(/O", "New/B-LOC", "York/I-LOC", ")/O", "./O"];
        assert_eq!(shown(&tagged), expected);
    }

    #[test]
    fn spans_side_by_side_begin_anew_and_cut_words() {
        let list = json!([{"start": 0, "end": 2, "label": "A"}, {"start": 2, "end": 4, "label": "A"}]);
        assert_eq!(shown(&spans("abcde", list).unwrap()), ["ab/B-A", "cd/B-A", "e/O"]);
    }

    #[test]
    fn spans_that_cannot_be_are_errors() {
        let error = |list: Value| spans("a b", list).unwrap_err();
        assert_eq!(
            error(json!([{"start": 0, "end": 9, "label": "A"}])),
            "`end` of span 1 is 9, and the text has 3 characters"
        );
        assert_eq!(error(json!([{"start": 1, "end": 2, "label": "A"}])), "span 1 (`A`) holds no word");
        assert_eq!(error(json!([{"start": 2, "end": 1, "label": "A"}])), "span 1 (`A`) holds no word");
        assert_eq!(error(json!([{"start": "0", "end": 1}])), "span 1 has no number `start`");
        let overlapping = json!([{"start": 0, "end": 3, "label": "A"}, {"start": 2, "end": 3, "label": "B"}]);
        assert_eq!(error(overlapping), "two spans overlap: `a b` and `b`");
    }

    #[test]
    fn lists_of_words_and_tags_have_one_length() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let tagged = from_lists(&words("in Rome"), words("O B-LOC")).unwrap();
        assert_eq!((tagged.0.as_str(), shown(&tagged)), ("in Rome", words("in/O Rome/B-LOC")));
        assert_eq!(from_lists(&words("in Rome"), words("O")).unwrap_err(), "there are 2 words and 1 tags");
        assert_eq!(from_lists(&words("in  Rome"), words("O O O")).unwrap_err(), "word 2 of 3 is empty");
    }
}
