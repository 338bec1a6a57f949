//! Which part of a model each of its tensors belongs to, for learning rates that differ from part to part.

use crate::classifier::Classifier;
use crate::weights::tensor_names;
use burn::module::Module;
use std::collections::BTreeMap;

/// The tensors of a model by groups that lie above each other: what stands behind the layers (heads, the mix of layers), each layer
/// with those beside it, the embeddings. The last norm goes with the last layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerGroups {
    /// For each tensor, how many groups lie above its own.
    depths: BTreeMap<String, usize>,
    groups: usize,
    has_head: bool,
}

/// A group, the lower ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// What tokens, positions and types are, and the norm behind it.
    Embedding,
    /// Layer `index`; the decoder of an encoder–decoder (`upper`) lies above its encoder.
    Layer {
        upper: bool,
        index: usize,
    },
    /// Behind the last layer of its stack.
    LastNorm {
        upper: bool,
    },
    Head,
}

/// The fields that hold embeddings, or what they are computed from.
const EMBEDDINGS: [&str; 6] = [
    "token_embedding",
    "position_embedding",
    "token_type_embedding",
    "embedding_norm",
    "characters",
    "relative_bias",
];

impl Group {
    fn of(name: &str) -> Self {
        let parts: Vec<&str> = name.split('.').collect();
        let has = |wanted: &str| parts.contains(&wanted);
        let upper = has("decoder");
        let index = |pair: &[&str]| match pair {
            ["layers" | "lstm", index] => index.parse().ok(),
            _ => None,
        };
        if has("generator") {
            // It reads the same embeddings, and nothing reads it.
            return Self::Head;
        }
        // A permutation model's `query` is what stands in the place of a token.
        if EMBEDDINGS.iter().any(|part| has(part)) || parts.last() == Some(&"query") {
            return Self::Embedding;
        }
        if let Some(index) = parts.windows(2).find_map(index) {
            return Self::Layer { upper, index };
        }
        match has("norm") && !parts.iter().any(|part| part.ends_with("_head")) {
            true => Self::LastNorm { upper },
            false => Self::Head,
        }
    }
}

impl LayerGroups {
    /// Those of `model`, whatever kind it is and wherever in it the layers are.
    pub fn of<M: Module>(model: &M) -> Self {
        Self::of_names(tensor_names(model))
    }

    /// Those of a model with a head that looks at texts: of an encoder–decoder only the encoder reads them.
    pub fn of_reader(model: &Classifier) -> Self {
        let of_decoder = |name: &String| name.split('.').any(|part| part == "decoder");
        Self::of_names(tensor_names(model).into_iter().filter(|name| !of_decoder(name)).collect())
    }

    fn of_names(names: Vec<String>) -> Self {
        let mut groups: Vec<(String, Group)> = names
            .into_iter()
            .map(|name| {
                let group = Group::of(&name);
                (name, group)
            })
            .collect();
        let last = |upper| {
            let layers = groups.iter().map(|(_, group)| *group);
            layers.filter(|group| matches!(group, Group::Layer { upper: of, .. } if *of == upper)).max()
        };
        let (lower, upper) = (last(false), last(true));
        for (_, group) in &mut groups {
            if let Group::LastNorm { upper: of } = *group {
                *group = if of { upper } else { lower }.unwrap_or(Group::Head);
            }
        }
        let mut there: Vec<Group> = groups.iter().map(|(_, group)| *group).collect();
        there.sort_unstable();
        there.dedup();
        let above = |group| there.iter().rev().position(|other| *other == group).unwrap_or(0);
        let depths = groups.into_iter().map(|(name, group)| (name, above(group))).collect();
        Self { depths, groups: there.len(), has_head: there.contains(&Group::Head) }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups
    }

    /// Whether the model has no tensors.
    pub fn is_empty(&self) -> bool {
        self.groups == 0
    }

    /// Whether anything stands behind the layers that is not a part of them: a head that is the embedding has no tensors of its own.
    pub fn has_head(&self) -> bool {
        self.has_head
    }

    /// Names and how many groups lie above each, in the order of names; 0 is the head, if there is one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        self.depths.iter().map(|(name, &depth)| (name.as_str(), depth))
    }
}

