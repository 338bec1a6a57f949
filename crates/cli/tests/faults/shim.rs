//! Makes file operations of a process fail, or kills it at one of them: a library for `LD_PRELOAD`, compiled by
//! `tests/cli/faults.rs`.
//!
//! It stands between the program and libc: every operation that changes something under the folder `FAULT_DIR` is
//! counted and, with `FAULT_LOG`, written down. `FAULT_AT=N` and `FAULT_KIND` say what happens at the Nth:
//! `kill` (SIGKILL; a write is torn in the middle), `io` (it alone fails with EIO), `full` (from there on everything
//! that needs room fails with ENOSPC, as on a full disk).

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const EIO: c_int = 5;
const ENOSPC: c_int = 28;
const SIGKILL: c_int = 9;
const O_CREAT: c_int = 0o100;
const O_TRUNC: c_int = 0o1000;
const AT_FDCWD: c_int = -100;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn getpid() -> c_int;
}

/// The function of this name that would have been called without us.
macro_rules! real {
    ($name:literal as $signature:ty) => {{
        static REAL: OnceLock<usize> = OnceLock::new();
        // RTLD_NEXT is -1.
        let address = *REAL.get_or_init(|| unsafe { dlsym(-1isize as *mut c_void, $name.as_ptr()) } as usize);
        assert!(address != 0, "libc has no {:?}", $name);
        unsafe { std::mem::transmute::<usize, $signature>(address) }
    }};
}

struct Plan {
    dir: PathBuf,
    at: u64,
    kind: String,
    log: Option<c_int>,
}

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let var = |name| std::env::var(name).unwrap_or_default();
        let log = Some(var("FAULT_LOG")).filter(|path| !path.is_empty()).map(|path| {
            let path = std::ffi::CString::new(path).expect("a path has no NUL");
            let open = real!(c"open64" as extern "C" fn(*const c_char, c_int, c_uint) -> c_int);
            open(path.as_ptr(), 0o2101, 0o644) // O_WRONLY | O_CREAT | O_APPEND
        });
        Plan { dir: var("FAULT_DIR").into(), at: var("FAULT_AT").parse().unwrap_or(0), kind: var("FAULT_KIND"), log }
    })
}

enum Verdict {
    Proceed,
    Fail(c_int),
    Kill,
}

/// What is to happen at this operation.
fn judge(operation: &str, path: &Path) -> Verdict {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let plan = plan();
    let path = match path.is_absolute() {
        true => path.to_path_buf(),
        false => std::env::current_dir().unwrap_or_default().join(path),
    };
    if plan.dir.as_os_str().is_empty() || !path.starts_with(&plan.dir) {
        return Verdict::Proceed;
    }
    let number = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    if let Some(log) = plan.log {
        let line = format!("{number} {operation} {}\n", path.display());
        let write = real!(c"write" as extern "C" fn(c_int, *const c_void, usize) -> isize);
        write(log, line.as_ptr().cast(), line.len());
    }
    let needs_room = ["write", "create", "mkdir", "truncate", "sync"].contains(&operation);
    match plan.kind.as_str() {
        "kill" if number == plan.at => Verdict::Kill,
        "io" if number == plan.at => Verdict::Fail(EIO),
        "full" if plan.at > 0 && number >= plan.at && needs_room => Verdict::Fail(ENOSPC),
        _ => Verdict::Proceed,
    }
}

fn die() -> ! {
    unsafe { kill(getpid(), SIGKILL) };
    loop {
        std::hint::spin_loop();
    }
}

fn fail(errno: c_int) {
    unsafe { *__errno_location() = errno };
}

fn path_of(fd: c_int) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default()
}

fn text(path: *const c_char) -> PathBuf {
    OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()).into()
}

fn below(folder: c_int, path: *const c_char) -> PathBuf {
    let path = text(path);
    match folder == AT_FDCWD || path.is_absolute() {
        true => path,
        false => path_of(folder).join(path),
    }
}

/// An operation that changes one path and answers with an int.
macro_rules! operation {
    ($operation:literal, $path:expr, $call:expr) => {
        match judge($operation, &$path) {
            Verdict::Proceed => $call,
            Verdict::Fail(errno) => {
                fail(errno);
                -1
            }
            Verdict::Kill => die(),
        }
    };
}

#[unsafe(no_mangle)]
pub extern "C" fn write(fd: c_int, bytes: *const c_void, len: usize) -> isize {
    let real = real!(c"write" as extern "C" fn(c_int, *const c_void, usize) -> isize);
    match judge("write", &path_of(fd)) {
        Verdict::Proceed => real(fd, bytes, len),
        Verdict::Fail(errno) => {
            fail(errno);
            -1
        }
        Verdict::Kill => {
            real(fd, bytes, len / 2);
            die()
        }
    }
}

type Open = extern "C" fn(*const c_char, c_int, c_uint) -> c_int;
type OpenAt = extern "C" fn(c_int, *const c_char, c_int, c_uint) -> c_int;

#[unsafe(no_mangle)]
pub extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let real = real!(c"open64" as Open);
    if flags & (O_CREAT | O_TRUNC) == 0 {
        return real(path, flags, mode);
    }
    operation!("create", text(path), real(path, flags, mode))
}

#[unsafe(no_mangle)]
pub extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    open64(path, flags, mode)
}

#[unsafe(no_mangle)]
pub extern "C" fn openat64(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let real = real!(c"openat64" as OpenAt);
    if flags & (O_CREAT | O_TRUNC) == 0 {
        return real(folder, path, flags, mode);
    }
    operation!("create", below(folder, path), real(folder, path, flags, mode))
}

#[unsafe(no_mangle)]
pub extern "C" fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    openat64(folder, path, flags, mode)
}

#[unsafe(no_mangle)]
pub extern "C" fn rename(old: *const c_char, new: *const c_char) -> c_int {
    let real = real!(c"rename" as extern "C" fn(*const c_char, *const c_char) -> c_int);
    operation!("rename", text(new), real(old, new))
}

#[unsafe(no_mangle)]
pub extern "C" fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
    let real = real!(c"mkdir" as extern "C" fn(*const c_char, c_uint) -> c_int);
    operation!("mkdir", text(path), real(path, mode))
}

#[unsafe(no_mangle)]
pub extern "C" fn unlink(path: *const c_char) -> c_int {
    let real = real!(c"unlink" as extern "C" fn(*const c_char) -> c_int);
    operation!("remove", text(path), real(path))
}

#[unsafe(no_mangle)]
pub extern "C" fn rmdir(path: *const c_char) -> c_int {
    let real = real!(c"rmdir" as extern "C" fn(*const c_char) -> c_int);
    operation!("remove", text(path), real(path))
}

#[unsafe(no_mangle)]
pub extern "C" fn unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int {
    let real = real!(c"unlinkat" as extern "C" fn(c_int, *const c_char, c_int) -> c_int);
    operation!("remove", below(folder, path), real(folder, path, flags))
}

#[unsafe(no_mangle)]
pub extern "C" fn ftruncate64(fd: c_int, len: i64) -> c_int {
    let real = real!(c"ftruncate64" as extern "C" fn(c_int, i64) -> c_int);
    operation!("truncate", path_of(fd), real(fd, len))
}

#[unsafe(no_mangle)]
pub extern "C" fn fsync(fd: c_int) -> c_int {
    let real = real!(c"fsync" as extern "C" fn(c_int) -> c_int);
    operation!("sync", path_of(fd), real(fd))
}

#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(fd: c_int) -> c_int {
    let real = real!(c"fdatasync" as extern "C" fn(c_int) -> c_int);
    operation!("sync", path_of(fd), real(fd))
}
