//! The mixture of denoisers that UL2 is trained with [Tay 2022, <https://arxiv.org/abs/2205.05131>]: span corruption of several
//! kinds, and the end of a text from its beginning. A token in front of the input says which.

use crate::draws::Draws;
use crate::pairs::{Noising, without_noise};
use crate::sentinels::Sentinels;
use crate::span_corruption::Spans;
use firebrand_training::{BatchKey, TrainingError};
use firebrand_transformer::Pair;
use serde::{Deserialize, Serialize};

/// What kind of denoiser a text is for; its name stands in front of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Regular: short spans, few of them.
    R,
    /// Sequential: the end of the text.
    S,
    /// Extreme: long spans, or many.
    X,
}

/// One of the denoisers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denoiser {
    /// Its kind.
    pub mode: Mode,
    /// How long a span is on average, in tokens; the sequential one has one span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_span: Option<f64>,
    /// Which part of the tokens is to be written.
    pub rate: f64,
    /// How often it is taken, compared to the others.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

impl Denoiser {
    fn new(mode: Mode, mean_span: Option<f64>, rate: f64) -> Self {
        Self { mode, mean_span, rate, weight: one() }
    }

    /// How many spans it makes of `len` tokens.
    pub fn spans(&self, len: usize) -> usize {
        self.spans_or_end().map_or(1, |spans| spans.counts(len).1)
    }

    fn spans_or_end(&self) -> Option<Spans> {
        let spans = Spans { rate: self.rate, mean_span: self.mean_span? };
        (self.mode != Mode::S).then_some(spans)
    }
}

/// The section `[mixture]` of a config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixtureConfig {
    /// Those that are mixed.
    pub denoisers: Vec<Denoiser>,
}

impl Default for MixtureConfig {
    /// The seven of UL2, each as often as the others.
    fn default() -> Self {
        let denoisers = vec![
            Denoiser::new(Mode::R, Some(3.0), 0.15),
            Denoiser::new(Mode::R, Some(8.0), 0.15),
            Denoiser::new(Mode::S, None, 0.25),
            Denoiser::new(Mode::X, Some(3.0), 0.5),
            Denoiser::new(Mode::X, Some(8.0), 0.5),
            Denoiser::new(Mode::X, Some(64.0), 0.15),
            Denoiser::new(Mode::X, Some(64.0), 0.5),
        ];
        Self { denoisers }
    }
}

impl MixtureConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        let fail = |message: String| Err(TrainingError::Config(format!("mixture.denoisers: {message}")));
        for denoiser in &self.denoisers {
            let Denoiser { mode, mean_span, rate, weight } = *denoiser;
            if !(weight >= 0.0 && weight.is_finite()) {
                return fail(format!("weight {weight} is below 0"));
            }
            match (mode, mean_span) {
                (Mode::S, Some(_)) => return fail("mode S has one span and no mean_span".into()),
                (Mode::S, None) => Spans { rate, mean_span: 1.0 }.validate("mixture.denoisers")?,
                (_, Some(mean_span)) => Spans { rate, mean_span }.validate("mixture.denoisers")?,
                (_, None) => return fail(format!("mode {mode:?} needs a mean_span, such as 3")),
            }
        }
        match self.denoisers.iter().map(|denoiser| denoiser.weight).sum::<f64>() > 0.0 {
            true => Ok(()),
            false => fail("there is none that is ever taken: one needs a weight above 0".into()),
        }
    }

    /// The most spans that one of them makes of `len` tokens.
    pub fn most_spans(&self, len: usize) -> usize {
        let taken = self.denoisers.iter().filter(|denoiser| denoiser.weight > 0.0);
        taken.map(|denoiser| denoiser.spans(len)).max().unwrap_or(1)
    }
}

/// The tokens that say what kind of denoiser a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModeTokens([u32; 3]);

impl ModeTokens {
    /// How they are written: regular, sequential, extreme.
    pub const NAMES: [&'static str; 3] = ["[R]", "[S]", "[X]"];

    /// Those of a tokenizer, if it has all of them; `id` is what it says of a token's name.
    pub fn of(id: impl Fn(&str) -> Option<u32>) -> Option<Self> {
        let [r, s, x] = Self::NAMES.map(id);
        Some(Self([r?, s?, x?]))
    }

    /// The id of a mode.
    pub fn id(&self, mode: Mode) -> u32 {
        self.0[mode as usize]
    }

    /// Whether an id is a mode's.
    pub fn contains(&self, id: u32) -> bool {
        self.0.contains(&id)
    }
}

/// The mixture with its tokens.
#[derive(Debug, Clone)]
pub struct Mixture {
    /// What is mixed.
    pub config: MixtureConfig,
    /// What leads the inputs.
    pub modes: ModeTokens,
    /// As many as a row needs at least.
    pub sentinels: Sentinels,
    /// Ends input and target.
    pub end_of_text: u32,
}

impl Mixture {
    fn draw(&self, draws: &mut Draws) -> &Denoiser {
        let mut left: f64 = self.config.denoisers.iter().map(|denoiser| denoiser.weight).sum();
        let mut last = &self.config.denoisers[0];
        for denoiser in self.config.denoisers.iter().filter(|denoiser| denoiser.weight > 0.0) {
            last = denoiser;
            if draws.happens(denoiser.weight / left) {
                break;
            }
            left -= denoiser.weight;
        }
        last
    }
}

impl Noising for Mixture {
    fn pair(&self, ids: &[u32], key: BatchKey, row: usize) -> Pair {
        let draws = &mut Draws::new("mixture", key, row);
        let denoiser = self.draw(draws);
        let front = [self.modes.id(denoiser.mode)];
        if let Some(spans) = denoiser.spans_or_end() {
            return spans.rewrite(&front, ids, &self.sentinels, self.end_of_text, draws);
        }
        if ids.len() < 2 {
            return without_noise(&front, ids, self.end_of_text);
        }
        let (noise, _) = Spans { rate: denoiser.rate, mean_span: 1.0 }.counts(ids.len());
        let (prefix, end) = ids.split_at(ids.len() - noise);
        let blank = [self.sentinels.id(0)];
        let close = [self.end_of_text];
        Pair { input: [&front, prefix, &blank, &close].concat(), target: [&blank, end, &close].concat() }
    }
}
