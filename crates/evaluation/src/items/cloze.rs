//! Texts whose last word is asked for, as in LAMBADA [Paperno 2016, <https://arxiv.org/abs/1606.06031>].

/// A text without its last word, and the word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloze {
    /// What comes before.
    pub context: String,
    /// The word with the white space in front of it and what stands behind it, such as a full stop: what a model goes on with.
    pub target: String,
}

/// A text before its last word, and that word. `None` where there is one word or none.
pub fn cloze(text: &str) -> Option<Cloze> {
    let text = text.trim_end();
    let word = text.char_indices().rev().find(|(_, c)| c.is_whitespace())?.0;
    let context = text[..word].trim_end();
    (!context.trim_start().is_empty())
        .then(|| Cloze { context: context.into(), target: text[context.len()..].into() })
}

impl Cloze {
    /// A context and what may follow it, where they stand apart: a space goes between them, if there is none.
    pub fn of(context: &str, target: &str) -> Self {
        let context = context.trim_end();
        let has_space = context.is_empty() || target.starts_with(char::is_whitespace);
        let target = if has_space { target.into() } else { format!(" {target}") };
        Self { context: context.into(), target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_takes_the_space_before_it_along() {
        let found = cloze("The fox went home.\n").expect("four words");
        assert_eq!((found.context.as_str(), found.target.as_str()), ("The fox went", " home."));
        assert_eq!(cloze("a\n b").map(|cloze| cloze.target), Some("\n b".into()));
        assert_eq!((cloze("alone"), cloze(" alone "), cloze("")), (None, None, None));
        assert_eq!(
            Cloze::of("The fox went ", "home"),
            Cloze { context: "The fox went".into(), target: " home".into() }
        );
    }
}
