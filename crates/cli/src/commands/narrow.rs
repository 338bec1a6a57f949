//! Models whose weights are stored in less than 32 bits.

use crate::args::{Global, WeightsName};
use crate::exit::usage;
use crate::output::{say, size};
use firebrand_transformer::{CpuDecoder, Decoder, WeightFormat};

/// Refuses narrow weights where they are not.
pub(crate) fn check_device(weights: WeightsName, device: &str) -> anyhow::Result<()> {
    let format = WeightFormat::from(weights);
    match format == WeightFormat::F32 || device == "cpu" {
        true => Ok(()),
        false => Err(usage(format!(
            "--weights {} is for the CPU, and this is {device}: add --device cpu",
            format.name()
        ))),
    }
}

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
    check_device(weights, device)?;
    CpuDecoder::new(model, format).map(Some).map_err(|error| usage(error.to_string()))
}

/// Says what the weights take.
pub(crate) fn say_size(model: &CpuDecoder, global: &Global) {
    let (name, bytes) = (model.format().name(), size(model.weight_bytes() as u64));
    let f32_bytes = 4 * model.config().n_params();
    say(global, format!("weights: {name}, {bytes} (f32: {})", size(f32_bytes as u64)));
}
