//! Threads that stay awake from one loop to the next.
//!
//! Decoding a token is some fifty short loops. To wake the pool's threads for each of them takes as long as the loop.
//! Inside [`together`] the pool's other threads wait for work without sleeping, and [`for_each`](super::memory::for_each)
//! hands it to them. A thread that never comes is not waited for, and one that has had nothing to do for long goes to sleep until there is a
//! loop again: between two tokens somebody may read what was written.

#![allow(unsafe_code, reason = "threads call a closure that lives on another one's stack")]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long a thread stays awake without work: longer than a token is looked at, shorter than anybody notices.
const AWAKE: Duration = Duration::from_millis(2);

thread_local! {
    /// The team that this thread leads.
    static TEAM: Cell<*const Team> = const { Cell::new(std::ptr::null()) };
}

/// A loop's tasks, one loop after the other.
///
/// Each thread begins with a range of its own and helps the others when that is done. From loop to loop a range is about
/// the same rows of what the loops work on, which are then in that core's cache already.
struct Team {
    /// For each thread, the number of the loop above, the next task of the thread's range below: both in one, so that to
    /// take a task is to make sure of the loop.
    tickets: Vec<Ticket>,
    count: AtomicUsize,
    /// The closure and how to call it.
    closure: AtomicPtr<()>,
    call: AtomicPtr<()>,
    finished: AtomicUsize,
    panicked: AtomicBool,
    dismissed: AtomicBool,
    /// How many threads sleep, or are about to.
    asleep: AtomicUsize,
    bed: Mutex<()>,
    wake: Condvar,
}

/// On a cache line of its own: taking from one range does not disturb those who take from another.
#[derive(Default)]
#[repr(align(128))]
struct Ticket(AtomicU64);

/// Spins, and after a while lets others have the processor.
#[derive(Default)]
struct Patience {
    waited: u32,
    since: Option<Instant>,
}

impl Patience {
    /// Waits a moment; `false` when it has been long.
    fn wait(&mut self) -> bool {
        self.waited = self.waited.wrapping_add(1);
        if !self.waited.is_multiple_of(1 << 10) {
            std::hint::spin_loop();
            return true;
        }
        std::thread::yield_now();
        self.since.get_or_insert_with(Instant::now).elapsed() < AWAKE
    }
}

/// # Safety
/// `closure` must point to a living `F`.
unsafe fn call<F: Fn(usize) + Sync>(closure: *const (), index: usize) {
    // SAFETY: by this function's contract.
    unsafe { (*closure.cast::<F>())(index) }
}

impl Team {
    fn new(threads: usize) -> Self {
        Self {
            tickets: (0..threads).map(|_| Ticket::default()).collect(),
            count: AtomicUsize::new(0),
            closure: AtomicPtr::default(),
            call: AtomicPtr::default(),
            finished: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            asleep: AtomicUsize::new(0),
            bed: Mutex::new(()),
            wake: Condvar::new(),
        }
    }

    /// Where the range of a thread begins, of `count` tasks.
    fn range_start(&self, thread: usize, count: usize) -> usize {
        thread * count / self.tickets.len()
    }

    /// Takes a task of the current loop, of the own range if there is one left, and does it; `false` when there is none.
    fn do_one(&self, thread: usize) -> bool {
        let threads = self.tickets.len();
        (thread..thread + threads).any(|range| self.do_one_of(range % threads))
    }

