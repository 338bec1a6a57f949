//! Adapters as folders of PEFT, <https://github.com/huggingface/peft>: `adapter_config.json` and `adapter_model.safetensors`, which name the
//! folder of the model that they are for and hold nothing of it.
//!
//! Such a folder is read as the model with the adapters' products added to its matrices, by the names of tensors in folders: so it does not
//! matter who trained them.

use super::files::{read_json, write_json};
use super::names::{self, Rule};
use super::{Architecture, classifier, files, prompts};
use crate::TransformerError;
use crate::config::{ModelConfig, ModelKind};
use crate::lora::{FACTORS, LoraConfig, is_adapter};
use crate::model::Model;
use crate::tensor_file::{read_tensors, write_tensors};
use crate::weights::{NamedTensor, named_tensors};
use burn::module::Module;
use burn::tensor::Device;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(super) const CONFIG: &str = "adapter_config.json";
pub(super) const WEIGHTS: &str = "adapter_model.safetensors";
/// What the names of tensors begin with.
const PREFIX: &str = "base_model.model.";

/// What such a folder says of adapters beside their numbers.
#[derive(Debug, Clone, Copy)]
pub struct AdapterFolder<'a> {
    /// The folder of the model that they are for.
    pub base: &'a Path,
    /// How they were made.
    pub lora: &'a LoraConfig,
}

/// What a folder of adapters holds beside them.
pub(super) struct Beside {
    /// What was trained in full, by the names of the folder.
    pub(super) whole: Vec<NamedTensor>,
    /// PEFT's name of the task.
    pub(super) task: Option<&'static str>,
}

/// A model whose adapters can be written by themselves.
pub trait SaveAdapters: Module {
    /// Writes its adapters, and in full what was trained beside them, into `dir`. `end_of_text` is the id that ends a document, if any.
    ///
    /// # Errors
    /// When a file cannot be written; what was there before stays.
    fn save_adapters(
        &self,
        dir: &Path,
        end_of_text: Option<u32>,
        folder: AdapterFolder<'_>,
    ) -> Result<(), TransformerError>;
}

impl<M: Model> SaveAdapters for M {
    /// Its own head over the vocabulary, where it has one, is written in full.
    fn save_adapters(
        &self,
        dir: &Path,
        _end_of_text: Option<u32>,
        folder: AdapterFolder<'_>,
    ) -> Result<(), TransformerError> {
        let (config, tensors) = (self.config(), named_tensors(self));
        let rest = tensors.iter().filter(|tensor| !is_adapter(&tensor.name)).cloned().collect();
        let heads = ["lm_head.weight", "head"];
        let whole = names::outward(config, rest).into_iter();
        let whole = whole.filter(|tensor| heads.contains(&tensor.name.as_str())).collect();
        let task = match config.kind {
            ModelKind::Decoder => Some("CAUSAL_LM"),
            ModelKind::EncoderDecoder => Some("SEQ_2_SEQ_LM"),
            _ => None,
        };
        write(dir, config, tensors, Beside { whole, task }, folder)
    }
}

