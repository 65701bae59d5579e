//! Scripts and styles, compiled into the program: nothing comes from elsewhere.

use std::sync::{Arc, OnceLock};

use adpipe_ingest::http::Refusal;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;

use crate::app::App;
use crate::outbox::counted;
use crate::pack::{self, accepts_gzip};

const FILES: [(&str, &str, &str); 40] = [
    ("console.css", "text/css; charset=utf-8", include_str!("../static/console.css")),
    ("overview.js", "text/javascript; charset=utf-8", include_str!("../static/overview.js")),
    ("dags.css", "text/css; charset=utf-8", include_str!("../static/dags.css")),
    ("dags.js", "text/javascript; charset=utf-8", include_str!("../static/dags.js")),
    ("charts.css", "text/css; charset=utf-8", include_str!("../static/charts.css")),
    ("chart.js", "text/javascript; charset=utf-8", include_str!("../static/chart.js")),
    ("chart-cursor.js", "text/javascript; charset=utf-8", include_str!("../static/chart-cursor.js")),
    ("chart-frame.js", "text/javascript; charset=utf-8", include_str!("../static/chart-frame.js")),
    ("chart-marks.js", "text/javascript; charset=utf-8", include_str!("../static/chart-marks.js")),
    ("chart-panel.js", "text/javascript; charset=utf-8", include_str!("../static/chart-panel.js")),
    ("chart-points.js", "text/javascript; charset=utf-8", include_str!("../static/chart-points.js")),
    ("chart-scale.js", "text/javascript; charset=utf-8", include_str!("../static/chart-scale.js")),
    ("chart-time.js", "text/javascript; charset=utf-8", include_str!("../static/chart-time.js")),
    ("overview-charts.js", "text/javascript; charset=utf-8", include_str!("../static/overview-charts.js")),
    ("operations-heat.js", "text/javascript; charset=utf-8", include_str!("../static/operations-heat.js")),
    ("spark.js", "text/javascript; charset=utf-8", include_str!("../static/spark.js")),
    ("svg.js", "text/javascript; charset=utf-8", include_str!("../static/svg.js")),
    ("page.js", "text/javascript; charset=utf-8", include_str!("../static/page.js")),
    ("format.js", "text/javascript; charset=utf-8", include_str!("../static/format.js")),
    ("dlq.css", "text/css; charset=utf-8", include_str!("../static/dlq.css")),
    ("dlq.js", "text/javascript; charset=utf-8", include_str!("../static/dlq.js")),
    ("dlq-list.js", "text/javascript; charset=utf-8", include_str!("../static/dlq-list.js")),
    ("dlq-error.js", "text/javascript; charset=utf-8", include_str!("../static/dlq-error.js")),
    ("dlq-shared.js", "text/javascript; charset=utf-8", include_str!("../static/dlq-shared.js")),
    ("dlq-jobs.js", "text/javascript; charset=utf-8", include_str!("../static/dlq-jobs.js")),
    ("dlq-edit.js", "text/javascript; charset=utf-8", include_str!("../static/dlq-edit.js")),
    ("dlq-payload.js", "text/javascript; charset=utf-8", include_str!("../static/dlq-payload.js")),
    ("dlq-backlog.js", "text/javascript; charset=utf-8", include_str!("../static/dlq-backlog.js")),
    ("quality.css", "text/css; charset=utf-8", include_str!("../static/quality.css")),
    ("quality.js", "text/javascript; charset=utf-8", include_str!("../static/quality.js")),
    ("files.css", "text/css; charset=utf-8", include_str!("../static/files.css")),
    ("files.js", "text/javascript; charset=utf-8", include_str!("../static/files.js")),
    ("operations.css", "text/css; charset=utf-8", include_str!("../static/operations.css")),
    ("operations.js", "text/javascript; charset=utf-8", include_str!("../static/operations.js")),
    (
        "operations-charts.js",
        "text/javascript; charset=utf-8",
        include_str!("../static/operations-charts.js"),
    ),
    ("messages.js", "text/javascript; charset=utf-8", include_str!("../static/messages.js")),
    ("trust.js", "text/javascript; charset=utf-8", include_str!("../static/trust.js")),
    ("zone.js", "text/javascript; charset=utf-8", include_str!("../static/zone.js")),
    ("firing.js", "text/javascript; charset=utf-8", include_str!("../static/firing.js")),
    ("icon.svg", "image/svg+xml", include_str!("../static/icon.svg")),
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

/// Every static file.
pub(crate) struct Assets {
    files: Vec<(&'static str, Slot)>,
}

impl Assets {
    pub fn new() -> Assets {
        Assets { files: FILES.iter().map(|(name, _, _)| (*name, Slot::default())).collect() }
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
    FILES.iter().find(|(file, _, _)| *file == name).map(|(_, _, text)| *text)
}

fn make(name: &str) -> Result<Asset, String> {
    let found = FILES.iter().find(|(file, _, _)| *file == name);
    let &(_, media_type, text) = found.ok_or_else(|| format!("{name} is not a static file"))?;
    packed(media_type, Bytes::from_static(text.as_bytes()))
}

fn packed(media_type: &'static str, plain: Bytes) -> Result<Asset, String> {
    let gzip = pack::gzip(&plain, flate2::Compression::default()).map_err(|error| error.to_string())?;
    Ok(Asset { media_type, etag: etag(&gzip), plain, gzip })
}

/// The handler.
pub(crate) async fn get_asset(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let asset = app.assets.find(&name).await?;
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

/// FNV-1a: only to distinguish versions of our own files.
pub(crate) fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
