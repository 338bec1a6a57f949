//! One model's answers to one task.

use serde_json::{Value, json};

/// The answers to all examples of a task, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Answers {
    /// How likely texts are.
    Texts(Vec<TextAnswer>),
    /// The same by a model that sees both sides of each token: pseudo-log-likelihoods, which compare with their like alone.
    PseudoTexts(Vec<TextAnswer>),
    /// Two sentences each.
    Pairs(Vec<PairAnswer>),
    /// Several answers each.
    Choices(Vec<ChoiceAnswer>),
    /// The last word of each.
    Cloze(Vec<ClozeAnswer>),
    /// A label each.
    Labels {
        /// The names of the labels.
        labels: Vec<String>,
        /// How answers are weighed, the usual way first.
        measures: Vec<&'static str>,
        /// One an example.
        answers: Vec<LabelAnswer>,
    },
}

/// How likely a text is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// Nats.
    pub log_likelihood: f64,
    /// Those that were scored.
    pub tokens: usize,
}

/// Of a text of so many bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextAnswer {
    /// How likely it is.
    pub scored: Scored,
    /// UTF-8 bytes that the tokens stand for.
    pub bytes: u64,
    /// Nats below which no model comes in the mean, where they are known.
    pub floor: Option<f64>,
}

/// Of two sentences.
#[derive(Clone, Debug, PartialEq)]
pub struct PairAnswer {
    /// What the pair tests; may be empty.
    pub group: String,
    /// The acceptable one.
    pub good: Scored,
    /// The other one.
    pub bad: Scored,
}

/// Of several answers.
#[derive(Clone, Debug, PartialEq)]
pub struct ChoiceAnswer {
    /// Each, with the bytes of its text.
    pub choices: Vec<(Scored, usize)>,
    /// The number of the right one.
    pub right: usize,
}

/// Of a last word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClozeAnswer {
    /// The word.
    pub scored: Scored,
    /// Whether each token of it was the likeliest.
    pub greedy: bool,
}

/// Of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelAnswer {
    /// The number of the right one.
    pub right: usize,
    /// The number of the chosen one, by each measure.
    pub chosen: Vec<usize>,
    /// For each template the log-probability of each of its answers.
    pub log_likelihoods: Vec<Vec<f64>>,
}

impl Answers {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(answers) | Self::PseudoTexts(answers) => answers.len(),
            Self::Pairs(answers) => answers.len(),
            Self::Choices(answers) => answers.len(),
            Self::Cloze(answers) => answers.len(),
            Self::Labels { answers, .. } => answers.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One answer as JSON: log-likelihoods in nats, and what was right.
    ///
    /// # Panics
    /// If there is no such answer.
    pub fn json(&self, index: usize) -> Value {
        match self {
            Self::Texts(answers) | Self::PseudoTexts(answers) => {
                let TextAnswer { scored, bytes, .. } = answers[index];
                json!({"log_likelihood": scored.log_likelihood, "tokens": scored.tokens, "bytes": bytes})
            }
            Self::Pairs(answers) => {
                let pair = &answers[index];
                json!({
                    "group": pair.group, "log_likelihoods": [pair.good.log_likelihood, pair.bad.log_likelihood],
                    "tokens": [pair.good.tokens, pair.bad.tokens], "correct": pair.is_right(),
                })
            }
            Self::Choices(answers) => {
                let answer = &answers[index];
                let all =
                    |of: &dyn Fn(&(Scored, usize)) -> Value| answer.choices.iter().map(of).collect::<Value>();
                json!({
                    "log_likelihoods": all(&|choice| choice.0.log_likelihood.into()),
                    "tokens": all(&|choice| choice.0.tokens.into()), "bytes": all(&|choice| choice.1.into()),
                    "answer": answer.right, "correct": answer.is_right(|_| 1.0),
                })
            }
            Self::Cloze(answers) => {
                let ClozeAnswer { scored, greedy } = answers[index];
                json!({"log_likelihood": scored.log_likelihood, "tokens": scored.tokens, "correct": greedy})
            }
            Self::Labels { labels, measures, answers } => {
                let LabelAnswer { right, chosen, log_likelihoods } = &answers[index];
                let chosen: serde_json::Map<String, Value> = measures
                    .iter()
                    .zip(chosen)
                    .map(|(measure, &label)| (measure.to_string(), labels[label].as_str().into()))
                    .collect();
                json!({"label": labels[*right], "chosen": chosen, "log_likelihoods": log_likelihoods})
            }
        }
    }
}

impl PairAnswer {
    /// Whether the acceptable sentence is likelier; as likely does not do.
    pub fn is_right(&self) -> bool {
        self.good.log_likelihood > self.bad.log_likelihood
    }
}

impl ChoiceAnswer {
    /// Whether the right answer has the highest log-likelihood over `length`; the first of equals is chosen.
    pub fn is_right(&self, length: impl Fn(&(Scored, usize)) -> f64) -> bool {
        let mut best = (0, f64::NEG_INFINITY);
        for (i, choice) in self.choices.iter().enumerate() {
            let value = choice.0.log_likelihood / length(choice);
            if value > best.1 {
                best = (i, value);
            }
        }
        best.0 == self.right
    }
}
