//! What goes to the terminal: data to stdout, progress to stderr.

use crate::args::Global;
use crate::exit::usage;
use crate::interrupt;
use crate::screen;
use firebrand_corpus::{Progress, Stage};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Prints one line of data to stdout. A reader that has gone away is an error like any other; `exit` knows it.
pub(crate) fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Writes text to stdout as it comes, without a line end.
pub(crate) fn piece(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// Prints a message to stderr, unless the user wants quiet.
pub(crate) fn say(global: &Global, text: impl std::fmt::Display) {
    if !global.quiet {
        complain(text);
    }
}

/// Prints a message to stderr, quiet or not. That nobody reads it any more must not end a training run, as
/// `eprintln!` would by its panic.
pub(crate) fn complain(text: impl std::fmt::Display) {
    if let Some(text) = screen::keep(text.to_string()) {
        writeln!(std::io::stderr().lock(), "{text}").ok();
    }
}

/// Whether the file that `option` names can be written, before anything is computed for it. `example` is a name for it in a folder.
pub(crate) fn check_writable(option: &str, path: &Path, example: &str) -> anyhow::Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Err(usage(format!(
            "{option} {shown}: is a folder; name a file in it, such as {shown}/{example}"
        )));
    }
    let folder = firebrand_durable::parent(path);
    if !folder.is_dir() {
        let folder = folder.display();
        return Err(usage(format!(
            "{option} {shown}: there is no folder {folder}; make it, or name another"
        )));
    }
    match tempfile::tempfile_in(folder) {
        Ok(_) => Ok(()),
        Err(error) => Err(usage(format!(
            "{option} {shown}: nothing can be written there: {error}; name another folder"
        ))),
    }
}

/// A bar over `len` units on stderr; hidden when quiet or when stderr is no terminal.
pub(crate) fn bar(global: &Global, len: u64, template: &str) -> ProgressBar {
    if interrupt::is_supervised() {
        let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::hidden());
        report(bar.downgrade());
        return bar;
    }
    if global.quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(len);
    let style = ProgressStyle::with_template(template).expect("our templates are well-formed");
    bar.set_style(style.progress_chars("━╸ "));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Tells the program that watches over this one how far a bar is, twice a second: `@progress {"position":…}`, a line
/// each on stderr.
fn report(bar: WeakProgressBar) {
    std::thread::spawn(move || {
        let mut told = None;
        while let Some(bar) = bar.upgrade().filter(|bar| !bar.is_finished()) {
            let position = bar.position();
            if told != Some(position) {
                told = Some(position);
                let progress = serde_json::json!({
                    "position": position, "length": bar.length(), "message": bar.message(),
                });
                complain(format_args!("@progress {progress}"));
            }
            drop(bar);
            std::thread::sleep(Duration::from_millis(500));
        }
    });
}

/// Shows the stages of preparing a corpus.
pub(crate) struct PrepareBar<'a> {
    global: &'a Global,
    shown: Option<(Stage, ProgressBar)>,
}

impl<'a> PrepareBar<'a> {
    pub(crate) fn new(global: &'a Global) -> Self {
        Self { global, shown: None }
    }

    pub(crate) fn update(&mut self, progress: Progress) {
        let current = self.shown.as_ref().map(|(stage, _)| *stage);
        if current != Some(progress.stage) {
            self.finish();
            self.shown = Some((progress.stage, self.begin(progress)));
        }
        if let Some((_, bar)) = &self.shown {
            bar.set_position(progress.bytes);
        }
    }

    fn begin(&self, progress: Progress) -> ProgressBar {
        let name = match progress.stage {
            Stage::Wait => {
                say(
                    self.global,
                    "another process prepares the same text: waiting for it (Ctrl-C stops this one)",
                );
                return ProgressBar::hidden();
            }
            Stage::Scan => "reading ",
            Stage::Encode => "encoding",
        };
        let (before, total) = (progress.bytes_before, progress.total_bytes);
        if before > 0 {
            say(self.global, format!("going on: {} of {} were done", HumanBytes(before), HumanBytes(total)));
        }
        let template = format!("{name} {{bar:30}} {{bytes}}/{{total_bytes}} {{bytes_per_sec}}, {{eta}} left");
        let bar = bar(self.global, total, &template);
        bar.set_position(before);
        // What was done before says nothing about the speed now.
        bar.reset_eta();
        bar
    }

    pub(crate) fn finish(&mut self) {
        if let Some((_, bar)) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

/// A number with thousands separated.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size as people say it: `1.9 GB`; powers of a thousand.
pub(crate) fn size(bytes: u64) -> String {
    let (mut number, mut unit) = (bytes as f64, "B");
    for next in ["KB", "MB", "GB", "TB"] {
        // What would be rounded to a thousand is one of the next unit.
        if number < 999.5 {
            break;
        }
        (number, unit) = (number / 1000.0, next);
    }
    if unit == "B" || number >= 99.95 { format!("{number:.0} {unit}") } else { format!("{number:.1} {unit}") }
}

/// Seconds in words: `12 s`, `3 min 05 s`, `2 h 40 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        let cases =
            [(0, "0 B"), (999, "999 B"), (1_115_394, "1.1 MB"), (99_960, "100 KB"), (999_600, "1.0 MB")];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }
}
