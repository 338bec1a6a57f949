//! What a run will need of memory, before it runs.
//!
//! Counted from the model and the training's numbers. What cannot be counted stands in the constants below, measured once:
//! the test `the_estimate_of_memory` (crates/cli/tests/cli/memory.rs) prints estimates beside measured peaks.

use crate::config::{OptimizerConfig, OptimizerKind, TrainingConfig};
use firebrand_transformer::ModelConfig;
use serde::Serialize;

/// What the process has without any model: code, tables, the scratch of the thread pool. Bytes.
const PROCESS: usize = 32 << 20;

/// What the allocator has beyond what is asked of it, for it cannot use every gap: of the numbers of a step.
const GAPS: f64 = 0.04;

/// Matrices as large as the largest that Muon's iteration has at once.
const MUON_MATRICES: usize = 6;

/// Bytes of a number.
const F32: usize = 4;

/// The memory of a run by what it is for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryEstimate {
    /// The model's weights.
    pub weights: usize,
    /// Their gradients, those of micro-batches that are summed up included.
    pub gradients: usize,
    /// The optimizer's means, and what it works with.
    pub optimizer: usize,
    /// What the forward pass keeps for the backward pass, and what the latter works with.
    pub activations: usize,
    /// The weights of a teacher, and what is kept of what it says; 0 without one.
    pub teacher: usize,
    /// Token files, as far as they are read.
    pub data: usize,
    /// The process itself, gaps between tensors.
    pub process: usize,
    /// The most there is at once: less than the sum, for not everything is there together.
    pub peak: usize,
}

impl MemoryEstimate {
    /// For a run on the CPU. `data` is the size of its token files in bytes; of those no more than the steps read counts.
    /// `teacher` is the model that it distils from, if any.
    pub fn new(
        model: &ModelConfig,
        training: &TrainingConfig,
        optimizer: &OptimizerConfig,
        data: usize,
        teacher: Option<&ModelConfig>,
    ) -> Self {
        let numbers = model.n_params();
        let pieces = training.grad_accum_steps.max(1);
        let tokens = (training.batch_size / pieces).max(1) * training.seq_len;
        let activations = model.activations(tokens, training.precision);
        let kept = activations.peak(model.layers_in_all(), training.activation_checkpointing);

        let muon = optimizer.kind == OptimizerKind::Muon;
        let in_muon = if muon { model.layer_matrix_numbers() } else { 0 };
        // Muon has one mean, AdamW two.
        let state = 2 * numbers - in_muon;
        let scratch = if muon { MUON_MATRICES * model.largest_layer_matrix() } else { 0 };
        let sums = if pieces > 1 { numbers } else { 0 };

        let embedding = model.embedding_numbers();
        // While layers are walked back, their activations go and their gradients come.
        let backward_begins = kept + embedding;
        let tied = if model.tied_head { embedding } else { 0 };
        let backward_ends = numbers + tied + activations.layer_input + activations.working;
        let update = numbers + scratch;
        let taught = teacher.map_or(Taught::default(), |teacher| {
            let of_teacher = teacher.activations(tokens, training.precision);
            Taught {
                weights: teacher.n_params(),
                // A layer after the other, of which nothing is kept.
                pass: of_teacher.layer + of_teacher.working,
                // Its last states and a chunk of its logits, and the gradients of the divergence: as those of the text,
                // of the head and of the student's last states.
                kept: of_teacher.loss + embedding + activations.layer_input,
            }
        });
        let backward_begins = backward_begins + taught.kept;
        let step = sums + backward_begins.max(backward_ends).max(update).max(taught.pass);
        // A checkpoint takes no more: its tensors are written one by one.
        // While a teacher is read there are the tensors of its file and the model that they are for.
        let loading = numbers + 2 * taught.weights;
        let of_step = (numbers + state + taught.weights + step).max(loading);

        let read = training.steps.saturating_mul((training.batch_size * (training.seq_len + 1)) as u64);
        let data = data.min(usize::try_from(read).unwrap_or(usize::MAX).saturating_mul(2));
        let process = PROCESS + (GAPS * (F32 * of_step) as f64) as usize;
        Self {
            weights: F32 * numbers,
            gradients: F32 * (numbers + sums),
            optimizer: F32 * (state + scratch),
            activations: F32 * kept,
            teacher: F32 * (taught.weights + taught.kept),
            data,
            process,
            peak: F32 * of_step + data + process,
        }
    }
}

/// Numbers that distillation adds.
#[derive(Debug, Clone, Copy, Default)]
struct Taught {
    weights: usize,
    /// The teacher's forward pass, before the student's.
    pass: usize,
    /// What is there of it when the student's backward pass begins.
    kept: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use firebrand_backend::Precision;
    use firebrand_transformer::Preset;

    fn peak(change: impl FnOnce(&mut TrainingConfig, &mut OptimizerConfig)) -> usize {
        let model = ModelConfig::preset(Preset::Llama, 512, 256, 6, 4, 256);
        let (mut training, mut optimizer) = (TrainingConfig::default(), OptimizerConfig::default());
        change(&mut training, &mut optimizer);
        let estimate = MemoryEstimate::new(&model, &training, &optimizer, 1 << 20, None);
        // What the process takes anyway no option saves.
        estimate.peak - estimate.process
    }

    #[test]
    fn what_saves_memory_is_estimated_to_do_so() {
        let plain = peak(|_, _| {});
        assert!(peak(|training, _| training.activation_checkpointing = true) < plain / 2);
        assert!(peak(|training, _| training.grad_accum_steps = 4) < plain / 2);
        assert!(peak(|_, optimizer| optimizer.kind = OptimizerKind::Muon) < plain);
        assert!(peak(|training, _| training.precision = Precision::Bf16) < plain * 3 / 4);
        assert!(peak(|training, _| training.batch_size *= 2) > plain * 3 / 2);
    }

    #[test]
    fn the_parts_are_those_of_the_configuration() {
        let model = ModelConfig::preset(Preset::Gpt2, 100, 8, 2, 2, 16);
        let training = TrainingConfig { steps: 3, batch_size: 2, seq_len: 16, ..TrainingConfig::default() };
        let estimate = MemoryEstimate::new(&model, &training, &OptimizerConfig::default(), 1 << 30, None);
        let numbers = model.n_params();
        assert_eq!((estimate.weights, estimate.gradients), (4 * numbers, 4 * numbers));
        assert_eq!(estimate.optimizer, 8 * numbers);
        // Three steps of two windows of 17 tokens, two bytes each.
        assert_eq!((estimate.data, estimate.teacher), (3 * 2 * 17 * 2, 0));
    }

    #[test]
    fn a_teacher_is_counted() {
        let model = ModelConfig::preset(Preset::Llama, 512, 64, 1, 2, 256);
        let teacher = ModelConfig::preset(Preset::Llama, 512, 512, 8, 8, 256);
        let estimate = |teacher| {
            MemoryEstimate::new(&model, &TrainingConfig::default(), &OptimizerConfig::default(), 0, teacher)
        };
        let (alone, taught) = (estimate(None), estimate(Some(&teacher)));
        let weights = 4 * teacher.n_params();
        assert!(taught.teacher >= weights && taught.peak >= alone.peak + weights);
        // Nothing of its layers is kept, and it has no gradients.
        let (training, optimizer) = (TrainingConfig::default(), OptimizerConfig::default());
        let trained = MemoryEstimate::new(&teacher, &training, &optimizer, 0, None);
        assert!(taught.peak < trained.peak / 2, "{taught:?}, {trained:?}");
    }
}
