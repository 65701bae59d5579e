//! `adpipe doctor`: every configured part, and what to do about it.

mod archive;
mod errors;
mod finding;
mod log;
mod sample;
mod stores;

use std::path::Path;
use std::process::ExitCode;

use adpipe_log::EventLog;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Warehouse, WarehouseRead};

use crate::cli::Cli;
use crate::cli::checks::DoctorArgs;
use crate::commands::configuration::configuration;
use crate::config::{Config, ConfigError};
use crate::log_place::LogPlace;
use crate::output;
use crate::services::{role_folder, take_role};
use crate::warehouse_place::WarehousePlace;
use finding::{Finding, State, add};

/// Free space below this is worth a warning.
const LITTLE_SPACE_BYTES: u64 = 1 << 30;

/// Checks every part; exit code 1 when one is bad, 2 when it is the configuration.
pub fn run(cli: &Cli, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    if let Some(file) = &args.sample {
        return sample::run(&configuration(cli, None)?, file, args.json);
    }
    let mut findings = Vec::new();
    let mut misconfigured = true;
    match configuration(cli, None) {
        Ok(config) => {
            misconfigured = names_no_place(&config);
            if !misconfigured {
                add(&mut findings, "configuration", State::Good, "is valid".to_owned());
            }
            check_parts(&config, args.fix, &mut findings);
        }
        Err(error) => add(&mut findings, "configuration", State::Bad, error.to_string()),
    }
    print(&findings, args.json)?;
    let bad = findings.iter().any(|finding| finding.state == State::Bad);
    Ok(match (misconfigured, bad) {
        (true, _) => ExitCode::from(crate::USAGE),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    })
}

/// True when log or warehouse are named in a way that cannot be understood; their findings say how.
fn names_no_place(config: &Config) -> bool {
    let is_wrong = |error: anyhow::Error| error.is::<ConfigError>();
    LogPlace::of(config).is_err() || WarehousePlace::of(config).is_err_and(is_wrong)
}

fn check_parts(config: &Config, fix: bool, findings: &mut Vec<Finding>) {
    let place = LogPlace::of(config);
    let log = match &place {
        Ok(place) => log::check(place, config, fix, findings),
        Err(error) => {
            add(findings, "event log", State::Bad, error.to_string());
            None
        }
    };
    let warehouse = match WarehousePlace::of(config) {
        Ok(WarehousePlace::Folder(folder)) => check_warehouse(&folder, findings),
        Ok(WarehousePlace::Postgres(settings)) => check_postgres(*settings, findings),
        Err(error) => {
            add(findings, "warehouse", State::Bad, format!("{error:#}"));
            None
        }
    };
    archive::check(config, warehouse.as_deref(), findings);
    if let (Some(log), Some(warehouse)) = (&log, &warehouse) {
        stores::check(config, findings);
        check_lag(log.as_ref(), warehouse.as_ref(), findings);
        errors::check(config, findings);
    }
    #[cfg(feature = "kafka")]
    if let Ok(LogPlace::Kafka(_)) = &place {
        log::check_group(log.as_deref(), findings);
    }
    if let Ok(Some(folder)) = role_folder(config) {
        check_processor(&folder, findings);
        check_space(&folder, findings);
    }
    check_port(config, findings);
}

fn check_warehouse(folder: &Path, findings: &mut Vec<Finding>) -> Option<Box<dyn Warehouse>> {
    // Where one of them is gone the others know it.
    if !["realtime.db", "errors.db", "ops.db"].iter().any(|name| folder.join(name).exists()) {
        let text = format!("{} has none yet; the first start creates it", folder.display());
        add(findings, "warehouse", State::Notice, text);
        return None;
    }
    match SqliteWarehouse::open(folder) {
        Ok(warehouse) => match warehouse.check() {
            Ok(()) => {
                add(findings, "warehouse", State::Good, format!("{} is sound", warehouse.location()));
                Some(Box::new(warehouse))
            }
            Err(error) => {
                add(findings, "warehouse", State::Bad, error.to_string());
                None
            }
        },
        Err(error) => {
            add(findings, "warehouse", State::Bad, error.to_string());
            None
        }
    }
}

