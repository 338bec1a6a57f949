//! What is shown of classified inputs.

use crate::args::Global;
use crate::output::line;
use crate::table::{Column, fit, lines, terminal_width};
use firebrand_prompt::{Classified, Example, Measure, OfTemplate};
use serde_json::{Map, Value, json};

/// A line for each input.
pub(super) fn each(
    classified: &[Classified<'_>],
    examples: &[Example],
    measure: Measure,
    global: &Global,
) -> anyhow::Result<()> {
    if global.json {
        return classified
            .iter()
            .zip(examples)
            .try_for_each(|(classified, example)| line(as_json(classified, example, measure)));
    }
    let labels = labels(classified);
    let (mut found, mut sure, mut right, mut texts) = (vec![], vec![], vec![], vec![]);
    for (classified, example) in classified.iter().zip(examples) {
        let p = classified.label_probabilities(measure);
        let label = classified.label(measure);
        found.push(labels[label].clone());
        sure.push(format!("{:.3}", p[label]));
        right.push(example.label.map_or_else(String::new, |right| labels[right].clone()));
        let text = example.fields.get("text").or_else(|| example.fields.values().next());
        texts.push(text.map_or_else(String::new, |text| begin(text)));
    }
    let mut columns = vec![Column::new("label", false, 9, found), Column::new("probability", true, 8, sure)];
    if right.iter().any(|right| !right.is_empty()) {
        columns.push(Column::new("right", false, 7, right));
    }
    columns.push(Column::new("text", false, 5, texts));
    let (columns, _) = fit(columns, terminal_width().max(80));
    lines(&columns).into_iter().try_for_each(line)
}

/// The beginning of a text on one line.
fn begin(text: &str) -> String {
    const WIDTH: usize = 40;
    let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.chars().count() > WIDTH {
        true => format!("{}…", flat.chars().take(WIDTH - 1).collect::<String>()),
        false => flat,
    }
}

/// The labels, as the first prompt has them.
fn labels<'a>(classified: &[Classified<'a>]) -> &'a [String] {
    classified
        .first()
        .and_then(|classified| classified.templates.first())
        .map_or(&[], |of| of.prompt.labels())
}

fn as_json(classified: &Classified<'_>, example: &Example, measure: Measure) -> Value {
    let labels = labels(std::slice::from_ref(classified));
    let by_label = |values: Vec<f64>| -> Map<String, Value> {
        labels.iter().cloned().zip(values.into_iter().map(Value::from)).collect()
    };
    let label = classified.label(measure);
    let p = classified.label_probabilities(measure);
    let measures: Map<String, Value> = Measure::ALL
        .into_iter()
        .map(|measure| {
            let value = json!({
                "label": labels[classified.label(measure)],
                "probabilities": by_label(classified.label_probabilities(measure)),
            });
            (measure.name().to_owned(), value)
        })
        .collect();
    json!({
        "fields": example.fields, "label": labels[label], "probability": p[label], "probabilities": by_label(p),
        "right": example.label.map(|right| &labels[right]), "measure": measure.name(), "measures": measures,
        "templates": classified.templates.iter().map(template_json).collect::<Vec<Value>>(),
    })
}

fn template_json(of: &OfTemplate<'_>) -> Value {
    let verbalizer = &of.prompt.verbalizer;
    let answer = |(index, answer): (usize, &firebrand_prompt::Answer)| {
        let values: Map<String, Value> = Measure::ALL
            .into_iter()
            .map(|measure| (measure.name().to_owned(), of.scores.values(measure, verbalizer)[index].into()))
            .collect();
        json!({
            "answer": answer.text, "label": verbalizer.labels()[answer.label], "tokens": of.scores.tokens[index],
            "values": values,
        })
    };
    json!({
        "prompt": of.prompt.name, "demonstrations": of.demonstrations, "trimmed": of.trimmed,
        "answers": verbalizer.answers().iter().enumerate().map(answer).collect::<Vec<Value>>(),
    })
}

/// How many labels are found, by each measure.
pub(super) fn report(
    classified: &[Classified<'_>],
    examples: &[Example],
    measure: Measure,
    global: &Global,
) -> anyhow::Result<()> {
    let labels = labels(classified);
    let gold: Vec<usize> = examples.iter().filter_map(|example| example.label).collect();
    let accuracy = |measure: Measure| {
        let right = classified
            .iter()
            .zip(&gold)
            .filter(|(classified, gold)| classified.label(measure) == **gold)
            .count();
        right as f64 / gold.len() as f64
    };
    let count = |label: usize| gold.iter().filter(|&&gold| gold == label).count();
    let most = (0..labels.len()).map(count).max().unwrap_or(0) as f64 / gold.len() as f64;
    if global.json {
        let by_measure: Map<String, Value> = Measure::ALL
            .into_iter()
            .map(|measure| (measure.name().to_owned(), accuracy(measure).into()))
            .collect();
        return line(json!({
            "count": gold.len(), "labels": labels, "measure": measure.name(), "accuracy": accuracy(measure),
            "accuracy_by_measure": by_measure, "most_frequent": most, "confusion": confusion(classified, &gold, measure),
        }));
    }
    line(format!("{} records; the most frequent label is {:.1} % of them", gold.len(), 100.0 * most))?;
    let columns = [
        Column::new(
            "measure",
            false,
            9,
            Measure::ALL.iter().map(|measure| measure.name().to_owned()).collect(),
        ),
        Column::new(
            "accuracy",
            true,
            9,
            Measure::ALL.iter().map(|&measure| format!("{:.1} %", 100.0 * accuracy(measure))).collect(),
        ),
    ];
    lines(&columns).into_iter().try_for_each(line)?;
    line(format!("\nby {}, what was found for each label (rows are right):", measure.name()))?;
    let confusion = confusion(classified, &gold, measure);
    let mut columns = vec![Column::new("", false, 9, labels.to_vec())];
    for (found, label) in labels.iter().enumerate() {
        let cells = confusion.iter().map(|row| row[found].to_string()).collect();
        columns.push(Column::new(label, true, 8, cells));
    }
    lines(&columns).into_iter().try_for_each(line)
}

/// `[right][found]`
fn confusion(classified: &[Classified<'_>], gold: &[usize], measure: Measure) -> Vec<Vec<usize>> {
    let n = labels(classified).len();
    let mut counts = vec![vec![0; n]; n];
    for (classified, &gold) in classified.iter().zip(gold) {
        counts[gold][classified.label(measure)] += 1;
    }
    counts
}
