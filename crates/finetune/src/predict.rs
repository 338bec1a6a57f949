//! A trained head on texts.

use burn::tensor::Tensor;
use firebrand_backend::threads;
use firebrand_transformer::{Classifier, Padded, Sequence, TaskKind};

/// The outputs of the head for each text, in their order; `model` is without autodiff. Texts of like lengths go through it together,
/// so many at once.
pub fn predict(model: &Classifier, texts: &[Sequence<'_>], at_once: usize) -> Vec<Vec<f32>> {
    let device = model.device();
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&text| texts[text].ids.len());
    let mut all = vec![Vec::new(); texts.len()];
    threads::together(|| {
        for chunk in order.chunks(at_once.max(1)) {
            let rows = Padded::new(chunk.iter().map(|&text| texts[text]), &device);
            let outputs = model.forward(&rows, None);
            // A head for tokens has outputs for each place of a row, padding included.
            let numbers = outputs.dims()[1] * (outputs.dims()[0] / chunk.len());
            let outputs = outputs.into_data().convert::<f32>();
            let outputs = outputs.try_into_vec::<f32>().expect("converted to f32 just now");
            for (&text, outputs) in chunk.iter().zip(outputs.chunks(numbers)) {
                all[text] = outputs.to_vec();
            }
        }
    });
    all
}

/// The rows of a matrix, on the host.
pub(crate) fn rows(matrix: Tensor<2>) -> Vec<Vec<f32>> {
    let width = matrix.dims()[1];
    let values =
        matrix.into_data().convert::<f32>().try_into_vec::<f32>().expect("converted to f32 just now");
    values.chunks(width).map(<[f32]>::to_vec).collect()
}

/// What the outputs of a head for the parts of one text say of it: the mean of what [`probabilities`] says of each.
pub fn mean_probabilities<'a>(task: TaskKind, parts: impl IntoIterator<Item = &'a [f32]>) -> Vec<f64> {
    let (mut sum, mut count) = (Vec::new(), 0.0_f64);
    for outputs in parts {
        let said = probabilities(task, outputs);
        count += 1.0;
        match sum.is_empty() {
            true => sum = said,
            false => sum.iter_mut().zip(said).for_each(|(sum, said)| *sum += said),
        }
    }
    sum.iter_mut().for_each(|sum| *sum /= count);
    sum
}

/// What the outputs of a head say: of classes their probabilities, which add up to 1; of labels the probability of each; a number
/// as it is.
pub fn probabilities(task: TaskKind, outputs: &[f32]) -> Vec<f64> {
    let outputs = outputs.iter().map(|&output| f64::from(output));
    match task {
        TaskKind::Classification | TaskKind::Tagging => {
            let highest = outputs.clone().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = outputs.map(|output| (output - highest).exp()).collect();
            let sum: f64 = powers.iter().sum();
            powers.into_iter().map(|power| power / sum).collect()
        }
        TaskKind::MultiLabel => outputs.map(|output| 1.0 / (1.0 + (-output).exp())).collect(),
        TaskKind::Regression => outputs.collect(),
    }
}
