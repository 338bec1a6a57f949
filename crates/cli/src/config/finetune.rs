//! The configs of `firebrand finetune`.

use super::WritingConfig;
use super::files::{apply, find, put, read};
use super::prompt::{self, PromptSection};
use crate::args::FinetuneArgs;
use crate::exit::usage;
use firebrand_corpus::labelled::{Kind, LabelledData};
use firebrand_corpus::sources::HeldOut;
use firebrand_finetune::{BestBy, FinetuneTraining, HeadOptions, LongTexts, MethodConfig, MethodKind};
use firebrand_training::{OptimizerConfig, ScheduleConfig};
use firebrand_transformer::TaskKind;
use firebrand_transformer::lora::LoraConfig;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// The configs in the binary, by name.
const BUILT_IN: [(&str, &str); 4] = [
    ("classification", include_str!("../../../../configs/finetune/classification.toml")),
    ("regularized", include_str!("../../../../configs/finetune/regularized.toml")),
    ("smoke", include_str!("../../../../configs/finetune/smoke.toml")),
    ("prompt-tuning", include_str!("../../../../configs/finetune/prompt-tuning.toml")),
];

/// The config that is used where none is named.
const DEFAULT: &str = "classification";

/// A fine-tuning run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FinetuneConfig {
    /// What is to be said of texts.
    #[serde(default)]
    pub(crate) task: TaskName,
    /// Of the head's weights, the order of examples, dropout.
    #[serde(default)]
    pub(crate) seed: u64,
    /// Of what is held out: not `seed`, so that runs that differ in that are measured on the same examples.
    #[serde(default)]
    pub(crate) split_seed: u64,
    #[serde(default)]
    pub(crate) data: LabelledData,
    #[serde(default)]
    pub(crate) head: HeadOptions,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) writing: WritingConfig,
    #[serde(default)]
    pub(crate) method: MethodConfig,
    #[serde(default)]
    pub(crate) lora: LoraSection,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) prompt: PromptSection,
    #[serde(default)]
    pub(crate) adapt: AdaptConfig,
    #[serde(default)]
    pub(crate) training: FinetuneTraining,
    #[serde(default)]
    pub(crate) optimizer: OptimizerConfig,
    #[serde(default)]
    pub(crate) schedule: ScheduleConfig,
}

/// The section `[lora]`: for `method.kind = "lora"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LoraSection {
    /// As in [`LoraConfig`].
    pub(crate) rank: usize,
    /// The same.
    pub(crate) alpha: f64,
    /// The same.
    pub(crate) targets: Vec<String>,
    /// Write a whole model in the place of adapters.
    pub(crate) merge: bool,
}

impl Default for LoraSection {
    fn default() -> Self {
        let LoraConfig { rank, alpha, targets } = LoraConfig::default();
        Self { rank, alpha, targets, merge: false }
    }
}

impl LoraSection {
    /// How adapters are made.
    pub(crate) fn adapters(&self) -> LoraConfig {
        LoraConfig { rank: self.rank, alpha: self.alpha, targets: self.targets.clone() }
    }
}

/// Pretraining that goes on, on the texts to be trained on, before their labels are looked at [Howard & Ruder 2018].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdaptConfig {
    /// Steps of the run's own objective; 0 for none.
    pub(crate) steps: u64,
    /// The highest learning rate of AdamW.
    pub(crate) lr: f64,
    /// Sequences in a step; 0 for as many as in pretraining.
    pub(crate) batch_size: usize,
}

impl Default for AdaptConfig {
    fn default() -> Self {
        Self { steps: 0, lr: 5e-4, batch_size: 0 }
    }
}

fn is_default<T: Default + PartialEq>(section: &T) -> bool {
    *section == T::default()
}

/// The tasks there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TaskName {
    /// Which class a text is of
    #[default]
    Classification,
    /// Which labels a text has: none, one, several
    MultiLabel,
    /// A number for a text
    Regression,
    /// A tag for each word of a text
    Tagging,
    /// Another text for a text
    Seq2seq,
    /// The responses of chats
    Instruction,
}

impl TaskName {
    /// The name written in configs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::MultiLabel => "multi-label",
            Self::Regression => "regression",
            Self::Tagging => "tagging",
            Self::Seq2seq => "seq2seq",
            Self::Instruction => "instruction",
        }
    }

    /// What a head says for it; `None` where there is no head, because texts are written.
    pub(crate) fn head(self) -> Option<TaskKind> {
        match self {
            Self::Classification => Some(TaskKind::Classification),
            Self::MultiLabel => Some(TaskKind::MultiLabel),
            Self::Regression => Some(TaskKind::Regression),
            Self::Tagging => Some(TaskKind::Tagging),
            Self::Seq2seq | Self::Instruction => None,
        }
    }

    /// What labels are in its files.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Classification => Kind::Class,
            Self::MultiLabel => Kind::Classes,
            Self::Regression => Kind::Number,
            Self::Tagging => Kind::Tags,
            Self::Seq2seq => Kind::Text,
            Self::Instruction => Kind::Turns,
        }
    }
}

