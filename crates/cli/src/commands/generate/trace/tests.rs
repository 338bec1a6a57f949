use super::*;
use firebrand_decode::observe::{Candidate, Contrast, Extension, Fate, Proposed, Verdict};
use firebrand_decode::{Event, FinishReason, Generation};
use firebrand_tokenizer::ByteLevelConfig;

/// Special tokens are markup, and so is what it learned.
fn tokenizer() -> Tokenizer {
    let special_tokens = ["<|endoftext|>", "</script>", "\"&'"].map(str::to_owned).to_vec();
    let config = ByteLevelConfig { vocab_size: 280, special_tokens, ..ByteLevelConfig::default() };
    Tokenizer::train_byte_level(["<script>alert(1)</script> <script>"; 9], &config).expect("a tokenizer")
}

fn prompt(tokenizer: &Tokenizer) -> Prompt {
    let text = "<script>\n\t\u{200B}é";
    Prompt::new(Some(text.to_owned()), tokenizer.encode(text))
}

fn step(id: u32, candidates: &[(u32, f64, f64)]) -> Step {
    let candidate =
        |&(id, model, processed): &(u32, f64, f64)| Candidate { id, model, processed, contrast: None };
    Step { sequence: 0, draw: 0, id, candidates: candidates.iter().map(candidate).collect() }
}

fn generation(ids: &[u32], score: f64) -> Generation {
    let log_probs = vec![score / ids.len() as f64; ids.len()];
    Generation { ids: ids.to_vec(), log_probs, score, finish_reason: FinishReason::MaxNewTokens }
}

fn extension(parent: usize, id: u32, sum: f64, fate: Fate) -> Extension {
    Extension { parent, id, log_prob: -1.0, sum, fate }
}

fn page_of(events: &[Event<'_>]) -> String {
    let tokenizer = tokenizer();
    let mut recorded = Recorded::default();
    events.iter().for_each(|event| recorded.add(event));
    let html = page(&recorded, &[prompt(&tokenizer)], Some(&tokenizer));
    assert_well_formed(&html);
    html
}

/// Every element is closed, in order; what text there is, is escaped.
fn assert_well_formed(html: &str) {
    assert!(html.starts_with("<!DOCTYPE html>\n"));
    let (mut open, mut rest) = (Vec::new(), &html["<!DOCTYPE html>".len()..]);
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        let name: String =
            tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(!name.is_empty(), "<{tag}> is no tag");
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed), "closed in another order");
        } else if !tag.ends_with('/') && !["meta", "input"].contains(&name.as_str()) {
            // Neither style nor script is markup inside.
            if ["style", "script"].contains(&name.as_str()) {
                rest = &rest[rest.find(&format!("</{name}>")).expect("it is closed")..];
            }
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
    assert_eq!(html.matches("<script>").count(), 1, "a token became a script");
    assert_eq!(html.matches("</script>").count(), 1);
    for elsewhere in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!html.contains(elsewhere), "{elsewhere}: it needs nothing else");
    }
}

#[test]
fn a_page_of_steps_shows_every_candidate_and_marks_the_chosen_one() {
    let html = page_of(&[
        Event::Chosen(step(3, &[(3, 0.5, 0.625), (1, 0.3, 0.375), (9999, 0.2, 0.0)])),
        Event::Chosen(step(1, &[(1, 1.0, 1.0)])),
    ]);
    assert!(html.contains("&lt;/script&gt;") && html.contains("id 9999"));
    assert_eq!(html.matches("class=\"chosen\"").count(), 2);
    assert_eq!(html.matches("class=\"banned\"").count(), 1);
    for shown in ["50.0 %", "62.5 %", "37.5 %", "data-step=\"t0-1\"", "id=\"t0-1\""] {
        assert!(html.contains(shown), "{shown}");
    }
    // Where processors change nothing there is no column for them: the second step has none.
    assert_eq!(html.matches("After processors").count(), 1);
    assert!(!html.contains("Likeness</th>"));
}

#[test]
fn a_page_of_contrastive_search_shows_likeness_and_score() {
    let mut step = step(3, &[(1, 0.5, 0.5), (3, 0.3, 0.3), (4, 0.2, 0.2)]);
    step.candidates[0].contrast = Some(Contrast { penalty: 0.98765, score: -0.5 });
    step.candidates[1].contrast = Some(Contrast { penalty: 0.25, score: 0.125 });
    let html = page_of(&[Event::Chosen(step)]);
    for shown in ["Likeness</th>", "0.988", "-0.500", "0.125", "<td>–</td>"] {
        assert!(html.contains(shown), "{shown}");
    }
}

