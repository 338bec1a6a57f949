//! A pipeline as one sees it at work: a line a stage, and one for the whole.
//!
//! On a terminal stages that are over scroll up, those at work have a bar, and the last line says how long it will take.
//! Elsewhere there is a line when a stage starts, now and then while it works, and when it ends.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::child::{Progress, Sign};
use super::expand::Instance;
use crate::process;

/// Width of a bar, in characters.
const BAR: usize = 12;
/// At most so many stages that wait are shown.
const WAITING_SHOWN: usize = 8;
/// How often a stage says how far it is where there is no terminal.
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// One stage.
#[derive(Debug)]
struct Line {
    name: String,
    threads: usize,
    /// How long it took before, where that is known.
    expected: Option<f64>,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Waiting,
    /// Waits for a process of an earlier pipeline, or works.
    Running {
        since: Instant,
        waits: bool,
        first: Option<(Instant, Progress)>,
        last: Progress,
        reported: Instant,
    },
    Over {
        seconds: f64,
    },
}

impl Line {
    /// How long it will still work at its pace, in seconds.
    fn left_by_progress(&self) -> Option<f64> {
        let Standing::Running { first: Some((at, first)), last, .. } = &self.standing else { return None };
        let made = last.position.checked_sub(first.position).filter(|&made| made > 0)?;
        let to_make = last.length?.saturating_sub(last.position);
        Some(at.elapsed().as_secs_f64() * to_make as f64 / made as f64)
    }
}

/// All stages.
#[derive(Debug)]
pub(super) struct View {
    lines: Vec<Line>,
    /// Longest name.
    width: usize,
    budget: usize,
    screen: Option<Screen>,
}

#[derive(Debug)]
struct Screen {
    bars: MultiProgress,
    /// The lines that are drawn now, the total last.
    drawn: Vec<ProgressBar>,
}

impl View {
    /// Nothing has happened yet. `expected` are the seconds that stages took before.
    pub(super) fn new(instances: &[Instance], expected: &[Option<f64>], budget: usize) -> Self {
        let line = |(instance, expected): (&Instance, &Option<f64>)| Line {
            name: instance.name.clone(),
            threads: instance.threads,
            expected: *expected,
            standing: Standing::Waiting,
        };
        let lines: Vec<Line> = instances.iter().zip(expected).map(line).collect();
        let width = lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
        let screen =
            io::stderr().is_terminal().then(|| Screen { bars: MultiProgress::new(), drawn: Vec::new() });
        Self { lines, width, budget, screen }
    }

    /// A stage has nothing to do.
    pub(super) fn skipped(&mut self, number: usize) {
        self.over(number, 0.0, "unchanged");
    }

    /// A stage gets to work.
    pub(super) fn starts(&mut self, number: usize, why: &str) {
        let now = Instant::now();
        self.lines[number].standing = Standing::Running {
            since: now,
            waits: false,
            first: None,
            last: Progress::default(),
            reported: now,
        };
        if self.screen.is_none() {
            self.say(number, &format!("starts: {why}"));
        }
    }

    /// A stage at work tells something.
    pub(super) fn sign(&mut self, number: usize, sign: &Sign) {
        let no_screen = self.screen.is_none();
        let Standing::Running { waits, first, last, reported, .. } = &mut self.lines[number].standing else {
            return;
        };
        let mut said = None;
        match sign {
            Sign::Waits => {
                *waits = true;
                said = Some("waits for its process of an earlier pipeline, which saves and stops".to_owned());
            }
            Sign::Started => *waits = false,
            Sign::Progress(progress) => {
                // Another length is another bar: a command can have several, one after the other.
                if first.as_ref().is_none_or(|(_, first)| {
                    first.length != progress.length || first.position > progress.position
                }) {
                    *first = Some((Instant::now(), progress.clone()));
                }
                *last = progress.clone();
                if reported.elapsed() >= REPORT_EVERY {
                    *reported = Instant::now();
                    said = Some(String::new());
                }
            }
        }
        if let Some(said) = said.filter(|_| no_screen) {
            let said = if said.is_empty() { self.progress_of(number) } else { said };
            self.say(number, &said);
        }
    }

    /// A stage is done.
    pub(super) fn done(&mut self, number: usize, seconds: f64) {
        self.over(number, seconds, &format!("done in {}", duration(seconds)));
    }

