//! The workspace: where it is, its cargo, and the product compiled from it.
//!
//! Cargo unifies the features of whatever packages one invocation selects. `cargo build -p firebrand-cli` and
//! `cargo test --workspace` therefore compile burn twice, a quarter of an hour each. So everything here selects the
//! whole workspace with all its targets, and every later command finds the work done.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::failure::Failure;
use crate::{paths, process};

/// What selects every package and target, the same for each cargo command that compiles.
pub(crate) const EVERYTHING: [&str; 3] = ["--release", "--workspace", "--all-targets"];

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> Result<PathBuf> {
    // Cargo says at run time where the package is; what was compiled in may be another checkout that shares a target folder.
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&package).parent().map(Path::to_path_buf);
    root.with_context(|| format!("{} lies in no workspace", Path::new(&package).display()))
}

/// A cargo command in the workspace, as if typed in a shell.
pub(crate) fn cargo() -> Result<Command> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()?);
    // What `cargo run` tells us about this package; some build scripts compile again when these variables change.
    for (name, _) in env::vars_os() {
        let about_this_package = name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if about_this_package {
            cargo.env_remove(name);
        }
    }
    Ok(cargo)
}

/// The product to run: `given`, or else compiled from the workspace, with progress on stderr.
///
/// # Errors
/// When `given` is no file, and when the workspace does not compile.
pub(crate) fn firebrand(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        if !given.is_file() {
            return Err(Failure::Usage(format!("--binary {}: no such file", given.display())).into());
        }
        return std::path::absolute(given).with_context(|| format!("cannot resolve {}", given.display()));
    }
    eprintln!("Compiling Firebrand. The first time takes about 15 minutes on two cores, later seconds.");
    let mut build = cargo()?;
    // Diagnostics stay readable on stderr; stdout says where the executable is, whatever target folder is configured.
    build.arg("build").args(EVERYTHING).arg("--message-format=json-render-diagnostics");
    let messages = process::output("compile the workspace", &mut build)?;
    let executable = messages.lines().find_map(executable_of_product);
    let executable = executable.context("cargo compiled no binary called `firebrand`")?;
    eprintln!("Compiled {}.\n", paths::shown(&executable));
    Ok(executable)
}

/// The path in one of cargo's messages, if it is about the finished `firebrand` binary.
fn executable_of_product(message: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Artifact {
        target: Target,
        profile: Profile,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Profile {
        test: bool,
    }
    // Messages of other kinds lack these fields.
    let artifact: Artifact = serde_json::from_str(message).ok()?;
    let product =
        artifact.target.name == "firebrand" && artifact.target.kind == ["bin"] && !artifact.profile.test;
    artifact.executable.filter(|_| product)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_told_from_its_tests_and_from_other_messages() {
        let artifact = |name: &str, kind: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"name":"{name}","kind":["{kind}"]}},
                   "profile":{{"opt_level":"3","test":{test}}},"executable":"/t/release/{name}"}}"#
            )
        };
        let path = executable_of_product(&artifact("firebrand", "bin", false));
        assert_eq!(path, Some(PathBuf::from("/t/release/firebrand")));
        assert_eq!(executable_of_product(&artifact("firebrand", "bin", true)), None);
        assert_eq!(executable_of_product(&artifact("firebrand", "test", false)), None);
        assert_eq!(executable_of_product(&artifact("xtask", "bin", false)), None);
        assert_eq!(executable_of_product(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn the_root_is_where_the_workspace_is() {
        let manifest = root().expect("the package lies in a workspace").join("Cargo.toml");
        let text = std::fs::read_to_string(manifest).expect("the workspace has a manifest");
        assert!(text.contains("[workspace]"));
    }
}
