//! The sections `[training]` and `[head]` of a config.

use firebrand_backend::Precision;
use firebrand_training::{Evaluation, TrainingConfig, TrainingError};
use firebrand_transformer::{Pooling, TaskKind};
use serde::{Deserialize, Serialize};

/// How long, in what portions, and how often to look. Unlike in pretraining an epoch is the measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FinetuneTraining {
    /// How often every example is seen.
    pub epochs: f64,
    /// Optimizer steps; 0 for as many as the epochs take.
    pub steps: u64,
    /// Examples in a step.
    pub batch_size: usize,
    /// Pieces that a step's examples are cut into to save memory; divides `batch_size`, changes no result.
    pub grad_accum_steps: usize,
    /// As in pretraining.
    pub activation_checkpointing: bool,
    /// The most tokens of an example; 0 for as many as the model's context has.
    pub seq_len: usize,
    /// What becomes of texts that are longer than that.
    pub long_texts: LongTexts,
    /// Put examples of like lengths into a batch, which saves the time that padding takes.
    pub group_by_length: bool,
    /// The global gradient norm is clipped to this; 0 for no clipping.
    pub grad_clip_norm: f64,
    /// Evaluate on held-out examples every so many steps, and at the end; 0 for once an epoch.
    pub eval_every: u64,
    /// End the run after so many evaluations in a row that were no better than the best one; 0 for never.
    pub patience: u64,
    /// What matrix products round their operands to.
    pub precision: Precision,
    /// Write a line of metrics every so many steps.
    pub log_every: u64,
    /// Keep a checkpoint every so many steps, and at the end; 0 for once an epoch.
    pub checkpoint_every: u64,
}

impl Default for FinetuneTraining {
    fn default() -> Self {
        Self {
            epochs: 3.0,
            steps: 0,
            batch_size: 16,
            grad_accum_steps: 1,
            activation_checkpointing: false,
            seq_len: 0,
            long_texts: LongTexts::default(),
            group_by_length: true,
            grad_clip_norm: 1.0,
            eval_every: 0,
            patience: 0,
            precision: Precision::F32,
            log_every: 10,
            checkpoint_every: 0,
        }
    }
}

impl FinetuneTraining {
    /// Checks the numbers that can be checked without data.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        // Beyond this the number of steps fits in nothing.
        const MOST: f64 = 1e6;
        if !(self.epochs > 0.0 && self.epochs <= MOST) {
            return Err(TrainingError::Config(format!(
                "training.epochs {} should be a number above 0 and at most {MOST}",
                self.epochs
            )));
        }
        self.resolve(1, 1).map(|_| ())
    }

    /// This training for so many examples and a model of so long a context.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn resolve(&self, examples: usize, context: usize) -> Result<TrainingConfig, TrainingError> {
        let an_epoch = examples.div_ceil(self.batch_size.max(1)).max(1) as u64;
        let all = (self.epochs * examples as f64 / self.batch_size.max(1) as f64).ceil().max(1.0) as u64;
        let or_an_epoch = |every: u64| if every == 0 { an_epoch } else { every };
        let training = TrainingConfig {
            steps: if self.steps == 0 { all } else { self.steps },
            batch_size: self.batch_size,
            grad_accum_steps: self.grad_accum_steps,
            activation_checkpointing: self.activation_checkpointing,
            seq_len: if self.seq_len == 0 { context } else { self.seq_len },
            grad_clip_norm: self.grad_clip_norm,
            eval_every: or_an_epoch(self.eval_every),
            eval_tokens: 0,
            patience: self.patience,
            precision: self.precision,
            log_every: self.log_every,
            checkpoint_every: or_an_epoch(self.checkpoint_every),
        };
        training.validate()?;
        Ok(training)
    }
}

/// What becomes of a text that is too long to be read at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LongTexts {
    /// Its end is cut off.
    #[default]
    Cut,
    /// It is read in parts of like lengths, each an example to train on; what is said of it is the mean of what is said of them. Two
    /// texts together are cut.
    Windows,
}

/// What each class counts in the loss.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// One example as much as another.
    #[default]
    None,
    /// One class as much as another, however many examples it has: each example `n / (classes · n of its class)`.
    Balanced,
    /// These, in the order of the labels.
    #[serde(untagged)]
    Given(Vec<f64>),
}

