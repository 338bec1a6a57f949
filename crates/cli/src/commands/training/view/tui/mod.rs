//! A run as a screen: its curves while it trains, and keys.
//!
//! A thread of its own draws and reads keys, so that a step of minutes delays neither, and a slow terminal no step:
//! the two share the state, and nobody holds it while writing to the terminal.

mod curves;
mod draw;
mod options;
mod state;

pub(in crate::commands) use state::Heading;

use super::View;
use crate::commands::training::pace::Pace;
use crate::{interrupt, screen};
use draw::{Moment, Theme};
use firebrand_training::{Event, Progress, read_metrics};
use options::{Options, Request};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event;
use state::State;
use std::io::{BufWriter, Stderr, stderr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often is drawn when no key is pressed.
const FRAME: Duration = Duration::from_millis(200);
/// How long a key or the end may wait to be noticed.
const PAUSE: Duration = Duration::from_millis(50);

/// The screen of a run.
pub(in crate::commands) struct Tui {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    closing: AtomicBool,
    started: Instant,
    /// Seconds of training before that.
    before: f64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tui {
    /// Takes the terminal over; the curves of the run in `dir` begin with its past.
    ///
    /// # Errors
    /// When there is no terminal to take, or the past cannot be read.
    pub(in crate::commands) fn new(heading: Heading, dir: &Path, progress: Progress) -> anyhow::Result<Self> {
        let lines = read_metrics(&dir.join("metrics.jsonl"))?;
        let state = Mutex::new(State::new(heading, progress.step, &lines));
        let closing = AtomicBool::new(false);
        let shared = Arc::new(Shared { state, closing, started: Instant::now(), before: progress.seconds });
        screen::enter()?;
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::new(stderr())));
        let thread = terminal.and_then(|terminal| {
            let shared = shared.clone();
            std::thread::Builder::new().name("screen".into()).spawn(move || watch(&shared, terminal))
        });
        let thread = thread.inspect_err(|_| screen::leave())?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl View for Tui {
    fn show(&mut self, event: &Event<'_>, pace: &Pace) {
        let mut state = self.shared.state();
        match event {
            Event::Step(report) => {
                state.step(report.step, report.loss, pace.smoothed());
                state.mean_tokens_per_s = pace.tokens_per_s();
                state.seconds_left = Some(pace.seconds_left());
            }
            Event::Evaluated { step, evaluation, best } => {
                let mark = if *best { " (best so far)" } else { "" };
                state.say(format!("step {step}: held-out loss {:.4}{mark}", evaluation.loss));
            }
            Event::Logged(line) => state.logged(line),
            Event::Saved(step) => state.say(format!("step {step}: checkpoint written")),
        }
    }

    fn close(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has told why; the run goes on.
            let _ = thread.join();
        }
        screen::leave();
    }
}

impl Drop for Tui {
    fn drop(&mut self) {
        self.close();
    }
}

/// Draws and reads keys until the run has ended, or the terminal has gone: training goes on without one.
fn watch(shared: &Shared, mut terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>) {
    let theme = Theme::from_env();
    let mut options = Options::default();
    let mut drawn: Option<Instant> = None;
    while !shared.closing.load(Ordering::Relaxed) {
        if drawn.is_none_or(|at| at.elapsed() >= FRAME) {
            let moment = Moment {
                seconds: shared.before + shared.started.elapsed().as_secs_f64(),
                peak_bytes: firebrand_backend::memory::peak_bytes(),
                stopping: interrupt::is_asked(),
            };
            for message in screen::new_messages() {
                shared.state().say(message);
            }
            let draw =
                || terminal.draw(|frame| draw::draw(frame, &shared.state(), &options, moment, theme)).is_ok();
            if screen::draw(draw) != Some(true) {
                return;
            }
            drawn = Some(Instant::now());
        }
        match event::poll(PAUSE).and_then(|pressed| if pressed { event::read().map(Some) } else { Ok(None) })
        {
            Ok(Some(event::Event::Key(key))) => match options.key(key, shared.state().step) {
                Request::Stop => {
                    interrupt::ask();
                    drawn = None;
                }
                Request::Redraw => drawn = None,
                Request::Nothing => {}
            },
            Ok(Some(_)) => drawn = None,
            Ok(None) => {}
            // No keys to be had; the picture still is.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    // What was typed to the screen is not for the shell.
    while event::poll(Duration::ZERO).is_ok_and(|pressed| pressed && event::read().is_ok()) {}
}
