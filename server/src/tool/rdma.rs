//! `penstock rdma`.

use serde::Serialize;
use verbs::Device;

use crate::cli::RdmaStatusArguments;
use crate::config::{self, RdmaSettings};
use crate::rdma;
use crate::tool::print;

/// What there is, as a script reads it.
#[derive(Serialize)]
struct Report {
    library: String,
    /// Why there is nothing.
    unavailable: Option<String>,
    devices: Vec<DeviceReport>,
}

#[derive(Serialize)]
struct DeviceReport {
    name: String,
    link: String,
    state: String,
    mtu_bytes: u32,
    reads_max: u32,
    receives_max: u32,
}

impl From<Device> for DeviceReport {
    fn from(device: Device) -> Self {
        let Device { id: _, name, link, state, mtu_bytes, reads_max, receives_max } = device;
        Self { name, link, state, mtu_bytes, reads_max, receives_max }
    }
}

/// Shows the adapters. Good when there is one.
pub fn status(arguments: &RdmaStatusArguments) -> bool {
    let settings = match &arguments.config {
        None => RdmaSettings::default(),
        Some(path) => match config::load(path) {
            Ok(settings) => settings.rdma,
            Err(error) => {
                eprintln!("penstock: {error}");
                return false;
            }
        },
    };
    let (devices, unavailable) = match rdma::devices(&settings) {
        Ok(devices) => (devices, None),
        Err(why) => (Vec::new(), Some(why.to_string())),
    };
    let library = rdma::library(&settings).display().to_string();
    let devices = devices.into_iter().map(DeviceReport::from).collect();
    let report = Report { library, unavailable, devices };
    let text = if arguments.json {
        format!("{}\n", serde_json::to_string_pretty(&report).expect("plain data"))
    } else {
        text(&report)
    };
    print(&text);
    !report.devices.is_empty()
}

fn text(report: &Report) -> String {
    if let Some(why) = &report.unavailable {
        return format!("RDMA is off here: {why}\n");
    }
    let name_width = report.devices.iter().map(|device| device.name.len()).max().unwrap_or_default().max(7);
    let mut text = format!("library {}\n", report.library);
    text += &format!(
        "{:<name_width$}  {:<10}  {:<8}  {:>5}  {:>5}  {:>8}\n",
        "adapter", "link", "state", "MTU", "reads", "receives"
    );
    for DeviceReport { name, link, state, mtu_bytes, reads_max, receives_max } in &report.devices {
        text += &format!(
            "{name:<name_width$}  {link:<10}  {state:<8}  {mtu_bytes:>5}  {reads_max:>5}  {receives_max:>8}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_line_up_and_a_reason_is_told() {
        let device = |name: &str, mtu_bytes| DeviceReport {
            name: name.into(),
            link: "RoCE".into(),
            state: "ACTIVE".into(),
            mtu_bytes,
            reads_max: 16,
            receives_max: 32_767,
        };
        let devices = vec![device("mlx5_bond_0", 4096), device("rxe0", 1024)];
        let report = Report { library: "/l".into(), unavailable: None, devices };
        let expected = "library /l\n\
                        adapter      link        state       MTU  reads  receives\n\
                        mlx5_bond_0  RoCE        ACTIVE     4096     16     32767\n\
                        rxe0         RoCE        ACTIVE     1024     16     32767\n";
        assert_eq!(text(&report), expected);
        let none = Report { library: "/l".into(), unavailable: Some("none".into()), devices: vec![] };
        assert_eq!(text(&none), "RDMA is off here: none\n");
    }
}
