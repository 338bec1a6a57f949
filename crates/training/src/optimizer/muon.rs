//! Muon [Jordan 2024]: momentum, orthogonalized by a Newton–Schulz iteration.

use super::Optimizer;
use burn::tensor::Tensor;

/// Iterations; five bring all singular values near 1.
const ITERATIONS: usize = 5;

impl Optimizer {
    /// `shape` is `[d_in, d_out]`; decay as AdamW's.
    pub(super) fn muon(
        &mut self,
        name: &str,
        shape: [usize; 2],
        value: Tensor<1>,
        gradient: Tensor<1>,
        schedule: f64,
        clip: f64,
    ) -> Tensor<1> {
        let beta = self.config.muon_momentum;
        let lr = self.config.muon_lr * schedule;
        let gradient = gradient * clip;
        let momentum = self.take("momentum", name, &gradient) * beta + gradient.clone() * (1.0 - beta);
        self.put("momentum", name, momentum.clone());
        // Nesterov: look one step ahead.
        let direction = gradient * (1.0 - beta) + momentum * beta;
        let update = orthogonalize(direction.reshape(shape));
        // Tall or wide, an update has the same effect on the root mean square of what the layer puts out.
        let scale = (shape[1] as f64 / shape[0] as f64).max(1.0).sqrt();
        value * (1.0 - lr * self.config.weight_decay) - update.reshape([shape[0] * shape[1]]) * (lr * scale)
    }
}

/// The nearest semi-orthogonal matrix, roughly: all singular values come to lie about 1, in [0.7, 1.2].
fn orthogonalize(matrix: Tensor<2>) -> Tensor<2> {
    let (a, b, c) = (3.4445, -4.7750, 2.0315);
    let [rows, columns] = matrix.dims();
    let tall = rows > columns;
    let mut x = if tall { matrix.transpose() } else { matrix };
    let norm = firebrand_backend::ops::sum_of_squares(x.clone().reshape([rows * columns])).sqrt();
    x = x / (norm + 1e-7);
    for _ in 0..ITERATIONS {
        let square = product(x.clone(), x.clone().transpose());
        let polynomial = square.clone() * b + product(square.clone(), square) * c;
        x = x.clone() * a + product(polynomial, x);
    }
    if tall { x.transpose() } else { x }
}

/// A product of matrices, as a linear layer: on the CPU that is the fused one, on all threads.
fn product(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
    firebrand_backend::ops::linear(left, right, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{TensorData, Tolerance};
    use firebrand_backend::device;

    #[test]
    fn the_update_is_close_to_orthogonal() {
        let (_, device) = device::resolve(Some("cpu")).expect("the cpu is always there");
        let values: Vec<f32> = (0..24).map(|i| ((i * 7 % 11) as f32 - 5.0) * 0.3).collect();
        for shape in [[4, 6], [6, 4]] {
            let x = orthogonalize(Tensor::from_data(TensorData::new(values.clone(), shape), &device));
            let small = if shape[0] < shape[1] {
                x.clone().matmul(x.transpose())
            } else {
                x.clone().transpose().matmul(x)
            };
            let identity = Tensor::<2>::eye(4, &device);
            small.into_data().assert_approx_eq(&identity.into_data(), Tolerance::<f32>::absolute(0.5));
        }
    }
}
