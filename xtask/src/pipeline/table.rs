//! The table of results: a row a point, a column a value that stands in a JSON file of the point.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::expand::{Expansion, Places};
use super::file::Table;
use super::sweep::Point;
use super::values::plain;

/// The table for programs, in `{out}`.
pub(super) const JSON: &str = "results.json";
/// The table for people, in `{out}`.
pub(super) const MARKDOWN: &str = "results.md";
/// Marks the best row for programs.
const BEST: &str = "best";

/// Results, with the best row marked.
#[derive(Debug)]
pub(super) struct Results {
    header: Vec<String>,
    /// Cells that are not there yet are null.
    rows: Vec<Vec<Value>>,
    best: Option<usize>,
}

impl Results {
    /// Reads the results of all points; those of a stage that failed are missing.
    pub(super) fn read(table: &Table, expansion: &Expansion<'_>, places: Places<'_>) -> Result<Self> {
        let swept = expansion.points.first().map_or(&[][..], Point::as_slice);
        let swept: Vec<String> = swept.iter().map(|(key, _)| key.to_string()).collect();
        let header = swept.iter().cloned().chain(table.columns.keys().cloned()).collect();
        let mut rows = Vec::new();
        for point in expansion.points {
            let mut row: Vec<Value> = Vec::new();
            for (_, value) in point {
                row.push(serde_json::to_value(value).unwrap_or_else(|_| Value::String(plain(value))));
            }
            for (column, cell) in &table.columns {
                let cell = expansion.cell(cell, point).map_err(|wrong| expansion.pipeline.wrong(wrong))?;
                let (file, key) =
                    cell.rsplit_once(':').with_context(|| format!("column `{column}` names no file"))?;
                row.push(value(Path::new(&places.resolve(file)), key)?);
            }
            rows.push(row);
        }
        let mut results = Self { header, rows, best: None };
        results.best = results.find_best(table);
        Ok(results)
    }

    fn find_best(&self, table: &Table) -> Option<usize> {
        let (column, sign) = match (&table.lowest, &table.highest) {
            (Some(column), _) => (column, 1.0),
            (None, column) => (column.as_ref()?, -1.0),
        };
        let column = self.header.iter().position(|name| name == column)?;
        let numbers = self.rows.iter().map(|row| row[column].as_f64());
        let numbers = numbers.enumerate().filter_map(|(row, number)| Some((row, number? * sign)));
        let best = numbers.filter(|(_, number)| number.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1));
        // One row alone is not the best of anything.
        best.map(|(row, _)| row).filter(|_| self.rows.len() > 1)
    }

    /// Keeps the table in `out`; a file that says the same already stays as it is.
    pub(super) fn save(&self, out: &Path) -> Result<()> {
        let rows: Vec<Value> = self.objects().collect();
        let json = serde_json::to_string_pretty(&rows).context("results are plain data")?;
        for (name, text) in [(JSON, json + "\n"), (MARKDOWN, self.markdown())] {
            let path = out.join(name);
            if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
                continue;
            }
            firebrand_durable::write(&path, text.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// A line of JSON a row.
    pub(super) fn json_lines(&self) -> String {
        self.objects().map(|row| row.to_string()).collect::<Vec<_>>().join("\n")
    }

    fn objects(&self) -> impl Iterator<Item = Value> {
        self.rows.iter().enumerate().map(|(number, row)| {
            let mut object: Map<String, Value> =
                self.header.iter().cloned().zip(row.iter().cloned()).collect();
            object.insert(BEST.to_owned(), (self.best == Some(number)).into());
            Value::Object(object)
        })
    }

    /// Aligned columns, for a terminal.
    pub(super) fn text(&self) -> String {
        let cells = self.cells();
        let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let line = |(number, row): (usize, &Vec<String>)| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}"));
            let mark = if number > 0 && self.best == Some(number - 1) { "  ← best" } else { "" };
            format!("{}{mark}", cells.collect::<Vec<_>>().join("  "))
        };
        cells.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }

    fn markdown(&self) -> String {
        let mut lines = Vec::new();
        for (number, row) in self.cells().iter().enumerate() {
            let is_best = number > 0 && self.best == Some(number - 1);
            let cell = |cell: &String| if is_best { format!("**{cell}**") } else { cell.clone() };
            lines.push(format!("| {} |", row.iter().map(cell).collect::<Vec<_>>().join(" | ")));
            if number == 0 {
                lines.push(format!("|{}", "---:|".repeat(row.len())));
            }
        }
        lines.join("\n") + "\n"
    }

    /// The header, then the rows.
    fn cells(&self) -> Vec<Vec<String>> {
        let rows = self.rows.iter().map(|row| row.iter().map(shown).collect());
        std::iter::once(self.header.clone()).chain(rows).collect()
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            // Rates are small, losses are not: four digits that mean something.
            if number.abs() >= 0.1 || number == 0.0 { format!("{number:.4}") } else { format!("{number}") }
        }
        other => other.to_string(),
    }
}

/// The value under `key` (`a.b` reaches into objects) in a JSON file; null when it is not there.
fn value(file: &Path, key: &str) -> Result<Value> {
    let Ok(text) = fs::read_to_string(file) else { return Ok(Value::Null) };
    let json: Value = serde_json::from_str(&text).with_context(|| format!("{}: no JSON", file.display()))?;
    Ok(key.split('.').try_fold(&json, |json, key| json.get(key)).cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn results() -> Results {
        let header = ["lr", "loss"].map(str::to_owned).to_vec();
        let rows = vec![
            vec![json!(0.01), json!(2.5)],
            vec![json!(0.001), json!(1.25)],
            vec![json!(10), Value::Null],
        ];
        let mut results = Results { header, rows, best: None };
        let table = Table { columns: Default::default(), lowest: Some("loss".into()), highest: None };
        results.best = results.find_best(&table);
        results
    }

    #[test]
    fn the_best_row_is_marked_and_missing_values_are_dashes() {
        let expected = "   lr    loss\n 0.01  2.5000\n0.001  1.2500  ← best\n   10       –";
        assert_eq!(results().text(), expected);
        assert!(results().markdown().contains("\n| **0.001** | **1.2500** |\n"), "{}", results().markdown());
    }

    #[test]
    fn programs_get_a_line_a_row() {
        let expected = "{\"lr\":0.01,\"loss\":2.5,\"best\":false}\n{\"lr\":0.001,\"loss\":1.25,\"best\":true}\n\
                        {\"lr\":10,\"loss\":null,\"best\":false}";
        assert_eq!(results().json_lines(), expected);
    }

    #[test]
    fn a_value_is_found_under_its_key() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = folder.path().join("score.json");
        assert_eq!(value(&file, "loss").expect("readable"), Value::Null);
        fs::write(&file, "{\"a\":{\"b\":3}}\n").expect("written");
        assert_eq!(value(&file, "a.b").expect("readable"), json!(3));
        assert_eq!(value(&file, "a.c").expect("readable"), Value::Null);
    }
}
