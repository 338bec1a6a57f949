//! The terminal as a whole screen: entered once, and left on every way out.
//!
//! While it is up, messages for stderr would be printed across it: they are kept, shown in the screen by who draws it,
//! and printed when it is left.

use crate::args::Global;
use crate::exit::usage;
use crate::interrupt;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use std::io::{IsTerminal, Write, stderr, stdin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Whether it is up.
static UP: AtomicBool = AtomicBool::new(false);
/// Held while something is drawn.
static DRAWING: Mutex<()> = Mutex::new(());
static MESSAGES: Mutex<Messages> = Mutex::new(Messages { all: Vec::new(), shown: 0 });

struct Messages {
    all: Vec<String>,
    /// How many of them the screen has shown.
    shown: usize,
}

/// Whether it can be entered.
///
/// # Errors
/// When there is no terminal to draw in, or none that can be drawn in.
pub(crate) fn check(global: &Global) -> anyhow::Result<()> {
    if global.quiet {
        return Err(usage("--tui and --quiet: one asks for a whole screen, the other for nothing"));
    }
    if interrupt::is_supervised() {
        return Err(usage("--tui: another program watches over this one; leave --tui out"));
    }
    if !stderr().is_terminal() {
        return Err(usage("--tui: stderr is no terminal; leave --tui out for a line now and then"));
    }
    // A program without a terminal of its own may still have one to write to.
    if cfg!(unix) && !stdin().is_terminal() && std::fs::File::open("/dev/tty").is_err() {
        return Err(usage("--tui: there is no terminal to read keys from; leave --tui out"));
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Err(usage("--tui: this terminal cannot be drawn in (TERM=dumb); leave --tui out"));
    }
    Ok(())
}

/// Enters it.
///
/// # Errors
/// When there is no terminal to read keys from.
pub(crate) fn enter() -> anyhow::Result<()> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            leave();
            before(info);
        }));
    });
    enable_raw_mode().map_err(|error| usage(format!("--tui: no terminal to read keys from: {error}")))?;
    UP.store(true, Ordering::SeqCst);
    execute!(stderr(), EnterAlternateScreen, Hide).inspect_err(|_| leave())?;
    Ok(())
}

/// Leaves it, wherever the program is; nothing when it is not up. Messages that were kept are printed.
pub(crate) fn leave() {
    if !UP.swap(false, Ordering::SeqCst) {
        return;
    }
    // Lets a frame be finished, but does not wait for a terminal that takes nothing any more, nor for the thread that
    // panics while it draws: itself.
    let started = Instant::now();
    let _turn = loop {
        match DRAWING.try_lock() {
            Ok(turn) => break Some(turn),
            Err(TryLockError::Poisoned(turn)) => break Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) if started.elapsed() > Duration::from_millis(300) => break None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    // Best effort: a terminal that is gone needs no restoring.
    let _ = execute!(stderr(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let messages = std::mem::take(&mut messages().all);
    for message in messages {
        let _ = writeln!(stderr().lock(), "{message}");
    }
}

/// Whether it is up.
pub(crate) fn is_up() -> bool {
    UP.load(Ordering::SeqCst)
}

/// Does what draws, if the screen is up. It stays up until that is done.
pub(crate) fn draw<T>(draw: impl FnOnce() -> T) -> Option<T> {
    let _turn = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    UP.load(Ordering::SeqCst).then(draw)
}

/// Keeps a message if the screen is up; gives it back otherwise.
pub(crate) fn keep(message: String) -> Option<String> {
    let mut messages = messages();
    if !UP.load(Ordering::SeqCst) {
        return Some(message);
    }
    messages.all.push(message.trim().to_string());
    None
}

/// The messages that came since the last call.
pub(crate) fn new_messages() -> Vec<String> {
    let mut messages = messages();
    let new = messages.all[messages.shown.min(messages.all.len())..].to_vec();
    messages.shown = messages.all.len();
    new
}

fn messages() -> std::sync::MutexGuard<'static, Messages> {
    MESSAGES.lock().unwrap_or_else(PoisonError::into_inner)
}
