//! Tensors that are trained at rates of their own, later than others, or not at all; adapters in their place.

use crate::gradients::{check_slope, gradients, loss};
use crate::runs::{check_same, go, training};
use crate::{batch, device, model, tiny, trainer};
use burn::module::Module;
use firebrand_pretrain::Causal;
use firebrand_training::{Checkpoints, OptimizerConfig, Outcome, Rate, Rates, Trainer, TrainingConfig};
use firebrand_transformer::lora::{LoraConfig, is_adapter, with_adapters};
use firebrand_transformer::{
    Decoder, LayerGroups, ModelConfig, NamedTensor, Preset, named_tensors, read_tensors, with_tensors,
};
use std::collections::BTreeMap;
use std::path::Path;

/// A free head, so that there is a group above the layers.
fn free_head() -> ModelConfig {
    ModelConfig { tied_head: false, ..tiny(Preset::Gpt2) }
}

/// Rates by name and by the number of groups above.
fn rates(model: &Decoder, rule: impl Fn(&str, usize) -> Rate) -> Rates {
    Rates::new(LayerGroups::of(model).iter().map(|(name, depth)| (name.to_string(), rule(name, depth))))
}

/// Adapters whose two factors both are far from zero.
fn adapted(model: Decoder) -> Decoder {
    let lora = LoraConfig { rank: 2, alpha: 4.0, targets: Vec::new() };
    let model = with_adapters(model, &lora, 1).expect("a decoder has maps");
    let tensors = named_tensors(&model).into_iter().map(|tensor| match tensor.name.ends_with(".lora.b") {
        true => {
            let values = (0..tensor.values.len()).map(|i| 0.2 * (i as f32 * 1.3 + 0.5).sin());
            NamedTensor { values: values.collect(), ..tensor }
        }
        false => tensor,
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors).expect("its own")
}

/// What each method trains: head and upper layer; from the top, two steps a group; adapters and head.
fn methods() -> [(&'static str, Decoder, Rates); 3] {
    let plain = || model(&free_head(), &device("cpu").autodiff());
    let with_lora = adapted(plain());
    let frozen = rates(&plain(), |_, depth| if depth < 2 { Rate::FULL } else { Rate::FROZEN });
    let gradual = rates(&plain(), |_, depth| Rate {
        factor: 2.6_f64.powi(-(depth as i32)),
        first_step: 2 * depth as u64,
    });
    let lora = rates(
        &with_lora,
        |name, depth| if is_adapter(name) || depth == 0 { Rate::FULL } else { Rate::FROZEN },
    );
    [("frozen", plain(), frozen), ("gradual", plain(), gradual), ("lora", with_lora, lora)]
}

fn run(model: Decoder, rates: Rates, training: TrainingConfig, dir: &Path) -> Trainer<Causal> {
    let optimizer = OptimizerConfig { lr: 1e-2, weight_decay: 0.5, ..OptimizerConfig::default() };
    trainer(model, 0.1, training, optimizer, &device("cpu").autodiff(), dir).with_rates(rates)
}

fn bits(model: &Decoder) -> BTreeMap<String, Vec<u32>> {
    let bits = |tensor: NamedTensor| tensor.values.iter().map(|value| value.to_bits()).collect();
    named_tensors(model).into_iter().map(|tensor| (tensor.name.clone(), bits(tensor))).collect()
}

#[test]
fn tensors_that_are_not_trained_keep_their_bytes_and_have_no_state() {
    for (method, model, rates) in methods() {
        let before = bits(&model);
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut trainer = run(model, rates.clone(), training(), dir.path());
        let rows = batch(4, 9);
        for step in 0..5 {
            trainer.step(&rows).expect("it stays finite");
            for (name, now) in bits(trainer.model()) {
                let untouched = !(0..=step).any(|step| rates.of(&name).trains(step));
                assert_eq!(untouched, now == before[&name], "{method}: {name} after step {step}");
            }
        }
        let (outcome, _) = go(&mut trainer, Some(6));
        assert_eq!(outcome, Outcome::Interrupted);
        let state = dir.path().join("checkpoints/step-00000006/optimizer.safetensors");
        let kept: Vec<String> = read_tensors(&state).expect("saved").into_iter().map(|t| t.name).collect();
        for name in before.keys() {
            let expected = (0..6).any(|step| rates.of(name).trains(step));
            assert_eq!(kept.contains(&format!("m.{name}")), expected, "{method}: {name}");
        }
    }
}

#[test]
fn the_norm_of_gradients_is_that_of_what_is_trained() {
    for (method, model, rates) in methods() {
        let (all, _) = gradients(&model, &batch(4, 9), 1, 0.0);
        let trained = all.iter().filter(|(name, _)| rates.of(name).trains(0));
        let expected = trained.flat_map(|(_, gradient)| gradient).map(|x| x * x).sum::<f64>().sqrt();
        let one_piece = TrainingConfig { grad_accum_steps: 1, ..training() };
        let optimizer = OptimizerConfig::default();
        let unused = Path::new("unused");
        let mut trainer =
            trainer(model, 0.0, one_piece, optimizer, &device("cpu").autodiff(), unused).with_rates(rates);
        let norm = trainer.step(&batch(4, 9)).expect("it stays finite").grad_norm;
        assert!((norm - expected).abs() < 1e-5 * expected, "{method}: {norm} and {expected}");
    }
}

#[test]
fn a_thawed_tensor_begins_as_in_a_run_of_its_own_at_its_own_rate() {
    let lr = 1e-3;
    // Large gradients, so that nothing of `eps` is left; the second moment forgets slowly.
    let optimizer =
        OptimizerConfig { lr, weight_decay: 0.0, beta2: 0.999, eps: 1e-12, ..OptimizerConfig::default() };
    let model = model(&free_head(), &device("cpu").autodiff());
    let watched = "layers.0.mlp.up.weight";
    let rates = Rates::new([(watched.to_string(), Rate { factor: 0.25, first_step: 4 })]);
    let training = TrainingConfig { grad_clip_norm: 0.0, ..training() };
    let unused = Path::new("unused");
    let mut trainer =
        trainer(model, 0.0, training, optimizer, &device("cpu").autodiff(), unused).with_rates(rates);
    let rows = batch(4, 9);
    let value = |trainer: &Trainer<Causal>| {
        named_tensors(trainer.model()).into_iter().find(|t| t.name == watched).expect("it is there").values
    };
    let first = value(&trainer);
    for _ in 0..4 {
        trainer.step(&rows).expect("it stays finite");
    }
    assert_eq!(value(&trainer), first);
    trainer.step(&rows).expect("it stays finite");
    // The first update of Adam is the sign of the gradient.
    for (before, after) in first.iter().zip(value(&trainer)) {
        let moved = f64::from((after - before).abs());
        assert!((moved - 0.25 * lr).abs() < 0.01 * lr, "{moved}");
    }
}

#[test]
fn with_every_method_a_run_that_was_interrupted_and_resumed_equals_one_that_was_not() {
    for (method, model, rates) in methods() {
        let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
        let new = |dir: &Path| run(model.clone(), rates.clone(), training(), dir);
        assert_ne!(go(&mut new(whole.path()), None).0, Outcome::Interrupted, "{method}");
        // In the middle of a phase of the gradual one, and where one begins.
        for stop_at in [3, 6] {
            let (latest, _) = Checkpoints::new(parts.path()).load_latest().expect("readable");
            let mut trainer = new(parts.path());
            if let Some(latest) = latest {
                trainer = trainer.resume(latest).expect("of this model");
            }
            assert_eq!(go(&mut trainer, Some(stop_at)).0, Outcome::Interrupted, "{method}");
        }
        let (latest, _) = Checkpoints::new(parts.path()).load_latest().expect("readable");
        let mut trainer = new(parts.path()).resume(latest.expect("saved")).expect("of this model");
        assert_ne!(go(&mut trainer, None).0, Outcome::Interrupted, "{method}");
        check_same(parts.path(), whole.path());
    }
}

#[test]
fn gradients_of_adapters_agree_with_finite_differences_and_what_they_adapt_has_none() {
    let rows = batch(3, 7);
    for name in ["cpu", "ndarray"] {
        let model = adapted(model(&tiny(Preset::Llama), &device(name).autodiff()));
        let (gradients, _) = gradients(&model, &rows, 1, 0.0);
        let model = model.valid();
        let tensors = named_tensors(&model);
        for (index, tensor) in tensors.iter().enumerate() {
            if is_adapter(&tensor.name) {
                check_slope(&model, &tensors, index, &gradients[&tensor.name], |m| loss(m, &rows), name);
            }
            let adapter = format!("{}.lora.a", tensor.name);
            if tensors.iter().any(|other| other.name == adapter) {
                assert!(!gradients.contains_key(&tensor.name), "{} on {name}", tensor.name);
            }
        }
        assert_eq!(tensors.iter().filter(|tensor| is_adapter(&tensor.name)).count(), 2 * 2 * 7);
    }
}

#[test]
fn a_saved_model_with_adapters_is_what_it_computes() {
    let adapted = adapted(model(&tiny(Preset::Llama), &device("cpu")));
    let dir = tempfile::tempdir().expect("a temporary folder");
    firebrand_transformer::hugging_face::save(dir.path(), &adapted, Some(0)).expect("saved");
    let read: Decoder = firebrand_transformer::hugging_face::load(dir.path(), &device("cpu")).expect("read");
    let rows = batch(3, 7);
    assert_eq!(loss(&read, &rows), loss(&adapted, &rows));
}
