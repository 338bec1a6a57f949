//! What the quickstart prints at its end.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use crate::paths;

/// Width of the report's text, in characters.
const COLUMNS: usize = 96;

/// How well a model predicts text that it has not seen; `firebrand score --json` prints these fields.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) struct Quality {
    /// Nats per token.
    pub(super) loss: f64,
    pub(super) perplexity: f64,
    /// Missing where it was not recorded.
    pub(super) bits_per_byte: Option<f64>,
    /// What the grammar itself needs for this very file; only the built-in corpus has one.
    pub(super) floor_bits_per_byte: Option<f64>,
}

/// What is learned.
#[derive(Clone, Debug)]
pub(super) enum Text {
    /// Stories of the built-in grammar.
    Stories,
    /// A file of the user's, of this many bytes.
    File { path: PathBuf, bytes: u64 },
}

/// Something the model wrote; `firebrand generate --json` prints these fields.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sample {
    pub(super) prompt: String,
    pub(super) text: String,
}

/// Everything there is to say.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) firebrand: PathBuf,
    /// The run directory.
    pub(super) run: PathBuf,
    pub(super) text: Text,
    pub(super) quality: Quality,
    pub(super) samples: Vec<Sample>,
    /// What making it took, now or earlier.
    pub(super) seconds: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_quality(f)?;
        self.write_samples(f)?;
        self.write_next_steps(f)
    }
}

impl Report {
    fn write_quality(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quality { loss, perplexity, bits_per_byte, floor_bits_per_byte } = self.quality;
        match &self.text {
            Text::Stories => writeln!(f, "On {}, which the model never saw:", self.validation_file())?,
            Text::File { path, .. } => {
                writeln!(f, "On the last tenth of {}, which the model never saw:", path.display())?;
            }
        }
        writeln!(f, "  validation loss  {loss:.4} nats per token")?;
        writeln!(f, "  perplexity       {perplexity:.2} per token")?;
        if let Some(bits) = bits_per_byte {
            writeln!(f, "  bits per byte    {bits:.4}")?;
            if let Some(floor) = floor_bits_per_byte {
                writeln!(
                    f,
                    "  floor            {floor:.4} bits per byte: what the grammar itself needs, no model less"
                )?;
                let percent = 100.0 * (bits - floor) / floor;
                writeln!(
                    f,
                    "  distance         {:.4} bits per byte ({percent:.1} % above the floor)",
                    bits - floor
                )?;
            }
        }
        Ok(())
    }

    fn write_samples(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nWhat the model writes when it is given the part in [brackets]:")?;
        for Sample { prompt, text } in &self.samples {
            // Whether or not the text repeats its prompt.
            let text = text.strip_prefix(prompt.as_str()).unwrap_or(text);
            writeln!(f)?;
            for line in wrapped(format!("[{prompt}]{text}").trim_end(), COLUMNS - 2) {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }

    fn write_next_steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, firebrand) = (self.seconds.round() as u64, paths::shown_program(&self.firebrand));
        let run = self.run.display();
        writeln!(f, "\nAll of it took {} min {:02} s. The run is in {run}.", seconds / 60, seconds % 60)?;
        writeln!(f, "\nWhat to try next:")?;
        writeln!(f, "  {firebrand} generate {run} --prompt \"One day, a little\" --temperature 0.6")?;
        writeln!(f, "  {firebrand} score {run} --text \"A sentence of yours.\"")?;
        writeln!(f, "  {firebrand} show {run}")?;
        if matches!(self.text, Text::Stories) {
            writeln!(f, "  cargo xtask quickstart --text YOUR.txt --out runs/yours")?;
        }
        writeln!(f, "  {firebrand} pretrain --help")
    }

    fn validation_file(&self) -> String {
        self.run.join("data/validation.txt").display().to_string()
    }
}

/// `text` in lines of at most `columns` characters, broken at spaces; longer words stand alone. Line ends stay.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > columns {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: Text, quality: Quality) -> Report {
        Report {
            firebrand: "target/release/firebrand".into(),
            run: "runs/quickstart".into(),
            text,
            quality,
            samples: vec![Sample {
                prompt: "Once".to_owned(),
                text: " upon a time.\n\nThe end.\n".to_owned(),
            }],
            seconds: 184.9,
        }
    }

    #[test]
    fn the_report_says_how_good_how_far_from_the_floor_where_and_what_next() {
        let quality = Quality {
            loss: 1.25,
            perplexity: 3.49,
            bits_per_byte: Some(0.55),
            floor_bits_per_byte: Some(0.5),
        };
        let expected = "\
On runs/quickstart/data/validation.txt, which the model never saw:
  validation loss  1.2500 nats per token
  perplexity       3.49 per token
  bits per byte    0.5500
  floor            0.5000 bits per byte: what the grammar itself needs, no model less
  distance         0.0500 bits per byte (10.0 % above the floor)

What the model writes when it is given the part in [brackets]:

  [Once] upon a time.
  
  The end.

All of it took 3 min 05 s. The run is in runs/quickstart.

What to try next:
  target/release/firebrand generate runs/quickstart --prompt \"One day, a little\" --temperature 0.6
  target/release/firebrand score runs/quickstart --text \"A sentence of yours.\"
  target/release/firebrand show runs/quickstart
  cargo xtask quickstart --text YOUR.txt --out runs/yours
  target/release/firebrand pretrain --help
";
        assert_eq!(report(Text::Stories, quality).to_string(), expected);
    }

    #[test]
    fn a_text_of_ones_own_has_no_floor() {
        let quality = Quality { loss: 2.0, perplexity: 7.39, bits_per_byte: None, floor_bits_per_byte: None };
        let said = report(Text::File { path: "notes.txt".into(), bytes: 9 }, quality).to_string();
        assert!(said.starts_with("On the last tenth of notes.txt"), "{said}");
        assert!(!said.contains("floor"), "{said}");
    }

    #[test]
    fn lines_are_broken_at_spaces_and_kept_where_they_were() {
        assert_eq!(wrapped("one two three\n\nfour", 8), ["one two", "three", "", "four"]);
        assert_eq!(wrapped("incomprehensibilities now", 5), ["incomprehensibilities", "now"]);
    }
}
