//! Reports on the terminal.

use super::suite::Asked;
use crate::args::EvalArgs;
use crate::output::{line, thousands};
use crate::table::{self, Column, shorten};
use firebrand_evaluation::results::{Difference, GroupReport, MetricReport, TaskReport, Value};

/// A difference with a lower probability by chance is marked.
const SURE: f64 = 0.05;

pub(super) fn print(asked: &Asked, reports: &[TaskReport], args: &EvalArgs) -> anyhow::Result<()> {
    let width = table::terminal_width();
    let runs: Vec<String> = args.runs.iter().map(|run| run.display().to_string()).collect();
    let title = if asked.suite.title.is_empty() { String::new() } else { format!(": {}", asked.suite.title) };
    line(format!("{}{title}", asked.name))?;
    line("")?;
    let dropped = match runs.len() {
        1 => {
            let (columns, dropped) = table::fit(of_one(reports, width), width);
            table::lines(&columns).iter().try_for_each(line)?;
            dropped
        }
        _ => print_several(reports, &runs, width)?,
    };
    for report in reports.iter().filter(|report| args.by_group && !report.groups.is_empty()) {
        line("")?;
        line(format!("{}, {} by group:", report.task, report.metrics[0].metric))?;
        let (columns, _) = table::fit(of_groups(&report.groups, &runs, width), width);
        table::lines(&columns).iter().try_for_each(line)?;
    }
    line("")?;
    notes(asked, reports, args, &dropped, width).iter().try_for_each(line)
}

/// A row a metric.
fn of_one(reports: &[TaskReport], width: usize) -> Vec<Column> {
    let rows = || {
        reports
            .iter()
            .flat_map(|report| report.metrics.iter().enumerate().map(move |(i, metric)| (report, i, metric)))
    };
    let first = |i: usize, text: String| if i == 0 { text } else { String::new() };
    let column =
        |heading: &str, right, importance, cell: &dyn Fn(&TaskReport, usize, &MetricReport) -> String| {
            Column::new(
                heading,
                right,
                importance,
                rows().map(|(report, i, metric)| cell(report, i, metric)).collect(),
            )
        };
    vec![
        column("task", false, 9, &|report, i, _| first(i, shorten(&report.task, (width / 4).max(12)))),
        column("examples", true, 6, &|report, i, _| first(i, thousands(report.examples as u64))),
        column("metric", false, 8, &|_, _, metric| indented(&metric.metric)),
        column("value", true, 9, &|_, _, metric| figure(metric.runs[0].as_ref())),
        column("interval", false, 7, &|_, _, metric| ends(metric.runs[0].as_ref())),
        column("chance", true, 5, &|_, _, metric| metric.chance.map(number).unwrap_or_default()),
    ]
}

/// An accuracy of another kind stands below the first one.
fn indented(metric: &str) -> String {
    metric.strip_prefix("accuracy, ").map_or_else(|| metric.to_owned(), |kind| format!("  {kind}"))
}

/// A block a metric, with a line a run. Returns the columns for which there was no room.
fn print_several(reports: &[TaskReport], runs: &[String], width: usize) -> anyhow::Result<Vec<String>> {
    let (columns, dropped) = table::fit(of_several(reports, runs, width), width);
    let lines = table::lines(&columns);
    let Some((heading, mut rows)) = lines.split_first() else { return Ok(dropped) };
    line(heading)?;
    for report in reports {
        for metric in &report.metrics {
            let chance =
                metric.chance.map(|chance| format!(", chance {}", number(chance))).unwrap_or_default();
            let examples = thousands(report.examples as u64);
            let title = format!("{}: {} of {examples}{chance}", report.task, metric.metric);
            line("")?;
            line(shorten(&title, width))?;
            let (block, after) = rows.split_at(runs.len());
            block.iter().try_for_each(line)?;
            rows = after;
        }
    }
    Ok(dropped)
}

/// A row a metric and run.
fn of_several(reports: &[TaskReport], runs: &[String], width: usize) -> Vec<Column> {
    // What is left beside values, intervals and differences.
    let room = width.saturating_sub(65).max(12);
    let rows =
        || reports.iter().flat_map(|report| &report.metrics).flat_map(|metric| runs.iter().zip(&metric.runs));
    let column = |heading: &str, right, importance, cell: &dyn Fn(&str, Option<&Value>) -> String| {
        let cells = rows().map(|(run, value)| cell(run, value.as_ref())).collect();
        Column::new(heading, right, importance, cells)
    };
    let of_difference = |value: Option<&Value>, cell: &dyn Fn(&Difference) -> String| {
        value.and_then(|value| value.difference.as_ref()).map(cell).unwrap_or_default()
    };
    let signed_ends = |difference: &Difference| signed_interval(difference.low, difference.high);
    vec![
        column("run", false, 10, &|run, _| format!("  {}", shorten(run, room - 2))),
        column("value", true, 9, &|_, value| figure(value)),
        column("interval", false, 6, &|_, value| ends(value)),
        column("difference", true, 8, &|_, value| {
            of_difference(value, &|difference| signed(difference.value))
        }),
        column("interval", false, 5, &|_, value| of_difference(value, &signed_ends)),
        column("p", true, 7, &|_, value| of_difference(value, &|difference| probability(difference.p))),
    ]
}