#[test]
fn a_page_of_a_search_marks_the_best_path_and_what_was_dropped() {
    let (live, over) = (Fate::Live, Fate::Finished(-2.0));
    let first = vec![extension(0, 3, -1.0, live), extension(0, 1, -1.5, live)];
    let second = vec![
        extension(1, 2, -2.0, over),
        extension(0, 3, -2.5, live),
        extension(0, 4, -3.0, Fate::Dropped),
        extension(0, 5, -3.1, Fate::Dropped),
        extension(0, 6, -3.2, Fate::Dropped),
        extension(0, 7, -3.3, Fate::Dropped),
    ];
    let html = page_of(&[
        Event::Extended { sequence: 0, group: 0, extensions: first },
        Event::Extended { sequence: 0, group: 0, extensions: second },
        Event::Ranked { sequence: 0, generations: &[generation(&[1, 2], -2.0), generation(&[3], -9.0)] },
    ]);
    let boxes = |class: &str| html.matches(&format!("<g class=\"node {class}\">")).count();
    assert_eq!((boxes("best"), boxes("best finished")), (1, 1));
    assert_eq!((boxes("live"), boxes("live overtaken"), boxes("finished")), (1, 1, 0));
    // Only the best of what was dropped is shown.
    assert_eq!(boxes("dropped"), 3);
    assert_eq!(html.matches("<path").count(), 7);
    assert!(html.contains("finished with score -2.0000") && html.contains("score <b>-2.0000</b>"));
}

#[test]
fn a_page_of_speculation_shows_what_was_kept_refused_and_not_looked_at() {
    let proposed = |id, kept| Some(Proposed { id, model: 0.25, draft: 0.5, kept });
    let verdict = |id, proposed| Verdict { step: step(id, &[(id, 0.5, 0.5)]), proposed };
    let html = page_of(&[
        Event::Verified { sequence: 0, proposed: &[], verdicts: vec![verdict(3, None)] },
        Event::Verified {
            sequence: 0,
            proposed: &[3, 1, 5, 6],
            verdicts: vec![verdict(3, proposed(3, true)), verdict(4, proposed(1, false))],
        },
    ]);
    let text = html.split("<main>").nth(1).expect("a text");
    let count = |class: &str| text.matches(&format!("class=\"{class}\"")).count();
    assert_eq!([count("tok kept"), count("tok refused"), count("tok own")], [1, 1, 2]);
    assert_eq!([count("unseen"), count("round")], [2, 2]);
    assert!(text.contains("<b>3</b> tokens in <b>2</b> passes") && text.contains("<b>50.0 %</b> of them"));
    assert!(text.contains("kept with probability 50.0 %. It was refused"));
}

#[test]
fn a_page_of_several_draws_marks_the_best() {
    let drawn = [generation(&[3, 4], -1.0), generation(&[5], -3.0)];
    let html = page_of(&[Event::Ranked { sequence: 0, generations: &drawn }]);
    assert_eq!(html.matches("<li class=\"best\">").count(), 1);
    assert_eq!(html.matches("<li").count(), 2);
    assert!(!html.contains("data-step=\"t0-"), "nothing is known of how they came about");
}

#[test]
fn a_page_of_several_draws_shows_what_there_was_to_choose_for_each() {
    let drawn = [generation(&[3, 4], -1.0), generation(&[5], -3.0)];
    let of =
        |draw, id, other| Event::Chosen(Step { draw, ..step(id, &[(id, 0.5, 0.5), (other, 0.25, 0.25)]) });
    let html =
        page_of(&[of(0, 5, 6), of(1, 3, 7), of(1, 4, 8), Event::Ranked { sequence: 0, generations: &drawn }]);
    assert_eq!(html.matches("data-step=\"t0-").count(), 3);
    let (best, other) = html.split_once("</li>").expect("two texts");
    for (part, ids) in [(best, [7, 8].as_slice()), (other, &[6])] {
        for id in [6, 7, 8] {
            assert_eq!(part.contains(&format!("title=\"id {id}\"")), ids.contains(&id), "candidate {id}");
        }
    }
}

#[test]
fn where_nothing_happened_the_page_says_so() {
    assert!(page_of(&[]).contains("Nothing was generated."));
}

#[test]
fn arguments_are_quoted_for_the_shell() {
    let quoted = ["--top-k", "a b", "it's", ""].map(|argument| quoted(argument.to_owned()));
    assert_eq!(quoted, ["--top-k", "'a b'", "'it'\\''s'", "''"]);
}
