//! Any bytes as a tokenizer's files: `tokenizer.json`, or where a line `---` divides them `vocab.json` and `merges.txt`.

#![no_main]

use firebrand_fuzz::check_load;
use libfuzzer_sys::fuzz_target;

const DIVIDER: &[u8] = b"\n---\n";

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().expect("a folder for the files");
    let write = |file: &str, content: &[u8]| {
        std::fs::write(dir.path().join(file), content).expect("a file can be written");
    };
    match bytes.windows(DIVIDER.len()).position(|window| window == DIVIDER) {
        Some(at) => {
            write("vocab.json", &bytes[..at]);
            write("merges.txt", &bytes[at + DIVIDER.len()..]);
        }
        None => write("tokenizer.json", bytes),
    }
    check_load(dir.path());
});
