//! Tensor names and layouts: ours (`[d_in, d_out]`, one tensor a map) and those of each architecture.

use super::{Architecture, bert, t5};
use crate::TransformerError;
use crate::config::{ModelConfig, ModelKind};
use crate::weights::NamedTensor;
use std::collections::BTreeMap;

/// How one tensor of the folder is made from ours.
pub(super) struct Rule {
    /// Its name in the folder.
    pub(super) name: String,
    /// Our tensors, side by side in the last dimension (GPT-2 keeps query, key and value in one).
    pub(super) parts: Vec<String>,
    /// Whether the folder holds it transposed (`[d_out, d_in]`).
    pub(super) transposed: bool,
}

/// Our tensors as the folder holds them.
pub(super) fn outward(config: &ModelConfig, tensors: Vec<NamedTensor>) -> Vec<NamedTensor> {
    let Some(rules) = rules(config) else { return tensors };
    let mut ours: BTreeMap<String, NamedTensor> =
        tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
    let shapes = shapes(config);
    let mut result = Vec::new();
    for rule in rules {
        let parts: Vec<NamedTensor> = rule
            .parts
            .iter()
            .filter_map(|part| {
                // GPT-2 has biases everywhere: those we do not have are zero.
                ours.remove(part).or_else(|| {
                    let shape = shapes.get(part)?.clone();
                    Some(NamedTensor { name: part.clone(), values: vec![0.0; shape.iter().product()], shape })
                })
            })
            .collect();
        if parts.is_empty() {
            continue;
        }
        let whole = join(parts);
        let mut whole = if rule.transposed { transpose(whole) } else { whole };
        whole.name = rule.name;
        result.push(whole);
    }
    // The generator beside ELECTRA's discriminator is nobody else's: its tensors keep their names.
    result.extend(ours.into_values().filter(|tensor| tensor.name.starts_with(GENERATOR)));
    result
}

/// What the names of a generator's tensors begin with.
const GENERATOR: &str = "generator.";

/// The folder's tensors as ours. Tensors that the config has no use for are dropped when they are known to be
/// redundant (buffers, a tied head), else reported.
pub(super) fn inward(
    config: &ModelConfig,
    tensors: Vec<NamedTensor>,
) -> Result<Vec<NamedTensor>, TransformerError> {
    let Some(rules) = rules(config) else { return Ok(tensors) };
    let architecture = Architecture::of(config);
    let gpt2 = architecture == Architecture::Gpt2;
    if architecture == Architecture::T5 {
        t5::check_head(config, &tensors)?;
    }
    let mut theirs: BTreeMap<String, NamedTensor> = tensors
        .into_iter()
        .map(|tensor| {
            let name = &tensor.name;
            // The first GPT-2 checkpoints were saved without the prefix.
            let bare = gpt2 && !name.starts_with("transformer.") && name != "lm_head.weight";
            let name = if bare { format!("transformer.{name}") } else { name.clone() };
            (if architecture.is_bert() { bert::current_name(name, architecture) } else { name }, tensor)
        })
        .collect();
    let shapes = shapes(config);
    let mut result = Vec::new();
    let mut missing = Vec::new();
    for rule in rules {
        let wanted: Vec<&String> = rule.parts.iter().filter(|part| !is_absent_bias(config, part)).collect();
        let Some(whole) = theirs.remove(&rule.name) else {
            if !wanted.is_empty() {
                missing.push(rule.name);
            }
            continue;
        };
        let whole = if rule.transposed { transpose(whole) } else { whole };
        let widths: Vec<Vec<usize>> = rule.parts.iter().map(|part| shapes[part].clone()).collect();
        for (part, tensor) in rule.parts.iter().zip(split(whole, &widths, &rule.name)?) {
            if !is_absent_bias(config, part) {
                result.push(NamedTensor { name: part.clone(), ..tensor });
            }
        }
    }
    if config.generator.is_some() {
        let (generator, rest) = theirs.into_iter().partition(|(name, _)| name.starts_with(GENERATOR));
        theirs = rest;
        result.extend(BTreeMap::into_values(generator));
    }
    theirs.retain(|name, _| {
        !(name.ends_with(".attn.bias")
            || name.ends_with(".attn.masked_bias")
            || name.ends_with("rotary_emb.inv_freq")
            || (config.tied_head && name == "lm_head.weight")
            || (architecture == Architecture::T5 && t5::is_copy_of_embedding(name))
            || (architecture.is_bert() && bert::is_redundant(name, config)))
    });
    match (missing.first(), theirs.keys().next()) {
        (None, None) => Ok(result),
        (Some(name), _) => {
            Err(TransformerError::Weights(format!("{name} is missing (and {} more)", missing.len() - 1)))
        }
        (None, Some(name)) => Err(TransformerError::Weights(format!(
            "{name} has no place in the model (and {} more)",
            theirs.len() - 1
        ))),
    }
}

