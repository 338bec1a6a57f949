//! Labelled texts into examples of ids.

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
    pub(super) held_out: Vec<Example>,
    /// Which held-out text each of these is of.
    pub(super) texts: Vec<usize>,
    /// How many texts had no room as a whole.
    pub(super) cut: usize,
    pub(super) seq_len: usize,
    /// They are read in parts instead.
    pub(super) in_parts: bool,
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
    let needed = frame.around(true) + 2;
    if seq_len < needed {
        return Err(usage(format!(
            "training.seq_len {seq_len} is too short: two texts and what stands around them take {needed}"
        )));
    }
    let all = |examples: &[labelled::Example], files: &[LabelledFile]| {
        let encoded: anyhow::Result<Vec<(Vec<Example>, bool)>> = examples
            .par_iter()
            .map(|example| parts(example, files, tokenizer, frame, seq_len, long))
            .collect();
        Ok::<_, anyhow::Error>(encoded?.into_iter().unzip::<_, _, Vec<Vec<Example>>, Vec<bool>>())
    };
    let held_out_files =
        if loaded.held_out_files.is_empty() { &loaded.files } else { &loaded.held_out_files };
    let (train, cut) = all(&loaded.train, &loaded.files)?;
    let (held_out, cut_of_held_out) = all(&loaded.held_out, held_out_files)?;
    if train.is_empty() {
        return Err(usage(format!("nothing to train on is left of {} files", data.files.len())));
    }
    let cut = cut.into_iter().chain(cut_of_held_out).filter(|&cut| cut).count();
    let texts = held_out.iter().enumerate().flat_map(|(text, parts)| std::iter::repeat_n(text, parts.len()));
    let texts = texts.collect();
    let (train, held_out) = (train.into_iter().flatten().collect(), held_out.into_iter().flatten().collect());
    Ok(Encoded { train, held_out, texts, cut, seq_len, in_parts: long == LongTexts::Windows })
}

/// One example, in parts if it is read in windows, and whether it was too long.
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
    let too_long = framed.len() > 1 || framed.iter().any(|framed| framed.cut > 0);
    let example = |framed: Framed| Example { ids: framed.ids, second: framed.second, target: target.clone() };
    Ok((framed.into_iter().map(example).collect(), too_long))
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
            "{} examples to train on, {} held out{labels}",
            thousands(encoded.train.len() as u64),
            thousands(encoded.held_out.len() as u64)
        ),
    );
    let skipped: u64 = loaded.files.iter().chain(&loaded.held_out_files).map(|file| file.skipped).sum();
    if skipped > 0 {
        say(global, format!("{} examples without a text were left out", thousands(skipped)));
    }
    if encoded.cut > 0 {
        say(
            global,
            format!(
                "{} texts are longer than {} tokens and {}",
                thousands(encoded.cut as u64),
                encoded.seq_len,
                if encoded.in_parts { "are read in parts" } else { "were cut" }
            ),
        );
    }
    let both = loaded.duplicates.held_out.len();
    if both > 0 {
        let what = match loaded.dropped {
            0 => "data.drop_duplicates=true leaves them out of training".to_owned(),
            dropped => format!("{} were left out of training", thousands(dropped as u64)),
        };
        complain(format_args!(
            "warning: {} held-out texts are trained on as well, word for word; {what}",
            thousands(both as u64)
        ));
    }
}
