//! In what the configs of several runs differ.

use super::record::Record;
use crate::table::{self, Column, shorten};

/// The longest value that is shown whole.
const WIDEST: usize = 24;

/// The lines of tables that show, for each run, the keys in which not all of them agree; as many tables as the width
/// makes necessary.
pub(super) fn tables(records: &[Record], names: &Column, width: usize) -> anyhow::Result<Vec<String>> {
    let mut runs = Vec::new();
    for record in records {
        let mut keys = Vec::new();
        if let Some(run) = &record.run {
            keys = run.keys()?;
            keys.push(("device".into(), run.device.clone()));
            keys.push(("threads".into(), run.threads.to_string()));
            keys.push(("version".into(), run.version.clone()));
            keys.extend(run.from.iter().map(|from| ("from".to_string(), from.display().to_string())));
        }
        runs.push(keys);
    }
    let mut order: Vec<&str> = Vec::new();
    for (key, _) in runs.iter().flatten() {
        if !order.contains(&key.as_str()) {
            order.push(key);
        }
    }
    let value = |run: &[(String, String)], key: &str| {
        run.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    };
    // A model without a history says nothing about how it was made.
    let known: Vec<_> = runs.iter().filter(|run| !run.is_empty()).collect();
    let mut columns = Vec::new();
    for key in order {
        let first = known.first().and_then(|run| value(run, key));
        if known.iter().all(|run| value(run, key) == first) {
            continue;
        }
        let hash = ["tokenizer", "data"].contains(&key);
        let cell = |run: &Vec<(String, String)>| match value(run, key) {
            None => "—".to_string(),
            Some(value) if hash => value.chars().take(8).collect(),
            Some(value) => shorten(value.trim_matches('"'), WIDEST),
        };
        columns.push(Column::new(key, true, 1, runs.iter().map(cell).collect()));
    }
    let mut lines = Vec::new();
    let mut rest = &columns[..];
    while !rest.is_empty() {
        let fits = |count: &usize| {
            let columns = std::iter::once(names).chain(&rest[..*count]).cloned().collect();
            table::fit(columns, width).1.is_empty()
        };
        let count = (1..=rest.len()).take_while(fits).last().unwrap_or(1);
        let part: Vec<Column> = std::iter::once(names).chain(&rest[..count]).cloned().collect();
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(table::lines(&part));
        rest = &rest[count..];
    }
    Ok(lines)
}
