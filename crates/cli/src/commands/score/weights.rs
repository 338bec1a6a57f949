//! What storing weights in less than 32 bits changes, for a user.

use crate::output::{line, size};
use serde_json::json;

/// Weights that were stored in fewer bits, beside those of f32.
pub(super) struct Weights {
    /// Its name.
    pub(super) format: &'static str,
    /// What all of them take, and what they take as f32.
    pub(super) bytes: usize,
    pub(super) f32_bytes: usize,
    /// Nats a token with f32 weights.
    pub(super) f32_loss: f64,
}

impl Weights {
    /// Adds it to what is said in JSON of a model of this loss.
    pub(super) fn add_to(&self, result: &mut serde_json::Value, loss: f64) {
        let Self { format, bytes, f32_bytes, f32_loss } = *self;
        result["weights"] = format.into();
        result["weight_bytes"] = bytes.into();
        result["f32"] = json!({"loss": f32_loss, "perplexity": f32_loss.exp(), "weight_bytes": f32_bytes});
        result["perplexity_change"] = (loss - f32_loss).exp_m1().into();
    }

    /// Prints it below the perplexity of a model of this loss; names take `width` columns.
    pub(super) fn print(&self, loss: f64, width: usize) -> anyhow::Result<()> {
        let Self { format, bytes, f32_bytes, f32_loss } = *self;
        let percent = 100.0 * (loss - f32_loss).exp_m1();
        let of_f32 = f32_loss.exp();
        line(format!("{:<width$}{of_f32:.4} ({format} changes it by {percent:+.3} %)", "  of f32"))?;
        let (bytes, f32_bytes) = (size(bytes as u64), size(f32_bytes as u64));
        line(format!("{:<width$}{format}, {bytes} (f32: {f32_bytes})", "weights"))
    }
}
