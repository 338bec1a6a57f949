//! Output buffers that are written once, and loops over fixed blocks.

use std::mem::MaybeUninit;

use super::team;
use rayon::prelude::*;

/// A place for one number that nothing has been written to.
pub(crate) type Slot<T = f32> = MaybeUninit<T>;

/// Elements in a block of an elementwise kernel: large against the cost of handing out a task, small against a cache.
pub(crate) const BLOCK: usize = 16 * 1024;

/// A vector of `len` numbers which `fill` writes, not cleared before.
///
/// # Safety
/// `fill` must write every slot.
#[allow(unsafe_code, reason = "clearing every output before it is overwritten costs a tenth of a step")]
pub(crate) unsafe fn written<T>(len: usize, fill: impl FnOnce(&mut [Slot<T>])) -> Vec<T> {
    let mut values = Vec::with_capacity(len);
    fill(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: the capacity is at least `len`, and by this function's contract `fill` has written all of it.
    unsafe { values.set_len(len) };
    values
}

/// `written` slots as the numbers they hold.
///
/// # Safety
/// Every slot must have been written.
#[allow(unsafe_code, reason = "gives a block that was just written back as numbers")]
pub(crate) unsafe fn as_written<T>(slots: &mut [Slot<T>]) -> &mut [T] {
    // SAFETY: MaybeUninit<T> has the layout of T, and by this function's contract all are initialized.
    unsafe { &mut *(std::ptr::from_mut(slots) as *mut [T]) }
}

/// Runs `task` for `0..count`, on the thread pool if `work` (about the number of arithmetic operations in all) is
/// worth waking it. Tasks must not depend on each other; results never depend on which thread ran them.
pub(crate) fn for_each(count: usize, work: usize, task: impl Fn(usize) + Send + Sync) {
    const WORTH_WAKING: usize = 1 << 17;
    /// Those who are awake need not be woken.
    const WORTH_SHARING: usize = 1 << 14;
    if count <= 1 || work < WORTH_SHARING {
        (0..count).for_each(task);
    } else if team::for_each(count, &task) {
    } else if work < WORTH_WAKING {
        (0..count).for_each(task);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(task);
    }
}

/// Runs `task` on each of `items`, as [`for_each`] does.
pub(crate) fn for_each_mut<T: Send>(items: &mut [T], work: usize, task: impl Fn(&mut T) + Send + Sync) {
    /// The address of the first item.
    struct Items<T>(*mut T);
    impl<T> Items<T> {
        fn at(&self, index: usize) -> *mut T {
            self.0.wrapping_add(index)
        }
    }
    #[allow(unsafe_code, reason = "each task has an item of its own, which no slice can express")]
    // SAFETY: tasks take different items, which can be sent.
    unsafe impl<T: Send> Sync for Items<T> {}
    let (count, items) = (items.len(), Items(items.as_mut_ptr()));
    for_each(count, work, |index| {
        #[allow(unsafe_code, reason = "as above")]
        // SAFETY: an item of the slice, borrowed exclusively, that is this task's alone.
        task(unsafe { &mut *items.at(index) });
    });
}

/// A shared pointer to a buffer of which each task writes its own part.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T = f32>(*mut T);

#[allow(unsafe_code, reason = "tasks write disjoint parts of one output that no slice can express")]
// SAFETY: a bare address; whoever dereferences it promises that no two tasks touch the same element.
unsafe impl<T: Send> Send for Shared<T> {}
#[allow(unsafe_code, reason = "as above")]
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T: Copy> Shared<T> {
    pub(crate) fn new(slots: &mut [Slot<T>]) -> Self {
        Self(slots.as_mut_ptr().cast())
    }

    pub(crate) fn of(values: &mut [T]) -> Self {
        Self(values.as_mut_ptr())
    }

    /// The address of element `offset`.
    pub(crate) fn at(self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }

    /// The buffer from element `offset` on.
    pub(crate) fn from(self, offset: usize) -> Self {
        Self(self.at(offset))
    }

    /// Elements `start .. start + len` as slots.
    ///
    /// # Safety
    /// They must lie in the buffer, and nothing else may access them while the slice lives.
    #[allow(unsafe_code, reason = "tasks write disjoint parts of one output")]
    pub(crate) unsafe fn slots<'a>(self, start: usize, len: usize) -> &'a mut [Slot<T>] {
        // SAFETY: in bounds and not aliased by this function's contract; slots need no initialization.
        unsafe { std::slice::from_raw_parts_mut(self.at(start).cast(), len) }
    }
}

/// Splits `len` into blocks of `block`: the start and length of block `index`.
pub(crate) fn block(index: usize, block: usize, len: usize) -> (usize, usize) {
    let start = index * block;
    (start, block.min(len - start))
}
