//! Folders of models with a head for texts or tokens: `LlamaForSequenceClassification`, `GPT2ForSequenceClassification`,
//! `BertForSequenceClassification`, the like for tokens, or `FirebrandForSequenceClassification` where transformers has no such model.
//!
//! Beside what transformers reads (`id2label`, `problem_type`, …) `config.json` holds our own description of the head under
//! `firebrand_head`. A decoder keeps its head over the vocabulary, which transformers has no use for and says so.

use super::files::{read_json, tensors_of, write_json};
use super::{from_json, names, to_json};
use crate::TransformerError;
use crate::classifier::{Classifier, HeadConfig, TaskKind};
use crate::config::{ModelConfig, ModelKind};
use crate::tensor_file::write_tensors;
use crate::weights::{NamedTensor, named_tensors, with_tensors};
use burn::tensor::Device;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Where our description of the head stands.
const KEY: &str = "firebrand_head";
/// The class of a head on a model that transformers does not have.
pub const OWN_CLASSIFIER: &str = "FirebrandForSequenceClassification";

/// Whether a `config.json` is that of a model with such a head.
pub(super) fn is_one(json: &Value) -> bool {
    let class = json["architectures"][0].as_str().unwrap_or("");
    json.get(KEY).is_some()
        || class.ends_with("ForSequenceClassification")
        || class.ends_with("ForTokenClassification")
}

/// Writes `config.json` and `model.safetensors`. `end_of_text` is the id that ends a document, if any: padding, too.
///
/// # Errors
/// When a file cannot be written; what was there before stays.
pub fn save_classifier(
    dir: &Path,
    model: &Classifier,
    end_of_text: Option<u32>,
) -> Result<(), TransformerError> {
    std::fs::create_dir_all(dir).map_err(|error| TransformerError::io(dir, error))?;
    let (body, head) = (model.body().config(), model.head_config());
    let prefix = format!("body.{}.", variant(body.kind));
    let (of_body, of_head) =
        named_tensors(model).into_iter().partition(|tensor| tensor.name.starts_with(&prefix));
    let of_body: Vec<NamedTensor> = of_body;
    let of_body =
        of_body.into_iter().map(|tensor| NamedTensor { name: tensor.name[prefix.len()..].into(), ..tensor });
    let mut tensors = names::outward(body, of_body.collect());
    let rules = head_names(body, head);
    tensors.extend(Vec::into_iter(of_head).map(|tensor| {
        let rule =
            rules.iter().find(|rule| rule.ours == tensor.name).expect("every tensor of a head has a name");
        let tensor = if rule.transposed { names::transpose(tensor) } else { tensor };
        NamedTensor { name: rule.theirs.clone(), ..tensor }
    }));
    write_tensors(&dir.join("model.safetensors"), &tensors)?;
    write_json(&dir.join("config.json"), &describe(body, head, end_of_text))
}

/// The model with its head on `device`.
///
/// # Errors
/// When a file is absent or damaged, or the folder holds a model without such a head.
pub fn load_classifier(dir: &Path, device: &Device) -> Result<Classifier, TransformerError> {
    let path = dir.join("config.json");
    let json = read_json(&path)?;
    let head = head_of(&json, &path)?.ok_or_else(|| {
        TransformerError::format(
            &path,
            "describes a model without a head for texts: `firebrand finetune` trains one",
        )
    })?;
    let tensors = tensors_of(dir)?;
    let body = body_config(from_json(&json, &path)?, &tensors);
    let model = Classifier::blank(&body, head, device)
        .map_err(|error| TransformerError::format(&path, error.to_string()))?;
    let rules = head_names(&body, model.head_config());
    let (of_head, of_body): (Vec<_>, Vec<_>) =
        tensors.into_iter().partition(|tensor| rules.iter().any(|rule| rule.theirs == tensor.name));
    let prefix = format!("body.{}.", variant(body.kind));
    let mut ours: Vec<NamedTensor> = names::inward(&body, of_body)?
        .into_iter()
        .map(|tensor| NamedTensor { name: format!("{prefix}{}", tensor.name), ..tensor })
        .collect();
    ours.extend(of_head.into_iter().map(|tensor| {
        let rule = rules.iter().find(|rule| rule.theirs == tensor.name).expect("the partition above says so");
        let tensor = if rule.transposed { names::transpose(tensor) } else { tensor };
        NamedTensor { name: rule.ours.into(), ..tensor }
    }));
    with_tensors(model, ours)
}

/// What the head of the model in `dir` is; `None` where it has none of this kind.
///
/// # Errors
/// When `config.json` cannot be read, or describes a head that is not supported here.
pub fn load_head(dir: &Path) -> Result<Option<HeadConfig>, TransformerError> {
    let path = dir.join("config.json");
    head_of(&read_json(&path)?, &path)
}

/// The config of what reads: transformers' Llama with a head for texts has none over the vocabulary.
pub(super) fn body_config(config: ModelConfig, tensors: &[NamedTensor]) -> ModelConfig {
    let has_own = tensors.iter().any(|tensor| tensor.name == "lm_head.weight");
    let tied_head = config.tied_head || (config.kind == ModelKind::Decoder && !has_own);
    ModelConfig { tied_head, ..config }
}

