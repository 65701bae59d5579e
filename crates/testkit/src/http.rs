//! An ordinary HTTP client. Requests that no library would send are for [`crate::raw_http`].

use std::time::Duration;

use ureq::http::{HeaderMap, Request};

/// Far longer than any response takes: it only keeps a failed test from hanging.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A response, read to its end.
#[derive(Debug)]
pub struct Response {
    /// 200 for OK.
    pub status: u16,
    /// By name, in any case.
    pub headers: HeaderMap,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Response {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends a request to `host:port` on a connection of its own. An error status is a response like any
/// other, and redirects are not followed: a test sees what the server said.
///
/// # Errors
/// When nobody answers, or the connection ends too early.
pub fn send(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response, ureq::Error> {
    let mut request = Request::builder().method(method).uri(format!("http://{address}{target}"));
    for (name, value) in headers.iter().chain(&[("Connection", "close")]) {
        request = request.header(*name, *value);
    }
    let response = if body.is_empty() && method == "GET" {
        agent().run(request.body(())?)
    } else {
        agent().run(request.body(body)?)
    };
    let (head, mut body) = response?.into_parts();
    let bytes = body.with_config().limit(u64::MAX).read_to_vec()?;
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Response { status: head.status.as_u16(), headers: head.headers, body })
}

/// The body of a GET; None unless the server answers with 200.
pub fn page(address: &str, target: &str) -> Option<String> {
    let response = send(address, "GET", target, &[], b"").ok()?;
    (response.status == 200).then_some(response.body)
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .build()
        .new_agent()
}
