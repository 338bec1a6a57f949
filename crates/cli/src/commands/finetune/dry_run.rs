//! `firebrand finetune --dry-run`: what would be trained, on what, and what memory it takes.

use crate::args::Global;
use crate::commands::training::estimate;
use crate::config::FinetuneConfig;
use crate::output::{line, thousands};
use crate::table::{self, Column};
use burn::module::Module;
use firebrand_corpus::labelled::Loaded;
use firebrand_training::{MemoryEstimate, TrainingConfig};
use firebrand_transformer::{LayerGroups, ModelConfig, tensor_handles};
use serde_json::{Value, json};

/// A run that is not made.
pub(super) struct Planned<'a> {
    pub(super) config: &'a FinetuneConfig,
    pub(super) training: &'a TrainingConfig,
    pub(super) body: &'a ModelConfig,
    pub(super) loaded: &'a Loaded,
    /// How many rows there are to train on, which an epoch is counted in.
    pub(super) rows: usize,
    /// The tokens of the longest of these.
    pub(super) longest: usize,
    pub(super) device: &'a str,
    /// How many such runs the command makes.
    pub(super) runs: usize,
}

impl Planned<'_> {
    /// Prints it, with `model` as it would be trained.
    pub(super) fn print<M: Module>(
        &self,
        model: &M,
        groups: &LayerGroups,
        global: &Global,
    ) -> anyhow::Result<()> {
        let Self { config, training, device, runs, .. } = self;
        let rates = config.method.rates(groups, 1);
        let (mut all, mut trained) = (0_usize, 0_usize);
        for tensor in tensor_handles(model) {
            let numbers: usize = tensor.shape.iter().product();
            all += numbers;
            trained += if rates.of(&tensor.name).factor > 0.0 { numbers } else { 0 };
        }
        let memory = self.memory(all, trained);
        estimate::warn(&memory);
        let epochs = (training.steps * training.batch_size as u64) as f64 / self.rows.max(1) as f64;
        if global.json {
            return line(json!({
                "runs": runs, "n_params": all, "trained": trained, "frozen": all - trained, "device": device,
                "steps": training.steps, "batch_size": training.batch_size, "epochs": epochs,
                "adapt_steps": config.adapt.steps, "examples": self.examples(), "labels": self.labels(),
                "memory": memory, "config": config,
            }));
        }
        let count = |count: usize| thousands(count as u64);
        if *runs > 1 {
            line(format!("# the first of {runs} runs"))?;
        }
        line(format!(
            "# {} parameters, of which {} are trained and {} stay as they are (method.kind {}), on {device}",
            count(all),
            count(trained),
            count(all - trained),
            config.method.kind.name()
        ))?;
        let [train, held_out, test] = self.parts().map(count);
        line(format!("# {train} examples to train on, {held_out} held out, {test} to test on"))?;
        self.table().into_iter().try_for_each(|row| line(format!("#   {row}")))?;
        if config.adapt.steps > 0 {
            line(format!("# {} steps of pretraining on the texts first", thousands(config.adapt.steps)))?;
        }
        line(format!(
            "# {} steps of {} examples ({epochs:.1} epochs), the longest of {} tokens",
            thousands(training.steps),
            count(training.batch_size),
            count(self.longest)
        ))?;
        line(format!("# {}", estimate::shown(&memory, device)))?;
        line(toml::to_string(config)?.trim_end())
    }

    /// What is not trained has no gradients, and the optimizer keeps nothing of it.
    fn memory(&self, all: usize, trained: usize) -> MemoryEstimate {
        let training = TrainingConfig { seq_len: self.longest.max(1), ..self.training.clone() };
        let estimate = MemoryEstimate::new(self.body, &training, &self.config.optimizer, 0, None);
        let share = |bytes: usize| (bytes as f64 * trained as f64 / all.max(1) as f64) as usize;
        let optimizer = share(estimate.optimizer);
        MemoryEstimate {
            optimizer,
            gradients: share(estimate.gradients),
            peak: estimate.peak - (estimate.optimizer - optimizer),
            ..estimate
        }
    }

    fn parts(&self) -> [usize; 3] {
        let Loaded { train, held_out, test, .. } = self.loaded;
        [train, held_out, test].map(Vec::len)
    }

    fn examples(&self) -> Value {
        let [train, held_out, test] = self.parts();
        json!({"train": train, "held_out": held_out, "test": test})
    }

    fn labels(&self) -> Value {
        let [train, held_out, test] = self.label_counts();
        let label = |(place, name): (usize, &String)| {
            let (train, held_out, test) = (train[place], held_out[place], test[place]);
            json!({"label": name, "train": train, "held_out": held_out, "test": test})
        };
        self.loaded.labels.names().iter().enumerate().map(label).collect()
    }

    /// How many examples of each part have each label.
    fn label_counts(&self) -> [Vec<usize>; 3] {
        let Loaded { train, held_out, test, labels, .. } = self.loaded;
        [train, held_out, test].map(|part| {
            let mut counts = vec![0; labels.len()];
            part.iter().flat_map(|example| example.target.labels()).for_each(|label| counts[label] += 1);
            counts
        })
    }

    /// The same for people; nothing where there are no labels.
    fn table(&self) -> Vec<String> {
        let names = self.loaded.labels.names();
        if names.is_empty() {
            return Vec::new();
        }
        let numbers = self.label_counts().into_iter().zip(["train", "held out", "test"]);
        let column = |(counts, heading): (Vec<usize>, &str)| {
            Column::new(heading, true, 8, counts.into_iter().map(|count| thousands(count as u64)).collect())
        };
        let columns = std::iter::once(Column::new("label", false, 9, names.to_vec()));
        table::lines(&columns.chain(numbers.map(column)).collect::<Vec<_>>())
    }
}
