//! `firebrand generate`.

use crate::support::Scratch;
use serde_json::{Value, json};

pub(crate) fn generate(scratch: &Scratch, options: &[&str]) -> Vec<Value> {
    scratch.run(&[&["generate", "run", "--max-new-tokens", "8", "--json"], options].concat()).json_lines()
}

#[test]
fn greedy_is_what_happens_without_options() {
    let scratch = Scratch::with_run();
    let plain = generate(&scratch, &["--prompt", "Once"]);
    assert_eq!(plain, generate(&scratch, &["--prompt", "Once", "--strategy", "greedy", "--seed", "9"]));
    assert_eq!(plain[0]["prompt"], "Once");
    let ids: Vec<u64> = serde_json::from_value(plain[0]["ids"].clone()).expect("ids");
    assert!(!ids.is_empty() && ids.len() <= 8 && ids.iter().all(|&id| id < 300), "{ids:?}");
    // For people: the prompt and its continuation.
    let text =
        scratch.run(&["generate", "run", "--max-new-tokens", "8", "--prompt", "Once"]).succeeds().stdout;
    assert_eq!(text, format!("Once{}\n", plain[0]["text"].as_str().expect("text")));
}

#[test]
fn samples_repeat_with_their_seed() {
    let scratch = Scratch::with_run();
    let sample =
        |seed: &str| generate(&scratch, &["--prompt", "Once", "--strategy", "sample", "--seed", seed]);
    assert_eq!(sample("1"), sample("1"));
    assert_ne!(sample("1")[0]["ids"], sample("2")[0]["ids"]);
    let likeliest = generate(&scratch, &["--prompt", "Once", "--top-k", "1"]);
    assert_eq!(likeliest[0]["ids"], generate(&scratch, &["--prompt", "Once"])[0]["ids"]);
}

#[test]
fn a_batch_gives_what_its_prompts_give_alone() {
    let scratch = Scratch::with_run();
    let prompts = ["Once", "The fox wanted", "It"];
    for options in [&[][..], &["--repetition-penalty", "1.3"]] {
        let alone: Vec<Value> = prompts
            .iter()
            .flat_map(|prompt| generate(&scratch, &[&["--prompt", prompt], options].concat()))
            .collect();
        let args: Vec<&str> = prompts.iter().flat_map(|&prompt| ["--prompt", prompt]).collect();
        let batch = generate(&scratch, &[&args[..], options].concat());
        let ids = |lines: &[Value]| lines.iter().map(|line| line["ids"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&batch), ids(&alone));
    }
}

#[test]
fn prompts_come_from_ids_and_from_stdin_too() {
    let scratch = Scratch::with_run();
    let by_text = generate(&scratch, &["--prompt", "Once"]);
    let prompt_ids: Vec<String> =
        by_text[0]["prompt_ids"].as_array().expect("ids").iter().map(Value::to_string).collect();
    let by_ids = generate(&scratch, &["--prompt-ids", &prompt_ids.join(",")]);
    assert_eq!(by_ids[0]["ids"], by_text[0]["ids"]);
    assert_eq!(by_ids[0]["prompt"], json!(null));
    let stdin = ["generate", "run", "--max-new-tokens", "8", "--json"];
    let lines = scratch.run_with(&stdin, "Once\nThe fox\n").json_lines();
    assert_eq!(lines, generate(&scratch, &["--prompt", "Once", "--prompt", "The fox"]));
}

#[test]
fn an_empty_prompt_starts_a_document_where_the_model_knows_their_ends() {
    let scratch = Scratch::with_run();
    let line = &generate(&scratch, &["--prompt", ""])[0];
    assert_eq!(line["prompt_ids"], json!([0]));
    scratch.pretrain("chars", &["data.tokenizer=characters", "data.boundary=file"]).succeeds();
    scratch
        .run(&["generate", "chars", "--prompt", ""])
        .fails(2, &["the prompt is empty", "give it some text"]);
}