/// Connects, brings the schemas up to date and looks whether a processor could work.
fn check_postgres(settings: PostgresSettings, findings: &mut Vec<Finding>) -> Option<Box<dyn Warehouse>> {
    let opened = PostgresWarehouse::open(settings)
        .and_then(|warehouse| warehouse.check().map(|version| (warehouse, version)));
    match opened {
        Ok((warehouse, version)) => {
            let text = format!("{}: PostgreSQL {version}, can be written", warehouse.location());
            add(findings, "warehouse", State::Good, text);
            Some(Box::new(warehouse))
        }
        Err(error) => {
            add(findings, "warehouse", State::Bad, error.to_string());
            None
        }
    }
}

fn check_lag(log: &dyn EventLog, warehouse: &dyn Warehouse, findings: &mut Vec<Finding>) {
    match adpipe_stream::backlog::lag(log, warehouse) {
        Ok(partitions) => {
            let records: u64 = partitions.iter().map(|partition| partition.records).sum();
            let (state, text) = match records {
                0 => (State::Good, "every record of the log is committed".to_owned()),
                _ => (State::Notice, format!("{} records wait for the processor", output::grouped(records))),
            };
            add(findings, "lag", state, text);
        }
        Err(error) => add(findings, "lag", State::Bad, error.to_string()),
    }
}

fn check_processor(folder: &Path, findings: &mut Vec<Finding>) {
    if !folder.exists() {
        return;
    }
    let (state, text) = match take_role(folder, "stream") {
        Ok(Some(_)) => {
            (State::Notice, "is not running; start it with `adpipe up` or `adpipe run stream`".to_owned())
        }
        Ok(None) => {
            stores::check_roles(folder, findings);
            (State::Good, "is running".to_owned())
        }
        Err(error) => (State::Bad, format!("{error:#}")),
    };
    add(findings, "processor", state, text);
}

fn check_space(folder: &Path, findings: &mut Vec<Finding>) {
    // The standard library cannot ask; `df` is on every system that adpipe runs on.
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let output = std::process::Command::new("df").arg("-Pk").arg(existing).output();
    let free = output.ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()
    });
    let Some(free_kib) = free else {
        add(
            findings,
            "disk",
            State::Notice,
            "free space cannot be measured (`df` did not answer)".to_owned(),
        );
        return;
    };
    let gib = free_kib as f64 / (1 << 20) as f64;
    if free_kib * 1_024 < LITTLE_SPACE_BYTES {
        add(findings, "disk", State::Bad, format!("only {gib:.1} GiB free; make room"))
    } else {
        add(findings, "disk", State::Good, format!("{gib:.1} GiB free"))
    }
}

fn check_port(config: &Config, findings: &mut Vec<Finding>) {
    let (host, port) = (config.console.host.as_str(), config.console.port);
    let (state, text) = match std::net::TcpListener::bind((host, port)) {
        Ok(_) => (State::Good, format!("{host}:{port} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => (
            State::Notice,
            format!("{host}:{port} is in use; unless it is a running adpipe, choose another console.port"),
        ),
        Err(error) => {
            (State::Bad, format!("{host}:{port}: {error}; choose another console.host or console.port"))
        }
    };
    add(findings, "console", state, text);
}

fn print(findings: &[Finding], json: bool) -> anyhow::Result<()> {
    let word = |state| match state {
        State::Good => "ok",
        State::Notice => "note",
        State::Bad => "BAD",
    };
    if json {
        let list: Vec<serde_json::Value> = findings
            .iter()
            .map(|f| serde_json::json!({"part": f.part, "state": word(f.state).to_lowercase(), "text": f.text}))
            .collect();
        return output::json(&serde_json::Value::Array(list));
    }
    for finding in findings {
        output::line(&format!(
            "{:4}  {}: {}",
            word(finding.state),
            finding.part,
            output::with_separators(&finding.text)
        ))?;
    }
    Ok(())
}
