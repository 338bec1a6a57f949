//! The teacher that a run distils from: looked at before anything is written, then opened.

use crate::exit::usage;
use crate::run::{ModelHashes, check_model_folder, tokenizer_hash};
use crate::text::HashedTokenizer;
use anyhow::Context;
use burn::tensor::Device;
use firebrand_pretrain::DistillationConfig;
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{Decoder, ModelConfig, hugging_face};
use std::path::Path;

/// A teacher whose weights have not been read.
pub(super) struct Teacher<'a> {
    pub(super) distillation: &'a DistillationConfig,
    pub(super) model: ModelConfig,
}

impl<'a> Teacher<'a> {
    /// Looks whether there is one, and whether it sees as far as a student's sequences of `seq_len` tokens.
    pub(super) fn find(
        distillation: &'a DistillationConfig,
        seq_len: usize,
        out: &Path,
    ) -> anyhow::Result<Self> {
        let dir = &distillation.teacher;
        check_model_folder(dir).map_err(|error| usage(format!("distillation.teacher {error:#}")))?;
        if let (Ok(dir), Ok(out)) = (dir.canonicalize(), out.canonicalize())
            && dir == out
        {
            return Err(usage(format!(
                "distillation.teacher {0}: the run would be written over its teacher; choose another --out",
                dir.display()
            )));
        }
        let model = hugging_face::load_config(dir).context("distillation.teacher")?;
        if model.seq_len < seq_len {
            return Err(usage(format!(
                "distillation.teacher {0}: its context holds {1} tokens, and training.seq_len is {seq_len}: use \
                 --set training.seq_len={1}",
                dir.display(),
                model.seq_len
            )));
        }
        Ok(Self { distillation, model })
    }

    fn dir(&self) -> &Path {
        &self.distillation.teacher
    }

    /// Refuses a teacher that reads other tokens than the student.
    pub(super) fn check_tokenizer(&self, tokenizer: &HashedTokenizer) -> anyhow::Result<()> {
        let dir = self.dir().display();
        let Some(theirs) = tokenizer_hash(self.dir())? else {
            return Err(usage(format!(
                "distillation.teacher {dir}: has no tokenizer.json, so that nobody knows what its tokens are; put the one \
                 it was trained with beside its weights"
            )));
        };
        // Another program's file may be another one and say the same.
        let same = theirs == tokenizer.sha256
            || HashedTokenizer::as_written(Tokenizer::load(self.dir())?)?.sha256 == tokenizer.sha256;
        if !same {
            return Err(usage(format!(
                "distillation.teacher {dir}: its tokenizer.json is not that of this run: use it by --set \
                 data.tokenizer={dir}"
            )));
        }
        let vocab_size = tokenizer.tokenizer.vocab_size();
        if self.model.vocab_size != vocab_size {
            return Err(usage(format!(
                "distillation.teacher {dir}: it gives logits of {} tokens, and the tokenizer has {vocab_size}: a teacher \
                 needs as many",
                self.model.vocab_size
            )));
        }
        Ok(())
    }

    /// What it is, for `run.toml`.
    pub(super) fn hashes(&self) -> anyhow::Result<ModelHashes> {
        ModelHashes::of(self.dir())
    }

    /// Reads the weights. `device` may be with autodiff, and the teacher is without.
    pub(super) fn open(&self, device: &Device) -> anyhow::Result<Decoder> {
        let device = device.clone().without_autodiff();
        hugging_face::load(self.dir(), &device).context("distillation.teacher")
    }
}
