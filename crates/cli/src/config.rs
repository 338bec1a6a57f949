//! Config files: found by path or name, `--set` merged in, unknown keys refused with the nearest known one.

use crate::exit::usage;
use anyhow::Context;
use firebrand_corpus::batches::Order;
use firebrand_corpus::sources::{DocumentBoundary, FormatChoice, HeldOut, InvalidUtf8, Sources};
use firebrand_pretrain::{
    DenoisingConfig, DistillationConfig, FillInTheMiddleConfig, MaskedConfig, MiddleTokens, MixtureConfig,
    ModeTokens, NextSentence, PermutationConfig, ReplacedTokenConfig, Sentinels, SpanCorruptionConfig,
};
use firebrand_tokenizer::END_OF_TEXT;
use firebrand_training::{OptimizerConfig, ScheduleConfig, TrainingConfig};
use firebrand_transformer::{
    Characters, EncoderHeads, LayerKind, MlpKind, ModelConfig, ModelKind, NormKind, NormPlacement,
    PositionKind, Preset,
};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The configs in the binary, by name.
pub(crate) const BUILT_IN: [(&str, &str); 27] = [
    ("causal-smoke", include_str!("../../../configs/pretrain/causal-smoke.toml")),
    ("bidirectional-smoke", include_str!("../../../configs/pretrain/bidirectional-smoke.toml")),
    ("span-corruption-smoke", include_str!("../../../configs/pretrain/span-corruption-smoke.toml")),
    ("denoising-smoke", include_str!("../../../configs/pretrain/denoising-smoke.toml")),
    ("mixture-smoke", include_str!("../../../configs/pretrain/mixture-smoke.toml")),
    ("fill-in-the-middle-smoke", include_str!("../../../configs/pretrain/fill-in-the-middle-smoke.toml")),
    ("prefix-smoke", include_str!("../../../configs/pretrain/prefix-smoke.toml")),
    ("permutation-smoke", include_str!("../../../configs/pretrain/permutation-smoke.toml")),
    ("masked-smoke", include_str!("../../../configs/pretrain/masked-smoke.toml")),
    ("replaced-token-smoke", include_str!("../../../configs/pretrain/replaced-token-smoke.toml")),
    ("elmo-smoke", include_str!("../../../configs/pretrain/elmo-smoke.toml")),
    ("quickstart", include_str!("../../../configs/pretrain/quickstart.toml")),
    ("shakespeare-char", include_str!("../../../configs/pretrain/shakespeare-char.toml")),
    ("shakespeare-char-best", include_str!("../../../configs/pretrain/shakespeare-char-best.toml")),
    ("bidirectional", include_str!("../../../configs/pretrain/bidirectional.toml")),
    ("span-corruption", include_str!("../../../configs/pretrain/span-corruption.toml")),
    ("denoising", include_str!("../../../configs/pretrain/denoising.toml")),
    ("mixture", include_str!("../../../configs/pretrain/mixture.toml")),
    ("fill-in-the-middle", include_str!("../../../configs/pretrain/fill-in-the-middle.toml")),
    ("prefix", include_str!("../../../configs/pretrain/prefix.toml")),
    ("permutation", include_str!("../../../configs/pretrain/permutation.toml")),
    ("masked", include_str!("../../../configs/pretrain/masked.toml")),
    ("replaced-token", include_str!("../../../configs/pretrain/replaced-token.toml")),
    ("elmo", include_str!("../../../configs/pretrain/elmo.toml")),
    ("stories", include_str!("../../../configs/pretrain/stories.toml")),
    ("draft-quickstart", include_str!("../../../configs/pretrain/draft-quickstart.toml")),
    ("draft-stories", include_str!("../../../configs/pretrain/draft-stories.toml")),
];

/// The token that stands where one is hidden.
pub(crate) use firebrand_pretrain::MASK;

/// A pretraining run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PretrainConfig {
    /// What the model is trained for.
    #[serde(default)]
    pub(crate) objective: ObjectiveName,
    /// Of weights, data order, dropout.
    #[serde(default)]
    pub(crate) seed: u64,
    pub(crate) data: DataConfig,
    pub(crate) model: ModelSection,
    /// Options of the objective of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fill_in_the_middle: Option<FillInTheMiddleConfig>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) permutation: Option<PermutationConfig>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span_corruption: Option<SpanCorruptionConfig>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) denoising: Option<DenoisingConfig>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mixture: Option<MixtureConfig>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) masked: Option<MaskedConfig>,
    /// Options of the objective of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replaced_token: Option<ReplacedTokenConfig>,
    #[serde(default)]
    pub(crate) training: TrainingConfig,
    #[serde(default)]
    pub(crate) optimizer: OptimizerConfig,
    #[serde(default)]
    pub(crate) schedule: ScheduleConfig,
    /// Learn from a teacher besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) distillation: Option<DistillationConfig>,
}

