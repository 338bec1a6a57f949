#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;

use super::super::{Place, Role, Turn};
use super::*;
use crate::records::Field;

/// A folder with files in it, and data that names all of them.
fn data(files: &[(&str, &str)]) -> (tempfile::TempDir, LabelledData) {
    let dir = tempfile::tempdir().unwrap();
    let mut data = LabelledData { held_out: HeldOut::None, ..LabelledData::default() };
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        data.files.push(path);
    }
    (dir, data)
}

fn load(files: &[(&str, &str)], kind: Kind) -> Result<Loaded, CorpusError> {
    data(files).1.load(kind, 0, None)
}

/// The error of a file, without its folder.
fn error(name: &str, text: &str, kind: Kind) -> String {
    let error = load(&[(name, text)], kind).unwrap_err().to_string();
    error[error.find(name).unwrap_or(0)..].to_owned()
}

fn shown(loaded: &Loaded) -> Vec<String> {
    let names = loaded.labels.names();
    let all = |labels: &[usize]| labels.iter().map(|&label| &*names[label]).collect::<Vec<_>>().join("+");
    let show = |example: &Example| {
        let second = example.text_b.as_ref().map_or(String::new(), |text| format!("|{text}"));
        let target = match &example.target {
            Target::None => "-".to_owned(),
            Target::Words(words) => {
                words.iter().map(|word| &example.text[word.clone()]).collect::<Vec<_>>().join("/")
            }
            Target::Class(label) => names[*label].clone(),
            Target::Classes(labels) => all(labels),
            Target::Number(number) => number.to_string(),
            Target::Tags(words) => {
                let word = |word: &super::super::TaggedWord| {
                    format!("{}/{}", &example.text[word.range.clone()], names[word.tag])
                };
                words.iter().map(word).collect::<Vec<_>>().join(" ")
            }
            Target::Text(text) => text.clone(),
            Target::Turns(turns) => {
                turns.iter().map(|turn| format!("{:?}:{}", turn.role, turn.content)).collect()
            }
        };
        format!("{}{second}={target}", example.text)
    };
    loaded.train.iter().map(show).collect()
}

#[test]
fn every_format_gives_the_same_examples() {
    let expected = ["good film=1", "bad, \"film\"=0"];
    let files = [
        ("a.csv", "label,text\r\n1,good film\r\n0,\"bad, \"\"film\"\"\"\r\n"),
        ("a.tsv", "sentence\tlabel\ngood film\t1\nbad, \"film\"\t0\n"),
        (
            "a.jsonl",
            "{\"text\": \"good film\", \"label\": 1}\n{\"label\": \"0\", \"text\": \"bad, \\\"film\\\"\"}\n",
        ),
    ];
    for (name, text) in files {
        let loaded = load(&[(name, text)], Kind::Class).unwrap();
        assert_eq!(shown(&loaded), expected, "{name}");
        assert_eq!(loaded.labels.names(), ["0", "1"], "{name}");
        assert_eq!((loaded.files[0].examples, &*loaded.files[0].label), (2, "label"));
    }
    let loaded = load(&files, Kind::Class).unwrap();
    assert_eq!(shown(&loaded), [expected; 3].concat());
    // The TSV file calls its text a sentence.
    let label = Some(Field::Name("label".into()));
    assert_eq!(loaded.found, Columns { label, ..Columns::default() });
    assert_eq!(loaded.train[5].place, Place { file: 2, line: 2 });
}

fn parquet(path: &Path) {
    let schema = "message rows { required binary text (UTF8); required int64 label; }";
    let file = std::fs::File::create(path).unwrap();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let texts = ["a", "b"].map(ByteArray::from);
    column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[7, 5], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_is_read_and_a_text_of_the_wrong_type_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    parquet(&path);
    let mut data = LabelledData { files: vec![path], held_out: HeldOut::None, ..LabelledData::default() };
    assert_eq!(shown(&data.load(Kind::Class, 0, None).unwrap()), ["a=7", "b=5"]);
    data.columns.text = Some(Field::Name("label".into()));
    data.columns.label = Some(Field::Name("text".into()));
    let error = data.load(Kind::Class, 0, None).unwrap_err().to_string();
    assert!(error.ends_with("a.parquet, row 1: the field `label` is no text: it holds 7"), "{error}");
}

