//! What `keep_pages` asks the kernel for: in a process of its own, whose first thread it is, as in the program. (A harness would run it on
//! another thread, which has taken memory of its own already.)
#![cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    allow(unused, reason = "elsewhere nothing is asked for")
)]

use firebrand_backend::memory;

/// Whether `address` lies in memory for which huge pages were asked.
fn is_advised(address: usize) -> bool {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux tells");
    let mut inside = false;
    for line in maps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let bound = |text: &str| usize::from_str_radix(text, 16).ok();
        if let Some((start, end)) = range.and_then(|(start, end)| bound(start).zip(bound(end))) {
            inside = (start..end).contains(&address);
        } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
            return flags.split_whitespace().any(|flag| flag == "hg");
        }
    }
    false
}

fn main() {
    if cfg!(not(all(target_os = "linux", target_env = "gnu"))) {
        return eprintln!("skipped: huge pages are asked for on Linux with glibc");
    }
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage/enabled").exists() {
        return eprintln!("skipped: this kernel has no transparent huge pages");
    }
    memory::keep_pages();
    let before = memory::peak_bytes().expect("Linux tells");
    for round in 0..3 {
        // What is given back is asked for again.
        if round == 2 {
            memory::give_back();
        }
        let buffer = vec![1u8; 64 << 20];
        assert!(is_advised(buffer.as_ptr() as usize + (32 << 20)), "huge pages were asked for");
    }
    let after = memory::peak_bytes().expect("Linux tells");
    assert!(after - before < 80 << 20, "what is asked for is not taken: {before} and {after} bytes");
    eprintln!("large buffers lie where huge pages were asked for");
}
