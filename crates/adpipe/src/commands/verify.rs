//! `adpipe verify`.

use std::process::ExitCode;

use adpipe_stream::verify::{Verdict, verify};

use crate::config::Config;
use crate::output;
use crate::services::Services;

/// How often to count again when somebody wrote meanwhile.
const TRIES: usize = 3;

/// Prints the proof; exit code 1 when something does not add up.
pub fn run(config: Config, json: bool) -> anyhow::Result<ExitCode> {
    let services = Services::open_existing(config)?;
    let mut verdict = verify(services.log.as_ref(), services.warehouse.as_ref())?;
    for _ in 1..TRIES {
        if verdict.holds() || !verdict.was_disturbed {
            break;
        }
        verdict = verify(services.log.as_ref(), services.warehouse.as_ref())?;
    }
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
            "holds": verdict.holds(), "disturbed": verdict.was_disturbed, "checks": checks,
        }));
    }
    for check in &verdict.checks {
        let mark = if check.holds { "ok  " } else { "GAP " };
        output::line(&format!("{mark} {}: {}", check.name, check.detail))?;
    }
    match (verdict.holds(), verdict.was_disturbed) {
        (true, _) => output::line("zero residue: nothing was lost, nothing was counted twice"),
        (false, true) => {
            eprintln!("events kept coming in while this counted; run it again when the input is quiet");
            Ok(())
        }
        (false, false) => Ok(()),
    }
}
