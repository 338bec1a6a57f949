//! Saying something about each word of a text: the token that a word begins with has its tag, other tokens have none.

use crate::config::{BestBy, rank};
use crate::example::{Example, Examples, Target};
use crate::report::TaggingReport;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_training::{BatchKey, Evaluation, Figure, Objective, Term, TrainingError};
use firebrand_transformer::{Classifier, Dropout, Padded, hugging_face};
use std::path::Path;

/// Tagging: cross-entropy of the softmax over tags, summed over the tokens that have one.
#[derive(Debug, Clone)]
pub struct Tagging {
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// By what the best weights are chosen.
    pub best_by: BestBy,
    /// The id that ends a document, for the exported folder.
    pub end_of_text: Option<u32>,
}

/// Texts and the tags of their tokens.
#[derive(Debug)]
pub struct TaggingBatch {
    rows: Padded,
    /// Where the tagged tokens stand among `[batch · longest]`: `[tags]`.
    places: Tensor<1, Int>,
    /// `[tags]`
    tags: Tensor<1, Int>,
    /// The tags of each text.
    by_text: Vec<Vec<usize>>,
    dropout: Option<Dropout>,
}

/// What an evaluation answered: the tags of each text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagAnswers {
    /// Those that were predicted.
    pub predicted: Vec<Vec<usize>>,
    /// Those that are right.
    pub tags: Vec<Vec<usize>>,
    /// The names of all tags.
    names: Vec<String>,
}

impl TagAnswers {
    /// How good they are.
    pub fn report(&self) -> TaggingReport {
        TaggingReport::new(&self.predicted, &self.tags, &self.names)
    }
}

/// The place and the tag of each token of an example that has one.
fn tagged(example: &Example) -> impl Iterator<Item = (usize, usize)> + '_ {
    let tags = match &example.target {
        Target::Tags(tags) => tags.as_slice(),
        _ => &[],
    };
    tags.iter().enumerate().filter_map(|(place, tag)| Some((place, (*tag)?)))
}

impl Objective for Tagging {
    type Model = Classifier;
    type Rows = Examples<Example>;
    type Batch = TaggingBatch;
    type Answers = TagAnswers;

    fn prepare(&self, rows: &Examples<Example>, key: BatchKey, device: &Device) -> TaggingBatch {
        let padded = Padded::new(rows.0.iter().map(Example::sequence), device);
        let by_row = rows.0.iter().enumerate();
        let all: Vec<(usize, usize)> = by_row
            .flat_map(|(row, example)| {
                let first = row * padded.longest();
                tagged(example).map(move |(place, tag)| (first + place, tag))
            })
            .collect();
        let vector = |number: fn(&(usize, usize)) -> usize| {
            let numbers: Vec<i32> = all.iter().map(|one| number(one) as i32).collect();
            Tensor::from_data(TensorData::new(numbers, [all.len()]), device)
        };
        TaggingBatch {
            places: vector(|(place, _)| *place),
            tags: vector(|(_, tag)| *tag),
            by_text: rows.0.iter().map(|example| tagged(example).map(|(_, tag)| tag).collect()).collect(),
            dropout: key.dropout(self.dropout, rows.0.len()),
            rows: padded,
        }
    }

    fn counts(&self, batch: &TaggingBatch) -> Vec<u64> {
        vec![batch.tags.dims()[0] as u64]
    }

    fn loss(&self, model: &Classifier, batch: TaggingBatch) -> Vec<Term> {
        self.terms(model, batch).0
    }

    fn judge(&self, model: &Classifier, batch: TaggingBatch, answers: &mut TagAnswers) -> Vec<Term> {
        answers.names.clone_from(&model.head_config().labels);
        let by_text = batch.by_text.clone();
        let (terms, outputs) = self.terms(model, batch);
        let likeliest = outputs.argmax(1).into_data().convert::<i32>();
        let likeliest = likeliest.try_into_vec::<i32>().expect("converted to i32 just now");
        let mut next = likeliest.into_iter().map(|tag| tag as usize);
        for tags in by_text {
            answers.predicted.push(next.by_ref().take(tags.len()).collect());
            answers.tags.push(tags);
        }
        terms
    }

    fn figures(&self, answers: &TagAnswers) -> Vec<Figure> {
        let figures = answers.report().figures();
        figures.into_iter().map(|(name, value)| Figure { name, value }).collect()
    }

