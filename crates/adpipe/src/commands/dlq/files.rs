//! Errors into files and back.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;

use adpipe_dlq::Dlq;
use adpipe_dlq::actions::Actor;
use adpipe_dlq::search::{Direction, walk};
use adpipe_dlq::transfer::{Imported, export as export_line, import as import_line};
use anyhow::Context;

use super::actor;
use crate::cli::dlq::{ExportArgs, ImportArgs};
use crate::output;
use crate::services::Services;

/// Errors fetched at once.
const STEP: usize = 500;

pub fn export(dlq: &Dlq, args: &ExportArgs) -> anyhow::Result<()> {
    let mut search = walk(dlq, &args.filter.filter(), Direction::OldestFirst)?;
    let mut out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(BufWriter::new(
            std::fs::File::create(path).with_context(|| format!("cannot make {}", path.display()))?,
        )),
        None => Box::new(BufWriter::new(std::io::stdout().lock())),
    };
    let mut written = 0u64;
    loop {
        let ids = search.next(dlq, STEP)?;
        for id in &ids {
            writeln!(out, "{}", export_line(dlq, id)?)?;
            written += 1;
        }
        if ids.len() < STEP {
            break;
        }
    }
    out.flush()?;
    eprintln!("{} written", output::counted(written, "error"));
    Ok(())
}

/// Takes line after line; a wrong one is told with its number, and the others are taken.
pub fn import(services: &Services, dlq: &Dlq, args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let reader: Box<dyn BufRead> = match args.file.to_str() {
        Some("-") => Box::new(BufReader::new(std::io::stdin())),
        _ => Box::new(BufReader::new(
            std::fs::File::open(&args.file)
                .with_context(|| format!("cannot open {}", args.file.display()))?,
        )),
    };
    let name = actor();
    let (mut edited, mut unchanged, mut wrong) = (0u64, 0u64, 0u64);
    for (index, line) in reader.lines().enumerate() {
        let line = line.with_context(|| format!("cannot read line {}", index + 1))?;
        if line.trim().is_empty() {
            continue;
        }
        match import_line(dlq, &line, Actor { name: &name, job_id: None }) {
            Ok(Imported::Edited) => edited += 1,
            Ok(Imported::Unchanged) => unchanged += 1,
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                wrong += 1;
                eprintln!("line {}: {error}", index + 1);
            }
        }
    }
    match args.json {
        true => output::json(&serde_json::json!({"edited": edited, "unchanged": unchanged, "wrong": wrong}))?,
        false => output::line(&format!(
            "{} edited and sent again, {} unchanged, {} wrong",
            output::counted(edited, "error"),
            output::grouped(unchanged),
            output::grouped(wrong)
        ))?,
    }
    if edited > 0 && services.take_vacant_dlq_role()?.is_some() {
        eprintln!("nobody sends them yet: run `adpipe up` or `adpipe run dlq`, or `adpipe dlq retry --due`");
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
