//! From values to places on an axis, and which values are written beside it.

use super::Scale;

/// What an axis spans.
pub(super) struct Axis {
    scale: Scale,
    /// What a logarithmic axis is divided by.
    base: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis on which all `values` are, with so large a part of it `free` above them. Linear ones begin at 0.
    pub(super) fn over(scale: Scale, base: f64, values: impl Iterator<Item = f64>, free: f64) -> Self {
        let (least, most) =
            values.fold((f64::INFINITY, 0.0), |(least, most), value| (value.min(least), value.max(most)));
        let (from, to) = match scale {
            Scale::Linear => (0.0, if most > 0.0 { most * 1.05 } else { 1.0 }),
            Scale::Logarithmic if least <= most => {
                let (from, to) = (least / 1.3, most * 1.3);
                (from, from * (to / from).powf(1.0 / (1.0 - free)))
            }
            Scale::Logarithmic => (1.0, base),
        };
        Self { scale, base, from, to }
    }

    /// Where a value is: 0 at the beginning, 1 at the end.
    pub(super) fn part(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Logarithmic => (value / self.from).ln() / (self.to / self.from).ln(),
        }
    }

    /// Round values, from the smallest: powers of the base, where they are few also what is between them; or steps of 1, 2 or 5.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let rough = (self.to - self.from) / 8.0;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
                let step = step.into_iter().find(|&step| step >= rough * 0.999).unwrap_or(10.0 * power);
                (0_u32..).map(|times| f64::from(times) * step).take_while(|&tick| tick <= self.to).collect()
            }
            Scale::Logarithmic => {
                let (first, last) = (self.from.log(self.base).floor(), self.to.log(self.base).ceil());
                let powers = (first as i32..=last as i32).map(|power| self.base.powi(power));
                let times: &[f64] = match last - first {
                    _ if self.base < 10.0 => &[1.0],
                    few if few <= 1.0 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
                    some if some < 4.0 => &[1.0, 2.0, 5.0],
                    _ => &[1.0],
                };
                let ticks = powers.flat_map(|power| times.iter().map(move |times| times * power));
                ticks.filter(|&tick| (self.from..=self.to).contains(&tick)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, base: f64, values: &[f64], free: f64) -> Axis {
        Axis::over(scale, base, values.iter().copied(), free)
    }

    fn close(a: &[f64], b: &[f64]) {
        assert!(
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-9 * b.abs()),
            "{a:?}, {b:?}"
        );
    }

    #[test]
    fn linear_axes_begin_at_nothing_and_have_round_steps() {
        let seconds = axis(Scale::Linear, 10.0, &[0.7, 1.4], 0.0);
        close(&seconds.ticks(), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4]);
        assert_eq!(seconds.part(0.0), 0.0);
        assert!((0.94..0.96).contains(&seconds.part(1.4)));
        close(
            &axis(Scale::Linear, 10.0, &[128.0], 0.0).ticks(),
            &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0],
        );
        assert!(axis(Scale::Linear, 10.0, &[], 0.0).ticks().len() > 2);
    }

    #[test]
    fn logarithmic_axes_have_powers_and_keep_room() {
        let tokens = axis(Scale::Logarithmic, 2.0, &[16.0, 128.0], 0.0);
        close(&tokens.ticks(), &[16.0, 32.0, 64.0, 128.0]);
        let (a, b, c) = (tokens.part(16.0), tokens.part(32.0), tokens.part(64.0));
        assert!(a > 0.0 && ((b - a) - (c - b)).abs() < 1e-12, "{a}, {b}, {c}");
        let seconds = axis(Scale::Logarithmic, 10.0, &[0.01, 1.0], 0.25);
        assert!((0.5..0.75).contains(&seconds.part(1.0)), "{}", seconds.part(1.0));
        close(&axis(Scale::Logarithmic, 10.0, &[3.0], 0.0).ticks(), &[3.0]);
        close(&axis(Scale::Logarithmic, 10.0, &[1.0, 40.0], 0.0).ticks(), &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
    }
}
