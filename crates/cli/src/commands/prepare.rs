//! `firebrand prepare`: text into token shards.

use crate::args::{Global, PrepareArgs};
use crate::output::{line, thousands};
use crate::text::{self, HashedTokenizer};
use firebrand_corpus::sources::{HeldOut, Sources, Split};

pub(crate) fn run(args: &PrepareArgs, global: &Global) -> anyhow::Result<()> {
    let tokenizer = HashedTokenizer::load(&args.tokenizer)?;
    let held_out = if args.held_out == 0.0 { HeldOut::None } else { HeldOut::Fraction(args.held_out) };
    let sources = Sources { texts: args.texts.clone(), boundary: args.boundary.into(), held_out };
    let corpus = text::scan(sources, global)?;
    let shards = text::encode(&corpus, &tokenizer, Some(&args.out), global)?;
    for split in Split::ALL {
        let Some(tokens) = shards.get(split) else { continue };
        if global.json {
            line(serde_json::json!({
                "split": split.name(), "tokens": tokens.len(), "bytes": tokens.bytes(), "documents": tokens.documents(),
            }))?;
        } else {
            line(format!(
                "{:<9} {:>15} tokens {:>15} bytes {:>11} documents",
                split.name(),
                thousands(tokens.len() as u64),
                thousands(tokens.bytes()),
                thousands(tokens.documents())
            ))?;
        }
    }
    Ok(())
}
