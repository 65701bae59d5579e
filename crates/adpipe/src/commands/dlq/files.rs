//! Errors into files and back.

use std::io::{BufRead, BufReader, Write};
use std::process::ExitCode;

use adpipe_dlq::Dlq;
use adpipe_dlq::actions::Actor;
use adpipe_dlq::search::{Direction, Walk, walk};
use adpipe_dlq::sending::{Heard, Sending};
use adpipe_dlq::transfer::{Consent, Imported, export as export_line, import as import_line};
use adpipe_event::{Encoding, sniff_foreign, without_mark};
use anyhow::{Context, bail};

use super::outcomes::{self, Outcomes};
use super::running::Ended;
use crate::actor::actor;
use crate::cli::dlq::{ExportArgs, ImportArgs};
use crate::output;
use crate::output::whole_file::WholeFile;
use crate::services::Services;

/// Errors fetched at once.
const STEP: usize = 500;

pub fn export(dlq: &Dlq, args: &ExportArgs) -> anyhow::Result<()> {
    let mut search = walk(dlq, &args.filter.filter(), Direction::OldestFirst)?;
    let written = match &args.out {
        Some(path) => {
            let mut file = WholeFile::begin(path)?;
            let written = write_lines(dlq, &mut search, &mut file)?;
            file.finish()?;
            written
        }
        None => {
            let mut out = output::results();
            let written = write_lines(dlq, &mut search, &mut out)?;
            out.flush()?;
            written
        }
    };
    output::note(&format!("{} written", output::counted(written, "error")));
    Ok(())
}

fn write_lines(dlq: &Dlq, search: &mut Walk, out: &mut dyn Write) -> anyhow::Result<u64> {
    let mut written = 0;
    loop {
        let ids = search.next(dlq, STEP)?;
        for id in &ids {
            writeln!(out, "{}", export_line(dlq, id)?)?;
            written += 1;
        }
        if ids.len() < STEP {
            return Ok(written);
        }
    }
}

/// What became of the lines of a file.
#[derive(Default)]
struct Account {
    edited: Vec<Sending>,
    unchanged: u64,
    would_fail: u64,
    wrong: u64,
}

impl Account {
    /// Lines of errors that the queue has.
    fn taken(&self) -> u64 {
        self.edited.len() as u64 + self.unchanged + self.would_fail
    }
}

/// Takes line after line, then waits for what comes of them. A line that is wrong, or whose event
/// would fail, is named with its number, and the others are taken.
pub fn import(services: &Services, dlq: &Dlq, args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let (account, pace) = (take_lines(dlq, args)?, args.pace());
    let mut outcomes = None;
    if !pace.no_wait && !args.dry_run && !account.edited.is_empty() {
        outcomes = Some(outcomes::wait(services, dlq, &account.edited, &pace, |sending, heard| {
            if let Heard::Outcome { outcome, error_message: Some(reason), .. } = heard
                && outcome == "failed"
            {
                output::note(&format!("{}: failed again: {reason}", sending.error_id));
            }
            Ok(())
        })?);
    }
    print_account(&account, outcomes.as_ref().map(|(outcomes, _)| *outcomes), args)?;
    if let Some((outcomes, ended)) = outcomes
        && (ended != Ended::Over || outcomes.failed > 0)
    {
        return Ok(outcomes::exit_code(outcomes, ended, &pace));
    }
    let is_done = account.wrong == 0 && account.would_fail == 0;
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn consent(args: &ImportArgs) -> Consent {
    match (args.dry_run, args.force) {
        (true, _) => Consent::Look,
        (false, true) => Consent::Any,
        (false, false) => Consent::OnlyValid,
    }
}

fn take_lines(dlq: &Dlq, args: &ImportArgs) -> anyhow::Result<Account> {
    let mut reader: Box<dyn BufRead> = match args.file.to_str() {
        Some("-") => Box::new(BufReader::new(std::io::stdin())),
        _ => Box::new(BufReader::new(
            std::fs::File::open(&args.file)
                .with_context(|| format!("cannot open {}", args.file.display()))?,
        )),
    };
    pass_mark(&mut reader, args)?;
    let consent = consent(args);
    let name = actor();
    let mut account = Account::default();
    let mut complaints = Complaints::default();
    for (index, line) in reader.lines().enumerate() {
        let line = line.with_context(|| format!("cannot read line {}", index + 1))?;
        if line.trim().is_empty() {
            continue;
        }
        let mut say = |what: &str| complaints.say(index + 1, what);
        match import_line(dlq, &line, consent, Actor { name: &name, job_id: None }) {
            Ok(Imported::Edited(sending)) => account.edited.push(sending),
            Ok(Imported::Unchanged) => account.unchanged += 1,
            Ok(Imported::WouldFail(error)) => {
                account.would_fail += 1;
                say(&format!("if sent now, it would fail: {}", error.message));
            }
            Ok(Imported::Refused(reason)) => {
                account.wrong += 1;
                say(&reason);
            }
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                account.wrong += 1;
                say(&error.to_string());
            }
        }
        let is_another_file = account.wrong == NAMED_LINES && account.taken() == 0;
        if is_another_file {
            bail!(
                "{} is not a file that `adpipe dlq export` wrote: none of its first {NAMED_LINES} lines can \
                 be read; nothing was changed",
                args.file.display()
            );
        }
    }
    complaints.end();
    Ok(account)
}

