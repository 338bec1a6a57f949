//! Texts whose words are tagged: as runs of ids that a model can read, and from its answers back to words.

use crate::words::{first_tokens, runs};
use firebrand_corpus::labelled;
use firebrand_finetune::{Example, Frame, Target};
use firebrand_tokenizer::Tokenizer;
use std::ops::Range;

/// A part of a text that the model reads at once: all of it, unless it is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// With what stands around a text.
    pub(crate) ids: Vec<u32>,
    /// Which words of the text it has.
    pub(crate) words: Range<usize>,
    /// For each of these words the id that stands for it: the one that it begins with. `None` where none was left.
    pub(crate) places: Vec<Option<usize>>,
}

/// A text in runs of at most `longest` ids. Every word is in one of them; what is cut stands in two contexts that do not see
/// each other.
pub(crate) fn cut(
    text: &str,
    words: &[Range<usize>],
    tokenizer: &Tokenizer,
    frame: Frame,
    longest: usize,
) -> Vec<Run> {
    let (ids, ranges) = tokenizer.encode_with_offsets(text);
    let room = longest.saturating_sub(frame.around(false)).max(1);
    let before = usize::from(frame.before.is_some());
    let run = |(words_of, tokens): (Range<usize>, Range<usize>)| {
        let framed = frame.compose(&ids[tokens.clone()], None, longest);
        let places = first_tokens(&words[words_of.clone()], &ranges[tokens]);
        Run {
            ids: framed.ids,
            words: words_of,
            places: places.into_iter().map(|place| Some(place? + before)).collect(),
        }
    };
    runs(words, &ranges, room).into_iter().map(run).filter(|run| !run.ids.is_empty()).collect()
}

/// A text with tagged words as examples, one for each run of it: the token that a word begins with has its tag.
pub(crate) fn examples(
    example: &labelled::Example,
    tokenizer: &Tokenizer,
    frame: Frame,
    longest: usize,
) -> Vec<Example> {
    let labelled::Target::Tags(tagged) = &example.target else {
        unreachable!("data of tags has tags, not {:?}", example.target)
    };
    let words: Vec<Range<usize>> = tagged.iter().map(|word| word.range.clone()).collect();
    let of_run = |run: Run| {
        let mut tags = vec![None; run.ids.len()];
        for (place, word) in run.places.into_iter().zip(&tagged[run.words]) {
            // Of two words in one token the first one's tag is learned.
            if let Some(tag) = place.and_then(|place| tags.get_mut(place)) {
                tag.get_or_insert(word.tag);
            }
        }
        Example { ids: run.ids, second: None, target: Target::Tags(tags) }
    };
    cut(&example.text, &words, tokenizer, frame, longest).into_iter().map(of_run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use firebrand_tokenizer::ByteLevelConfig;

    fn tokenizer() -> Tokenizer {
        let config = ByteLevelConfig { vocab_size: 257, ..ByteLevelConfig::default() };
        Tokenizer::train_byte_level(["abc"], &config).expect("there is text")
    }

    #[test]
    fn words_are_found_behind_what_stands_around_a_text() {
        let frame = Frame { before: Some(256), between: None, after: Some(256) };
        let found = cut("ab c", &[0..2, 3..4], &tokenizer(), frame, 99);
        let bytes: Vec<u32> = tokenizer().encode("ab c");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].ids[1..5], bytes);
        assert_eq!((&found[0].words, &found[0].places), (&(0..2), &vec![Some(1), Some(4)]));
        // Two bytes of room: a word in each run.
        let found = cut("ab c", &[0..2, 3..4], &tokenizer(), frame, 4);
        let words: Vec<Range<usize>> = found.iter().map(|run| run.words.clone()).collect();
        assert_eq!(words, [0..1, 1..2]);
        assert!(found.iter().all(|run| run.ids.len() <= 4 && run.places == [Some(1)]), "{found:?}");
    }
}
