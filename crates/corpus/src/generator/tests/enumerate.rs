//! All documents of small grammars, made by an interpreter that shares nothing with the generator but the program.

use std::collections::HashMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::generator::program::{Op, Program, State};
use crate::generator::{Grammar, Kind};

/// Every derivation's text and probability.
fn documents(grammar: &Grammar, kind: Kind) -> Vec<(String, f64)> {
    let program = &grammar.program;
    let mut found = Vec::new();
    let start = Op::Call(program.starts[kind as usize].unwrap());
    expand(program, vec![&start], program.initial_state(), String::new(), 1.0, &mut found);
    found
}

/// Follows all choices; `rest` are the steps still to do, the next one last.
fn expand<'p>(
    program: &'p Program,
    mut rest: Vec<&'p Op>,
    mut state: State,
    mut text: String,
    probability: f64,
    found: &mut Vec<(String, f64)>,
) {
    let Some(op) = rest.pop() else {
        found.push((text, probability));
        return;
    };
    match op {
        Op::Literal(literal) => text.push_str(literal),
        Op::Show { slot, form } => text.push_str(&program.forms[*form].texts[usize::from(state[*slot])]),
        Op::Set { slot, value } => state[*slot] = *value,
        Op::Call(rule) => {
            let enabled = program.rules[*rule].alternatives.iter().filter(|a| a.enabled(&state));
            let total: u32 = enabled.clone().map(|a| a.weight).sum();
            for alternative in enabled {
                let mut rest = rest.clone();
                rest.extend(alternative.ops.iter().rev());
                let chosen = probability * f64::from(alternative.weight) / f64::from(total);
                expand(program, rest, state, text.clone(), chosen, found);
            }
            return;
        }
        Op::Pick(pick) => {
            let (distribution, _) = pick.choices(&state).unwrap();
            let weights = &program.distributions[distribution].weights;
            let words =
                (0..weights.len()).filter(|&word| weights[word] > 0 && !pick.excepts(word as u16, &state));
            let total: u32 = words.clone().map(|word| weights[word]).sum();
            for word in words {
                let mut state = state;
                if let Some(slot) = pick.slot {
                    state[slot] = word as u16;
                }
                let text = format!("{text}{}", program.forms[pick.form].texts[word]);
                let chosen = probability * f64::from(weights[word]) / f64::from(total);
                expand(program, rest.clone(), state, text, chosen, found);
            }
            return;
        }
    }
    expand(program, rest, state, text, probability, found);
}

/// Checks everything that is claimed of the probabilities of a grammar, by enumeration.
fn check(source: &str) {
    let grammar = Grammar::parse(source, "tiny").unwrap();
    let all = documents(&grammar, Kind::Stories);
    let texts: HashMap<&str, f64> = all.iter().map(|(text, p)| (text.as_str(), *p)).collect();
    assert_eq!(texts.len(), all.len(), "two derivations write the same text:\n{source}");
    let sum: f64 = texts.values().sum();
    assert!((sum - 1.0).abs() < 1e-9, "the probabilities add up to {sum}:\n{source}");
    let mut entropy = 0.0;
    for (text, p) in &all {
        let log_prob = grammar.log_prob(Kind::Stories, text);
        let log_prob = log_prob.unwrap_or_else(|| panic!("no derivation of {text:?}:\n{source}"));
        assert!((log_prob - p.ln()).abs() < 1e-12, "{text:?}: {log_prob} is not ln {p}:\n{source}");
        entropy -= p * p.ln();
    }
    let computed = grammar.entropy_nats(Kind::Stories);
    assert!((computed - entropy).abs() < 1e-9, "entropy {computed} is not {entropy}:\n{source}");
}

/// Small, but with everything: conditions, exceptions, filters by a slot, joins, weights, an optional end.
const TINY: &str = "
class pronoun: key | they
  she | she
  he | he
class person zipf: name | pron -> pronoun
  Ann, Anna, Una | she
  Bob | he *7
class thing: name | kind | owner
  ball, owl, bat | toy | she
  saw, saw blade | tool | he
slot hero: person
slot friend: person
slot third: person
slot thing: thing
var end: good bad
rule stories
  3 {Hero:person} met {friend:person except hero}. {what}{finale}
  1 {Hero:person where pron=he} was alone.
  2 {Hero:person}, {friend:person except hero} and {third:person except hero, friend} slept.