/// Whether a folder of `config` has a tensor of this name, where its names are not ours.
pub(super) fn knows(config: &ModelConfig, name: &str) -> bool {
    rules(config).is_some_and(|rules| rules.iter().any(|rule| rule.name == name))
}

/// Whether `part` is a bias that this config goes without.
fn is_absent_bias(config: &ModelConfig, part: &str) -> bool {
    part.ends_with(".bias") && !config.bias
}

/// The shape of every tensor a model of this config may have, biases included.
fn shapes(config: &ModelConfig) -> BTreeMap<String, Vec<usize>> {
    if Architecture::of(config) == Architecture::T5 {
        return t5::shapes(config);
    }
    let (d, queries, keys, d_ff) = (config.d_model, config.d_queries(), config.d_keys(), config.d_ff);
    let mut shapes = BTreeMap::from([
        ("token_embedding".to_string(), vec![config.vocab_size, d]),
        ("position_embedding".to_string(), vec![config.seq_len, d]),
        ("head".to_string(), vec![config.vocab_size, d]),
        ("norm.weight".to_string(), vec![d]),
        ("norm.bias".to_string(), vec![d]),
    ]);
    for layer in 0..config.n_layers {
        let linear = [
            ("attention.query", d, queries),
            ("attention.key", d, keys),
            ("attention.value", d, keys),
            ("attention.output", queries, d),
            ("mlp.gate", d, d_ff),
            ("mlp.up", d, d_ff),
            ("mlp.down", d_ff, d),
        ];
        for (name, d_in, d_out) in linear {
            shapes.insert(format!("layers.{layer}.{name}.weight"), vec![d_in, d_out]);
            shapes.insert(format!("layers.{layer}.{name}.bias"), vec![d_out]);
        }
        for (name, width) in [
            ("attention_norm", d),
            ("mlp_norm", d),
            ("attention.query_norm", config.d_head()),
            ("attention.key_norm", config.d_head()),
        ] {
            shapes.insert(format!("layers.{layer}.{name}.weight"), vec![width]);
            shapes.insert(format!("layers.{layer}.{name}.bias"), vec![width]);
        }
    }
    if config.kind == ModelKind::Encoder {
        shapes.extend(bert::shapes(config));
    }
    shapes
}

/// `None` where no architecture of transformers has such a model: then the folder holds our tensors as they are.
pub(super) fn rules(config: &ModelConfig) -> Option<Vec<Rule>> {
    match Architecture::of(config) {
        Architecture::Gpt2 => Some(gpt2_rules(config)),
        Architecture::Llama | Architecture::Firebrand => Some(llama_rules(config)),
        Architecture::T5 => Some(t5::rules(config)),
        Architecture::BertMasked
        | Architecture::BertPreTraining
        | Architecture::Bert
        | Architecture::Electra => Some(bert::rules(config)),
        Architecture::FirebrandBidirectional
        | Architecture::FirebrandPermutation
        | Architecture::FirebrandEncoderDecoder
        | Architecture::FirebrandEncoder => None,
    }
}

fn gpt2_rules(config: &ModelConfig) -> Vec<Rule> {
    let rule = |name: String, parts: Vec<String>| Rule { name, parts, transposed: false };
    let mut rules = vec![
        rule("transformer.wte.weight".into(), vec!["token_embedding".into()]),
        rule("transformer.wpe.weight".into(), vec!["position_embedding".into()]),
    ];
    for layer in 0..config.n_layers {
        for kind in ["weight", "bias"] {
            // GPT-2's Conv1D keeps `[d_in, d_out]`, as we do.
            for (theirs, ours) in [
                ("ln_1", &["attention_norm"][..]),
                ("attn.c_attn", &["attention.query", "attention.key", "attention.value"]),
                ("attn.c_proj", &["attention.output"]),
                ("ln_2", &["mlp_norm"]),
                ("mlp.c_fc", &["mlp.up"]),
                ("mlp.c_proj", &["mlp.down"]),
            ] {
                let parts = ours.iter().map(|part| format!("layers.{layer}.{part}.{kind}")).collect();
                rules.push(rule(format!("transformer.h.{layer}.{theirs}.{kind}"), parts));
            }
        }
    }
    rules.push(rule("transformer.ln_f.weight".into(), vec!["norm.weight".into()]));
    rules.push(rule("transformer.ln_f.bias".into(), vec!["norm.bias".into()]));
    if !config.tied_head {
        rules.push(rule("lm_head.weight".into(), vec!["head".into()]));
    }
    rules
}

