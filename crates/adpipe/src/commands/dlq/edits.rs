//! Edits as they are written on the command line.

use std::path::Path;

use adpipe_dlq::patch::{Kind, Patch, Step};
use adpipe_dlq::repair::Edit;
use adpipe_event::{Encoding, sniff_foreign, without_mark};
use anyhow::{Context, bail};

use crate::cli::dlq::EditArgs;
use crate::config::ConfigError;

/// The edit that the flags mean.
pub fn of(args: &EditArgs) -> anyhow::Result<Edit> {
    if args.undo {
        return Ok(Edit::Undo);
    }
    if let Some(file) = &args.payload {
        let bytes = read(file)?;
        if let Some(reason) = sniff_foreign(&bytes, Encoding::Identity) {
            bail!("{} {reason}", file.display());
        }
        return Ok(Edit::Payload(without_mark(&bytes).to_vec()));
    }
    if let Some(file) = &args.patch {
        let text = adpipe_sql::text::decode(read(file)?)
            .with_context(|| format!("cannot read {}", file.display()))?;
        return Ok(Edit::Patch(Patch::from_json(&text)?));
    }
    let mut steps = Vec::new();
    for rename in &args.rename {
        let (from, to) = pair(rename, "--rename OLD=NEW")?;
        steps.push(Step::Move { from: path(from), path: path(to) });
    }
    for set in &args.set {
        let (field, value) = pair(set, "--set FIELD=VALUE")?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        steps.push(Step::Add { path: path(field), value });
    }
    for cast in &args.cast {
        let (field, kind) = pair(cast, "--cast FIELD=integer or FIELD=text")?;
        let to = match kind {
            "integer" => Kind::Integer,
            "text" => Kind::Text,
            other => bail!(ConfigError::flag(format!(
                "--cast {field}={other}: a value can be converted to integer or text"
            ))),
        };
        steps.push(Step::Cast { path: path(field), to });
    }
    steps.extend(args.drop.iter().map(|field| Step::Remove { path: path(field) }));
    if steps.is_empty() {
        bail!(ConfigError::flag("say how: --set, --rename, --cast, --drop, --patch, --payload or --undo"));
    }
    Ok(Edit::Patch(Patch::new(steps)?))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file.to_str() {
        Some("-") => std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes)
            .context("cannot read standard input")?,
        _ => std::io::Read::read_to_end(
            &mut std::fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?,
            &mut bytes,
        )
        .with_context(|| format!("cannot read {}", file.display()))?,
    };
    // The line's end of an editor or of echo is not part of a record.
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(bytes)
}

fn pair<'a>(text: &'a str, form: &str) -> anyhow::Result<(&'a str, &'a str)> {
    match text.split_once('=') {
        Some((left, right)) if !left.is_empty() => Ok((left, right)),
        _ => bail!(ConfigError::flag(format!("{text:?} is not of the form {form}"))),
    }
}

fn path(field: &str) -> String {
    format!("/{}", field.replace('~', "~0").replace('/', "~1"))
}