rule what
  2 {Hero.they} had {a thing:thing where owner=hero.pron}.(~So did {friend}.{end=bad}|~Fine.*3)
  1 [hero.pron=she] She sang to {friend}.
  1 [friend.pron!=he] {Hero} left {friend}, who found {a :thing where kind=tool}.{end=bad}
  1 {Hero.they} waited.
rule finale
  1 [end=good] -
  2 [end=good] ~All was well.
  1 [end=bad] ~Oh.
  1 [end=bad, hero.pron=he] ~Poor {hero}!
";

#[test]
fn probabilities_of_all_documents_add_up_to_one_and_give_the_entropy() {
    check(TINY);
}

#[test]
fn samples_of_a_tiny_grammar_have_its_frequencies() {
    let grammar = Grammar::parse(TINY, "tiny").unwrap();
    let all = documents(&grammar, Kind::Stories);
    let split = crate::generator::Split::Train;
    let in_split: Vec<_> =
        all.iter().filter(|(text, _)| crate::generator::Split::of(text) == split).collect();
    let total: f64 = in_split.iter().map(|(_, p)| p).sum();
    let mut counts: HashMap<String, f64> = HashMap::new();
    let draws = 200_000;
    for document in grammar.documents(Kind::Stories, split, 5).take(draws) {
        *counts.entry(document.text).or_default() += 1.0;
    }
    // Pearson's statistic has the number of documents as its mean, and twice that as its variance.
    let statistic: f64 = in_split
        .iter()
        .map(|(text, p)| {
            let expected = p / total * draws as f64;
            (counts.get(text).copied().unwrap_or(0.0) - expected).powi(2) / expected
        })
        .sum();
    let freedom = in_split.len() as f64 - 1.0;
    assert!(
        statistic < freedom + 5.0 * (2.0 * freedom).sqrt(),
        "{statistic} with {freedom} degrees of freedom"
    );
}

/// Grammars made at random from few pieces, so that many are ambiguous: whatever is accepted must hold what is claimed.
#[test]
fn accepted_random_grammars_are_unambiguous() {
    let pieces = [
        "a",
        "b",
        "ab",
        "ba",
        "~",
        "c",
        "d",
        "{x:w}",
        "{y:w except x}",
        "{x:w}",
        "{x}",
        "{y}",
        "{x.c}",
        "{:w where k=1}",
        "{:w where k=x.k}",
        "(a|b)",
        "(ab|a|)",
        "{v=on}",
        "{:w except x}",
        "{r}",
        "{r}",
        "{r}",
    ];
    let conditions = ["", "", "", "[v=on] ", "[v=off] ", "[x.k=1] ", "[x.k=2] ", "[x.k=2, v=off] "];
    let mut accepted = 0;
    for seed in 0..40_000 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |bound: usize| rng.next_u32() as usize % bound;
        let mut source = "class w: n | k | c\n  a | 1 | q\n  ab | 2 | q\n  bb | 2 | b\n".to_owned();
        source.push_str("slot x: w\nslot y: w\nvar v: off on\nrule stories\n");
        // Every rule uses some of the rules after it, and the first ones of them surely.
        for rule in 0..3 {
            for alternative in 0..1 + below(3) {
                let condition = if rule == 0 { "" } else { conditions[below(conditions.len())] };
                source.push_str(&format!("  {} {condition}", 1 + below(3)));
                if rule == 0 && below(2) == 0 {
                    source.push_str("{x:w}");
                }
                for _ in 0..1 + below(3) {
                    let piece = pieces[below(pieces.len())];
                    source.push_str(&if rule == 2 {
                        piece.replace("{r}", "d")
                    } else {
                        piece.replace("{r}", &format!("{{r{rule}}}"))
                    });
                }
                if alternative == 0 && rule < 2 {
                    source.push_str(&format!("{{r{rule}}}"));
                }
                source.push('\n');
            }
            if rule < 2 {
                source.push_str(&format!("rule r{rule}\n"));
            }
        }
        if Grammar::parse(&source, "random").is_ok() {
            accepted += 1;
            check(&source);
        }
    }
    assert!(accepted >= 500, "only {accepted} grammars were accepted: the test says little");
}
