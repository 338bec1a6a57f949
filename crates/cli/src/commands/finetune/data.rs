//! Labelled texts into examples of ids.

use super::measured::Of;
use crate::args::Global;
use crate::exit::usage;
use crate::output::{complain, say, thousands};
use firebrand_corpus::labelled::{self, LabelledData, LabelledFile, Loaded};
use firebrand_finetune::{Example, Frame, Framed, LongTexts, Target};
use firebrand_tokenizer::Tokenizer;
use rayon::prelude::*;

/// Examples as the model reads them.
pub(super) struct Encoded {
    pub(super) train: Vec<Example>,
    pub(super) held_out: Part,
    pub(super) test: Part,
    pub(super) seq_len: usize,
    /// How many texts had no room as a whole, and lost their end.
    pub(super) cut: usize,
    /// How many are read in parts instead.
    pub(super) in_parts: usize,
}

/// Examples that are measured on.
#[derive(Default)]
pub(super) struct Part {
    pub(super) examples: Vec<Example>,
    /// Which text each of these is of.
    pub(super) texts: Vec<usize>,
}

impl Part {
    /// Of the examples that each text became.
    pub(super) fn new(by_text: Vec<Vec<Example>>) -> Self {
        let texts =
            by_text.iter().enumerate().flat_map(|(text, parts)| std::iter::repeat_n(text, parts.len()));
        Self { texts: texts.collect(), examples: by_text.into_iter().flatten().collect() }
    }
}

impl Encoded {
    /// How many training examples there are of each class.
    pub(super) fn counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for example in &self.train {
            if let Target::Class(class) = example.target {
                counts[class] += 1;
            }
        }
        counts
    }
}

/// The ids of all examples, with what stands around texts, at most `seq_len` of them.
pub(super) fn encode(
    loaded: &Loaded,
    data: &LabelledData,
    tokenizer: &Tokenizer,
    frame: Frame,
    seq_len: usize,
    long: LongTexts,
) -> anyhow::Result<Encoded> {
    let mut all_examples = loaded.train.iter().chain(&loaded.held_out).chain(&loaded.test);
    let (needed, what) = match all_examples.any(|example| example.text_b.is_some()) {
        true => (frame.around(true) + 2, "two texts and what stands around them take"),
        false => (frame.around(false) + 1, "a text and what stands around it take"),
    };
    if seq_len < needed {
        return Err(usage(format!("training.seq_len {seq_len} is too short: {what} {needed} at least")));
    }
    let all = |examples: &[labelled::Example], files: &[LabelledFile]| {
        let encoded: anyhow::Result<Vec<(Vec<Example>, bool)>> = examples
            .par_iter()
            .map(|example| parts(example, files, tokenizer, frame, seq_len, long))
            .collect();
        Ok::<_, anyhow::Error>(encoded?.into_iter().unzip::<_, _, Vec<Vec<Example>>, Vec<bool>>())
    };
    let (train, mut was_cut) = all(&loaded.train, &loaded.files)?;
    let mut in_parts = train.iter().filter(|parts| parts.len() > 1).count();
    let mut part = |of: Of| {
        let (examples, files) = of.examples(loaded);
        let (parts, cut) = all(examples, files)?;
        was_cut.extend(cut);
        in_parts += parts.iter().filter(|parts| parts.len() > 1).count();
        Ok::<_, anyhow::Error>(Part::new(parts))
    };
    let (held_out, test) = (part(Of::HeldOut)?, part(Of::Test)?);
    if train.is_empty() {
        return Err(usage(format!("nothing to train on is left of {} files", data.files.len())));
    }
    let cut = was_cut.into_iter().filter(|&cut| cut).count();
    let train = train.into_iter().flatten().collect();
    Ok(Encoded { train, held_out, test, seq_len, cut, in_parts })
}

