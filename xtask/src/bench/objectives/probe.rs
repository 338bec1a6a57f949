//! A probe: how well a linear classifier reads labels from what a model made of texts [Peters 2018].

use serde::{Deserialize, Serialize};

/// Vectors of one layer, a row a text.
pub(super) struct Layer {
    pub(super) width: usize,
    pub(super) values: Vec<f32>,
}

/// What a probe reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Layer(usize),
    /// A mix of all layers whose weights are learned with the probe: ELMo's ScalarMix, `γ` being part of the classifier.
    Mix,
}

/// What probes of a model's layers say of labelled texts that they were not trained on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Probed {
    /// The accuracy that each layer gives, the embedding first.
    pub(super) layers: Vec<f64>,
    /// The same of the mix, and what each layer contributes to it.
    pub(super) mix: f64,
    pub(super) shares: Vec<f64>,
    /// By how much the mix is more accurate than the best layer (chosen by these same texts, so that it is flattered), and the
    /// standard error of that: both were asked about the same texts.
    pub(super) gain: f64,
    pub(super) error: f64,
    /// How many texts are right by one layer at least: what a perfect choice between them would give.
    pub(super) any: f64,
}

/// Trains a probe on each of `layers` and one on their mix, on all texts but the last `held_out`.
pub(super) fn probe(layers: &[Layer], labels: &[usize], held_out: usize) -> Probed {
    let one: Vec<Vec<bool>> =
        (0..layers.len()).map(|layer| answers(layers, Reads::Layer(layer), labels, held_out).0).collect();
    let (mix, shares) = answers(layers, Reads::Mix, labels, held_out);
    let share = |right: &[bool]| right.iter().filter(|&&right| right).count() as f64 / right.len() as f64;
    let accuracies: Vec<f64> = one.iter().map(|right| share(right)).collect();
    let better = |best: usize, layer: usize| if accuracies[layer] > accuracies[best] { layer } else { best };
    let best = &one[(0..one.len()).fold(0, better)];
    let (gain, error) = difference(&mix, best);
    let any: Vec<bool> = (0..held_out).map(|text| one.iter().any(|right| right[text])).collect();
    Probed { mix: share(&mix), shares, gain, error, any: share(&any), layers: accuracies }
}

/// By how much more often `a` is right than `b` on the same texts, and the standard error of that.
fn difference(a: &[bool], b: &[bool]) -> (f64, f64) {
    let n = a.len() as f64;
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|&(a, b)| *a && !b).count() as f64 / n;
    let (won, lost) = (only(a, b), only(b, a));
    let mean = won - lost;
    (mean, ((won + lost - mean * mean) / n).sqrt())
}

/// Which of the last `held_out` texts a softmax regression gets right that was trained on those before them, and the share of each
/// layer in what it reads.
fn answers(layers: &[Layer], reads: Reads, labels: &[usize], held_out: usize) -> (Vec<bool>, Vec<f64>) {
    let layers: Vec<&Layer> = match reads {
        Reads::Layer(layer) => vec![&layers[layer]],
        Reads::Mix => layers.iter().collect(),
    };
    let train = labels.len() - held_out;
    let layers: Vec<Layer> = layers.into_iter().map(|layer| standardized(layer, train)).collect();
    let probe = Probe::train(&layers, &labels[..train]);
    let right = (train..labels.len()).map(|text| probe.choose(&layers, text) == labels[text]);
    (right.collect(), probe.shares())
}

/// Each number of a vector with mean 0 and deviation 1 over the training texts: so that no layer is louder than another.
fn standardized(layer: &Layer, train: usize) -> Layer {
    let width = layer.width;
    let mut values = layer.values.clone();
    for column in 0..width {
        let of = |row: usize| f64::from(layer.values[row * width + column]);
        let mean = (0..train).map(of).sum::<f64>() / train as f64;
        let variance = (0..train).map(|row| (of(row) - mean).powi(2)).sum::<f64>() / train as f64;
        let scale = 1.0 / (variance.sqrt() + 1e-6);
        values
            .iter_mut()
            .skip(column)
            .step_by(width)
            .for_each(|x| *x = ((f64::from(*x) - mean) * scale) as f32);
    }
    Layer { width, values }
}