impl ClassWeights {
    /// The weight of each class, of which there are so many examples; nothing where all are 1.
    ///
    /// # Errors
    /// When given weights are not as many as classes, or make no sense.
    pub fn resolve(&self, counts: &[usize]) -> Result<Vec<f64>, TrainingError> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Balanced => {
                let all: usize = counts.iter().sum();
                let seen = counts.iter().filter(|&&count| count > 0).count();
                Ok(counts.iter().map(|&count| all as f64 / (seen * count.max(1)) as f64).collect())
            }
            Self::Given(weights) if weights.len() != counts.len() => Err(TrainingError::Config(format!(
                "head.class_weights has {} weights for {} labels",
                weights.len(),
                counts.len()
            ))),
            Self::Given(weights) => {
                match weights.iter().find(|&&weight| !(weight >= 0.0 && weight.is_finite())) {
                    Some(weight) => Err(TrainingError::Config(format!(
                        "head.class_weights has {weight}: a weight is at least 0"
                    ))),
                    None => Ok(weights.clone()),
                }
            }
        }
    }
}

/// The figure by which the best weights are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BestBy {
    /// The loss on held-out examples, without that of an auxiliary objective.
    Loss,
    /// The part that is right.
    Accuracy,
    /// The mean of F1 over classes.
    MacroF1,
    /// The correlation with the right numbers.
    Pearson,
    /// F1 over all spans of words; where tags are not those of spans, accuracy.
    SpanF1,
}

impl BestBy {
    /// What is usual for a task.
    pub fn of(task: TaskKind) -> Self {
        match task {
            TaskKind::Classification => Self::Accuracy,
            TaskKind::MultiLabel => Self::MacroF1,
            TaskKind::Tagging => Self::SpanF1,
            TaskKind::Regression => Self::Loss,
        }
    }

    /// The name written in configs, and in metrics behind `val_` with `_` for `-`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::MacroF1 => "macro-f1",
            Self::Pearson => "pearson",
            Self::SpanF1 => "span-f1",
        }
    }

    /// What the figure is called; `None` for the loss.
    pub fn figure(self) -> Option<&'static str> {
        match self {
            Self::Loss => None,
            Self::Accuracy => Some("accuracy"),
            Self::MacroF1 => Some("macro_f1"),
            Self::Pearson => Some("pearson"),
            Self::SpanF1 => Some("span_f1"),
        }
    }
}

/// The rank of an evaluation by a figure, which is better when it is higher; where figures are equal, as on few examples they often
/// are, the lower loss decides.
pub(crate) fn rank(figure: Option<f64>, loss: f64) -> f64 {
    /// Less than what one of a million examples makes in any figure.
    const SHARE: f64 = 1e-7;
    figure.map_or(loss, |figure| SHARE * loss / (1.0 + loss) - figure)
}

/// The name of the term that a task is learned by, where there may be others beside it.
pub(crate) const TASK: &str = "task";

/// The [`rank`] of an evaluation by a figure, or by the loss of the task alone.
pub(crate) fn rank_of_task(best_by: Option<BestBy>, evaluation: &Evaluation) -> f64 {
    let figure = best_by.and_then(BestBy::figure).and_then(|name| evaluation.figure(name));
    let task = evaluation.terms.iter().find(|(name, _, _)| *name == TASK);
    let loss = task.map_or(evaluation.loss, |(_, nats, count)| nats / (*count).max(1) as f64);
    rank(figure, loss)
}

/// The head and its loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadOptions {
    /// Which state of a text the head reads; when absent what is usual for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Probability of dropping an activation in training, in the model and before the head.
    pub dropout: f64,
    /// Probability of leaving a token of a text out in training, but for its first and its last [Iyyer 2015].
    pub token_dropout: f64,
    /// What each class counts.
    pub class_weights: ClassWeights,
    /// The part of the probability that targets give to all classes alike [Szegedy 2016].
    pub label_smoothing: f64,
    /// The weight of predicting the next token besides [Radford 2018], for models that do.
    pub lm_weight: f64,
    /// By what the best weights are chosen; when absent what is usual for the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_by: Option<BestBy>,
}

