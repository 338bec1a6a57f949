//! Config files: found by path or name, `--set` merged in, unknown keys refused with the nearest known one.

use super::PretrainConfig;
use crate::exit::usage;
use anyhow::Context;
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::{Table, Value};

/// The configs in the binary, by name.
pub(crate) const BUILT_IN: [(&str, &str); 27] = [
    ("causal-smoke", include_str!("../../../../configs/pretrain/causal-smoke.toml")),
    ("bidirectional-smoke", include_str!("../../../../configs/pretrain/bidirectional-smoke.toml")),
    ("span-corruption-smoke", include_str!("../../../../configs/pretrain/span-corruption-smoke.toml")),
    ("denoising-smoke", include_str!("../../../../configs/pretrain/denoising-smoke.toml")),
    ("mixture-smoke", include_str!("../../../../configs/pretrain/mixture-smoke.toml")),
    ("fill-in-the-middle-smoke", include_str!("../../../../configs/pretrain/fill-in-the-middle-smoke.toml")),
    ("prefix-smoke", include_str!("../../../../configs/pretrain/prefix-smoke.toml")),
    ("permutation-smoke", include_str!("../../../../configs/pretrain/permutation-smoke.toml")),
    ("masked-smoke", include_str!("../../../../configs/pretrain/masked-smoke.toml")),
    ("replaced-token-smoke", include_str!("../../../../configs/pretrain/replaced-token-smoke.toml")),
    ("elmo-smoke", include_str!("../../../../configs/pretrain/elmo-smoke.toml")),
    ("quickstart", include_str!("../../../../configs/pretrain/quickstart.toml")),
    ("shakespeare-char", include_str!("../../../../configs/pretrain/shakespeare-char.toml")),
    ("shakespeare-char-best", include_str!("../../../../configs/pretrain/shakespeare-char-best.toml")),
    ("bidirectional", include_str!("../../../../configs/pretrain/bidirectional.toml")),
    ("span-corruption", include_str!("../../../../configs/pretrain/span-corruption.toml")),
    ("denoising", include_str!("../../../../configs/pretrain/denoising.toml")),
    ("mixture", include_str!("../../../../configs/pretrain/mixture.toml")),
    ("fill-in-the-middle", include_str!("../../../../configs/pretrain/fill-in-the-middle.toml")),
    ("prefix", include_str!("../../../../configs/pretrain/prefix.toml")),
    ("permutation", include_str!("../../../../configs/pretrain/permutation.toml")),
    ("masked", include_str!("../../../../configs/pretrain/masked.toml")),
    ("replaced-token", include_str!("../../../../configs/pretrain/replaced-token.toml")),
    ("elmo", include_str!("../../../../configs/pretrain/elmo.toml")),
    ("stories", include_str!("../../../../configs/pretrain/stories.toml")),
    ("draft-quickstart", include_str!("../../../../configs/pretrain/draft-quickstart.toml")),
    ("draft-stories", include_str!("../../../../configs/pretrain/draft-stories.toml")),
];

/// The config called `name` (a file, or one that is built in), with `--set` applied.
pub(crate) fn load(name: &str, set: &[String]) -> anyhow::Result<PretrainConfig> {
    let (text, origin) = find(name, &BUILT_IN)?;
    let config = read::<PretrainConfig>(&text, &origin, |table| {
        set.iter().try_for_each(|assignment| apply(table, assignment))
    });
    config.map(PretrainConfig::with_options)
}

/// The config in `text`, changed by `change`.
pub(super) fn read<C: DeserializeOwned>(
    text: &str,
    origin: &str,
    change: impl FnOnce(&mut Table) -> anyhow::Result<()>,
) -> anyhow::Result<C> {
    let mut table: Table = toml::from_str(text).map_err(|error| usage(explain(origin, &error)))?;
    change(&mut table)?;
    table.try_into().map_err(|error: toml::de::Error| {
        // The same mistake in the text alone has a line, which a table no longer knows.
        let in_text = toml::from_str::<C>(text).err();
        let in_text = in_text.filter(|in_text| in_text.message() == error.message());
        match in_text {
            Some(error) => usage(explain(origin, &error)),
            None => usage(explain(&format!("{origin} with --set"), &error)),
        }
    })
}

/// The text of the config called `name`, one of `built_in` or a file, and where it is from.
pub(super) fn find(name: &str, built_in: &[(&str, &str)]) -> anyhow::Result<(String, String)> {
    if let Some((_, text)) = built_in.iter().find(|(known, _)| *known == name) {
        return Ok((text.to_string(), format!("the built-in config `{name}`")));
    }
    let path = Path::new(name);
    if path.exists() || name.ends_with(".toml") {
        let text = std::fs::read_to_string(path).with_context(|| format!("config {name}"));
        return match text {
            Ok(text) => Ok((text, name.to_string())),
            Err(error) => Err(usage(format!("{error:#}"))),
        };
    }
    let names: Vec<&str> = built_in.iter().map(|(name, _)| *name).collect();
    Err(usage(format!(
        "no config `{name}`{}: give a .toml file or one of {}",
        did_you_mean(name, &names),
        names.join(", ")
    )))
}

