//! Run folders: what they hold besides the model, and how they are opened.

use crate::args::Global;
use crate::config::{FinetuneConfig, PretrainConfig};
use crate::exit::usage;
use crate::reading::ReadAs;
use crate::text::{sha256, sha256_of};
use anyhow::Context;
use burn::tensor::Device;
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::hugging_face::Conventions;
use firebrand_transformer::{AnyModel, hugging_face, llama2c};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Written in `run.toml`; another number is another version's.
const FORMAT: u32 = 1;

/// What a command that trains writes down of what it was asked for.
pub(crate) trait RunConfig: Serialize + DeserializeOwned {
    /// The command.
    const COMMAND: &'static str;
}

impl RunConfig for PretrainConfig {
    const COMMAND: &'static str = "pretrain";
}

impl RunConfig for FinetuneConfig {
    const COMMAND: &'static str = "finetune";
}

/// `run.toml`: everything that influences the result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunFile<C> {
    pub(crate) format: u32,
    /// The command that makes the run.
    #[serde(default = "pretrain", skip_serializing_if = "is_pretrain")]
    pub(crate) command: String,
    /// The version of Firebrand that started the run.
    pub(crate) version: String,
    pub(crate) device: String,
    pub(crate) threads: usize,
    /// SHA-256 of `tokenizer.json`.
    pub(crate) tokenizer_sha256: String,
    /// Hash of the text or shards.
    pub(crate) data_key: String,
    /// The run it started from, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<PathBuf>,
    /// What that was, where its weights are the whole point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from_hashes: Option<ModelHashes>,
    /// What it distils from, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) teacher: Option<ModelHashes>,
    /// How its labelled files were read, if it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reading: Option<ReadAs>,
    /// The run of adapters that this one is, with them added to the model that they are for: all else is that run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) merged_from: Option<PathBuf>,
    pub(crate) config: C,
}

fn pretrain() -> String {
    PretrainConfig::COMMAND.into()
}

fn is_pretrain(command: &str) -> bool {
    command == PretrainConfig::COMMAND
}

/// Where the `run.toml` of a run is.
pub(crate) fn file(dir: &Path) -> PathBuf {
    dir.join("run.toml")
}

/// The file whose lock whoever trains the run holds.
pub(crate) fn lock(dir: &Path) -> PathBuf {
    dir.join("checkpoints").join("lock")
}

/// The `run.toml` of a run of this version, as a table, and the command that made it.
fn table(dir: &Path) -> anyhow::Result<(toml::Table, String)> {
    let path = file(dir);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    // The format first: another version's file need not have our fields.
    let table: toml::Table = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let format = table.get("format").and_then(toml::Value::as_integer);
    if format != Some(i64::from(FORMAT)) {
        let found = format.map_or("no format".to_string(), |format| format!("format {format}"));
        return Err(usage(format!(
            "{}: {found}, but this version of Firebrand reads format {FORMAT}; use the version that made the run, or train anew",
            path.display()
        )));
    }
    let command = table.get("command").and_then(toml::Value::as_str).map_or_else(pretrain, str::to_owned);
    Ok((table, command))
}

/// The run of whatever command made it.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum AnyConfig {
    Pretrain(Box<PretrainConfig>),
    Finetune(Box<FinetuneConfig>),
}

impl RunFile<AnyConfig> {
    /// The run in a folder, whatever command made it.
    pub(crate) fn read_any(dir: &Path) -> anyhow::Result<Self> {
        Ok(match table(dir)?.1 == FinetuneConfig::COMMAND {
            true => RunFile::<FinetuneConfig>::read(dir)?.map(|config| AnyConfig::Finetune(Box::new(config))),
            false => {
                RunFile::<PretrainConfig>::read(dir)?.map(|config| AnyConfig::Pretrain(Box::new(config)))
            }
        })
    }
}

impl<C: RunConfig> RunFile<C> {
    pub(crate) fn new(
        global: &Global,
        device: &str,
        tokenizer_sha256: String,
        data_key: String,
        from: Option<PathBuf>,
        config: C,
    ) -> Self {
        let threads = global.threads.map_or_else(rayon::current_num_threads, std::num::NonZero::get);
        let version = env!("CARGO_PKG_VERSION").to_string();
        Self {
            format: FORMAT,
            command: C::COMMAND.into(),
            version,
            device: device.into(),
            threads,
            tokenizer_sha256,
            data_key,
            from,
            from_hashes: None,
            teacher: None,
            reading: None,
            merged_from: None,
            config,
        }
    }

    /// The run in a folder.
    ///
    /// # Errors
    /// When another version or another command made it.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let (table, command) = table(dir)?;
        if command != C::COMMAND {
            return Err(usage(format!(
                "{}: is a run of `firebrand {command}`, not of `firebrand {}`",
                dir.display(),
                C::COMMAND
            )));
        }
        table.try_into().with_context(|| file(dir).display().to_string())
    }

    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let text = toml::to_string(self).context("run.toml")?;
        let path = file(dir);
        firebrand_durable::write(&path, text.as_bytes()).with_context(|| path.display().to_string())
    }
}

