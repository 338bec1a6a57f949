//! What a config says, section by section: what is trained on (`data`), what is trained (`model`), for what (`objective`); and the files
//! that say it (`files`).

mod data;
mod files;
mod finetune;
mod model;
mod objective;
mod prompt;
mod writing;

pub(crate) use data::DataConfig;
#[cfg(test)]
pub(crate) use files::BUILT_IN;
pub(crate) use files::{did_you_mean, explain, find, load};
pub(crate) use model::ModelSection;
pub(crate) use objective::ObjectiveName;

pub(crate) use finetune::{AdaptConfig, FinetuneConfig, TaskName, load_finetune};
pub(crate) use prompt::{LENGTH, PromptInit, PromptSection};
pub(crate) use writing::{Learn, WritingConfig};

use crate::exit::usage;
use firebrand_pretrain::{
    DenoisingConfig, DistillationConfig, FillInTheMiddleConfig, MaskedConfig, MixtureConfig, NextSentence,
    PermutationConfig, ReplacedTokenConfig, Sentinels, SpanCorruptionConfig,
};
use firebrand_training::{OptimizerConfig, ScheduleConfig, TrainingConfig};
use firebrand_transformer::{EncoderHeads, ModelConfig, ModelKind};
use serde::{Deserialize, Serialize};

/// The token that stands where one is hidden.
pub(crate) use firebrand_pretrain::MASK;

/// A pretraining run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PretrainConfig {
    /// What the model is trained for.
    #[serde(default)]
    pub(crate) objective: ObjectiveName,
    /// Of weights, data order, dropout.
    #[serde(default)]
    pub(crate) seed: u64,
    pub(crate) data: DataConfig,
    pub(crate) model: ModelSection,
    /// Options of the objective of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fill_in_the_middle: Option<FillInTheMiddleConfig>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) permutation: Option<PermutationConfig>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span_corruption: Option<SpanCorruptionConfig>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) denoising: Option<DenoisingConfig>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mixture: Option<MixtureConfig>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) masked: Option<MaskedConfig>,
    /// Options of the objective of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replaced_token: Option<ReplacedTokenConfig>,
    #[serde(default)]
    pub(crate) training: TrainingConfig,
    #[serde(default)]
    pub(crate) optimizer: OptimizerConfig,
    #[serde(default)]
    pub(crate) schedule: ScheduleConfig,
    /// Learn from a teacher besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) distillation: Option<DistillationConfig>,
}

impl PretrainConfig {
    /// The model that is trained, for the vocabulary of a run's own tokenizer.
    pub(crate) fn model(&self, vocab_size: usize) -> ModelConfig {
        let model = self.model.resolve(vocab_size, self.context());
        let model =
            ModelConfig { kind: self.objective.model_kind(), heads: EncoderHeads::default(), ..model };
        match self.objective {
            ObjectiveName::Prefix => ModelConfig { prefix_attention: true, ..model },
            ObjectiveName::Masked => {
                let next_sentence = self.masked.unwrap_or_default().next_sentence;
                ModelConfig { heads: EncoderHeads { masked: true, next_sentence, ..model.heads }, ..model }
            }
            ObjectiveName::ReplacedToken => ModelConfig {
                heads: EncoderHeads { replaced: true, ..model.heads },
                generator: Some(self.replaced_token.unwrap_or_default().generator(&model)),
                ..model
            },
            _ => model,
        }
    }

    /// Whether the loss is nats a token, so that it has a perplexity: not where it is a sum of terms about different things.
    pub(crate) fn has_perplexity(&self) -> bool {
        match self.objective {
            ObjectiveName::Masked => !self.masked.is_some_and(|masked| masked.next_sentence),
            ObjectiveName::ReplacedToken => false,
            _ => true,
        }
    }

    /// The longest context that the objective makes of a row.
    pub(crate) fn context(&self) -> usize {
        self.training.seq_len + self.objective.added_tokens()
    }

    /// The special tokens that the objective needs, which are put behind those of the data's tokenizer.
    pub(crate) fn special_tokens(&self) -> Vec<String> {
        let mut tokens = self.objective.special_tokens();
        if self.masked.is_some_and(|masked| masked.next_sentence) {
            tokens.extend(NextSentence::TOKENS.map(String::from));
        }
        tokens.extend(Sentinels::names(self.most_spans()));
        tokens
    }

    /// How many sentinels a row needs at most.
    fn most_spans(&self) -> usize {
        let len = self.training.seq_len.max(2);
        match self.objective {
            ObjectiveName::SpanCorruption => self.span_corruption.unwrap_or_default().spans().counts(len).1,
            ObjectiveName::Mixture => self.mixture.clone().unwrap_or_default().most_spans(len),
            _ => 0,
        }
    }