/// Writes the adapters among `tensors`, which are all tensors of a model of `config` by our names.
pub(super) fn write(
    dir: &Path,
    config: &ModelConfig,
    tensors: Vec<NamedTensor>,
    beside: Beside,
    folder: AdapterFolder<'_>,
) -> Result<(), TransformerError> {
    let Beside { whole, task } = beside;
    std::fs::create_dir_all(dir).map_err(|error| TransformerError::io(dir, error))?;
    let (factors, rest): (Vec<_>, Vec<_>) = tensors.into_iter().partition(|tensor| is_adapter(&tensor.name));
    let factors: BTreeMap<String, NamedTensor> =
        factors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
    let width = |tensor: &NamedTensor| tensor.shape.last().copied().unwrap_or_default();
    let widths: BTreeMap<String, usize> =
        rest.iter().map(|tensor| (tensor.name.clone(), width(tensor))).collect();
    let own = names::rules(config);
    // Folders of ours alone hold our tensors under our names.
    let conv = own.is_none() || Architecture::of(config) == Architecture::Gpt2;
    let rules = own.unwrap_or_else(|| {
        let rule = |name: &String| Rule { name: name.clone(), parts: vec![name.clone()], transposed: false };
        widths.keys().map(rule).collect()
    });
    let (mut written, mut targets) = (Vec::new(), Vec::new());
    let (mut ranks, mut alphas) = (Map::new(), Map::new());
    for rule in &rules {
        let Some([a, b]) = joined(rule, &factors, &widths) else { continue };
        let (module, rank) = (module_name(&rule.name), a.shape[0]);
        if rank != folder.lora.rank {
            ranks.insert(module.into(), json!(rank));
            alphas.insert(module.into(), json!(folder.lora.alpha * rank as f64 / folder.lora.rank as f64));
        }
        written.push(NamedTensor { name: format!("{PREFIX}{module}.lora_A.weight"), ..a });
        written.push(NamedTensor { name: format!("{PREFIX}{module}.lora_B.weight"), ..b });
        targets.push(module.to_string());
    }
    let modules: BTreeSet<String> =
        whole.iter().map(|tensor| module_name(&tensor.name).to_string()).collect();
    let prefixed = |tensor: NamedTensor| NamedTensor { name: format!("{PREFIX}{}", tensor.name), ..tensor };
    written.extend(whole.into_iter().map(prefixed));
    let base = std::path::absolute(folder.base).map_err(|error| TransformerError::io(folder.base, error))?;
    write_tensors(&dir.join(WEIGHTS), &written)?;
    let json = json!({
        "peft_type": "LORA",
        "task_type": task,
        "base_model_name_or_path": base.to_string_lossy(),
        "r": folder.lora.rank,
        "lora_alpha": folder.lora.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": targets,
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "modules_to_save": if modules.is_empty() { Value::Null } else { json!(modules) },
        "fan_in_fan_out": conv,
        "inference_mode": true,
        "init_lora_weights": true,
    });
    write_json(&dir.join(CONFIG), &json)
}

/// Writes the model that the adapters in `dir` make of theirs into `out`, in full: weights and what describes them. `device` is
/// where it is put together. `false` where `dir` holds no adapters.
///
/// # Errors
/// When a file cannot be read or written, or the adapters do not fit.
pub fn save_merged(dir: &Path, out: &Path, device: &Device) -> Result<bool, TransformerError> {
    let Some(base) = base_of_adapter(dir)? else { return Ok(false) };
    let (_, json) = files::description(dir)?;
    if classifier::is_one(&json) {
        let end_of_text = json["pad_token_id"].as_u64().and_then(|id| u32::try_from(id).ok());
        let model = classifier::load_classifier(dir, device)?;
        classifier::save_classifier(out, &model, end_of_text)?;
        return Ok(true);
    }
    let tensors = merge(dir, files::tensors_of(&base)?)?;
    std::fs::create_dir_all(out).map_err(|error| TransformerError::io(out, error))?;
    write_tensors(&out.join("model.safetensors"), &tensors)?;
    for name in ["generation_config.json", "config.json"] {
        let mut holder = Some(dir.to_path_buf());
        while let Some(folder) = holder {
            let path = folder.join(name);
            if path.is_file() {
                write_json(&out.join(name), &read_json(&path)?)?;
                break;
            }
            holder = base_of_adapter(&folder)?;
        }
    }
    Ok(true)
}

/// A tensor's module.
fn module_name(tensor: &str) -> &str {
    tensor.strip_suffix(".weight").or_else(|| tensor.strip_suffix(".bias")).unwrap_or(tensor)
}

