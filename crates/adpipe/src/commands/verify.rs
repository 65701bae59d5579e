//! `adpipe verify`.

use std::process::ExitCode;

use adpipe_stream::stores::State;
use adpipe_stream::verify::{Check, Verdict, verify_with_archive};

use crate::config::Config;
use crate::output;
use crate::services::Services;

/// Prints the proof; exit code 1 when something does not add up.
pub fn run(config: Config, json: bool) -> anyhow::Result<ExitCode> {
    let services = Services::open_to_look(config)?;
    let stores = services.look_at_stores()?;
    let minutes_kept = services.config.retention.minutes.0;
    let (log, warehouse) = (services.log.as_ref(), services.warehouse.as_ref());
    let mut verdict = verify_with_archive(log, warehouse, Some(&services.archive), minutes_kept)?;
    verdict.checks.extend(adpipe_batch::audit::audit(warehouse, &services.archive)?);
    verdict.checks.extend(adpipe_batch::audit_errors(log, warehouse)?);
    let mut complaints = stores.complaints();
    // Nothing is proven about what the next start has yet to settle.
    complaints.extend(stores.standings.iter().filter_map(|standing| match &standing.state {
        State::GoesOn(message) => {
            Some(format!("store {}: {message}, once adpipe runs", standing.store.name()))
        }
        State::Sound | State::Stopped(_) => None,
    }));
    verdict.checks.push(Check {
        name: "log, realtime, errors and ops fit each other, and no acknowledged record is lost",
        holds: complaints.is_empty(),
        detail: match complaints.is_empty() {
            true => "each is what the others know".to_owned(),
            false => complaints.join("; "),
        },
    });
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