/// Softmax regression on a mix of layers.
struct Probe {
    classes: usize,
    width: usize,
    /// `[classes, width + 1]`, the bias last; then one weight a layer.
    parameters: Vec<f64>,
}

impl Probe {
    const STEPS: usize = 300;
    const RATE: f64 = 0.02;
    /// Of the squared weights: texts are few and vectors wide.
    const DECAY: f64 = 1e-2;

    /// All texts at once, by Adam [Kingma & Ba 2015].
    fn train(layers: &[Layer], labels: &[usize]) -> Self {
        let classes = labels.iter().max().map_or(1, |most| most + 1);
        let width = layers[0].width;
        let mut probe = Self { classes, width, parameters: vec![0.0; classes * (width + 1) + layers.len()] };
        let n = probe.parameters.len();
        let (mut mean, mut square) = (vec![0.0; n], vec![0.0; n]);
        for step in 1..=Self::STEPS {
            let gradient = probe.gradient(layers, labels);
            for (i, gradient) in gradient.into_iter().enumerate() {
                mean[i] = 0.9 * mean[i] + 0.1 * gradient;
                square[i] = 0.99 * square[i] + 0.01 * gradient * gradient;
                let (mean, square) = (
                    mean[i] / (1.0 - 0.9f64.powi(step as i32)),
                    square[i] / (1.0 - 0.99f64.powi(step as i32)),
                );
                probe.parameters[i] -= Self::RATE * mean / (square.sqrt() + 1e-9);
            }
        }
        probe
    }

    /// `softmax(w)`
    fn shares(&self) -> Vec<f64> {
        softmax(&self.parameters[self.classes * (self.width + 1)..])
    }

    fn mixed(&self, layers: &[Layer], shares: &[f64], text: usize) -> Vec<f64> {
        let mut x = vec![0.0; self.width];
        for (layer, share) in layers.iter().zip(shares) {
            let row = &layer.values[text * self.width..][..self.width];
            x.iter_mut().zip(row).for_each(|(x, value)| *x += share * f64::from(*value));
        }
        x
    }

    fn probabilities(&self, x: &[f64]) -> Vec<f64> {
        let logit =
            |row: &[f64]| row[..self.width].iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + row[self.width];
        let rows = self.parameters[..self.classes * (self.width + 1)].chunks(self.width + 1);
        softmax(&rows.map(logit).collect::<Vec<f64>>())
    }

    fn gradient(&self, layers: &[Layer], labels: &[usize]) -> Vec<f64> {
        let shares = self.shares();
        let matrix = self.classes * (self.width + 1);
        let mut gradient = vec![0.0; self.parameters.len()];
        let mut of_shares = vec![0.0; layers.len()];
        for (text, &label) in labels.iter().enumerate() {
            let x = self.mixed(layers, &shares, text);
            let mut error = self.probabilities(&x);
            error[label] -= 1.0;
            let mut of_x = vec![0.0; self.width];
            for (class, error) in error.iter().enumerate() {
                let at = class * (self.width + 1);
                for i in 0..self.width {
                    gradient[at + i] += error * x[i];
                    of_x[i] += error * self.parameters[at + i];
                }
                gradient[at + self.width] += error;
            }
            for (of_share, layer) in of_shares.iter_mut().zip(layers) {
                let row = &layer.values[text * self.width..][..self.width];
                *of_share += row.iter().zip(&of_x).map(|(value, of_x)| f64::from(*value) * of_x).sum::<f64>();
            }
        }
        let mean: f64 = shares.iter().zip(&of_shares).map(|(share, of_share)| share * of_share).sum();
        for (k, (share, of_share)) in shares.iter().zip(&of_shares).enumerate() {
            gradient[matrix + k] = share * (of_share - mean);
        }
        let n = labels.len() as f64;
        gradient.iter_mut().for_each(|gradient| *gradient /= n);
        for (gradient, weight) in gradient[..matrix].iter_mut().zip(&self.parameters) {
            *gradient += Self::DECAY * weight;
        }
        gradient
    }