impl PretrainConfig {
    /// The model that is trained, for the vocabulary of a run's own tokenizer.
    pub(crate) fn model(&self, vocab_size: usize) -> ModelConfig {
        let model = self.model.resolve(vocab_size, self.context());
        let model =
            ModelConfig { kind: self.objective.model_kind(), heads: EncoderHeads::default(), ..model };
        match self.objective {
            ObjectiveName::Prefix => ModelConfig { prefix_attention: true, ..model },
            ObjectiveName::Masked => {
                let next_sentence = self.masked.unwrap_or_default().next_sentence;
                ModelConfig { heads: EncoderHeads { masked: true, next_sentence, ..model.heads }, ..model }
            }
            ObjectiveName::ReplacedToken => ModelConfig {
                heads: EncoderHeads { replaced: true, ..model.heads },
                generator: Some(self.replaced_token.unwrap_or_default().generator(&model)),
                ..model
            },
            _ => model,
        }
    }

    /// Whether the loss is nats a token, so that it has a perplexity: not where it is a sum of terms about different things.
    pub(crate) fn has_perplexity(&self) -> bool {
        match self.objective {
            ObjectiveName::Masked => !self.masked.is_some_and(|masked| masked.next_sentence),
            ObjectiveName::ReplacedToken => false,
            _ => true,
        }
    }

    /// The longest context that the objective makes of a row.
    pub(crate) fn context(&self) -> usize {
        self.training.seq_len + self.objective.added_tokens()
    }

    /// The special tokens that the objective needs, which are put behind those of the data's tokenizer.
    pub(crate) fn special_tokens(&self) -> Vec<String> {
        let mut tokens = self.objective.special_tokens();
        if self.masked.is_some_and(|masked| masked.next_sentence) {
            tokens.extend(NextSentence::TOKENS.map(String::from));
        }
        tokens.extend(Sentinels::names(self.most_spans()));
        tokens
    }

    /// How many sentinels a row needs at most.
    fn most_spans(&self) -> usize {
        let len = self.training.seq_len.max(2);
        match self.objective {
            ObjectiveName::SpanCorruption => self.span_corruption.unwrap_or_default().spans().counts(len).1,
            ObjectiveName::Mixture => self.mixture.clone().unwrap_or_default().most_spans(len),
            _ => 0,
        }
    }

    /// The config with the options of its objective, which may be left out, as they are then: a run records all of them.
    fn with_options(mut self) -> Self {
        match self.objective {
            ObjectiveName::SpanCorruption => _ = self.span_corruption.get_or_insert_default(),
            ObjectiveName::Denoising => _ = self.denoising.get_or_insert_default(),
            ObjectiveName::Mixture => _ = self.mixture.get_or_insert_default(),
            ObjectiveName::FillInTheMiddle => _ = self.fill_in_the_middle.get_or_insert_default(),
            ObjectiveName::Permutation => _ = self.permutation.get_or_insert_default(),
            ObjectiveName::Masked => _ = self.masked.get_or_insert_default(),
            ObjectiveName::ReplacedToken => _ = self.replaced_token.get_or_insert_default(),
            ObjectiveName::Causal | ObjectiveName::Bidirectional | ObjectiveName::Prefix => {}
        }
        self
    }

    /// Options of another objective than the run's say that somebody is mistaken.
    fn check_options(&self) -> anyhow::Result<()> {
        let sections = [
            ("fill_in_the_middle", self.fill_in_the_middle.is_some(), ObjectiveName::FillInTheMiddle),
            ("permutation", self.permutation.is_some(), ObjectiveName::Permutation),
            ("span_corruption", self.span_corruption.is_some(), ObjectiveName::SpanCorruption),
            ("denoising", self.denoising.is_some(), ObjectiveName::Denoising),
            ("mixture", self.mixture.is_some(), ObjectiveName::Mixture),
            ("masked", self.masked.is_some(), ObjectiveName::Masked),
            ("replaced_token", self.replaced_token.is_some(), ObjectiveName::ReplacedToken),
        ];
        for (section, is_there, objective) in sections {
            if is_there && objective != self.objective {
                return Err(usage(format!(
                    "[{section}] has options of the objective {}, and this run's is {}",
                    objective.name(),
                    self.objective.name()
                )));
            }
        }
        if self.masked.is_some_and(|masked| masked.next_sentence)
            && self.training.seq_len < NextSentence::SHORTEST
        {
            return Err(usage(format!(
                "training.seq_len {} is too short for masked.next_sentence: two segments and what is around them take {}",
                self.training.seq_len,
                NextSentence::SHORTEST
            )));
        }
        Ok(())
    }

