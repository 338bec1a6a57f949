//! What an encoder with a head for masked tokens says of hidden tokens.

use crate::config::MASK;
use crate::exit::usage;
use crate::run::Trained;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_pretrain::NextSentence;
use firebrand_tokenizer::{TokenTable, Tokenizer};
use firebrand_transformer::{AnyModel, Encoder, Model, ModelConfig};

/// A model that predicts tokens behind masks.
pub(crate) struct Masked<'a> {
    pub(crate) model: &'a Encoder,
    pub(crate) tokenizer: &'a Tokenizer,
    table: TokenTable,
    /// The id of the mask.
    pub(crate) mask: u32,
    /// What stands around a text.
    pub(crate) frame: Frame,
}

/// What stands before and behind a text for an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `[CLS]` and `[SEP]`, as around every text of those that the model was trained on; so they belong around a part of one, too.
    Marks([u32; 2]),
    /// The ends of the texts before and of its own, if texts have ends, as in the stream of tokens that the model was trained on. A part
    /// of a text has not both of them.
    Ends(Option<u32>),
}

impl Frame {
    /// How `trained` reads texts. Who was trained for next sentences knows the marks, and so do models of others; a tokenizer may have
    /// them although the model never saw any.
    pub(crate) fn of(trained: &Trained) -> Self {
        Self::new(trained.model.config(), trained.tokenizer.as_ref(), trained.conventions.is_ours)
    }

    /// How a model of `config` reads texts, of a folder that we wrote or of another.
    pub(crate) fn new(config: &ModelConfig, tokenizer: Option<&Tokenizer>, is_ours: bool) -> Self {
        let knows = !is_ours || config.heads.next_sentence;
        let marks = NextSentence::TOKENS.map(|name| tokenizer.filter(|_| knows)?.token_to_id(name));
        match marks {
            [Some(cls), Some(sep)] => Self::Marks([cls, sep]),
            _ => Self::Ends(tokenizer.and_then(Tokenizer::end_of_text)),
        }
    }

    /// What stands before a whole text, and what behind it.
    pub(crate) fn ends(self) -> (Option<u32>, Option<u32>) {
        match self {
            Self::Marks([cls, sep]) => (Some(cls), Some(sep)),
            Self::Ends(end) => (end, end),
        }
    }

    /// A whole text, framed.
    pub(crate) fn around(self, ids: &[u32]) -> Vec<u32> {
        let (before, after) = self.ends();
        before.into_iter().chain(ids.iter().copied()).chain(after).collect()
    }
}

impl<'a> Masked<'a> {
    /// `trained`, if it is such a model.
    pub(crate) fn new(trained: &'a Trained) -> anyhow::Result<Self> {
        let AnyModel::Encoder(model) = &trained.model else {
            return Err(usage(
                "this model has no masks to predict: the objective masked trains one that has",
            ));
        };
        if !model.config().heads.masked {
            let trained_for = match model.config().heads.replaced {
                true => "it was trained to find replaced tokens",
                false => "it has no head for masked tokens",
            };
            return Err(usage(format!(
                "this encoder predicts no tokens ({trained_for}): `firebrand embed` shows its states; a model of the objective \
                 masked fills blanks and scores texts"
            )));
        }
        let tokenizer = trained.tokenizer()?;
        let mask = [MASK, "<mask>"].iter().find_map(|name| tokenizer.token_to_id(name));
        let mask = mask.ok_or_else(|| usage(format!("the tokenizer of this model has no {MASK} token")))?;
        let (frame, context) = (Frame::of(trained), model.config().seq_len);
        if matches!(frame, Frame::Marks(_)) && context < 3 {
            return Err(usage(format!(
                "the model's context of {context} has no room for a token between [CLS] and [SEP]"
            )));
        }
        Ok(Self { model, tokenizer, table: tokenizer.token_table(), mask, frame })
    }

    /// The same with another model of its shape.
    pub(crate) fn with<'b>(&self, model: &'b Encoder) -> Masked<'b>
    where
        'a: 'b,
    {
        Masked {
            model,
            tokenizer: self.tokenizer,
            table: self.table.clone(),
            mask: self.mask,
            frame: self.frame,
        }
    }

    /// Whether a token stands for text.
    pub(crate) fn is_ordinary(&self, id: u32) -> bool {
        self.table.is_ordinary(id)
    }

    /// The most tokens that the model sees at once.
    pub(crate) fn context(&self) -> usize {
        self.model.config().seq_len
    }

    /// The log-probabilities of all tokens at each of `places`, (row, position), of `rows`, which are of one length.
    pub(crate) fn log_probs(&self, rows: &[Vec<u32>], places: &[(usize, usize)]) -> Vec<Vec<f32>> {
        let (batch, seq) = (rows.len(), rows[0].len());
        let device = self.model.device();
        let ids: Vec<i32> = rows.iter().flatten().map(|&id| id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [batch, seq]), &device);
        let chosen: Vec<i32> = places.iter().map(|&(row, at)| (row * seq + at) as i32).collect();
        let chosen = Tensor::<1, Int>::from_data(TensorData::new(chosen, [places.len()]), &device);
        let hidden = self.model.hidden(ids, None, &AttentionMask::Full, None);
        let hidden = hidden.reshape([batch * seq, self.model.config().d_model]).select(0, chosen);
        let logits = self.model.masked_logits(hidden).expect("looked at when it was opened");
        let vocab = logits.dims()[1];
        let values = log_softmax(logits, 1).into_data().convert::<f32>();
        let values: Vec<f32> = values.try_into_vec().expect("converted to f32 just now");
        values.chunks(vocab).map(<[f32]>::to_vec).collect()
    }
}
