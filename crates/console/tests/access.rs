//! Who may come in.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use adpipe_console::{Console, ConsoleConfig, ConsoleError};
use adpipe_generate::Format;
use adpipe_log::Topic;
use common::{Harness, config, events, services};

#[test]
fn a_token_opens_every_door() {
    let harness = Harness::start(ConsoleConfig { token: Some("s3cret".to_owned()), ..config() });
    let send = |method, target, headers: &[(&str, &str)]| harness.send(method, target, headers, b"");
    assert_eq!(send("GET", "/healthz", &[]).status, 200);
    for target in ["/", "/metrics", "/readyz", "/api/overview", "/live", "/none"] {
        let answer = send("GET", target, &[]);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{target}");
    }
    for wrong in ["Bearer s3cre", "Bearer s3cretx", "Bearer", "Basic s3cret", "Bearer S3CRET"] {
        assert_eq!(send("GET", "/metrics", &[("Authorization", wrong)]).status, 401, "{wrong}");
    }
    assert_eq!(send("GET", "/metrics", &[("Authorization", "Bearer s3cret")]).status, 200);
    assert_eq!(send("GET", "/metrics", &[("Cookie", "adpipe_token=s3cret")]).status, 200);
    assert_eq!(harness.post(&[], &events(1, Format::Ndjson)).status, 401);
    assert!(harness.records(Topic::Raw).is_empty());

    // The page that asks for the token has its style, and its form leads back.
    assert_eq!(send("GET", "/static/console.css", &[]).status, 200);
    assert_eq!(send("GET", "/static/none.css", &[]).status, 404);
    let page = send("GET", "/dlq?closed=true", &[("Accept", "text/html")]);
    assert!(page.status == 401 && page.text().contains("Enter the token"), "{}", page.text());
    assert!(page.text().contains("name=\"next\" value=\"&#x2f;dlq?closed=true\""), "{}", page.text());
    assert_eq!(page.header("referrer-policy"), Some("same-origin"), "its form must show where it is from");
    let enter =
        |form: &str| harness.send("POST", "/token", &[("Origin", "http://localhost")], form.as_bytes());
    let entered = enter("next=%2Fdlq%3Fclosed%3Dtrue&token=s3cret");
    assert_eq!((entered.status, entered.header("location")), (303, Some("/dlq?closed=true")));
    assert!(entered.header("set-cookie").unwrap().starts_with("adpipe_token=s3cret;"));
    assert_eq!(enter("next=%2F%2Fevil.example&token=s3cret").header("location"), Some("/"));
    let wrong = enter("next=%2Fdlq&token=guess");
    assert!(wrong.status == 401 && wrong.text().contains("This is not the token."), "{}", wrong.text());
    assert_eq!(wrong.header("set-cookie"), None);
    let foreign = harness.send("POST", "/token", &[("Origin", "http://evil.example")], b"token=s3cret");
    assert_eq!(foreign.status, 403);
    let moved = send("GET", "/?token=s3cret", &[]);
    assert_eq!((moved.status, moved.header("location")), (303, Some("/")));
    let cookie = moved.header("set-cookie").unwrap();
    assert!(cookie.starts_with("adpipe_token=s3cret;"));
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    assert_eq!(send("GET", "/?token=wrong", &[]).status, 401);
    assert_eq!(send("GET", "/metrics?token=s3cret", &[]).status, 401);
}

#[test]
fn foreign_names_and_pages_are_refused() {
    let harness = Harness::start(config());
    let port = harness.address.port();
    for host in ["localhost", "127.0.0.1:1", "[::1]:80", &format!("LOCALHOST:{port}")] {
        assert_eq!(harness.send("GET", "/metrics", &[("Host", host)], b"").status, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:8088", "localhost.evil.example", "127.0.0.1.evil", ""] {
        assert_eq!(harness.send("GET", "/metrics", &[("Host", host)], b"").status, 421, "{host}");
    }
    let body = events(1, Format::Ndjson);
    for origin in ["http://evil.example", "null", "http://localhost:1"] {
        assert_eq!(harness.post(&[("Origin", origin)], &body).status, 403, "{origin}");
    }
    assert_eq!(harness.post(&[("Origin", "http://localhost")], &body).status, 202);
}

fn bind(config: ConsoleConfig) -> Result<Console, ConsoleError> {
    let folder = tempfile::tempdir().unwrap();
    let (_, _, services) = services(folder.path());
    tokio::runtime::Runtime::new().unwrap().block_on(Console::bind(config, services))
}

#[test]
fn what_cannot_be_listened_on_is_said_clearly() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = bind(ConsoleConfig { port, ..config() }).err().unwrap().to_string();
    assert!(error.contains(&format!("port {port}")) && error.contains("console.port"), "{error}");

    let open = ConsoleConfig { host: "0.0.0.0".to_owned(), ..config() };
    let error = bind(open.clone()).err().unwrap().to_string();
    assert!(error.contains("token"), "{error}");
    let short = ConsoleConfig { token: Some("fifteen-letters".to_owned()), ..open.clone() };
    let error = bind(short.clone()).err().unwrap().to_string();
    assert!(error.contains("at least 16 characters"), "{error}");
    assert!(
        bind(ConsoleConfig { host: "127.0.0.1".to_owned(), ..short }).is_ok(),
        "on loopback it is optional"
    );
    let console = bind(ConsoleConfig { token: Some("sixteen-letters!".replace('!', "s")), ..open }).unwrap();
    assert_eq!(console.url(), format!("http://localhost:{}/", console.address().port()));
    let unusable = ConsoleConfig { token: Some(" ".to_owned()), ..config() };
    assert!(matches!(bind(unusable), Err(ConsoleError::TokenUnusable)));
    assert!(bind(ConsoleConfig { host: "no-such-host.invalid".to_owned(), ..config() }).is_err());
}
