//! `firebrand embed`: the states of a model's layers for texts.

use crate::args::{EmbedArgs, Global, Layer, Pool};
use crate::commands::masked::Frame;
use crate::exit::usage;
use crate::output::{bar, check_writable, line, say};
use crate::run::{Trained, parse_ids};
use anyhow::Context;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_transformer::{AnyModel, ModelKind, NamedTensor, ScalarMix, write_tensors};
use std::io::BufRead;

/// What is embedded: ids between those that the model expects around a text.
struct Text {
    text: Option<String>,
    ids: Vec<u32>,
    before: Option<u32>,
    after: Option<u32>,
}

pub(crate) fn run(args: &EmbedArgs, global: &Global) -> anyhow::Result<()> {
    if let Some(path) = &args.out {
        check_writable("--out", path, "embeddings.safetensors")?;
    }
    let trained = Trained::open(&args.run, global)?;
    let texts = texts(args, &trained)?;
    let config = trained.model.config();
    for (index, text) in texts.iter().enumerate() {
        let len = text.all().len();
        if text.ids.is_empty() {
            return Err(usage(format!("text {} is empty: it has no token to embed", index + 1)));
        }
        if len > config.seq_len {
            return Err(usage(format!(
                "text {} has {len} tokens, with those around it, and the model's context is {}: cut it",
                index + 1,
                config.seq_len
            )));
        }
    }
    if let Layer::One(layer) = args.layer
        && layer > config.n_layers
    {
        return Err(usage(format!(
            "--layer {layer}: the model has 0 (the embedding) to {}",
            config.n_layers
        )));
    }
    let device = trained.model.device();
    let progress = bar(global, texts.len() as u64, "embedding {bar:30} {pos}/{len}, {eta} left");
    let mut tensors = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let states = text.states(&trained.model, args.layer, &device);
        let states = match args.pool {
            Pool::None => states,
            Pool::Mean => states.mean_dim(0),
            Pool::First => states.narrow(0, 0, 1),
            Pool::Last => states.clone().narrow(0, states.dims()[0] - 1, 1),
        };
        let shape = states.dims();
        let values: Vec<f32> =
            states.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now");
        match &args.out {
            Some(_) => tensors.push(NamedTensor { name: index.to_string(), shape: shape.to_vec(), values }),
            None => text.print(&trained, args.pool, &values, shape[1])?,
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    let Some(path) = &args.out else { return Ok(()) };
    if args.pool != Pool::None {
        tensors = vec![stacked(&tensors)];
    }
    write_tensors(path, &tensors)?;
    say(global, format!("{}: {} texts", path.display(), texts.len()));
    Ok(())
}

impl Text {
    fn all(&self) -> Vec<u32> {
        self.before.iter().chain(&self.ids).chain(&self.after).copied().collect()
    }

    /// `[tokens, d]` of the text itself.
    fn states(&self, model: &AnyModel, layer: Layer, device: &Device) -> Tensor<2> {
        let ids: Vec<i32> = self.all().iter().map(|&id| id as i32).collect();
        let len = ids.len();
        let mut states =
            model.layer_states(Tensor::<2, Int>::from_data(TensorData::new(ids, [1, len]), device));
        let chosen = match layer {
            Layer::Last => states.pop().expect("a model has at least its embedding"),
            Layer::One(layer) => states.swap_remove(layer),
            Layer::Mix => ScalarMix::new(states.len(), device).forward(states),
        };
        let width = chosen.dims()[2];
        chosen.narrow(1, usize::from(self.before.is_some()), self.ids.len()).reshape([self.ids.len(), width])
    }

    fn print(&self, trained: &Trained, pool: Pool, values: &[f32], width: usize) -> anyhow::Result<()> {
        let mut result = serde_json::json!({"ids": self.ids});
        if let Some(text) = &self.text {
            result["text"] = text.clone().into();
        }
        if let Some(tokenizer) = &trained.tokenizer {
            let token = |&id: &u32| tokenizer.id_to_token(id).unwrap_or("").to_owned();
            result["tokens"] = self.ids.iter().map(token).collect::<Vec<String>>().into();
        }
        match pool {
            Pool::None => {
                result["embeddings"] = values.chunks(width).map(<[f32]>::to_vec).collect::<Vec<_>>().into()
            }
            _ => result["embedding"] = values.to_vec().into(),
        }
        line(result)
    }
}

fn texts(args: &EmbedArgs, trained: &Trained) -> anyhow::Result<Vec<Text>> {
    let end_of_text = trained.end_of_text();
    // A text begins after an end of text; whoever reads from the end begins there too. What the encoder of two stacks reads ends with
    // one.
    let (before, after) = match trained.model.config().kind {
        ModelKind::Decoder | ModelKind::Permutation => (end_of_text, None),
        ModelKind::Bidirectional => (end_of_text, end_of_text),
        ModelKind::Encoder => Frame::of(trained).ends(),
        ModelKind::EncoderDecoder => (None, end_of_text),
    };
    let mut texts = Vec::new();
    for ids in &args.ids {
        let ids = parse_ids(ids)?;
        trained.check_ids(&ids)?;
        texts.push(Text { text: None, ids, before: None, after: None });
    }
    let mut given = args.text.clone();
    if let Some(path) = &args.file {
        let content =
            std::fs::read_to_string(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
        given.extend(content.lines().map(str::to_owned));
    }
    if args.ids.is_empty() && args.text.is_empty() && args.file.is_none() {
        for text in std::io::stdin().lock().lines() {
            given.push(text.context("stdin")?);
        }
    }
    for text in given {
        let ids = trained.tokenizer()?.encode(&text);
        texts.push(Text { text: Some(text), ids, before, after });
    }
    match texts.is_empty() {
        true => Err(usage("nothing to embed: give --text, --file or --ids, or texts on stdin, one a line")),
        false => Ok(texts),
    }
}

/// One row a text, `[texts, d]`.
fn stacked(rows: &[NamedTensor]) -> NamedTensor {
    let width = rows.first().map_or(0, |row| row.shape[1]);
    let values = rows.iter().flat_map(|row| row.values.iter().copied()).collect();
    NamedTensor { name: "embeddings".into(), shape: vec![rows.len(), width], values }
}