    /// Takes the next task of a range and does it; `false` when there is none.
    fn do_one_of(&self, range: usize) -> bool {
        let Ticket(next) = &self.tickets[range];
        let ticket = next.load(Ordering::Acquire);
        let index = ticket & u64::from(u32::MAX);
        let (closure, function) = (self.closure.load(Ordering::Acquire), self.call.load(Ordering::Acquire));
        let end = self.range_start(range + 1, self.count.load(Ordering::Acquire));
        if index >= end as u64 {
            return false;
        }
        // These three may belong to the next loop already. Then the ticket has been closed before, which acquiring one of
        // them made visible here, and it is not exchanged.
        if next.compare_exchange(ticket, ticket + 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return true;
        }
        // SAFETY: `function` was stored as this type by `run`, which waits for this task before it returns and so keeps
        // `closure` alive, which it stored with it.
        let done = catch_unwind(AssertUnwindSafe(|| unsafe {
            let function = std::mem::transmute::<*mut (), unsafe fn(*const (), usize)>(function);
            function(closure, index as usize);
        }));
        if done.is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
        self.finished.fetch_add(1, Ordering::Release);
        true
    }

    /// Does tasks until it is dismissed.
    fn help(&self, thread: usize) {
        let mut patience = Patience::default();
        while !self.dismissed.load(Ordering::Acquire) {
            if self.do_one(thread) || (!patience.wait() && self.sleep(thread)) {
                patience = Patience::default();
            }
        }
    }

    /// Sleeps until there is a loop, or no more of them; `true`, so that patience begins anew.
    fn sleep(&self, thread: usize) -> bool {
        let bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        // Either this thread sees what the leader has just done, or the leader sees that it sleeps: both look after they have written.
        fence(Ordering::SeqCst);
        if !self.dismissed.load(Ordering::Acquire) && !self.has_tasks(thread) {
            drop(self.wake.wait(bed).unwrap_or_else(PoisonError::into_inner));
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        true
    }

    /// Whether a task of the current loop has not been taken.
    fn has_tasks(&self, thread: usize) -> bool {
        let (threads, count) = (self.tickets.len(), self.count.load(Ordering::Acquire));
        (thread..thread + threads).any(|range| {
            let Ticket(next) = &self.tickets[range % threads];
            let index = next.load(Ordering::Acquire) & u64::from(u32::MAX);
            index < self.range_start(range % threads + 1, count) as u64
        })
    }

    /// Wakes those who sleep, after what they are to see has been written.
    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) > 0 {
            let _bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
            self.wake.notify_all();
        }
    }

    /// A whole loop, on the leader's thread.
    fn run<F: Fn(usize) + Sync>(&self, count: usize, task: &F) {
        let Ticket(first) = &self.tickets[0];
        let next_loop = ((first.load(Ordering::Relaxed) >> 32) + 1) << 32;
        // Closed: no loop has so many tasks. Else a helper that comes late to the last loop, all of whose tasks are taken,
        // could believe the new count and take one more.
        for Ticket(next) in &self.tickets {
            next.store(next_loop | u64::from(u32::MAX), Ordering::Relaxed);
        }
        self.finished.store(0, Ordering::Relaxed);
        self.count.store(count, Ordering::Release);
        self.closure.store(std::ptr::from_ref(task).cast_mut().cast(), Ordering::Release);
        self.call.store(call::<F> as unsafe fn(*const (), usize) as *mut (), Ordering::Release);
        for (range, Ticket(next)) in self.tickets.iter().enumerate() {
            next.store(next_loop | self.range_start(range, count) as u64, Ordering::Release);
        }
        self.wake();
        while self.do_one(0) {}
        let mut patience = Patience::default();
        while self.finished.load(Ordering::Acquire) < count {
            patience.wait();
        }
        assert!(!self.panicked.load(Ordering::Relaxed), "a task panicked");
    }
}

/// Dismisses the team and forgets it, also when the leader panics.
struct Dismiss<'a>(&'a Team);

impl Drop for Dismiss<'_> {
    fn drop(&mut self) {
        self.0.dismissed.store(true, Ordering::Release);
        self.0.wake();
        TEAM.set(std::ptr::null());
    }
}

