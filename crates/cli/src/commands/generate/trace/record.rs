//! What is remembered of a generation, to be shown when it is over.

use firebrand_decode::observe::{Extension, Step, Verdict};
use firebrand_decode::{Event, Generation, Observer};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Candidates of a step that are shown: enough to see what else there was, few enough that pages stay small.
const CANDIDATES: usize = 10;

/// What happened to each prompt, by its number.
#[derive(Debug, Default)]
pub(in super::super) struct Recorded {
    pub(super) sequences: BTreeMap<usize, Sequence>,
}

/// What happened to a prompt. Which of it there is depends on the strategy.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// Of a text that one id after the other was chosen for.
    pub(super) steps: Vec<Step>,
    /// Of a search: by group, what each step extended.
    pub(super) groups: BTreeMap<usize, Vec<Vec<Extension>>>,
    /// Of speculation.
    pub(super) rounds: Vec<Round>,
    /// Whole texts that were compared, the best first.
    pub(super) ranked: Vec<Generation>,
}

#[derive(Debug)]
pub(super) struct Round {
    pub(super) proposed: Vec<u32>,
    pub(super) verdicts: Vec<Verdict>,
}

impl Recorded {
    pub(super) fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::Chosen(step) => self.of(step.sequence).steps.push(step.clone()),
            Event::Extended { sequence, group, extensions } => {
                self.of(*sequence).groups.entry(*group).or_default().push(extensions.clone());
            }
            Event::Verified { sequence, proposed, verdicts } => {
                let round = Round { proposed: proposed.to_vec(), verdicts: verdicts.clone() };
                self.of(*sequence).rounds.push(round);
            }
            Event::Ranked { sequence, generations } => self.of(*sequence).ranked = generations.to_vec(),
        }
    }

    fn of(&mut self, sequence: usize) -> &mut Sequence {
        self.sequences.entry(sequence).or_default()
    }
}

/// Remembers what it is told, and hands ids on.
pub(in super::super) struct Recorder<'a> {
    recorded: &'a mut Recorded,
    inner: &'a mut dyn Observer,
}

impl<'a> Recorder<'a> {
    pub(in super::super) fn new(recorded: &'a mut Recorded, inner: &'a mut dyn Observer) -> Self {
        Self { recorded, inner }
    }
}

impl Observer for Recorder<'_> {
    fn on_token(&mut self, sequence: usize, id: u32) -> ControlFlow<()> {
        self.inner.on_token(sequence, id)
    }

    fn candidates(&self) -> usize {
        CANDIDATES
    }

    fn on_event(&mut self, event: &Event<'_>) {
        self.recorded.add(event);
    }
}