    /// A stage failed, was stopped, or cannot run.
    pub(super) fn failed(&mut self, number: usize, how: &str) {
        self.over(number, 0.0, how);
    }

    fn over(&mut self, number: usize, seconds: f64, how: &str) {
        self.lines[number].standing = Standing::Over { seconds };
        self.say(number, how);
    }

    /// A line that stays.
    fn say(&self, number: usize, what: &str) {
        let text = format!("  {:<width$}  {what}", self.lines[number].name, width = self.width);
        match &self.screen {
            // A terminal that has gone away must not end a pipeline.
            Some(screen) => screen.bars.println(text).ok(),
            None => writeln!(io::stderr().lock(), "{text}").ok(),
        };
    }

    /// Draws what has changed.
    pub(super) fn tick(&mut self) {
        if self.screen.is_none() {
            return;
        }
        let shown = self.shown();
        let Some(Screen { bars, drawn }) = &mut self.screen else { return };
        while drawn.len() > shown.len() {
            if let Some(bar) = drawn.pop() {
                bar.finish_and_clear();
                bars.remove(&bar);
            }
        }
        while drawn.len() < shown.len() {
            let style = ProgressStyle::with_template("{wide_msg}").expect("the template is well-formed");
            drawn.push(bars.add(ProgressBar::new(0).with_style(style)));
        }
        for (bar, text) in drawn.iter().zip(shown) {
            if bar.message() != text {
                bar.set_message(text);
            }
        }
    }

    /// Removes what is drawn; what was said stays.
    pub(super) fn close(&mut self) {
        if let Some(Screen { bars, drawn }) = &mut self.screen {
            drawn.drain(..).for_each(|bar| bar.finish_and_clear());
            bars.clear().ok();
        }
    }

    /// The lines of stages at work and of those that wait, and the total.
    fn shown(&self) -> Vec<String> {
        let line = |number: usize, text: &str| {
            format!("  {:<width$}  {text}", self.lines[number].name, width = self.width)
        };
        let numbers = |wanted: fn(&Standing) -> bool| {
            (0..self.lines.len()).filter(move |&number| wanted(&self.lines[number].standing))
        };
        let running = numbers(|it| matches!(it, Standing::Running { .. }));
        let mut shown: Vec<String> = running.map(|number| line(number, &self.progress_of(number))).collect();
        let waiting: Vec<usize> = numbers(|it| matches!(it, Standing::Waiting)).collect();
        shown.extend(waiting.iter().take(WAITING_SHOWN).map(|&number| line(number, "waiting")));
        if waiting.len() > WAITING_SHOWN {
            shown.push(format!("  … and {} more", waiting.len() - WAITING_SHOWN));
        }
        shown.push(self.total());
        shown
    }

    fn progress_of(&self, number: usize) -> String {
        let line = &self.lines[number];
        let Standing::Running { since, waits, last, .. } = &line.standing else { return String::new() };
        let elapsed = since.elapsed().as_secs_f64();
        let share =
            last.length.filter(|&length| length > 0).map(|length| last.position as f64 / length as f64);
        let mut parts = Vec::new();
        match share {
            _ if *waits => parts.push("waiting for its process of an earlier pipeline".to_owned()),
            Some(share) => {
                let filled = ((share * BAR as f64) as usize).min(BAR);
                parts.push(format!(
                    "{}{} {:3.0} %",
                    "━".repeat(filled),
                    "╌".repeat(BAR - filled),
                    100.0 * share
                ));
            }
            None => parts.push(format!("running for {}", duration(elapsed))),
        }
        // The binary's own message may end in the time left; on a narrow screen it is worth more than the rest.
        let (rest, told) = match last.message.rsplit_once(", ").filter(|(_, end)| end.ends_with(" left")) {
            Some((rest, told)) => (rest, Some(told.to_owned())),
            None => (last.message.as_str(), None),
        };
        parts.extend(told.or_else(|| self.left(line).map(|left| format!("{} left", duration(left)))));
        if !rest.is_empty() {
            parts.push(rest.to_owned());
        }
        parts.join(if self.screen.is_some() { "  " } else { ", " })
    }

