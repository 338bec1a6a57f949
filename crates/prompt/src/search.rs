//! Answers found from few labelled examples: of the words of the vocabulary, those that a model finds likely in the blank of the examples of
//! one label and not of the others [Schick 2020, <https://arxiv.org/abs/2010.13641>].

use crate::demonstrations::Example;
use crate::error::PromptError;
use crate::filling::Filling;
use crate::measure::normalized;
use crate::prompt::Prompt;
use crate::question::Question;
use crate::score::Scorer;
use crate::template::Template;
use crate::verbalizer::Verbalizer;
use firebrand_tokenizer::{TokenTable, Tokenizer};

/// Of all words the likeliest ones are looked at: one in so many, but not fewer than [`LEAST`].
const ONE_IN: usize = 4;
const LEAST: usize = 64;

/// An answer that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The word.
    pub word: String,
    /// How much likelier it is, in nats, in examples of its label than in others.
    pub ratio: f64,
}

/// The words of a vocabulary: its tokens of at least two letters that begin a word, without the space in front; of a vocabulary without such
/// tokens all of at least two letters. At most `most`, those with the lowest ids, which are the most frequent of most tokenizers.
pub fn words(table: &TokenTable, most: usize) -> Vec<String> {
    let spaced = (0..table.len() as u32).any(|id| table.starts_word(id) && table.byte_len(id) > 2);
    let word = |id: u32| {
        let text = std::str::from_utf8(table.bytes(id)).ok()?;
        let word = if spaced { text.strip_prefix(' ')? } else { text };
        (word.chars().count() > 1 && word.chars().all(char::is_alphabetic)).then(|| word.to_owned())
    };
    let mut words: Vec<String> = (0..table.len() as u32).filter_map(word).collect();
    let mut seen = std::collections::BTreeSet::new();
    words.retain(|word| seen.insert(word.clone()));
    words.truncate(most);
    words
}

/// The `count` best answers for each label of a prompt, the best first: of `words` the likely ones, by the mean log-probability (normalized over
/// all words) in the examples of the label less that in the others. A word is the answer of one label only. The answers of the prompt count
/// for nothing.
///
/// # Errors
/// A label without an example; examples that cannot be asked.
pub fn answers_of(
    prompt: &Prompt,
    template: &Template,
    words: &[String],
    examples: &[Example],
    count: usize,
    tokenizer: &Tokenizer,
    scorer: &dyn Scorer,
) -> Result<Vec<Vec<Found>>, PromptError> {
    let n_labels = prompt.labels().len();
    let labelled: Vec<(&Example, usize)> =
        examples.iter().filter_map(|example| Some((example, example.label?))).collect();
    if let Some((_, label)) = labelled.iter().find(|&&(_, label)| label >= n_labels) {
        return Err(PromptError::Shots(format!(
            "an example has the label of number {label}, and the prompt `{}` has {n_labels} labels",
            prompt.path
        )));
    }
    for (label, name) in prompt.labels().iter().enumerate() {
        if !labelled.iter().any(|&(_, of)| of == label) {
            return Err(PromptError::Shots(format!(
                "there is no example of the label `{name}` to find answers by"
            )));
        }
    }
    if words.len() < n_labels * count {
        return Err(PromptError::Answers(format!(
            "the vocabulary has {} words, and {} answers are wanted: give them yourself",
            words.len(),
            n_labels * count
        )));
    }
    let set = words.iter().map(|word| (word.clone(), vec![(word.clone(), 1.0)])).collect();
    let asking = Prompt { verbalizer: Verbalizer::new(set)?, ..prompt.clone() };
    let filling = Filling { prompt: &asking, template, tokenizer, most: scorer.most_ids(true) };
    // Mean log-probabilities of each word in the examples of each label.
    let mut means = vec![vec![0.0; words.len()]; n_labels];
    let of_label = |label: usize| labelled.iter().filter(|&&(_, of)| of == label).count() as f64;
    for (number, (example, label)) in labelled.iter().enumerate() {
        let question: Question = filling.ask(number, &example.fields, &[])?.question;
        let scores = scorer.score(&[question], &mut |_| {})?.swap_remove(0);
        let p = normalized(&scores.iter().map(|score| score.log_prob).collect::<Vec<f64>>());
        let share = of_label(*label);
        means[*label].iter_mut().zip(p).for_each(|(mean, p)| *mean += p.max(f64::MIN_POSITIVE).ln() / share);
    }
    let overall: Vec<f64> =
        (0..words.len()).map(|word| means.iter().map(|means| means[word]).sum::<f64>()).collect();
    let mut likely: Vec<usize> = (0..words.len()).collect();
    likely.sort_by(|&a, &b| overall[b].total_cmp(&overall[a]).then(a.cmp(&b)));
    likely.truncate((words.len() / ONE_IN).max(LEAST).max(n_labels * count));
    let ratio = |label: usize, word: usize| {
        let others = (overall[word] - means[label][word]) / (n_labels - 1) as f64;
        means[label][word] - others
    };
    // The most telling first, whichever label they tell of.
    let mut all: Vec<(f64, usize, usize)> = likely
        .iter()
        .flat_map(|&word| (0..n_labels).map(move |label| (label, word)))
        .map(|(label, word)| (ratio(label, word), label, word))
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut found: Vec<Vec<Found>> = vec![Vec::new(); n_labels];
    let mut taken = vec![false; words.len()];
    for (ratio, label, word) in all {
        if found[label].len() < count && !taken[word] {
            taken[word] = true;
            found[label].push(Found { word: words[word].clone(), ratio });
        }
    }
    Ok(found)
}
