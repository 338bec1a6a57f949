//! A table for the terminal: as many columns as fit.

use std::io::IsTerminal;

/// A column: its heading, a cell a row, and how much it matters.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) heading: String,
    pub(crate) cells: Vec<String>,
    /// Numbers stand at the right.
    pub(crate) right: bool,
    /// The lowest go first where the room is scarce.
    pub(crate) importance: u8,
}

impl Column {
    pub(crate) fn new(heading: &str, right: bool, importance: u8, cells: Vec<String>) -> Self {
        Self { heading: heading.into(), cells, right, importance }
    }

    fn width(&self) -> usize {
        self.cells.iter().chain([&self.heading]).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

const GAP: usize = 2;

/// The terminal's width; `COLUMNS`, or 80, where the output goes elsewhere.
pub(crate) fn terminal_width() -> usize {
    let terminal = std::io::stdout().is_terminal().then(ratatui::crossterm::terminal::size);
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    match (terminal, columns) {
        (Some(Ok((columns @ 1.., _))), _) => columns.into(),
        (_, Some(columns)) => columns,
        _ => 80,
    }
}

/// The columns that fit into `width`, and the headings of those that do not.
pub(crate) fn fit(mut columns: Vec<Column>, width: usize) -> (Vec<Column>, Vec<String>) {
    let mut dropped = Vec::new();
    let needed = |columns: &[Column]| {
        columns.iter().map(|column| column.width() + GAP).sum::<usize>().saturating_sub(GAP)
    };
    while columns.len() > 1 && needed(&columns) > width {
        // Of two that matter as much, the one further to the right.
        let least = columns.iter().enumerate().rev().min_by_key(|(_, column)| column.importance);
        let at = least.map_or(0, |(at, _)| at);
        dropped.push(columns.remove(at).heading);
    }
    (columns, dropped)
}

/// The lines of a table.
pub(crate) fn lines(columns: &[Column]) -> Vec<String> {
    let rows = columns.iter().map(|column| column.cells.len()).max().unwrap_or(0);
    let line = |cell: &dyn Fn(&Column) -> String| {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| {
                let (cell, width) = (cell(column), column.width());
                if column.right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            })
            .collect();
        cells.join(&" ".repeat(GAP)).trim_end().to_string()
    };
    let heading = line(&|column| column.heading.clone());
    let body = (0..rows).map(|row| line(&|column| column.cells.get(row).cloned().unwrap_or_default()));
    std::iter::once(heading).chain(body).collect()
}

/// `text` in at most `width` characters: the end of a path tells more than its beginning.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    match text.chars().count().checked_sub(width) {
        None | Some(0) => text.to_string(),
        Some(more) => format!("…{}", text.chars().skip(more + 1).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let cells = |cells: &[&str]| cells.iter().map(ToString::to_string).collect();
        vec![
            Column::new("run", false, 9, cells(&["runs/a", "runs/long"])),
            Column::new("steps", true, 5, cells(&["10", "200"])),
            Column::new("loss", true, 8, cells(&["1.5", "1.25"])),
        ]
    }

    #[test]
    fn columns_stand_below_their_heading() {
        let expected = ["run        steps  loss", "runs/a        10   1.5", "runs/long    200  1.25"];
        assert_eq!(lines(&columns()), expected);
    }

    #[test]
    fn what_matters_least_is_dropped_first() {
        let (all, dropped) = fit(columns(), 22);
        assert_eq!((all.len(), dropped.len()), (3, 0));
        let (some, dropped) = fit(columns(), 21);
        assert_eq!((lines(&some)[0].as_str(), dropped), ("run        loss", vec!["steps".to_string()]));
        let (one, dropped) = fit(columns(), 0);
        assert_eq!((one[0].heading.as_str(), dropped.len()), ("run", 2));
    }

    #[test]
    fn a_long_path_keeps_its_end() {
        assert_eq!(shorten("runs/abc", 8), "runs/abc");
        assert_eq!(shorten("runs/abc", 5), "…/abc");
    }
}
