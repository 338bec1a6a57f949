//! What is computed of a set of examples.

/// A figure over examples, each of which may count several times.
#[derive(Clone, Debug, PartialEq)]
pub enum Statistic {
    /// `Σ numerator / Σ denominator`: accuracies, nats a token, bits per byte.
    Ratio {
        /// One an example.
        numerators: Vec<f64>,
        /// One an example.
        denominators: Vec<f64>,
    },
    /// The mean over classes of the F1 score of each [van Rijsbergen 1979]. A class that neither is nor is chosen counts as 0, as in
    /// scikit-learn.
    MacroF1 {
        /// The class of each example.
        truth: Vec<usize>,
        /// The class that was chosen.
        chosen: Vec<usize>,
        /// How many there are.
        classes: usize,
    },
}

impl Statistic {
    /// The share of examples that are right.
    pub fn accuracy(right: impl IntoIterator<Item = bool>) -> Self {
        let numerators: Vec<f64> = right.into_iter().map(|right| f64::from(u8::from(right))).collect();
        Self::Ratio { denominators: vec![1.0; numerators.len()], numerators }
    }

    /// How many examples there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Ratio { numerators, .. } => numerators.len(),
            Self::MacroF1 { truth, .. } => truth.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its value over all examples.
    pub fn value(&self) -> f64 {
        self.over(&vec![1; self.len()])
    }

    /// Its value where each example counts as often as `times` says.
    ///
    /// # Panics
    /// If `times` has not one number an example.
    pub fn over(&self, times: &[u32]) -> f64 {
        assert_eq!(times.len(), self.len(), "a count an example");
        match self {
            Self::Ratio { numerators, denominators } => {
                let sum = |of: &[f64]| -> f64 { of.iter().zip(times).map(|(x, &n)| x * f64::from(n)).sum() };
                sum(numerators) / sum(denominators)
            }
            Self::MacroF1 { truth, chosen, classes } => {
                // Of each class: how often it was both, was the truth, was chosen.
                let mut counts = vec![[0_u64; 3]; *classes];
                for ((&truth, &chosen), &n) in truth.iter().zip(chosen).zip(times) {
                    counts[truth][1] += u64::from(n);
                    counts[chosen][2] += u64::from(n);
                    counts[truth][0] += u64::from(n) * u64::from(truth == chosen);
                }
                let f1 = |&[both, truth, chosen]: &[u64; 3]| match truth + chosen {
                    0 => 0.0,
                    all => 2.0 * both as f64 / all as f64,
                };
                counts.iter().map(f1).sum::<f64>() / *classes as f64
            }
        }
    }

    /// One value an example and whether it is all there is to know of it: 0 or 1, each counting once.
    pub(super) fn is_right_or_wrong(&self) -> Option<&[f64]> {
        match self {
            Self::Ratio { numerators, denominators } => {
                let plain = denominators.iter().all(|&d| d == 1.0)
                    && numerators.iter().all(|&n| n == 0.0 || n == 1.0);
                plain.then_some(numerators.as_slice())
            }
            Self::MacroF1 { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_sums_and_no_mean_of_ratios() {
        let bits = Statistic::Ratio { numerators: vec![1.0, 9.0], denominators: vec![1.0, 3.0] };
        assert_eq!(bits.value(), 2.5);
        assert_eq!(bits.over(&[2, 0]), 1.0);
        assert_eq!(Statistic::accuracy([true, false, true, true]).value(), 0.75);
    }

    #[test]
    fn macro_f1_is_the_mean_over_classes() {
        // Class 0: one of two found, nothing else taken for it: 2/3. Class 1: found, with one too many: 2/3. Class 2: never seen.
        let f1 = |classes| Statistic::MacroF1 { truth: vec![0, 0, 1], chosen: vec![0, 1, 1], classes };
        assert!((f1(2).value() - 2.0 / 3.0).abs() < 1e-15);
        assert!((f1(3).value() - 4.0 / 9.0).abs() < 1e-15);
    }
}
