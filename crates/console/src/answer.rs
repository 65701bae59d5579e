//! Answers with JSON, made where work may wait for a database.

use std::sync::Arc;

use adpipe_event::Millis;
use adpipe_ingest::http::{Client, Refusal};
use adpipe_warehouse::{Row, Table, Value, Warehouse, WarehouseError};
use axum::Extension;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use serde::Serialize;

use crate::outbox::{Outbox, counted};
use crate::work::Work;

/// Whose share of the memory for answers one takes.
pub(crate) type Asking = Extension<Client>;

/// Where answers are made, and where they wait to be taken.
#[derive(Clone)]
pub(crate) struct Answers {
    pub work: Work,
    pub outbox: Outbox,
}

impl Answers {
    /// The result of `work` as JSON that is not cached: computed off the threads that serve sockets, and
    /// counted before the next request has its turn.
    pub async fn json<T: Serialize>(
        &self,
        Extension(client): Asking,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let outbox = self.outbox.clone();
        let body = self.work.run(move || {
            let made = work()?;
            let body = serde_json::to_vec(&made).map_err(|error| Refusal::internal(&error))?;
            outbox.hold(client, Bytes::from(body))
        });
        Ok(counted((json_headers(), body.await??).into_response()))
    }
}

/// Answers that are read from the warehouse.
#[derive(Clone)]
pub(crate) struct WarehouseReader {
    pub answers: Answers,
    pub warehouse: Arc<dyn Warehouse>,
}

impl WarehouseReader {
    /// Reads off the threads that serve sockets, and answers with JSON that is not cached.
    pub async fn json<T: Serialize>(
        &self,
        asking: Asking,
        read: impl FnOnce(&dyn Warehouse) -> Result<T, WarehouseError> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let warehouse = Arc::clone(&self.warehouse);
        let read = move || read(warehouse.as_ref()).map_err(|error| Refusal::unavailable(error.to_string()));
        self.answers.json(asking, read).await
    }
}

/// For JSON that is not cached.
pub(crate) fn json_headers() -> [(header::HeaderName, &'static str); 2] {
    [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")]
}

/// A small answer that is not cached.
pub(crate) fn json(answer: &impl Serialize) -> Result<Response, Refusal> {
    let body = serde_json::to_vec(answer).map_err(|error| Refusal::internal(&error))?;
    Ok((json_headers(), body).into_response())
}

/// What was sent can be read, and cannot be.
pub(crate) fn unprocessable(message: String) -> Refusal {
    Refusal::wrong(StatusCode::UNPROCESSABLE_ENTITY, message)
}

/// The rows of a query, up to `max_bytes` of text; false when there are more.
pub(crate) fn rows_within(
    warehouse: &dyn Warehouse,
    sql: &str,
    params: &[Value],
    max_bytes: usize,
) -> Result<(Table, bool), WarehouseError> {
    let (mut rows, mut bytes, mut is_complete) = (Vec::new(), 0, true);
    let columns = warehouse.query(sql, params, &mut |row| {
        if bytes >= max_bytes {
            is_complete = false;
            return false;
        }
        bytes += row.values().iter().filter_map(Value::as_str).map(str::len).sum::<usize>();
        rows.push(row.values().to_vec());
        true
    })?;
    Ok((Table { columns, rows }, is_complete))
}

/// A time of a row that may be null, as scripts have it: ms since the Unix epoch.
pub(crate) fn time(row: &Row<'_>, name: &str) -> Result<Option<i64>, WarehouseError> {
    Ok(row.get::<Option<Millis>>(name)?.map(|time| time.0))
}

/// The fallback for a method that an address does not answer.
pub(crate) async fn wrong_method() -> Refusal {
    Refusal::wrong(StatusCode::METHOD_NOT_ALLOWED, "this address does not support this method")
}
