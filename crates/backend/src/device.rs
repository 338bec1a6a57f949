//! Devices by name: `cpu`, `ndarray`, `wgpu`, `wgpu:N`.

use burn::tensor::{Device, DeviceType};
use std::path::Path;
use std::sync::OnceLock;

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The name is none of ours.
    #[error("no such device `{0}`: use cpu, ndarray, wgpu or wgpu:N (`firebrand device` lists what is here)")]
    Unknown(String),
    /// The name is right, but the machine has none.
    #[error(
        "no such device `{name}`: {found} (`firebrand device` lists what is here; `--device cpu` always works)"
    )]
    Absent {
        /// What was asked for.
        name: String,
        /// What was found instead.
        found: String,
    },
}

/// One device that could be used, for `firebrand device`.
#[derive(Debug, Clone)]
pub struct DeviceInfo {
    /// The string that selects it: `cpu`, `wgpu:0`, …
    pub name: String,
    /// What it is, in words.
    pub description: String,
    /// A software implementation of a GPU: correct and slow, never the default.
    pub software: bool,
}

/// The names of the devices compiled in.
pub const COMPILED: [&str; 3] = ["cpu", "ndarray", "wgpu"];

/// Keeps Mesa's device-selection layer from writing `error: XDG_RUNTIME_DIR is invalid` to the terminal, once for every
/// Vulkan instance, on machines without a desktop: there it has nothing to select by, and is told to stay out.
///
/// # Safety
/// Call first thing in `main`: it sets an environment variable, and no other thread may read one meanwhile.
#[allow(unsafe_code, reason = "a driver's layer is only to be reached through the environment")]
pub unsafe fn quiet_drivers() {
    const STAY_OUT: &str = "NODEVICE_SELECT";
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if cfg!(target_os = "linux") && !is_set("XDG_RUNTIME_DIR") && !is_set(STAY_OUT) {
        // SAFETY: the caller promises that there is no other thread.
        unsafe { std::env::set_var(STAY_OUT, "1") };
    }
}

/// The device that `name` stands for; `None` means the best there is.
///
/// The best is a real GPU when there is one, else the CPU. A software GPU is never chosen by itself.
///
/// # Errors
/// An unknown name, or a GPU that is not there.
pub fn resolve(name: Option<&str>) -> Result<(String, Device), DeviceError> {
    let Some(name) = name else {
        return Ok(best());
    };
    match name {
        "cpu" => Ok(("cpu".into(), Device::flex())),
        "ndarray" => Ok(("ndarray".into(), ndarray())),
        "wgpu" => {
            let gpus = gpus();
            let best =
                gpus.iter().position(|gpu| !gpu.software).or(if gpus.is_empty() { None } else { Some(0) });
            match best {
                Some(index) => Ok((format!("wgpu:{index}"), gpus[index].device.clone())),
                None => Err(DeviceError::Absent { name: name.into(), found: "no GPU driver answers".into() }),
            }
        }
        _ => {
            let index = name.strip_prefix("wgpu:").and_then(|index| index.parse::<usize>().ok());
            let Some(index) = index else {
                return Err(DeviceError::Unknown(name.into()));
            };
            let gpus = gpus();
            match gpus.get(index) {
                Some(gpu) => Ok((name.into(), gpu.device.clone())),
                None => Err(DeviceError::Absent {
                    name: name.into(),
                    found: format!("{} wgpu device(s) found, counted from 0", gpus.len()),
                }),
            }
        }
    }
}

/// Every device on this machine, the one used by default first.
pub fn list() -> Vec<DeviceInfo> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let cpu = DeviceInfo {
        name: "cpu".into(),
        description: format!("this machine's processor, {threads} threads, {} (flex)", cpu_features()),
        software: false,
    };
    let ndarray = DeviceInfo {
        name: "ndarray".into(),
        description: "this machine's processor through ndarray: slower, for comparison".into(),
        software: false,
    };
    let gpus = gpus().iter().enumerate().map(|(index, gpu)| DeviceInfo {
        name: format!("wgpu:{index}"),
        description: if gpu.software { format!("{} (software, slow)", gpu.name) } else { gpu.name.clone() },
        software: gpu.software,
    });
    let (real, software): (Vec<_>, Vec<_>) = gpus.partition(|gpu| !gpu.software);
    real.into_iter().chain([cpu, ndarray]).chain(software).collect()
}