/// The factors of one tensor of the folder, `[r, d_in]` and `[d_out, r]`. Where it is several of our matrices side by side, each of
/// their adapters has rows and columns of its own, and `r` is the sum of their ranks.
fn joined(
    rule: &Rule,
    factors: &BTreeMap<String, NamedTensor>,
    widths: &BTreeMap<String, usize>,
) -> Option<[NamedTensor; 2]> {
    let [end_a, end_b] = FACTORS;
    let factor = |part: &str, end: &str| factors.get(&format!("{part}{end}"));
    let rank_of = |part: &String| factor(part, end_a).map_or(0, |a| a.shape[1]);
    let rank: usize = rule.parts.iter().map(rank_of).sum();
    if rank == 0 {
        return None;
    }
    let d_out: usize = rule.parts.iter().map(|part| widths.get(part).copied().unwrap_or_default()).sum();
    let mut rows = Vec::new();
    let mut columns = vec![0.0; d_out * rank];
    let (mut first_row, mut first_output, mut d_in) = (0, 0, 0);
    for part in &rule.parts {
        if let (Some(a), Some(b)) = (factor(part, end_a), factor(part, end_b)) {
            d_in = a.shape[0];
            rows.extend(names::transpose(a.clone()).values);
            for (k, of_row) in b.values.chunks_exact(b.shape[1]).enumerate() {
                for (j, value) in of_row.iter().enumerate() {
                    columns[(first_output + j) * rank + first_row + k] = *value;
                }
            }
        }
        first_row += rank_of(part);
        first_output += widths.get(part).copied().unwrap_or_default();
    }
    let tensor =
        |shape: [usize; 2], values| NamedTensor { name: String::new(), shape: shape.to_vec(), values };
    Some([tensor([rank, d_in], rows), tensor([d_out, rank], columns)])
}

/// Whether `dir` holds adapters and no model.
pub(super) fn is_adapter_folder(dir: &Path) -> bool {
    let weights = ["model.safetensors", "model.safetensors.index.json"];
    dir.join(CONFIG).is_file() && !weights.iter().any(|name| dir.join(name).is_file())
}

/// The folder of the model that the adapters in `dir` are for; none if it holds no adapters.
///
/// # Errors
/// When that folder is not where they say, or is `dir` itself.
pub fn base_of_adapter(dir: &Path) -> Result<Option<PathBuf>, TransformerError> {
    if !is_adapter_folder(dir) {
        return Ok(None);
    }
    let path = dir.join(CONFIG);
    let json = read_json(&path)?;
    let Some(named) = json["base_model_name_or_path"].as_str() else {
        let message = "does not name its model: `base_model_name_or_path` should be the model's folder";
        return Err(TransformerError::format(&path, message));
    };
    let base = [dir.join(named), PathBuf::from(named)].into_iter().find(|base| files::is_model_folder(base));
    let Some(base) = base else {
        return Err(TransformerError::format(
            &path,
            format!(
                "these adapters are for the model in `{named}`, which is not there; put the model's folder \
                 into `base_model_name_or_path`"
            ),
        ));
    };
    let real = |path: &Path| std::fs::canonicalize(path).map_err(|error| TransformerError::io(path, error));
    if real(dir)?.starts_with(real(&base)?) && is_adapter_folder(&base) {
        let message = format!("`base_model_name_or_path` is `{named}`, which holds adapters for itself");
        return Err(TransformerError::format(&path, message));
    }
    Ok(Some(base))
}

