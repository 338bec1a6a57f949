//! Memory that stays: the allocator is told to keep the pages it has.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells the C library's allocator to keep freed memory instead of giving it back to the kernel.
///
/// A training step allocates and frees the same large tensors again and again. By default glibc maps each anew and
/// the kernel clears every page: a fifth of a step's time. Call once, before anything large is allocated. Elsewhere than on
/// glibc this does nothing.
pub fn keep_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const NEVER: libc::c_int = -1;
        // With one arena for each thread of the pool, each would hold the gaps that the others' tensors need: memory would
        // grow for many steps, by how much depending on which thread did what.
        const ARENAS: libc::c_int = 1;
        #[allow(
            unsafe_code,
            reason = "mallopt is the only way to set glibc's thresholds from inside the process"
        )]
        // SAFETY: mallopt takes two integers and touches nothing but the allocator's own settings.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
            libc::mallopt(libc::M_TOP_PAD, 64 << 20);
            libc::mallopt(libc::M_ARENA_MAX, ARENAS);
        }
        ASKED.store(true, Ordering::Relaxed);
        ask_for_huge_pages();
    }
}

/// Whether this process asked for huge pages.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
static ASKED: AtomicBool = AtomicBool::new(false);

/// Asks the kernel for pages of 2 MiB where the allocator's memory will be. Reading weights that are larger than a processor's own caches is a
/// quarter faster on them, as translating addresses takes time too.
///
/// The kernel does as asked only for memory that is already mapped, and the allocator maps more as it needs it. So as many addresses as there
/// is memory are mapped here at once, and given to the allocator without a page of them being touched, which costs nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn ask_for_huge_pages() {
    const HUGE_PAGE: usize = 2 << 20;
    if addresses_are_scarce() {
        return;
    }
    if let Some(bytes) = total_bytes().map(|bytes| bytes / 4 * 3) {
        #[allow(
            unsafe_code,
            reason = "the allocator's memory is nobody's before it is allocated, so no slice names it"
        )]
        // SAFETY: what is allocated is not touched and freed at once; madvise says how pages are to be made, and changes no contents.
        unsafe {
            let reserved = libc::malloc(bytes as usize);
            if !reserved.is_null() {
                let first = (reserved as usize).next_multiple_of(HUGE_PAGE);
                let len = (bytes as usize).saturating_sub(first - reserved as usize) / HUGE_PAGE * HUGE_PAGE;
                libc::madvise(first as *mut libc::c_void, len, libc::MADV_HUGEPAGE);
                libc::free(reserved);
            }
        }
    }
}

/// Whether mapping what is not used costs something after all: under a limit on addresses others (threads, files) need them; a kernel that
/// promises only what it has counts them; an allocator that is asked to fill memory, for tests, would write to all of it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn addresses_are_scarce() -> bool {
    let is_limited = |resource| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        #[allow(unsafe_code, reason = "limits are told by the C library alone")]
        // SAFETY: getrlimit writes to the struct that it is given.
        let told = unsafe { libc::getrlimit(resource, &raw mut limit) };
        told != 0 || limit.rlim_cur != libc::RLIM_INFINITY
    };
    let strict = std::fs::read_to_string("/proc/sys/vm/overcommit_memory");
    let fills = std::env::var_os("MALLOC_PERTURB_").is_some()
        || std::env::var("GLIBC_TUNABLES").is_ok_and(|tunables| tunables.contains("perturb"));
    is_limited(libc::RLIMIT_AS)
        || is_limited(libc::RLIMIT_DATA)
        || strict.is_ok_and(|strict| strict.trim() == "2")
        || fills
}

/// Gives freed memory back to the kernel once, in spite of [`keep_pages`]: for what is large and will not be needed again.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[allow(unsafe_code, reason = "malloc_trim is the only way to give back what keep_pages keeps")]
        // SAFETY: malloc_trim takes an integer and touches nothing but what the allocator holds free.
        unsafe {
            libc::malloc_trim(0);
        }
        // What was asked for went with the rest.
        if ASKED.load(Ordering::Relaxed) {
            ask_for_huge_pages();
        }
    }
}

/// The most memory this process has held so far, in bytes; `None` where the system does not tell.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// The memory this machine has, or that this process may use if that is less, in bytes; `None` where the system does not
/// tell.
pub fn total_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    // A container's limit; the word `max` is none.
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|limit| limit.trim().parse().ok());
    Some((kib * 1024).min(limit.unwrap_or(u64::MAX)))
}

/// How often this process touched a page that the kernel had to give it first (minor page faults); `None` where the
/// system does not tell.
pub fn page_faults() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold spaces; the field is the eighth after it.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(7)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn touching_fresh_memory_faults() {
        let before = super::page_faults().expect("Linux tells");
        let pages = std::hint::black_box(vec![1u8; 64 << 20]);
        let after = super::page_faults().expect("Linux tells");
        // 16,384 pages, or 32 huge ones.
        assert!(after >= before + 32 && pages[1 << 20] == 1, "{before} and {after}");
        assert!(super::peak_bytes() > Some(64 << 20) && super::total_bytes() > super::peak_bytes());
    }
}