    fn choose(&self, layers: &[Layer], text: usize) -> usize {
        let probabilities = self.probabilities(&self.mixed(layers, &self.shares(), text));
        let better =
            |best: usize, class: usize| if probabilities[class] > probabilities[best] { class } else { best };
        (0..self.classes).fold(0, better)
    }
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two layers of noise; in the second one number says the label.
    fn example() -> (Vec<Layer>, Vec<usize>) {
        let (n, width) = (200, 6);
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u32 << 24) as f32 - 0.5
        };
        let labels: Vec<usize> = (0..n).map(|i| (i * 7 + i / 3) % 3).collect();
        let mut layers: Vec<Layer> =
            (0..2).map(|_| Layer { width, values: (0..n * width).map(|_| noise()).collect() }).collect();
        for (text, &label) in labels.iter().enumerate() {
            layers[1].values[text * width + label] += 3.0;
        }
        (layers, labels)
    }

    #[test]
    fn a_probe_reads_what_is_there_and_guesses_elsewhere() {
        let (layers, labels) = example();
        let probed = probe(&layers, &labels, 80);
        assert!(probed.layers[0] < 0.6 && probed.layers[1] > 0.95 && probed.mix > 0.95, "{probed:?}");
        assert!(probed.any >= probed.layers[1] && probed.gain <= 1.0 - probed.layers[1], "{probed:?}");
    }

    /// Each layer says one bit of the label.
    #[test]
    fn the_mix_beats_every_layer_where_each_knows_something_else() {
        let (mut layers, _) = example();
        let labels: Vec<usize> = (0..200).map(|i| (i * 7 + i / 3) % 4).collect();
        for (layer, Layer { width, values }) in layers.iter_mut().enumerate() {
            for (text, label) in labels.iter().enumerate() {
                values[text * *width + layer] = if label >> layer & 1 == 1 { 2.0 } else { -2.0 };
                values[text * *width + 1 - layer] = 0.0;
            }
        }
        let probed = probe(&layers, &labels, 80);
        assert!(probed.layers.iter().all(|accuracy| *accuracy < 0.8), "{probed:?}");
        assert!(probed.mix > 0.95 && probed.gain > 3.0 * probed.error, "{probed:?}");
    }

    #[test]
    fn the_error_of_a_difference_counts_the_texts_that_are_judged_differently() {
        let (a, b) = ([true, true, true, false], [true, false, false, true]);
        let (gain, error) = difference(&a, &b);
        // Each text adds 1, 0 or −1: two, one and one of them, of a variance of 3/4 − 1/16.
        assert!((gain - 0.25).abs() < 1e-12 && (error - (0.6875f64 / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!(difference(&a, &a), (0.0, 0.0));
    }

    #[test]
    fn the_mix_prefers_the_layer_that_knows() {
        let (layers, labels) = example();
        let shares = Probe::train(&layers, &labels).shares();
        assert!(shares[1] > 0.6, "{shares:?}");
    }

    #[test]
    fn its_gradient_agrees_with_finite_differences() {
        let (layers, labels) = example();
        let mut probe =
            Probe { classes: 3, width: 6, parameters: (0..23).map(|i| (i as f64).sin()).collect() };
        let loss = |probe: &Probe| {
            let shares = probe.shares();
            let nats = labels
                .iter()
                .enumerate()
                .map(|(text, &label)| -probe.probabilities(&probe.mixed(&layers, &shares, text))[label].ln());
            let weights = probe.parameters[..21].iter().map(|w| w * w).sum::<f64>();
            nats.sum::<f64>() / labels.len() as f64 + 0.5 * Probe::DECAY * weights
        };
        let gradient = probe.gradient(&layers, &labels);
        for (i, gradient) in gradient.into_iter().enumerate() {
            let at = probe.parameters[i];
            let [above, below] = [1e-5, -1e-5].map(|step| {
                probe.parameters[i] = at + step;
                loss(&probe)
            });
            probe.parameters[i] = at;
            assert!(((above - below) / 2e-5 - gradient).abs() < 1e-6, "parameter {i}");
        }
    }
}
