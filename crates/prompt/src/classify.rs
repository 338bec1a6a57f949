//! Inputs to labels: each template is filled with each answer, scored, and compared with what the model says without the input.

use crate::demonstrations::{Example, ShotChoice, Shots};
use crate::error::PromptError;
use crate::filling::{Asked, Filling};
use crate::measure::{AnswerScores, CONTENT_FREE, Measure, best, mean_probabilities};
use crate::prompt::Prompt;
use crate::question::{Question, Score};
use crate::score::Scorer;
use crate::template::{Fields, Template};
use firebrand_tokenizer::Tokenizer;
use std::collections::{BTreeMap, BTreeSet};

/// Inputs go through templates and model in parts of so many: all their texts need not be in memory.
const AT_ONCE: usize = 256;

/// What a text is to a model, for demonstrations that are near.
pub type Embed<'a> = dyn Fn(&[u32]) -> Vec<f32> + 'a;

/// Prompts with a model.
#[derive(Clone, Copy)]
pub struct Classifier<'a> {
    /// One, or several that are an [ensemble](Prompt::ensemble): all have the same labels in the same order.
    pub prompts: &'a [Prompt],
    /// What makes ids of text.
    pub tokenizer: &'a Tokenizer,
    /// What says how probable they are.
    pub scorer: &'a dyn Scorer,
    /// Labelled examples in front of each input.
    pub shots: Option<Shots<'a>>,
    /// For [`ShotChoice::Nearest`].
    pub embed: Option<&'a Embed<'a>>,
}

/// What is known of an input.
#[derive(Clone, Debug)]
pub struct Classified<'a> {
    /// For each template of each prompt, in their order.
    pub templates: Vec<OfTemplate<'a>>,
}

/// What a template makes of an input.
#[derive(Clone, Debug)]
pub struct OfTemplate<'a> {
    /// The prompt that it is of.
    pub prompt: &'a Prompt,
    /// Of all answers.
    pub scores: AnswerScores,
    /// How many demonstrations there was room for.
    pub demonstrations: usize,
    /// How many there was no room for.
    pub left_out: usize,
    /// Whether a field was cut.
    pub trimmed: bool,
}

impl OfTemplate<'_> {
    /// The probabilities of the labels by one measure.
    pub fn label_probabilities(&self, measure: Measure) -> Vec<f64> {
        self.scores.label_probabilities(measure, &self.prompt.verbalizer)
    }
}

impl Classified<'_> {
    /// The mean over templates of the probabilities of the labels.
    pub fn label_probabilities(&self, measure: Measure) -> Vec<f64> {
        let mut mean = Vec::new();
        for template in &self.templates {
            let of_template = template.label_probabilities(measure);
            mean.resize(of_template.len(), 0.0);
            mean.iter_mut().zip(of_template).for_each(|(mean, p)| *mean += p / self.templates.len() as f64);
        }
        mean
    }

    /// The likeliest label: with one template that of the best answer, `argmax_z P(f_fill(x', z))`.
    pub fn label(&self, measure: Measure) -> usize {
        best(&self.label_probabilities(measure))
    }
}

/// What a model says of answers where the input says nothing.
struct WithoutContent {
    null: Vec<f64>,
    content_free: Vec<f64>,
}

/// What is known of a template, by demonstrations.
#[derive(Default)]
struct Known<'a> {
    /// How many of them leave room for the questions without content.
    room: BTreeMap<&'a [usize], usize>,
    without: BTreeMap<&'a [usize], WithoutContent>,
}

