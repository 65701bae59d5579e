//! `adpipe verify`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use adpipe_batch::deep::Deep;
use adpipe_counting::Check;
use adpipe_runtime::progress::Progress;
use adpipe_stores::{State, Stores};
use adpipe_stream::verify::{self, Scope, Verdict};
use adpipe_warehouse::report::Ctr;
use anyhow::bail;

use crate::cli::checks::VerifyArgs;
use crate::config::Config;
use crate::log_place::LogPlace;
use crate::services::Services;
use crate::warehouse_place::WarehousePlace;
use crate::{output, progress_bar};

/// Prints the proof; exit code 1 when something does not add up.
pub fn run(config: Config, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    WarehousePlace::of(&config)?.must_have_data()?;
    must_have_log(&config)?;
    let services = Services::open_to_look(config)?;
    let stores = services.look_at_stores()?;
    let progress = Progress::new();
    let proof = progress_bar::shown("verify", || progress.look(), || prove(&services, args, &progress))??;
    let Proof { mut verdict, deep } = proof;
    verdict.checks.push(stores_fit(&stores));
    let mut sealed = None;
    if let Some(mut deep) = deep {
        verdict.checks.append(&mut deep.checks);
        if args.seal && verdict.holds() {
            sealed = Some(adpipe_batch::deep::seal(services.warehouse.as_ref(), &deep)?);
        } else {
            verdict.not_checked.extend(deep.without_sum);
        }
        verdict.not_checked.extend(deep.not_checked);
    } else {
        verdict.not_checked.push("contents of events and rows (--deep)".to_owned());
    }
    print(&verdict, sealed, started.elapsed(), args)?;
    Ok(if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was found before anything is stored.
struct Proof {
    verdict: Verdict,
    deep: Option<Deep>,
}

/// Steps of the part below that reads the archive and the errors of files.
const ARCHIVE_STEPS: u64 = 2;

fn prove(services: &Services, args: &VerifyArgs, progress: &Progress) -> anyhow::Result<Proof> {
    let (log, warehouse) = (services.log.as_ref(), services.warehouse.as_ref());
    let minutes_kept = services.config.retention.minutes.0;
    let (archive, fields) = (Some(&services.archive as _), services.config.event.fields.map());
    let scope = Scope { log, warehouse, archive, fields, minutes_kept, progress };
    if args.quick {
        progress.expect_steps(verify::QUICK_STEPS);
        let mut verdict = verify::compare_sums(&scope)?;
        verdict.checks.extend(adpipe_batch::audit_errors(log, warehouse)?);
        verdict.not_checked.push("files of the archive".to_owned());
        return Ok(Proof { verdict, deep: None });
    }
    let deep_steps = if args.deep { adpipe_batch::deep::STEPS } else { 0 };
    progress.expect_steps(verify::STEPS + ARCHIVE_STEPS + deep_steps);
    let mut verdict = verify::recount_all(&scope)?;
    progress.begin("reading the archive");
    verdict.checks.extend(adpipe_batch::audit::audit(warehouse, &services.archive, progress)?);
    progress.begin("comparing the errors of raw files");
    verdict.checks.extend(adpipe_batch::audit_errors(log, warehouse)?);
    let deep = if args.deep {
        Some(adpipe_batch::deep::verify(warehouse, &services.archive, minutes_kept, progress)?)
    } else {
        None
    };
    Ok(Proof { verdict, deep })
}

fn stores_fit(stores: &Stores) -> Check {
    let mut complaints = stores.complaints();
    // Nothing is proven about what the next start has yet to settle.
    complaints.extend(stores.standings.iter().filter_map(|standing| match &standing.state {
        State::GoesOn(message) => {
            Some(format!("store {}: {message}, once adpipe runs", standing.store.name()))
        }
        State::Sound | State::Stopped(_) => None,
    }));
    Check {
        name: "log, realtime, errors and ops fit each other, and no acknowledged record is lost",
        holds: complaints.is_empty(),
        detail: if complaints.is_empty() {
            "each matches what the others know".to_owned()
        } else {
            complaints.join("; ")
        },
    }
}

/// To prove something must not make an empty log that then counts as whole.
fn must_have_log(config: &Config) -> anyhow::Result<()> {
    // Without the other kind of log there is nothing else to match.
    #[allow(irrefutable_let_patterns)]
    if let LogPlace::Embedded(folder) = LogPlace::of(config)?
        && !folder.join("log.db").exists()
    {
        bail!(
            "{} has no log.db, so nothing can be recounted; restore it, or check that log.url names the right folder",
            folder.display()
        );
    }
    Ok(())
}

fn print(
    verdict: &Verdict,
    sealed: Option<(u64, u64)>,
    took: Duration,
    args: &VerifyArgs,
) -> anyhow::Result<()> {
    if args.json {
        return output::json(&as_json(verdict, sealed, took));
    }
    for check in &verdict.checks {
        let mark = if check.holds { "ok  " } else { "GAP " };
        output::line(&format!("{mark} {}: {}", check.name, output::with_separators(&check.detail)))?;
    }
    if verdict.waiting > 0 {
        let waiting = output::grouped(verdict.waiting);
        output::line(&format!(
            "note  {waiting} records of the log wait for the processor and are not part of this"
        ))?;
    }
    output::line(&format!("note  {}", totals(verdict)))?;
    match sealed {
        Some((hours, rows)) => output::line(&format!(
            "note  sealed: {} and {}",
            output::counted(hours, "hour"),
            output::counted(rows, "row")
        ))?,
        None if args.seal => output::line("note  nothing is sealed while something does not add up")?,
        None => {}
    }
    output::line(&format!("note  took {:.1} s", took.as_secs_f64()))?;
    output::line(&conclusion(verdict))
}

/// The totals, as the console and Prometheus show them.
fn totals(verdict: &Verdict) -> String {
    let (all, files) = (verdict.totals.all(), verdict.totals.files);
    let rate = Ctr { impressions: all.valid, clicks: all.clicks }.rate();
    format!(
        "{} counted ({} of raw files): {} valid, {}, {} invalid; {}{}",
        output::counted(all.records, "record"),
        output::grouped(files.records),
        output::grouped(all.valid),
        output::counted(all.duplicates, "duplicate"),
        output::grouped(all.invalid()),
        output::counted(all.clicks, "click"),
        rate.map_or(String::new(), |rate| format!(", CTR {:.2} %", rate * 100.0)),
    )
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

fn as_json(verdict: &Verdict, sealed: Option<(u64, u64)>, took: Duration) -> serde_json::Value {
    let checks: Vec<serde_json::Value> = verdict
        .checks
        .iter()
        .map(|check| serde_json::json!({"check": check.name, "holds": check.holds, "detail": check.detail}))
        .collect();
    let (all, files) = (verdict.totals.all(), verdict.totals.files);
    serde_json::json!({
        "holds": verdict.holds(),
        "seconds": took.as_secs_f64(),
        "totals": {
            "records": all.records, "valid": all.valid, "clicks": all.clicks, "duplicates": all.duplicates,
            "invalid": all.invalid(), "records_of_files": files.records,
        },
        "waiting": verdict.waiting,
        "checks": checks,
        "not_checked": verdict.not_checked,
        "sealed": sealed.map(|(hours, rows)| serde_json::json!({"hours": hours, "rows": rows})),
    })
}
