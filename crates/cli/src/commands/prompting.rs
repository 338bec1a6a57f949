//! What prompts need of a run: its special tokens, a scorer, embeddings, templates by name.

use super::masked::Frame;
use crate::args::Global;
use crate::config::{MASK, did_you_mean};
use crate::exit::usage;
use crate::output::say;
use crate::run::Trained;
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_pretrain::{Mode, ModeTokens, Sentinels};
use firebrand_prompt::{Classified, Prompt, PromptError, Scorer, SpecialIds};
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{ModelConfig, ModelKind};
use std::path::Path;

/// The templates that `--template` knows by name.
pub(crate) const TEMPLATES: [(&str, &str); 2] = [
    ("reviews", include_str!("../../../../configs/templates/reviews.toml")),
    ("reviews-verdict", include_str!("../../../../configs/templates/reviews-verdict.toml")),
];

/// A template from a file, or a built-in one.
pub(crate) fn prompt(name: &str) -> anyhow::Result<Prompt> {
    Prompt::parse(&template(name)?, name).map_err(|error| usage(error.to_string()))
}

/// The text of such a template.
pub(crate) fn template(name: &str) -> anyhow::Result<String> {
    if Path::new(name).is_file() {
        return std::fs::read_to_string(name).map_err(|error| usage(format!("--template {name}: {error}")));
    }
    let Some((_, text)) = TEMPLATES.iter().find(|(known, _)| *known == name) else {
        let known = TEMPLATES.map(|(name, _)| name);
        return Err(usage(format!(
            "--template {name}: there is no such file, and no built-in template of that name (there is {}){}",
            known.join(", "),
            did_you_mean(name, &known)
        )));
    };
    Ok((*text).to_owned())
}

/// Templates that are asked together: a label has one number in all of them.
pub(crate) fn prompts(names: &[String]) -> anyhow::Result<Vec<Prompt>> {
    let prompts = names.iter().map(|name| prompt(name)).collect::<anyhow::Result<_>>()?;
    Prompt::ensemble(prompts).map_err(explained)
}

/// What a user gave is wrong, or the model fails.
pub(crate) fn explained(error: PromptError) -> anyhow::Error {
    match error {
        PromptError::Score(error) => error.into(),
        error => usage(error.to_string()),
    }
}

/// What was left out of filled templates for want of room.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    templates: usize,
    /// Those with fewer demonstrations than were to be shown, and how many that were.
    fewer: usize,
    shots: usize,
    /// Those with less of their fields.
    trimmed: usize,
}

impl Cut {
    pub(crate) fn of(classified: &[Classified<'_>]) -> Self {
        let mut all = Self::default();
        all.add(classified);
        all
    }

    pub(crate) fn add(&mut self, classified: &[Classified<'_>]) {
        for of in classified.iter().flat_map(|classified| &classified.templates) {
            self.templates += 1;
            self.fewer += usize::from(of.left_out > 0);
            self.shots = self.shots.max(of.demonstrations + of.left_out);
            self.trimmed += usize::from(of.trimmed);
        }
    }

    /// Says it, if there is something to say; `whose` stands in front.
    pub(crate) fn say(&self, whose: &str, global: &Global) {
        let Self { templates, fewer, shots, trimmed } = self;
        if *fewer > 0 {
            let of = format!("{fewer} of {templates} filled templates");
            say(global, format!("{whose}{of} had no room for all {shots} demonstrations"));
        }
        if *trimmed > 0 {
            let of = format!("{trimmed} of {templates} filled templates");
            say(global, format!("{whose}{of} were too long for the context, and fields were cut"));
        }
    }
}

/// The ids of the tokens by which a model is asked.
pub(crate) fn special_ids(trained: &Trained) -> SpecialIds {
    let is_ours = trained.conventions.is_ours;
    let ids = special_ids_of(trained.model.config(), trained.tokenizer.as_ref(), is_ours);
    SpecialIds { end_of_text: trained.end_of_text(), ..ids }
}

/// The same of a model of `config`, of a folder that we wrote or of another.
pub(crate) fn special_ids_of(
    config: &ModelConfig,
    tokenizer: Option<&Tokenizer>,
    is_ours: bool,
) -> SpecialIds {
    let id = |name: &str| tokenizer.and_then(|tokenizer| tokenizer.token_to_id(name));
    let (before, after) = Frame::new(config, tokenizer, is_ours).ends();
    let sentinels = Sentinels::of(id);
    let modes = ModeTokens::of(id);
    SpecialIds {
        end_of_text: tokenizer.and_then(Tokenizer::end_of_text),
        before,
        after,
        mask: id(MASK).or(id("<mask>")),
        sentinels: (0..sentinels.len()).map(|number| sentinels.id(number)).collect(),
        spans_mode: modes.as_ref().map(|modes| modes.id(Mode::R)),
        text_mode: modes.as_ref().map(|modes| modes.id(Mode::S)),
        decoder_start: config.decoder_start,
    }
}

/// What says how probable texts are to a run's model.
pub(crate) fn scorer(trained: &Trained) -> anyhow::Result<Box<dyn Scorer + '_>> {
    firebrand_prompt::scorer(&trained.model, &special_ids(trained)).map_err(|error| usage(error.to_string()))
}

/// What a text is to a run's model: the mean over its tokens of the last layer's states.
pub(crate) fn embed<'a>(trained: &'a Trained) -> impl Fn(&[u32]) -> Vec<f32> + 'a {
    let special = special_ids(trained);
    let (before, after) = match trained.model.config().kind {
        ModelKind::Encoder => (special.before, special.after),
        ModelKind::Bidirectional => (special.end_of_text, special.end_of_text),
        ModelKind::EncoderDecoder => (None, special.end_of_text),
        ModelKind::Decoder | ModelKind::Permutation => (special.end_of_text, None),
    };
    move |ids| {
        let room = trained.model.config().seq_len - [before, after].iter().flatten().count();
        let ids = before.iter().chain(&ids[..ids.len().min(room)]).chain(&after);
        let ids: Vec<i32> = ids.map(|&id| id as i32).collect();
        let len = ids.len();
        if len == 0 {
            return Vec::new();
        }
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, len]), &trained.model.device());
        let last = trained.model.layer_states(ids).pop().expect("a model has at least its embedding");
        let mean = last.mean_dim(1).into_data().convert::<f32>();
        mean.try_into_vec().expect("converted to f32 just now")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_template_is_one() {
        for (name, _) in TEMPLATES {
            let prompt = prompt(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(prompt.labels(), ["negative", "positive"], "{name}: the labels of the reviews");
            assert_eq!(prompt.fields(), ["text"]);
        }
        let error = prompt("review").expect_err("no such template").to_string();
        assert!(error.contains("did you mean `reviews`?"), "{error}");
    }
}
