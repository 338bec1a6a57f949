//! `firebrand device`: what is there and what would be used.

use crate::args::Global;
use crate::output::line;
use firebrand_backend::device;

pub(crate) fn run(global: &Global) -> anyhow::Result<()> {
    let devices = device::list();
    let (used, _) = device::resolve(global.device.as_deref())?;
    if global.json {
        let list: Vec<_> = devices
            .iter()
            .map(|device| {
                serde_json::json!({
                    "name": device.name, "description": device.description,
                    "software": device.software, "used": device.name == used,
                })
            })
            .collect();
        return line(serde_json::json!({"devices": list, "used": used, "compiled": device::COMPILED}));
    }
    for device in devices {
        let mark = if device.name == used { "→" } else { " " };
        line(format!("{mark} {:<8} {}", device.name, device.description))?;
    }
    Ok(())
}
