//! Answers with JSON, made of what the warehouse says.

use std::sync::Arc;

use adpipe_event::Millis;
use adpipe_warehouse::{Value, Warehouse, WarehouseError};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::App;
use crate::refusal::Refusal;

/// Reads away from the sockets, and answers with JSON that nobody keeps.
pub(crate) async fn read<T: Serialize + Send + 'static>(
    app: &App,
    read: impl FnOnce(&dyn Warehouse) -> Result<T, WarehouseError> + Send + 'static,
) -> Result<Response, Refusal> {
    let warehouse = Arc::clone(&app.services.warehouse);
    let read = tokio::task::spawn_blocking(move || read(warehouse.as_ref())).await;
    let found = read
        .map_err(|error| Refusal::internal(&error))?
        .map_err(|error| Refusal::unavailable(error.to_string()))?;
    json(&found)
}

/// An answer that nobody keeps.
pub(crate) fn json(answer: &impl Serialize) -> Result<Response, Refusal> {
    let body = serde_json::to_vec(answer).map_err(|error| Refusal::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body)
        .into_response())
}

/// A time of the warehouse, ms since the Unix epoch.
pub(crate) fn time(value: &Value) -> Option<i64> {
    value.as_str().and_then(Millis::parse_sql).map(|time| time.0)
}

/// A text of the warehouse; empty for anything else.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A count of the warehouse. Databases give sums as whole or decimal numbers; all of ours are whole.
pub(crate) fn count(value: &Value) -> u64 {
    value.as_i64().map_or_else(|| value.as_f64().map_or(0, |number| number as u64), |number| number as u64)
}
