//! From labelled texts to what a model reads and predicts in a template; and what a prompt begins as.

use crate::config::{LENGTH, PromptInit, PromptSection, did_you_mean};
use crate::exit::usage;
use firebrand_corpus::batches::{Permutation, keyed_rng};
use firebrand_corpus::labelled::{Example, LabelledFile, Target};
use firebrand_finetune::Cloze;
use firebrand_prompt::filling::Filling;
use firebrand_prompt::{Asking, Fields, Prompt, SpecialIds, Template, words};
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{Beginning, ModelConfig, TrainedPrompt};
use rayon::prelude::*;

/// Words of the vocabulary that a prompt may begin as.
const MOST_WORDS: usize = 4000;

/// What makes examples of labelled texts.
pub(super) struct Encoder<'a> {
    pub(super) prompt: &'a Prompt,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) asking: Asking,
    /// The number that each label of the data has in the template.
    pub(super) labels: Vec<usize>,
    /// The text of a dataset is called `text`, whatever its column is called.
    pub(super) is_dataset: bool,
}

impl Encoder<'_> {
    /// All texts in the first template, then all in the next.
    pub(super) fn encode(&self, examples: &[Example], files: &[LabelledFile]) -> anyhow::Result<Vec<Cloze>> {
        let Some(first) = files.first() else { return Ok(Vec::new()) };
        let known: Vec<String> = self.names(first);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        self.prompt.check_fields(&known).map_err(|error| usage(format!("the data: {error}")))?;
        let all = self.prompt.templates.iter().map(|template| {
            examples
                .par_iter()
                .map(|example| self.one(template, example, files))
                .collect::<anyhow::Result<Vec<_>>>()
        });
        Ok(all.collect::<anyhow::Result<Vec<_>>>()?.concat())
    }

    /// The names of the fields that texts of a file have.
    fn names(&self, file: &LabelledFile) -> Vec<String> {
        let text = if self.is_dataset { "text" } else { &file.text };
        [text, &file.text_b].into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn one(&self, template: &Template, example: &Example, files: &[LabelledFile]) -> anyhow::Result<Cloze> {
        let file = &files[example.place.file];
        let texts = [Some(&example.text), example.text_b.as_ref()];
        let fields: Fields = self.names(file).into_iter().zip(texts.into_iter().flatten().cloned()).collect();
        let filling = Filling {
            prompt: self.prompt,
            template,
            tokenizer: self.tokenizer,
            most: self.asking.most_ids(),
        };
        let asked = filling.ask(0, &fields, &[]).map_err(|error| {
            let (path, line) = (file.path.display(), example.place.line);
            usage(format!("{path}: line {line}: {}", error.to_string().trim_start_matches("input 1 ")))
        })?;
        let Target::Class(class) = example.target else {
            unreachable!("data of classes has classes, not {:?}", example.target)
        };
        let label = self.labels[class];
        let reading = self.asking.ask(&asked.question);
        let right = (self.prompt.verbalizer.answers().iter().zip(&reading.candidates))
            .filter(|(answer, _)| answer.label == label)
            .reduce(|best, next| if next.0.weight > best.0.weight { next } else { best })
            .map_or(0, |(_, predicted)| predicted.text);
        let answers =
            reading.candidates.into_iter().map(|predicted| (predicted.text, predicted.ids)).collect();
        Ok(Cloze { texts: reading.texts, answers, label, right })
    }
}

/// The number of each label of the data among those of the template.
pub(super) fn labels(names: &[String], prompt: &Prompt) -> anyhow::Result<Vec<usize>> {
    let known: Vec<&str> = prompt.labels().iter().map(String::as_str).collect();
    let place = |name: &String| {
        known.iter().position(|known| known == name).ok_or_else(|| {
            usage(format!(
                "the label `{name}` of the data has no answer in the template `{}`, which has {}{}",
                prompt.name,
                known.join(", "),
                did_you_mean(name, &known)
            ))
        })
    };
    names.iter().map(place).collect()
}

/// How a model of `config` is asked behind `prompt`, of texts of at most `seq_len` tokens in the template.
pub(super) fn asking(
    config: &ModelConfig,
    special: &SpecialIds,
    seq_len: usize,
    prompt: Option<&TrainedPrompt>,
) -> anyhow::Result<Asking> {
    let taken = prompt.map_or(0, TrainedPrompt::taken);
    let asking = Asking::new(config, special, seq_len, taken).map_err(|error| usage(error.to_string()))?;
    Ok(match prompt {
        Some(TrainedPrompt::Soft(_)) => asking.behind_soft_prompt(),
        _ => asking,
    })
}

/// What a prompt is before it is trained: `begins`, with which texts begin, and what the section says.
pub(super) fn beginning(
    section: &PromptSection,
    prompt: &Prompt,
    tokenizer: &Tokenizer,
    begins: Option<u32>,
    seed: u64,
) -> anyhow::Result<Beginning> {
    let length = section.length.unwrap_or(LENGTH);
    let ids: Vec<u32> = match section.init {
        PromptInit::Random => return Ok(Beginning::Random(length)),
        PromptInit::Text => tokenizer.encode(section.text.as_deref().unwrap_or_default()),
        PromptInit::Answers => {
            let answers = prompt.verbalizer.answers().iter();
            answers.flat_map(|answer| tokenizer.encode(&format!(" {}", answer.text))).collect()
        }
        PromptInit::Vocabulary => {
            let words = words(&tokenizer.token_table(), MOST_WORDS);
            let count = words.len() as u64;
            let mut rng = keyed_rng(seed, "prompt words", 0);
            let order = (count > 0).then(|| Permutation::new(count, &mut rng));
            let drawn = order.iter().flat_map(|order| (0..count.min(length as u64)).map(|n| order.image(n)));
            let drawn = drawn.map(|word| &words[word as usize]);
            drawn.filter_map(|word| tokenizer.encode(&format!(" {word}")).last().copied()).collect()
        }
    };
    if ids.is_empty() {
        return Err(usage(match section.init {
            PromptInit::Text => "prompt.text: the tokenizer makes no token of it",
            _ => "prompt.init: the vocabulary has no words to begin with; set it to \"text\" or \"random\"",
        }));
    }
    let length = match (section.length, section.init) {
        (None, PromptInit::Text) => ids.len() + usize::from(begins.is_some()),
        _ => length,
    };
    Ok(Beginning::Ids(begins.into_iter().chain(ids.into_iter().cycle()).take(length).collect()))
}
