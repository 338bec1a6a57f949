//! Word classes: tables whose rows are words and whose columns are what is known of them.

use std::collections::HashMap;

use super::GrammarError;
use super::program::{Distribution, Form, Lexicon, UNBOUND};
use super::source::{ClassDecl, Place};

/// A class with its joins carried out.
pub(super) struct Class {
    pub(super) name: String,
    columns: Vec<String>,
    /// By word, then by column.
    cells: Vec<Vec<String>>,
    weights: Vec<Option<u32>>,
    zipf: bool,
}

/// What makes a form: class, column, with an article, with a capital.
type FormKey = (usize, usize, bool, bool);

/// Classes, and the forms, distributions and lexicons that rules have asked for; equal ones are shared.
#[derive(Default)]
pub(super) struct Words {
    pub(super) classes: Vec<Class>,
    pub(super) forms: Vec<Form>,
    pub(super) distributions: Vec<Distribution>,
    pub(super) lexicons: Vec<Lexicon>,
    form_ids: HashMap<FormKey, usize>,
    distribution_ids: HashMap<(usize, Vec<bool>), usize>,
    lexicon_ids: HashMap<(usize, usize), usize>,
}

impl Words {
    /// Adds a class; the classes it joins must have been added before.
    pub(super) fn declare(&mut self, decl: &ClassDecl) -> Result<(), GrammarError> {
        if self.class_named(&decl.name).is_some() {
            return Err(decl.place.error(format!("class `{}` is declared twice", decl.name)));
        }
        let mut columns = Vec::new();
        let mut joined = Vec::new();
        for column in &decl.columns {
            columns.push(column.name.clone());
            let Some(name) = &column.joins else { continue };
            let other = self.class_named(name);
            let other = other.ok_or_else(|| {
                decl.place.error(format!("`-> {name}`: no class of this name is declared above"))
            })?;
            joined.push((columns.len() - 1, other));
        }
        for &(_, other) in &joined {
            columns.extend(self.classes[other].columns[1..].iter().cloned());
        }
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].contains(column) {
                return Err(decl.place.error(format!("`{}` has two columns `{column}`", decl.name)));
            }
        }
        let mut cells = Vec::new();
        for row in &decl.rows {
            // `&` stands for the word itself, so that `&s` can be the plural of all words of a row.
            let mut all: Vec<String> =
                row.cells.iter().map(|cell| cell.replace('&', &row.cells[0])).collect();
            for &(column, other) in &joined {
                let (other, key) = (&self.classes[other], &row.cells[column]);
                let found = other.cells.iter().find(|cells| cells[0] == *key);
                let found = found
                    .ok_or_else(|| row.place.error(format!("`{key}` is not a word of `{}`", other.name)))?;
                all.extend(found[1..].iter().cloned());
            }
            cells.push(all);
        }
        if cells.is_empty() || cells.len() >= usize::from(UNBOUND) {
            return Err(decl.place.error(format!("`{}` has {} words", decl.name, cells.len())));
        }
        let weights = decl.rows.iter().map(|row| row.weight).collect();
        self.classes.push(Class { name: decl.name.clone(), columns, cells, weights, zipf: decl.zipf });
        Ok(())
    }

    /// Adds a class without a name whose words are these values, for a `var`.
    pub(super) fn declare_values(&mut self, values: &[String]) -> usize {
        let cells: Vec<Vec<String>> = values.iter().map(|value| vec![value.clone()]).collect();
        let weights = vec![None; cells.len()];
        let columns = vec!["value".to_owned()];
        self.classes.push(Class { name: String::new(), columns, cells, weights, zipf: false });
        self.classes.len() - 1
    }

    /// The index of a class.
    pub(super) fn class_named(&self, name: &str) -> Option<usize> {
        self.classes.iter().position(|class| class.name == name)
    }

    /// The form `column` (the first one when absent) of a class.
    pub(super) fn form(
        &mut self,
        class: usize,
        column: Option<&str>,
        article: bool,
        capital: bool,
        place: &Place,
    ) -> Result<usize, GrammarError> {
        let table = &self.classes[class];
        let column = table.column(column, place)?;
        let key = (class, column, article, capital);
        if let Some(&id) = self.form_ids.get(&key) {
            return Ok(id);
        }
        let article_column = table.columns.iter().position(|name| name == "article");
        let text = |cells: &Vec<String>| {
            let word = &cells[column];
            let text = match (article, article_column) {
                (false, _) => word.clone(),
                (true, Some(own)) if cells[own] != "-" => format!("{} {word}", cells[own]),
                (true, _) => format!("{} {word}", indefinite_article(word)),
            };
            if capital { capitalized(&text).into_boxed_str() } else { text.into_boxed_str() }
        };
        self.forms.push(Form { texts: table.cells.iter().map(text).collect() });
        self.form_ids.insert(key, self.forms.len() - 1);
        Ok(self.forms.len() - 1)
    }

    /// The distribution over the words of a class that are `members`; `None` when there are none.
    pub(super) fn distribution(&mut self, class: usize, members: &[bool]) -> Option<usize> {
        let key = (class, members.to_vec());
        if let Some(&id) = self.distribution_ids.get(&key) {
            return Some(id);
        }
        let table = &self.classes[class];
        let mut distribution =
            Distribution { members: Vec::new(), cumulative: Vec::new(), weights: vec![0; members.len()] };
        for (word, _) in members.iter().enumerate().filter(|(_, member)| **member) {
            let rank = distribution.members.len();
            let default = if table.zipf { zipf_weight(rank) } else { 1 };
            let weight = table.weights[word].unwrap_or(default);
            let total = distribution.total() + weight;
            distribution.members.push(word as u16);
            distribution.cumulative.push(total);
            distribution.weights[word] = weight;
        }
        if distribution.members.is_empty() {
            return None;
        }
        self.distributions.push(distribution);
        self.distribution_ids.insert(key, self.distributions.len() - 1);
        Some(self.distributions.len() - 1)
    }

    /// The words of a distribution sorted by a form.
    pub(super) fn lexicon(&mut self, distribution: usize, form: usize) -> usize {
        if let Some(&id) = self.lexicon_ids.get(&(distribution, form)) {
            return id;
        }
        let (words, texts) = (&self.distributions[distribution].members, &self.forms[form].texts);
        let mut entries: Vec<_> =
            words.iter().map(|&word| (texts[usize::from(word)].clone(), word)).collect();
        entries.sort_unstable();
        self.lexicons.push(Lexicon { entries });
        self.lexicon_ids.insert((distribution, form), self.lexicons.len() - 1);
        self.lexicons.len() - 1
    }
}

