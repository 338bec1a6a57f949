//! Models whose weights are stored in less than 32 bits.

use crate::args::{Global, WeightsName};
use crate::exit::usage;
use crate::output::{say, size};
use firebrand_decode::processors::log_prob;
use firebrand_transformer::{CpuDecoder, Decoder, Wanted, WeightFormat};

/// `model` with its weights as the user wants them; `None` for f32, as they are.
pub(crate) fn narrow(
    model: &Decoder,
    weights: WeightsName,
    device: &str,
) -> anyhow::Result<Option<CpuDecoder>> {
    let format = WeightFormat::from(weights);
    if format == WeightFormat::F32 {
        return Ok(None);
    }
    if device != "cpu" {
        return Err(usage(format!(
            "--weights {} is for the CPU, and this is {device}: add --device cpu",
            format.name()
        )));
    }
    Ok(Some(CpuDecoder::new(model, format)?))
}

/// Bytes that the model takes with f32 weights.
pub(crate) fn f32_bytes(model: &CpuDecoder) -> usize {
    4 * model.config().n_params()
}

/// Says what the weights take.
pub(crate) fn say_size(model: &CpuDecoder, global: &Global) {
    let (name, bytes) = (model.format().name(), size(model.weight_bytes() as u64));
    say(global, format!("weights: {name}, {bytes} (f32: {})", size(f32_bytes(model) as u64)));
}

/// `−log P(target)` in nats for the last `counted` targets of each window, in sum for each; `windows` are ids of which all but the
/// first are targets.
pub(crate) fn nats(model: &CpuDecoder, windows: &[(&[u32], usize)]) -> Vec<f64> {
    let inputs: Vec<&[u32]> = windows.iter().map(|(ids, _)| &ids[..ids.len() - 1]).collect();
    let logits = model.step(&mut model.start(inputs.len()), &inputs, Wanted::All);
    let mut logits = logits.chunks_exact(model.config().vocab_size);
    let mut all = Vec::with_capacity(windows.len());
    for &(ids, counted) in windows {
        let targets = &ids[1..];
        let mut nats = 0.0;
        for (position, (&target, logits)) in targets.iter().zip(logits.by_ref()).enumerate() {
            if position + counted >= targets.len() {
                nats -= log_prob(logits, target);
            }
        }
        all.push(nats);
    }
    all
}

/// The logits at every position of `ids`, `[ids, vocab]`.
pub(crate) fn logits(model: &CpuDecoder, ids: &[u32]) -> Vec<f32> {
    model.step(&mut model.start(1), &[ids], Wanted::All)
}
