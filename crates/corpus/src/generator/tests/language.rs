//! What the grammar language means.

use crate::generator::{Grammar, GrammarError, Kind, Split, floor_of};

/// The only document of a grammar without choices, or with choices of one.
fn only_document(source: &str) -> String {
    let grammar = Grammar::parse(source, "g").unwrap();
    assert_eq!(grammar.entropy_nats(Kind::Stories), 0.0);
    let splits = [Split::Train, Split::Validation, Split::Test];
    let found: Vec<_> =
        splits.iter().filter_map(|&split| grammar.document(Kind::Stories, split, 1, 0)).collect();
    assert_eq!(found.len(), 1, "a text is in one split");
    assert_eq!(found[0].log_prob, 0.0);
    found[0].text.clone()
}

#[test]
fn references_show_forms() {
    let text = only_document(
        "class pronoun: key | they | were\n  many | they | were\nclass c: n | many | p -> pronoun\n  owl | &s | many\n\
         slot x: c\nrule stories\n  1 {A x:c} {x.were} {a x}: {x.many} {X.they}\n  +, one\n  + line\n",
    );
    assert_eq!(text, "An owl were an owl: owls They, one line");
}

#[test]
fn articles_follow_the_sound_or_the_column() {
    for (word, expected) in [
        ("apple", "an apple"),
        ("unicorn", "a unicorn"),
        ("hour", "an hour"),
        ("umbrella", "an umbrella"),
        ("house", "a house"),
        ("eucalyptus", "a eucalyptus"),
    ] {
        assert_eq!(only_document(&format!("class c: n\n  {word}\nrule stories\n  1 {{a :c}}\n")), expected);
    }
    let own = "class c: n | article\n  milk | some\nrule stories\n  1 {A :c}\n";
    assert_eq!(only_document(own), "Some milk");
}

#[test]
fn spaces_and_line_breaks_are_kept_where_spelled() {
    assert_eq!(only_document("rule stories\n  1 a{r}c\nrule r\n  1 ~b~\n"), "a b c");
    assert_eq!(only_document("rule stories\n  1 a.\\nb\n"), "a.\nb");
    assert_eq!(only_document("# comment\nrule stories\n\n  1 a{r}b\nrule r\n  1 -\n"), "ab");
}

#[test]
fn a_kind_without_a_rule_has_no_documents() {
    let grammar = Grammar::parse("rule stories\n  1 a\n", "g").unwrap();
    assert!(grammar.documents(Kind::Pairs, Split::Train, 1).next().is_none());
    assert_eq!(grammar.log_prob(Kind::Pairs, "a"), None);
    assert_eq!(grammar.entropy_nats(Kind::Pairs), 0.0);
}

#[test]
fn text_outside_the_language_has_no_probability() {
    let grammar = Grammar::parse("rule stories\n  1 a(b|c)\n", "g").unwrap();
    assert_eq!(grammar.log_prob(Kind::Stories, "ab"), Some(0.5_f64.ln()));
    for text in ["", "a", "abc", "ad", "é"] {
        assert_eq!(grammar.log_prob(Kind::Stories, text), None);
    }
    let error = floor_of(&grammar, "ab\n\nac\n\nxy\n\nab\n").unwrap_err();
    assert_eq!(error, GrammarError::NotInLanguage { index: 3, offset: 8, start: "xy".to_owned() });
    let floor = floor_of(&grammar, "ab\n\nac\n").unwrap();
    assert_eq!((floor.documents, floor.bytes, floor.bits_per_byte()), (2, 4, 0.5));
}

#[test]
fn the_hash_is_that_of_the_files() {
    let hash = |files: &[(&str, &str)]| Grammar::parse_files(files).unwrap().hash().to_owned();
    let one = hash(&[("a", "rule stories\n  1 a\n")]);
    assert_eq!(one.len(), 64);
    assert_eq!(one, hash(&[("b", "rule stories\n  1 a\n")]));
    assert_ne!(one, hash(&[("a", "rule stories\n  1 b\n")]));
    assert_ne!(one, hash(&[("a", "rule stories\n  1 a\n"), ("b", "# more\n")]));
}