    fn rank(&self, evaluation: &Evaluation) -> f64 {
        let figure = |name| evaluation.figure(name);
        let chosen = match self.best_by {
            BestBy::SpanF1 => figure("span_f1").or(figure("accuracy")),
            other => other.figure().and_then(figure),
        };
        rank(chosen, evaluation.loss)
    }

    fn export(&self, model: &Classifier, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save_classifier(dir, model, self.end_of_text)?)
    }
}

impl Tagging {
    /// Terms, and the outputs for the tagged tokens `[tags, outputs]`.
    fn terms(&self, model: &Classifier, mut batch: TaggingBatch) -> (Vec<Term>, Tensor<2>) {
        let outputs = model.forward(&batch.rows, batch.dropout.as_mut()).select(0, batch.places);
        let log_probs = log_softmax(outputs.clone(), 1);
        let nats = log_probs.gather(1, batch.tags.unsqueeze_dim::<2>(1)).sum().neg();
        (vec![Term { name: "tags", weight: 1.0, nats }], outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{device, far_from_first};
    use firebrand_training::evaluate;
    use firebrand_transformer::{Body, Decoder, Encoder, HeadConfig, Model, ModelConfig, Preset, TaskKind};

    const VOCAB_SIZE: usize = 11;

    fn classifier(preset: Preset) -> Classifier {
        let device = device("cpu");
        let config = ModelConfig::preset(preset, VOCAB_SIZE, 8, 2, 2, 16);
        let body = match preset {
            Preset::Bert => {
                Body::Encoder(far_from_first(Encoder::new(&config, 7, &device).expect("a config")))
            }
            _ => Body::Decoder(far_from_first(Decoder::new(&config, 7, &device).expect("a config"))),
        };
        let names = ["B-A", "I-A", "O"].map(str::to_owned).to_vec();
        Classifier::new(body, HeadConfig::for_body(&config, TaskKind::Tagging, names), 3).expect("they fit")
    }

    fn examples() -> Vec<Example> {
        let example = |ids: &[u32], tags: &[Option<usize>]| Example {
            ids: ids.to_vec(),
            second: None,
            target: Target::Tags(tags.to_vec()),
        };
        vec![
            example(&[1, 2, 3, 4], &[None, Some(0), None, Some(2)]),
            example(&[5, 6], &[Some(2), Some(1)]),
            example(&[7], &[None]),
        ]
    }

    fn tagging() -> Tagging {
        Tagging { dropout: 0.0, best_by: BestBy::SpanF1, end_of_text: Some(0) }
    }

    fn key() -> BatchKey {
        BatchKey { seed: 0, step: 0, first_example: 0, training: false }
    }

    fn nats(model: &Classifier, examples: Vec<Example>) -> f64 {
        let batch = tagging().prepare(&Examples(examples), key(), &model.device());
        f64::from(tagging().loss(model, batch).remove(0).nats.into_scalar::<f32>())
    }

    #[test]
    fn the_loss_is_that_of_tagged_tokens_and_padding_changes_nothing() {
        for preset in [Preset::Bert, Preset::Llama] {
            let model = classifier(preset);
            let alone: f64 = examples().into_iter().take(2).map(|one| nats(&model, vec![one])).sum();
            let together = nats(&model, examples());
            assert!((alone - together).abs() < 1e-4 * alone, "{alone} {together}");
            let batch = tagging().prepare(&Examples(examples()), key(), &model.device());
            assert_eq!(tagging().counts(&batch), [4]);
        }
    }

    #[test]
    fn an_evaluation_judges_words_and_spans() {
        let model = classifier(Preset::Bert);
        let rows = examples().into_iter().map(|one| Ok(Examples(vec![one])));
        let found = evaluate(&tagging(), &model, rows, 0, &model.device()).expect("nothing is read");
        let names: Vec<&str> = found.figures.iter().map(|figure| figure.name).collect();
        assert_eq!(names, ["span_f1", "accuracy", "macro_f1"]);
        // Of equal figures the lower loss decides, and of others it does not.
        let rank = tagging().rank(&found);
        assert!((rank + found.figures[0].value).abs() < 1e-6 && rank > -found.figures[0].value, "{rank}");
        let by_loss = Tagging { best_by: BestBy::Loss, ..tagging() };
        assert_eq!(by_loss.rank(&found), found.loss);
        let mut answers = TagAnswers::default();
        let batch = tagging().prepare(&Examples(examples()), key(), &model.device());
        tagging().judge(&model, batch, &mut answers);
        assert_eq!(answers.tags, [vec![0, 2], vec![2, 1], vec![]]);
        assert_eq!(answers.report().words, 4);
    }
}
