//! Running what is to be run: independent stages side by side, within a budget of threads.
//!
//! Whether a stage has anything to do is decided once all it needs is there, from contents alone; so what comes of a
//! pipeline does not depend on what ran beside what. After a failure everything that does not depend on it still runs.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, Scope};
use std::time::Duration;

use anyhow::Result;

use super::child::{Sign, Work};
use super::decide::{Decision, Judge, Start};
use super::expand::Instance;
use super::view::View;
use crate::failure::Failure;
use crate::process;

/// How often the view is drawn anew, and Ctrl-C looked for.
const TICK: Duration = Duration::from_millis(100);

/// Where a stage stands.
#[derive(Debug)]
enum Standing {
    /// It needs what is not there yet.
    Waiting,
    /// It is found out what it has to do.
    Deciding,
    /// It runs as soon as there are threads for it.
    Ready(Box<Start>),
    Running,
    Done,
    /// It failed, or something it needs did.
    Failed,
}

/// How it ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// What went wrong, in the order it did.
    pub(super) errors: Vec<anyhow::Error>,
    /// Instances that are done: run or skipped.
    pub(super) done: Vec<bool>,
    /// How many of them had something to do.
    pub(super) ran: usize,
    /// Seconds that making everything took, now or then.
    pub(super) seconds: f64,
}

enum Event {
    Decided(Result<Decision>),
    Sign(Sign),
    Ended(Result<f64>),
}

/// What is to be run and how.
#[derive(Debug)]
pub(super) struct Schedule<'a> {
    pub(super) judge: &'a Judge<'a>,
    pub(super) firebrand: &'a Path,
    pub(super) instances: &'a [Instance],
    /// Threads that may be busy at once. A stage that wants more runs alone.
    pub(super) budget: usize,
    /// Whether a run may be replaced by another.
    pub(super) may_replace_runs: bool,
}

impl Schedule<'_> {
    /// Runs everything, and returns when nothing runs any more.
    pub(super) fn run(&self, view: &mut View) -> Ended {
        let mut standings: Vec<Standing> = self.instances.iter().map(|_| Standing::Waiting).collect();
        let mut ended = Ended { done: vec![false; self.instances.len()], ..Ended::default() };
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            loop {
                self.advance(scope, &sender, &mut standings, &mut ended, view);
                if !standings.iter().any(|it| matches!(it, Standing::Deciding | Standing::Running)) {
                    break;
                }
                view.tick();
                let (number, event) = match receiver.recv_timeout(TICK) {
                    Ok(event) => event,
                    Err(RecvTimeoutError::Timeout) => continue,
                    // Impossible: a sender lives in this function.
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                standings[number] = match event {
                    Event::Sign(sign) => {
                        view.sign(number, &sign);
                        continue;
                    }
                    Event::Decided(Ok(Decision::Skip { seconds })) => {
                        view.skipped(number);
                        ended.done[number] = true;
                        ended.seconds += seconds;
                        Standing::Done
                    }
                    Event::Decided(Ok(Decision::Run(start))) => Standing::Ready(start),
                    Event::Ended(Ok(seconds)) => {
                        view.done(number, seconds);
                        ended.done[number] = true;
                        ended.seconds += seconds;
                        Standing::Done
                    }
                    Event::Decided(Err(error)) | Event::Ended(Err(error)) => {
                        let interrupted = matches!(error.downcast_ref(), Some(Failure::Interrupted { .. }));
                        view.failed(number, if interrupted { "stopped" } else { "failed" });
                        ended.errors.push(error);
                        Standing::Failed
                    }
                };
            }
        });
        if process::interrupts() > 0 && ended.errors.is_empty() && ended.done.contains(&false) {
            ended.errors.push(Failure::Interrupted { what: "between two stages".to_owned() }.into());
        }
        ended
    }

    /// Starts whatever can be started.
    fn advance<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        sender: &Sender<(usize, Event)>,
        standings: &mut [Standing],
        ended: &mut Ended,
        view: &mut View,
    ) {
        for (number, instance) in self.instances.iter().enumerate() {
            if process::interrupts() > 0 {
                return;
            }
            let needs = || instance.needs.iter().map(|&need| &standings[need]);
            match standings[number] {
                Standing::Waiting if needs().any(|need| matches!(need, Standing::Failed)) => {
                    standings[number] = Standing::Failed;
                    view.failed(number, "not run: something it needs failed");
                }
                Standing::Waiting if needs().all(|need| matches!(need, Standing::Done)) => {
                    standings[number] = Standing::Deciding;
                    let sender = sender.clone();
                    scope.spawn(move || send(&sender, number, Event::Decided(self.decide(instance))));
                }
                Standing::Ready(_) if self.fits(instance, standings) => {
                    let decision = std::mem::replace(&mut standings[number], Standing::Running);
                    let Standing::Ready(start) = decision else { continue };
                    view.starts(number, &start.why);
                    ended.ran += 1;
                    let work = Work { judge: self.judge, firebrand: self.firebrand, instance, start: *start };
                    let sender = sender.clone();
                    scope.spawn(move || {
                        let tell = |sign| send(&sender, number, Event::Sign(sign));
                        let result = work.run(&tell);
                        send(&sender, number, Event::Ended(result));
                    });
                }
                _ => {}
            }
        }
    }

    fn decide(&self, instance: &Instance) -> Result<Decision> {
        let decision = self.judge.decide(instance)?;
        if let Decision::Run(start) = &decision
            && let Some(run) = instance.run().filter(|_| self.would_replace_run(start))
        {
            let why = &start.why;
            return Err(Failure::Usage(format!(
                "{} holds a run, which is kept, but {why}.\n\
                 Choose another --out for a new run, or train it anew with --force.",
                crate::paths::shown(&self.judge.resolve(run))
            ))
            .into());
        }
        Ok(decision)
    }

    fn would_replace_run(&self, start: &Start) -> bool {
        let had_begun = start.before.as_ref().is_some_and(|before| before.key.is_some());
        had_begun && !start.goes_on && !self.may_replace_runs
    }

    /// Whether there are threads for `instance`.
    fn fits(&self, instance: &Instance, standings: &[Standing]) -> bool {
        let running = self.instances.iter().zip(standings).filter(|(_, it)| matches!(it, Standing::Running));
        let busy: usize = running.map(|(instance, _)| instance.threads).sum();
        busy == 0 || busy + instance.threads <= self.budget
    }
}

/// The receiver lives as long as any thread that sends.
fn send(sender: &Sender<(usize, Event)>, number: usize, event: Event) {
    sender.send((number, event)).ok();
}
