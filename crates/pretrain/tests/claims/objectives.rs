//! What holds for every objective: the same promises, tested on each of the registry below.

use crate::masked::{masked_lm, masking, next_sentence, tiny_encoder};
use crate::{VOCAB_SIZE, batch, device, elmo, far_from_first, noise, tiny, windows};
use burn::module::Module;
use burn::tensor::Device;
use firebrand_corpus::batches::{Order, TokenBatch, WindowOrder};
use firebrand_corpus::shards::TokenSplit;
use firebrand_pretrain::{
    BidirectionalLm, Causal, Denoising, DenoisingConfig, EncoderDecoderLm, FillInTheMiddle, MaskedLm,
    MiddleTokens, Mixture, MixtureConfig, ModeTokens, NextSentence, PermutationLm, PrefixLm, ReplacedToken,
    ReplacedTokenConfig, Sentinels, SpanCorruption, SpanCorruptionConfig,
};
use firebrand_training::{
    Alone, BatchKey, Checkpoints, Event, Objective, OptimizerConfig, OptimizerKind, Outcome, ScheduleConfig,
    ScheduleKind, Trainer, TrainingConfig, gradients_of_step, read_metrics,
};
use firebrand_transformer::{
    EncoderHeads, Model, ModelConfig, ModelKind, NamedTensor, Preset, hugging_face, named_tensors,
    with_tensors,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// An objective, and a model small enough to be trained in a blink.
pub(crate) trait Case {
    type Objective: Objective<Model: Model, Rows = TokenBatch>;
    fn objective(dropout: f64) -> Self::Objective;
    fn config() -> ModelConfig;
    /// How far finite differences go: less for a model whose loss is more curved.
    const DISTANCE: f64 = 1e-2;
    /// Tensors that this objective has no use for, such as a head that only another part of the model needs.
    fn is_trained(name: &str) -> bool {
        let _ = name;
        true
    }
}

type ModelOf<C> = <<C as Case>::Objective as Objective>::Model;

pub(crate) struct OfCausal;

impl Case for OfCausal {
    type Objective = Causal;
    fn objective(dropout: f64) -> Causal {
        Causal { dropout, end_of_text: Some(0) }
    }
    fn config() -> ModelConfig {
        tiny(Preset::Llama)
    }
}

pub(crate) struct OfBidirectional;

impl Case for OfBidirectional {
    type Objective = BidirectionalLm;
    fn objective(dropout: f64) -> BidirectionalLm {
        BidirectionalLm { dropout, end_of_text: Some(0) }
    }
    fn config() -> ModelConfig {
        ModelConfig { kind: ModelKind::Bidirectional, ..tiny(Preset::Gpt2) }
    }
}

/// An encoder–decoder has room for what an objective adds to a row.
fn encoder_decoder(preset: Preset) -> ModelConfig {
    ModelConfig { kind: ModelKind::EncoderDecoder, seq_len: 10, ..tiny(preset) }
}

/// Special tokens at the top of the vocabulary.
pub(crate) fn special(name: &str) -> Option<u32> {
    let names = ["[X]", "[S]", "[R]", "<extra_id_1>", "<extra_id_0>"];
    let at = names.iter().position(|known| *known == name)?;
    Some((VOCAB_SIZE - names.len() + at) as u32)
}

pub(crate) struct OfSpanCorruption;

impl Case for OfSpanCorruption {
    type Objective = EncoderDecoderLm<SpanCorruption>;
    fn objective(dropout: f64) -> Self::Objective {
        let spans = SpanCorruptionConfig { rate: 0.3, mean_span: 1.0 }.spans();
        let noising = SpanCorruption { spans, sentinels: Sentinels::of(special), end_of_text: 0 };
        EncoderDecoderLm { noising, dropout, end_of_text: 0 }
    }
    fn config() -> ModelConfig {
        ModelConfig { n_decoder_layers: Some(1), ..encoder_decoder(Preset::T5) }
    }
}

pub(crate) struct OfDenoising;

impl Case for OfDenoising {
    type Objective = EncoderDecoderLm<Denoising>;
    fn objective(dropout: f64) -> Self::Objective {
        let ends_sentence = vec![false, false, true].into();
        let config = DenoisingConfig::default();
        let noising = Denoising { config, mask: VOCAB_SIZE as u32 - 1, end_of_text: 0, ends_sentence };
        EncoderDecoderLm { noising, dropout, end_of_text: 0 }
    }
    fn config() -> ModelConfig {
        encoder_decoder(Preset::Gpt2)
    }
}

pub(crate) struct OfMixture;

impl Case for OfMixture {
    type Objective = EncoderDecoderLm<Mixture>;
    fn objective(dropout: f64) -> Self::Objective {
        let modes = ModeTokens::of(special).expect("all three are there");
        let sentinels = Sentinels::of(special);
        let noising = Mixture { config: MixtureConfig::default(), modes, sentinels, end_of_text: 0 };
        EncoderDecoderLm { noising, dropout, end_of_text: 0 }
    }
    fn config() -> ModelConfig {
        encoder_decoder(Preset::Llama)
    }
}

pub(crate) struct OfLstm;

impl Case for OfLstm {
    type Objective = BidirectionalLm;
    fn objective(dropout: f64) -> BidirectionalLm {
        BidirectionalLm { dropout, end_of_text: Some(0) }
    }
    fn config() -> ModelConfig {
        elmo(false)
    }
}

pub(crate) struct OfCharacters;

impl Case for OfCharacters {
    type Objective = BidirectionalLm;
    fn objective(dropout: f64) -> BidirectionalLm {
        BidirectionalLm { dropout, end_of_text: Some(0) }
    }
    fn config() -> ModelConfig {
        elmo(true)
    }
    const DISTANCE: f64 = 3e-3;
}

pub(crate) struct OfFillInTheMiddle;

impl Case for OfFillInTheMiddle {
    type Objective = FillInTheMiddle;
    fn objective(dropout: f64) -> FillInTheMiddle {
        let tokens = MiddleTokens { prefix: 11, suffix: 12, middle: 13, end_of_text: 0 };
        FillInTheMiddle { probability: 0.5, tokens, causal: OfCausal::objective(dropout) }
    }
    fn config() -> ModelConfig {
        ModelConfig { vocab_size: VOCAB_SIZE + 3, ..tiny(Preset::Llama) }
    }
}

pub(crate) struct OfPrefix;

impl Case for OfPrefix {
    type Objective = PrefixLm;
    fn objective(dropout: f64) -> PrefixLm {
        PrefixLm { dropout, end_of_text: Some(0) }
    }
    fn config() -> ModelConfig {
        ModelConfig { prefix_attention: true, ..tiny(Preset::Llama) }
    }
}

pub(crate) struct OfPermutation;

impl Case for OfPermutation {
    type Objective = PermutationLm;
    fn objective(dropout: f64) -> PermutationLm {
        PermutationLm { predict: 3, dropout, end_of_text: Some(0) }
    }
    fn config() -> ModelConfig {
        ModelConfig { kind: ModelKind::Permutation, ..tiny(Preset::Gpt2) }
    }
}

pub(crate) struct OfMasked;

impl Case for OfMasked {
    type Objective = MaskedLm;
    fn objective(dropout: f64) -> MaskedLm {
        MaskedLm { dropout, ..masked_lm() }
    }
    fn config() -> ModelConfig {
        tiny_encoder(Preset::Bert)
    }
}

pub(crate) struct OfMaskedWithNextSentence;

impl Case for OfMaskedWithNextSentence {
    type Objective = MaskedLm;
    fn objective(dropout: f64) -> MaskedLm {
        // Few other segments: a batch can be learned by heart.
        let texts = TokenSplit::from_ids(noise(4, 21), VOCAB_SIZE, 4, 1).expect("ids of the vocabulary");
        let next = NextSentence { training: texts.clone(), evaluation: texts, ..next_sentence(8) };
        MaskedLm { dropout, next_sentence: Some(next), ..masked_lm() }
    }
    fn config() -> ModelConfig {
        let config = tiny_encoder(Preset::Bert);
        ModelConfig { heads: EncoderHeads { next_sentence: true, ..config.heads }, ..config }
    }
}

pub(crate) struct OfMaskedWithRotaryLayers;

impl Case for OfMaskedWithRotaryLayers {
    type Objective = MaskedLm;
    fn objective(dropout: f64) -> MaskedLm {
        MaskedLm { dropout, ..masked_lm() }
    }
    fn config() -> ModelConfig {
        tiny_encoder(Preset::Llama)
    }
}

pub(crate) struct OfReplacedToken;

impl Case for OfReplacedToken {
    type Objective = ReplacedToken;
    fn objective(dropout: f64) -> ReplacedToken {
        // Fifty times the rounding of a loss would be more than the gradients are compared by.
        let options = ReplacedTokenConfig { weight: 5.0, ..ReplacedTokenConfig::default() };
        ReplacedToken::new(&options, masking(), dropout, Some(0))
    }
    fn config() -> ModelConfig {
        let config = tiny_encoder(Preset::Bert);
        let options = ReplacedTokenConfig { generator_size: 0.5, ..ReplacedTokenConfig::default() };
        let heads = EncoderHeads { replaced: true, ..EncoderHeads::default() };
        ModelConfig { heads, generator: Some(options.generator(&config)), ..config }
    }
}

macro_rules! claims {
    ($($name:ident: $case:ty,)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn gradients_agree_with_finite_differences() {
                check_gradients::<$case>("cpu");
                check_gradients::<$case>("ndarray");
            }

            #[test]
            fn a_steps_gradient_does_not_depend_on_micro_batches() {
                check_micro_batches::<$case>();
            }

            #[test]
            fn a_run_that_was_interrupted_and_resumed_equals_one_that_was_not() {
                check_resumed::<$case>();
            }

            #[test]
            fn twenty_steps_on_ndarray_give_the_losses_of_the_cpu() {
                check_devices::<$case>();
            }

            #[test]
            fn checkpointing_changes_no_number() {
                check_checkpointing::<$case>();
            }

            #[test]
            fn what_a_run_exports_is_read_back_to_the_last_bit() {
                check_export::<$case>();
            }

            #[test]
            fn it_learns_a_batch_by_heart() {
                check_learns::<$case>();
            }
        }
    )*};
}