fn llama_rules(config: &ModelConfig) -> Vec<Rule> {
    let rule =
        |name: &str, part: &str, transposed| Rule { name: name.into(), parts: vec![part.into()], transposed };
    let norm_bias = config.bias && config.norm == crate::config::NormKind::Layer;
    let mut rules = vec![rule("model.embed_tokens.weight", "token_embedding", false)];
    if config.position == crate::config::PositionKind::Learned {
        rules.push(rule("model.embed_positions.weight", "position_embedding", false));
    }
    for layer in 0..config.n_layers {
        let mut norms = vec![("input_layernorm", "attention_norm"), ("post_attention_layernorm", "mlp_norm")];
        if config.qk_norm {
            norms.extend([
                ("self_attn.q_norm", "attention.query_norm"),
                ("self_attn.k_norm", "attention.key_norm"),
            ]);
        }
        for (theirs, ours) in norms {
            let (theirs, ours) = (format!("model.layers.{layer}.{theirs}"), format!("layers.{layer}.{ours}"));
            rules.push(rule(&format!("{theirs}.weight"), &format!("{ours}.weight"), false));
            if norm_bias {
                rules.push(rule(&format!("{theirs}.bias"), &format!("{ours}.bias"), false));
            }
        }
        for (theirs, ours) in [
            ("self_attn.q_proj", "attention.query"),
            ("self_attn.k_proj", "attention.key"),
            ("self_attn.v_proj", "attention.value"),
            ("self_attn.o_proj", "attention.output"),
            ("mlp.gate_proj", "mlp.gate"),
            ("mlp.up_proj", "mlp.up"),
            ("mlp.down_proj", "mlp.down"),
        ] {
            if ours == "mlp.gate" && !config.mlp.is_gated() {
                continue;
            }
            let (theirs, ours) = (format!("model.layers.{layer}.{theirs}"), format!("layers.{layer}.{ours}"));
            rules.push(rule(&format!("{theirs}.weight"), &format!("{ours}.weight"), true));
            if config.bias {
                rules.push(rule(&format!("{theirs}.bias"), &format!("{ours}.bias"), false));
            }
        }
    }
    rules.push(rule("model.norm.weight", "norm.weight", false));
    if norm_bias {
        rules.push(rule("model.norm.bias", "norm.bias", false));
    }
    if !config.tied_head {
        rules.push(rule("lm_head.weight", "head", false));
    }
    rules
}

pub(super) fn transpose(tensor: NamedTensor) -> NamedTensor {
    let &[rows, columns] = tensor.shape.as_slice() else { return tensor };
    let values = (0..columns)
        .flat_map(|c| (0..rows).map(move |r| (r, c)))
        .map(|(r, c)| tensor.values[r * columns + c]);
    NamedTensor { values: values.collect(), shape: vec![columns, rows], name: tensor.name }
}

/// Tensors of the same number of rows, side by side.
fn join(mut parts: Vec<NamedTensor>) -> NamedTensor {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let width = |part: &NamedTensor| *part.shape.last().expect("weights and biases have a dimension");
    let rows = parts[0].values.len() / width(&parts[0]);
    let mut values = Vec::with_capacity(parts.iter().map(|part| part.values.len()).sum());
    for row in 0..rows {
        for part in &parts {
            values.extend_from_slice(&part.values[row * width(part)..(row + 1) * width(part)]);
        }
    }
    let mut shape = parts[0].shape.clone();
    *shape.last_mut().expect("weights and biases have a dimension") = parts.iter().map(width).sum();
    NamedTensor { name: String::new(), shape, values }
}

/// The reverse of [`join`], for parts of the given shapes.
fn split(
    whole: NamedTensor,
    shapes: &[Vec<usize>],
    name: &str,
) -> Result<Vec<NamedTensor>, TransformerError> {
    let width = |shape: &[usize]| *shape.last().expect("weights and biases have a dimension");
    let total: usize = shapes.iter().map(|shape| width(shape)).sum();
    let mut expected = shapes[0].clone();
    *expected.last_mut().expect("weights and biases have a dimension") = total;
    if whole.shape != expected {
        return Err(TransformerError::Weights(format!(
            "{name} is {:?} and should be {expected:?}",
            whole.shape
        )));
    }
    if shapes.len() == 1 {
        return Ok(vec![whole]);
    }
    let mut start = 0;
    Ok(shapes
        .iter()
        .map(|shape| {
            let columns = start..start + width(shape);
            start = columns.end;
            let values =
                whole.values.chunks_exact(total).flat_map(|row| row[columns.clone()].to_vec()).collect();
            NamedTensor { name: String::new(), shape: shape.clone(), values }
        })
        .collect())
}
