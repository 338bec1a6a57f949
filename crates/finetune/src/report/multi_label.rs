//! Any number of labels for each example.

use serde::{Deserialize, Serialize};

use super::classification::nats;
use super::{LabelScores, Mistake, Scores, mean, surest};

/// How good predictions of any number of labels are; a label is predicted where its probability is above a half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MultiLabelReport {
    /// How many examples there are.
    pub examples: usize,
    /// The part for which exactly the right labels were predicted.
    pub exact: f64,
    /// Of all pairs of example and label together.
    pub micro: Scores,
    /// Means over the labels.
    #[serde(rename = "macro")]
    pub macro_scores: Scores,
    /// The mean over pairs of example and label of −ln of what is right, in nats.
    pub loss: f64,
    /// Of each label.
    pub labels: Vec<LabelScores>,
    /// Pairs of example and label about which the model was surest and wrong: a label that is not there or not predicted is
    /// written `not NAME`.
    pub mistakes: Vec<Mistake>,
}

impl MultiLabelReport {
    /// Of the probability of each label for each example, and of the labels that are right.
    ///
    /// # Panics
    /// If there are not as many lists of labels as examples, or not as many probabilities as names.
    pub fn new(probabilities: &[Vec<f64>], labels: &[Vec<usize>], names: &[String]) -> Self {
        assert_eq!(probabilities.len(), labels.len(), "labels for each example");
        let n = names.len();
        // Of each label: right, predicted, there.
        let mut counts = vec![(0_u64, 0_u64, 0_u64); n];
        let (mut exact, mut nats_of, mut mistakes) = (0_usize, Vec::new(), Vec::new());
        for (example, (row, labels)) in probabilities.iter().zip(labels).enumerate() {
            assert_eq!(row.len(), n, "a probability for each label");
            let mut all_right = true;
            for (label, &probability) in row.iter().enumerate() {
                let (predicted, there) = (probability > 0.5, labels.contains(&label));
                let count = &mut counts[label];
                count.0 += u64::from(predicted && there);
                count.1 += u64::from(predicted);
                count.2 += u64::from(there);
                nats_of.push(nats(if there { probability } else { 1.0 - probability }));
                if predicted != there {
                    all_right = false;
                    let said =
                        |yes: bool| if yes { names[label].clone() } else { format!("not {}", names[label]) };
                    let probability = if predicted { probability } else { 1.0 - probability };
                    mistakes.push(Mistake {
                        example,
                        label: said(there),
                        predicted: said(predicted),
                        probability,
                    });
                }
            }
            exact += usize::from(all_right);
        }
        let scores = |&(right, predicted, there): &(u64, u64, u64)| Scores::new(right, predicted, there);
        let of_label = |(name, count): (&String, &(u64, u64, u64))| LabelScores {
            label: name.clone(),
            scores: scores(count),
            examples: count.2,
            predicted: count.1,
        };
        let labels_scores: Vec<LabelScores> = names.iter().zip(&counts).map(of_label).collect();
        let all =
            counts.iter().fold((0, 0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1, sum.2 + count.2));
        Self {
            examples: labels.len(),
            exact: exact as f64 / labels.len().max(1) as f64,
            micro: scores(&all),
            macro_scores: Scores::mean(labels_scores.iter().map(|label| &label.scores)),
            loss: mean(nats_of),
            labels: labels_scores,
            mistakes: surest(mistakes),
        }
    }

    pub(super) fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("micro_f1", self.micro.f1),
            ("macro_f1", self.macro_scores.f1),
            ("exact", self.exact),
            ("loss", self.loss),
        ]
    }
}