#[test]
fn pairs_several_labels_and_numbers_are_read() {
    let text = "premise,hypothesis,label\na,b,yes\nc,d,no\n";
    assert_eq!(shown(&load(&[("a.csv", text)], Kind::Class).unwrap()), ["a|b=yes", "c|d=no"]);
    let text = "text,labels\na,\"x, y\"\nb,\nc,\"[\"\"y\"\", \"\"x\"\", \"\"y\"\"]\"\n";
    assert_eq!(shown(&load(&[("a.csv", text)], Kind::Classes).unwrap()), ["a=x+y", "b=", "c=x+y"]);
    let text = "{\"text\": \"a\", \"labels\": [\"x\", 3]}\n{\"text\": \"b\", \"labels\": []}\n";
    assert_eq!(shown(&load(&[("a.jsonl", text)], Kind::Classes).unwrap()), ["a=3+x", "b="]);
    let text = "sentence1\tsentence2\tscore\na\tb\t4.25\nc\td\t-1e0\n";
    assert_eq!(shown(&load(&[("a.tsv", text)], Kind::Number).unwrap()), ["a|b=4.25", "c|d=-1"]);
}

#[test]
fn tags_stand_beside_words_or_in_spans() {
    let lists = "{\"tokens\": [\"in\", \"Rome\"], \"ner_tags\": [\"O\", \"B-LOC\"]}\n";
    let spans = "{\"text\": \"in Rome\", \"spans\": [{\"start\": 3, \"end\": 7, \"label\": \"LOC\"}]}\n";
    for text in [lists, spans] {
        assert_eq!(shown(&load(&[("a.jsonl", text)], Kind::Tags).unwrap()), ["in Rome=in/O Rome/B-LOC"]);
    }
    let columns = "words\ttags\nin Rome\tO B-LOC\n";
    assert_eq!(shown(&load(&[("a.tsv", columns)], Kind::Tags).unwrap()), ["in Rome=in/O Rome/B-LOC"]);
    let short = "{\"tokens\": [\"in\", \"Rome\"], \"tags\": [\"O\"]}\n";
    assert_eq!(error("a.jsonl", short, Kind::Tags), "a.jsonl, line 1: there are 2 words and 1 tags");
}

#[test]
fn words_that_are_to_be_tagged_are_a_list_or_a_text() {
    let text = "{\"tokens\": [\"don't\", \"go\"], \"text\": \"x\"}\n{\"tokens\": \"[New York] is\"}\n";
    let expected = ["don't go=don't/go", "[New York] is=[/New/York/]/is"];
    assert_eq!(shown(&load(&[("a.jsonl", text)], Kind::Words).unwrap()), expected);
    let text = "words\n\"[\"\"in\"\", \"\"Rome\"\"]\"\n";
    assert_eq!(shown(&load(&[("a.csv", text)], Kind::Words).unwrap()), ["in Rome=in/Rome"]);
}

#[test]
fn prompts_chats_and_texts_to_write_are_read() {
    let text = "{\"instruction\": \"Add\", \"input\": \"1 2\", \"output\": \"3\"}\n{\"instruction\": \"Say a\", \"input\": \"\", \"output\": \"a\"}\n";
    let expected = ["Add\n\n1 2=User:Add\n\n1 2Assistant:3", "Say a=User:Say aAssistant:a"];
    assert_eq!(shown(&load(&[("a.jsonl", text)], Kind::Turns).unwrap()), expected);
    let text = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]}\n";
    let loaded = load(&[("a.jsonl", text)], Kind::Turns).unwrap();
    let turns = vec![Turn::new(Role::User, "a"), Turn::new(Role::Assistant, "b")];
    assert_eq!((&*loaded.train[0].text, &loaded.train[0].target), ("a", &Target::Turns(turns)));
    let text = "source,target\na,b\n";
    assert_eq!(shown(&load(&[("a.csv", text)], Kind::Text).unwrap()), ["a=b"]);
    let error = error("a.csv", "source,target\na,\n", Kind::Text);
    assert_eq!(error, "a.csv, line 2: the field `target` is empty: there is nothing to say");
}

