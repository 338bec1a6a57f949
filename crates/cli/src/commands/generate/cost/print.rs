//! What a generation cost, in words and as JSON.

use super::{Explained, Sizes};
use crate::output::thousands;
use crate::table::{Column, lines};
use firebrand_decode::cost::{Measured, PassCost, TokenCost};
use serde_json::{Value, json};

impl Explained {
    /// For people: where the time went, what was fitted, the formulas with their numbers, predicted beside measured.
    pub(super) fn lines(&self) -> Vec<String> {
        let Sizes { layers, prompt, new, hypotheses, vocab } = self.sizes;
        let sizes = format!(
            "Layers L = {layers}, tokens of the prompt p = {prompt}, new ones k = t = {new}, hypotheses K = {hypotheses}, logits |V| = {}",
            thousands(vocab as u64)
        );
        let mut all = vec![sizes, String::new(), "Where the time went, with the cache:".into()];
        all.extend(self.parts());
        all.extend([String::new(), "Fitted to passes of their own at other lengths, n tokens:".into()]);
        all.extend(self.fitted());
        all.extend([String::new(), "What the formulas count, a token in a layer or a logit:".into()]);
        all.extend(self.counts());
        all.extend([String::new(), "Predicted from the fit, and measured:".into()]);
        all.extend(self.comparison());
        let measured = self.without_cache.steps();
        if measured < new {
            let whole = self.cost.without_cache(prompt, new).last().copied().unwrap_or(0.0);
            all.push(format!(
                "Without the cache only the first {measured} of {new} tokens were measured: all would take about {}.",
                time(whole)
            ));
        } else if let Some(saved) = times_as_long(&self.without_cache, &self.with_cache) {
            all.push(format!("Without the cache the same tokens take {saved:.1} times as long."));
        }
        all
    }

    fn parts(&self) -> Vec<String> {
        let Sizes { prompt, new, hypotheses, vocab, .. } = self.sizes;
        let (measured, choosing) = (&self.with_cache, self.choosing());
        let each = |seconds: f64, times: usize| match times {
            0 => String::new(),
            _ => format!("{} each", time(seconds / times as f64)),
        };
        let rate =
            |tokens: usize, seconds: f64| format!("{} tokens/s", thousands((tokens as f64 / seconds) as u64));
        let beside = if hypotheses > 1 { format!(" for each of {hypotheses}") } else { String::new() };
        table(
            ["", "time", ""],
            [
                [
                    format!("1 pass over the prompt of {prompt}"),
                    time(measured.prompt),
                    rate(prompt, measured.prompt),
                ],
                [
                    format!("{} passes over a new token{beside}", new.saturating_sub(1)),
                    time(measured.tokens),
                    each(measured.tokens, new.saturating_sub(1)),
                ],
                [
                    format!("{new} choices from {} logits{beside}", thousands(vocab as u64)),
                    time(choosing),
                    each(choosing, new),
                ],
                ["in all".into(), time(measured.seconds()), rate(new, measured.seconds())],
            ],
        )
    }

    /// Seconds of a generation that are no pass.
    fn choosing(&self) -> f64 {
        self.with_cache.seconds() - self.with_cache.prompt - self.with_cache.tokens
    }

    fn fitted(&self) -> Vec<String> {
        let many = self.sizes.hypotheses;
        let mut rows = vec![["a pass, nothing cached: a(n)".to_owned(), polynomial(&self.cost.prompt)]];
        if many > 1 {
            rows.push([format!("the same for each of {many}"), polynomial(&self.cost.whole)]);
        }
        let TokenCost { base, per_context } = self.cost.token;
        rows.push([
            "a new token behind n cached: b + c·n".into(),
            sum_of(&[(base, ""), (per_context, "·n")]),
        ]);
        rows.push(["a choice".into(), time(self.cost.choice)]);
        table(["", ""], rows)
    }

