//! What this machine has that Firebrand can do without: shared data, Python with a library, a Vulkan driver.
//!
//! Tests and benchmarks that need one of these skip it aloud where it is missing.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{process, workspace};

/// Names the Python to use, and no other is then looked at.
pub(crate) const PYTHON_VARIABLE: &str = "FIREBRAND_PYTHON";

/// Something that is there, or the reason why it is not.
pub(crate) type Found<T> = std::result::Result<T, String>;

/// The folder beside the repository with data sets and peers, shared by those who work on the project.
pub(crate) fn shared(what: &str) -> Result<Found<PathBuf>> {
    let wanted = workspace::root()?.join("..").join("shared").join(what);
    Ok(match wanted.canonicalize() {
        Ok(found) => Ok(found),
        Err(_) => Err(format!("no ../shared/{what} beside the repository")),
    })
}

/// A Python that can import `module`: `$FIREBRAND_PYTHON`, or else `~/.venvs/peers/bin/python` or `python3`.
pub(crate) fn python_with(module: &str) -> Found<PathBuf> {
    let candidates = python_candidates(env::var_os(PYTHON_VARIABLE), env::home_dir());
    let imports = |python: &Path| {
        let probe =
            format!("import importlib.util, sys; sys.exit(importlib.util.find_spec({module:?}) is None)");
        process::succeeds(Command::new(python).args(["-c", &probe]))
    };
    let looked_at =
        candidates.iter().map(|python| python.display().to_string()).collect::<Vec<_>>().join(", ");
    let found = candidates.into_iter().find(|python| imports(python));
    found.ok_or_else(|| {
        format!("no Python with {module} (looked at {looked_at}; ${PYTHON_VARIABLE} names another)")
    })
}

fn python_candidates(named: Option<OsString>, home: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(named) = named {
        return vec![named.into()];
    }
    let peers = home.map(|home| home.join(".venvs/peers/bin/python"));
    peers.into_iter().chain([PathBuf::from("python3")]).collect()
}

/// What drives GPUs through wgpu here: on Linux the names of the Vulkan drivers (software ones included).
pub(crate) fn gpu_drivers() -> Found<String> {
    if cfg!(not(target_os = "linux")) {
        return Ok("part of the operating system".to_owned());
    }
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().find_map(env::var_os);
    let manifests = match named {
        Some(files) => env::split_paths(&files).filter(|file| file.is_file()).collect(),
        None => vulkan_manifests(),
    };
    let loader_folders = [
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
    ];
    let libraries = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = loader_folders.into_iter().map(PathBuf::from).chain(env::split_paths(&libraries));
    let loader = folders.map(|folder| folder.join("libvulkan.so.1")).any(|file| file.exists());
    match (manifests.is_empty(), loader) {
        (false, true) => {
            let name = |file: &PathBuf| file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            Ok(manifests.iter().filter_map(name).collect::<Vec<_>>().join(", "))
        }
        (true, _) => Err("no Vulkan driver (Debian: apt-get install mesa-vulkan-drivers)".to_owned()),
        (false, false) => Err("no Vulkan loader (Debian: apt-get install libvulkan1)".to_owned()),
    }
}

fn vulkan_manifests() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["/etc", "/usr/share", "/usr/local/share"]
        .iter()
        .map(|folder| Path::new(folder).join("vulkan/icd.d"))
        .collect();
    folders.extend(env::home_dir().map(|home| home.join(".local/share/vulkan/icd.d")));
    let files = folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut manifests: Vec<PathBuf> = files.map(|file| file.path()).collect();
    manifests.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    manifests.sort();
    manifests
}

/// The processor's name and its number of threads, to stand beside measurements.
pub(crate) fn processor() -> String {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = name.map_or(env::consts::ARCH, |(_, name)| name.trim());
    format!("{name}, {threads} threads")
}

/// How many threads were busy in the last minute, where that is known and enough to disturb a measurement.
pub(crate) fn load() -> Option<f64> {
    const UNDISTURBED: f64 = 0.5;
    let averages = fs::read_to_string("/proc/loadavg").ok()?;
    let last_minute: f64 = averages.split(' ').next()?.parse().ok()?;
    Some(last_minute).filter(|&load| load > UNDISTURBED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_python_is_the_only_one_looked_at() {
        let home = Some(PathBuf::from("/home/ada"));
        assert_eq!(
            python_candidates(Some("/opt/python".into()), home.clone()),
            [PathBuf::from("/opt/python")]
        );
        let unnamed = python_candidates(None, home);
        assert_eq!(unnamed, [PathBuf::from("/home/ada/.venvs/peers/bin/python"), PathBuf::from("python3")]);
    }
}
