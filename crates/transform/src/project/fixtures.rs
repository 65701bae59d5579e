//! Rows of unit tests, and what YAML names by `ref` and `source`.

use super::fields::Fields;
use super::nodes::{Given, Rows};
use crate::error::{Place, Result};
use crate::yaml::{Data, Yaml};

/// Rows in one of dbt's three formats.
pub(super) fn rows(fields: &mut Fields<'_>) -> Result<Rows> {
    let place = fields.place().clone();
    let format = fields.text("format")?.unwrap_or_else(|| "dict".to_owned());
    let Some(node) = fields.take("rows") else {
        return Err(place.refuse("rows are missing; write rows: [] for none"));
    };
    let place = place.at(node.line);
    match (format.as_str(), &node.data) {
        ("dict", Data::List(items)) => {
            let row = |item: &Yaml| {
                let entries =
                    item.map().ok_or_else(|| place.at(item.line).refuse("a row is a mapping of columns"))?;
                Ok(entries.iter().map(|(key, _, value)| (key.to_lowercase(), value.clone())).collect())
            };
            Ok(Rows::Values(items.iter().map(row).collect::<Result<_>>()?))
        }
        ("dict", Data::Null) => Ok(Rows::Values(Vec::new())),
        ("csv", Data::Text(text)) => csv_rows(text, &place),
        ("sql", Data::Text(text)) => Ok(Rows::Sql(text.clone())),
        (format, _) => {
            Err(place.refuse(format!("rows of format {format} are not understood as they stand here")))
        }
    }
}

fn csv_rows(text: &str, place: &Place) -> Result<Rows> {
    let records = crate::csv::parse(text.trim(), ',').map_err(|message| place.refuse(message))?;
    let mut records = records.into_iter();
    let header: Vec<String> =
        records.next().unwrap_or_default().iter().map(|name| name.trim().to_lowercase()).collect();
    let value = |cell: String| {
        if cell.is_empty() {
            Yaml { line: place.line, data: Data::Null }
        } else {
            Yaml { line: place.line, data: Data::Text(cell) }
        }
    };
    Ok(Rows::Values(
        records.map(|record| header.iter().cloned().zip(record.into_iter().map(value)).collect()).collect(),
    ))
}

/// `ref('name')` or `source('source', 'table')`, as YAML holds them.
pub(crate) fn reference(text: &str, place: &Place) -> Result<Given> {
    let wrong = || place.refuse(format!("{text:?} is neither ref('…') nor source('…', '…')"));
    let (function, rest) = text.trim().split_once('(').ok_or_else(wrong)?;
    let inside = rest.trim().strip_suffix(')').ok_or_else(wrong)?;
    let unquoted = |part: &str| {
        let part = part.trim();
        let inner = part.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        inner.or_else(|| part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))).map(str::to_owned)
    };
    let names: Vec<String> = inside.split(',').map(unquoted).collect::<Option<_>>().ok_or_else(wrong)?;
    match (function.trim(), names.as_slice()) {
        ("ref", [name] | [_, name]) => Ok(Given::Model(name.clone())),
        ("source", [source, table]) => Ok(Given::Source(source.clone(), table.clone())),
        _ => Err(wrong()),
    }
}
