//! Which numbers describe a model.

use super::{EncoderHeads, LayerKind, ModelConfig, ModelKind, NormPlacement, PositionKind};
use crate::TransformerError;

impl ModelConfig {
    /// Checks that the numbers describe a model.
    ///
    /// # Errors
    /// Names the field and its value.
    pub fn validate(&self) -> Result<(), TransformerError> {
        let fail = |message: String| Err(TransformerError::Config(message));
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("n_kv_heads", self.n_kv_heads),
            ("d_head", self.d_head.unwrap_or(1)),
            ("d_ff", self.d_ff),
            ("seq_len", self.seq_len),
            ("n_decoder_layers", self.decoder_layers()),
        ];
        for (name, value) in sizes {
            if value == 0 {
                return fail(format!("{name} must be at least 1"));
            }
            if value > 1 << 30 {
                return fail(format!("{name} {value} is beyond any machine this runs on"));
            }
        }
        if self.d_head.is_none() && !self.d_model.is_multiple_of(self.n_heads) {
            return fail(format!("d_model {} is not divisible by n_heads {}", self.d_model, self.n_heads));
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return fail(format!(
                "n_heads {} is not divisible by n_kv_heads {}",
                self.n_heads, self.n_kv_heads
            ));
        }
        if self.position == PositionKind::Rope && !self.d_head().is_multiple_of(2) {
            let width = match self.d_head {
                Some(d_head) => format!("d_head is {d_head}"),
                None => format!("d_model {} / n_heads {} = {}", self.d_model, self.n_heads, self.d_head()),
            };
            return fail(format!("rotary positions need an even head width, but {width}"));
        }
        self.validate_kind()?;
        if !(0.0..1.0).contains(&self.dropout) {
            return fail(format!("dropout {} is not in [0, 1)", self.dropout));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return fail(format!("norm_eps {} is not in (0, 1)", self.norm_eps));
        }
        if !(self.rope_theta > 1.0 && self.rope_theta.is_finite()) {
            return fail(format!("rope_theta {} is not above 1", self.rope_theta));
        }
        if self.prefix_attention && self.kind != ModelKind::Decoder {
            return fail(format!(
                "prefix_attention is for a decoder, and this is a {} model",
                self.kind.name()
            ));
        }
        if !(self.logit_soft_cap >= 0.0 && self.logit_soft_cap.is_finite()) {
            return fail(format!("logit_soft_cap {} is negative; 0 means none", self.logit_soft_cap));
        }
        self.validate_elmo()?;
        self.validate_encoder()
    }

    /// What only bidirectional models have.
    fn validate_elmo(&self) -> Result<(), TransformerError> {
        let fail = |message: &str| Err(TransformerError::Config(message.into()));
        let bidirectional = self.kind == ModelKind::Bidirectional;
        if self.layers == LayerKind::Lstm {
            if !bidirectional {
                return fail("layers \"lstm\" are for bidirectional models (objective = \"bidirectional\")");
            }
            if self.position != PositionKind::None {
                return fail("LSTM layers know where a token stands: position must be \"none\"");
            }
            if self.d_head.is_some() {
                return fail("LSTM layers have no heads: leave d_head out");
            }
        }
        if !(self.lstm_clip >= 0.0 && self.lstm_clip.is_finite()) {
            let message = format!("lstm_clip {} is negative or no number; 0 means none", self.lstm_clip);
            return Err(TransformerError::Config(message));
        }
        let Some(characters) = &self.characters else { return Ok(()) };
        if !bidirectional {
            return fail("characters are for bidirectional models (objective = \"bidirectional\")");
        }
        if self.tied_head {
            return fail("an embedding computed from characters is no head: tied_head must be false");
        }
        characters.validate()
    }

    /// What only an encoder has.
    fn validate_encoder(&self) -> Result<(), TransformerError> {
        let fail = |message: String| Err(TransformerError::Config(message));
        let only = [
            ("norm_placement = \"post\"", self.norm_placement == NormPlacement::Post),
            ("token_types", self.token_types > 0),
            ("embedding_norm", self.embedding_norm),
            ("heads", self.heads != EncoderHeads::default()),
            ("generator", self.generator.is_some()),
        ];
        if self.kind != ModelKind::Encoder {
            return match only.iter().find(|(_, is_set)| *is_set) {
                Some((name, _)) => fail(format!(
                    "{name} is for an encoder, and this is a {} model: the preset bert and its options go with the \
                     objectives that train an encoder (masked, replaced-token)",
                    self.kind.name()
                )),
                None => Ok(()),
            };
        }
        if self.position == PositionKind::None {
            return fail("an encoder without positions cannot tell its tokens apart: position is to be learned or rope".into());
        }
        if self.token_types > 1 << 20 {
            return fail(format!("token_types {} is beyond any machine this runs on", self.token_types));
        }
        if self.heads.next_sentence && self.token_types == 1 {
            return fail(
                "token_types 1 does not tell two segments apart: 2 do, and 0 leaves it to what is between"
                    .into(),
            );
        }
        match self.generator_layers() {
            Some(generator) => generator
                .validate()
                .map_err(|error| TransformerError::Config(format!("of the generator: {error}"))),
            None => Ok(()),
        }
    }

    /// Refuses parts that models of this kind do not have.
    fn validate_kind(&self) -> Result<(), TransformerError> {
        let fail = |message: String| Err(TransformerError::Config(message));
        if self.position == PositionKind::RelativeBias {
            let (buckets, distance) = (self.relative_buckets, self.relative_max_distance);
            // The encoder halves them by direction, and half of those are for single distances.
            if buckets < 4 || !buckets.is_multiple_of(4) || buckets > 1 << 16 {
                return fail(format!("relative_buckets {buckets} is no multiple of 4 from 4 on"));
            }
            if distance <= buckets / 2 || distance > 1 << 30 {
                return fail(format!(
                    "relative_max_distance {distance} should be above half of the {buckets} relative_buckets"
                ));
            }
        }
        if self.kind == ModelKind::EncoderDecoder {
            return match self.decoder_start.filter(|&id| id as usize >= self.vocab_size) {
                Some(id) => fail(format!(
                    "decoder_start {id} is outside of the vocabulary of {} tokens",
                    self.vocab_size
                )),
                None => Ok(()),
            };
        }
        if self.kind == ModelKind::Permutation && self.position == PositionKind::None {
            return fail("without positions all predictions of a permutation are the same: position is to be learned or rope".into());
        }
        for (is_there, what) in [
            (self.position == PositionKind::RelativeBias, "position relative-bias"),
            (self.unscaled_attention, "unscaled_attention"),
            (self.scaled_head, "scaled_head"),
            (self.n_decoder_layers.is_some(), "n_decoder_layers"),
        ] {
            if is_there {
                return fail(format!(
                    "{what} is for encoder-decoder models only (as the preset t5 describes one), and this is a {} model",
                    self.kind.name()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    fn message(change: impl FnOnce(&mut ModelConfig)) -> String {
        let mut config = ModelConfig::preset(Preset::Llama, 256, 96, 2, 6, 32);
        change(&mut config);
        config.validate().expect_err("this config describes no model").to_string()
    }

    #[test]
    fn impossible_shapes_are_named() {
        assert_eq!(message(|c| c.d_model = 100), "d_model 100 is not divisible by n_heads 6");
        assert_eq!(message(|c| c.n_kv_heads = 4), "n_heads 6 is not divisible by n_kv_heads 4");
        assert_eq!(message(|c| c.n_layers = 0), "n_layers must be at least 1");
        assert!(message(|c| c.d_model = 6 * 15).contains("even head width"));
        assert_eq!(message(|c| c.d_head = Some(0)), "d_head must be at least 1");
        assert!(message(|c| c.d_head = Some(5)).contains("even head width, but d_head is 5"));
        assert!(message(|c| c.dropout = 1.0).contains("dropout 1"));
        assert!(
            message(|c| c.token_types = 2).contains("token_types is for an encoder, and this is a decoder")
        );
    }
}
