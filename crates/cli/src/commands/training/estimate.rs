//! What memory a run will need, for people.

use crate::output::{complain, thousands};
use firebrand_backend::memory;
use firebrand_training::MemoryEstimate;

/// Warns if the machine has less than that.
pub(in crate::commands) fn warn(estimate: &MemoryEstimate) {
    if let Some(total) = memory::total_bytes().filter(|&total| total < estimate.peak as u64) {
        complain(format_args!(
            "warning: this will need about {}, and there is {}: a larger training.grad_accum_steps, \
             training.activation_checkpointing = true or a smaller model need less",
            mib(estimate.peak),
            mib(total as usize)
        ));
    }
}

/// One line: how much, and what for.
pub(in crate::commands) fn shown(estimate: &MemoryEstimate, device: &str) -> String {
    let MemoryEstimate { weights, gradients, optimizer, activations, teacher, data, process, peak } =
        *estimate;
    format!(
        "about {} of memory at most{}: weights {}, gradients {}, optimizer {}, activations {}, {}data {}, the rest {}; not all of them at once",
        mib(peak),
        if device == "cpu" { "" } else { " (on the device cpu)" },
        mib(weights),
        mib(gradients),
        mib(optimizer),
        mib(activations),
        if teacher > 0 { format!("teacher {}, ", mib(teacher)) } else { String::new() },
        mib(data),
        mib(process)
    )
}

fn mib(bytes: usize) -> String {
    format!("{} MiB", thousands(bytes.div_ceil(1 << 20) as u64))
}
