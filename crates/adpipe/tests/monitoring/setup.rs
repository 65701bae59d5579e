//! The configuration in config/, with the addresses and the paces of a test.

use std::path::{Path, PathBuf};

use crate::files::{read, root};

/// Prometheus' configuration with these addresses in place of its own (`localhost:8088` …).
/// Targets without an address in the test are left out.
pub struct Setup {
    pub addresses: Vec<(&'static str, String)>,
    /// One role a process, in place of `adpipe up`.
    pub has_roles: bool,
    /// Where Prometheus' alert rules are; "" for those of the repository.
    pub rules: String,
}

impl Setup {
    /// Writes it into the folder, with the rules next to it, a second between scrapes.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let rules = if self.rules.is_empty() { read("config/alert_rules.yml") } else { self.rules.clone() };
        for (name, rules) in [
            ("alert_rules.yml", rules),
            ("alert_rules_exporters.yml", read("config/alert_rules_exporters.yml")),
        ] {
            std::fs::write(folder.join(name), rules.replace("interval: 15s", "interval: 1s")).unwrap();
        }
        let config = folder.join("prometheus.yml");
        let text = read("config/prometheus.yml");
        std::fs::write(&config, self.jobs(&text).replace("_interval: 15s", "_interval: 1s")).unwrap();
        config
    }

    fn jobs(&self, text: &str) -> String {
        let mut lines = Vec::new();
        let mut leaves_out = false;
        for line in text.lines() {
            let commented =
                line.trim_start().starts_with("# - targets:") || line.trim_start().starts_with("#   labels:");
            let line = if commented && self.has_roles { line.replacen("# ", "", 1) } else { line.to_owned() };
            let code = line.split('#').next().unwrap().to_owned();
            if code.contains("targets:") {
                let own = code.split(['"', '"']).nth(1).unwrap();
                let is_up = own == "localhost:8088" && !commented;
                let address =
                    self.addresses.iter().find(|(name, _)| *name == own).map(|(_, address)| address);
                leaves_out = address.is_none() || (is_up && self.has_roles && code.starts_with("      - "));
                if let (Some(address), false) = (address, leaves_out) {
                    lines.push(code.replace(own, address));
                }
            } else if !(leaves_out && code.contains("labels:")) {
                lines.push(code);
            }
        }
        lines.join("\n") + "\n"
    }
}

/// Alertmanager's configuration with this webhook, and its waits a fiftieth.
pub fn alertmanager(folder: &Path, webhook: &str) -> PathBuf {
    let secret = folder.join("slack_webhook");
    std::fs::write(&secret, webhook).unwrap();
    let config = read("config/alertmanager.yml")
        .replace("/etc/alertmanager/slack_webhook", secret.to_str().unwrap())
        .replace("group_wait: 30s", "group_wait: 2s")
        .replace("group_interval: 2m", "group_interval: 3s");
    std::fs::copy(root().join("config/alertmanager_slack.tmpl"), folder.join("alertmanager_slack.tmpl"))
        .unwrap();
    let file = folder.join("alertmanager.yml");
    std::fs::write(&file, config).unwrap();
    file
}
