//! Scripts and styles, compiled into the program: nothing comes from elsewhere.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;

use crate::app::App;
use crate::refusal::Refusal;

const FILES: [(&str, &str, &str); 25] = [
    ("console.css", "text/css; charset=utf-8", include_str!("../static/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_str!("../static/console.js")),
    ("dags.css", "text/css; charset=utf-8", include_str!("../static/dags.css")),
    ("dags.js", "text/javascript; charset=utf-8", include_str!("../static/dags.js")),
    ("charts.js", "text/javascript; charset=utf-8", include_str!("../static/charts.js")),
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
    ("firing.js", "text/javascript; charset=utf-8", include_str!("../static/firing.js")),
    ("icon.svg", "image/svg+xml", include_str!("../static/icon.svg")),
];

/// Served as `/static/plotly.js`; its text is in the `plotly` crate.
const PLOTLY: &str = "plotly.js";

/// A file as it is sent.
#[derive(Clone)]
struct Asset {
    media_type: &'static str,
    etag: String,
    bytes: Bytes,
    is_gzip: bool,
}

/// Every static file.
pub(crate) struct Assets {
    files: Vec<(&'static str, Asset)>,
    /// Compressed when it is first asked for: 4.7 MB of text become 1.4 MB.
    plotly: Arc<OnceLock<Result<Asset, String>>>,
}

impl Assets {
    pub fn new() -> Assets {
        let asset = |(name, media_type, text): (&'static str, &'static str, &'static str)| {
            let bytes = Bytes::from_static(text.as_bytes());
            (name, Asset { media_type, etag: etag(&bytes), bytes, is_gzip: false })
        };
        Assets { files: FILES.into_iter().map(asset).collect(), plotly: Arc::new(OnceLock::new()) }
    }
}

/// The handler.
pub(crate) async fn get_asset(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let asset = if name == PLOTLY {
        plotly(&app.assets).await?
    } else {
        let file = app.assets.files.iter().find(|(file, _)| *file == name);
        let (_, asset) = file.ok_or_else(|| Refusal::wrong(StatusCode::NOT_FOUND, "no such file"))?;
        asset.clone()
    };
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == asset.etag.as_bytes()) {
        return with_caching(StatusCode::NOT_MODIFIED.into_response(), &asset);
    }
    let media_type = [(header::CONTENT_TYPE, asset.media_type)];
    if !asset.is_gzip {
        return with_caching((media_type, asset.bytes.clone()).into_response(), &asset);
    }
    if !accepts_gzip(&headers) {
        return with_caching((media_type, unpacked(&asset.bytes)?).into_response(), &asset);
    }
    let encoding = [(header::CONTENT_ENCODING, "gzip")];
    with_caching((media_type, encoding, asset.bytes.clone()).into_response(), &asset)
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

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|names| names.split(',').any(|name| name.trim().starts_with("gzip")))
}

fn unpacked(bytes: &Bytes) -> Result<Vec<u8>, Refusal> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_ref())
        .read_to_end(&mut text)
        .map_err(|error| Refusal::internal(&error))?;
    Ok(text)
}

async fn plotly(assets: &Assets) -> Result<Asset, Refusal> {
    let slot = Arc::clone(&assets.plotly);
    let made = match slot.get() {
        Some(made) => made.clone(),
        // A third of a second of compressing: not for a thread that serves sockets.
        None => tokio::task::spawn_blocking(move || slot.get_or_init(packed_plotly).clone())
            .await
            .map_err(|error| Refusal::internal(&error))?,
    };
    made.map_err(|error| Refusal::internal(&error))
}

fn packed_plotly() -> Result<Asset, String> {
    let sources = plotly::Plot::offline_js_sources();
    let script = first_script(&sources).ok_or("the plotly crate holds no script")?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(script.as_bytes()).map_err(|error| error.to_string())?;
    let bytes = Bytes::from(encoder.finish().map_err(|error| error.to_string())?);
    let media_type = "text/javascript; charset=utf-8";
    Ok(Asset { media_type, etag: etag(&bytes), bytes, is_gzip: true })
}

/// What stands in the first `<script>`. Ends at the first closing tag, as in a browser.
fn first_script(html: &str) -> Option<&str> {
    let (_, rest) = html.split_once("<script")?;
    let (_, rest) = rest.split_once('>')?;
    rest.split_once("</script>").map(|(script, _)| script)
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{:016x}\"", fnv_1a(bytes))
}

/// FNV-1a: to tell versions of our own files apart, nothing more.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plotly_is_the_script_and_nothing_else() {
        let asset = packed_plotly().unwrap();
        let script = String::from_utf8(unpacked(&asset.bytes).unwrap()).unwrap();
        assert!(script.trim_start().starts_with("/**\n* plotly.js"), "{}", &script[..80]);
        assert!(!script.contains("<script type="));
        assert!(script.len() > 3_000_000 && asset.bytes.len() < 2_000_000);
    }
}