/// Runs `work`, whose loops the pool's threads help with.
pub(crate) fn together<T>(work: impl FnOnce() -> T) -> T {
    let helpers = rayon::current_num_threads() - 1;
    if helpers == 0 || !TEAM.get().is_null() {
        return work();
    }
    let team = Team::new(helpers + 1);
    let leading = &team;
    rayon::in_place_scope(|scope| {
        for helper in 1..=helpers {
            scope.spawn(move |_| leading.help(helper));
        }
        let _dismiss = Dismiss(&team);
        TEAM.set(&team);
        work()
    })
}

/// Does `task(0..count)` with the team that this thread leads; `false` when it leads none.
pub(super) fn for_each(count: usize, task: &(impl Fn(usize) + Sync)) -> bool {
    let team = TEAM.replace(std::ptr::null());
    // SAFETY: not null only inside `together` on this thread, which keeps the team alive.
    let Some(leading) = (unsafe { team.as_ref() }) else {
        return false;
    };
    assert!(count < u32::MAX as usize, "tasks are counted in 32 bits");
    // Tasks that begin loops of their own do them alone: the team has one loop at a time.
    leading.run(count, task);
    TEAM.set(team);
    true
}

#[cfg(test)]
mod tests {
    use super::super::memory;
    use super::*;

    fn with_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(f)
    }

    #[test]
    fn every_task_of_every_loop_is_done_once() {
        for threads in [1, 2, 5] {
            with_threads(threads, || {
                together(|| {
                    for round in 0..20_000 {
                        let count = round * 31 % 17 + 2;
                        let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                        memory::for_each(count, usize::MAX, |i| {
                            // A loop inside a task.
                            memory::for_each(3, usize::MAX, |_| _ = done[i].fetch_add(1, Ordering::Relaxed));
                        });
                        assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 3), "loop {round}");
                    }
                });
            });
        }
    }

    #[test]
    fn who_sleeps_is_woken_by_the_next_loop_and_by_the_end() {
        for threads in [2, 4] {
            with_threads(threads, || {
                together(|| {
                    // SAFETY: `together` keeps the team alive.
                    let team = unsafe { TEAM.get().as_ref() }.expect("this thread leads one");
                    let all_sleep = || {
                        let started = Instant::now();
                        while team.asleep.load(Ordering::SeqCst) < threads - 1 {
                            assert!(started.elapsed() < Duration::from_secs(20), "somebody stays awake");
                            std::thread::yield_now();
                        }
                    };
                    for _ in 0..5 {
                        all_sleep();
                        // Each task waits until every thread has one, so that no thread is left out.
                        let here = AtomicUsize::new(0);
                        memory::for_each(threads, usize::MAX, |_| {
                            here.fetch_add(1, Ordering::SeqCst);
                            let started = Instant::now();
                            while here.load(Ordering::SeqCst) < threads {
                                assert!(
                                    started.elapsed() < Duration::from_secs(20),
                                    "somebody was not woken"
                                );
                                std::thread::yield_now();
                            }
                        });
                    }
                    all_sleep();
                });
            });
        }
    }

    #[test]
    fn several_leaders_share_a_pool() {
        let leader = || {
            together(|| {
                let sum = AtomicUsize::new(0);
                for _ in 0..500 {
                    memory::for_each(4, usize::MAX, |i| _ = sum.fetch_add(i, Ordering::Relaxed));
                }
                sum.into_inner()
            })
        };
        std::thread::scope(|scope| {
            let leaders: Vec<_> = (0..4).map(|_| scope.spawn(leader)).collect();
            assert!(leaders.into_iter().all(|leader| leader.join().expect("no panic") == 3000));
        });
    }

    #[test]
    fn a_task_that_panics_is_reported_and_nobody_waits_for_ever() {
        let result = catch_unwind(|| {
            with_threads(3, || {
                together(|| memory::for_each(8, usize::MAX, |i| assert_ne!(i, 5, "on purpose")));
            });
        });
        result.expect_err("the panic comes through");
        with_threads(2, || together(|| memory::for_each(2, usize::MAX, |_| {})));
    }
}
