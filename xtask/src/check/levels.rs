//! The layers of the workspace, checked against what the manifests say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;

/// Crates by folder, with their level: a crate uses only crates on lower levels.
const LEVELS: [(&str, i8); 16] = [
    // How files are written: the ground under all others.
    ("durable", -1),
    ("tokenizer", 0),
    ("backend", 0),
    ("corpus", 1),
    ("transformer", 1),
    ("training", 2),
    ("decode", 2),
    ("evaluation", 2),
    ("pretrain", 3),
    ("finetune", 3),
    ("prompt", 3),
    ("constrain", 3),
    ("report", 4),
    ("serve", 4),
    ("cli", 5),
    // Project commands run the product and link none of it.
    (XTASK, 0),
];

const XTASK: &str = "xtask";
/// The one crate that names burn's backends.
pub(super) const BACKEND: &str = "backend";
/// Crates that know no tensors: neither they nor what they use may depend on burn.
const WITHOUT_BURN: [&str; 5] = ["durable", "tokenizer", "corpus", "evaluation", XTASK];
/// How the packages of this workspace are called, before the folder's name.
const PREFIX: &str = "firebrand-";

/// What `cargo metadata --no-deps` says about the workspace, as far as it is needed.
#[derive(Deserialize)]
pub(super) struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    /// Of every kind: for the product, for tests and for build scripts.
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
}

/// Every breach of the layering, each with its way out; empty when all is well.
pub(super) fn breaches(metadata: &Metadata) -> Vec<String> {
    let mut breaches = Vec::new();
    let uses: BTreeMap<&str, BTreeSet<&str>> = metadata.packages.iter().map(uses).collect();
    for package in &metadata.packages {
        breaches.extend(misnamed(package));
    }
    for (&package, dependencies) in &uses {
        breaches.extend(breaches_of_level(package, dependencies, &uses));
        breaches.extend(backends_named(package, dependencies));
    }
    for package in WITHOUT_BURN {
        breaches.extend(path_to_burn(package, &uses).map(|path| {
            format!(
                "`{package}` must know no tensors, but reaches burn: {}; move what needs it up a level",
                path.join(" → ")
            )
        }));
    }
    breaches
}

/// A package's short name and the short names of what it uses.
fn uses(package: &Package) -> (&str, BTreeSet<&str>) {
    (short(&package.name), package.dependencies.iter().map(|dependency| short(&dependency.name)).collect())
}

/// `firebrand-corpus` is called `corpus` here; foreign crates keep their names.
fn short(package: &str) -> &str {
    package.strip_prefix(PREFIX).unwrap_or(package)
}

fn level(package: &str) -> Option<i8> {
    LEVELS.iter().find(|(name, _)| *name == package).map(|(_, level)| *level)
}

fn misnamed(package: &Package) -> Option<String> {
    let folder = package.manifest_path.parent()?.file_name()?.to_str()?;
    let expected = if folder == XTASK { folder.to_owned() } else { format!("{PREFIX}{folder}") };
    let name = &package.name;
    (*name != expected).then(|| format!("the package in `{folder}` is called `{name}`: call it `{expected}`"))
}

fn breaches_of_level(
    package: &str,
    dependencies: &BTreeSet<&str>,
    workspace: &BTreeMap<&str, BTreeSet<&str>>,
) -> Vec<String> {
    let Some(own) = level(package) else {
        return vec![format!(
            "`{package}` has no level: give it one in xtask/src/check/levels.rs and in ARCHITECTURE.md"
        )];
    };
    let members = dependencies.iter().filter(|dependency| workspace.contains_key(*dependency));
    let too_high = members
        .filter_map(|&dependency| Some((dependency, level(dependency)?)))
        .filter(|(_, level)| *level >= own);
    let breach = |(dependency, level)| {
        format!(
            "`{package}` (level {own}) depends on `{dependency}` (level {level}): a crate uses only crates on lower levels; \
             pass what it needs as data or a trait, or move the code"
        )
    };
    too_high.map(breach).collect()
}

fn backends_named(package: &str, dependencies: &BTreeSet<&str>) -> Vec<String> {
    if package == BACKEND {
        return Vec::new();
    }
    let backends = dependencies.iter().filter(|dependency| is_burn(dependency) && **dependency != "burn");
    let breach = |backend| {
        format!(
            "`{package}` depends on `{backend}`: only `{BACKEND}` names a backend, others use `burn` and `{PREFIX}{BACKEND}`"
        )
    };
    backends.map(breach).collect()
}