impl Class {
    /// How many words it has.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// The words themselves.
    pub(super) fn words(&self) -> Vec<String> {
        self.cells.iter().map(|cells| cells[0].clone()).collect()
    }

    /// The index of a column, or of the first one when no name is given.
    pub(super) fn column(&self, name: Option<&str>, place: &Place) -> Result<usize, GrammarError> {
        let Some(name) = name else { return Ok(0) };
        let found = self.columns.iter().position(|column| column == name);
        found.ok_or_else(|| {
            place.error(format!("`{}` has no column `{name}`, only {}", self.name, self.columns.join(", ")))
        })
    }

    /// The cell of a word.
    pub(super) fn cell(&self, word: usize, column: usize) -> &str {
        &self.cells[word][column]
    }

    /// Which words have one of `values` in a column.
    ///
    /// # Errors
    /// A value that no word has: it would be a spelling mistake.
    pub(super) fn having(
        &self,
        column: usize,
        values: &[String],
        place: &Place,
    ) -> Result<Vec<bool>, GrammarError> {
        for value in values {
            if !self.cells.iter().any(|cells| cells[column] == *value) {
                return Err(
                    place.error(format!("no word has `{value}` in column `{}`", self.columns[column]))
                );
            }
        }
        Ok(self.cells.iter().map(|cells| values.contains(&cells[column])).collect())
    }
}

/// Zipf–Mandelbrot weights, 1 / (rank + 10), in integers: the first word is drawn 30 times as often as the 300th.
fn zipf_weight(rank: usize) -> u32 {
    (10_000 / (rank as u32 + 10)).max(1)
}

/// `a` or `an` by the first letters; classes with a column `article` say it themselves.
fn indefinite_article(word: &str) -> &'static str {
    const VOWEL_LETTER_CONSONANT_SOUND: [&str; 5] = ["uni", "use", "usu", "eu", "one"];
    const SILENT_H: [&str; 3] = ["hour", "honest", "heir"];
    let word = word.to_lowercase();
    let starts = |list: &[&str]| list.iter().any(|start| word.starts_with(start));
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u']);
    if (vowel && !starts(&VOWEL_LETTER_CONSONANT_SOUND)) || starts(&SILENT_H) { "an" } else { "a" }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
