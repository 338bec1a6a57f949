//! Which tensors a run trains, and how fast: the section `[method]` of a config.

use firebrand_training::{Rate, Rates, TrainingError};
use firebrand_transformer::lora::is_adapter;
use firebrand_transformer::{LayerGroups, TrainedPrompt};
use serde::{Deserialize, Serialize};

/// What is trained beside the head, which always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// The whole model.
    #[default]
    Full,
    /// Nothing: the model's states stay what pretraining made of them.
    Frozen,
    /// Low-rank adapters of the layers' matrices [Hu 2021], as the section `[lora]` says.
    Lora,
    /// The whole model, by the answers of a template [Schick & Schütze 2021].
    Pet,
    /// Vectors in front of what a template makes of texts [Lester 2021]; nothing of the model.
    SoftPrompt,
    /// Keys and values in front of it in every layer [Li & Liang 2021]; nothing of the model.
    Prefix,
}

impl MethodKind {
    /// The name written in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Frozen => "frozen",
            Self::Lora => "lora",
            Self::Pet => "pet",
            Self::SoftPrompt => "soft-prompt",
            Self::Prefix => "prefix",
        }
    }

    /// Whether a prompt is trained, and nothing of the model.
    pub fn is_prompt(self) -> bool {
        matches!(self, Self::SoftPrompt | Self::Prefix)
    }
}

/// When the parts of a model begin to be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfreeze {
    /// All of them with the first step.
    #[default]
    AtOnce,
    /// The head with the first step, and with each epoch the layer below [Howard & Ruder 2018].
    Gradual,
}

/// The section `[method]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MethodConfig {
    /// What is trained beside the head.
    pub kind: MethodKind,
    /// When the parts of it begin to be trained.
    pub unfreeze: Unfreeze,
    /// Each layer's learning rate is that of the one above divided by this, the last layer's that of the head: 2.6 in ULMFiT
    /// [Howard & Ruder 2018]; 1 for the same rate everywhere.
    pub layer_decay: f64,
    /// Begin with fresh weights in the place of the run's: to see what its pretraining is worth.
    pub scratch: bool,
}

impl Default for MethodConfig {
    fn default() -> Self {
        Self { kind: MethodKind::Full, unfreeze: Unfreeze::AtOnce, layer_decay: 1.0, scratch: false }
    }
}

