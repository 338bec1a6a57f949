//! Time over new tokens as a picture.

use super::Explained;
use crate::plot::{BLUE, Chart, Curve, Drawn, GREEN, ORANGE, Scale};

impl Explained {
    /// Predicted curves and measured points, with and without the cache.
    pub(super) fn chart(&self) -> Chart {
        let by_token = |seconds: &[f64]| (1..).zip(seconds).map(|(new, &s)| (f64::from(new), s)).collect();
        let curve =
            |name, colour, drawn, seconds: &[f64]| Curve { name, colour, drawn, points: by_token(seconds) };
        let (p, new) = (self.sizes.prompt, self.sizes.new);
        // No longer than what was measured beside it, so that the curves that were measured to the end can be told apart.
        let uncached = self.cost.without_cache(p, self.without_cache.steps());
        let mut curves = vec![
            curve("without the cache, predicted", ORANGE, Drawn::Line, &uncached),
            curve("without the cache, measured", ORANGE, Drawn::Dots, &self.without_cache.times),
            curve("with the cache, predicted", BLUE, Drawn::Line, &self.cost.with_cache(p, new)),
            curve("with the cache, measured", BLUE, Drawn::Dots, &self.with_cache.times),
        ];
        if let Some(draft) = &self.draft {
            curves.push(curve("with the draft, measured", GREEN, Drawn::Dots, &draft.times));
        }
        Chart {
            title: format!("Decoding after a prompt of {p} tokens"),
            x: "new tokens",
            y: "time until the token is chosen (s)",
            scale: Scale::Linear,
            curves,
        }
    }
}
