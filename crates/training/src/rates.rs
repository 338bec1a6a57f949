//! Learning rates that differ from tensor to tensor, and tensors that are not trained at all, or not yet.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// How one tensor is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The factor on the learning rate of the schedule; 0: the tensor stays as it is, to the bit.
    pub factor: f64,
    /// The first step that trains it, from 0; it stays as it is until then. What the optimizer keeps of it begins there too.
    pub first_step: u64,
}

impl Rate {
    /// The schedule's rate from the first step on.
    pub const FULL: Self = Self { factor: 1.0, first_step: 0 };

    /// Never trained.
    pub const FROZEN: Self = Self { factor: 0.0, first_step: 0 };

    /// Whether step `step`, from 0, trains it.
    pub fn trains(self, step: u64) -> bool {
        self.factor > 0.0 && step >= self.first_step
    }
}

/// The rate of each tensor, by name; tensors without one have [`Rate::FULL`].
///
/// A tensor that a step does not train has no gradient there, and no operation computes one: the graph does not know it. It has no
/// state in the optimizer, counts neither for the norm of gradients nor for weight decay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates(BTreeMap<String, Rate>);

impl Rates {
    /// These rates.
    pub fn new(rates: impl IntoIterator<Item = (String, Rate)>) -> Self {
        Self(rates.into_iter().filter(|(_, rate)| *rate != Rate::FULL).collect())
    }

    /// That of one tensor.
    pub fn of(&self, tensor: &str) -> Rate {
        self.0.get(tensor).copied().unwrap_or(Rate::FULL)
    }

    /// How many times before step `step`, that step included, other tensors began to be trained; `None` where all are from the start.
    pub(crate) fn phase(&self, step: u64) -> Option<usize> {
        let trained = self.0.values().filter(|rate| rate.factor > 0.0);
        let starts: BTreeSet<u64> = trained.map(|rate| rate.first_step).filter(|&first| first > 0).collect();
        let frozen = self.0.values().any(|rate| !rate.trains(0));
        frozen.then(|| starts.range(..=step).count())
    }

    /// `module` with gradients for what step `step` trains, and for nothing else.
    pub(crate) fn applied<M: Module>(&self, module: M, step: u64) -> M {
        module.map(&mut Thaw { path: Vec::new(), rates: self, step })
    }
}

struct Thaw<'a> {
    path: Vec<String>,
    rates: &'a Rates,
    step: u64,
}

impl ModuleMapper for Thaw<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.set_require_grad(self.rates.of(&self.path.join(".")).trains(self.step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_begins_where_tensors_are_thawed() {
        let rate = |factor, first_step| Rate { factor, first_step };
        let rates = Rates::new([
            ("head".to_string(), Rate::FULL),
            ("upper".to_string(), rate(0.5, 3)),
            ("lower".to_string(), rate(0.25, 6)),
            ("embedding".to_string(), Rate::FROZEN),
        ]);
        let phases = [0, 2, 3, 5, 6, 100].map(|step| rates.phase(step));
        assert_eq!(phases, [0, 0, 1, 1, 2, 2].map(Some));
        assert_eq!(Rates::default().phase(7), None);
        assert_eq!(Rates::new([("upper".to_string(), rate(0.5, 0))]).phase(7), None);
    }

    #[test]
    fn a_tensor_is_trained_from_its_first_step_on() {
        let rates = Rates::new([("upper".to_string(), Rate { factor: 0.5, first_step: 3 })]);
        assert_eq!([0, 2, 3, 9].map(|step| rates.of("upper").trains(step)), [false, false, true, true]);
        assert!(rates.of("any other").trains(0) && !Rate::FROZEN.trains(u64::MAX));
    }
}
