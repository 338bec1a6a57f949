//! `firebrand prepare`: text into token shards.

use crate::args::{Global, PrepareArgs};
use crate::output::{bar, line, say, thousands};
use crate::text::{self, HashedTokenizer};
use firebrand_corpus::shards::Shards;
use firebrand_corpus::sources::{HeldOut, Sources, Split};
use std::path::Path;

pub(crate) fn run(args: &PrepareArgs, global: &Global) -> anyhow::Result<()> {
    let tokenizer = args.tokenizer.as_deref().map(HashedTokenizer::load).transpose()?;
    if let Some(dir) = &args.check {
        return check(dir, tokenizer.as_ref(), global);
    }
    let (Some(tokenizer), Some(out)) = (tokenizer, &args.out) else {
        unreachable!("both are required where nothing is checked");
    };
    let held_out = if args.held_out == 0.0 { HeldOut::None } else { HeldOut::Fraction(args.held_out) };
    let sources = Sources { boundary: args.boundary.into(), held_out, ..args.reading.sources(&args.texts) };
    show(&text::prepare(&sources, &tokenizer, out, global)?, global)
}

/// Reads shards through and compares them with their manifest.
fn check(dir: &Path, tokenizer: Option<&HashedTokenizer>, global: &Global) -> anyhow::Result<()> {
    let shards = Shards::open(dir)?;
    if let Some(tokenizer) = tokenizer {
        shards.expect_tokenizer(&tokenizer.sha256)?;
    }
    let template = "checking {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
    let bar = bar(global, shards.disk_bytes(), template);
    shards.verify_reporting(&|bytes| bar.inc(bytes))?;
    bar.finish_and_clear();
    say(global, format!("{}: every file is as it was written", dir.display()));
    show(&shards, global)
}

fn show(shards: &Shards, global: &Global) -> anyhow::Result<()> {
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