    fn counts(&self) -> Vec<String> {
        let Sizes { layers, prompt: p, new: k, hypotheses, vocab } = self.sizes;
        let count = |number: usize| thousands(number as u64);
        let product = |factors: &[usize]| {
            factors.iter().fold(1_usize, |product, &factor| product.saturating_mul(factor))
        };
        // For one hypothesis the factor K is left out, as in the course.
        let (beams, times) = match hypotheses {
            1 => ("", String::new()),
            _ => ("K·", format!("{hypotheses}·")),
        };
        let summed =
            |beams: &str, sum: String| if beams.is_empty() { sum } else { format!("{beams}({sum})") };
        let quadratic = |layers: usize| product(&[k, p, layers]).saturating_add(product(&[k, k, layers]));
        let plain = product(&[hypotheses, quadratic(layers)]);
        let cached = product(&[p, layers]).saturating_add(product(&[hypotheses, k, layers]));
        let mut rows = vec![
            [
                "without a cache".to_owned(),
                format!(
                    "O({}) = {} = {}",
                    summed(beams, "kpL + k²L".into()),
                    summed(&times, format!("{k}·{p}·{layers} + {k}²·{layers}")),
                    count(plain)
                ),
            ],
            [
                "with the cache".to_owned(),
                format!("O(pL + {beams}kL) = {p}·{layers} + {times}{k}·{layers} = {}", count(cached)),
            ],
            [
                "choices".to_owned(),
                format!(
                    "O(t·{beams}|V|) = {k}·{times}{} = {}",
                    count(vocab),
                    count(product(&[k, hypotheses, vocab]))
                ),
            ],
        ];
        if let Some(draft) = &self.draft {
            let small = draft.layers;
            let all = quadratic(small).saturating_add(product(&[p + k, layers]));
            rows.insert(
                1,
                [
                    "… all of a draft accepted".to_owned(),
                    format!(
                        "O(kpL' + k²L') + O((p+k)L) = {}, with L' = {small} layers of the draft",
                        count(all)
                    ),
                ],
            );
        }
        table(["", ""], rows)
    }

    fn comparison(&self) -> Vec<String> {
        let row = |name: &str, formula: &str, predicted: f64, measured: f64| {
            [
                name.to_owned(),
                formula.to_owned(),
                time(predicted),
                time(measured),
                format!("{:.2}", predicted / measured),
            ]
        };
        let few = self.without_cache.steps();
        let uncached = match few < self.sizes.new {
            true => format!("without it, {few} tokens"),
            false => "without it".to_owned(),
        };
        let mut rows = vec![
            row("with the cache", "a(p) + Σ (b + c·(p+i))", self.predicted(true), self.with_cache.seconds()),
            row(&uncached, "Σ a(p+i)", self.predicted(false), self.without_cache.seconds()),
        ];
        if let Some(draft) = &self.draft
            && let Some(predicted) = draft.report.predicted_seconds()
        {
            rows.push(row("with the draft", "by its acceptance", predicted, draft.report.seconds()));
        }
        table(["", "each with k choices", "predicted", "measured", "ratio"], rows)
    }

    /// Seconds of as many tokens as were measured.
    fn predicted(&self, cached: bool) -> f64 {
        let seconds = match cached {
            true => self.cost.with_cache(self.sizes.prompt, self.sizes.new),
            false => self.cost.without_cache(self.sizes.prompt, self.without_cache.steps()),
        };
        seconds.last().copied().unwrap_or(0.0)
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let Sizes { layers, prompt, new, hypotheses, vocab } = self.sizes;
        let pass = |pass: &PassCost| json!({"base": pass.base, "per_token": pass.per_token, "per_pair": pass.per_pair});
        let side = |measured: &Measured, predicted: f64| {
            json!({
                "new_tokens": measured.steps(), "predicted_seconds": predicted, "measured_seconds": measured.seconds(),
                "ratio": predicted / measured.seconds(), "prompt_seconds": measured.prompt,
                "token_seconds": measured.tokens,
                "choice_seconds": measured.seconds() - measured.prompt - measured.tokens,
            })
        };
        json!({
            "layers": layers, "prompt_tokens": prompt, "new_tokens": new, "hypotheses": hypotheses, "vocab_size": vocab,
            "fit": {
                "prompt": pass(&self.cost.prompt), "whole": pass(&self.cost.whole),
                "token": {"base": self.cost.token.base, "per_context": self.cost.token.per_context},
                "choice": self.cost.choice,
            },
            "with_cache": side(&self.with_cache, self.predicted(true)),
            "without_cache": side(&self.without_cache, self.predicted(false)),
            "same_tokens": self.is_same(),
        })
    }