// Every objective there is.
claims! {
    causal: OfCausal,
    bidirectional: OfBidirectional,
    span_corruption: OfSpanCorruption,
    denoising: OfDenoising,
    mixture: OfMixture,
    fill_in_the_middle: OfFillInTheMiddle,
    prefix: OfPrefix,
    permutation: OfPermutation,
    masked: OfMasked,
    masked_with_next_sentence: OfMaskedWithNextSentence,
    masked_with_rotary_layers: OfMaskedWithRotaryLayers,
    replaced_token: OfReplacedToken,
    bidirectional_of_lstm_layers: OfLstm,
    bidirectional_of_characters: OfCharacters,
}

const KEY: BatchKey = BatchKey { seed: 3, step: 4, first_example: 0, training: true };

fn model<C: Case>(device: &Device) -> ModelOf<C> {
    far_from_first(ModelOf::<C>::new(&C::config(), 7, device).expect("the config is a model's"))
}

type Gradients = BTreeMap<String, Vec<f64>>;

fn gradients<C: Case>(
    model: &ModelOf<C>,
    rows: &TokenBatch,
    pieces: usize,
    dropout: f64,
) -> (Gradients, f64) {
    let (gradients, terms) =
        gradients_of_step(&C::objective(dropout), model, rows, pieces, KEY, &model.device(), &mut Alone);
    let on_host = |(name, tensor): (&str, &burn::tensor::Tensor<1>)| {
        let values = tensor.clone().into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
        (name.to_string(), values.into_iter().map(f64::from).collect())
    };
    (gradients.iter().map(on_host).collect(), terms.iter().map(|term| term.1).sum())
}