/// The tensors of what reads.
pub(super) fn without_head(mut tensors: Vec<NamedTensor>) -> Vec<NamedTensor> {
    tensors.retain(|tensor| !tensor.name.starts_with("score.") && !tensor.name.starts_with("classifier."));
    tensors
}

fn describe(body: &ModelConfig, head: &HeadConfig, end_of_text: Option<u32>) -> Value {
    let mut json = to_json(body, end_of_text);
    json["architectures"] = json!([head.class(body).unwrap_or(OWN_CLASSIFIER)]);
    json["num_labels"] = json!(head.outputs);
    let names: Vec<String> = match head.labels.is_empty() {
        true => (0..head.outputs).map(|output| format!("LABEL_{output}")).collect(),
        false => head.labels.clone(),
    };
    let id2label = names.iter().enumerate().map(|(id, name)| (id.to_string(), json!(name)));
    json["id2label"] = Value::Object(id2label.collect::<Map<String, Value>>());
    let label2id = names.iter().enumerate().map(|(id, name)| (name.clone(), json!(id)));
    json["label2id"] = Value::Object(label2id.collect::<Map<String, Value>>());
    json["pad_token_id"] = json!(end_of_text);
    json["problem_type"] = match head.task {
        TaskKind::Classification => json!("single_label_classification"),
        TaskKind::MultiLabel => json!("multi_label_classification"),
        TaskKind::Regression => json!("regression"),
        TaskKind::Tagging => Value::Null,
    };
    json[KEY] = json!(head);
    json
}

fn head_of(json: &Value, path: &Path) -> Result<Option<HeadConfig>, TransformerError> {
    if !is_one(json) {
        return Ok(None);
    }
    if let Some(own) = json.get(KEY) {
        return serde_json::from_value(own.clone()).map(Some).map_err(|error| {
            TransformerError::format(path, format!("`{KEY}` describes no head of this version: {error}"))
        });
    }
    let class = json["architectures"][0].as_str().unwrap_or("");
    let mut labels: Vec<(usize, String)> = json["id2label"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(id, name)| Some((id.parse().ok()?, name.as_str()?.to_owned())))
        .collect();
    labels.sort();
    let outputs = match labels.len() {
        0 => json["num_labels"].as_u64().unwrap_or(2) as usize,
        count => count,
    };
    let mut labels: Vec<String> = labels.into_iter().map(|(_, name)| name).collect();
    if labels.is_empty() {
        labels = (0..outputs).map(|output| format!("LABEL_{output}")).collect();
    }
    let task = match (class.ends_with("ForTokenClassification"), json["problem_type"].as_str()) {
        (true, _) => TaskKind::Tagging,
        (_, Some("multi_label_classification")) => TaskKind::MultiLabel,
        (_, Some("single_label_classification")) => TaskKind::Classification,
        (_, Some("regression")) if outputs != 1 => {
            return Err(TransformerError::format(
                path,
                format!("a regression of {outputs} numbers is not supported"),
            ));
        }
        (_, Some("regression")) => TaskKind::Regression,
        _ if outputs == 1 => TaskKind::Regression,
        _ => TaskKind::Classification,
    };
    if task == TaskKind::Regression {
        // A number has no name, and transformers makes one up.
        labels.clear();
    }
    let body = from_json(json, path)?;
    let head = HeadConfig::for_body(&body, task, labels);
    match head.class(&body) == Some(class) {
        true => Ok(Some(head)),
        false => Err(TransformerError::format(
            path,
            format!(
                "architecture `{class}` is not supported; LlamaForSequenceClassification, GPT2ForSequenceClassification, \
                 BertForSequenceClassification and the like for tokens are"
            ),
        )),
    }
}

/// What a tensor of the head is called in a folder.
struct Name {
    theirs: String,
    ours: &'static str,
    transposed: bool,
}

fn head_names(body: &ModelConfig, head: &HeadConfig) -> Vec<Name> {
    let class = head.class(body);
    let map = match class {
        Some(
            "LlamaForSequenceClassification"
            | "GPT2ForSequenceClassification"
            | "LlamaForTokenClassification",
        ) => "score",
        Some(_) => "classifier",
        None => "classifier.head",
    };
    let pooler = if class.is_some() { "bert.pooler.dense" } else { "classifier.pooler" };
    let name = |theirs: String, ours, transposed| Name { theirs, ours, transposed };
    vec![
        name(format!("{map}.weight"), "head.weight", class.is_some()),
        name(format!("{map}.bias"), "head.bias", false),
        name(format!("{pooler}.weight"), "pooler.weight", class.is_some()),
        name(format!("{pooler}.bias"), "pooler.bias", false),
        name("classifier.mix.weights".into(), "mix.weights", false),
        name("classifier.mix.scale".into(), "mix.scale", false),
    ]
}

/// What burn calls the variant of [`Body`](crate::Body) for a kind of model.
fn variant(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Decoder => "Decoder",
        ModelKind::Bidirectional => "Bidirectional",
        ModelKind::EncoderDecoder => "EncoderDecoder",
        ModelKind::Permutation => "Permutation",
        ModelKind::Encoder => "Encoder",
    }
}
