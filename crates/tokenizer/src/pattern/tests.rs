#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

fn pieces_of<'t>(splitter: &Splitter, text: &'t str) -> Vec<&'t str> {
    let mut pieces = Vec::new();
    splitter.for_each_piece(text, |piece| pieces.push(&text[piece]));
    pieces
}

fn pieces(pattern: Pattern, text: &str) -> Vec<&str> {
    pieces_of(&Splitter::new([pattern]).unwrap(), text)
}

fn check(pattern: Pattern, text: &str, expected: &[&str]) {
    assert_eq!(pieces(pattern, text), expected);
}

#[test]
fn gpt2_keeps_the_space_with_the_word_and_cuts_contractions() {
    check(
        Pattern::Gpt2,
        "I've  seen 12,5 €!\n\n ok",
        &["I", "'ve", " ", " seen", " 12", ",", "5", " €!", "\n\n", " ok"],
    );
}

#[test]
fn cl100k_groups_digits_and_ends_lines() {
    check(
        Pattern::Cl100k,
        "IT'S 12345\n\n  (x)",
        &["IT", "'S", " ", "123", "45", "\n\n", " ", " (", "x", ")"],
    );
}

#[test]
fn o200k_cuts_camel_case_and_keeps_contractions() {
    check(
        Pattern::O200k,
        "camelCase HTTPServer's a/b//\n",
        &["camel", "Case", " HTTPServer's", " a", "/b", "//\n"],
    );
}

#[test]
fn no_pattern_is_one_piece() {
    check(Pattern::None, "a b", &["a b"]);
    check(Pattern::None, "", &[]);
}

#[test]
fn a_custom_pattern_keeps_what_it_does_not_match() {
    check(Pattern::Custom("[0-9]".into()), "a12bc", &["a", "1", "2", "bc"]);
    check(Pattern::Custom("(?=b)".into()), "abc", &["a", "bc"]);
}

#[test]
fn patterns_in_turn_cut_each_others_pieces() {
    let splitter = Splitter::new([Pattern::Custom(r"\p{N}".into()), Pattern::Gpt2]).unwrap();
    assert_eq!(pieces_of(&splitter, "in 1984, ok"), ["in", " ", "1", "9", "8", "4", ",", " ok"]);
}

#[test]
fn a_broken_expression_is_an_error_that_shows_it() {
    let error = Splitter::new([Pattern::Custom("(a".into())]).unwrap_err().to_string();
    assert!(error.contains("\"(a\"") && error.contains("regular expression"), "{error}");
}

#[test]
fn known_expressions_are_recognized() {
    for (expression, pattern) in
        [(GPT2, Pattern::Gpt2), (CL100K, Pattern::Cl100k), (O200K, Pattern::O200k)].into_iter().chain(ALIASES)
    {
        assert_eq!(Pattern::from_expression(expression), pattern);
    }
    assert_eq!(Pattern::from_expression("x"), Pattern::Custom("x".into()));
}

/// Texts full of what the patterns treat specially.
fn tricky_text() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        " ",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "\u{a0}",
        "\u{3000}",
        "\u{2028}",
        "\u{85}",
        "'",
        "'s",
        "'S",
        "'ſ",
        "'ll",
        "'lL",
        "'re",
        "'VE",
        "'d",
        "a",
        "bc",
        "A",
        "BC",
        "ǅ",
        "ß",
        "日",
        "本",
        "ʰ",
        "\u{301}",
        "\u{301}\u{302}",
        "1",
        "234",
        "½",
        "४",
        "/",
        "//",
        ".",
        "-_",
        "🦙",
        "👩\u{200d}🚀",
        "\u{0}",
        "é",
        "ن",
        "ſ",
        "K",
        "_",
        "\u{1c}",
        "Internationally",
        "abcdefg",
        "OKay",
        "qwertyZ",
        "@[`{",
    ]);
    prop_oneof![prop::collection::vec(parts, 0..24).prop_map(|parts| parts.concat()), any::<String>()]
}

/// Each scanner, and the expressions that it must find the same pieces as.
fn scanners_and_expressions() -> Vec<(Splitter, Splitter)> {
    let known = [(GPT2, Pattern::Gpt2), (CL100K, Pattern::Cl100k), (O200K, Pattern::O200k)];
    let splitter = |pattern| Splitter::new([pattern]).unwrap();
    known
        .into_iter()
        .chain(ALIASES)
        .map(|(expression, pattern)| (splitter(pattern), splitter(Pattern::Custom(expression.to_owned()))))
        .collect()
}

static SCANNERS_AND_EXPRESSIONS: LazyLock<Vec<(Splitter, Splitter)>> =
    LazyLock::new(scanners_and_expressions);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn scanners_find_the_pieces_of_their_expression(text in tricky_text()) {
        for (scanner, expression) in SCANNERS_AND_EXPRESSIONS.iter() {
            prop_assert_eq!(pieces_of(scanner, &text), pieces_of(expression, &text));
        }
    }

    #[test]
    fn digits_are_taken_out_as_by_their_expression(text in tricky_text()) {
        let digits = Splitter::new([Pattern::Custom(DIGIT.to_owned())]).unwrap();
        let expression = Splitter::new([Pattern::Custom(format!("(?:{DIGIT})"))]).unwrap();
        prop_assert_eq!(pieces_of(&digits, &text), pieces_of(&expression, &text));
    }

    #[test]
    fn pieces_are_the_text(text in any::<String>()) {
        for pattern in [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::None] {
            prop_assert_eq!(pieces(pattern, &text).concat(), text.as_str());
        }
    }
}