impl<'a> Classifier<'a> {
    /// The templates of all prompts.
    pub fn templates(&self) -> impl Iterator<Item = (&'a Prompt, &'a Template)> + use<'a> {
        let prompts: &'a [Prompt] = self.prompts;
        prompts.iter().flat_map(|prompt| prompt.templates.iter().map(move |template| (prompt, template)))
    }

    /// Classifies inputs. `progress` is told how many more are done. No input is shown itself: an example with the same in all fields that
    /// the templates speak of is none of its demonstrations.
    ///
    /// # Errors
    /// Prompts with different labels, too few demonstrations, an input that cannot be asked, a model that fails.
    pub fn classify(
        &self,
        inputs: &[Fields],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Classified<'a>>, PromptError> {
        self.check_labels()?;
        if let Some(shots) = &self.shots {
            shots.check()?;
        }
        let mut all: Vec<Classified<'a>> =
            inputs.iter().map(|_| Classified { templates: Vec::new() }).collect();
        let n_templates = self.templates().count();
        let mut done = 0;
        let chosen = self.chosen(inputs)?;
        for (prompt, template) in self.templates() {
            let filling =
                Filling { prompt, template, tokenizer: self.tokenizer, most: self.scorer.most_ids(true) };
            let mut known = Known::default();
            for start in (0..inputs.len()).step_by(AT_ONCE) {
                let part = start..(start + AT_ONCE).min(inputs.len());
                let mut asked: Vec<(Asked, &[usize])> = Vec::with_capacity(part.len());
                for input in part.clone() {
                    let numbers = self.with_room(&filling, &chosen[input], &mut known)?;
                    let one = filling.ask(input, &inputs[input], &self.shown(&filling, numbers))?;
                    let shown = &numbers[numbers.len() - one.demonstrations..];
                    asked.push((one, shown));
                }
                self.ask_without_content(&filling, asked.iter().map(|(_, shown)| *shown), &mut known)?;
                let questions: Vec<Question> =
                    asked.iter().map(|(asked, _)| asked.question.clone()).collect();
                let scores = self.scorer.score(&questions, &mut |count| {
                    done += count;
                    // Told in whole inputs.
                    if done >= n_templates {
                        progress(done / n_templates);
                        done %= n_templates;
                    }
                })?;
                for ((input, (asked, shown)), scores) in part.zip(asked).zip(scores) {
                    let without = known.without.get(shown).expect("asked for above");
                    all[input].templates.push(OfTemplate {
                        prompt,
                        scores: AnswerScores {
                            log_probs: scores.iter().map(|score| score.log_prob).collect(),
                            tokens: scores.iter().map(|score| score.tokens).collect(),
                            null: without.null.clone(),
                            content_free: without.content_free.clone(),
                        },
                        demonstrations: asked.demonstrations,
                        left_out: chosen[input].len() - asked.demonstrations,
                        trimmed: asked.trimmed,
                    });
                }
            }
        }
        Ok(all)
    }

    /// The questions that inputs come to, of all templates, without demonstrations.
    ///
    /// # Errors
    /// An input that cannot be asked.
    pub fn questions(&self, inputs: &[Fields]) -> Result<Vec<Question>, PromptError> {
        let mut questions = Vec::new();
        for (prompt, template) in self.templates() {
            let filling =
                Filling { prompt, template, tokenizer: self.tokenizer, most: self.scorer.most_ids(true) };
            for (input, fields) in inputs.iter().enumerate() {
                questions.push(filling.ask(input, fields, &[])?.question);
            }
        }
        Ok(questions)
    }

    /// Refuses prompts in which a label has another number.
    fn check_labels(&self) -> Result<(), PromptError> {
        let Some((first, others)) = self.prompts.split_first() else { return Ok(()) };
        match others.iter().find(|other| other.labels() != first.labels()) {
            None => Ok(()),
            Some(other) => Err(PromptError::Ensemble(format!(
                "prompts that are asked together have the same labels in one order: `{}` has {}, and `{}` has {}",
                first.path,
                first.labels().join(", "),
                other.path,
                other.labels().join(", ")
            ))),
        }
    }

    /// The demonstrations of each input, as numbers of the pool.
    fn chosen(&self, inputs: &[Fields]) -> Result<Vec<Vec<usize>>, PromptError> {
        let Some(shots) = &self.shots else { return Ok(vec![Vec::new(); inputs.len()]) };
        let names: BTreeSet<&str> = self.prompts.iter().flat_map(Prompt::fields).collect();
        let asked = |fields: &Fields| -> Vec<String> {
            names.iter().map(|&name| fields.get(name).cloned().unwrap_or_default()).collect()
        };
        let mut same: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
        // Templates without fields ask the same of all.
        for (number, example) in shots.pool.iter().enumerate().filter(|_| !names.is_empty()) {
            same.entry(asked(&example.fields)).or_default().push(number);
        }
        let itself = |fields: &Fields| same.get(&asked(fields)).map_or(&[][..], Vec::as_slice);
        if shots.choice != ShotChoice::Nearest {
            let usual = shots.chosen(&[]);
            let chosen = |fields: &Fields| {
                let itself = itself(fields);
                match usual.iter().any(|number| itself.contains(number)) {
                    true => shots.chosen(itself),
                    false => usual.clone(),
                }
            };
            return Ok(inputs.iter().map(chosen).collect());
        }
        let embed = self.embed.ok_or_else(|| {
            PromptError::Shots(
                "demonstrations that are near need embeddings, which this model has not".into(),
            )
        })?;
        let most = self.scorer.most_ids(true);
        let embedding = |fields: &Fields| {
            // What the templates speak of, and nothing else: the label of a record is one of its fields, too.
            embed(&self.tokenizer.encode_at_most(&asked(fields).join(" "), most))
        };
        let pool: Vec<Vec<f32>> = shots.pool.iter().map(|example| embedding(&example.fields)).collect();
        let near = |fields: &Fields| shots.nearest(&embedding(fields), &pool, itself(fields));
        Ok(inputs.iter().map(near).collect())
    }

    /// Demonstrations as text.
    fn shown(&self, filling: &Filling<'_>, numbers: &[usize]) -> Vec<String> {
        let pool = self.shots.map_or(&[][..], |shots| shots.pool);
        let text = |&number: &usize| {
            let Example { fields, label } = &pool[number];
            filling.demonstration(fields, label.unwrap_or_default())
        };
        numbers.iter().map(text).collect()
    }

    /// The last of some demonstrations, as many as there is room for where there is no content: an input is shown no others than the
    /// questions are that its answers are compared with.
    fn with_room<'b>(
        &self,
        filling: &Filling<'_>,
        numbers: &'b [usize],
        known: &mut Known<'b>,
    ) -> Result<&'b [usize], PromptError> {
        if !known.room.contains_key(numbers) {
            let shown = self.shown(filling, numbers);
            let mut room = numbers.len();
            for text in CONTENT_FREE {
                room = room.min(filling.ask_without_content(text, &shown)?.demonstrations);
            }
            known.room.insert(numbers, room);
        }
        Ok(&numbers[numbers.len() - known.room[numbers]..])
    }

    /// Asks what the model says without content behind the demonstrations of some inputs, where it is not known yet: these are mostly the
    /// same for all.
    fn ask_without_content<'b>(
        &self,
        filling: &Filling<'_>,
        shown: impl Iterator<Item = &'b [usize]>,
        known: &mut Known<'b>,
    ) -> Result<(), PromptError> {
        let new: BTreeSet<&[usize]> = shown.filter(|shown| !known.without.contains_key(shown)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut questions = Vec::with_capacity(CONTENT_FREE.len() * new.len());
        for numbers in &new {
            let shown = self.shown(filling, numbers);
            for text in CONTENT_FREE {
                questions.push(filling.ask_without_content(text, &shown)?.question);
            }
        }
        let scores = self.scorer.score(&questions, &mut |_| {})?;
        let without = |scores: &[Vec<Score>]| {
            let log_probs: Vec<Vec<f64>> =
                scores.iter().map(|scores| scores.iter().map(|score| score.log_prob).collect()).collect();
            let empty = CONTENT_FREE.iter().position(|text| text.is_empty()).unwrap_or_default();
            WithoutContent {
                content_free: mean_probabilities(log_probs.iter().map(Vec::as_slice)),
                null: log_probs[empty].clone(),
            }
        };
        known.without.extend(new.into_iter().zip(scores.chunks_exact(CONTENT_FREE.len()).map(without)));
        Ok(())
    }
}

