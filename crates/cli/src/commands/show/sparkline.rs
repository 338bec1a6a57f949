//! Curves in one line of text.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A curve in at most `width` characters, from its own lowest value to its highest.
pub(super) fn sparkline(curve: &[f64], width: usize) -> String {
    let columns = width.min(curve.len());
    let means: Vec<f64> = (0..columns)
        .map(|column| mean(&curve[column * curve.len() / columns..(column + 1) * curve.len() / columns]))
        .collect();
    let Some(scale) = range(&means) else { return String::new() };
    means.into_iter().map(|value| bar(value, scale)).collect()
}

/// A curve in `width` characters that stand for the steps up to `steps`, on a scale from `low` to `high`: two curves
/// drawn so can be compared. Blank where it has not begun or has ended.
pub(super) fn on_scale(curve: &[(u64, f64)], width: usize, steps: u64, (low, high): (f64, f64)) -> String {
    let mut before = None;
    let last = curve.last().map_or(0, |&(step, _)| step);
    (0..width as u64)
        .map(|column| {
            let edge = |column: u64| column * steps / width.max(1) as u64;
            let (from, to) = (edge(column), edge(column + 1));
            let inside: Vec<f64> = curve
                .iter()
                .filter(|&&(step, _)| step > from && step <= to)
                .map(|&(_, value)| value)
                .collect();
            if !inside.is_empty() {
                before = Some(mean(&inside));
            }
            // Between two values the last one holds.
            before.filter(|_| from < last).map_or(' ', |value| bar(value, (low, high)))
        })
        .collect()
}

/// The lowest and the highest of some values.
pub(super) fn range(values: &[f64]) -> Option<(f64, f64)> {
    Some((values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn bar(value: f64, (low, high): (f64, f64)) -> char {
    let share = (value - low) / (high - low);
    // No height at all, or one beyond what a number holds, has one level.
    if share.is_finite() { BARS[(share.clamp(0.0, 1.0) * 7.0).round() as usize] } else { BARS[0] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_curve_falls() {
        assert_eq!(sparkline(&[8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 8), "█▇▆▅▄▃▂▁");
        assert_eq!(sparkline(&[8.0, 8.0, 1.0, 1.0], 2), "█▁");
        assert_eq!(sparkline(&[1.0, 1.0], 8), "▁▁");
        assert_eq!(sparkline(&[], 8), "");
        assert_eq!(sparkline(&[f64::MAX, f64::MIN], 8), "▁▁");
    }

    #[test]
    fn curves_on_one_scale_can_be_compared() {
        let long = [(10, 8.0), (20, 4.0), (30, 2.0), (40, 1.0)];
        assert_eq!(on_scale(&long, 4, 40, (1.0, 8.0)), "█▄▂▁");
        assert_eq!(on_scale(&long[..2], 4, 40, (1.0, 8.0)), "█▄  ", "it ended before the other");
        assert_eq!(on_scale(&long[1..], 8, 40, (1.0, 8.0)), "   ▄▄▂▂▁", "a value holds until the next");
        assert_eq!(on_scale(&[], 3, 40, (1.0, 8.0)), "   ");
    }
}