#[test]
fn what_cannot_be_generated_is_named_before_anything_is_printed() {
    let scratch = Scratch::with_run();
    let check = |args: &[&str], parts: &[&str]| {
        scratch.run(&[&["generate", "run"], args].concat()).fails(2, parts);
    };
    check(&[], &["no prompt: give --prompt TEXT"]);
    check(&["--prompt", "a", "--temperature", "0"], &["temperature 0", "greedy"]);
    check(&["--prompt", "a", "--temperature", "nan"], &["temperature NaN"]);
    check(&["--prompt", "a", "--top-p", "2"], &["top_p 2"]);
    check(&["--prompt", "a", "--top-k", "0"], &["top_k 0"]);
    check(&["--prompt", "a", "--repetition-penalty", "0"], &["repetition penalty 0"]);
    check(&["--prompt", "a", "--strategy", "greedy", "--top-k", "3"], &["--strategy sample"]);
    check(&["--prompt", "a", "--min-new-tokens", "9", "--max-new-tokens", "2"], &["min_new_tokens 9"]);
    check(&["--prompt-ids", "1,300"], &["id 300 at position 1", "vocabulary of 300 tokens"]);
    check(&["--prompt-ids", "x"], &["`x` is no token id"]);
    check(&["--prompt-ids", ""], &["prompt 0 is empty"]);
    check(&["--prompt", &"word ".repeat(100)], &["the model's context holds 16", "shorten it"]);
    scratch.run_with(&["generate", "run"], b"\xff\n").fails(2, &["stdin", "UTF-8"]);
}

#[test]
fn narrow_weights_say_their_size_and_generate_alike() {
    let scratch = Scratch::with_run();
    let plain = generate(&scratch, &["--prompt", "Once", "--prompt", "The fox wanted"]);
    assert_eq!(plain[0]["weights"], "f32");
    for weights in ["bf16", "int8"] {
        let narrow =
            generate(&scratch, &["--prompt", "Once", "--prompt", "The fox wanted", "--weights", weights]);
        assert_eq!(narrow[0]["weights"], weights);
        // A model this small has no close calls in its first token.
        assert_eq!(narrow[0]["ids"][0], plain[0]["ids"][0], "{weights}");
        let ran = scratch.run(&["generate", "run", "--prompt", "Once", "--weights", weights]).succeeds();
        assert!(
            ran.stderr.contains(&format!("weights: {weights}, ")) && ran.stderr.contains("(f32: "),
            "{}",
            ran.stderr
        );
        let quiet = scratch.run(&["generate", "run", "--prompt", "Once", "--weights", weights, "--quiet"]);
        assert_eq!(quiet.succeeds().stderr, "");
    }
    let check = |args: &[&str], parts: &[&str]| {
        scratch.run(&[&["generate", "run", "--prompt", "a"], args].concat()).fails(2, parts);
    };
    check(&["--weights", "int9"], &["int9", "int8"]);
    check(&["--weights", "int8", "--device", "ndarray"], &["--weights int8", "ndarray", "--device cpu"]);
}

#[test]
fn beams_are_ranked_and_one_is_greedy() {
    let scratch = Scratch::with_run();
    let greedy = generate(&scratch, &["--prompt", "Once"]);
    let one = generate(&scratch, &["--prompt", "Once", "--beams", "1"]);
    assert_eq!(one[0]["ids"], greedy[0]["ids"]);
    let found =
        generate(&scratch, &["--prompt", "Once", "--prompt", "There", "--beams", "4", "--n-best", "3"]);
    let ranks: Vec<u64> = found.iter().map(|line| line["rank"].as_u64().expect("a rank")).collect();
    assert_eq!(ranks, [1, 2, 3, 1, 2, 3]);
    for pair in found.chunks(3).flat_map(|ranked| ranked.windows(2)) {
        assert!(pair[0]["score"].as_f64() >= pair[1]["score"].as_f64());
        assert_ne!(pair[0]["ids"], pair[1]["ids"]);
    }
    let shown =
        scratch.run(&["generate", "run", "--prompt", "Once", "--beams", "2", "--n-best", "2"]).succeeds();
    assert!(
        shown.stdout.starts_with("1. score -") && shown.stdout.contains("\n2. score -"),
        "{}",
        shown.stdout
    );
}

#[test]
fn the_best_of_several_draws_is_one_of_them() {
    let scratch = Scratch::with_run();
    for by in ["log-prob", "agreement"] {
        let options =
            ["--prompt", "Once", "--best-of", "5", "--best-by", by, "--temperature", "1.2", "--n-best", "5"];
        let found = generate(&scratch, &options);
        let best = generate(&scratch, &options[..8]);
        assert_eq!((found.len(), &best[0]["ids"]), (5, &found[0]["ids"]));
    }
}

#[test]
fn a_stop_string_ends_a_text_before_it() {
    let scratch = Scratch::with_run();
    let args = ["generate", "run", "--max-new-tokens", "20", "--prompt", "Once"];
    let whole = scratch.run(&args).succeeds().stdout;
    let text = whole.strip_prefix("Once").expect("the prompt comes first").trim_end_matches('\n');
    let stop: String = text.chars().skip(3).take(2).collect();
    let before = &text[..text.find(&stop).expect("taken from it")];
    let stopped = scratch.run(&[&args[..], &["--stop", &stop]].concat()).succeeds().stdout;
    assert_eq!(stopped, format!("Once{before}\n"));
    let line = scratch.run(&[&args[..], &["--stop", &stop, "--json"]].concat()).json();
    assert_eq!((line["text"].as_str(), line["finish_reason"].as_str()), (Some(before), Some("stopped")));
}