/// The loss without a graph.
fn loss<C: Case>(model: &ModelOf<C>, rows: &TokenBatch) -> f64 {
    let objective = C::objective(0.0);
    let batch = objective.prepare(rows, KEY, &model.device());
    let counts = objective.counts(&batch);
    let terms = objective.loss(model, batch).into_iter().zip(counts);
    terms
        .map(|(term, count)| term.weight * f64::from(term.nats.into_scalar::<f32>()) / count.max(1) as f64)
        .sum()
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn check_gradients<C: Case>(device_name: &str) {
    let model = model::<C>(&device(device_name).autodiff());
    let rows = batch(3, 9);
    let (gradients, _) = gradients::<C>(&model, &rows, 1, 0.0);
    let model = model.valid();
    let tensors = named_tensors(&model);
    for (index, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| C::is_trained(&tensor.name)) {
        let gradient =
            gradients.get(&tensor.name).unwrap_or_else(|| panic!("{} has no gradient", tensor.name));
        let length = norm(gradient);
        assert!(length > 0.0, "{} has a gradient of zeros", tensor.name);
        let loss_at = |step: f64| {
            let mut tensors = tensors.clone();
            for (value, gradient) in tensors[index].values.iter_mut().zip(gradient) {
                *value = (f64::from(*value) + step * gradient / length) as f32;
            }
            loss::<C>(&with_tensors(model.clone(), tensors).expect("they are its own"), &rows)
        };
        let h = C::DISTANCE;
        let slope = (8.0 * (loss_at(h) - loss_at(-h)) - (loss_at(2.0 * h) - loss_at(-2.0 * h))) / (12.0 * h);
        assert!(
            (slope - length).abs() <= 0.02 * length + 1e-4,
            "{} on {device_name}: a gradient of {length:.6}, but the loss rises by {slope:.6}",
            tensor.name
        );
    }
}

fn check_micro_batches<C: Case>() {
    let model = model::<C>(&device("cpu").autodiff());
    let rows = batch(6, 9);
    for dropout in [0.0, 0.2] {
        let (whole, whole_loss) = gradients::<C>(&model, &rows, 1, dropout);
        for pieces in [2, 3, 4, 6] {
            let (cut, loss) = gradients::<C>(&model, &rows, pieces, dropout);
            assert!((loss / whole_loss - 1.0).abs() < 1e-5, "{pieces} pieces: {loss} and {whole_loss}");
            for (name, whole) in &whole {
                let difference: Vec<f64> = whole.iter().zip(&cut[name]).map(|(a, b)| a - b).collect();
                let (difference, norm) = (norm(&difference), norm(whole));
                assert!(
                    difference <= 1e-5 * norm + 1e-7,
                    "{name} in {pieces} pieces: {difference:e} of {norm:e}"
                );
            }
        }
    }
}

fn trainer<C: Case>(
    dropout: f64,
    training: TrainingConfig,
    device: &Device,
    dir: &Path,
) -> Trainer<C::Objective> {
    let optimizer = OptimizerConfig { kind: OptimizerKind::Muon, lr: 5e-3, ..OptimizerConfig::default() };
    let schedule =
        ScheduleConfig { kind: ScheduleKind::Constant, warmup_steps: 0, ..ScheduleConfig::default() };
    let model = model::<C>(device).with_checkpointing(training.activation_checkpointing);
    Trainer::new(C::objective(dropout), model, training, optimizer, schedule, 3, device, dir)
        .expect("the configs make sense")
}

fn training() -> TrainingConfig {
    TrainingConfig {
        steps: 8,
        batch_size: 4,
        grad_accum_steps: 2,
        seq_len: 8,
        eval_every: 3,
        log_every: 1,
        checkpoint_every: 4,
        ..TrainingConfig::default()
    }
}

fn split(len: usize, salt: u64) -> TokenSplit {
    TokenSplit::from_ids(noise(len, salt), VOCAB_SIZE, len as u64, 1).expect("ids of the vocabulary")
}

/// Runs until it ends, or is interrupted during step `stop_at`.
fn go<O: Objective<Rows = TokenBatch>>(trainer: &mut Trainer<O>, stop_at: Option<u64>) -> Outcome {
    let (train, held_out) = (split(200, 1), split(61, 2));
    let order = WindowOrder::new(train.len(), 8, 3, Order::Epochs).expect("long enough");
    let data = windows(&train, &order, Some(&held_out));
    let stop = AtomicBool::new(false);
    let outcome = trainer.run(&data, &stop, &mut |event| match event {
        Event::Step(report) if Some(report.step) == stop_at => stop.store(true, Ordering::Relaxed),
        _ => {}
    });
    outcome.expect("nothing goes wrong")
}

fn check_resumed<C: Case>() {
    let [expected, dir] = [0, 1].map(|_| tempfile::tempdir().expect("a temporary folder"));
    let device = device("cpu").autodiff();
    let new = |dir: &Path| trainer::<C>(0.1, training(), &device, dir);
    assert_ne!(go(&mut new(expected.path()), None), Outcome::Interrupted);
    assert_eq!(go(&mut new(dir.path()), Some(5)), Outcome::Interrupted);
    let (latest, _) = Checkpoints::new(dir.path()).load_latest().expect("readable");
    let mut resumed = new(dir.path()).resume(latest.expect("saved")).expect("it is of this model");
    assert_ne!(go(&mut resumed, None), Outcome::Interrupted);
    for file in ["checkpoints/step-00000008/model.safetensors", "checkpoints/best/model.safetensors"] {
        let [a, b] = [&dir, &expected].map(|dir| std::fs::read(dir.path().join(file)).expect("written"));
        assert!(a == b, "{file} differs");
    }
    let [a, b] = [&dir, &expected].map(|dir| {
        let mut lines = read_metrics(&dir.path().join("metrics.jsonl")).expect("readable");
        lines.iter_mut().for_each(|line| line.retain(|key, _| key != "tokens_per_s" && key != "seconds"));
        lines
    });
    assert_eq!(a, b);
    assert!(a.iter().all(|line| line["train_loss"].as_f64().is_some_and(f64::is_finite)));
}

fn losses<C: Case>(device_name: &str, training: TrainingConfig) -> Vec<f64> {
    let device = device(device_name).autodiff();
    let training = TrainingConfig { steps: 20, batch_size: 2, grad_accum_steps: 1, seq_len: 8, ..training };
    let mut trainer = trainer::<C>(0.1, training, &device, Path::new("unused"));
    let all = batch(2 * 20, 9);
    let steps = all.ids.chunks(2 * 9).map(|ids| {
        let rows = TokenBatch { ids: ids.to_vec(), rows: 2, len: 9 };
        trainer.step(&rows).expect("finite").loss
    });
    steps.collect()
}

fn check_devices<C: Case>() {
    let (expected, actual) = (losses::<C>("cpu", training()), losses::<C>("ndarray", training()));
    for (step, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        assert!((actual / expected - 1.0).abs() <= 0.01, "step {}: {expected} and {actual}", step + 1);
    }
}

fn check_checkpointing<C: Case>() {
    let checkpointed = TrainingConfig { activation_checkpointing: true, ..training() };
    assert_eq!(losses::<C>("cpu", checkpointed), losses::<C>("cpu", training()));
}

fn check_export<C: Case>() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let model = model::<C>(&device("cpu"));
    C::objective(0.0).export(&model, dir.path()).expect("written");
    let read: ModelOf<C> = hugging_face::load(dir.path(), &device("cpu")).expect("a model folder");
    assert_eq!(read.config(), model.config());
    let sorted = |model: &ModelOf<C>| {
        let mut tensors: Vec<NamedTensor> = named_tensors(model);
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        tensors
    };
    assert_eq!(sorted(&read), sorted(&model));
    let numbers: usize = named_tensors(&model).iter().map(|tensor| tensor.values.len()).sum();
    assert_eq!(model.config().n_params(), numbers);
    assert_eq!(hugging_face::load_any(dir.path(), &device("cpu")).expect("a model").config(), model.config());
}

fn check_learns<C: Case>() {
    let device = device("cpu").autodiff();
    let training = TrainingConfig { steps: 300, batch_size: 2, grad_accum_steps: 1, ..training() };
    let optimizer = OptimizerConfig { lr: 1e-2, ..OptimizerConfig::default() };
    let schedule =
        ScheduleConfig { kind: ScheduleKind::Constant, warmup_steps: 0, ..ScheduleConfig::default() };
    let model = ModelOf::<C>::new(&C::config(), 7, &device).expect("a model");
    let mut trainer = Trainer::new(
        C::objective(0.0),
        model,
        training,
        optimizer,
        schedule,
        3,
        &device,
        Path::new("unused"),
    )
    .expect("the configs make sense");
    let rows = batch(2, 9);
    let first = trainer.step(&rows).expect("finite").loss;
    let last: f64 = (0..299).map(|_| trainer.step(&rows).expect("finite").loss).skip(289).sum::<f64>() / 10.0;
    assert!(last < 0.5 * first, "it began at {first} and ends at {last}");
}