fn is_burn(package: &str) -> bool {
    package == "burn" || package.starts_with("burn-") || package.starts_with("cubecl")
}

/// The shortest chain of dependencies from `package` to burn, through crates of the workspace.
fn path_to_burn<'a>(package: &'a str, uses: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    let mut paths = vec![vec![package]];
    let mut seen = BTreeSet::from([package]);
    // Breadth first: `paths` grows while it is walked.
    let mut next = 0;
    while let Some(path) = paths.get(next).cloned() {
        next += 1;
        let dependencies = path.last().and_then(|last| uses.get(last)).into_iter().flatten();
        for &dependency in dependencies {
            let longer = [path.as_slice(), &[dependency]].concat();
            if is_burn(dependency) {
                return Some(longer);
            }
            if seen.insert(dependency) {
                paths.push(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a workspace of packages given as (folder, dependencies).
    fn breaches_of(packages: &[(&str, &[&str])]) -> Vec<String> {
        let packages = packages.iter().map(|(folder, dependencies)| Package {
            name: if *folder == XTASK { XTASK.to_owned() } else { format!("{PREFIX}{folder}") },
            manifest_path: format!("/w/{folder}/Cargo.toml").into(),
            dependencies: dependencies.iter().map(|name| Dependency { name: (*name).to_owned() }).collect(),
        });
        breaches(&Metadata { packages: packages.collect() })
    }

    #[track_caller]
    fn only_breach(packages: &[(&str, &[&str])], expected: &str) {
        let breaches = breaches_of(packages);
        assert!(matches!(breaches.as_slice(), [breach] if breach.contains(expected)), "{breaches:?}");
    }

    #[test]
    fn a_layered_workspace_has_no_breaches() {
        let workspace: [(&str, &[&str]); 5] = [
            ("backend", &["burn", "burn-flex", "cubecl"]),
            ("tokenizer", &["serde"]),
            ("corpus", &["firebrand-tokenizer"]),
            ("transformer", &["burn", "firebrand-backend"]),
            ("xtask", &["clap"]),
        ];
        assert_eq!(breaches_of(&workspace), [""; 0]);
    }

    #[test]
    fn neither_the_same_level_nor_a_higher_one_may_be_used() {
        only_breach(
            &[("corpus", &["firebrand-transformer"]), ("transformer", &[])],
            "`corpus` (level 1) depends on",
        );
        only_breach(&[("training", &["firebrand-cli"]), ("cli", &[])], "`cli` (level 5)");
        only_breach(
            &[("xtask", &["firebrand-tokenizer"]), ("tokenizer", &[])],
            "`xtask` (level 0) depends on",
        );
    }

    #[test]
    fn a_crate_without_a_level_is_reported() {
        only_breach(&[("misc", &[])], "`misc` has no level");
    }

    #[test]
    fn only_backend_depends_on_backends() {
        only_breach(&[("transformer", &["burn", "burn-wgpu"])], "`transformer` depends on `burn-wgpu`");
        only_breach(&[("cli", &["cubecl-core"])], "`cli` depends on `cubecl-core`");
    }

    #[test]
    fn crates_without_tensors_do_not_reach_burn_even_through_others() {
        only_breach(&[("xtask", &["burn"])], "xtask → burn;");
        only_breach(
            &[("corpus", &["firebrand-backend"]), ("backend", &["burn"])],
            "corpus → backend → burn;",
        );
    }

    #[test]
    fn packages_are_called_like_their_folders() {
        let package = Package {
            name: "firebrand-text".to_owned(),
            manifest_path: "/w/crates/corpus/Cargo.toml".into(),
            dependencies: Vec::new(),
        };
        let breaches = breaches(&Metadata { packages: vec![package] });
        assert!(breaches[0].contains("call it `firebrand-corpus`"), "{breaches:?}");
    }

    #[test]
    fn what_cargo_prints_is_understood() {
        let metadata = r#"{"packages":[{"name":"firebrand-corpus","version":"0.1.0","manifest_path":"/w/corpus/Cargo.toml",
            "dependencies":[{"name":"burn","kind":"dev","optional":false}]}],"target_directory":"/t"}"#;
        let metadata: Metadata = serde_json::from_str(metadata).expect("it is metadata");
        assert_eq!(breaches(&metadata).len(), 1);
    }
}