/// Sets `a.b=value`; a value that is no TOML is taken as a string.
pub(super) fn apply(table: &mut Table, assignment: &str) -> anyhow::Result<()> {
    let Some((key, value)) = assignment.split_once('=') else {
        return Err(usage(format!("--set {assignment}: write KEY=VALUE, such as optimizer.lr=3e-4")));
    };
    let value = value.trim();
    let parsed =
        toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_string()));
    put(table, key.trim(), value).map_err(|reason| usage(format!("--set {assignment}: {reason}")))
}

/// Sets the key `a.b`.
pub(super) fn put(table: &mut Table, key: &str, value: Value) -> Result<(), String> {
    let mut parts: Vec<&str> = key.split('.').collect();
    let Some(last) = parts.pop().filter(|last| !last.is_empty()) else {
        return Err("the key is empty".into());
    };
    let mut here = table;
    for part in parts {
        let next = here.entry(part).or_insert_with(|| Value::Table(Table::new()));
        here = next.as_table_mut().ok_or_else(|| format!("`{part}` is no section"))?;
    }
    here.insert(last.to_string(), value);
    Ok(())
}

/// The error with the nearest known key, where an unknown one is the cause.
fn explain(origin: &str, error: &toml::de::Error) -> String {
    let message = error.to_string();
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    let hint = match quoted.split_first() {
        Some((unknown, known)) if error.message().starts_with("unknown") => did_you_mean(unknown, known),
        _ => String::new(),
    };
    // An error without a line ends in "\nin `section`".
    format!("{origin}: {}{hint}", message.trim_end().replace("\nin `", " in `"))
}

/// `; did you mean …?`, or nothing when nothing is near.
pub(crate) fn did_you_mean(unknown: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.map_or(String::new(), |(_, known)| format!("; did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DistillationConfig;
    use firebrand_transformer::Preset;
    use std::path::PathBuf;

    fn error(set: &[&str]) -> String {
        let set: Vec<String> = set.iter().map(|s| s.to_string()).collect();
        load("causal-smoke", &set).expect_err("a config with a mistake").to_string()
    }

    #[test]
    fn every_built_in_config_describes_a_run() {
        for (name, _) in BUILT_IN {
            let config = load(name, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
            config.model(100).validate().unwrap_or_else(|error| panic!("{name}: {error}"));
            config.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        assert!(
            error(&["optimizer.lrr=1e-3"]).contains("did you mean `lr`?"),
            "{}",
            error(&["optimizer.lrr=1e-3"])
        );
        assert!(error(&["training.batchsize=3"]).contains("did you mean `batch_size`?"));
        assert!(error(&["trainin.steps=3"]).contains("did you mean `training`?"));
    }

    #[test]
    fn a_wrong_type_is_named() {
        let error = error(&["training.steps=many"]);
        assert!(error.contains("invalid type") && error.contains("many"), "{error}");
    }

    #[test]
    fn set_reaches_every_key_and_takes_bare_words() {
        let set =
            ["optimizer.lr=3e-4", "data.tokenizer=tok", "model.preset=gpt2", "data.texts=[\"a\", \"b\"]"];
        let config = load("causal-smoke", &set.map(String::from)).expect("well-formed");
        assert_eq!(config.optimizer.lr, 3e-4);
        assert_eq!((config.data.tokenizer.as_str(), config.data.texts.len()), ("tok", 2));
        assert_eq!(config.model.preset, Preset::Gpt2);
    }

    #[test]
    fn a_teacher_alone_is_a_whole_section() {
        let set =
            |set: &[&str]| load("draft-stories", &set.iter().map(|s| s.to_string()).collect::<Vec<_>>());
        assert_eq!(set(&[]).expect("well-formed").distillation, None);
        let distillation = set(&["distillation.teacher=runs/stories"]).expect("well-formed").distillation;
        let expected = DistillationConfig { teacher: "runs/stories".into(), weight: 0.5, temperature: 1.0 };
        assert_eq!(distillation, Some(expected));
        let error = set(&["distillation.weight=0.3"]).expect_err("nobody to learn from").to_string();
        assert!(error.contains("missing field `teacher`"), "{error}");
        let error =
            set(&["distillation.teacher=t", "distillation.temprature=2"]).expect_err("a typo").to_string();
        assert!(error.contains("did you mean `temperature`?"), "{error}");
    }

    #[test]
    fn one_text_needs_no_brackets() {
        let config = load("causal-smoke", &["data.texts=input.txt".into()]).expect("well-formed");
        assert_eq!(config.data.texts, [PathBuf::from("input.txt")]);
        assert!(
            error(&["data.texts=3"]).contains("a path or a list of paths"),
            "{}",
            error(&["data.texts=3"])
        );
    }

    #[test]
    fn an_unknown_name_lists_what_there_is() {
        let error = load("shakespear-char", &[]).expect_err("no such config").to_string();
        assert!(error.contains("did you mean `shakespeare-char`?"), "{error}");
    }
}
