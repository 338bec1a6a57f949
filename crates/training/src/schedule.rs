//! The learning rate of each step.

use crate::config::{ScheduleConfig, ScheduleKind};

/// The factor on the highest learning rate for step `step` (from 0) of `steps`.
pub fn learning_rate(config: &ScheduleConfig, step: u64, steps: u64) -> f64 {
    if config.kind == ScheduleKind::SlantedTriangular {
        return slanted_triangular(config, step as f64, steps as f64);
    }
    let warmup = config.warmup_steps;
    if step < warmup {
        return (step + 1) as f64 / warmup as f64;
    }
    let floor = config.min_lr_ratio;
    let after = (steps.saturating_sub(warmup)).max(1) as f64;
    // In [0, 1): how much of the time after the warm-up is over.
    let progress = ((step - warmup) as f64 / after).min(1.0);
    match config.kind {
        ScheduleKind::Constant | ScheduleKind::SlantedTriangular => 1.0,
        ScheduleKind::Cosine => floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        ScheduleKind::Wsd => {
            let decay_steps = (config.decay_fraction * steps as f64).max(1.0);
            let left = (steps.saturating_sub(step)) as f64;
            floor + (1.0 - floor) * (left / decay_steps).min(1.0)
        }
    }
}

/// `(1 + p · (ratio − 1)) / ratio`, where `p` rises from 0 to 1 over the first part of the steps and falls to 0 over the others
/// [Howard & Ruder 2018].
fn slanted_triangular(config: &ScheduleConfig, step: f64, steps: f64) -> f64 {
    let cut = (config.cut_fraction * steps).floor();
    let p = if step < cut { step / cut } else { 1.0 - (step - cut) / (steps - cut).max(1.0) };
    (1.0 + p.clamp(0.0, 1.0) * (config.ratio - 1.0)) / config.ratio
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(kind: ScheduleKind) -> Vec<f64> {
        let numbers =
            ScheduleConfig { warmup_steps: 4, min_lr_ratio: 0.1, decay_fraction: 0.25, ..Default::default() };
        let config = ScheduleConfig { kind, ..numbers };
        (0..20).map(|step| learning_rate(&config, step, 20)).collect()
    }

    #[test]
    fn warm_up_is_linear_and_reaches_the_top() {
        for kind in [ScheduleKind::Cosine, ScheduleKind::Wsd, ScheduleKind::Constant] {
            assert_eq!(rates(kind)[..5], [0.25, 0.5, 0.75, 1.0, 1.0]);
        }
    }

    #[test]
    fn cosine_is_halfway_in_the_middle_and_falls_all_the_time() {
        let rates = rates(ScheduleKind::Cosine);
        assert!((rates[12] - 0.55).abs() < 1e-12);
        assert!(rates[4..].windows(2).all(|pair| pair[1] < pair[0]) && rates[19] > 0.1);
    }

    #[test]
    fn wsd_is_stable_and_then_falls_in_a_line() {
        let rates = rates(ScheduleKind::Wsd);
        assert!(rates[4..=15].iter().all(|&rate| rate == 1.0));
        assert!((rates[19] - (0.1 + 0.9 * 0.2)).abs() < 1e-12);
    }

    #[test]
    fn a_slanted_triangle_rises_over_a_tenth_of_the_steps_and_falls_over_the_rest() {
        // The numbers of the paper: cut_frac 0.1, ratio 32.
        let config = ScheduleConfig { kind: ScheduleKind::SlantedTriangular, ..ScheduleConfig::default() };
        let rate = |step| learning_rate(&config, step, 200);
        assert_eq!([rate(0), rate(20), rate(200)], [1.0 / 32.0, 1.0, 1.0 / 32.0]);
        assert!((rate(10) - (1.0 + 0.5 * 31.0) / 32.0).abs() < 1e-12);
        assert!((rate(110) - (1.0 + 0.5 * 31.0) / 32.0).abs() < 1e-12);
        // Too few steps to rise in.
        assert_eq!(learning_rate(&config, 0, 3), 1.0);
    }
}
