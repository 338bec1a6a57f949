//! Which stage needs which: edges follow from inputs that other stages make, and from `after`.

use std::collections::BTreeSet;

use anyhow::Result;

use super::file::Pipeline;
use super::template::{OUT, begins_with_path};
use crate::run_directory;

/// The stages of a pipeline by number, in an order in which they can run.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// For each stage those whose outputs it reads.
    makers: Vec<BTreeSet<usize>>,
    /// For each stage all that must end before it.
    needs: Vec<BTreeSet<usize>>,
    order: Vec<usize>,
}

impl Graph {
    /// The graph of `pipeline`.
    ///
    /// # Errors
    /// An input that nobody makes, and a cycle.
    pub(super) fn new(pipeline: &Pipeline) -> Result<Self> {
        let mut graph = Self { makers: Vec::new(), needs: Vec::new(), order: Vec::new() };
        for stage in &pipeline.stages {
            let mut makers = BTreeSet::new();
            for input in &stage.body.inputs {
                let maker = graph.maker_of(pipeline, input);
                if maker.is_none() && input.starts_with(OUT) {
                    let made = pipeline.stages.iter().flat_map(|stage| stage.body.made());
                    let near = crate::nearest::did_you_mean(input, made);
                    return Err(
                        pipeline.wrong_stage(stage, format!("no stage makes its input {input}{near}"))
                    );
                }
                makers.extend(maker);
            }
            let after = stage.body.after.iter().filter_map(|name| pipeline.stage(name));
            graph.needs.push(makers.iter().copied().chain(after).collect());
            graph.makers.push(makers);
        }
        graph.order = graph.sorted(pipeline)?;
        Ok(graph)
    }

    /// Stages in an order in which they can run.
    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    /// The stages whose outputs `stage` reads.
    pub(super) fn makers(&self, stage: usize) -> &BTreeSet<usize> {
        &self.makers[stage]
    }

    /// The stages that must end before `stage`.
    pub(super) fn needs(&self, stage: usize) -> &BTreeSet<usize> {
        &self.needs[stage]
    }

    /// `stage` and every stage that depends on it.
    pub(super) fn dependants(&self, stage: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::from([stage]);
        for &next in &self.order {
            if !self.needs[next].is_disjoint(&found) {
                found.insert(next);
            }
        }
        found
    }

    /// The stage that makes the path which the template `from` begins with.
    pub(super) fn maker_of(&self, pipeline: &Pipeline, from: &str) -> Option<usize> {
        let made = pipeline.stages.iter().enumerate().flat_map(|(number, stage)| {
            let trains = stage.body.trains.as_deref();
            stage.body.made().map(move |path| (number, path, trains == Some(path)))
        });
        let matching = made.filter(|(_, path, is_run)| {
            // Beside a run's own files anything may lie in its folder.
            let inside = from.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
            let of_run = || {
                inside.is_empty() || run_directory::FILES.iter().any(|file| begins_with_path(inside, file))
            };
            begins_with_path(from, path) && (!is_run || of_run())
        });
        matching.max_by_key(|(_, path, _)| path.len()).map(|(number, ..)| number)
    }

    fn sorted(&self, pipeline: &Pipeline) -> Result<Vec<usize>> {
        let mut order = Vec::new();
        while order.len() < pipeline.stages.len() {
            let can_run = |stage: &usize| {
                !order.contains(stage) && self.needs[*stage].iter().all(|need| order.contains(need))
            };
            let next = (0..pipeline.stages.len()).find(can_run);
            let Some(next) = next else {
                let cycle = self.cycle(&order);
                let names: Vec<&str> =
                    cycle.iter().map(|&stage| pipeline.stages[stage].name.as_str()).collect();
                let what = format!(
                    "it waits for itself: {} (each makes what the next one needs)",
                    names.join(" → ")
                );
                return Err(pipeline.wrong_stage(&pipeline.stages[cycle[0]], what));
            };
            order.push(next);
        }
        Ok(order)
    }

    /// A cycle among the stages that are not in `done`, its first stage at the end again.
    fn cycle(&self, done: &[usize]) -> Vec<usize> {
        let open = |stage: &usize| !done.contains(stage);
        let mut path: Vec<usize> = (0..self.needs.len()).find(open).into_iter().collect();
        // Each open stage needs an open one: following them comes back to a stage of the path.
        while let Some(next) = path.last().and_then(|&last| self.needs[last].iter().copied().find(open)) {
            if let Some(start) = path.iter().position(|&stage| stage == next) {
                let mut cycle = path.split_off(start);
                cycle.push(next);
                // From who makes to who needs.
                cycle.reverse();
                return cycle;
            }
            path.push(next);
        }
        path
    }
}
