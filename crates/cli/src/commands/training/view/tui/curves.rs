//! Curves of any length, and what of them is to be drawn.

/// Points by step; no more than [`MOST`] of them, however long the run.
#[derive(Debug, Clone, Default)]
pub(super) struct Curve {
    points: Vec<(f64, f64)>,
}

/// Beyond this, two neighbours become one: a long run is no reason to draw more slowly.
const MOST: usize = 1 << 17;

impl Curve {
    /// Adds a point; one that is no number, or not after the last one, is left out.
    pub(super) fn push(&mut self, step: u64, value: f64) {
        let step = step as f64;
        if !value.is_finite() || self.points.last().is_some_and(|&(last, _)| last >= step) {
            return;
        }
        if self.points.len() == MOST {
            let half = |pair: &[(f64, f64)]| (pair[1].0, (pair[0].1 + pair[1].1) / 2.0);
            self.points = self.points.chunks_exact(2).map(half).collect();
        }
        self.points.push((step, value));
    }

    pub(super) fn last(&self) -> Option<f64> {
        self.points.last().map(|&(_, value)| value)
    }

    /// The points after step `from`, as at most `columns` means.
    pub(super) fn means(&self, from: f64, columns: usize) -> Vec<(f64, f64)> {
        let mean = |part: &[(f64, f64)]| {
            let (x, y) = part.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
            vec![(x / part.len() as f64, y / part.len() as f64)]
        };
        self.condensed(from, columns, mean)
    }

    /// The points after step `from`, as the lowest and the highest of at most `columns` parts.
    pub(super) fn extremes(&self, from: f64, columns: usize) -> Vec<(f64, f64)> {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        self.condensed(from, columns, |part| {
            part.iter().min_by(by_value).into_iter().chain(part.iter().max_by(by_value)).copied().collect()
        })
    }

    fn condensed(
        &self,
        from: f64,
        columns: usize,
        condense: impl Fn(&[(f64, f64)]) -> Vec<(f64, f64)>,
    ) -> Vec<(f64, f64)> {
        let visible = &self.points[self.points.partition_point(|&(step, _)| step <= from)..];
        if visible.len() <= columns {
            return visible.to_vec();
        }
        visible.chunks(visible.len().div_ceil(columns.max(1))).flat_map(condense).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: u64) -> Curve {
        let mut curve = Curve::default();
        (1..=points).for_each(|step| curve.push(step, step as f64));
        curve
    }

    #[test]
    fn what_is_no_number_or_comes_twice_is_left_out() {
        let mut curve = curve(2);
        for (step, value) in [(3, f64::NAN), (4, f64::INFINITY), (2, 7.0), (5, 5.0)] {
            curve.push(step, value);
        }
        assert_eq!(curve.means(0.0, 10), [(1.0, 1.0), (2.0, 2.0), (5.0, 5.0)]);
        assert_eq!(curve.means(1.0, 10), [(2.0, 2.0), (5.0, 5.0)]);
        assert_eq!(curve.last(), Some(5.0));
    }

    #[test]
    fn a_long_curve_is_drawn_with_few_points_and_stored_with_many() {
        let curve = curve(3 * MOST as u64);
        assert!(curve.points.len() <= MOST);
        let means = curve.means(0.0, 100);
        assert!(means.len() <= 100 && means.len() > 50, "{}", means.len());
        assert!(means.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1));
        assert_eq!(curve.last(), Some(3.0 * MOST as f64));
        assert!(curve.extremes(0.0, 0).len() <= 2);
    }

    #[test]
    fn extremes_keep_the_outliers() {
        let mut curve = Curve::default();
        (1..=1000).for_each(|step| curve.push(step, if step == 777 { 9.0 } else { 1.0 }));
        let extremes = curve.extremes(0.0, 10);
        assert_eq!(extremes.iter().filter(|&&(step, value)| (step, value) == (777.0, 9.0)).count(), 1);
    }
}
