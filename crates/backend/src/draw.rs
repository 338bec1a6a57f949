//! Ids by chance.

/// The first id at which the weights add up to more than `uniform`, a number in [0, 1), of their sum. No weight is negative.
pub(crate) fn draw(weights: &[f32], uniform: f64) -> u32 {
    let mut rest = uniform * weights.iter().map(|&weight| f64::from(weight)).sum::<f64>();
    for (id, &weight) in weights.iter().enumerate() {
        rest -= f64::from(weight);
        if rest < 0.0 {
            return id as u32;
        }
    }
    // The sum was rounded: the last of those that are possible.
    weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_drawn_as_often_as_their_weights_say() {
        let weights = [1.0, 3.0, 0.0, 1.0];
        // Away from the borders, where rounding decides.
        let drawn: Vec<u32> = (0..10).map(|i| draw(&weights, f64::from(i) / 10.0 + 0.05)).collect();
        assert_eq!(drawn, [0, 0, 1, 1, 1, 1, 1, 1, 3, 3]);
        assert_eq!(draw(&weights, 1.0), 3);
    }
}