/// Whether a tensor of this name is a matrix or vector of a layer.
pub(crate) fn is_in_layer(name: &str) -> bool {
    matches!(Group::of(name), Group::Layer { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, ModelKind, Preset};
    use crate::{
        Bidirectional, Body, Decoder, Encoder, EncoderDecoder, HeadConfig, Model, Permutation, TaskKind,
    };
    use firebrand_backend::device;

    fn of<M: Model>(preset: Preset, kind: ModelKind) -> LayerGroups {
        let config = ModelConfig { kind, tied_head: false, ..ModelConfig::preset(preset, 20, 8, 2, 2, 8) };
        let device = device::resolve(Some("cpu")).expect("always there").1;
        LayerGroups::of(&M::blank(&config, &device).expect("a small model"))
    }

    #[track_caller]
    fn check(groups: &LayerGroups, expected: &[(&str, usize)]) {
        for (name, depth) in expected {
            assert_eq!(groups.depths.get(*name), Some(depth), "{name} in {groups:?}");
        }
    }

    #[test]
    fn a_decoder_is_head_layers_and_embeddings() {
        let groups = of::<Decoder>(Preset::Gpt2, ModelKind::Decoder);
        assert_eq!(groups.len(), 4);
        check(
            &groups,
            &[
                ("head", 0),
                ("norm.weight", 1),
                ("layers.1.mlp.up.bias", 1),
                ("layers.0.attention.query.weight", 2),
                ("position_embedding", 3),
                ("token_embedding", 3),
            ],
        );
    }

    #[test]
    fn layers_beside_each_other_are_one_group() {
        let groups = of::<Bidirectional>(Preset::Llama, ModelKind::Bidirectional);
        assert_eq!(groups.len(), 4);
        check(
            &groups,
            &[
                ("forward.layers.1.mlp.up.weight", 1),
                ("backward.layers.1.mlp.up.weight", 1),
                ("backward.norm.weight", 1),
                ("forward.layers.0.mlp.up.weight", 2),
            ],
        );
    }

    #[test]
    fn a_decoder_lies_above_its_encoder() {
        let groups = of::<EncoderDecoder>(Preset::T5, ModelKind::EncoderDecoder);
        assert_eq!(groups.len(), 6);
        check(
            &groups,
            &[
                ("decoder.norm.weight", 1),
                ("decoder.layers.0.cross.attention.key.weight", 2),
                ("encoder.norm.weight", 3),
                ("encoder.layers.0.mlp.up.weight", 4),
                ("encoder.relative_bias", 5),
            ],
        );
    }

    #[test]
    fn a_reader_s_head_lies_above_what_reads() {
        let config = ModelConfig {
            kind: ModelKind::EncoderDecoder,
            ..ModelConfig::preset(Preset::T5, 20, 8, 2, 2, 8)
        };
        let device = device::resolve(Some("cpu")).expect("always there").1;
        let body = Body::made(&config, None, &device).expect("a small model");
        let head = HeadConfig::for_body(&config, TaskKind::Classification, vec!["a".into(), "b".into()]);
        let groups = LayerGroups::of_reader(&Classifier::new(body, head, 0).expect("a head"));
        assert_eq!(groups.len(), 4);
        check(
            &groups,
            &[
                ("head.weight", 0),
                ("body.EncoderDecoder.encoder.norm.weight", 1),
                ("body.EncoderDecoder.token_embedding", 3),
            ],
        );
    }

    #[test]
    fn what_an_encoder_and_a_permutation_model_have_beside_layers_has_its_place() {
        let config = ModelConfig::preset(Preset::Bert, 20, 8, 2, 2, 8);
        let config = ModelConfig {
            kind: ModelKind::Encoder,
            heads: crate::EncoderHeads { masked: true, ..Default::default() },
            ..config
        };
        let device = device::resolve(Some("cpu")).expect("always there").1;
        let groups = LayerGroups::of(&Encoder::blank(&config, &device).expect("a small model"));
        check(
            &groups,
            &[("masked_head.norm.weight", 0), ("embedding_norm.bias", 3), ("layers.1.mlp_norm.weight", 1)],
        );
        let groups = of::<Permutation>(Preset::Llama, ModelKind::Permutation);
        check(&groups, &[("query", 3), ("layers.0.attention.query.weight", 2), ("norm.weight", 1)]);
    }
}