#[test]
fn tokens_are_banned_biased_and_forced() {
    let scratch = Scratch::with_run();
    let plain = generate(&scratch, &["--prompt", "Once"]);
    let first = plain[0]["ids"][0].as_u64().expect("an id");
    let banned = generate(&scratch, &["--prompt", "Once", "--ban", &first.to_string()]);
    assert!(!banned[0]["ids"].as_array().expect("ids").iter().any(|id| id.as_u64() == Some(first)));
    let biased = generate(&scratch, &["--prompt", "Once", "--bias", "42=1e6"]);
    assert!(biased[0]["ids"].as_array().expect("ids").iter().all(|id| id.as_u64() == Some(42)));
    let forced = generate(&scratch, &["--prompt", "Once", "--force", " a hen"]);
    assert!(forced[0]["text"].as_str().expect("text").starts_with(" a hen"));
}

#[test]
fn options_of_another_strategy_are_refused() {
    let scratch = Scratch::with_run();
    let fails = |options: &[&str], parts: &[&str]| {
        scratch.run(&[&["generate", "run", "--prompt", "Once"], options].concat()).fails(2, parts);
    };
    fails(&["--strategy", "greedy", "--top-k", "3"], &["--strategy sample"]);
    fails(&["--strategy", "sample", "--beams", "3"], &["--strategy beam"]);
    fails(&["--length-penalty", "1"], &["--length-penalty", "beam"]);
    fails(&["--strategy", "greedy", "--contrastive-k", "3"], &["--contrastive-k", "--strategy contrastive"]);
    fails(&["--contrastive-k", "3", "--top-k", "3"], &["--top-k", "--strategy sample"]);
    fails(&["--contrastive-k", "3", "--best-of", "3"], &["--best-of", "--strategy sample"]);
    fails(&["--contrastive-k", "3", "--beams", "3"], &["--beams", "--strategy beam"]);
    fails(&["--strategy", "contrastive", "--draft", "ngram"], &["--draft", "--strategy speculative"]);
    fails(&["--contrastive-k", "0"], &["contrastive k 0", "greedy"]);
    fails(&["--contrastive-alpha", "1.5"], &["contrastive alpha 1.5", "0, which is greedy, to 1"]);
    fails(&["--contrastive-alpha", "-1"], &["contrastive alpha -1"]);
    fails(&["--beams", "0"], &["beam width 0", "greedy"]);
    fails(&["--beams", "3", "--beam-groups", "2"], &["the number of groups 2", "does not divide"]);
    fails(&["--n-best", "2"], &["n_best 2", "from 1 to 1"]);
    fails(&["--min-p", "1.5"], &["min_p 1.5", "(0, 1]"]);
    fails(&["--mirostat", "0"], &["mirostat target 0", "positive"]);
    fails(&["--mirostat", "2", "--beams", "2"], &["mirostat", "a search has many"]);
    fails(&["--guidance", "nan"], &["--guidance NaN"]);
    fails(&["--negative-prompt", "Once"], &["--guidance"]);
    fails(&["--stop", ""], &["--stop is empty"]);
    fails(&["--ban", "99999"], &["banned id 99999", "vocabulary of 300"]);
    fails(&["--bias", "7"], &["7", "42=-1.5"]);
}

#[test]
fn contrastive_search_is_greedy_with_one_candidate_and_avoids_repetition_with_more() {
    let scratch = Scratch::with_run();
    let prompts = ["--prompt", "Once", "--prompt", "The fox wanted"];
    let greedy = generate(&scratch, &prompts);
    let contrastive = |options: &[&str]| generate(&scratch, &[&prompts[..], options].concat());
    let ids = |lines: &[Value]| lines.iter().map(|line| line["ids"].clone()).collect::<Vec<_>>();
    for one in [["--contrastive-k", "1"], ["--contrastive-alpha", "0"]] {
        assert_eq!(ids(&contrastive(&one)), ids(&greedy), "{one:?}");
    }
    let plain = contrastive(&["--strategy", "contrastive"]);
    assert_ne!(ids(&plain), ids(&greedy));
    assert_eq!(ids(&plain), ids(&contrastive(&["--contrastive-k", "4", "--contrastive-alpha", "0.6"])));
    let alone = generate(&scratch, &["--prompt", "The fox wanted", "--strategy", "contrastive"]);
    assert_eq!(alone[0]["ids"], plain[1]["ids"]);
    let long = contrastive(&["--contrastive-k", "3", "--sliding-window", "--guidance", "1.5"]);
    assert_eq!(ids(&long).len(), 2);
    let streamed = ["generate", "run", "--max-new-tokens", "8", "--prompt", "Once", "--contrastive-k", "4"];
    let text = plain[0]["text"].as_str().expect("text");
    assert_eq!(scratch.run(&streamed).succeeds().stdout, format!("Once{text}\n"));
}

