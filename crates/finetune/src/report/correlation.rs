//! Whether two lists of numbers rise together.

/// Pearson's correlation; `None` where one of the two is constant, or there are fewer than two pairs.
///
/// # Panics
/// If the lists have different lengths.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "two numbers a pair");
    let (mean_a, mean_b) = (super::mean(a.iter().copied()), super::mean(b.iter().copied()));
    let sum = |product: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| product(a - mean_a, b - mean_b)).sum()
    };
    let (both, square_a, square_b) = (sum(&|a, b| a * b), sum(&|a, _| a * a), sum(&|_, b| b * b));
    // A constant's distances from its mean are the rounding of the mean, and their squares smaller than any that count.
    let constant = |values: &[f64]| values.windows(2).all(|pair| pair[0] == pair[1]);
    (!constant(a) && !constant(b)).then(|| (both / (square_a.sqrt() * square_b.sqrt())).clamp(-1.0, 1.0))
}

/// Spearman's correlation: Pearson's of the ranks, equal numbers sharing theirs. `None` as there.
///
/// # Panics
/// If the lists have different lengths.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

/// The rank of each number; of equal ones the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let value = values[order[first]];
        let equal = order[first..].iter().take_while(|&&place| values[place] == value).count().max(1);
        for &place in &order[first..first + equal] {
            ranks[place] = first as f64 + (equal - 1) as f64 / 2.0;
        }
        first += equal;
    }
    ranks
}