/// The tensors of a base, under the names of its folder, with those of the adapters in `dir` put in.
pub(super) fn merge(dir: &Path, base: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, TransformerError> {
    let path = dir.join(CONFIG);
    let json = read_json(&path)?;
    check(&json, &path)?;
    let weights = dir.join(WEIGHTS);
    let mut tensors: BTreeMap<String, NamedTensor> =
        base.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
    let mut second: BTreeMap<String, NamedTensor> = BTreeMap::new();
    let mut first = Vec::new();
    for tensor in read_tensors(&weights)? {
        let name = tensor.name.strip_prefix(PREFIX).unwrap_or(&tensor.name).to_string();
        if let Some(module) = name.strip_suffix(".lora_A.weight") {
            first.push((module.to_string(), tensor));
        } else if let Some(module) = name.strip_suffix(".lora_B.weight") {
            second.insert(module.to_string(), tensor);
        } else if name.contains("lora_") {
            return Err(TransformerError::format(
                &weights,
                format!("{name}: only adapters of linear maps are supported"),
            ));
        } else {
            // What was trained in full stands in the place of the base's.
            let name = name.replace(".modules_to_save", "");
            tensors.insert(name.clone(), NamedTensor { name, ..tensor });
        }
    }
    for (module, a) in first {
        let fail = |message: String| Err(TransformerError::format(&weights, message));
        let Some(b) = second.remove(&module) else {
            return fail(format!("{module} has lora_A and no lora_B"));
        };
        // The first GPT-2 checkpoints were saved without the prefix.
        let bare = module.strip_prefix("transformer.").unwrap_or(&module);
        let names = [format!("{module}.weight"), format!("{bare}.weight"), module.clone()];
        let Some(name) = names.into_iter().find(|name| tensors.contains_key(name)) else {
            return fail(format!("there is an adapter for {module}, which the model does not have"));
        };
        let Some(tensor) = tensors.get_mut(&name) else { continue };
        let scale = scale(&json, &module, &path)?;
        let shapes = (a.shape.as_slice(), b.shape.as_slice(), tensor.shape.as_slice());
        let (&[rank, d_in], &[d_out, columns], &[rows, width]) = shapes else {
            return fail(format!("the adapter for {module} is not of two matrices"));
        };
        let conv = json["fan_in_fan_out"] == true;
        let fits = if conv { [rows, width] == [d_in, d_out] } else { [rows, width] == [d_out, d_in] };
        if !fits || rank != columns {
            return fail(format!(
                "the adapter for {module}, {:?} and {:?}, does not fit the model's {:?}",
                a.shape, b.shape, tensor.shape
            ));
        }
        for input in 0..d_in {
            for output in 0..d_out {
                let factors = (0..rank)
                    .map(|k| f64::from(a.values[k * d_in + input]) * f64::from(b.values[output * rank + k]));
                let at = if conv { input * d_out + output } else { output * d_in + input };
                tensor.values[at] = (f64::from(tensor.values[at]) + scale * factors.sum::<f64>()) as f32;
            }
        }
    }
    match second.keys().next() {
        None => Ok(tensors.into_values().collect()),
        Some(module) => Err(TransformerError::format(&weights, format!("{module} has lora_B and no lora_A"))),
    }
}

/// Refuses adapters that compute something else than `W + (α/r)·B·A`.
fn check(json: &Value, path: &Path) -> Result<(), TransformerError> {
    let fail = |message: String| Err(TransformerError::format(path, message));
    if json["peft_type"].as_str().is_some_and(prompts::is_prompt) {
        return fail(
            "holds a trained prompt and no adapters: `firebrand classify` uses it; for anything else name the model that it is for".into(),
        );
    }
    if let Some(other) = json["peft_type"].as_str().filter(|&kind| kind != "LORA") {
        return fail(format!("peft_type `{other}` is not supported; LORA is"));
    }
    for key in ["use_dora", "use_qalora", "use_bdlora", "lora_bias"] {
        if json[key] == true {
            return fail(format!("{key} true is not supported"));
        }
    }
    for key in
        ["alora_invocation_tokens", "layer_replication", "target_parameters", "trainable_token_indices"]
    {
        if !json[key].is_null() {
            return fail(format!("{key} is not supported; null is"));
        }
    }
    if let Some(bias) = json["bias"].as_str().filter(|&bias| bias != "none") {
        return fail(format!("bias `{bias}` is not supported; none is"));
    }
    Ok(())
}

/// `α / r` of a module, or `α / √r` where the adapters say so.
fn scale(json: &Value, module: &str, path: &Path) -> Result<f64, TransformerError> {
    let number = |pattern: &str, key: &str| {
        let of_module = json[pattern].as_object().and_then(|pattern| {
            let ends = |name: &String| module == name || module.ends_with(&format!(".{name}"));
            pattern.iter().find(|(name, _)| ends(name)).map(|(_, value)| value)
        });
        of_module.unwrap_or(&json[key]).as_f64().filter(|&number| number > 0.0).ok_or_else(|| {
            TransformerError::format(
                path,
                format!("`{key}` should be a number above 0, but is {}", json[key]),
            )
        })
    };
    let (rank, alpha) = (number("rank_pattern", "r")?, number("alpha_pattern", "lora_alpha")?);
    Ok(if json["use_rslora"] == true { alpha / rank.sqrt() } else { alpha / rank })
}