    /// Checks what objectives for encoder–decoders ask of a row.
    fn check_spans(&self) -> anyhow::Result<()> {
        if self.objective.model_kind() == ModelKind::EncoderDecoder && self.training.seq_len < 2 {
            return Err(usage(format!(
                "training.seq_len {} is too short for the objective {}: at least 2",
                self.training.seq_len,
                self.objective.name()
            )));
        }
        let spans = self.most_spans();
        if spans > Sentinels::MOST {
            return Err(usage(format!(
                "training.seq_len {} would need {spans} sentinels, and there are {} at most: make it shorter, or spans fewer or \
                 longer (rate, mean_span)",
                self.training.seq_len,
                Sentinels::MOST
            )));
        }
        Ok(())
    }

    /// Checks every number that can be checked without the data.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        self.check_options()?;
        if let Some(options) = &self.span_corruption {
            options.validate()?;
        }
        if let Some(options) = &self.denoising {
            options.validate()?;
        }
        if let Some(options) = &self.mixture {
            options.validate()?;
        }
        self.check_spans()?;
        if let Some(options) = &self.fill_in_the_middle {
            options.validate()?;
        }
        if let Some(options) = &self.permutation {
            options.validate(self.training.seq_len)?;
        }
        if let Some(options) = &self.masked {
            options.validate()?;
        }
        if let Some(options) = &self.replaced_token {
            options.validate()?;
        }
        self.training.validate()?;
        self.optimizer.validate()?;
        self.schedule.validate()?;
        self.distillation.as_ref().map_or(Ok(()), DistillationConfig::validate)?;
        if self.distillation.is_some() && self.objective != ObjectiveName::Causal {
            return Err(usage(
                "[distillation] teaches a causal model: leave it out, or use objective = \"causal\"",
            ));
        }
        // Beyond this, counts no longer fit and allocations fail without a word about the key.
        const MOST: usize = 1 << 20;
        let (model, training) = (&self.model, &self.training);
        for (key, value) in [
            ("model.d_model", model.d_model),
            ("model.n_layers", model.n_layers),
            ("model.n_decoder_layers", model.n_decoder_layers.unwrap_or(0)),
            ("model.d_ff", model.d_ff.unwrap_or(0)),
            ("model.seq_len", model.seq_len.unwrap_or(0)),
            ("training.batch_size", training.batch_size),
            ("training.seq_len", training.seq_len),
        ] {
            if value > MOST {
                return Err(usage(format!("{key} {value} is too large: at most {MOST}")));
            }
        }
        Ok(())
    }
}

/// The objectives there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ObjectiveName {
    #[default]
    Causal,
    Bidirectional,
    SpanCorruption,
    Denoising,
    Mixture,
    FillInTheMiddle,
    Prefix,
    Permutation,
    Masked,
    ReplacedToken,
}

impl ObjectiveName {
    /// The name written in configs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Causal => "causal",
            Self::Bidirectional => "bidirectional",
            Self::FillInTheMiddle => "fill-in-the-middle",
            Self::Prefix => "prefix",
            Self::Permutation => "permutation",
            Self::SpanCorruption => "span-corruption",
            Self::Denoising => "denoising",
            Self::Mixture => "mixture",
            Self::Masked => "masked",
            Self::ReplacedToken => "replaced-token",
        }
    }

    /// How many tokens it may add to a row: the end of text, a mask, a mode.
    fn added_tokens(self) -> usize {
        match self {
            Self::SpanCorruption | Self::Denoising | Self::Mixture => 2,
            _ => 0,
        }
    }

    /// The kind of model that is trained for it.
    pub(crate) fn model_kind(self) -> ModelKind {
        match self {
            Self::Causal | Self::FillInTheMiddle | Self::Prefix => ModelKind::Decoder,
            Self::Bidirectional => ModelKind::Bidirectional,
            Self::Permutation => ModelKind::Permutation,
            Self::SpanCorruption | Self::Denoising | Self::Mixture => ModelKind::EncoderDecoder,
            Self::Masked | Self::ReplacedToken => ModelKind::Encoder,
        }
    }

    /// The special tokens that it needs whatever its options are.
    fn special_tokens(self) -> Vec<String> {
        // A middle, and inputs and targets, end with an end of text, also where no document of the data does.
        let names: Vec<&str> = match self {
            Self::Causal | Self::Bidirectional | Self::Prefix | Self::Permutation => vec![],
            Self::FillInTheMiddle => [&[END_OF_TEXT], &MiddleTokens::NAMES[..]].concat(),
            Self::SpanCorruption => vec![END_OF_TEXT],
            Self::Denoising => vec![END_OF_TEXT, MASK],
            Self::Mixture => [&[END_OF_TEXT], &ModeTokens::NAMES[..]].concat(),
            Self::Masked | Self::ReplacedToken => vec![MASK],
        };
        names.into_iter().map(String::from).collect()
    }
}

