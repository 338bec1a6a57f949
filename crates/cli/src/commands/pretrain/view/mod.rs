//! Who watches a run: a bar or a screen in the terminal, and an event file for TensorBoard beside either.

mod bar;
mod event_file;
mod tui;

pub(super) use bar::Bar;
pub(super) use event_file::EventFileView;
pub(super) use tui::{Heading, Tui};

use super::pace::Pace;
use firebrand_training::Event;

/// Somebody who watches a run.
pub(super) trait View {
    /// Takes in what happened; `pace` knows of it already.
    fn show(&mut self, event: &Event<'_>, pace: &Pace);

    /// The run has ended, well or not: nothing more is drawn.
    fn close(&mut self) {}
}
