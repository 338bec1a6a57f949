//! What fine-tuning promises, on models small enough to train in a blink.

mod answering;
mod folders;
mod gradients;
mod padding;
mod runs;

use burn::tensor::Device;
use firebrand_backend::device;
use firebrand_finetune::{ClassWeights, Example, Examples, HeadOptions, Labelling, Target};
use firebrand_transformer::{
    Body, Classifier, HeadConfig, LayerKind, MlpKind, ModelConfig, ModelKind, NamedTensor, PositionKind,
    Preset, TaskKind, named_tensors, with_tensors,
};

const VOCAB_SIZE: usize = 11;
const OUTPUTS: usize = 3;

fn device(name: &str) -> Device {
    device::resolve(Some(name)).expect("the cpu and ndarray are always there").1
}

/// Two layers of width 8.
fn tiny(preset: Preset, kind: ModelKind) -> ModelConfig {
    ModelConfig { d_ff: 12, kind, ..ModelConfig::preset(preset, VOCAB_SIZE, 8, 2, 4, 12) }
}

/// A body of every kind there is.
fn bodies() -> Vec<(&'static str, ModelConfig)> {
    let lstm = ModelConfig {
        layers: LayerKind::Lstm,
        position: PositionKind::None,
        ..tiny(Preset::Llama, ModelKind::Bidirectional)
    };
    vec![
        ("llama", tiny(Preset::Llama, ModelKind::Decoder)),
        ("gpt2", tiny(Preset::Gpt2, ModelKind::Decoder)),
        ("prefix", ModelConfig { prefix_attention: true, ..tiny(Preset::Llama, ModelKind::Decoder) }),
        ("bert", tiny(Preset::Bert, ModelKind::Encoder)),
        ("bidirectional", tiny(Preset::Llama, ModelKind::Bidirectional)),
        ("lstm", lstm),
        ("permutation", tiny(Preset::Gpt2, ModelKind::Permutation)),
        // T5's own ReLU has kinks, over which finite differences step.
        ("t5", ModelConfig { mlp: MlpKind::Geglu, ..tiny(Preset::T5, ModelKind::EncoderDecoder) }),
    ]
}

const TASKS: [TaskKind; 3] = [TaskKind::Classification, TaskKind::MultiLabel, TaskKind::Regression];

/// A classifier far from its first weights.
fn model(body: &ModelConfig, task: TaskKind, device: &Device) -> Classifier {
    let labels = match task {
        TaskKind::Regression => Vec::new(),
        _ => ["a", "b", "c"].map(String::from).to_vec(),
    };
    let head = HeadConfig::for_body(body, task, labels);
    let body = Body::made(body, Some(7), device).expect("the config is a model's");
    far_from_first(Classifier::new(body, head, 5).expect("they fit"))
}

/// Larger weights, and no gain or bias at its neutral value.
fn far_from_first(model: Classifier) -> Classifier {
    // Those of LSTMs begin larger, and more would only hold their gates open or shut.
    let lstm = model.body().config().layers == LayerKind::Lstm;
    let tensors = named_tensors(&model).into_iter().map(|tensor| {
        let matrix = tensor.shape.len() == 2;
        let change = |(i, value): (usize, f32)| match matrix {
            true => value * if lstm && tensor.name != "head.weight" { 1.5 } else { 15.0 },
            false => value + 0.3 * (i as f32 * 1.7 + tensor.name.len() as f32).sin(),
        };
        let values = tensor.values.iter().copied().enumerate().map(change).collect();
        NamedTensor { values, ..tensor }
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors).expect("they are its own")
}

fn target(task: TaskKind, i: usize) -> Target {
    match task {
        TaskKind::Classification => Target::Class(i * 5 % OUTPUTS),
        TaskKind::MultiLabel => Target::Labels((0..OUTPUTS).filter(|label| (i >> label) & 1 == 1).collect()),
        TaskKind::Regression => Target::Number(i as f64 * 0.7 - 1.0),
        TaskKind::Tagging => unreachable!("no task of whole texts"),
    }
}

/// Examples of different lengths, every second one a pair.
fn examples(task: TaskKind, count: usize) -> Vec<Example> {
    let example = |i: usize| {
        let len = 2 + (i * 5) % 7;
        let ids = (0..len).map(|at| ((i * 7 + at * at * 3 + at) % VOCAB_SIZE) as u32).collect();
        Example { ids, second: (i % 2 == 1).then_some(len / 2), target: target(task, i) }
    };
    (0..count).map(example).collect()
}

fn batch(task: TaskKind, count: usize) -> Examples<Example> {
    Examples(examples(task, count))
}

/// The objective with all that it can have.
fn objective(task: TaskKind, body: &ModelConfig, dropout: f64) -> Labelling {
    let next_tokens = body.kind == ModelKind::Decoder && !body.prefix_attention;
    let classes = task == TaskKind::Classification;
    Labelling {
        options: HeadOptions {
            dropout,
            label_smoothing: if classes { 0.1 } else { 0.0 },
            class_weights: ClassWeights::None,
            lm_weight: if next_tokens { 0.5 } else { 0.0 },
            ..HeadOptions::default()
        },
        class_weights: if classes { vec![0.5, 1.0, 2.0] } else { Vec::new() },
        end_of_text: Some(0),
    }
}