impl Default for HeadOptions {
    fn default() -> Self {
        Self {
            pooling: None,
            dropout: 0.1,
            token_dropout: 0.0,
            class_weights: ClassWeights::None,
            label_smoothing: 0.0,
            lm_weight: 0.0,
            best_by: None,
        }
    }
}

impl HeadOptions {
    /// Checks the numbers, and what does not fit the task.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self, task: TaskKind) -> Result<(), TrainingError> {
        let fail = |message: String| Err(TrainingError::Config(message));
        let shares = [
            ("dropout", self.dropout),
            ("token_dropout", self.token_dropout),
            ("label_smoothing", self.label_smoothing),
        ];
        for (key, value) in shares {
            if !(0.0..1.0).contains(&value) {
                return fail(format!("head.{key} {value} should be at least 0 and below 1"));
            }
        }
        if !(self.lm_weight >= 0.0 && self.lm_weight.is_finite()) {
            return fail(format!("head.lm_weight {} should be at least 0", self.lm_weight));
        }
        if task == TaskKind::Tagging && self.lm_weight > 0.0 {
            return fail(
                "head.lm_weight is for heads that say something of whole texts: the task tagging has none"
                    .into(),
            );
        }
        if task == TaskKind::Tagging && (self.pooling.is_some() || self.token_dropout > 0.0) {
            return fail(
                "head.pooling and head.token_dropout are for whole texts, and the task is tagging".into(),
            );
        }
        if self.pooling == Some(Pooling::Each) {
            return fail("head.pooling each is for the task tagging".into());
        }
        if self.token_dropout > 0.0 && self.lm_weight > 0.0 {
            return fail(
                "head.lm_weight predicts each token, and head.token_dropout leaves some out: set one".into(),
            );
        }
        if task != TaskKind::Classification {
            for (key, is_set) in [
                ("class_weights", self.class_weights != ClassWeights::None),
                ("label_smoothing", self.label_smoothing > 0.0),
            ] {
                if is_set {
                    return fail(format!(
                        "head.{key} is for the task classification, and this is {}",
                        task.name()
                    ));
                }
            }
        }
        let known: &[BestBy] = match task {
            TaskKind::Classification | TaskKind::MultiLabel => {
                &[BestBy::Loss, BestBy::Accuracy, BestBy::MacroF1]
            }
            TaskKind::Regression => &[BestBy::Loss, BestBy::Pearson],
            TaskKind::Tagging => &[BestBy::Loss, BestBy::Accuracy, BestBy::MacroF1, BestBy::SpanF1],
        };
        match self.best_by.filter(|best_by| !known.contains(best_by)) {
            Some(best_by) => fail(format!(
                "head.best_by {} is no figure of the task {}: it has {}",
                best_by.name(),
                task.name(),
                known.iter().map(|known| known.name()).collect::<Vec<_>>().join(", ")
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_become_steps() {
        let training = FinetuneTraining { epochs: 2.5, batch_size: 16, ..FinetuneTraining::default() };
        let resolved = training.resolve(100, 64).expect("well-formed");
        // 100 examples are 6.25 steps.
        assert_eq!((resolved.steps, resolved.eval_every, resolved.seq_len), (16, 7, 64));
        let training = FinetuneTraining { steps: 5, eval_every: 2, seq_len: 8, ..training };
        let resolved = training.resolve(100, 64).expect("well-formed");
        assert_eq!((resolved.steps, resolved.eval_every, resolved.seq_len), (5, 2, 8));
        for epochs in [0.0, -1.0, f64::NAN, 1e9] {
            assert!(FinetuneTraining { epochs, ..training.clone() }.validate().is_err(), "{epochs}");
        }
    }

    #[test]
    fn balanced_weights_make_classes_equal_and_keep_the_mean() {
        let weights = ClassWeights::Balanced.resolve(&[30, 10, 0]).expect("counts");
        assert!((30.0 * weights[0] - 10.0 * weights[1]).abs() < 1e-9);
        assert!((30.0 * weights[0] + 10.0 * weights[1] - 40.0).abs() < 1e-9);
        assert!(ClassWeights::Given(vec![1.0]).resolve(&[1, 2]).is_err());
        assert!(ClassWeights::Given(vec![1.0, -1.0]).resolve(&[1, 2]).is_err());
    }
}
