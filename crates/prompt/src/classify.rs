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

/// Inputs go through templates and model in parts of so many: all their texts need not be in memory.
const AT_ONCE: usize = 256;

/// What a text is to a model, for demonstrations that are near.
pub type Embed<'a> = dyn Fn(&[u32]) -> Vec<f32> + 'a;

/// Prompts with a model.
#[derive(Clone, Copy)]
pub struct Classifier<'a> {
    /// One, or several that are an ensemble; all have the same labels.
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
    /// Whether a field was cut.
    pub trimmed: bool,
    /// The place of each of the prompt's labels among those of the first prompt.
    labels: Vec<usize>,
}

impl OfTemplate<'_> {
    /// The probabilities of the labels, those of the first prompt, by one measure.
    pub fn label_probabilities(&self, measure: Measure) -> Vec<f64> {
        let own = self.scores.label_probabilities(measure, &self.prompt.verbalizer);
        let mut all = vec![0.0; own.len()];
        self.labels.iter().zip(own).for_each(|(&label, p)| all[label] = p);
        all
    }
}

impl Classified<'_> {
    /// The mean over templates of the probabilities of the labels, those of the first prompt.
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

impl<'a> Classifier<'a> {
    /// The templates of all prompts.
    pub fn templates(&self) -> impl Iterator<Item = (&'a Prompt, &'a Template)> + use<'a> {
        let prompts: &'a [Prompt] = self.prompts;
        prompts.iter().flat_map(|prompt| prompt.templates.iter().map(move |template| (prompt, template)))
    }

    /// Classifies inputs. `progress` is told how many more are done.
    ///
    /// # Errors
    /// Prompts with different labels, too few demonstrations, an input that cannot be asked, a model that fails.
    pub fn classify(
        &self,
        inputs: &[Fields],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Classified<'a>>, PromptError> {
        self.run(inputs, false, progress)
    }

    /// The same of the examples that demonstrations are chosen from: none is shown to itself.
    ///
    /// # Errors
    /// As [`classify`](Self::classify).
    pub fn classify_pool(
        &self,
        pool: &[Example],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Classified<'a>>, PromptError> {
        let inputs: Vec<Fields> = pool.iter().map(|example| example.fields.clone()).collect();
        self.run(&inputs, true, progress)
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

    fn run(
        &self,
        inputs: &[Fields],
        of_pool: bool,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Classified<'a>>, PromptError> {
        if let Some(shots) = &self.shots {
            shots.check()?;
        }
        let mut all: Vec<Classified<'a>> =
            inputs.iter().map(|_| Classified { templates: Vec::new() }).collect();
        let n_templates = self.templates().count();
        let mut done = 0;
        let chosen = self.chosen(inputs, of_pool)?;
        for (prompt, template) in self.templates() {
            let labels = self.labels_of(prompt)?;
            let filling =
                Filling { prompt, template, tokenizer: self.tokenizer, most: self.scorer.most_ids(true) };
            let mut known: Vec<(Vec<usize>, WithoutContent)> = Vec::new();
            for start in (0..inputs.len()).step_by(AT_ONCE) {
                let part = start..(start + AT_ONCE).min(inputs.len());
                let mut asked: Vec<Asked> = Vec::with_capacity(part.len());
                for input in part.clone() {
                    let shown = self.shown(&filling, &chosen[input]);
                    asked.push(filling.ask(input, &inputs[input], &shown)?);
                }
                // What the model says without content depends on the demonstrations, which are mostly the same for all.
                let new: Vec<Vec<usize>> = {
                    let mut new: Vec<Vec<usize>> = part.clone().map(|input| chosen[input].clone()).collect();
                    new.sort();
                    new.dedup();
                    new.retain(|shots| !known.iter().any(|(known, _)| known == shots));
                    new
                };
                for (shots, without) in new.iter().zip(self.without_content(&filling, &new)?) {
                    known.push((shots.clone(), without));
                }
                let questions: Vec<Question> = asked.iter().map(|asked| asked.question.clone()).collect();
                let scores = self.scorer.score(&questions, &mut |count| {
                    done += count;
                    // Told in whole inputs.
                    if done >= n_templates {
                        progress(done / n_templates);
                        done %= n_templates;
                    }
                })?;
                for ((input, asked), scores) in part.zip(asked).zip(scores) {
                    let without = known.iter().find(|(shots, _)| *shots == chosen[input]);
                    let (_, without) = without.expect("asked for above");
                    all[input].templates.push(OfTemplate {
                        prompt,
                        scores: AnswerScores {
                            log_probs: scores.iter().map(|score| score.log_prob).collect(),
                            tokens: scores.iter().map(|score| score.tokens).collect(),
                            null: without.null.clone(),
                            content_free: without.content_free.clone(),
                        },
                        demonstrations: asked.demonstrations,
                        trimmed: asked.trimmed,
                        labels: labels.clone(),
                    });
                }
            }
        }
        Ok(all)
    }

    /// The place of each label of a prompt among those of the first one.
    fn labels_of(&self, prompt: &Prompt) -> Result<Vec<usize>, PromptError> {
        let first = self.prompts[0].labels();
        let place = |label: &String| first.iter().position(|other| other == label);
        let places: Option<Vec<usize>> = prompt.labels().iter().map(place).collect();
        places.filter(|places| places.len() == first.len()).ok_or_else(|| {
            PromptError::Ensemble(format!(
                "prompts of an ensemble have the same labels: `{}` has {}, and `{}` has {}",
                self.prompts[0].name,
                first.join(", "),
                prompt.name,
                prompt.labels().join(", ")
            ))
        })
    }

    /// The demonstrations of each input, as numbers of the pool.
    fn chosen(&self, inputs: &[Fields], of_pool: bool) -> Result<Vec<Vec<usize>>, PromptError> {
        let Some(shots) = &self.shots else { return Ok(vec![Vec::new(); inputs.len()]) };
        let itself = |input: usize| of_pool.then_some(input);
        if shots.choice != ShotChoice::Nearest {
            if !of_pool {
                return Ok(vec![shots.chosen(None); inputs.len()]);
            }
            return Ok((0..inputs.len()).map(|input| shots.chosen(itself(input))).collect());
        }
        let embed = self.embed.ok_or_else(|| {
            PromptError::Shots(
                "demonstrations that are near need embeddings, which this model has not".into(),
            )
        })?;
        let most = self.scorer.most_ids(true);
        let embedding = |fields: &Fields| {
            let values: Vec<&str> = fields.values().map(String::as_str).collect();
            embed(&self.tokenizer.encode_at_most(&values.join(" "), most))
        };
        let pool: Vec<Vec<f32>> = shots.pool.iter().map(|example| embedding(&example.fields)).collect();
        let near =
            |(input, fields): (usize, &Fields)| shots.nearest(&embedding(fields), &pool, itself(input));
        Ok(inputs.iter().enumerate().map(near).collect())
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

    /// What the model says without content, behind each of some choices of demonstrations.
    fn without_content(
        &self,
        filling: &Filling<'_>,
        shots: &[Vec<usize>],
    ) -> Result<Vec<WithoutContent>, PromptError> {
        let names = filling.template.fields();
        let filled = |text: &str| -> Fields {
            names.iter().map(|name| ((*name).to_owned(), text.to_owned())).collect()
        };
        let mut questions = Vec::with_capacity(CONTENT_FREE.len() * shots.len());
        for shots in shots {
            let shown = self.shown(filling, shots);
            for text in CONTENT_FREE {
                questions.push(filling.ask(0, &filled(text), &shown)?.question);
            }
        }
        let scores = self.scorer.score(&questions, &mut |_| {})?;
        let of_shots = |scores: &[Vec<Score>]| {
            let log_probs: Vec<Vec<f64>> =
                scores.iter().map(|scores| scores.iter().map(|score| score.log_prob).collect()).collect();
            let empty = CONTENT_FREE.iter().position(|text| text.is_empty()).unwrap_or_default();
            WithoutContent {
                content_free: mean_probabilities(log_probs.iter().map(Vec::as_slice)),
                null: log_probs[empty].clone(),
            }
        };
        Ok(scores.chunks_exact(CONTENT_FREE.len()).map(of_shots).collect())
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