/// What is trained on: text, or shards that were prepared before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DataConfig {
    /// Text, JSON lines, CSV, TSV or Parquet, also `.gz` or `.zst`, or folders of such files; one alone needs no brackets.
    #[serde(deserialize_with = "one_or_more_paths")]
    pub(crate) texts: Vec<PathBuf>,
    /// A folder made by `firebrand prepare`, instead of `texts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shards: Option<PathBuf>,
    /// `characters`, or a tokenizer's folder.
    pub(crate) tokenizer: String,
    /// What the files are: `auto` goes by their names.
    pub(crate) format: FormatChoice,
    /// Which field of a record is its text.
    pub(crate) field: String,
    pub(crate) boundary: DocumentBoundary,
    pub(crate) held_out: HeldOut,
    /// What becomes of bytes that are no UTF-8: `refuse` or `replace`.
    pub(crate) invalid_utf8: InvalidUtf8,
    pub(crate) order: Order,
}

/// `"input.txt"` or `["a.txt", "b.txt"]`.
fn one_or_more_paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    struct Paths;
    impl<'de> Visitor<'de> for Paths {
        type Value = Vec<PathBuf>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a path or a list of paths")
        }

        fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<Self::Value, E> {
            Ok(vec![path.into()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, paths: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(paths))
        }
    }
    deserializer.deserialize_any(Paths)
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            texts: Vec::new(),
            shards: None,
            tokenizer: "characters".into(),
            format: FormatChoice::default(),
            field: Sources::default().field,
            boundary: DocumentBoundary::default(),
            held_out: HeldOut::default(),
            invalid_utf8: InvalidUtf8::default(),
            order: Order::default(),
        }
    }
}

/// A model by preset and size; every other key overrides what the preset says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelSection {
    pub(crate) preset: Preset,
    pub(crate) d_model: usize,
    pub(crate) n_layers: usize,
    pub(crate) n_heads: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) n_kv_heads: Option<usize>,
    /// `transformer` or `lstm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layers: Option<LayerKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lstm_clip: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) d_ff: Option<usize>,
    /// The longest context; `training.seq_len` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq_len: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) norm: Option<NormKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) norm_eps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<PositionKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rope_theta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mlp: Option<MlpKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tied_head: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bias: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dropout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logit_soft_cap: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) qk_norm: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) n_decoder_layers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unscaled_attention: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scaled_head: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) relative_buckets: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) relative_max_distance: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) norm_placement: Option<NormPlacement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_types: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) embedding_norm: Option<bool>,
    /// Token embeddings are computed from the bytes of tokens, by a network of these sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) characters: Option<Characters>,
}

