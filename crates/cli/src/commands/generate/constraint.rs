//! `--regex` and `--json-schema`: what the text has to match.

use crate::args::GenerateArgs;
use crate::exit::usage;
use firebrand_constrain::Grammar;
use firebrand_decode::Constrained;
use firebrand_tokenizer::Tokenizer;

/// The constraint that the options ask for, if they do, on texts that `end_of_text` ends.
pub(super) fn asked_for(
    args: &GenerateArgs,
    tokenizer: Option<&Tokenizer>,
    end_of_text: Option<u32>,
) -> anyhow::Result<Constrained> {
    let needs_tokenizer = |option: &str| {
        let missing = || usage(format!("{option} is about text, but there is no tokenizer that writes it"));
        anyhow::Ok(tokenizer.ok_or_else(missing)?.token_table())
    };
    let grammar = if let Some(pattern) = &args.regex {
        let tokens = needs_tokenizer("--regex")?;
        Grammar::regular_expression(pattern, &tokens, end_of_text)
            .map_err(|error| usage(format!("--regex: {error}")))?
    } else if let Some(path) = &args.json_schema {
        let of_file = |error: String| usage(format!("--json-schema {}: {error}", path.display()));
        let tokens = needs_tokenizer("--json-schema")?;
        let schema = std::fs::read_to_string(path).map_err(|error| of_file(error.to_string()))?;
        Grammar::json_schema(&schema, &tokens, end_of_text).map_err(|error| of_file(error.to_string()))?
    } else {
        return Ok(Constrained::default());
    };
    Ok(Constrained::by(grammar))
}