    /// Whether both ways gave the same ids, if both went to the end. (They can differ where two tokens are as likely but for rounding.)
    fn is_same(&self) -> Option<bool> {
        let ids =
            |measured: &Measured| measured.generations.iter().map(|one| one.ids.clone()).collect::<Vec<_>>();
        (self.without_cache.steps() >= self.sizes.new)
            .then(|| ids(&self.with_cache) == ids(&self.without_cache))
    }
}

fn times_as_long(slow: &Measured, fast: &Measured) -> Option<f64> {
    (fast.seconds() > 0.0).then(|| slow.seconds() / fast.seconds())
}

/// Rows as indented lines. However narrow the terminal is, nothing is left out: a formula without its result says nothing.
fn table<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Vec<String> {
    let rows: Vec<[String; N]> = rows.into_iter().collect();
    let column = |at: usize| {
        let cells = rows.iter().map(|row| row[at].clone()).collect();
        Column::new(headings[at], false, 0, cells)
    };
    let columns: Vec<Column> = (0..N).map(column).collect();
    let lines = lines(&columns).into_iter().map(|line| format!("  {}", line.trim_end()));
    lines.filter(|line| !line.trim().is_empty()).collect()
}

fn polynomial(pass: &PassCost) -> String {
    sum_of(&[(pass.base, ""), (pass.per_token, "·n"), (pass.per_pair, "·n²")])
}

/// Times and what they are multiplied by, without those that are nothing.
fn sum_of(terms: &[(f64, &str)]) -> String {
    let shown: Vec<String> = terms
        .iter()
        .filter(|(seconds, _)| *seconds > 0.0)
        .map(|(seconds, factor)| format!("{}{factor}", time(*seconds)))
        .collect();
    if shown.is_empty() { time(0.0) } else { shown.join(" + ") }
}

/// A time with three digits and its unit: `1.23 s`, `45.6 ms`, `789 µs`, `0.12 ns`.
fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        long if long >= 0.9995 => (seconds, "s"),
        short if short >= 0.999_5e-3 => (seconds * 1e3, "ms"),
        shorter if shorter >= 0.999_5e-6 => (seconds * 1e6, "µs"),
        _ => (seconds * 1e9, "ns"),
    };
    let digits = match value {
        large if large >= 99.95 => 0,
        medium if medium >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::{sum_of, time};

    #[test]
    fn times_have_three_digits() {
        let shown = [83.4, 1.234, 0.0456, 0.99e-3, 12.34e-6, 0.5e-9, 0.0].map(time);
        assert_eq!(shown, ["83.4 s", "1.23 s", "45.6 ms", "990 µs", "12.3 µs", "0.50 ns", "0.00 ns"]);
        assert_eq!([0.9996, 0.9996e-3].map(time), ["1.00 s", "1.00 ms"]);
    }

    #[test]
    fn what_is_nothing_is_left_out_of_a_sum() {
        assert_eq!(sum_of(&[(2e-3, ""), (0.0, "·n"), (3e-6, "·n²")]), "2.00 ms + 3.00 µs·n²");
        assert_eq!(sum_of(&[(0.0, ""), (0.0, "·n")]), "0.00 ns");
    }
}
