//! The picture: what a state looks like on a screen of any size.

use super::curves::Curve;
use super::options::Options;
use super::state::State;
use crate::output::{duration, thousands};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Clear, Dataset, GraphType, LineGauge, Paragraph};

/// What changes from frame to frame beside the state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Seconds of training, those of earlier processes too.
    pub(super) seconds: f64,
    pub(super) peak_bytes: Option<u64>,
    pub(super) stopping: bool,
}

/// The colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    colors: bool,
}

impl Theme {
    /// As the environment wishes: <https://no-color.org>.
    pub(super) fn from_env() -> Self {
        Self { colors: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self { colors: false }
    }

    fn color(self, color: Color) -> Style {
        if self.colors { Style::new().fg(color) } else { Style::new() }
    }

    fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn train(self) -> Style {
        self.color(Color::Cyan)
    }

    fn held_out(self) -> Style {
        self.color(Color::Yellow)
    }

    fn other(self) -> Style {
        self.color(Color::Green)
    }
}

const KEYS: &str = "q save and stop   l log scale   + - zoom   z all   ? help";
const HELP: [&str; 8] = [
    "q, Ctrl-C  save a checkpoint after this step and",
    "           stop; once more: stop at once",
    "l          losses on a logarithmic scale, or not",
    "+ -        half, twice as many steps",
    "z          all steps",
    "? Esc      this help",
    "dots: single steps; line: their mean over twenty;",
    "•: held-out loss",
];

/// Draws it all; on a small screen, what matters most.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, options: &Options, moment: Moment, theme: Theme) {
    let area = frame.area();
    let (charts, below) = match area.height {
        0..8 => (0, 0),
        8..14 => (1, 0),
        14..20 => (1, 1),
        _ => (2, 3),
    };
    let smaller = if charts == 2 { (area.height / 4).max(6) } else { 0 };
    let [title, progress, figures, losses, others, messages, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(smaller),
        Constraint::Length(below),
        Constraint::Length(1),
    ])
    .areas(area);

    let heading = &state.heading;
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let line =
        Line::from(vec![Span::styled(&*heading.run, bold), Span::raw("  "), Span::raw(&*heading.model)]);
    frame.render_widget(line, title);
    draw_progress(frame, progress, state, moment, theme);
    frame.render_widget(Line::raw(state.figures(moment.peak_bytes)), figures);
    if charts > 0 {
        draw_losses(frame, losses, state, options, theme);
    }
    if charts > 1 {
        let [left, right] = Layout::horizontal([Constraint::Fill(1); 2]).areas(others);
        let from = first_step(state, options);
        for (area, name, curve) in
            [(left, "learning rate", &state.lr), (right, "tokens/s", &state.tokens_per_s)]
        {
            let series = [Series { curve, style: theme.other(), look: Look::Line }];
            draw_chart(frame, area, Line::raw(format!(" {name} ")), &series, from, state.step, false);
        }
    }
    let shown = state.messages.len().saturating_sub(below as usize);
    let lines: Vec<Line<'_>> = state.messages[shown..].iter().map(|message| Line::raw(&**message)).collect();
    frame.render_widget(Paragraph::new(lines), messages);
    frame.render_widget(Line::styled(KEYS, theme.faint()), keys);
    if options.help {
        draw_help(frame, area);
    }
}

fn draw_progress(frame: &mut Frame<'_>, area: Rect, state: &State, moment: Moment, theme: Theme) {
    let steps = state.heading.steps;
    let left = match (moment.stopping, state.seconds_left) {
        (true, _) => "saving after this step (again: stop at once)".to_string(),
        (false, _) if state.step >= steps => "evaluating the best weights".to_string(),
        (false, Some(seconds)) => format!("{} left", duration(seconds)),
        (false, None) => "first step".to_string(),
    };
    let label =
        format!("step {}/{}, {}, {left}", thousands(state.step), thousands(steps), duration(moment.seconds));
    let gauge = LineGauge::default()
        .ratio((state.step as f64 / steps.max(1) as f64).clamp(0.0, 1.0))
        .label(label)
        .filled_symbol("━")
        .unfilled_symbol("─")
        .filled_style(theme.train())
        .unfilled_style(theme.faint());
    frame.render_widget(gauge, area);
}