/// Lines that are named one by one; of a file in which all of these are wrong, none more is read.
const NAMED_LINES: u64 = 10;

/// Says what is wrong with the first lines, and of the others only how many there are.
#[derive(Default)]
struct Complaints {
    said: u64,
    kept_back: u64,
}

impl Complaints {
    fn say(&mut self, line: usize, what: &str) {
        if self.said == NAMED_LINES {
            self.kept_back += 1;
            return;
        }
        self.said += 1;
        output::note(&format!("line {line}: {what}"));
    }

    fn end(self) {
        if self.kept_back > 0 {
            output::note(&format!(
                "and {} more that were not imported",
                output::counted(self.kept_back, "line")
            ));
        }
    }
}

/// Passes over a byte order mark; names a file that cannot hold lines of an export.
fn pass_mark(reader: &mut dyn BufRead, args: &ImportArgs) -> anyhow::Result<()> {
    let file = args.file.display();
    let start = reader.fill_buf().with_context(|| format!("cannot read {file}"))?;
    if let Some(reason) = sniff_foreign(start, Encoding::Identity) {
        bail!("{file} {reason}");
    }
    let mark = start.len() - without_mark(start).len();
    reader.consume(mark);
    Ok(())
}

fn print_account(account: &Account, outcomes: Option<Outcomes>, args: &ImportArgs) -> anyhow::Result<()> {
    let (edited, number) = (account.edited.len() as u64, output::grouped);
    if args.json {
        let mut value = serde_json::json!({
            "edited": edited, "unchanged": account.unchanged, "would_fail": account.would_fail,
            "wrong": account.wrong,
        });
        if let Some(outcomes) = outcomes {
            value["outcomes"] = serde_json::json!({
                "applied": outcomes.applied, "already_counted": outcomes.already_counted,
                "failed": outcomes.failed, "waiting": outcomes.unknown,
            });
        }
        return output::json(&value);
    }
    output::line(&format!(
        "{} {}, {} unchanged, {} would fail{}, {} wrong",
        output::counted(edited, "error"),
        if args.dry_run { "would be edited and sent again" } else { "edited and sent again" },
        number(account.unchanged),
        number(account.would_fail),
        if account.would_fail > 0 && !args.dry_run {
            " and were left alone (--force sends them)"
        } else {
            ""
        },
        number(account.wrong)
    ))?;
    if let Some(outcomes) = outcomes {
        output::line(&format!(
            "  {} applied, {} already counted, {} failed again, {} not known yet",
            number(outcomes.applied),
            number(outcomes.already_counted),
            number(outcomes.failed),
            number(outcomes.unknown)
        ))?;
    }
    Ok(())
}
