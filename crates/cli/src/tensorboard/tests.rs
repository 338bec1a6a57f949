//! Held against what TensorBoard's own writer makes of the same values.

use super::*;
use serde_json::json;

/// The series of `golden.py`.
fn lines() -> Vec<Line> {
    let lines = [
        json!({"step": 1, "train_loss": 5.545_177, "lr": 0.0, "grad_norm": 1.25, "tokens_per_s": 1234.0,
            "seconds": 0.5}),
        json!({"step": 20, "train_loss": 3.25, "lr": 1e-3, "grad_norm": 0.75, "tokens_per_s": 98765.0,
            "seconds": 2.0, "val_loss": 3.5, "val_bits_per_byte": 2.125}),
        json!({"step": 3_000_000_000_u64, "train_loss": 1e-8, "lr": 3e-4, "grad_norm": 123_456.789,
            "tokens_per_s": 1.0, "seconds": 86400.25}),
    ];
    lines.into_iter().map(|line| line.as_object().expect("an object").clone()).collect()
}

/// The series of `golden.py` begins here.
fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_764_000_000)
}

fn events(bytes: &[u8]) -> Vec<Event> {
    let decode = |record| Event::decode(record).expect("an event");
    records::read(bytes).into_iter().map(decode).collect()
}

#[test]
fn our_events_are_those_that_tensorboards_own_writer_makes() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lines = lines();
    let end = start() + Duration::from_secs_f64(86400.25);
    let file = EventFile::write(dir.path(), &lines, end).expect("written");
    let ours = events(&std::fs::read(file.path()).expect("it is there"));
    let theirs = events(include_bytes!("golden.tfevents"));
    assert_eq!(ours[0].what, theirs[0].what, "the version");
    assert!(matches!(&ours[1].what, Some(What::SessionLog(log)) if log.status == 1));
    assert_eq!(ours[2..], theirs[1..]);
    assert_eq!(ours.len(), 5);
}

#[test]
fn appended_lines_continue_what_was_written_and_the_old_file_is_emptied() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lines = lines();
    let read = |file: &EventFile| events(&std::fs::read(file.path()).expect("it is there"));
    let end = start() + Duration::from_secs(2);
    let mut file = EventFile::write(dir.path(), &lines[..2], end).expect("written");
    file.append(&lines[2]).expect("appended");
    let first = file.path().to_path_buf();
    let appended = read(&file);

    let foreign = folder(dir.path()).join("events.out.tfevents.1.host");
    std::fs::write(&foreign, "somebody else's").expect("written");
    let end = start() + Duration::from_secs_f64(86400.25);
    let again = EventFile::write(dir.path(), &lines, end).expect("written");
    assert_eq!(read(&again), appended, "each step once, at the same time");
    assert!(std::fs::read(&first).expect("TensorBoard may have it open").is_empty() && foreign.exists());
    assert!(again.path().file_name() > first.file_name(), "TensorBoard goes through files by name");
    EventFile::write(dir.path(), &lines, end).expect("written");
    assert!(!first.exists(), "only one empty file is kept");
}

#[test]
fn lines_without_seconds_or_step_and_values_that_are_no_numbers_do_no_harm() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lines: Vec<Line> = [json!({"step": 3, "train_loss": null, "lr": 0.5}), json!({"lr": 0.5})]
        .into_iter()
        .map(|line| line.as_object().expect("an object").clone())
        .collect();
    let file = EventFile::write(dir.path(), &lines, start()).expect("written");
    let events = events(&std::fs::read(file.path()).expect("it is there"));
    let value = Value { tag: "lr".into(), simple_value: Some(0.5) };
    let what = Some(What::Summary(Summary { value: vec![value] }));
    assert_eq!(events[2..], [Event { wall_time: 1_764_000_000.0, step: 3, what }]);
}

#[test]
fn names_put_together_what_belongs_together() {
    for (key, name) in [
        ("train_loss", Some("loss/train")),
        ("val_loss", Some("loss/val")),
        ("val_bits_per_byte", Some("bits_per_byte/val")),
        ("train_generator", Some("loss/train_generator")),
        ("grad_norm", Some("grad_norm")),
        ("tokens_per_s", Some("tokens_per_s")),
        ("step", None),
        ("seconds", None),
    ] {
        assert_eq!(tag(key).as_deref(), name);
    }
}
