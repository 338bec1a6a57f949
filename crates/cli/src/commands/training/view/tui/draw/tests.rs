//! What is on the screen, held against pictures of it. `FIREBRAND_BLESS=1` draws them anew.

use super::*;
use crate::commands::training::view::tui::state::Heading;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;
use std::path::Path;

fn heading() -> Heading {
    Heading {
        run: "runs/bard".into(),
        model: "LlamaForCausalLM, 804,096 parameters, on cpu".into(),
        steps: 1000,
    }
}

/// Four hundred steps of a loss that falls and jumps, evaluated every fifty.
fn state() -> State {
    let mut state = State::new(heading(), 0, &[]);
    for step in 1..=400_u64 {
        let smooth = 1.5 + 3.0 * (-(step as f64) / 80.0).exp();
        let jump = ((step * 7919) % 101) as f64 / 101.0 - 0.5;
        state.step(step, smooth + 0.3 * jump, smooth);
        let mut line = json!({"step": step, "lr": 1e-3 * (step as f64 / 100.0).min(1.0),
            "tokens_per_s": 12_000 + (step * 7919) % 500});
        if step % 50 == 0 {
            line["val_loss"] = json!(smooth + 0.1);
            state.say(format!("step {step}: held-out loss {:.4} (best so far)", smooth + 0.1));
        }
        state.logged(line.as_object().expect("an object"));
    }
    state.mean_tokens_per_s = 12_345.6;
    state.seconds_left = Some(92.4);
    state
}

fn moment() -> Moment {
    Moment { seconds: 61.6, peak_bytes: Some(812_345_678), stopping: false }
}

fn picture(state: &State, options: &Options, moment: Moment, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory is a terminal");
    terminal.draw(|frame| draw(frame, state, options, moment, Theme::plain())).expect("drawn");
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_string() + "\n").collect()
}

#[track_caller]
fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/commands/training/view/tui/screens")
        .join(format!("{name}.txt"));
    if std::env::var_os("FIREBRAND_BLESS").is_some() {
        std::fs::write(&path, found).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{}: the screen is now\n{found}", path.display());
}

#[test]
fn screens_of_three_sizes_look_as_they_did() {
    for size in [(80, 24), (120, 40), (20, 5)] {
        let found = picture(&state(), &Options::default(), moment(), size);
        check(&format!("{}x{}", size.0, size.1), &found);
    }
}

#[test]
fn the_keys_change_the_picture() {
    let options = Options { logarithmic: true, window: Some(200), ..Options::default() };
    check("log-zoomed", &picture(&state(), &options, moment(), (80, 24)));
    let options = Options { help: true, ..Options::default() };
    check("help", &picture(&state(), &options, Moment { stopping: true, ..moment() }, (80, 24)));
}

#[test]
fn a_resumed_run_begins_with_its_past() {
    let line = |step: u64| {
        json!({"step": step, "train_loss": 4.0 - step as f64 / 100.0, "lr": 1e-3,
        "tokens_per_s": 1000.0, "val_loss": 4.0})
    };
    let lines: Vec<_> = (1..=300).map(|step| line(step).as_object().expect("an object").clone()).collect();
    let state = State::new(heading(), 200, &lines);
    assert_eq!(state.train.means(0.0, 1000).len(), 200, "what comes after the checkpoint comes again");
    assert_eq!((state.train.last(), state.best), (Some(2.0), Some((1, 4.0))));
}

#[test]
fn no_size_and_no_value_is_too_small_or_too_strange() {
    let strange = || {
        let mut state = State::new(heading(), 0, &[]);
        for (step, loss) in [f64::NAN, f64::INFINITY, -1.0, 0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE]
            .into_iter()
            .enumerate()
        {
            state.step(step as u64, loss, loss);
        }
        state.heading.steps = 0;
        state.seconds_left = Some(f64::INFINITY);
        state
    };
    let mut one = State::new(heading(), 0, &[]);
    one.step(1, 2.5, 2.5);
    for state in [State::new(heading(), 0, &[]), one, strange(), state()] {
        for (logarithmic, help) in [(false, false), (true, true)] {
            let options = Options { logarithmic, help, window: help.then_some(16), ..Options::default() };
            for size in (0..=30).flat_map(|width| (0..=26).map(move |height| (width * 4, height))) {
                picture(&state, &options, moment(), size);
            }
        }
    }
}

#[test]
fn numbers_on_an_axis_tell_their_size() {
    for (value, text) in
        [(0.0, "0"), (3e-4, "3.0e-4"), (1.5, "1.500"), (1234.0, "1234"), (98_700.0, "98.70k"), (1e9, "1.0e9")]
    {
        assert_eq!(number(value), text);
    }
}