/// A row a group, the runs beside each other.
fn of_groups(groups: &[GroupReport], runs: &[String], width: usize) -> Vec<Column> {
    let column = |heading: &str, right, importance, cell: &dyn Fn(&GroupReport) -> String| {
        Column::new(heading, right, importance, groups.iter().map(cell).collect())
    };
    let mut columns = vec![
        column("group", false, 10, &|group| shorten(&group.group, (width / 2).max(20))),
        column("examples", true, 1, &|group| thousands(group.examples as u64)),
    ];
    for (i, run) in runs.iter().enumerate() {
        let sure = |value: &Value| {
            value.difference.as_ref().and_then(|difference| difference.p).is_some_and(|p| p < SURE)
        };
        let cell = |group: &GroupReport| {
            let value = group.metric.runs[i].as_ref();
            let mark = if value.is_some_and(sure) { "*" } else { " " };
            let mark = if runs.len() > 1 { mark } else { "" };
            format!("{}{mark}", figure(value))
        };
        let heading = if runs.len() == 1 { "value".into() } else { shorten(run, 14) };
        columns.push(column(&heading, true, 9, &cell));
    }
    if runs.len() == 1 {
        let ends = |group: &GroupReport| ends(group.metric.runs[0].as_ref());
        columns.push(column("interval", false, 5, &ends));
    }
    columns
}

fn notes(
    asked: &Asked,
    reports: &[TaskReport],
    args: &EvalArgs,
    dropped: &[String],
    width: usize,
) -> Vec<String> {
    let bootstrap = asked.suite.bootstrap;
    let resamples = thousands(bootstrap.resamples as u64);
    let percent = 100.0 * bootstrap.confidence;
    let mut notes =
        vec![format!("Intervals hold {percent} % of {resamples} bootstrap resamples of the examples.")];
    let values = || reports.iter().flat_map(|report| &report.metrics).flat_map(|metric| &metric.runs);
    if values().any(Option::is_none) {
        notes.push("A run without a value (—) is of a kind that has no such figure.".into());
    }
    let differences = || values().flatten().filter_map(|value| value.difference.as_ref());
    let mut tests: Vec<&str> = differences().filter_map(|difference| difference.test).collect();
    tests.sort_unstable();
    tests.dedup();
    if !tests.is_empty() {
        notes.push("p: how likely so large a difference is on these examples if there is none".into());
        notes.push(format!("({}).", tests.join("; ")));
    }
    if differences().any(|difference| difference.p.is_none()) {
        notes.push("No p where runs count other tokens, and for means over classes.".into());
    }
    let groups = reports.iter().map(|report| report.groups.len()).sum::<usize>();
    if groups > 0 && !args.by_group {
        notes.push(format!("--by-group shows {groups} groups."));
    }
    if groups > 0 && args.by_group && args.runs.len() > 1 {
        notes.push(format!("* differs from the first run with p < {SURE}, each group by itself."));
    }
    if !dropped.is_empty() {
        notes.push(format!("Too wide for {width} columns: {}; --json has all.", dropped.join(", ")));
    }
    notes
}

/// A run's figure, if it has one.
fn figure(value: Option<&Value>) -> String {
    value.map_or_else(|| "—".into(), |value| number(value.value))
}

/// The ends of its interval.
fn ends(value: Option<&Value>) -> String {
    value.map_or_else(String::new, |value| interval(value.low, value.high))
}

/// Four decimals, fewer of large numbers.
fn number(value: f64) -> String {
    match value.abs() {
        size if size < 100.0 => format!("{value:.4}"),
        size if size < 10_000.0 => format!("{value:.2}"),
        _ => format!("{value:.3e}"),
    }
}

fn signed(value: f64) -> String {
    let text = number(value);
    if value >= 0.0 { format!("+{text}") } else { text }
}

fn interval(low: Option<f64>, high: Option<f64>) -> String {
    low.zip(high).map_or_else(|| "—".into(), |(low, high)| format!("{} … {}", number(low), number(high)))
}

fn signed_interval(low: Option<f64>, high: Option<f64>) -> String {
    low.zip(high).map_or_else(|| "—".into(), |(low, high)| format!("{} … {}", signed(low), signed(high)))
}

fn probability(p: Option<f64>) -> String {
    match p {
        None => "—".into(),
        Some(p) if p < 0.0001 => "<0.0001".into(),
        Some(p) => format!("{p:.4}"),
    }
}