    /// The config with the options of its objective, which may be left out, as they are then: a run records all of them.
    fn with_options(mut self) -> Self {
        match self.objective {
            ObjectiveName::SpanCorruption => _ = self.span_corruption.get_or_insert_default(),
            ObjectiveName::Denoising => _ = self.denoising.get_or_insert_default(),
            ObjectiveName::Mixture => _ = self.mixture.get_or_insert_default(),
            ObjectiveName::FillInTheMiddle => _ = self.fill_in_the_middle.get_or_insert_default(),
            ObjectiveName::Permutation => _ = self.permutation.get_or_insert_default(),
            ObjectiveName::Masked => _ = self.masked.get_or_insert_default(),
            ObjectiveName::ReplacedToken => _ = self.replaced_token.get_or_insert_default(),
            ObjectiveName::Causal | ObjectiveName::Bidirectional | ObjectiveName::Prefix => {}
        }
        self
    }

    /// Options of another objective than the run's say that somebody is mistaken.
    fn check_options(&self) -> anyhow::Result<()> {
        let sections = [
            ("fill_in_the_middle", self.fill_in_the_middle.is_some(), ObjectiveName::FillInTheMiddle),
            ("permutation", self.permutation.is_some(), ObjectiveName::Permutation),
            ("span_corruption", self.span_corruption.is_some(), ObjectiveName::SpanCorruption),
            ("denoising", self.denoising.is_some(), ObjectiveName::Denoising),
            ("mixture", self.mixture.is_some(), ObjectiveName::Mixture),
            ("masked", self.masked.is_some(), ObjectiveName::Masked),
            ("replaced_token", self.replaced_token.is_some(), ObjectiveName::ReplacedToken),
        ];
        for (section, is_there, objective) in sections {
            if is_there && objective != self.objective {
                return Err(usage(format!(
                    "[{section}] has options of the objective {}, and this run's is {}",
                    objective.name(),
                    self.objective.name()
                )));
            }
        }
        if self.masked.is_some_and(|masked| masked.next_sentence)
            && self.training.seq_len < NextSentence::SHORTEST
        {
            return Err(usage(format!(
                "training.seq_len {} is too short for masked.next_sentence: two segments and what is around them take {}",
                self.training.seq_len,
                NextSentence::SHORTEST
            )));
        }
        Ok(())
    }

    /// Checks what objectives for encoder–decoders ask of a row.
    fn check_spans(&self) -> anyhow::Result<()> {
        if self.objective.model_kind() == ModelKind::EncoderDecoder && self.training.seq_len < 2 {
            return Err(usage(format!(
                "training.seq_len {} is too short for the objective {}: at least 2",
                self.training.seq_len,
                self.objective.name()
            )));
        }
        let spans = self.most_spans();
        if spans > Sentinels::MOST {
            return Err(usage(format!(
                "training.seq_len {} would need {spans} sentinels, and there are {} at most: make it shorter, or spans fewer or \
                 longer (rate, mean_span)",
                self.training.seq_len,
                Sentinels::MOST
            )));
        }
        Ok(())
    }

    /// Checks every number that can be checked without the data.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        self.check_options()?;
        if let Some(options) = &self.span_corruption {
            options.validate()?;
        }
        if let Some(options) = &self.denoising {
            options.validate()?;
        }
        if let Some(options) = &self.mixture {
            options.validate()?;
        }
        self.check_spans()?;
        if let Some(options) = &self.fill_in_the_middle {
            options.validate()?;
        }
        if let Some(options) = &self.permutation {
            options.validate(self.training.seq_len)?;
        }
        if let Some(options) = &self.masked {
            options.validate()?;
        }
        if let Some(options) = &self.replaced_token {
            options.validate()?;
        }
        self.training.validate()?;
        self.optimizer.validate()?;
        self.schedule.validate()?;
        self.distillation.as_ref().map_or(Ok(()), DistillationConfig::validate)?;
        if self.distillation.is_some() && self.objective != ObjectiveName::Causal {
            return Err(usage(
                "[distillation] teaches a causal model: leave it out, or use objective = \"causal\"",
            ));
        }
        // Beyond this, counts no longer fit and allocations fail without a word about the key.
        const MOST: usize = 1 << 20;
        let (model, training) = (&self.model, &self.training);
        for (key, value) in [
            ("model.d_model", model.d_model),
            ("model.n_heads", model.n_heads),
            ("model.d_head", model.d_head.unwrap_or(0)),
            ("model.n_layers", model.n_layers),
            ("model.n_decoder_layers", model.n_decoder_layers.unwrap_or(0)),
            ("model.d_ff", model.d_ff.unwrap_or(0)),
            ("model.seq_len", model.seq_len.unwrap_or(0)),
            ("training.batch_size", training.batch_size),
            ("training.seq_len", training.seq_len),
        ] {
            if value > MOST {
                return Err(usage(format!("{key} {value} is too large: at most {MOST}")));
            }
        }
        Ok(())
    }
}
