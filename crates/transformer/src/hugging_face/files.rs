//! Reading and writing the folder's files.

use super::{Conventions, classifier, from_json, names, peft, to_json};
use crate::TransformerError;
use crate::config::{ModelConfig, ModelKind};
use crate::model::{AnyModel, Model};
use crate::tensor_file::{read_tensors, write_atomically, write_tensors};
use crate::weights::{NamedTensor, named_tensors, with_tensors};
use burn::tensor::Device;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Whether `dir` holds a model, or adapters of one.
pub fn is_model_folder(dir: &Path) -> bool {
    dir.join("config.json").is_file() || peft::is_adapter_folder(dir)
}

/// Writes `config.json`, `generation_config.json` and `model.safetensors`, each whole or not at all.
///
/// # Errors
/// When a file cannot be written; what was there before stays.
pub fn save<M: Model>(dir: &Path, model: &M, end_of_text: Option<u32>) -> Result<(), TransformerError> {
    std::fs::create_dir_all(dir).map_err(|error| TransformerError::io(dir, error))?;
    let config = model.config();
    // What is written is what the model computes with, adapters included.
    let tensors = names::outward(config, named_tensors(&crate::lora::merged(model.clone())));
    write_tensors(&dir.join("model.safetensors"), &tensors)?;
    let mut generation =
        json!({"bos_token_id": end_of_text, "eos_token_id": end_of_text, "pad_token_id": end_of_text});
    if config.kind == ModelKind::EncoderDecoder {
        generation["decoder_start_token_id"] = json!(config.decoder_start.or(end_of_text));
    }
    write_json(&dir.join("generation_config.json"), &generation)?;
    write_json(&dir.join("config.json"), &to_json(config, end_of_text))
}

/// The model that the folder describes, without its weights.
///
/// # Errors
/// When `config.json` is absent, is no model's config, or describes what is not supported here.
pub fn load_config(dir: &Path) -> Result<ModelConfig, TransformerError> {
    let (path, json) = description(dir)?;
    let config = from_json(&json, &path)?;
    if config.kind != ModelKind::EncoderDecoder {
        return Ok(config);
    }
    let Conventions { decoder_start, is_ours, .. } = Conventions::of(dir)?;
    if is_ours {
        return Ok(config);
    }
    let config = ModelConfig { decoder_start, ..config };
    config.validate().map_err(|error| TransformerError::format(path, error.to_string()))?;
    Ok(config)
}

/// The model of whatever kind the folder holds; as [`load`].
///
/// # Errors
/// As [`load`].
pub fn load_any(dir: &Path, device: &Device) -> Result<AnyModel, TransformerError> {
    Ok(match load_config(dir)?.kind {
        ModelKind::Decoder => AnyModel::Decoder(Box::new(load(dir, device)?)),
        ModelKind::Bidirectional => AnyModel::Bidirectional(Box::new(load(dir, device)?)),
        ModelKind::EncoderDecoder => AnyModel::EncoderDecoder(Box::new(load(dir, device)?)),
        ModelKind::Permutation => AnyModel::Permutation(Box::new(load(dir, device)?)),
        ModelKind::Encoder => AnyModel::Encoder(Box::new(load(dir, device)?)),
    })
}

/// The model with its weights on `device`, from one `model.safetensors` or several with an index.
///
/// # Errors
/// When a file is absent or damaged, the weights do not fit the config, or the folder holds a model of another kind.
pub fn load<M: Model>(dir: &Path, device: &Device) -> Result<M, TransformerError> {
    let (path, json) = description(dir)?;
    let config = load_config(dir)?;
    let tensors = tensors_of(dir)?;
    // Of a classifier this is what reads.
    let (config, tensors) = match classifier::is_one(&json) {
        true => (classifier::body_config(config, &tensors), classifier::without_head(tensors)),
        false => (config, tensors),
    };
    let model =
        M::blank(&config, device).map_err(|error| TransformerError::format(&path, error.to_string()))?;
    with_tensors(model, names::inward(&config, tensors)?)
}

/// The `config.json` of the folder; of a folder with adapters, which may have none, that of their base.
pub(super) fn description(dir: &Path) -> Result<(PathBuf, Value), TransformerError> {
    let path = dir.join("config.json");
    match peft::base_of_adapter(dir)?.filter(|_| !path.is_file()) {
        Some(base) => description(&base),
        None => Ok((path.clone(), read_json(&path)?)),
    }
}

/// All tensors of the folder as they are called in it, from one `model.safetensors` or several with an index; of a folder with adapters
/// those of their base, with the adapters' products added.
pub(super) fn tensors_of(dir: &Path) -> Result<Vec<NamedTensor>, TransformerError> {
    if let Some(base) = peft::base_of_adapter(dir)? {
        return peft::merge(dir, tensors_of(&base)?);
    }
    let single = dir.join("model.safetensors");
    let index = dir.join("model.safetensors.index.json");
    if single.is_file() || !index.is_file() {
        return read_tensors(&single);
    }
    let json = read_json(&index)?;
    let map = json["weight_map"].as_object().ok_or_else(|| {
        TransformerError::format(&index, "has no `weight_map` that says which file holds what")
    })?;
    let files: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    let mut tensors = Vec::new();
    for file in files {
        if Path::new(file).components().count() != 1 {
            return Err(TransformerError::format(&index, format!("`{file}` is not a file beside it")));
        }
        tensors.extend(read_tensors(&dir.join(file))?);
    }
    Ok(tensors)
}

pub(super) fn read_json(path: &Path) -> Result<Value, TransformerError> {
    let text = std::fs::read_to_string(path).map_err(|error| TransformerError::io(path, error))?;
    serde_json::from_str(&text)
        .map_err(|error| TransformerError::format(path, format!("is not JSON: {error}")))
}

pub(super) fn write_json(path: &Path, json: &Value) -> Result<(), TransformerError> {
    let mut text = serde_json::to_string_pretty(json).expect("a value built above has only string keys");
    text.push('\n');
    write_atomically(path, text.as_bytes())
}
