//! What the keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::time::{Duration, Instant};

/// How the screen is drawn, as the keys have set it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) logarithmic: bool,
    /// Only the last so many steps; all of them when absent.
    pub(super) window: Option<u64>,
    pub(super) help: bool,
    /// When `q` was pressed last.
    pub(super) quit: Option<Instant>,
}

/// What a key asks of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Nothing,
    Redraw,
    /// Save and stop; once more: stop at once.
    Stop,
}

/// A window of fewer steps shows nothing.
const NARROWEST: u64 = 16;

impl Options {
    /// Takes a key in, at step `step` of a run.
    pub(super) fn key(&mut self, key: KeyEvent, step: u64) -> Request {
        if key.kind == KeyEventKind::Release {
            return Request::Nothing;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Request::Stop,
            _ if control => return Request::Nothing,
            KeyCode::Char('q') => {
                // A key that is held down repeats itself; that must not be the second press that ends all.
                let repeated = self.quit.is_some_and(|at| at.elapsed() < Duration::from_secs(1));
                self.quit = Some(Instant::now());
                return if repeated { Request::Nothing } else { Request::Stop };
            }
            KeyCode::Char('l') => self.logarithmic = !self.logarithmic,
            KeyCode::Char('+' | '=') => {
                let window = self.window.unwrap_or(step);
                self.window = Some((window / 2).max(NARROWEST));
            }
            KeyCode::Char('-') => {
                self.window = self.window.map(|window| window * 2).filter(|&window| window < step);
            }
            KeyCode::Char('z') => self.window = None,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Esc => self.help = false,
            _ => return Request::Nothing,
        }
        Request::Redraw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(options: &mut Options, key: char) -> Request {
        options.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE), 1000)
    }

    #[test]
    fn keys_zoom_and_switch() {
        let mut options = Options::default();
        for (key, window) in [('+', 500), ('+', 250), ('-', 500)] {
            assert_eq!(press(&mut options, key), Request::Redraw);
            assert_eq!(options.window, Some(window));
        }
        press(&mut options, '-');
        assert_eq!(options.window, None, "as wide as the run");
        (0..20).for_each(|_| _ = press(&mut options, '+'));
        assert_eq!(options.window, Some(NARROWEST));
        press(&mut options, 'z');
        press(&mut options, 'l');
        assert_eq!((options.window, options.logarithmic), (None, true));
        assert_eq!(press(&mut options, 'x'), Request::Nothing);
    }

    #[test]
    fn a_held_q_stops_once_and_every_ctrl_c_counts() {
        let mut options = Options::default();
        assert_eq!(press(&mut options, 'q'), Request::Stop);
        assert_eq!(press(&mut options, 'q'), Request::Nothing);
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!([(); 2].map(|()| options.key(ctrl_c, 1)), [Request::Stop; 2]);
    }
}
