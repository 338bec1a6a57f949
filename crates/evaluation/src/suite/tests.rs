//! What a suite may say.

use super::*;
use std::path::PathBuf;

fn read(text: &str) -> Result<Suite, String> {
    let file: SuiteFile = toml::from_str(text).map_err(|error| error.to_string())?;
    file.check().map_err(|error| error.to_string())
}

fn task(keys: &str) -> Result<Task, String> {
    let suite = read(&format!("[[tasks]]\nname = \"t\"\n{keys}\n"))?;
    Ok(suite.tasks.into_iter().next().expect("one task"))
}

#[test]
fn what_is_left_out_is_as_usual() {
    let suite =
        read("[[tasks]]\nname = \"a\"\nkind = \"perplexity\"\ndata = \"a.txt\"\n").expect("well-formed");
    assert_eq!(suite.bootstrap, Bootstrap { seed: 0, resamples: 1000, confidence: 0.95 });
    assert_eq!(suite.tasks[0].data, [DataSource::File(PathBuf::from("a.txt"))]);
    let pairs = task("kind = \"minimal-pairs\"\ndata = [\"dataset:blimp\"]").expect("well-formed");
    let kind =
        TaskKind::MinimalPairs { good: "sentence_good".into(), bad: "sentence_bad".into(), group: None };
    assert_eq!(pairs.kind, kind);
}

#[test]
fn data_are_files_datasets_or_made_here() {
    let data = |data: &str| task(&format!("kind = \"cloze\"\ndata = \"{data}\"")).map(|task| task.data);
    let split = firebrand_corpus::datasets::SplitName::Validation;
    assert_eq!(data("dataset:sst2/validation"), Ok(vec![DataSource::Dataset { name: "sst2".into(), split }]));
    let (kind, split) =
        (firebrand_corpus::generator::Kind::Stories, firebrand_corpus::generator::Split::Test);
    assert_eq!(data("built-in:stories"), Ok(vec![DataSource::BuiltIn { kind, split }]));
    let wrong = |text: &str, part: &str| {
        let error = data(text).expect_err("no such data");
        assert!(error.contains(part), "{error}");
    };
    wrong("dataset:sst2/tst", "there is no split `tst`; did you mean `test`?: write train, validation, test");
    wrong("built-in:storys", "did you mean `stories`?");
    wrong("built-in:stories/dev", "there is no split `dev`");
    wrong("", "data has an empty name");
}

#[test]
fn a_classification_says_what_is_shown_and_how_answers_are_weighed() {
    let keys = "kind = \"classification\"\ndata = \"a.csv\"\ntemplate = \"t\"\nmeasure = \"calibrated\"\nshots = 2\npool = \"b.csv\"";
    let kind = |more: &str| task(&format!("{keys}\n{more}")).expect("well-formed").kind;
    let wanted = |by: Option<&str>, seed| TaskKind::Classification {
        template: "t".into(),
        label: None,
        measure: Some("calibrated".into()),
        shots: Some(Shots {
            count: 2,
            pool: vec![DataSource::File("b.csv".into())],
            by: by.map(str::to_owned),
            seed,
        }),
    };
    assert_eq!(kind(""), wanted(None, None));
    assert_eq!(kind("shots_by = \"nearest\"\nseed = 7"), wanted(Some("nearest"), Some(7)));
}

#[test]
fn a_mistake_is_named_with_the_way_out() {
    let cases = [
        (
            "kind = \"perplexity\"\ndata = \"a\"\ngood = \"x\"",
            "task `t`: `good` is no key of the kind perplexity, which has text",
        ),
        ("kind = \"cloze\"\ndata = \"a\"\ncontext = \"x\"", "context and target go together"),
        ("kind = \"cloze\"\ndata = \"a\"\ncontext = \"x\"\ntarget = \"y\"\ntext = \"z\"", "either text"),
        ("kind = \"classification\"\ndata = \"a\"", "needs a template"),
        ("kind = \"classification\"\ndata = \"a\"\ntemplate = \"t\"\nshots = 2", "drawn from a pool"),
        ("kind = \"classification\"\ndata = \"a\"\ntemplate = \"t\"\npool = \"b\"", "with shots = N alone"),
        ("kind = \"classification\"\ndata = \"a\"\ntemplate = \"t\"\nseed = 3", "say how many, shots = N"),
        ("kind = \"cloze\"\ndata = \"a\"\nmeasure = \"pmi\"", "`measure` is no key of the kind cloze"),
        ("kind = \"multiple-choice\"\ndata = \"a\"\nchoices = []", "choices is empty"),
        ("kind = \"perplexity\"\ndata = []", "data is empty"),
        ("kind = \"perplexity\"\ndata = 3", "a text or a list of texts"),
        ("kind = \"perplexity\"\ndata = \"a\"\nlimit = 0", "limit = 0 leaves no example"),
        ("kind = \"perplexty\"\ndata = \"a\"", "unknown variant `perplexty`"),
        ("kind = \"perplexity\"\ndata = \"a\"\nlimmit = 2", "unknown field `limmit`"),
    ];
    for (keys, part) in cases {
        let error = task(keys).expect_err(keys);
        assert!(error.contains(part), "{keys}: {error}");
    }
    let two = "[[tasks]]\nname = \"a\"\nkind = \"cloze\"\ndata = \"a\"\n".repeat(2);
    assert_eq!(read(&two), Err("two tasks are called `a`".into()));
    assert!(read("tasks = []").expect_err("nothing").contains("there are no tasks"));
    let of = |key: &str| read(&format!("{key}\n{}", &two[..two.len() / 2])).expect_err(key);
    assert!(of("confidence = 95").contains("a share between 0 and 1"));
    assert!(of("resamples = 1").contains("10 to 1,000,000"));
}
