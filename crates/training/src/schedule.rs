//! The learning rate of each step.

use crate::config::{ScheduleConfig, ScheduleKind};

/// The factor on the highest learning rate for step `step` (from 0) of `steps`.
pub fn learning_rate(config: &ScheduleConfig, step: u64, steps: u64) -> f64 {
    let warmup = config.warmup_steps;
    if step < warmup {
        return (step + 1) as f64 / warmup as f64;
    }
    let floor = config.min_lr_ratio;
    let after = (steps.saturating_sub(warmup)).max(1) as f64;
    // In [0, 1): how much of the time after the warm-up is over.
    let progress = ((step - warmup) as f64 / after).min(1.0);
    match config.kind {
        ScheduleKind::Constant => 1.0,
        ScheduleKind::Cosine => floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        ScheduleKind::Wsd => {
            let decay_steps = (config.decay_fraction * steps as f64).max(1.0);
            let left = (steps.saturating_sub(step)) as f64;
            floor + (1.0 - floor) * (left / decay_steps).min(1.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(kind: ScheduleKind) -> Vec<f64> {
        let config = ScheduleConfig { kind, warmup_steps: 4, min_lr_ratio: 0.1, decay_fraction: 0.25 };
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
}
