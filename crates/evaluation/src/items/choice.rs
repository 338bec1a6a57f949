//! Questions with answers to choose from.

use crate::suite::Answering;
use firebrand_corpus::CorpusError;
use firebrand_corpus::records::{Format, Record, RecordReader, Value};
use std::path::PathBuf;

/// A question: what comes before, the answers, and which is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What comes before every answer.
    pub context: String,
    /// At least two.
    pub choices: Vec<String>,
    /// The number of the right one.
    pub right: usize,
}

/// The questions of some files in order, in the fields that a task names.
///
/// # Errors
/// A file that cannot be read, a field that is missing or holds something else, fewer than two answers, a right one that is none
/// of them; all with their lines.
pub fn choices(
    files: &[(PathBuf, Format)],
    context: Option<&str>,
    choices: &Answering,
    answer: &str,
) -> Result<Vec<Choice>, CorpusError> {
    let mut all = Vec::new();
    for (path, format) in files {
        let mut reader = RecordReader::open(path, *format)?;
        while let Some(record) = reader.next_record()? {
            all.push(read(&record, context, choices, answer)?);
        }
    }
    Ok(all)
}

fn read(
    record: &Record,
    context: Option<&str>,
    choices: &Answering,
    answer: &str,
) -> Result<Choice, CorpusError> {
    let text = |field: &str| Ok::<String, CorpusError>(record.text(field)?.unwrap_or_default().to_owned());
    let context = context.map(text).transpose()?.unwrap_or_default();
    let choices = match choices {
        Answering::Fields(fields) => fields.iter().map(|field| text(field)).collect::<Result<Vec<_>, _>>()?,
        Answering::List(field) => {
            // A field that is not there is said as for texts.
            let Some(list) = record.get(field) else {
                return record.text(field).and_then(|_| Err(none(record, field)));
            };
            serde_json::from_str::<Vec<String>>(list).map_err(|_| {
                record.error(format!(
                    "the field `{field}` is no list of texts: name a list, or a field for each answer"
                ))
            })?
        }
    };
    if choices.len() < 2 || choices.iter().any(String::is_empty) {
        let found = choices.len();
        return Err(record
            .error(format!("{found} answers, or an empty one: there must be two or more to choose from")));
    }
    let right = right(record, answer, &choices)?;
    Ok(Choice { context, choices, right })
}

fn none(record: &Record, field: &str) -> CorpusError {
    record.error(format!("the field `{field}` is null"))
}

/// A number counts from 0; a text is that of an answer, or else a letter from A, or a number written as text.
fn right(record: &Record, field: &str, choices: &[String]) -> Result<usize, CorpusError> {
    let found = match record.value(field) {
        Some(Value::Other(number)) => number.parse().ok(),
        Some(Value::Text(text)) => choices.iter().position(|choice| choice == text).or_else(|| {
            let mut letters = text.trim().chars();
            match (letters.next(), letters.next()) {
                (Some(letter @ ('A'..='Z' | 'a'..='z')), None) => {
                    Some(usize::from(letter.to_ascii_uppercase() as u8 - b'A'))
                }
                _ => text.trim().parse().ok(),
            }
        }),
        Some(Value::Null) => return Err(none(record, field)),
        None => return record.text(field).and_then(|_| Err(none(record, field))),
    };
    found.filter(|&number: &usize| number < choices.len()).ok_or_else(|| {
        let shown: String = record.get(field).unwrap_or_default().chars().take(40).collect();
        record.error(format!(
            "the field `{field}` says `{shown}`, which is none of the {} answers: write a number from 0, a letter from A or the \
             answer itself",
            choices.len()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_lines(lines: &str, choices: &Answering) -> Result<Vec<Choice>, String> {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("q.jsonl");
        std::fs::write(&path, lines).expect("written");
        super::choices(&[(path, Format::JsonLines)], Some("question"), choices, "answer")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_right_answer_is_a_number_a_letter_or_itself() {
        let list = Answering::List("choices".into());
        for answer in ["1", "\"B\"", "\"b\"", "\"two\"", "\"1\""] {
            let line = format!(r#"{{"question": "q", "choices": ["one", "two"], "answer": {answer}}}"#);
            let expected =
                Choice { context: "q".into(), choices: vec!["one".into(), "two".into()], right: 1 };
            assert_eq!(read_lines(&line, &list), Ok(vec![expected]), "{answer}");
        }
        let fields = Answering::Fields(vec!["a".into(), "b".into()]);
        let found = read_lines(r#"{"question": "q", "a": "x", "b": "A", "answer": "A"}"#, &fields);
        assert_eq!(found.map(|found| found[0].right), Ok(1), "the answer itself comes before letters");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let list = Answering::List("choices".into());
        let cases = [
            (
                r#"{"question": "q", "choices": ["a", "b"], "answer": 2}"#,
                "says `2`, which is none of the 2 answers",
            ),
            (r#"{"question": "q", "choices": ["a"], "answer": 0}"#, "two or more to choose from"),
            (r#"{"question": "q", "choices": "a", "answer": 0}"#, "no list of texts"),
            (r#"{"question": "q", "choises": ["a", "b"], "answer": 0}"#, "did you mean `choises`?"),
            (r#"{"question": "q", "choices": ["a", "b"]}"#, "there is no field `answer`"),
            (r#"{"question": 3, "choices": ["a", "b"], "answer": 0}"#, "`question` is no text"),
        ];
        for (line, part) in cases {
            let error = read_lines(line, &list).expect_err(line);
            assert!(error.contains(part) && error.contains("q.jsonl") && error.contains("line 1"), "{error}");
        }
    }
}
