//! `adpipe health`: whether a process of this configuration is alive, for health checks of
//! containers whose image has no other program to ask with.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;

use crate::config::Config;
use crate::output;

/// A process that lives answers in milliseconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// The answer is a few hundred bytes; whatever is longer is not ours.
const LONGEST_ANSWER: u64 = 64 << 10;

const PATH: &str = "/healthz";

/// Asks the console's port, and `metrics.port` if there is one; one answer is enough.
pub fn run(config: &Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut places = vec![(config.console.host.as_str(), config.console.port)];
    if config.metrics.port != 0 {
        places.push((config.metrics.host.as_str(), config.metrics.port));
    }
    let mut failures = Vec::new();
    for (host, port) in places {
        let url = format!("http://{host}:{port}{PATH}");
        match ask(host, port) {
            Ok(()) => {
                if as_json {
                    output::json(&json!({"healthy": true, "url": url}))?
                } else {
                    output::line(&format!("healthy: {url}"))?
                }
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => failures.push(format!("{url}: {error:#}")),
        }
    }
    if as_json {
        output::json(&json!({"healthy": false, "failures": failures}))?;
        return Ok(ExitCode::FAILURE);
    }
    bail!("no adpipe process answers; {}", failures.join("; "))
}

fn ask(host: &str, port: u16) -> anyhow::Result<()> {
    let name = host.trim_matches(['[', ']']);
    let found = (name, port).to_socket_addrs().context("unknown host")?.next();
    let address = found.map(reachable).context("unknown host")?;
    let mut connection = TcpStream::connect_timeout(&address, ANSWERS_WITHIN)?;
    connection.set_read_timeout(Some(ANSWERS_WITHIN))?;
    connection.set_write_timeout(Some(ANSWERS_WITHIN))?;
    // HTTP/1.0: the connection ends with the answer.
    write!(connection, "GET {PATH} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or_default();
    match (status, answer.ends_with("\r\n\r\nok\n")) {
        ("200", true) => Ok(()),
        ("200", false) | ("", _) => bail!("another program answers"),
        _ => bail!("answers {status}"),
    }
}

/// A process that listens on all addresses is asked on this machine's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}