impl MethodConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        if !(self.layer_decay >= 1.0 && self.layer_decay.is_finite()) {
            return Err(TrainingError::Config(format!(
                "method.layer_decay {} is not 1 or more: it is what each lower layer's rate is divided by",
                self.layer_decay
            )));
        }
        if self.kind.is_prompt() && (self.unfreeze == Unfreeze::Gradual || self.layer_decay != 1.0) {
            return Err(TrainingError::Config(format!(
                "method.kind `{}` trains nothing of the layers: leave method.unfreeze and method.layer_decay out",
                self.kind.name()
            )));
        }
        if self.kind == MethodKind::Frozen && self.unfreeze == Unfreeze::Gradual {
            return Err(TrainingError::Config(
                "method.unfreeze `gradual` wants something to unfreeze, and method.kind is `frozen`".into(),
            ));
        }
        Ok(())
    }

    /// The rate of each tensor of a model with these groups, whose epochs have so many steps.
    pub fn rates(&self, groups: &LayerGroups, steps_per_epoch: u64) -> Rates {
        let rate = |(name, above): (&str, usize)| {
            let is_head = above == 0 && groups.has_head();
            (name.to_string(), self.rate(name, above, is_head, steps_per_epoch))
        };
        if self.kind.is_prompt() {
            let names: Vec<&str> = groups.iter().map(|(name, _)| name).collect();
            let of = |&name: &&str| match TrainedPrompt::is_trained(&names, name) {
                true => (name.to_string(), Rate::FULL),
                false => (name.to_string(), Rate::FROZEN),
            };
            return Rates::new(names.iter().map(of));
        }
        Rates::new(groups.iter().map(rate))
    }

    /// That of a tensor with so many groups above its own.
    fn rate(&self, name: &str, above: usize, is_head: bool, steps_per_epoch: u64) -> Rate {
        let trained = match self.kind {
            MethodKind::Full | MethodKind::Pet => true,
            MethodKind::Frozen => is_head,
            MethodKind::Lora => is_head || is_adapter(name),
            MethodKind::SoftPrompt | MethodKind::Prefix => false,
        };
        if !trained {
            return Rate::FROZEN;
        }
        let first_step = match self.unfreeze {
            Unfreeze::AtOnce => 0,
            Unfreeze::Gradual => above as u64 * steps_per_epoch,
        };
        Rate { factor: self.layer_decay.powf(-(above as f64)), first_step }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firebrand_backend::device;
    use firebrand_transformer::lora::{LoraConfig, with_adapters};
    use firebrand_transformer::{
        Beginning, Body, Decoder, Model, ModelConfig, Preset, Prompted, TrainedPrompt, tensor_names,
    };

    fn groups(adapters: bool) -> LayerGroups {
        let config = ModelConfig { tied_head: false, ..ModelConfig::preset(Preset::Gpt2, 20, 8, 2, 2, 8) };
        let device = device::resolve(Some("cpu")).expect("always there").1;
        let model = Decoder::new(&config, 0, &device).expect("a small model");
        let model =
            if adapters { with_adapters(model, &LoraConfig::default(), 0).expect("adapters") } else { model };
        LayerGroups::of(&model)
    }

    fn rate(factor: f64, first_step: u64) -> Rate {
        Rate { factor, first_step }
    }

    #[test]
    fn everything_is_trained_alike_unless_told_otherwise() {
        assert_eq!(MethodConfig::default().rates(&groups(false), 10), Rates::default());
    }

    #[test]
    fn ulmfit_is_a_layer_an_epoch_each_slower_than_the_one_above() {
        let method =
            MethodConfig { unfreeze: Unfreeze::Gradual, layer_decay: 2.0, ..MethodConfig::default() };
        let rates = method.rates(&groups(false), 10);
        assert_eq!(rates.of("head"), Rate::FULL);
        assert_eq!(rates.of("layers.1.mlp.up.weight"), rate(0.5, 10));
        assert_eq!(rates.of("norm.weight"), rate(0.5, 10));
        assert_eq!(rates.of("layers.0.mlp.up.weight"), rate(0.25, 20));
        assert_eq!(rates.of("token_embedding"), rate(0.125, 30));
    }

    #[test]
    fn a_frozen_body_has_a_head_that_is_trained() {
        let method = MethodConfig { kind: MethodKind::Frozen, ..MethodConfig::default() };
        let rates = method.rates(&groups(false), 10);
        assert_eq!(rates.of("head"), Rate::FULL);
        for name in ["layers.1.mlp.up.weight", "norm.weight", "token_embedding"] {
            assert_eq!(rates.of(name), Rate::FROZEN, "{name}");
        }
        let both = MethodConfig { unfreeze: Unfreeze::Gradual, ..method };
        assert!(both.validate().expect_err("nothing to unfreeze").to_string().contains("unfreeze"));
    }

    #[test]
    fn adapters_are_trained_in_the_place_of_what_they_adapt() {
        let method = MethodConfig { kind: MethodKind::Lora, ..MethodConfig::default() };
        let rates = method.rates(&groups(true), 10);
        assert_eq!(rates.of("layers.0.mlp.up.weight"), Rate::FROZEN);
        assert_eq!(rates.of("layers.0.mlp.up.weight.lora.a"), Rate::FULL);
        assert_eq!(rates.of("position_embedding"), Rate::FROZEN);
        assert_eq!(rates.of("head"), Rate::FULL);
    }

    #[test]
    fn a_prompt_is_trained_and_nothing_else() {
        let config = ModelConfig { tied_head: false, ..ModelConfig::preset(Preset::Gpt2, 20, 8, 2, 2, 8) };
        let device = device::resolve(Some("cpu")).expect("always there").1;
        let body = Body::Decoder(Decoder::new(&config, 0, &device).expect("a small model"));
        let words = Beginning::Ids(vec![1, 2]);
        let frozen =
            ["body.Decoder.token_embedding", "body.Decoder.head", "body.Decoder.layers.1.mlp.up.weight"];
        for (kind, trained, still) in [
            (MethodKind::SoftPrompt, "prompt.Soft.vectors", None),
            (MethodKind::Prefix, "prompt.Prefix.mlp.output.weight", Some("prompt.Prefix.keys_values")),
        ] {
            let prompt = match kind {
                MethodKind::Prefix => TrainedPrompt::prefix(&body, &words, 3, 0),
                _ => TrainedPrompt::soft(&body, &words, 0),
            };
            let model =
                Prompted::new(body.clone(), Some(prompt.expect("a prompt"))).expect("they go together");
            let method = MethodConfig { kind, ..MethodConfig::default() };
            let rates = method.rates(&LayerGroups::of(&model), 10);
            let names = tensor_names(&model);
            assert_eq!(rates.of(trained), Rate::FULL);
            for name in frozen.into_iter().chain(still) {
                assert!(names.iter().any(|known| known == name), "{name} is none of {names:?}");
                assert_eq!(rates.of(name), Rate::FROZEN, "{name}");
            }
        }
        let gradual =
            MethodConfig { kind: MethodKind::Prefix, unfreeze: Unfreeze::Gradual, ..MethodConfig::default() };
        assert!(gradual.validate().expect_err("nothing to unfreeze").to_string().contains("prefix"));
    }
}
