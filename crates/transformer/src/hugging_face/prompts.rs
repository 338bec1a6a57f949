//! Trained prompts as folders of PEFT: `adapter_config.json` and `adapter_model.safetensors`, which name the folder of the model that they are
//! for and hold the prompt alone, a prefix as keys and values without the MLP that trained it.

use super::files::{read_json, write_json};
use super::peft::{CONFIG, WEIGHTS, is_adapter_folder};
use crate::TransformerError;
use crate::config::ModelKind;
use crate::model::AnyModel;
use crate::prompted::{Prompted, TrainedPrompt};
use crate::tensor_file::{read_tensors, write_tensors};
use crate::weights::NamedTensor;
use serde_json::{Value, json};
use std::path::Path;

const SOFT: &str = "PROMPT_TUNING";
const PREFIX: &str = "PREFIX_TUNING";
/// The one tensor.
const EMBEDDINGS: &str = "prompt_embeddings";

/// Whether a `peft_type` is one of a prompt.
pub(super) fn is_prompt(peft_type: &str) -> bool {
    [SOFT, PREFIX].contains(&peft_type)
}

/// Writes the prompt of `model` into `dir`, for the model in `base`.
///
/// # Errors
/// When a file cannot be written; what was there before stays.
///
/// # Panics
/// When `model` has no prompt.
pub fn save_prompt(dir: &Path, model: &Prompted, base: &Path) -> Result<(), TransformerError> {
    let prompt = model.prompt().expect("a model with a prompt");
    std::fs::create_dir_all(dir).map_err(|error| TransformerError::io(dir, error))?;
    let config = model.body().config();
    let [n, width] = prompt.shape();
    let values = prompt.matrix().into_data().convert::<f32>().try_into_vec().expect("converted to f32");
    let tensor = NamedTensor { name: EMBEDDINGS.into(), shape: vec![n, width], values };
    write_tensors(&dir.join(WEIGHTS), &[tensor])?;
    let base = std::path::absolute(base).map_err(|error| TransformerError::io(base, error))?;
    let mut json = json!({
        "base_model_name_or_path": base.to_string_lossy(),
        "task_type": (config.kind == ModelKind::Decoder).then_some("CAUSAL_LM"),
        "inference_mode": true,
        "num_virtual_tokens": n,
        "num_layers": config.n_layers,
        "num_transformer_submodules": 1,
    });
    let more = match prompt {
        TrainedPrompt::Soft(_) => json!({
            "peft_type": SOFT,
            "token_dim": config.d_model,
            "num_attention_heads": config.n_heads,
            "prompt_tuning_init": "RANDOM",
        }),
        // Where heads share keys, PEFT's heads are those of the keys.
        TrainedPrompt::Prefix(_) => json!({
            "peft_type": PREFIX,
            "token_dim": config.d_keys(),
            "num_attention_heads": config.n_kv_heads,
            "encoder_hidden_size": config.d_keys(),
            "prefix_projection": false,
        }),
    };
    if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
        json.extend(more);
    }
    write_json(&dir.join(CONFIG), &json)
}

/// Whether `dir` holds a trained prompt.
///
/// # Errors
/// When its `adapter_config.json` cannot be read.
pub fn holds_prompt(dir: &Path) -> Result<bool, TransformerError> {
    if !is_adapter_folder(dir) {
        return Ok(false);
    }
    let json = read_json(&dir.join(CONFIG))?;
    Ok(json["peft_type"].as_str().is_some_and(is_prompt))
}

/// The prompt in `dir`, for `model`, on its device.
///
/// # Errors
/// When a file is absent or damaged, or the prompt is not for this model.
pub fn load_prompt(dir: &Path, model: &AnyModel) -> Result<TrainedPrompt, TransformerError> {
    let path = dir.join(CONFIG);
    let json = read_json(&path)?;
    let is_prefix = match json["peft_type"].as_str() {
        Some(SOFT) => false,
        Some(PREFIX) => true,
        _ => return Err(TransformerError::format(&path, "describes no trained prompt")),
    };
    if json["prefix_projection"] == true {
        let message =
            "prefix_projection true is not supported: the MLP of a prefix is folded away when it is stored";
        return Err(TransformerError::format(&path, message));
    }
    let weights = dir.join(WEIGHTS);
    let tensors = read_tensors(&weights)?;
    let tensor = tensors.into_iter().find(|tensor| tensor.name == EMBEDDINGS);
    let Some(NamedTensor { shape, values, .. }) = tensor else {
        return Err(TransformerError::format(&weights, format!("holds no tensor `{EMBEDDINGS}`")));
    };
    let &[n, width] = shape.as_slice() else {
        return Err(TransformerError::format(
            &weights,
            format!("`{EMBEDDINGS}` is {shape:?}, and a prompt is a matrix"),
        ));
    };
    let prompt = TrainedPrompt::from_matrix(is_prefix, [n, width], values, &model.device());
    prompt
        .check_for(model.config())
        .map_err(|error| TransformerError::format(&weights, error.to_string()))?;
    Ok(prompt)
}