impl<C: Serialize> RunFile<C> {
    /// The same with another view of its config.
    fn map<D>(self, map: impl FnOnce(C) -> D) -> RunFile<D> {
        RunFile {
            format: self.format,
            command: self.command,
            version: self.version,
            device: self.device,
            threads: self.threads,
            tokenizer_sha256: self.tokenizer_sha256,
            data_key: self.data_key,
            from: self.from,
            from_hashes: self.from_hashes,
            teacher: self.teacher,
            reading: self.reading,
            merged_from: self.merged_from,
            config: map(self.config),
        }
    }

    /// Every key of the config with its value, and what tokenizer, data and teacher it was trained with.
    pub(crate) fn keys(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut keys = Vec::new();
        flatten("", &toml::Value::try_from(&self.config).context("run.toml")?, &mut keys);
        keys.push(("tokenizer".into(), self.tokenizer_sha256.clone()));
        keys.push(("data".into(), self.data_key.clone()));
        for (whose, hashes) in [("teacher", &self.teacher), ("pretrained model", &self.from_hashes)] {
            if let Some(hashes) = hashes {
                keys.push((format!("{whose}'s weights"), hashes.weights_sha256.clone()));
                keys.push((format!("{whose}'s config.json"), hashes.config_sha256.clone()));
            }
        }
        Ok(keys)
    }
}

/// Writes the `run.toml` of adapters into the folder of the model that they were added to, and the metrics beside it, with a note of
/// that.
pub(crate) fn write_merged(adapters: &Path, out: &Path) -> anyhow::Result<()> {
    let (mut table, _) = table(adapters)?;
    table.insert("merged_from".into(), adapters.display().to_string().into());
    let text = toml::to_string(&table).context("run.toml")?;
    let metrics = "metrics.jsonl";
    let metrics = std::fs::read(adapters.join(metrics)).ok().map(|bytes| (out.join(metrics), bytes));
    for (path, bytes) in metrics.into_iter().chain([(file(out), text.into_bytes())]) {
        firebrand_durable::write(&path, &bytes).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// What a model was when it was read: its weights influence the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelHashes {
    /// SHA-256 of `model.safetensors`; where the weights are several files, of the list of theirs as `sha256sum` prints it.
    pub(crate) weights_sha256: String,
    /// SHA-256 of `config.json`.
    pub(crate) config_sha256: String,
}

impl ModelHashes {
    /// Of a model folder.
    pub(crate) fn of(dir: &Path) -> anyhow::Result<Self> {
        // A folder of adapters need not describe the model that they are for.
        let described = ["config.json", "adapter_config.json"].map(|name| dir.join(name));
        let config_sha256 = sha256_of(described.iter().find(|file| file.exists()).unwrap_or(&described[0]))?;
        let single = dir.join("model.safetensors");
        if single.is_file() {
            return Ok(Self { weights_sha256: sha256_of(&single)?, config_sha256 });
        }
        let mut names: Vec<String> = std::fs::read_dir(dir)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>, _>>())
            .with_context(|| dir.display().to_string())?
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter(|name| name.ends_with(".safetensors"))
            .collect();
        names.sort();
        let lines = names.iter().map(|name| Ok(format!("{}  {name}\n", sha256_of(&dir.join(name))?)));
        let list: String = lines.collect::<anyhow::Result<_>>()?;
        Ok(Self { weights_sha256: sha256(list.as_bytes()), config_sha256 })
    }
}

/// SHA-256 of the `tokenizer.json` in a folder, if it has one.
pub(crate) fn tokenizer_hash(dir: &Path) -> anyhow::Result<Option<String>> {
    let path = dir.join("tokenizer.json");
    path.exists().then(|| sha256_of(&path)).transpose()
}

/// Whether a path names a model of llama2.c.
fn is_llama2c(path: &Path) -> bool {
    path.exists() && path.extension().is_some_and(|extension| extension == "bin")
}

/// Refuses what [`Trained::open`] cannot open, as far as can be told without reading a model.
pub(crate) fn check_model(path: &Path) -> anyhow::Result<()> {
    if is_llama2c(path) { Ok(()) } else { check_model_folder(path) }
}

/// Refuses a folder that holds no finished model.
pub(crate) fn check_model_folder(dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        return Err(usage(format!("{}: there is no such run", dir.display())));
    }
    let command = match file(dir).exists() {
        true => RunFile::read_any(dir)?.command,
        false => pretrain(),
    };
    if hugging_face::is_model_folder(dir) {
        return check_base(dir);
    }
    let unfinished = dir.join("checkpoints").exists();
    Err(usage(match unfinished {
        true => format!(
            "{0}: the run is not finished; go on with `firebrand {command} --out {0} --resume`",
            dir.display()
        ),
        false => format!("{}: holds no model (no config.json)", dir.display()),
    }))
}

