//! `adpipe verify`.

use std::process::ExitCode;

use adpipe_stream::verify::{Verdict, verify_with_archive};

use crate::config::Config;
use crate::output;
use crate::services::Services;

/// Prints the proof; exit code 1 when something does not add up.
pub fn run(config: Config, json: bool) -> anyhow::Result<ExitCode> {
    let services = Services::open_existing(config)?;
    let minutes_kept = services.config.retention.minutes.0;
    let (log, warehouse) = (services.log.as_ref(), services.warehouse.as_ref());
    let mut verdict = verify_with_archive(log, warehouse, Some(&services.archive), minutes_kept)?;
    verdict.checks.extend(adpipe_batch::audit::audit(warehouse, &services.archive)?);
    verdict.checks.extend(adpipe_batch::audit_errors(log, warehouse)?);
    print(&verdict, json)?;
    Ok(if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(verdict: &Verdict, json: bool) -> anyhow::Result<()> {
    if json {
        let checks: Vec<serde_json::Value> = verdict
            .checks
            .iter()
            .map(|check| serde_json::json!({"check": check.name, "holds": check.holds, "detail": check.detail}))
            .collect();
        return output::json(&serde_json::json!({
            "holds": verdict.holds(), "waiting": verdict.waiting, "checks": checks,
        }));
    }
    for check in &verdict.checks {
        let mark = if check.holds { "ok  " } else { "GAP " };
        output::line(&format!("{mark} {}: {}", check.name, check.detail))?;
    }
    if verdict.waiting > 0 {
        let waiting = output::grouped(verdict.waiting);
        output::line(&format!(
            "note  {waiting} records of the log wait for the processor and are not part of this"
        ))?;
    }
    if verdict.holds() {
        output::line("zero residue: nothing was lost, nothing was counted twice")?;
    }
    Ok(())
}