/// Whether `device` is burn's flex backend, for which fused kernels exist.
pub(crate) fn is_flex(device: &Device) -> bool {
    device == &Device::flex()
}

struct Gpu {
    device: Device,
    name: String,
    software: bool,
}

/// The wgpu adapters, real ones first. Asking the drivers takes a good part of a second, and happens once.
fn gpus() -> &'static [Gpu] {
    static GPUS: OnceLock<Vec<Gpu>> = OnceLock::new();
    GPUS.get_or_init(enumerate_gpus)
}

/// Asking for a GPU where no driver answers panics inside wgpu: that is an empty list here.
fn enumerate_gpus() -> Vec<Gpu> {
    let found = quietly(|| {
        Device::enumerate(DeviceType::Wgpu)
            .into_vec()
            .into_iter()
            .map(|device| {
                let identity = device.identity();
                let software = identity.as_ref().is_none_or(|identity| identity.physical.is_none());
                let name = identity.map_or_else(|| "unnamed GPU".to_string(), |identity| identity.name);
                let software = software || is_software(&name);
                Gpu { device, name, software }
            })
            .collect::<Vec<_>>()
    });
    let mut gpus = found.unwrap_or_default();
    gpus.sort_by_key(|gpu| gpu.software);
    gpus
}

/// The names under which software rasterizers go.
fn is_software(name: &str) -> bool {
    let name = name.to_lowercase();
    ["llvmpipe", "lavapipe", "swiftshader", "softpipe", "basic render"].iter().any(|word| name.contains(word))
}

fn best() -> (String, Device) {
    let gpu = if may_have_gpu() { gpus().first() } else { None };
    match gpu {
        Some(gpu) if !gpu.software => ("wgpu:0".into(), gpu.device.clone()),
        _ => ("cpu".into(), Device::flex()),
    }
}

/// Whether a driver of a real GPU is loaded. Linux shows that as a file, which is looked at in no time: a machine without
/// one doesn't wait for the graphics libraries to find only themselves.
fn may_have_gpu() -> bool {
    // Mesa's drivers and most others; NVIDIA's own, which a container may have alone; WSL; Adreno and Mali of phones.
    const FILES: [&str; 6] =
        ["/dev/dri", "/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/dxg", "/dev/kgsl-3d0", "/dev/mali0"];
    !cfg!(target_os = "linux") || FILES.iter().any(|file| Path::new(file).exists())
}

fn ndarray() -> Device {
    #[allow(deprecated, reason = "burn marks ndarray deprecated; the project's user asked for it by name")]
    Device::ndarray()
}

/// Runs `f`, turning a panic into `None` and keeping its message off the terminal.
fn quietly<T>(f: impl FnOnce() -> T + std::panic::UnwindSafe) -> Option<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = std::panic::catch_unwind(f);
    std::panic::set_hook(hook);
    result.ok()
}

fn cpu_features() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return "AVX2";
        }
    }
    #[cfg(target_arch = "aarch64")]
    return "NEON";
    #[cfg(not(target_arch = "aarch64"))]
    "no vector extension we use"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_device_is_named_with_the_way_out() {
        let error = resolve(Some("tpu")).map(|_| ()).expect_err("tpu is no device");
        assert!(error.to_string().contains("`tpu`") && error.to_string().contains("wgpu:N"), "{error}");
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error() {
        let error = resolve(Some("wgpu:99")).map(|_| ()).expect_err("nobody has a hundred GPUs");
        assert!(error.to_string().contains("wgpu:99"), "{error}");
    }

    #[test]
    fn the_cpu_is_always_there_and_software_gpus_come_last() {
        let devices = list();
        let cpu = devices.iter().position(|device| device.name == "cpu").expect("cpu is listed");
        assert!(devices[..cpu].iter().all(|device| !device.software));
    }
}