#[test]
fn a_draft_changes_nothing_but_the_time() {
    let scratch = Scratch::with_run();
    scratch.pretrain("draft", &["model.d_model=8", "model.n_heads=1", "training.steps=4"]).succeeds();
    let prompts = ["--prompt", "Once", "--prompt", "The fox wanted"];
    let plain = generate(&scratch, &prompts);
    let ids = |lines: &[Value]| lines.iter().map(|line| line["ids"].clone()).collect::<Vec<_>>();
    for draft in ["draft", "run", "ngram", "ngram:train.txt", "self:1", "self"] {
        let options = [&prompts[..], &["--draft", draft, "--draft-length", "3", "--compare"]].concat();
        let drafted = generate(&scratch, &options);
        assert_eq!(ids(&drafted), ids(&plain), "{draft}");
        let did = &drafted[0]["speculation"];
        assert!(
            did["accepted"].as_u64() <= did["proposed"].as_u64() && did["speedup"].as_f64() > Some(0.0),
            "{did}"
        );
        assert!(draft != "run" || did["acceptance"] == 1.0, "{did}");
    }
    for length in ["1", "auto"] {
        let drafted =
            generate(&scratch, &[&prompts[..], &["--draft", "ngram", "--draft-length", length]].concat());
        assert_eq!(ids(&drafted), ids(&plain), "{length}");
    }
    let args = ["generate", "run", "--max-new-tokens", "8", "--prompt", "Once", "--draft", "draft"];
    let shown = scratch.run(&args).succeeds();
    assert_eq!(shown.stdout, scratch.run(&args[..6]).succeeds().stdout);
    assert!(shown.stderr.contains("of what was looked at accepted"), "{}", shown.stderr);
    // Drawn: the same with the same seed, and something else than without a draft.
    let drawn = || generate(&scratch, &["--prompt", "Once", "--draft", "draft", "--temperature", "1.3"]);
    assert_eq!(drawn()[0]["ids"], drawn()[0]["ids"]);
}

#[test]
fn a_draft_that_does_not_fit_is_refused() {
    let scratch = Scratch::with_run();
    scratch.run(&["tokenizer", "train", "train.txt", "--out", "other", "--vocab-size", "290"]).succeeds();
    scratch.pretrain("other-run", &["data.tokenizer=other"]).succeeds();
    let fails = |options: &[&str], parts: &[&str]| {
        scratch.run(&[&["generate", "run", "--prompt", "Once"], options].concat()).fails(2, parts);
    };
    fails(&["--draft", "other-run"], &["other-run", "tokenizer.json is not that of run"]);
    fails(&["--draft", "run", "--draft-length", "0"], &["draft length 0"]);
    fails(&["--draft", "run", "--beams", "2"], &["--strategy speculative"]);
    fails(&["--strategy", "speculative"], &["needs --draft"]);
    fails(&["--draft", "run", "--draft-length", "many"], &["many", "auto"]);
    fails(&["--draft", "nowhere"], &["nowhere"]);
    fails(&["--draft", "ngram:nowhere.txt"], &["nowhere.txt"]);
    fails(&["--draft", "self:99"], &["self:99", "from 1 to"]);
    fails(&["--compare"], &["--draft"]);
}

#[test]
fn guidance_of_one_changes_nothing_and_more_does() {
    let scratch = Scratch::with_run();
    let prompts = ["--prompt", "The fox wanted", "--prompt", "Once"];
    let ids = |options: &[&str]| -> Vec<Value> {
        generate(&scratch, &[&prompts[..], options].concat()).iter().map(|line| line["ids"].clone()).collect()
    };
    let plain = ids(&[]);
    assert_eq!(ids(&["--guidance", "1", "--negative-prompt", "A girl"]), plain);
    let guided = ids(&["--guidance", "8", "--negative-prompt", "The fox wanted"]);
    assert_ne!(guided, plain);
    assert_eq!(ids(&["--guidance", "8", "--negative-prompt", "The fox wanted", "--draft", "ngram"]), guided);
    assert_eq!(ids(&["--mirostat", "2", "--seed", "3"]), ids(&["--mirostat", "2", "--seed", "3"]));
}

