//! `adpipe verify`.

mod deep;

use std::process::ExitCode;

use adpipe_stream::stores::State;
use adpipe_stream::verify::{Check, Verdict, verify_with_archive};
use anyhow::bail;

use crate::cli::VerifyArgs;
use crate::config::Config;
use crate::output;
use crate::services::{LogPlace, Services};
use crate::warehouse_place::WarehousePlace;

/// Prints the proof; exit code 1 when something does not add up.
pub fn run(config: Config, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    WarehousePlace::of(&config)?.must_have_data()?;
    must_have_log(&config)?;
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
    let mut sealed = None;
    if args.deep {
        let deep = deep::verify(&services)?;
        verdict.checks.extend(deep.checks.iter().cloned());
        if args.seal && verdict.holds() {
            sealed = Some(adpipe_batch::deep::seal(warehouse, &deep)?);
        } else {
            verdict.not_checked.extend(deep.without_sum);
        }
        verdict.not_checked.extend(deep.not_checked);
    } else {
        verdict.not_checked.push("contents of events and rows (--deep)".to_owned());
    }
    print(&verdict, sealed, args)?;
    Ok(if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// To prove something must not make an empty log that then counts as whole.
fn must_have_log(config: &Config) -> anyhow::Result<()> {
    // Without the other kind of log there is nothing else to match.
    #[allow(irrefutable_let_patterns)]
    if let LogPlace::Embedded(folder) = LogPlace::of(config)?
        && !folder.join("log.db").exists()
    {
        bail!(
            "{} has no log.db, so nothing can be recounted; restore it, or see that log.url names the right folder",
            folder.display()
        );
    }
    Ok(())
}

fn print(verdict: &Verdict, sealed: Option<(u64, u64)>, args: &VerifyArgs) -> anyhow::Result<()> {
    if args.json {
        return output::json(&as_json(verdict, sealed));
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
    match sealed {
        Some((hours, rows)) => output::line(&format!(
            "note  sealed: {} and {}",
            output::counted(hours, "hour"),
            output::counted(rows, "row")
        ))?,
        None if args.seal => output::line("note  nothing is sealed while something does not add up")?,
        None => {}
    }
    output::line(&conclusion(verdict))
}

/// The last line: it claims only what was checked.
fn conclusion(verdict: &Verdict) -> String {
    let gaps = verdict.checks.iter().filter(|check| !check.holds).count() as u64;
    let mut text = match gaps {
        0 => "zero residue in what was checked".to_owned(),
        gaps => output::counted(gaps, "gap"),
    };
    if !verdict.not_checked.is_empty() {
        text += &format!("; not checked: {}", verdict.not_checked.join(", "));
    }
    text
}

fn as_json(verdict: &Verdict, sealed: Option<(u64, u64)>) -> serde_json::Value {
    let checks: Vec<serde_json::Value> = verdict
        .checks
        .iter()
        .map(|check| serde_json::json!({"check": check.name, "holds": check.holds, "detail": check.detail}))
        .collect();
    serde_json::json!({
        "holds": verdict.holds(),
        "waiting": verdict.waiting,
        "checks": checks,
        "not_checked": verdict.not_checked,
        "sealed": sealed.map(|(hours, rows)| serde_json::json!({"hours": hours, "rows": rows})),
    })
}