impl FinetuneConfig {
    /// Checks every number that can be checked without the data and the model.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        if self.data.files.is_empty() {
            return Err(usage("nothing to learn from: give --data FILE, such as --data reviews.csv"));
        }
        if self.data.fold.is_some() && self.data.test != HeldOut::None {
            return Err(usage(
                "data.test: in a cross-validation the fold is what is measured on: leave out data.test or --folds",
            ));
        }
        match self.task.head() {
            Some(task) => {
                self.head.validate(task)?;
                if self.writing != WritingConfig::default() {
                    return Err(usage("[writing] is for the tasks seq2seq and instruction: leave it out"));
                }
            }
            None => self.check_writing()?,
        }
        self.method.validate()?;
        prompt::check(self)?;
        self.lora.adapters().validate()?;
        if self.method.kind != MethodKind::Lora && self.lora != LoraSection::default() {
            return Err(usage(format!(
                "[lora] says how adapters are made, and method.kind is `{}`: set it to `lora`, or leave the section out",
                self.method.kind.name()
            )));
        }
        if self.method.scratch && self.method.kind == MethodKind::Lora && !self.lora.merge {
            return Err(usage(
                "method.scratch makes a model of fresh weights, which adapters alone do not hold: add lora.merge=true, or leave one \
                 of the two out",
            ));
        }
        if !(self.adapt.lr > 0.0 && self.adapt.lr.is_finite()) {
            return Err(usage(format!("adapt.lr {} is not above 0", self.adapt.lr)));
        }
        if self.adapt.steps == 0 && self.adapt != AdaptConfig::default() {
            return Err(usage(
                "[adapt] says how texts are read before their labels, and adapt.steps is 0: set it, or leave the section out",
            ));
        }
        self.training.validate()?;
        self.optimizer.validate()?;
        self.schedule.validate()?;
        // Beyond this, counts no longer fit and allocations fail without a word about the key.
        const MOST: usize = 1 << 20;
        for (key, value) in
            [("training.batch_size", self.training.batch_size), ("training.seq_len", self.training.seq_len)]
        {
            if value > MOST {
                return Err(usage(format!("{key} {value} is too large: at most {MOST}")));
            }
        }
        Ok(())
    }

    /// The config with what is usual for its task in the place of what was left out: a run records all of it.
    ///
    /// # Errors
    /// Where something is to be chosen and there is nothing to choose by.
    fn with_options(mut self) -> anyhow::Result<Self> {
        if self.data.held_out == HeldOut::None {
            let patience = format!("training.patience {}", self.training.patience);
            let best_by = format!("head.best_by {}", self.head.best_by.map_or("", BestBy::name));
            for (is_set, key) in
                [(self.training.patience > 0, patience), (self.head.best_by.is_some(), best_by)]
            {
                if is_set {
                    return Err(usage(format!(
                        "{key} looks at what is held out, and data.held_out is \"none\": hold a part out, or leave the key out"
                    )));
                }
            }
        } else if let Some(task) = self.task.head() {
            self.head.best_by.get_or_insert(BestBy::of(task));
        }
        // A whole model that is trained by a template has a name of its own.
        if self.prompt.template.is_some() && self.method.kind == MethodKind::Full {
            self.method.kind = MethodKind::Pet;
        }
        Ok(self)
    }

    /// Refuses what is for heads, where texts are written.
    fn check_writing(&self) -> anyhow::Result<()> {
        let HeadOptions { dropout, best_by, .. } = self.head;
        if self.head != (HeadOptions { dropout, best_by, ..HeadOptions::default() })
            || best_by.is_some_and(|best_by| best_by != BestBy::Loss)
        {
            return Err(usage(format!(
                "of [head] the task {} has only dropout, and its best weights are those of the lowest loss",
                self.task.name()
            )));
        }
        if self.training.long_texts != LongTexts::Cut {
            return Err(usage(format!(
                "training.long_texts=windows is for heads of texts: what is too long for {} is cut",
                self.task.name()
            )));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(usage(format!("head.dropout {dropout} should be at least 0 and below 1")));
        }
        if self.method.kind == MethodKind::Lora && !self.lora.merge {
            return Err(usage(format!(
                "adapters of the task {} are not kept alone: set lora.merge=true, which adds them to the model",
                self.task.name()
            )));
        }
        if self.method.scratch || self.adapt.steps > 0 {
            return Err(usage(format!(
                "method.scratch and adapt.steps are for heads, not for {}",
                self.task.name()
            )));
        }
        Ok(())
    }
}