#[test]
fn a_sliding_window_takes_prompts_and_texts_of_any_length() {
    let scratch = Scratch::with_run();
    let long = "word ".repeat(100);
    let options = ["--prompt", &long, "--prompt", "Once", "--sliding-window"];
    let ids = |more: &[&str]| -> Vec<Value> {
        let first = ["generate", "run", "--json", "--max-new-tokens", "50", "--min-new-tokens", "50"];
        let shown = scratch.run(&[&first[..], &options, more].concat()).succeeds();
        let line = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["ids"].clone();
        shown.stdout.lines().map(line).collect()
    };
    let plain = ids(&[]);
    assert!(plain.iter().all(|ids| ids.as_array().is_some_and(|ids| ids.len() == 50)), "{plain:?}");
    assert_eq!(ids(&["--draft", "run", "--draft-length", "3"]), plain);
}

#[test]
fn what_a_constraint_asks_for_is_what_comes() {
    let scratch = Scratch::with_run();
    scratch.write(
        "story.json",
        r#"{"type": "array", "items": {"enum": ["fox", 7]}, "minItems": 1, "maxItems": 2}"#,
    );
    let run = |args: &[&str]| {
        let prompts = ["generate", "run", "--json", "--prompt", "Once", "--prompt", "It"];
        scratch.run(&[&prompts, args].concat()).json_lines()
    };
    for options in [
        &[][..],
        &["--temperature", "2", "--seed", "4"],
        &["--beams", "3", "--n-best", "2"],
        &["--beams", "4", "--beam-groups", "2"],
        &["--best-of", "3"],
        &["--draft", "ngram"],
        &["--draft", "run", "--temperature", "1"],
        &["--min-new-tokens", "12"],
    ] {
        for line in run(&[options, &["--regex", "[A-Z]é?[0-9]{1,2}"]].concat()) {
            let text = line["text"].as_str().expect("text");
            let digits =
                text.trim_start_matches(|char: char| char.is_ascii_uppercase()).trim_start_matches('é');
            assert!(text.starts_with(|char: char| char.is_ascii_uppercase()), "{text}");
            assert!(
                [1, 2].contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()),
                "{text}"
            );
            assert!(["complete", "end-of-text"].contains(&line["finish_reason"].as_str().expect("a reason")));
        }
        for line in run(&[options, &["--json-schema", "story.json"]].concat()) {
            let text = line["text"].as_str().expect("text");
            let items: Vec<Value> = serde_json::from_str(text).expect("an array");
            assert!(
                [1, 2].contains(&items.len()) && items.iter().all(|item| *item == "fox" || *item == 7),
                "{text}"
            );
            assert_eq!(line["finish_reason"], "complete");
        }
    }
    let greedy = run(&["--regex", "[a-z]{4}"]);
    assert_eq!(greedy[0]["ids"], run(&["--regex", "[a-z]{4}", "--draft", "run"])[0]["ids"]);
    // For people, as it comes.
    let plain =
        scratch.run(&["generate", "run", "--prompt", "Once", "--regex", "[a-z]{4}"]).succeeds().stdout;
    assert_eq!(plain, format!("Once{}\n", greedy[0]["text"].as_str().expect("text")));
}

#[test]
fn a_constraint_that_cannot_be_met_is_named() {
    let scratch = Scratch::with_run();
    let check = |code, args: &[&str], parts: &[&str]| {
        scratch.run(&[&["generate", "run", "--prompt", "a"], args].concat()).fails(code, parts);
    };
    check(2, &["--regex", "é(b"], &["--regex", "wrong at character 2", "unclosed group"]);
    check(2, &["--regex", r"a\b"], &["--regex", "word boundary"]);
    check(2, &["--regex", ""], &["--regex", "only the empty text"]);
    check(2, &["--regex", "a", "--json-schema", "s.json"], &["--regex", "--json-schema"]);
    check(2, &["--json-schema", "none.json"], &["--json-schema none.json", "No such file"]);
    scratch.write("s.json", "{\n\"type\": }");
    check(2, &["--json-schema", "s.json"], &["--json-schema s.json", "not JSON", "line 2"]);
    scratch.write("s.json", r#"{"type": "array", "uniqueItems": true}"#);
    check(2, &["--json-schema", "s.json"], &["--json-schema s.json", "uniqueItems"]);
    scratch.write("s.json", [0xFF, 0xFE]);
    check(2, &["--json-schema", "s.json"], &["--json-schema s.json", "UTF-8"]);
    check(1, &["--regex", "A", "--force", "B"], &["the constraint cannot be met"]);
}