    /// How long a stage will take from now, in seconds, where that can be known.
    fn left(&self, line: &Line) -> Option<f64> {
        match &line.standing {
            Standing::Over { .. } => Some(0.0),
            Standing::Waiting => self.expected(line),
            Standing::Running { since, .. } => {
                let as_before = || Some((self.expected(line)? - since.elapsed().as_secs_f64()).max(0.0));
                line.left_by_progress().or_else(as_before)
            }
        }
    }

    /// How long a stage takes: as before, or as its siblings did.
    fn expected(&self, line: &Line) -> Option<f64> {
        let stage = |line: &Line| line.name.split(' ').next().map(str::to_owned);
        let took = |it: &Line| match &it.standing {
            Standing::Over { seconds } => Some(*seconds).filter(|&seconds| seconds > 0.0),
            Standing::Running { since, .. } => Some(since.elapsed().as_secs_f64() + it.left_by_progress()?),
            Standing::Waiting => None,
        };
        let of_siblings = || {
            let siblings =
                self.lines.iter().filter(|it| !std::ptr::eq(*it, line) && stage(it) == stage(line));
            siblings.filter_map(took).reduce(f64::max)
        };
        line.expected.or_else(of_siblings)
    }

    fn total(&self) -> String {
        if process::interrupts() > 0 {
            return "Stopping: what is at work saves first (Ctrl-C again: at once)".to_owned();
        }
        let over = self.lines.iter().filter(|line| matches!(line.standing, Standing::Over { .. })).count();
        let (mut work, mut longest, mut unknown) = (0.0, 0.0_f64, false);
        for line in &self.lines {
            match self.left(line) {
                Some(left) => {
                    work += left * line.threads.min(self.budget) as f64;
                    longest = longest.max(left);
                }
                None => unknown = true,
            }
        }
        let left = longest.max(work / self.budget as f64);
        let left = match unknown {
            true if left < 1.0 => String::new(),
            true => format!(", more than {} left", duration(left)),
            false => format!(", about {} left", duration(left)),
        };
        format!("{over} of {} stages over{left} (Ctrl-C saves and stops)", self.lines.len())
    }
}

/// `3.2 s`, `2 min 05 s`, `1 h 02 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, 0..10) => format!("{seconds:.1} s"),
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stages of these names and expectations, of a thread each; the first one is at work.
    fn view(lines: &[(&str, Option<f64>)]) -> View {
        let line = |&(name, expected): &(&str, Option<f64>)| Line {
            name: name.to_owned(),
            threads: 1,
            expected,
            standing: Standing::Waiting,
        };
        let mut view = View { lines: lines.iter().map(line).collect(), width: 8, budget: 2, screen: None };
        view.starts(0, "");
        view
    }

    fn progress(position: u64, message: &str) -> Sign {
        Sign::Progress(Progress { position, length: Some(100), message: message.to_owned() })
    }

    #[test]
    fn the_time_left_stands_before_what_a_narrow_screen_cuts_off() {
        let mut view = view(&[("pretrain", None)]);
        view.sign(0, &progress(50, "loss 2.5, 900 tokens/s, 2 min 03 s left"));
        assert_eq!(view.progress_of(0), "━━━━━━╌╌╌╌╌╌  50 %, 2 min 03 s left, loss 2.5, 900 tokens/s");
        view.sign(0, &Sign::Waits);
        assert!(view.progress_of(0).starts_with("waiting for its process of an earlier pipeline"));
    }

    #[test]
    fn what_is_left_is_known_from_earlier_runs_and_from_siblings() {
        let mut view = view(&[("a x=1", None), ("a x=2", None), ("b", Some(60.0))]);
        assert!(
            view.total().starts_with("0 of 3 stages over, more than 1 min 00 s left"),
            "{}",
            view.total()
        );
        view.done(0, 100.0);
        // 100 s and 60 s on two threads take as long as the longer one.
        assert!(view.total().starts_with("1 of 3 stages over, about 1 min 40 s left"), "{}", view.total());
    }

    #[test]
    fn durations_have_the_digits_that_matter() {
        assert_eq!(
            [0.04, 9.46, 59.6, 125.0, 3720.0].map(duration),
            ["0.0 s", "9.5 s", "1 min 00 s", "2 min 05 s", "1 h 02 min"]
        );
    }
}