/// How good a template is on labelled examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// The share of examples whose label it finds.
    pub accuracy: f64,
    /// The mean log-probability of the right label.
    pub log_prob: f64,
}

/// How good each template is, in the order of [`Classifier::templates`], on the labelled examples among those that were classified.
///
/// # Errors
/// There is no labelled example.
pub fn qualities(
    classified: &[Classified<'_>],
    examples: &[Example],
    measure: Measure,
) -> Result<Vec<Quality>, PromptError> {
    let labelled: Vec<(&Classified<'_>, usize)> = classified
        .iter()
        .zip(examples)
        .filter_map(|(classified, example)| Some((classified, example.label?)))
        .collect();
    let Some((first, _)) = labelled.first() else {
        return Err(PromptError::Shots("there is no labelled example to choose a template by".into()));
    };
    let quality = |template: usize| {
        let (mut right, mut log_prob) = (0, 0.0);
        for (classified, label) in &labelled {
            let p = classified.templates[template].label_probabilities(measure);
            right += usize::from(best(&p) == *label);
            log_prob += p[*label].max(f64::MIN_POSITIVE).ln();
        }
        let count = labelled.len() as f64;
        Quality { accuracy: right as f64 / count, log_prob: log_prob / count }
    };
    Ok((0..first.templates.len()).map(quality).collect())
}

/// The template that finds most labels; of these the one that is surest of the right ones.
pub fn best_template(qualities: &[Quality]) -> usize {
    let better = |a: &Quality, b: &Quality| (a.accuracy, a.log_prob) > (b.accuracy, b.log_prob);
    (0..qualities.len())
        .fold(0, |best, next| if better(&qualities[next], &qualities[best]) { next } else { best })
}