#[test]
fn labels_may_be_called_otherwise_than_they_are_written() {
    let (_dir, mut data) = data(&[("a.csv", "text,label\na,1\nb,0\n")]);
    data.columns.values = [("0", "negative"), ("1", "positive")].map(|(a, b)| (a.into(), b.into())).into();
    let loaded = data.load(Kind::Class, 0, None).unwrap();
    assert_eq!(shown(&loaded), ["a=positive", "b=negative"]);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let ragged = "text,label\na,1\nb\n";
    assert_eq!(error("a.csv", ragged, Kind::Class), "a.csv, line 3: 1 field where there should be 2");
    let empty = "text,label\na,1\n \t,0\n";
    let expected = "a.csv, line 3: the text (field `text`) is empty";
    assert_eq!(error("a.csv", empty, Kind::Class), expected);
    let unlabelled = "text,label\na,1\nb,\n";
    assert_eq!(
        error("a.csv", unlabelled, Kind::Class),
        "a.csv, line 3: there is no label: the field `label` is empty"
    );
    let expected = "a.csv, line 2: the label `good` (field `score`) is no finite number";
    assert_eq!(error("a.csv", "text,score\na,good\n", Kind::Number), expected);
    assert!(error("a.csv", "text,score\na,nan\n", Kind::Number).ends_with("is no finite number"));
    let list = "{\"text\": \"a\", \"label\": [\"x\"]}\n";
    assert!(error("a.jsonl", list, Kind::Class).contains("line 1: the label (field `label`) is a list"));
    assert!(
        error("a.csv", "text,labels\na,[x\n", Kind::Classes).contains("the field `labels` is no JSON list")
    );
    assert!(
        error("a.csv", "a,b\n1,2\n", Kind::Class)
            .contains("no column is known to be the label: there are `a`, `b`")
    );
    assert!(error("a.jsonl", "{\"a\": 1}\n", Kind::Class).starts_with("a.jsonl, line 1: no column is known"));
    assert!(error("a.csv", "text,label\n", Kind::Class).contains("holds no example that has a text"));
    assert!(error("a.txt", "text", Kind::Class).contains("is plain text and has no records"));
    let (_dir, mut data) = data(&[("a.csv", "sentence,label\na,1\nb,0\n")]);
    data.columns.text = Some(Field::Name("sentense".into()));
    let error = data.load(Kind::Class, 0, None).unwrap_err().to_string();
    let expected =
        "a.csv: there is no field `sentense`: name one of `sentence`, `label`; did you mean `sentence`?";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn empty_texts_are_left_out_on_request() {
    let (_dir, mut data) = data(&[("a.csv", "text,label\na,1\n,0\nb,0\n")]);
    data.empty_texts = EmptyTexts::Skip;
    let loaded = data.load(Kind::Class, 0, None).unwrap();
    assert_eq!((shown(&loaded), loaded.files[0].skipped), (vec!["a=1".into(), "b=0".into()], 1));
}

#[test]
fn data_that_says_the_same_of_all_texts_is_refused() {
    let expected = "all 2 examples have the label `1`: there is nothing to tell apart; is the right column the label, and is all of the data there?";
    assert_eq!(error("a.csv", "text,label\na,1\nb,1\n", Kind::Class), expected);
    assert!(
        error("a.csv", "text,score\na,1\nb,1.0\n", Kind::Number)
            .starts_with("all 2 examples have the number 1:")
    );
    assert!(
        error("a.csv", "text,labels\na,x\nb,x\n", Kind::Classes)
            .starts_with("all 2 examples have the same labels (x)")
    );
    assert!(
        error("a.csv", "text,labels\na,\nb,\n", Kind::Classes)
            .starts_with("all 2 examples have no label at all")
    );
}

#[test]
fn a_label_that_was_not_trained_on_is_an_error_where_it_is_held_out() {
    let (dir, mut data) = data(&[("a.csv", "text,label\na,positive\nb,negative\n")]);
    let other = dir.path().join("b.csv");
    std::fs::write(&other, "text,label\na,positive\nb,postive\n").unwrap();
    data.held_out = HeldOut::Files(vec![other]);
    let error = data.load(Kind::Class, 0, None).unwrap_err().to_string();
    let expected = "b.csv, line 3: the label `postive` is none of those that are known: negative, positive; did you mean `positive`?";
    assert!(error.ends_with(expected), "{error}");
}

/// Two hundred reviews of two labels, a quarter of them `1`.
fn reviews() -> String {
    let row = |n: usize| format!("review {n},{}\n", usize::from(n.is_multiple_of(4)));
    std::iter::once("text,label\n".to_owned()).chain((0..200).map(row)).collect()
}

#[test]
fn what_is_held_out_is_never_among_what_is_trained_on() {
    let (_dir, mut data) = data(&[("a.csv", &reviews())]);
    data.held_out = HeldOut::Fraction(0.2);
    let loaded = data.load(Kind::Class, 5, None).unwrap();
    assert_eq!((loaded.train.len(), loaded.held_out.len()), (160, 40));
    let ones = loaded.held_out.iter().filter(|example| example.target == Target::Class(1)).count();
    assert_eq!(ones, 10, "each label has its share");
    assert_eq!(loaded.duplicates, Duplicates::default());
    for example in &loaded.held_out {
        assert!(!loaded.train.contains(example), "{example:?}");
    }
    data.examples = 40;
    let fewer = data.load(Kind::Class, 5, None).unwrap();
    assert_eq!(fewer.held_out, loaded.held_out, "fewer examples to train on leave the others as they are");
    assert_eq!(fewer.train.len(), 40);
    assert!(fewer.train.iter().all(|example| loaded.train.contains(example)));
    assert_eq!(fewer.train.iter().filter(|example| example.target == Target::Class(1)).count(), 10);
    data.held_out = HeldOut::Fraction(1.0);
    assert!(matches!(data.load(Kind::Class, 5, None), Err(CorpusError::InvalidFraction(_))));
}

#[test]
fn duplicates_are_counted_and_dropped_from_training_on_request() {
    let (dir, mut data) = data(&[("a.csv", "text,label\na  b,0\nc,1\nd,0\na b,1\n")]);
    let other = dir.path().join("b.csv");
    std::fs::write(&other, "text,label\na b,1\ne,0\n").unwrap();
    data.held_out = HeldOut::Files(vec![other]);
    let loaded = data.load(Kind::Class, 0, None).unwrap();
    assert_eq!(loaded.duplicates, Duplicates { train: vec![0, 3], held_out: vec![0], contradictions: 1 });
    assert_eq!((loaded.train.len(), loaded.dropped), (4, 0));
    data.drop_duplicates = true;
    let loaded = data.load(Kind::Class, 0, None).unwrap();
    assert_eq!((shown(&loaded), loaded.dropped), (vec!["c=1".into(), "d=0".into()], 2));
    assert_eq!(loaded.held_out.len(), 2);
}

#[test]
fn the_folds_of_a_cross_validation_measure_on_every_example_once() {
    let (_dir, mut data) = data(&[("a.csv", &reviews())]);
    let mut tested = Vec::new();
    for number in 0..5 {
        data.fold = Some(FoldOf { number, of: 5 });
        let loaded = data.load(Kind::Class, 5, None).unwrap();
        assert_eq!((loaded.train.len(), loaded.held_out.len(), loaded.test.len()), (160, 0, 40));
        tested.extend(loaded.test.iter().map(|example| example.place.line));
        // What is chosen by is taken from what is trained on.
        let chosen_by = LabelledData { held_out: HeldOut::Fraction(0.25), ..data.clone() };
        let chosen_by = chosen_by.load(Kind::Class, 5, None).unwrap();
        assert_eq!((chosen_by.train.len(), chosen_by.held_out.len()), (120, 40));
        assert_eq!(chosen_by.test, loaded.test);
    }
    tested.sort_unstable();
    assert_eq!(tested, (2..202).collect::<Vec<u64>>());
    for fold in [FoldOf { number: 5, of: 5 }, FoldOf { number: 0, of: 1 }, FoldOf { number: 0, of: 201 }] {
        data.fold = Some(fold);
        assert!(matches!(data.load(Kind::Class, 5, None), Err(CorpusError::NoFold { .. })), "{fold:?}");
    }
}

#[test]
fn what_is_measured_on_in_the_end_is_neither_trained_on_nor_chosen_by() {
    let (dir, mut data) = data(&[("a.csv", &reviews())]);
    data.test = HeldOut::Fraction(0.2);
    data.held_out = HeldOut::Fraction(0.25);
    let loaded = data.load(Kind::Class, 5, None).unwrap();
    let parts = [&loaded.train, &loaded.held_out, &loaded.test];
    assert_eq!(parts.map(Vec::len), [120, 40, 40]);
    let mut lines: Vec<u64> = parts.into_iter().flatten().map(|example| example.place.line).collect();
    lines.sort_unstable();
    assert_eq!(lines, (2..202).collect::<Vec<u64>>(), "each example is in one part");
    let ones = |part: &[Example]| part.iter().filter(|example| example.target == Target::Class(1)).count();
    assert_eq!(parts.map(|part| ones(part)), [30, 10, 10], "each label has its share");
    // What is held out of the rest says nothing of what is tested.
    data.held_out = HeldOut::None;
    assert_eq!(data.load(Kind::Class, 5, None).unwrap().test, loaded.test);
    let other = dir.path().join("b.csv");
    std::fs::write(&other, "text,label\nreview 3,1\nreview 400,0\n").unwrap();
    data.test = HeldOut::Files(vec![other]);
    data.held_out = HeldOut::Fraction(0.25);
    let loaded = data.load(Kind::Class, 5, None).unwrap();
    assert_eq!((loaded.test.len(), loaded.test_files.len(), loaded.all_files().count()), (2, 1, 2));
    let among = [&loaded.test_duplicates, &loaded.chosen_duplicates];
    let twice: usize = among.iter().map(|duplicates| duplicates.held_out.len()).sum();
    let otherwise: usize = among.iter().map(|duplicates| duplicates.contradictions).sum();
    assert_eq!((twice, otherwise), (1, 1), "`review 3` stands in another part, under another label");
    data.drop_duplicates = true;
    let dropped = data.load(Kind::Class, 5, None).unwrap();
    assert_eq!((dropped.dropped, dropped.train.len() + dropped.held_out.len()), (1, 199));
}

#[test]
fn labels_that_training_would_lack_stay_there_and_those_it_lacks_are_named() {
    // Two examples of `b`: a part of more than a half would take both.
    let text = "text,label\n1,a\n2,a\n3,b\n4,b\n5,a\n6,a\n";
    let (_dir, mut data) = data(&[("a.csv", text)]);
    for seed in 0..20 {
        data.held_out = HeldOut::Fraction(0.7);
        assert_eq!(data.load(Kind::Class, seed, None).unwrap().untrained_labels(), [""; 0], "seed {seed}");
    }
    data.held_out = HeldOut::None;
    let known = Labels::new(["a", "b", "c"].map(str::to_owned));
    assert_eq!(data.load(Kind::Class, 0, Some(&known)).unwrap().untrained_labels(), ["c"]);
    let (_dir, mut data) = self::data(&[("a.csv", &format!("{text}7,d\n"))]);
    data.held_out = HeldOut::Fraction(0.4);
    assert_eq!(data.load(Kind::Class, 0, None).unwrap().single_labels(), ["d"]);
    // Of several labels those that are no stratum count too.
    let rows: String = (0..30).map(|n| format!("{n},\"x{}\"\n", if n < 3 { ",y,z" } else { "" })).collect();
    let (_dir, mut data) = self::data(&[("a.csv", &format!("text,labels\n{rows}"))]);
    for seed in 0..20 {
        data.held_out = HeldOut::Fraction(0.9);
        assert_eq!(data.load(Kind::Classes, seed, None).unwrap().untrained_labels(), [""; 0], "seed {seed}");
    }
}

#[test]
fn the_section_reads_as_it_is_written() {
    let text = "files = [\"a.csv\"]\nheld_out = 0.2\ndrop_duplicates = true\nempty_texts = \"skip\"\n\n[columns]\ntext = [\"title\", \"body\"]\nlabel = \"stars\"\n";
    let data: LabelledData = toml::from_str(text).unwrap();
    assert_eq!(
        data.columns.text,
        Some(Field::Joined(vec![Field::Name("title".into()), Field::Name("body".into())]))
    );
    assert_eq!(toml::from_str::<LabelledData>(&toml::to_string(&data).unwrap()).unwrap(), data);
    assert!(
        toml::from_str::<LabelledData>("file = []").unwrap_err().to_string().contains("unknown field `file`")
    );
}

#[test]
fn shared_data_is_read_as_it_is() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let cases = [("sst2/train.tsv", 6920, 2), ("trec/train.jsonl", 5452, 6), ("agnews/train.csv", 9772, 4)];
    for (name, examples, labels) in cases {
        let path = shared.join(name);
        if !path.exists() {
            eprintln!("skipped: {} is not there", path.display());
            return;
        }
        let data = LabelledData { files: vec![path], held_out: HeldOut::None, ..LabelledData::default() };
        let loaded = data.load(Kind::Class, 0, None).unwrap();
        assert_eq!((loaded.train.len(), loaded.labels.len()), (examples, labels), "{name}");
    }
}
