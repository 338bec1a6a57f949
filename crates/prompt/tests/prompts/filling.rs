//! From text to ids: the boundary, what is cut where there is no room, and what is refused.

use crate::calibrating::{fields, prompt};
use firebrand_prompt::filling::{Asked, Filling};
use firebrand_prompt::{Fields, Prompt, PromptError};
use firebrand_tokenizer::{ByteLevelConfig, END_OF_TEXT, Tokenizer};

/// Tokens that carry the space before a word.
pub(crate) fn words() -> Tokenizer {
    let text =
        "the service was great and the room was terrible. It was great. It was terrible. not good not bad "
            .repeat(20);
    let config = ByteLevelConfig {
        vocab_size: 600,
        special_tokens: vec![END_OF_TEXT.into()],
        ..ByteLevelConfig::default()
    };
    Tokenizer::train_byte_level([text.as_str()], &config).expect("a tokenizer")
}

fn ask(
    prompt: &Prompt,
    tokenizer: &Tokenizer,
    most: usize,
    fields: &Fields,
    shots: &[String],
) -> Result<Asked, PromptError> {
    Filling { prompt, template: &prompt.templates[0], tokenizer, most }.ask(0, fields, shots)
}

const SENTIMENT: &str = "text = \"{text} It was [Z].\"\nanswers = [\"great\", \"terrible\"]";

#[test]
fn the_filled_text_is_encoded_whole_and_cut_at_the_first_token_that_differs() {
    let tokenizer = words();
    let prompt = prompt(SENTIMENT);
    let asked = ask(&prompt, &tokenizer, 100, &fields("the service was great"), &[]).expect("a question");
    let question = asked.question;
    assert_eq!(question.candidates[0].ids, tokenizer.encode("the service was great It was great."));
    // The space belongs to the answer's token, and what stands behind it is the same from the end.
    let given = &question.candidates[0].ids[..question.given];
    assert_eq!(given, tokenizer.encode("the service was great It was"));
    assert_eq!(question.given_behind, 1);
    for (candidate, answer) in question.candidates.iter().zip([" great", " terrible"]) {
        let ids = &candidate.ids[candidate.answers[0].clone()];
        assert_eq!(ids, tokenizer.encode(answer));
    }
}

#[test]
fn answers_that_begin_alike_differ_later_and_are_whole_nevertheless() {
    let tokenizer = words();
    let prompt = prompt("text = \"It was [Z]\"\nanswers = [\"not good\", \"not bad\"]");
    let asked = ask(&prompt, &tokenizer, 100, &fields(""), &[]).expect("a question");
    let not = tokenizer.encode("It was not").len();
    assert_eq!(asked.question.given, not, "what both begin with is given");
    let answer = asked.question.candidates[0].answers[0].clone();
    assert_eq!(
        asked.question.candidates[0].ids[answer],
        tokenizer.encode(" not good"),
        "and yet a part of the answer"
    );
}

#[test]
fn fields_are_cut_to_whole_words_until_all_fits_and_the_blank_never() {
    let tokenizer = words();
    let prompt = prompt(SENTIMENT);
    let long = "the room was terrible and ".repeat(20);
    let around = tokenizer.encode(" It was terrible.").len();
    for most in [around + 3, around + 5, around + 40] {
        let asked = ask(&prompt, &tokenizer, most, &fields(long.trim()), &[]).expect("a question");
        assert!(asked.trimmed && asked.question.longest() <= most);
        let text = tokenizer.decode(&asked.question.candidates[1].ids).expect("text");
        let kept = text.strip_suffix(" It was terrible.").expect("the blank is there");
        assert!(long.starts_with(kept) && long[kept.len()..].starts_with(' '), "{kept:?} is whole words");
        // No more is cut than has to be: the next word would not fit.
        let next = long[kept.len() + 1..].find(' ').map_or(long.len(), |end| kept.len() + 1 + end);
        let more = tokenizer.encode(&format!("{} It was terrible.", &long[..next])).len();
        assert!(more > most, "{kept:?} could be longer: {more} of {most}");
    }
    let error =
        ask(&prompt, &tokenizer, around - 1, &fields("the room"), &[]).expect_err("no room").to_string();
    assert!(
        error.contains("input 1 has") && error.contains("what stands around the fields is too long"),
        "{error}"
    );
}