/// Refuses adapters whose model is not what it was when they were trained.
fn check_base(dir: &Path) -> anyhow::Result<()> {
    let Some(base) = hugging_face::base_of_adapter(dir)? else { return Ok(()) };
    if !file(dir).exists() {
        return Ok(());
    }
    let run = RunFile::read_any(dir)?;
    let same = |from: &PathBuf| from.canonicalize().ok() == base.canonicalize().ok();
    match run.from_hashes.filter(|_| run.from.as_ref().is_some_and(same)) {
        Some(hashes) if ModelHashes::of(&base)? != hashes => Err(anyhow::anyhow!(
            "{}: its adapters are for the model that was in {} when they were trained, and another one is there now; put that one \
             back, or train anew",
            dir.display(),
            base.display()
        )),
        _ => Ok(()),
    }
}

fn flatten(prefix: &str, value: &toml::Value, into: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, value, into);
            }
        }
        other => into.push((prefix.to_string(), other.to_string())),
    }
}

/// A trained model with its tokenizer, ready for use.
pub(crate) struct Trained {
    pub(crate) model: AnyModel,
    /// Absent in a folder that has ids only.
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) device: String,
    /// What the folder says of texts; a model of llama2.c says nothing.
    pub(crate) conventions: Conventions,
}

impl Trained {
    /// Opens a run or a Hugging Face folder.
    pub(crate) fn open(dir: &Path, global: &Global) -> anyhow::Result<Self> {
        if is_llama2c(dir) {
            return Self::open_llama2c(dir, global);
        }
        check_model_folder(dir)?;
        let (name, device) = device(global)?;
        let model = hugging_face::load_any(dir, &device)?;
        // Adapters may come without one: then it is that of the model they are for.
        let base = hugging_face::base_of_adapter(dir)?;
        let mut folders = [Some(dir), base.as_deref()].into_iter().flatten();
        let holder = folders.find(|folder| folder.join("tokenizer.json").exists());
        let tokenizer = holder.map(Tokenizer::load).transpose()?;
        if let Some(tokenizer) = &tokenizer
            && tokenizer.vocab_size() > model.config().vocab_size
        {
            anyhow::bail!(
                "{}: the tokenizer has {} tokens, but the model only {}",
                dir.display(),
                tokenizer.vocab_size(),
                model.config().vocab_size
            );
        }
        let mut conventions = Conventions::of(dir)?;
        conventions.ends.retain(|&id| (id as usize) < model.config().vocab_size);
        Ok(Self { model, tokenizer, device: name, conventions })
    }

    /// Opens a model of llama2.c, and the tokenizer (`tok….bin`) that is beside it, if there is one for as many ids.
    fn open_llama2c(file: &Path, global: &Global) -> anyhow::Result<Self> {
        let (name, device) = device(global)?;
        let model = AnyModel::Decoder(Box::new(llama2c::load(file, &device)?));
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut beside: Vec<PathBuf> = std::fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(|error| usage(format!("{}: {error}", folder.display())))?;
        beside.sort();
        let is_tokenizer = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("tok") && name.ends_with(".bin")
        };
        let tokenizer = beside
            .iter()
            .filter(is_tokenizer)
            .filter_map(|path| Tokenizer::load(path).ok())
            .find(|tokenizer| tokenizer.vocab_size() == model.config().vocab_size);
        Ok(Self { model, tokenizer, device: name, conventions: Conventions::default() })
    }

    /// The id that ends a text which is read: the tokenizer's; of an encoder–decoder rather what the folder names, as each of its
    /// texts ends with that.
    pub(crate) fn end_of_text(&self) -> Option<u32> {
        let of_tokenizer = self.tokenizer.as_ref().and_then(Tokenizer::end_of_text);
        match self.model {
            AnyModel::EncoderDecoder(_) => self.conventions.ends.first().copied().or(of_tokenizer),
            _ => of_tokenizer,
        }
    }

    /// The tokenizer, or an error that says what to do without.
    pub(crate) fn tokenizer(&self) -> anyhow::Result<&Tokenizer> {
        self.tokenizer
            .as_ref()
            .ok_or_else(|| usage("this folder has no tokenizer.json: give ids instead of text"))
    }

    /// Checks ids that a user typed.
    pub(crate) fn check_ids(&self, ids: &[u32]) -> anyhow::Result<()> {
        let vocab_size = self.model.config().vocab_size;
        match ids.iter().position(|&id| id as usize >= vocab_size) {
            Some(at) => Err(usage(format!(
                "id {} at position {at} is outside the vocabulary of {vocab_size} tokens",
                ids[at]
            ))),
            None => Ok(()),
        }
    }
}

/// The device the user asked for, or the best.
pub(crate) fn device(global: &Global) -> anyhow::Result<(String, Device)> {
    Ok(firebrand_backend::device::resolve(global.device.as_deref())?)
}

/// `1,2,3` or `1 2 3`.
pub(crate) fn parse_ids(text: &str) -> anyhow::Result<Vec<u32>> {
    text.split(|separator: char| separator == ',' || separator.is_whitespace())
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().map_err(|_| usage(format!("`{part}` is no token id: write 1,2,3"))))
        .collect()
}
