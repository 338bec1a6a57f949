//! Initial weights, drawn on the host so that every device starts from the same numbers.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Standard deviation of matrices and embeddings [GPT-2].
pub(crate) const STD: f64 = 0.02;

/// Draws a model's tensors one after the other; each has its own stream, so that adding one changes no other.
pub(crate) struct Init<'a> {
    /// Without one, zeros stand where normal numbers would, for weights that are about to be read.
    seed: Option<u64>,
    stream: u64,
    device: &'a Device,
}

impl<'a> Init<'a> {
    pub(crate) fn new(seed: Option<u64>, device: &'a Device) -> Self {
        Self { seed, stream: 0, device }
    }

    /// One that goes on with a stream of this number.
    pub(crate) fn stream(seed: u64, stream: u64, device: &'a Device) -> Self {
        Self { seed: Some(seed), stream, device }
    }

    /// A matrix of normal numbers with standard deviation `std`.
    pub(crate) fn normal(&mut self, shape: [usize; 2], std: f64) -> Param<Tensor<2>> {
        let n = shape[0] * shape[1];
        let Some(seed) = self.seed else {
            return Param::from_data(TensorData::new(vec![0.0_f32; n], shape), self.device);
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(self.stream);
        self.stream += 1;
        let mut values = Vec::with_capacity(n + 1);
        while values.len() < n {
            // Box–Muller: two uniform numbers, the first in (0, 1], give two normal ones.
            let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
            let radius = (-2.0 * u.ln()).sqrt() * std;
            let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
            values.push((radius * cos) as f32);
            values.push((radius * sin) as f32);
        }
        values.truncate(n);
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// A vector of one number.
    pub(crate) fn constant(&self, len: usize, value: f32) -> Param<Tensor<1>> {
        self.vector(vec![value; len])
    }

    /// A vector of these numbers.
    pub(crate) fn vector(&self, values: Vec<f32>) -> Param<Tensor<1>> {
        let len = values.len();
        Param::from_data(TensorData::new(values, [len]), self.device)
    }
}