impl ModelSection {
    /// The model for a vocabulary; `seq_len` is the training's.
    fn resolve(&self, vocab_size: usize, seq_len: usize) -> ModelConfig {
        let seq_len = self.seq_len.unwrap_or(seq_len);
        let base =
            ModelConfig::preset(self.preset, vocab_size, self.d_model, self.n_layers, self.n_heads, seq_len);
        let mlp = self.mlp.unwrap_or(base.mlp);
        let layers = self.layers.unwrap_or(base.layers);
        // What a preset says of positions and of the head is said of transformers.
        let (position, d_ff) = match layers {
            LayerKind::Transformer => (base.position, ModelConfig::default_d_ff(mlp, self.d_model)),
            LayerKind::Lstm => (PositionKind::None, 4 * self.d_model),
        };
        let tied_head = self.tied_head.unwrap_or(base.tied_head && self.characters.is_none());
        ModelConfig {
            layers,
            lstm_clip: self.lstm_clip.unwrap_or(base.lstm_clip),
            characters: self.characters.clone().map(|characters| characters.resolved(self.d_model)),
            n_kv_heads: self.n_kv_heads.unwrap_or(base.n_kv_heads),
            d_ff: self.d_ff.unwrap_or(d_ff),
            norm: self.norm.unwrap_or(base.norm),
            norm_eps: self.norm_eps.unwrap_or(base.norm_eps),
            position: self.position.unwrap_or(position),
            rope_theta: self.rope_theta.unwrap_or(base.rope_theta),
            mlp,
            tied_head,
            bias: self.bias.unwrap_or(base.bias),
            dropout: self.dropout.unwrap_or(base.dropout),
            logit_soft_cap: self.logit_soft_cap.unwrap_or(base.logit_soft_cap),
            qk_norm: self.qk_norm.unwrap_or(base.qk_norm),
            n_decoder_layers: self.n_decoder_layers.filter(|&layers| layers != self.n_layers),
            unscaled_attention: self.unscaled_attention.unwrap_or(base.unscaled_attention),
            // T5 scales a tied head only.
            scaled_head: self.scaled_head.unwrap_or(base.scaled_head && tied_head),
            relative_buckets: self.relative_buckets.unwrap_or(base.relative_buckets),
            relative_max_distance: self.relative_max_distance.unwrap_or(base.relative_max_distance),
            norm_placement: self.norm_placement.unwrap_or(base.norm_placement),
            token_types: self.token_types.unwrap_or(base.token_types),
            embedding_norm: self.embedding_norm.unwrap_or(base.embedding_norm),
            ..base
        }
    }
}

/// The config called `name` (a file, or one that is built in), with `--set` applied.
pub(crate) fn load(name: &str, set: &[String]) -> anyhow::Result<PretrainConfig> {
    let (text, origin) = find("config", &BUILT_IN, name)?;
    let mut table: Table = toml::from_str(&text).map_err(|error| usage(explain(&origin, &error)))?;
    for assignment in set {
        apply(&mut table, assignment)?;
    }
    let config = table.try_into().map_err(|error: toml::de::Error| {
        // The same mistake in the text alone has a line, which a table no longer knows.
        let in_text = toml::from_str::<PretrainConfig>(&text).err();
        let in_text = in_text.filter(|in_text| in_text.message() == error.message());
        match in_text {
            Some(error) => usage(explain(&origin, &error)),
            None => usage(explain(&format!("{origin} with --set"), &error)),
        }
    });
    config.map(PretrainConfig::with_options)
}

/// The text of a TOML file, or of one that is built in, and what messages call it; `what` it is: a config, a suite.
pub(crate) fn find(what: &str, built_in: &[(&str, &str)], name: &str) -> anyhow::Result<(String, String)> {
    if let Some((_, text)) = built_in.iter().find(|(built_in, _)| *built_in == name) {
        return Ok((text.to_string(), format!("the built-in {what} `{name}`")));
    }
    let path = Path::new(name);
    if path.exists() || name.ends_with(".toml") {
        let text = std::fs::read_to_string(path).with_context(|| format!("{what} {name}"));
        return match text {
            Ok(text) => Ok((text, name.to_string())),
            Err(error) => Err(usage(format!("{error:#}"))),
        };
    }
    let names: Vec<&str> = built_in.iter().map(|(name, _)| *name).collect();
    Err(usage(format!(
        "no {what} `{name}`{}: give a .toml file or one of {}",
        did_you_mean(name, &names),
        names.join(", ")
    )))
}

/// Sets `a.b=value`; a value that is no TOML is taken as a string.
fn apply(table: &mut Table, assignment: &str) -> anyhow::Result<()> {
    let Some((key, value)) = assignment.split_once('=') else {
        return Err(usage(format!("--set {assignment}: write KEY=VALUE, such as optimizer.lr=3e-4")));
    };
    let value = value.trim();
    let parsed =
        toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_string()));
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts.pop().filter(|last| !last.is_empty());
    let Some(last) = last else {
        return Err(usage(format!("--set {assignment}: the key is empty")));
    };
    let mut here = table;
    for part in parts {
        let next = here.entry(part).or_insert_with(|| Value::Table(Table::new()));
        here = next
            .as_table_mut()
            .ok_or_else(|| usage(format!("--set {assignment}: `{part}` is no section")))?;
    }
    here.insert(last.to_string(), value);
    Ok(())
}

/// The error with the nearest known key, where an unknown one is the cause.
pub(crate) fn explain(origin: &str, error: &toml::de::Error) -> String {
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
