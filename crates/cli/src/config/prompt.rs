//! The section `[prompt]` of a fine-tuning config: a template to be trained by, and a prompt that is trained.

use super::{FinetuneConfig, TaskName};
use crate::exit::usage;
use firebrand_finetune::{HeadOptions, LongTexts, MethodKind};
use serde::{Deserialize, Serialize};

/// The section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PromptSection {
    /// A file, or the name of a built-in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<String>,
    /// How many vectors a soft prompt has, or places a prefix; when absent as many as `text` has tokens, or [`LENGTH`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<usize>,
    /// What they are before they are trained.
    pub(crate) init: PromptInit,
    /// The words of `init = "text"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// Of the MLP that a prefix is trained by; 0 for none.
    pub(crate) mlp_width: usize,
}

/// How long prompts are where nothing says otherwise.
pub(crate) const LENGTH: usize = 20;

impl Default for PromptSection {
    fn default() -> Self {
        Self { template: None, length: None, init: PromptInit::default(), text: None, mlp_width: 128 }
    }
}

/// What a prompt is before it is trained. Whatever it is, what texts begin with stands in front.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PromptInit {
    /// Frequent words of the vocabulary, by the seed.
    #[default]
    Vocabulary,
    /// The answers, over and over.
    Answers,
    /// The words of `text`, over and over.
    Text,
    /// Chance.
    Random,
}

/// Refuses what does not go together with a template, or with a method.
pub(super) fn check(config: &FinetuneConfig) -> anyhow::Result<()> {
    let FinetuneConfig { prompt, method, head, task, .. } = config;
    let kind = method.kind;
    let fail = |message: String| Err(usage(message));
    if prompt.template.is_none() {
        return match kind {
            MethodKind::Pet | MethodKind::SoftPrompt | MethodKind::Prefix => fail(format!(
                "method.kind `{}` trains by the answers of a template: give --template FILE, such as --template reviews",
                kind.name()
            )),
            _ if *prompt != PromptSection::default() => fail(
                "[prompt] says how a template is trained by, and there is none: give --template FILE".into(),
            ),
            _ => Ok(()),
        };
    }
    if *task != TaskName::Classification {
        return fail(format!(
            "a template's answers are classes, and the task is {}: leave one of the two out",
            task.name()
        ));
    }
    let HeadOptions { dropout, lm_weight, best_by, .. } = *head;
    if *head != (HeadOptions { dropout, lm_weight, best_by, ..HeadOptions::default() }) {
        return fail("of [head] training by a template has dropout, lm_weight and best_by".into());
    }
    if kind == MethodKind::Frozen {
        return fail(
            "method.kind=frozen trains a head, and a template has none: use pet, lora, soft-prompt or prefix"
                .into(),
        );
    }
    if method.scratch || config.adapt.steps > 0 {
        return fail("method.scratch and adapt.steps are for heads, not for templates".into());
    }
    if config.training.long_texts != LongTexts::Cut {
        return fail("training.long_texts: a template cuts its fields itself, as its `trim` says".into());
    }
    if kind.is_prompt() && lm_weight > 0.0 {
        return fail(format!(
            "head.lm_weight {lm_weight} is for the methods pet and lora, which train the model"
        ));
    }
    if prompt.length == Some(0) {
        return fail("prompt.length 0: a prompt of no vectors is none".into());
    }
    let fresh = PromptSection { template: prompt.template.clone(), ..PromptSection::default() };
    if !kind.is_prompt() && *prompt != fresh {
        return fail(format!(
            "[prompt] has only a template for the method {}: a prompt is trained by soft-prompt and prefix",
            kind.name()
        ));
    }
    // Beyond this, counts no longer fit and allocations fail without a word about the key.
    const MOST: usize = 1 << 16;
    for (key, value) in [("length", prompt.length.unwrap_or(1)), ("mlp_width", prompt.mlp_width)] {
        if value > MOST {
            return fail(format!("prompt.{key} {value} is too large: at most {MOST}"));
        }
    }
    match (prompt.init, &prompt.text) {
        (PromptInit::Text, None) => fail("prompt.init = \"text\": give the words, prompt.text".into()),
        (PromptInit::Text, Some(_)) | (_, None) => Ok(()),
        (_, Some(_)) => {
            fail("prompt.text is for prompt.init = \"text\": set it, or leave the text out".into())
        }
    }
}
