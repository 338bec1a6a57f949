//! `firebrand merge`.

use crate::args::{Global, MergeArgs};
use crate::exit::usage;
use crate::output::{line, say};
use crate::run;
use anyhow::Context;
use firebrand_transformer::hugging_face;
use serde_json::json;
use std::path::Path;

/// What belongs to a model beside its weights and their description.
const BESIDE: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];

pub(crate) fn run(args: &MergeArgs, global: &Global) -> anyhow::Result<()> {
    let (from, out) = (&args.run, &args.out);
    run::check_model_folder(from)?;
    if out.exists() && !out.is_dir() {
        return Err(usage(format!("--out {}: is a file; a model needs a folder", out.display())));
    }
    if hugging_face::is_model_folder(out) {
        return Err(usage(format!("--out {}: holds a model already; choose another folder", out.display())));
    }
    let base = hugging_face::base_of_adapter(from)?.ok_or_else(|| {
        usage(format!(
            "{}: holds no adapters to merge (no adapter_config.json without weights)",
            from.display()
        ))
    })?;
    let (_, device) = run::device(global)?;
    hugging_face::save_merged(from, out, &device)?;
    for name in BESIDE {
        if let Some(file) = [from, &base].into_iter().map(|dir| dir.join(name)).find(|file| file.is_file()) {
            copy(&file, &out.join(name))?;
        }
    }
    if run::file(from).is_file() {
        run::write_merged(from, out)?;
    }
    say(global, format!("{} and its adapters are one model now: {}", base.display(), out.display()));
    match global.json {
        true => line(json!({"out": out, "base": base}).to_string()),
        false => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(from).with_context(|| from.display().to_string())?;
    firebrand_durable::write(to, &bytes).with_context(|| to.display().to_string())
}