#[test]
fn the_file_says_which_fields_are_cut_and_at_which_end() {
    let tokenizer = words();
    let two: Fields = [("a", "the room was terrible"), ("b", "the service was great")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let filled = |rest: &str| {
        let prompt = prompt(&format!("text = \"{{a}} {{b}} [Z]\"\nanswers = [\"good\", \"bad\"]\n{rest}"));
        let most = tokenizer.encode("the room was terrible the service was great good").len() - 2;
        let asked = ask(&prompt, &tokenizer, most, &two, &[]).map_err(|error| error.to_string())?;
        Ok::<String, String>(tokenizer.decode(&asked.question.candidates[0].ids).expect("text"))
    };
    assert!(filled("trim = [\"b\"]").expect("fits").starts_with("the room was terrible the service "));
    assert!(filled("trim = [\"a\"]").expect("fits").ends_with(" the service was great good"));
    assert!(filled("trim = []").expect_err("nothing may be cut").contains("let a field be cut by `trim`"));
}

#[test]
fn the_end_of_a_field_is_kept_on_request() {
    let tokenizer = words();
    let prompt = prompt("text = \"{text} [Z]\"\nanswers = [\"good\", \"bad\"]\ntrim_end = \"first\"");
    let long = "the room was terrible and the service was great and the room was terrible";
    let most = tokenizer.encode(&format!("{long} good")).len() - 2;
    let asked = ask(&prompt, &tokenizer, most, &fields(long), &[]).expect("fits");
    let text = tokenizer.decode(&asked.question.candidates[0].ids).expect("text");
    let kept = text.strip_suffix(" good").expect("the blank is there");
    assert!(kept.len() < long.len() && long.ends_with(&format!(" {kept}")), "{kept:?} is whole words");
    assert!(kept.contains("the service was great"), "no more is cut than has to be: {kept:?}");
}

#[test]
fn demonstrations_are_left_out_before_a_field_is_cut() {
    let tokenizer = words();
    let prompt = prompt(SENTIMENT);
    let shots =
        ["the room was terrible It was terrible.", "the service was great It was great."].map(String::from);
    let asked = |most: usize| {
        ask(&prompt, &tokenizer, most, &fields("the service was great"), &shots).expect("a question")
    };
    let all = asked(200);
    assert_eq!((all.demonstrations, all.trimmed), (2, false));
    let text = tokenizer.decode(&all.question.candidates[0].ids).expect("text");
    assert_eq!(text, format!("{}\n\n{}\n\nthe service was great It was great.", shots[0], shots[1]));
    let some = asked(all.question.longest() - 1);
    assert_eq!((some.demonstrations, some.trimmed), (1, false));
    let text = tokenizer.decode(&some.question.candidates[0].ids).expect("text");
    assert!(text.starts_with(&shots[1]), "the last one stays: {text}");
    let none = asked(tokenizer.encode("the service was great It was terrible.").len() - 1);
    assert_eq!((none.demonstrations, none.trimmed), (0, true));
}

#[test]
fn as_many_demonstrations_stay_as_there_is_room_for() {
    let tokenizer = words();
    let prompt = prompt(SENTIMENT);
    let short = "the room was terrible It was terrible.";
    let shots: Vec<String> = std::iter::once("the room was great and ".repeat(40))
        .chain(std::iter::repeat_n(short.to_owned(), 8))
        .collect();
    let most = tokenizer.encode(&format!("{}\n\nthe room It was terrible.", [short; 8].join("\n\n"))).len();
    let asked =
        |most: usize| ask(&prompt, &tokenizer, most, &fields("the room"), &shots).expect("a question");
    assert_eq!(asked(most).demonstrations, 8, "the long one alone is left out");
    assert_eq!(asked(most - 1).demonstrations, 7);
}

#[test]
fn of_several_fields_the_longest_is_cut_until_others_are_as_long() {
    let tokenizer = words();
    let prompt = prompt("text = \"{a} | {b} | {c} [Z]\"\nanswers = [\"good\", \"bad\"]");
    let (long, longer) = ("the room was ".repeat(20), "and the service was ".repeat(40));
    let fields: Fields = [("a", longer.trim()), ("b", "not good"), ("c", long.trim())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let left = |most: usize| -> [usize; 3] {
        let asked = ask(&prompt, &tokenizer, most, &fields, &[]).expect("fits");
        assert!(asked.trimmed && asked.question.longest() <= most);
        let text = tokenizer.decode(&asked.question.candidates[0].ids).expect("text");
        let parts: Vec<&str> = text.strip_suffix(" good").expect("the blank").split(" | ").collect();
        [0, 1, 2].map(|part| tokenizer.encode(parts[part]).len())
    };
    let whole = ["a", "b", "c"].map(|name| tokenizer.encode(&fields[name]).len());
    // While one is the longest, the others stay whole.
    let [a, b, c] = left(whole.iter().sum::<usize>() - 30);
    assert_eq!((b, c), (whole[1], whole[2]));
    assert!(a > c && a < whole[0]);
    // Then both are cut, to whole words of like length.
    let [a, b, c] = left(60);
    assert_eq!(b, whole[1]);
    assert!(a.abs_diff(c) <= 2 && a + c > 40, "{a} and {c}");
}

#[test]
fn what_only_a_condition_asks_is_not_cut() {
    let tokenizer = words();
    let prompt = prompt(
        "text = \"{if kind = \\\"the service was great and the room was great\\\"}{text} It was [Z].{else}[Z]{end}\"\nanswers = [\"good\", \"bad\"]",
    );
    let fields: Fields =
        [("kind", "the service was great and the room was great"), ("text", "the room was terrible")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let most = tokenizer.encode("the room was terrible It was good.").len() - 1;
    let asked = ask(&prompt, &tokenizer, most, &fields, &[]).expect("fits");
    let text = tokenizer.decode(&asked.question.candidates[0].ids).expect("text");
    assert_eq!(text, "the room was It was good.");
}

#[test]
fn a_blank_is_not_cut_away_with_the_field_that_it_depends_on() {
    let tokenizer = words();
    let prompt = prompt("text = \"{if text}{text} It was [Z].{end}\"\nanswers = [\"great\", \"terrible\"]");
    let text = "the room was terrible and the service was great";
    let most = tokenizer.encode("the It was terrible.").len();
    let asked = ask(&prompt, &tokenizer, most, &fields(text), &[]).expect("one word fits");
    assert_eq!(tokenizer.decode(&asked.question.candidates[1].ids).expect("text"), "the It was terrible.");
    let error = ask(&prompt, &tokenizer, most - 1, &fields(text), &[]).expect_err("no room").to_string();
    assert!(error.starts_with(&format!("input 1 has {most} tokens in the template")), "{error}");
}

#[test]
fn a_condition_that_leaves_no_blank_is_refused_with_the_input() {
    let tokenizer = words();
    let prompt = prompt("text = \"{if text}{text} [Z]{end}\"\nanswers = [\"good\", \"bad\"]");
    let error = ask(&prompt, &tokenizer, 100, &fields(""), &[]).expect_err("no blank").to_string();
    assert!(error.starts_with("input 1 leaves the template without a blank"), "{error}");
}

#[test]
fn an_answer_without_a_token_is_noticed() {
    let tokenizer = words();
    let filled =
        |answer| firebrand_prompt::template::Filled { text: "It was good".into(), answers: vec![answer] };
    assert!(firebrand_prompt::filling::encode(&tokenizer, &filled(11..11)).is_none());
    assert!(firebrand_prompt::filling::encode(&tokenizer, &filled(7..11)).is_some());
}

#[test]
fn answers_that_the_tokenizer_does_not_tell_apart_are_refused() {
    let tokenizer = crate::calibrating::characters();
    let prompt = prompt("text = \"{text}[Z]\"\nanswers = [\"ü\", \"ö\"]");
    let error = ask(&prompt, &tokenizer, 100, &fields("x"), &[]).expect_err("both are unknown").to_string();
    assert!(error.starts_with("the answers `ü` and `ö` are the same tokens"), "{error}");
}
