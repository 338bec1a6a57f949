//! The `firebrand` binary.
fn main() {}
