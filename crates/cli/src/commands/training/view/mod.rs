//! Who watches a run: a bar or a screen in the terminal, and an event file for TensorBoard beside either.

mod bar;
mod event_file;
mod tui;

pub(in crate::commands) use bar::Bar;
pub(in crate::commands) use event_file::EventFileView;
pub(in crate::commands) use tui::{Heading, Tui};

use super::pace::Pace;
use firebrand_training::Event;

/// Somebody who watches a run.
pub(in crate::commands) trait View {
    /// Takes in what happened; `pace` knows of it already.
    fn show(&mut self, event: &Event<'_>, pace: &Pace);

    /// The run has ended, well or not: nothing more is drawn.
    fn close(&mut self) {}
}
