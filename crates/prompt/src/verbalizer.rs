//! Answers, and the labels that they stand for.

use crate::error::PromptError;

/// What may stand in a blank.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// As it is written.
    pub text: String,
    /// The number of the label that it stands for.
    pub label: usize,
    /// How much it counts beside others: what its probability is multiplied by.
    pub weight: f64,
}

/// The set of answers; several may stand for one label.
#[derive(Clone, Debug, PartialEq)]
pub struct Verbalizer {
    labels: Vec<String>,
    answers: Vec<Answer>,
}

impl Verbalizer {
    /// Labels, each with its answers and their weights.
    ///
    /// # Errors
    /// Fewer than two labels, a label without answers, an answer that is empty or stands twice, a weight that is no positive number.
    pub fn new(labels: Vec<(String, Vec<(String, f64)>)>) -> Result<Self, PromptError> {
        let names: Vec<String> = labels.iter().map(|(name, _)| name.clone()).collect();
        let mut answers: Vec<Answer> = Vec::new();
        for (label, (name, of_label)) in labels.into_iter().enumerate() {
            if of_label.is_empty() {
                return Err(PromptError::Answers(format!("the label `{name}` has no answer")));
            }
            for (text, weight) in of_label {
                if text.is_empty() {
                    return Err(PromptError::Answers(format!(
                        "the label `{name}` has an empty answer, which is no token: leave it out, or write what stands there"
                    )));
                }
                if !(weight > 0.0 && weight.is_finite()) {
                    return Err(PromptError::Answers(format!(
                        "the answer `{text}` has the weight {weight}: weights are above 0"
                    )));
                }
                if let Some(other) = answers.iter().find(|other| other.text == text) {
                    let other = &names[other.label];
                    return Err(PromptError::Answers(match *other == name {
                        true => format!("the label `{name}` has the answer `{text}` twice"),
                        false => format!(
                            "the labels `{other}` and `{name}` have the same answer `{text}`: it can stand for one of them only"
                        ),
                    }));
                }
                answers.push(Answer { text, label, weight });
            }
        }
        if names.len() < 2 {
            return Err(PromptError::Answers(format!(
                "there is nothing to choose: {} label{}, and there have to be two or more",
                names.len(),
                if names.len() == 1 { "" } else { "s" }
            )));
        }
        Ok(Self { labels: names, answers })
    }

    /// The same with its labels in this order, which are all of them.
    pub(crate) fn in_order(&self, labels: &[String]) -> Self {
        let of = |number: usize, name: &String| {
            let mine = self.labels.iter().position(|label| label == name);
            let answers = self.answers.iter().filter(move |answer| Some(answer.label) == mine);
            answers.map(move |answer| Answer { label: number, ..answer.clone() })
        };
        let answers = labels.iter().enumerate().flat_map(|(number, name)| of(number, name)).collect();
        Self { labels: labels.to_vec(), answers }
    }

    /// The names of the labels.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// All answers, those of the first label first.
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// How a label is written in an example: its answer of most weight, the first of these.
    pub fn example(&self, label: usize) -> &str {
        let of_label = self.answers.iter().filter(|answer| answer.label == label);
        let heaviest = of_label.reduce(|best, next| if next.weight > best.weight { next } else { best });
        heaviest.map_or("", |answer| &answer.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbalizer(labels: &[(&str, &[(&str, f64)])]) -> Result<Verbalizer, String> {
        let label = |(name, answers): &(&str, &[(&str, f64)])| {
            ((*name).to_owned(), answers.iter().map(|(text, weight)| ((*text).to_owned(), *weight)).collect())
        };
        Verbalizer::new(labels.iter().map(label).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_example_is_written_with_the_answer_of_most_weight() {
        let answers =
            verbalizer(&[("+", &[("a", 0.5), ("b", 2.0), ("c", 2.0)]), ("-", &[("d", 1.0)])]).expect("good");
        assert_eq!((answers.example(0), answers.example(1)), ("b", "d"));
        assert_eq!(answers.answers()[3].label, 1);
    }

    #[test]
    fn answers_that_decide_nothing_are_refused() {
        let twice = verbalizer(&[("good", &[("yes", 1.0)]), ("bad", &[("no", 1.0), ("yes", 1.0)])]);
        let message =
            "the labels `good` and `bad` have the same answer `yes`: it can stand for one of them only";
        assert_eq!(twice.expect_err("two labels with one answer"), message);
        assert!(
            verbalizer(&[("good", &[("", 1.0)]), ("bad", &[("no", 1.0)])])
                .expect_err("empty")
                .contains("empty")
        );
        assert!(
            verbalizer(&[("good", &[("a", 0.0)]), ("bad", &[("b", 1.0)])])
                .expect_err("weight")
                .contains("above 0")
        );
        assert!(
            verbalizer(&[("good", &[]), ("bad", &[("b", 1.0)])]).expect_err("none").contains("has no answer")
        );
        assert!(verbalizer(&[("good", &[("a", 1.0)])]).expect_err("one").contains("1 label,"));
        assert!(verbalizer(&[("good", &[("a", 1.0), ("a", 1.0)])]).expect_err("twice").contains("twice"));
    }
}