/// One example, in parts if it is read in windows, and whether its end was cut off.
pub(crate) fn parts(
    example: &labelled::Example,
    files: &[LabelledFile],
    tokenizer: &Tokenizer,
    frame: Frame,
    seq_len: usize,
    long: LongTexts,
) -> anyhow::Result<(Vec<Example>, bool)> {
    let first = tokenizer.encode(&example.text);
    let second = example.text_b.as_ref().map(|second| tokenizer.encode(second));
    let framed = frame.parts(&first, second.as_deref(), seq_len, long);
    if framed.iter().any(|framed| framed.ids.is_empty()) {
        let file =
            files.get(example.place.file).map_or(String::new(), |file| file.path.display().to_string());
        return Err(usage(format!(
            "{file}: line {}: the tokenizer makes no token of this text",
            example.place.line
        )));
    }
    let target = match &example.target {
        labelled::Target::Class(class) => Target::Class(*class),
        labelled::Target::Classes(labels) => Target::Labels(labels.clone()),
        labelled::Target::Number(number) => Target::Number(*number),
        other => unreachable!("a head for whole texts says nothing like {other:?}"),
    };
    let was_cut = framed.iter().any(|framed| framed.cut > 0);
    let example = |framed: Framed| Example { ids: framed.ids, second: framed.second, target: target.clone() };
    Ok((framed.into_iter().map(example).collect(), was_cut))
}

/// Says what is learned from.
pub(super) fn introduce_data(loaded: &Loaded, encoded: &Encoded, global: &Global) {
    const SHOWN: usize = 8;
    let labels = loaded.labels.names();
    let more = if labels.len() > SHOWN { ", …" } else { "" };
    let labels = match labels {
        [] => String::new(),
        names => format!("; {} labels: {}{more}", names.len(), names[..names.len().min(SHOWN)].join(", ")),
    };
    say(
        global,
        format!(
            "{}{labels}",
            counts(encoded.train.len(), encoded.held_out.examples.len(), encoded.test.examples.len())
        ),
    );
    introduce_files(loaded, global);
    for (count, what) in [(encoded.cut, "were cut"), (encoded.in_parts, "are read in parts")] {
        if count > 0 {
            let (count, seq_len) = (thousands(count as u64), encoded.seq_len);
            say(global, format!("{count} texts are longer than {seq_len} tokens and {what}"));
        }
    }
}

/// How many examples each part has.
pub(super) fn counts(train: usize, held_out: usize, test: usize) -> String {
    let [train, held_out, tested] = [train, held_out, test].map(|count| thousands(count as u64));
    let test = if test > 0 { format!(", {tested} to test on") } else { String::new() };
    format!("{train} examples to train on, {held_out} held out{test}")
}

/// Says what is odd about the files that were read.
pub(super) fn introduce_files(loaded: &Loaded, global: &Global) {
    let skipped: u64 = loaded.all_files().map(|file| file.skipped).sum();
    if skipped > 0 {
        say(global, format!("{} examples without a text were left out", thousands(skipped)));
    }
    let untrained = loaded.untrained_labels();
    if !untrained.is_empty() {
        complain(format_args!(
            "warning: nothing that is trained on has {}, which is therefore never said",
            listed(&untrained)
        ));
    }
    let is_measured = !loaded.held_out.is_empty() || !loaded.test.is_empty();
    let single = loaded.single_labels();
    if is_measured && !single.is_empty() {
        complain(format_args!(
            "warning: one example alone has {}: it is trained on, and nothing is measured of it",
            listed(&single)
        ));
    }
    let mut dropped = match loaded.dropped {
        0 => "data.drop_duplicates=true leaves them out there".to_owned(),
        dropped => format!("{} were left out there", thousands(dropped as u64)),
    };
    let another = match loaded.train.first().map(|example| &example.target) {
        Some(labelled::Target::Text(_) | labelled::Target::Turns(_)) => "with another response",
        Some(labelled::Target::Number(_)) => "with another number",
        _ => "under another label",
    };
    for (which, what, duplicates) in [
        ("held-out", "trained on", &loaded.duplicates),
        ("test", "trained on", &loaded.test_duplicates),
        ("test", "held out", &loaded.chosen_duplicates),
    ] {
        let both = duplicates.held_out.len();
        if both > 0 {
            let otherwise = match duplicates.contradictions {
                0 => String::new(),
                others => format!(", {} of them {another}", thousands(others as u64)),
            };
            complain(format_args!(
                "warning: {} {which} texts are {what} as well, word for word{otherwise}; {}",
                thousands(both as u64),
                std::mem::replace(&mut dropped, "likewise".to_owned())
            ));
        }
    }
}

/// Names of labels, some of them if there are many.
fn listed(labels: &[&str]) -> String {
    const SHOWN: usize = 5;
    let names: Vec<String> = labels.iter().take(SHOWN).map(|label| format!("`{label}`")).collect();
    let (what, more) = match labels.len() {
        1 => ("the label", ""),
        ..=SHOWN => ("each of the labels", ""),
        _ => ("each of the labels", ", …"),
    };
    format!("{what} {}{more}", names.join(", "))
}
