//! How much of fields is left where there is no room for all of them.
//!
//! Fields that are cut together lose a token at a time, always the longest one; of those that are as long as each other, the one that
//! the template shows last. So short fields stay whole while a long one is cut, and two long ones end up equally long. A field that is
//! cut ends (or begins) with a whole word, if there is one.

use crate::prompt::TrimEnd;
use crate::template::Fields;
use firebrand_tokenizer::Tokenizer;
use std::ops::Range;

/// Fields that are cut together.
pub(crate) struct Cutting<'a> {
    fields: Vec<Field<'a>>,
    end: TrimEnd,
}

struct Field<'a> {
    name: &'a str,
    text: &'a str,
    /// Where its tokens stand, in bytes.
    tokens: Vec<Range<usize>>,
}

impl<'a> Cutting<'a> {
    /// The fields of these names that hold something, in the order in which the template shows them.
    pub(crate) fn new(names: &[&'a str], fields: &'a Fields, tokenizer: &Tokenizer, end: TrimEnd) -> Self {
        let field = |&name: &&'a str| {
            let text = fields.get(name)?.as_str();
            let (_, tokens) = tokenizer.encode_with_offsets(text);
            (!tokens.is_empty()).then_some(Field { name, text, tokens })
        };
        Self { fields: names.iter().filter_map(field).collect(), end }
    }

    /// How many tokens they can lose, or a little more.
    pub(crate) fn steps(&self) -> usize {
        let longest = self.fields.iter().map(|field| field.tokens.len()).max();
        longest.unwrap_or(0) * self.fields.len()
    }

    /// `all` with what is left of these fields so many steps before nothing is; of [`steps`](Self::steps) everything. Each step gives a token to
    /// one of those that have fewest and want more, the first of them first.
    pub(crate) fn left(&self, all: &Fields, steps: usize) -> Fields {
        let mut all = all.clone();
        let count = self.fields.len().max(1);
        for (index, field) in self.fields.iter().enumerate() {
            let tokens = steps / count + usize::from(index < steps % count);
            all.insert(field.name.to_owned(), field.kept(tokens, self.end).to_owned());
        }
        all
    }
}

impl Field<'_> {
    /// At most so many of its tokens, and whole words if there are any among them.
    fn kept(&self, tokens: usize, end: TrimEnd) -> &str {
        let text = self.text;
        let Some(cut) = self.tokens.len().checked_sub(tokens).filter(|&cut| cut > 0) else { return text };
        match end {
            TrimEnd::Last => {
                let end = tokens.checked_sub(1).map_or(0, |last| self.tokens[last].end);
                let part = &text[..text.floor_char_boundary(end)];
                let is_whole = text[part.len()..].starts_with(char::is_whitespace);
                let space = part.rfind(char::is_whitespace).filter(|_| !is_whole);
                let words = space.map_or(part, |space| &part[..space]);
                if words.trim().is_empty() { part } else { words.trim_end() }
            }
            TrimEnd::First => {
                let start = self.tokens.get(cut).map_or(text.len(), |first| first.start);
                let part = &text[text.ceil_char_boundary(start)..];
                // A token may begin with the space before its word.
                let is_whole = part.starts_with(char::is_whitespace)
                    || text[..text.len() - part.len()].ends_with(char::is_whitespace);
                let space = part.find(char::is_whitespace).filter(|_| !is_whole);
                let words = space.map_or(part, |space| &part[space..]);
                if words.trim().is_empty() { part } else { words.trim_start() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token a character.
    fn left(fields: &[(&str, &str)], steps_less: usize, end: TrimEnd) -> Vec<String> {
        let tokenizer = Tokenizer::characters(["abcdefgh xyzü"], &[]).expect("a tokenizer");
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let all: Fields =
            fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let cutting = Cutting::new(&names, &all, &tokenizer, end);
        let left = cutting.left(&all, cutting.steps() - steps_less);
        names.iter().map(|&name| left[name].clone()).collect()
    }

    #[test]
    fn the_longest_field_is_cut_until_another_is_as_long() {
        let fields = [("first", "abcdefgh"), ("second", "abc")];
        let lengths = |less| left(&fields, less, TrimEnd::Last).iter().map(String::len).collect::<Vec<_>>();
        // The second has nothing to lose in the first steps, which count for it too.
        assert_eq!((lengths(0), lengths(2), lengths(4)), (vec![8, 3], vec![7, 3], vec![6, 3]));
        assert_eq!((lengths(10), lengths(11), lengths(12)), (vec![3, 3], vec![3, 2], vec![2, 2]));
        assert_eq!(lengths(16), [0, 0]);
    }

    #[test]
    fn what_is_cut_is_whole_words_where_there_are_some() {
        let one = |less, end| left(&[("text", "abc def gh")], less, end).swap_remove(0);
        assert_eq!(
            [1, 2, 3, 4, 6, 7, 8].map(|less| one(less, TrimEnd::Last)),
            ["abc def", "abc def", "abc def", "abc", "abc", "abc", "ab"]
        );
        assert_eq!(
            [1, 3, 4, 7, 8, 9].map(|less| one(less, TrimEnd::First)),
            ["def gh", "def gh", "def gh", "gh", "gh", "h"]
        );
    }
}