/// The config that the command line asks for: a file or a built-in one, options and `--set` applied.
pub(crate) fn load_finetune(args: &FinetuneArgs) -> anyhow::Result<FinetuneConfig> {
    let (text, origin) = find("config", &BUILT_IN, args.config.as_deref().unwrap_or(DEFAULT))?;
    let config = read::<FinetuneConfig>(&text, &origin, |table| {
        options(args, table).map_err(usage)?;
        args.set.iter().try_for_each(|assignment| apply(table, assignment))
    });
    config?.with_options()
}

/// Options that stand for a key.
fn options(args: &FinetuneArgs, table: &mut Table) -> Result<(), String> {
    let string = |text: &str| Value::String(text.to_owned());
    if !args.data.is_empty() {
        let files = args.data.iter().map(|path| string(&path.to_string_lossy())).collect();
        put(table, "data.files", Value::Array(files))?;
    }
    if let Some(template) = &args.template {
        put(table, "prompt.template", string(template))?;
    }
    if let Some(task) = args.task {
        put(table, "task", Value::try_from(task).map_err(|error| error.to_string())?)?;
    }
    for (key, column) in [("text", &args.text), ("text_b", &args.text_b), ("label", &args.label)] {
        if let Some(column) = column {
            put(table, &format!("data.columns.{key}"), string(column))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::{CommandFactory, Parser};

    fn args(more: &[&str]) -> FinetuneArgs {
        let line = [&["firebrand", "finetune", "--from", "run", "--data", "a.csv"], more].concat();
        match Cli::parse_from(line).command {
            crate::args::Command::Finetune(args) => *args,
            other => panic!("{other:?} is another command"),
        }
    }

    #[test]
    fn every_built_in_config_describes_a_run_and_stands_in_the_help() {
        let help = Cli::command()
            .find_subcommand_mut("finetune")
            .expect("it is there")
            .render_long_help()
            .to_string();
        for (name, _) in BUILT_IN {
            let config =
                load_finetune(&args(&["--config", name])).unwrap_or_else(|error| panic!("{name}: {error}"));
            config.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(help.contains(&format!("\n  {name} ")), "{name} is missing from the help");
        }
    }

    #[test]
    fn what_would_be_ignored_is_refused_and_told_why() {
        for (set, parts) in [
            (&["task=\"tagging\"", "head.lm_weight=0.5"][..], ["head.lm_weight", "tagging"]),
            (
                &["task=\"seq2seq\"", "training.long_texts=\"windows\""],
                ["training.long_texts", "seq2seq is cut"],
            ),
            (
                &["task=\"instruction\"", "training.long_texts=\"windows\""],
                ["training.long_texts", "instruction is cut"],
            ),
            (&["data.held_out=\"none\"", "training.patience=3"], ["training.patience 3", "data.held_out"]),
            (
                &["data.held_out=\"none\"", "head.best_by=\"macro-f1\""],
                ["head.best_by macro-f1", "data.held_out"],
            ),
            (&["adapt.lr=1e-3"], ["[adapt]", "adapt.steps is 0"]),
            (&["adapt.batch_size=4"], ["[adapt]", "adapt.steps is 0"]),
        ] {
            let more: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
            let refused = load_finetune(&args(&more)).and_then(|config| config.validate());
            let error = refused.expect_err("it would be ignored").to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{set:?}: {error}");
        }
        let more = ["--set", "data.held_out=\"none\""];
        let config = load_finetune(&args(&more)).expect("the last weights are kept");
        assert_eq!(config.head.best_by, None);
    }

    #[test]
    fn options_stand_for_keys_and_set_has_the_last_word() {
        let more = ["--label", "stars", "--task", "regression", "--set", "data.columns.text=body"];
        let config = load_finetune(&args(&more)).expect("well-formed");
        assert_eq!(config.data.files, [std::path::PathBuf::from("a.csv")]);
        let names =
            |field: &Option<firebrand_corpus::records::Field>| field.as_ref().map(|field| field.names());
        assert_eq!(names(&config.data.columns.label), Some(vec!["stars".to_owned()]));
        assert_eq!(names(&config.data.columns.text), Some(vec!["body".to_owned()]));
        assert_eq!((config.task, config.head.best_by), (TaskName::Regression, Some(BestBy::Loss)));
        let error = load_finetune(&args(&["--set", "trainig.epochs=1"])).expect_err("a typo").to_string();
        assert!(error.contains("did you mean `training`?"), "{error}");
    }
}
