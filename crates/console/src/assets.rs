//! Scripts and styles, compiled into the program: nothing comes from elsewhere.

use std::sync::{Arc, OnceLock};

use adpipe_ingest::http::Refusal;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;

use crate::outbox::counted;
use crate::pack::{self, accepts_gzip, fnv_1a};

const FILES: [(&str, &str); 40] = [
    ("console.css", include_str!("../static/console.css")),
    ("overview.js", include_str!("../static/overview.js")),
    ("dags.css", include_str!("../static/dags.css")),
    ("dags.js", include_str!("../static/dags.js")),
    ("charts.css", include_str!("../static/charts.css")),
    ("chart.js", include_str!("../static/chart.js")),
    ("chart-cursor.js", include_str!("../static/chart-cursor.js")),
    ("chart-frame.js", include_str!("../static/chart-frame.js")),
    ("chart-marks.js", include_str!("../static/chart-marks.js")),
    ("chart-panel.js", include_str!("../static/chart-panel.js")),
    ("chart-points.js", include_str!("../static/chart-points.js")),
    ("chart-scale.js", include_str!("../static/chart-scale.js")),
    ("chart-time.js", include_str!("../static/chart-time.js")),
    ("overview-charts.js", include_str!("../static/overview-charts.js")),
    ("operations-heat.js", include_str!("../static/operations-heat.js")),
    ("spark.js", include_str!("../static/spark.js")),
    ("svg.js", include_str!("../static/svg.js")),
    ("page.js", include_str!("../static/page.js")),
    ("format.js", include_str!("../static/format.js")),
    ("dlq.css", include_str!("../static/dlq.css")),
    ("dlq.js", include_str!("../static/dlq.js")),
    ("dlq-list.js", include_str!("../static/dlq-list.js")),
    ("dlq-error.js", include_str!("../static/dlq-error.js")),
    ("dlq-shared.js", include_str!("../static/dlq-shared.js")),
    ("dlq-jobs.js", include_str!("../static/dlq-jobs.js")),
    ("dlq-edit.js", include_str!("../static/dlq-edit.js")),
    ("dlq-payload.js", include_str!("../static/dlq-payload.js")),
    ("dlq-backlog.js", include_str!("../static/dlq-backlog.js")),
    ("quality.css", include_str!("../static/quality.css")),
    ("quality.js", include_str!("../static/quality.js")),
    ("files.css", include_str!("../static/files.css")),
    ("files.js", include_str!("../static/files.js")),
    ("operations.css", include_str!("../static/operations.css")),
    ("operations.js", include_str!("../static/operations.js")),
    ("operations-charts.js", include_str!("../static/operations-charts.js")),
    ("messages.js", include_str!("../static/messages.js")),
    ("trust.js", include_str!("../static/trust.js")),
    ("zone.js", include_str!("../static/zone.js")),
    ("firing.js", include_str!("../static/firing.js")),
    ("icon.svg", include_str!("../static/icon.svg")),
];

/// Where they are served. Nothing in them is secret, and the page that asks for a token needs them.
pub(crate) const FOLDER: &str = "/static/";

/// A file as it is sent: the same bytes to everybody, compressed once.
#[derive(Clone)]
struct Asset {
    media_type: &'static str,
    etag: String,
    plain: Bytes,
    gzip: Bytes,
}

/// Made when it is first asked for.
type Slot = Arc<OnceLock<Result<Asset, String>>>;

#[derive(Clone)]
pub(crate) struct Assets {
    files: Arc<[(&'static str, Slot)]>,
}

impl Assets {
    pub fn new() -> Assets {
        Assets { files: FILES.iter().map(|(name, _)| (*name, Slot::default())).collect() }
    }

    /// The file of that name.
    async fn find(&self, name: &str) -> Result<Asset, Refusal> {
        let found = self.files.iter().find(|(file, _)| *file == name);
        let (name, slot) = found.ok_or_else(|| Refusal::wrong(StatusCode::NOT_FOUND, "no such file"))?;
        let (name, slot) = (*name, Arc::clone(slot));
        let made = match slot.get() {
            Some(made) => made.clone(),
            // Up to a third of a second of compressing: not for a thread that serves sockets.
            None => tokio::task::spawn_blocking(move || slot.get_or_init(|| make(name)).clone())
                .await
                .map_err(|error| Refusal::internal(&error))?,
        };
        made.map_err(|error| Refusal::internal(&error))
    }
}

/// The text of a script or style of ours.
pub(crate) fn source(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(file, _)| *file == name).map(|(_, text)| *text)
}

fn make(name: &str) -> Result<Asset, String> {
    let text = source(name).ok_or_else(|| format!("{name} is not a static file"))?;
    packed(media_type(name), Bytes::from_static(text.as_bytes()))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn packed(media_type: &'static str, plain: Bytes) -> Result<Asset, String> {
    let gzip = pack::gzip(&plain, flate2::Compression::default()).map_err(|error| error.to_string())?;
    Ok(Asset { media_type, etag: etag(&gzip), plain, gzip })
}

/// `GET /static/{name}`.
pub(crate) async fn get_asset(
    State(assets): State<Assets>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let asset = assets.find(&name).await?;
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == asset.etag.as_bytes()) {
        return with_caching(StatusCode::NOT_MODIFIED.into_response(), &asset);
    }
    let media_type = [(header::CONTENT_TYPE, asset.media_type)];
    let response = if accepts_gzip(&headers) {
        let encoding = [(header::CONTENT_ENCODING, "gzip")];
        (media_type, encoding, asset.gzip.clone()).into_response()
    } else {
        (media_type, asset.plain.clone()).into_response()
    };
    with_caching(counted(response), &asset)
}

fn with_caching(mut response: Response, asset: &Asset) -> Result<Response, Refusal> {
    let etag = HeaderValue::from_str(&asset.etag).map_err(|error| Refusal::internal(&error))?;
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag);
    // Kept, but asked about each time: a new program must not meet an old script.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{:016x}\"", fnv_1a(bytes))
}
