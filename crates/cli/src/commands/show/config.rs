//! What is shown of a config, whichever command it is of.

use crate::run::AnyConfig;
use firebrand_finetune::BestBy;
use firebrand_pretrain::DistillationConfig;
use firebrand_transformer::ModelConfig;
use std::path::PathBuf;

impl AnyConfig {
    pub(super) fn seed(&self) -> u64 {
        match self {
            Self::Pretrain(config) => config.seed,
            Self::Finetune(config) => config.seed,
        }
    }

    /// The steps of the whole run.
    pub(super) fn steps(&self) -> u64 {
        match self {
            Self::Pretrain(config) => config.training.steps,
            Self::Finetune(config) => config.training.steps,
        }
    }

    /// What was trained on.
    pub(super) fn data(&self) -> Vec<PathBuf> {
        match self {
            Self::Pretrain(config) => config.data.shards.iter().chain(&config.data.texts).cloned().collect(),
            Self::Finetune(config) => config.data.files.clone(),
        }
    }

    /// Where every step has as many.
    pub(super) fn tokens_a_step(&self) -> Option<u64> {
        match self {
            Self::Pretrain(config) => Some((config.training.batch_size * config.training.seq_len) as u64),
            Self::Finetune(_) => None,
        }
    }

    /// Whether the loss is nats a token.
    pub(super) fn has_perplexity(&self) -> bool {
        match self {
            Self::Pretrain(config) => config.has_perplexity(),
            Self::Finetune(_) => false,
        }
    }

    pub(super) fn distillation(&self) -> Option<&DistillationConfig> {
        match self {
            Self::Pretrain(config) => config.distillation.as_ref(),
            Self::Finetune(_) => None,
        }
    }

    /// By what the best weights of a fine-tuned model are chosen.
    pub(super) fn best_by(&self) -> Option<BestBy> {
        match self {
            Self::Pretrain(_) => None,
            Self::Finetune(config) => config.head.best_by,
        }
    }

    /// The model for a vocabulary, where the config describes it.
    pub(super) fn model(&self, vocab_size: usize) -> Option<ModelConfig> {
        match self {
            Self::Pretrain(config) => Some(config.model(vocab_size)),
            Self::Finetune(_) => None,
        }
    }
}
