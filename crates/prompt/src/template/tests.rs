use super::*;

fn fields(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn filled(template: &str, values: &[(&str, &str)], answer: &str) -> String {
    Template::parse(template).expect("a template").fill(&fields(values), answer).text
}

fn error(template: &str) -> (usize, usize, String) {
    let error = Template::parse(template).expect_err("no template");
    (error.line, error.column, error.message)
}

#[test]
fn fields_and_blanks_are_filled_wherever_and_however_often_they_stand() {
    let template = Template::parse("[Z]! {text} Yes, [Z]; {text}").expect("a template");
    let filled = template.fill(&fields(&[("text", "Ü")]), "good");
    assert_eq!(filled.text, "good! Ü Yes, good; Ü");
    assert_eq!(filled.answers, [0..4, 14..18]);
    assert!(filled.answers.iter().all(|answer| &filled.text[answer.clone()] == "good"));
    let behind = filled.behind("é ");
    assert!(behind.answers.iter().all(|answer| &behind.text[answer.clone()] == "good"));
}

#[test]
fn what_fields_hold_is_text_and_nothing_else() {
    assert_eq!(filled("{text} [Z]", &[("text", "[Z] {text} }} {if x}")], "a"), "[Z] {text} }} {if x} a");
    assert_eq!(filled("{{text}} [Z] [z] [", &[], "a"), "{text} a [z] [");
}

#[test]
fn conditions_keep_one_part_or_the_other() {
    let template = "{a}{if b} and {b}{else} alone{end}: [Z]";
    assert_eq!(filled(template, &[("a", "1"), ("b", "2")], "x"), "1 and 2: x");
    assert_eq!(filled(template, &[("a", "1"), ("b", "")], "x"), "1 alone: x");
    assert_eq!(filled(template, &[("a", "1")], "x"), "1 alone: x");
    let nested = "{if not a}none{else}{if a = \"x\"}ex{else}{if a != \"y\"}other{end}{end}{end} [Z]";
    for (a, text) in [("", "none b"), ("x", "ex b"), ("y", " b"), ("z", "other b")] {
        assert_eq!(filled(nested, &[("a", a)], "b"), text);
    }
}

#[test]
fn all_fields_are_known_those_of_conditions_too() {
    let template = Template::parse("{b}{if c}{a}{else}{d}{end}[Z]").expect("a template");
    assert_eq!(template.fields().into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

#[test]
fn errors_point_at_the_line_and_column() {
    assert_eq!(
        error("{text} is."),
        (1, 11, "there is no blank: write [Z] where the answer is to stand".into())
    );
    assert_eq!(
        error("ü [Z] {text"),
        (1, 7, "this { has no } on its line: a brace in the text is written {{".into())
    );
    assert_eq!(error("[Z]\n a } b").1, 4);
    assert_eq!(error("[Z]\n a } b").0, 2);
    assert_eq!(error("[Z] {if a} b").1, 5);
    assert_eq!(error("[Z] {end}").1, 5);
    assert_eq!(error("{if a}[Z]{else}b{else}c{end}").1, 17);
    assert!(error("{a b} [Z]").2.starts_with("`a b` is no name of a field"));
    assert!(error("{if a = b}[Z]{end}").2.contains("in quotes"));
    assert!(error("{} [Z]").2.contains("empty"));
    assert!(error("{if} [Z]").2.contains("missing"));
    let shown = Template::parse("[Z]\nab {c").expect_err("no template").to_string();
    assert!(shown.ends_with("\n  ab {c\n     ^"), "{shown}");
}

#[test]
fn no_template_runs_deep() {
    let deep = "{if a}".repeat(10_000) + "[Z]" + &"{end}".repeat(10_000);
    assert!(error(&deep).2.contains("more than 16"));
    let wide = "{if a}[Z]{end}".repeat(10_000);
    assert!(Template::parse(&wide).is_ok());
}

#[test]
fn no_text_makes_the_parser_panic() {
    let pieces = ["{", "}", "[", "[Z]", "ü", "\n", "if ", "else", "end", "a", " ", "=", "\"", "!", "not "];
    // Every text of four pieces.
    for n in 0..pieces.len().pow(4) {
        let text: String = (0..4).map(|i| pieces[n / pieces.len().pow(i) % pieces.len()]).collect();
        match Template::parse(&text) {
            Ok(template) => {
                let filled = template.fill(&Fields::new(), "é");
                assert!(filled.answers.iter().all(|answer| &filled.text[answer.clone()] == "é"), "{text}");
            }
            Err(error) => assert!(error.column <= text.chars().count() + 1, "{text}"),
        }
    }
}
