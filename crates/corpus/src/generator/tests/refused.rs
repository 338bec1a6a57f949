//! Grammars that are refused, and what the error says.

use crate::generator::Grammar;

const WORLD: &str = "class w: n | k
  ann | 1
  anna | 1
  bob | 2
slot x: w
slot y: w
var v: off on
";

/// Checks that the error for `WORLD` followed by `rules` (which begin on line 8) contains `expected`.
fn refused(rules: &str, expected: &str) {
    let error = match Grammar::parse(&format!("{WORLD}{rules}"), "g") {
        Ok(_) => panic!("accepted:\n{rules}"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(expected), "{error:?} does not contain {expected:?}");
}

#[test]
fn alternatives_that_cannot_be_told_apart_are_refused_with_their_lines() {
    refused("rule stories\n  1 a {x:w}.\n  1 a {y:w}.", "rule `stories`: the alternatives on lines 9 and 10");
    refused(
        "rule stories\n  1 {r}{s}\nrule r\n  1 a\n  1 ab\nrule s\n  1 c\n  1 bc",
        "rule `r`: the alternatives on lines 11 and 12",
    );
    assert!(
        Grammar::parse(&format!("{WORLD}rule stories\n  1 {{r}}b\nrule r\n  1 a\n  1 ab\n  1 abb"), "g")
            .is_ok()
    );
    refused("rule stories\n  1 {r}{r}\nrule r\n  1 a\n  1 aa", "lines 11 and 12");
    refused("rule stories\n  1 (a|b|a)", "both can continue with \"a\"");
    refused("rule stories\n  1 {r}{r}\nrule r\n  1 -\n  1 b", "cannot be told apart");
}

#[test]
fn choices_that_leave_no_trace_are_refused() {
    refused("rule stories\n  1 a{r}\nrule r\n  1 {v=on}\n  1 {v=off}", "lines 11 and 12");
    refused("rule stories\n  1 {x:w.k}!", "the words `1` and `1` cannot be told apart");
}

#[test]
fn words_that_run_into_what_follows_are_refused() {
    refused("rule stories\n  1 {:w}(a|)", "the words `ann` and `anna` cannot be told apart");
    // The same words are fine where something else follows.
    assert!(Grammar::parse(&format!("{WORLD}rule stories\n  1 {{:w}}(a|b)"), "g").is_ok());
}

#[test]
fn slots_that_differ_tell_alternatives_apart_and_others_do_not() {
    let rules = "rule stories\n  1 {x:w} {y:w except x} {r}\nrule r\n  1 {x}\n  1 {y}";
    assert!(Grammar::parse(&format!("{WORLD}{rules}"), "g").is_ok());
    refused(&rules.replace(" except x", ""), "lines 11 and 12");
    refused(
        "rule stories\n  1 {x:w} {y:w except x} {r}\nrule r\n  1 {x}\n  1 {x:w except y}",
        "lines 11 and 12",
    );
}

#[test]
fn alternatives_whose_conditions_exclude_each_other_need_no_telling_apart() {
    let rules = "rule stories\n  1 {x:w}(~!{v=on}|?) {r}\nrule r\n  1 [v=on] a\n  1 [v=off] a\n  1 b";
    assert!(Grammar::parse(&format!("{WORLD}{rules}"), "g").is_ok());
}

#[test]
fn recursion_and_deep_nesting_are_refused() {
    refused("rule stories\n  1 a{stories}\n  1 b", "rule `stories` uses itself");
    let mut deep = "rule stories\n  1 {r0}\n".to_owned();
    for rule in 0..100 {
        deep.push_str(&format!("rule r{rule}\n  1 {{r{}}}\n", rule + 1));
    }
    refused(&format!("{deep}rule r100\n  1 a"), "nested deeper");
    refused(&format!("rule stories\n  1 {}a{}", "(".repeat(10_000), ")".repeat(10_000)), "nest deeper");
}

#[test]
fn empty_slots_are_refused() {
    refused("rule stories\n  1 {x}", "g:9: slot `x` may be empty here");
    refused("rule stories\n  1 {r} {x}\nrule r\n  1 {x:w}\n  1 no", "slot `x` may be empty");
    refused("rule stories\n  1 [x.k=1] a\n  1 b", "slot `x` may be empty");
    let known =
        "rule stories\n  1 {r}{s}\nrule r\n  1 {x:w}{v=on}\n  1 no\nrule s\n  1 [v=on] {x}\n  1 [v=off] -";
    assert!(Grammar::parse(&format!("{WORLD}{known}"), "g").is_ok());
}

#[test]
fn situations_without_an_alternative_are_refused() {
    refused("rule stories\n  1 {x:w}{r}\nrule r\n  1 [x.k=1] a", "rule `r` has no alternative when x=bob");
    refused(
        "rule stories\n  1 {x:w where k=2} {:w except x}{:w where k=x.n}",
        "no word passes the filters for `bob`",
    );
    refused("rule stories\n  1 {x:w where k=2} {:w where k=2 except x}", "every word may be excepted");
}

#[test]
fn mistakes_in_the_source_are_named_with_their_line() {
    refused("rule stories\n  1 {z}", "g:9: there is no slot or rule `z`");
    refused("rule stories\n  1 {x:w where c=1}", "g:9: `w` has no column `c`");
    refused("rule stories\n  1 {x:w where k=3}", "no word has `3`");
    refused("rule stories\n  1 {v=maybe}", "`v` has no value `maybe`");
    refused("rule stories\n  0 a", "expected a weight");
    refused("rule stories\n  1 (a|b", "`(` without `)`");
    refused("rule stories\n  1 a)", "`)` without");
    refused("rule stories\n  1 {x", "`{` without `}`");
    refused("rule stories\n  1 [v=on a", "`[` without `]`");
    refused("rule stories\n  1 a\n\\n", "expected class, slot");
    refused("rule stories\n  1 a\\n\\nb", "must follow another character");
    refused("rule stories\nrule r\n  1 a", "rule `stories` has no alternatives");
    refused("rule stories\n  1 a\nrule r\n  1 a", "rule `r` is never used");
    refused("rule other\n  1 a", "there is no rule `stories`");
    refused("slot x: w\nrule stories\n  1 a", "`x` is declared twice");
    refused("class w: n\n  a\nrule stories\n  1 a", "class `w` is declared twice");
    refused("class u: n | k\n  a\nrule stories\n  1 a", "g:9: 1 columns, but `u` has 2");
    refused("wibble", "expected class, slot, var, label or rule");
}