fn draw_losses(frame: &mut Frame<'_>, area: Rect, state: &State, options: &Options, theme: Theme) {
    let mut title = vec![Span::raw(" loss: "), Span::styled("⠤ train", theme.train())];
    if state.held_out.last().is_some() {
        title.extend([Span::raw("  "), Span::styled("• held out", theme.held_out())]);
    }
    if options.logarithmic {
        title.push(Span::raw("  log scale"));
    }
    if let Some(window) = options.window {
        title.push(Span::raw(format!("  last {} steps", thousands(window))));
    }
    title.push(Span::raw(" "));
    let series = [
        Series { curve: &state.train, style: theme.faint(), look: Look::Dots },
        Series { curve: &state.smoothed, style: theme.train(), look: Look::Line },
        Series { curve: &state.held_out, style: theme.held_out(), look: Look::Bullets },
    ];
    let from = first_step(state, options);
    draw_chart(frame, area, Line::from(title), &series, from, state.step, options.logarithmic);
}

/// The step before the first that is shown.
fn first_step(state: &State, options: &Options) -> f64 {
    options.window.map_or(0.0, |window| state.step.saturating_sub(window) as f64)
}

/// A curve of a chart.
struct Series<'a> {
    curve: &'a Curve,
    style: Style,
    look: Look,
}

#[derive(Clone, Copy)]
enum Look {
    Dots,
    Line,
    Bullets,
}

fn draw_chart(
    frame: &mut Frame<'_>,
    area: Rect,
    title: Line<'_>,
    series: &[Series<'_>],
    from: f64,
    to: u64,
    logarithmic: bool,
) {
    // A Braille cell has two columns of dots.
    let columns = area.width as usize * 2;
    let scale = |(step, value): (f64, f64)| (step, if logarithmic { value.log10() } else { value });
    let points: Vec<Vec<(f64, f64)>> = series
        .iter()
        .map(|series| match series.look {
            Look::Dots => series.curve.extremes(from, columns),
            Look::Line | Look::Bullets => series.curve.means(from, columns),
        })
        .map(|points| points.into_iter().map(scale).filter(|(_, value)| value.is_finite()).collect())
        .collect();
    let block = Block::bordered().title(title);
    let Some([low, high]) = range(&points, logarithmic) else {
        frame.render_widget(Paragraph::new("nothing yet").block(block).centered(), area);
        return;
    };
    let from = points.iter().flatten().map(|&(step, _)| step).fold(f64::MAX, f64::min).min(from + 1.0);
    let to = (to as f64).max(from + 1.0);
    let label = |value: f64| number(if logarithmic { 10f64.powf(value) } else { value });
    let datasets = series.iter().zip(&points).map(|(series, points)| {
        let (marker, kind) = match series.look {
            Look::Dots => (Marker::Braille, GraphType::Scatter),
            Look::Line => (Marker::Braille, GraphType::Line),
            Look::Bullets => (Marker::Dot, GraphType::Scatter),
        };
        Dataset::default().data(points).marker(marker).graph_type(kind).style(series.style)
    });
    let steps = [from, to].map(|step| thousands(step as u64));
    let values = [low, (low + high) / 2.0, high].map(label);
    let chart = Chart::new(datasets.collect())
        .block(block)
        .x_axis(Axis::default().bounds([from, to]).labels(steps))
        .y_axis(Axis::default().bounds([low, high]).labels(values));
    frame.render_widget(chart, area);
}

/// The lowest and the highest value, with some room (not below zero unless a value is); `None` where there is none.
fn range(points: &[Vec<(f64, f64)>], logarithmic: bool) -> Option<[f64; 2]> {
    let values = || points.iter().flatten().map(|&(_, value)| value);
    let (low, high) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    let room = match high - low {
        0.0 => (low.abs() * 0.1).max(f64::MIN_POSITIVE),
        height => height * 0.03,
    };
    // Values at the very end of what a float holds have no room, and no scale.
    let floor = if low >= 0.0 && !logarithmic { 0.0 } else { f64::MIN };
    let range = [(low - room).max(floor), high + room];
    (range[1] - range[0]).is_finite().then_some(range)
}

/// A number on an axis: about four characters that tell its size.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        ..0.01 => format!("{value:.1e}"),
        ..100.0 => format!("{value:.3}"),
        ..10_000.0 => format!("{value:.0}"),
        ..1e7 => format!("{:.2}k", value / 1e3),
        _ => format!("{value:.1e}"),
    }
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let width = HELP.iter().map(|line| line.chars().count()).max().unwrap_or(0) as u16 + 4;
    let box_area = area.centered(Constraint::Length(width), Constraint::Length(HELP.len() as u16 + 2));
    frame.render_widget(Clear, box_area);
    let lines: Vec<Line<'_>> = HELP.iter().map(|line| Line::raw(format!(" {line}"))).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), box_area);
}

#[cfg(test)]
mod tests;
