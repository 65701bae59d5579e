//! Pages, figures and what machines ask for.

mod common;

use std::io::{BufRead, BufReader, Write};

use adpipe_generate::Format;
use adpipe_log::Topic;
use adpipe_testkit::raw_http::head;
use common::{Harness, config, events};

#[test]
fn machines_get_their_answers() {
    let harness = Harness::start(config());
    assert_eq!(harness.get("/healthz").text(), "ok\n");
    assert_eq!(harness.get("/readyz").text(), "ready\n");
    harness.post(&[], &events(7, Format::Ndjson));
    harness.get("/no/such");
    let metrics = harness.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4"));
    for series in [
        "adpipe_records_appended_total{topic=\"ad_events_raw\"} 7",
        "adpipe_http_requests_total{route=\"/v1/events\",status=\"202\"} 1",
        "adpipe_http_requests_total{route=\"other\",status=\"404\"} 1",
        "adpipe_http_request_duration_seconds_count{route=\"/healthz\"} 1",
    ] {
        assert!(metrics.text().contains(series), "{series} is not in\n{}", metrics.text());
    }
    let head = harness.send("HEAD", "/metrics", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(harness.send("DELETE", "/metrics", &[], b"").status, 405);
}

#[test]
fn each_route_is_counted_and_whatever_acts_demands_the_token() {
    let harness = Harness::start(config());
    let metrics = harness.get("/metrics").text();
    for route in adpipe_console::routes() {
        assert!(metrics.contains(&format!("route=\"{route}\"")), "{route}");
        let target = ["{name}", "{id}", "{dag}", "{run}"]
            .iter()
            .fold(route.to_owned(), |target, name| target.replace(name, "1"));
        // Events and the token's form come from programs and from whoever has no page yet.
        if !["/v1/events", "/token"].contains(&route) {
            let answer = harness.send("POST", &target, &[], b"{}");
            assert!(matches!(answer.status, 403 | 405), "POST {route}: {}", answer.status);
        }
    }
}

#[test]
fn the_navigation_leads_to_pages() {
    let harness = Harness::start(config());
    let page = harness.get("/").text();
    let (_, navigation) = page.split_once("<nav").unwrap();
    let (navigation, _) = navigation.split_once("</nav>").unwrap();
    let pages: Vec<String> = navigation
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0.replace("&#x2f;", "/"))
        .collect();
    assert_eq!(pages, ["/", "/operations", "/dlq", "/files", "/quality", "/dags"]);
    for target in pages {
        assert_eq!(harness.get(&target).status, 200, "{target}");
    }
}

#[test]
fn a_console_whose_files_are_gone_is_not_ready() {
    let harness = Harness::start(config());
    std::fs::remove_file(harness.folder.path().join("realtime.db")).unwrap();
    let started = std::time::Instant::now();
    // Connections that are open see the file for as long as they live; new ones do not.
    let answer = harness.get("/readyz");
    assert!(matches!(answer.status, 200 | 503));
    assert_eq!(harness.get("/healthz").status, 200);
    assert!(started.elapsed().as_secs() < 10);
}

#[test]
fn the_overview_tells_what_was_counted() {
    let harness = Harness::start(config());
    let empty = harness.get("/api/overview").json();
    assert_eq!(
        (&empty["totals"]["valid"], &empty["to"], &empty["range"]),
        (&0.into(), &().into(), &"24h".into())
    );

    harness.post(&[], &events(15_000, Format::Ndjson));
    let ndjson = [("Content-Type", "application/x-ndjson")];
    assert_eq!(harness.post(&ndjson, b"<script>alert(1)</script>\n").status, 202);
    harness.process();
    // An overview is shared for a second, and the empty one must have gone from every range.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    for range in ["1h", "24h", "7d", "30d"] {
        let overview = harness.get(&format!("/api/overview?range={range}")).json();
        assert_eq!(overview["range"], range);
        let sum = |list: &str| -> u64 {
            let rows = overview[list].as_array().unwrap();
            rows.iter().map(|row| row["impressions"].as_u64().unwrap()).sum()
        };
        assert!(sum("trend") > 0, "{range}");
        assert_eq!(sum("trend"), sum("by_device"), "{range}");
        assert_eq!(sum("trend"), sum("by_banner"), "{range}");
        for row in overview["by_device"].as_array().unwrap() {
            let [low, ctr, high] = ["low", "ctr", "high"].map(|name| row[name].as_f64().unwrap());
            assert!(low <= ctr && ctr <= high && low < high);
        }
        let totals = &overview["totals"];
        assert_eq!(totals["records"], 15_001);
        if range == "30d" {
            assert_eq!(totals["valid"], sum("trend"));
        }
        assert_eq!(overview["lag"], 0);
    }
    let overview = harness.get("/api/overview?range=1h").json();
    let errors = overview["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 50);
    assert_eq!(errors[0]["topic"], Topic::Raw.name());
    let hostile = errors.iter().find(|error| error["payload"] == "<script>alert(1)</script>");
    assert_eq!(hostile.unwrap()["error_type"], "parse");
    assert_eq!(harness.get("/api/overview?range=2h").status, 400);
}

#[test]
fn live_sends_a_snapshot_every_second() {
    let harness = Harness::start(config());
    harness.post(&[], &events(5, Format::Ndjson));
    let mut stream = harness.connect();
    stream.write_all(format!("{}\r\n", head("GET", "/live", &[])).as_bytes()).unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let snapshots: Vec<serde_json::Value> = lines
        .filter_map(|line| line.strip_prefix("data: ").map(|json| serde_json::from_str(json).unwrap()))
        .take(3)
        .collect();
    // The first may use a lag that was measured just before the events came.
    for snapshot in &snapshots[1..] {
        assert_eq!(snapshot["lag"], 5);
        assert_eq!(snapshot["totals"]["records"], 0);
        assert_eq!(snapshot["problems"].as_array().unwrap().len(), 0);
        assert!(snapshot["throughput"]["per_second"].as_array().unwrap().len() >= 149);
    }
    let between = snapshots[2]["at"].as_i64().unwrap() - snapshots[0]["at"].as_i64().unwrap();
    assert!((1_500..6_000).contains(&between), "{between} ms");
}

#[test]
fn pages_speak_the_readers_language() {
    let harness = Harness::start(config());
    let page = |target: &str, headers: &[(&str, &str)]| harness.send("GET", target, headers, b"");
    let english = page("/", &[("Accept-Language", "de")]);
    assert!(english.text().contains("<html lang=\"en\">") && english.text().contains("Click-through rate"));
    let korean = page("/", &[("Accept-Language", "ko-KR,ko;q=0.9,en;q=0.8")]);
    assert!(korean.text().contains("<html lang=\"ko\">") && korean.text().contains("클릭률"));
    let chosen = page("/?lang=en", &[("Accept-Language", "ko"), ("Cookie", "adpipe_lang=ko")]);
    assert!(chosen.text().contains("<html lang=\"en\">"));
    assert!(chosen.header("set-cookie").unwrap().starts_with("adpipe_lang=en;"));
    let kept = page("/", &[("Accept-Language", "en"), ("Cookie", "x=1; adpipe_lang=ko")]);
    assert!(kept.text().contains("<html lang=\"ko\">"));
    let missing = page("/no/such", &[("Accept", "text/html"), ("Accept-Language", "ko")]);
    assert!(missing.status == 404 && missing.text().contains("없는 페이지입니다"));
    assert_eq!(page("/no/such", &[]).error(), "no such address");
    assert!(page("/?range=7d", &[]).text().contains("data-range=\"7d\" aria-current=\"true\""));
}

#[test]
fn nothing_on_the_page_comes_from_elsewhere() {
    let harness = Harness::start(config());
    let page = harness.get("/");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"));
    assert!(policy.contains("style-src 'self';") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"));
    // The page of the models can be kept as a file, so its style stands in it; no script may run there.
    let docs = harness.get("/quality/docs");
    let policy = docs.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let html = page.text();
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("onclick"));
    for name in ["overview.js", "page.js", "chart.js", "format.js", "console.css", "icon.svg"] {
        let file = harness.get(&format!("/static/{name}"));
        assert_eq!(file.status, 200, "{name}");
        let text = file.text().replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://"), "{name}");
        let etag = file.header("etag").unwrap();
        let again = harness.send("GET", &format!("/static/{name}"), &[("If-None-Match", etag)], b"");
        assert_eq!((again.status, again.body.len()), (304, 0), "{name}");
    }
    assert_eq!(harness.get("/static/no.js").status, 404);
    assert_eq!(harness.get("/static/..%2fCargo.toml").status, 404);
}

/// The addresses of static files that a page names itself.
fn static_files(page: &str) -> Vec<&str> {
    let named = page.split('"').filter(|part| part.starts_with("/static/"));
    named.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

#[test]
fn the_first_page_weighs_little() {
    let harness = Harness::start(config());
    harness.post(&[], &events(15_000, Format::Ndjson));
    harness.process();
    let sent = |target: &str| harness.send("GET", target, &[("Accept-Encoding", "gzip, br")], b"");
    let page = harness.get("/").text();
    let files = static_files(&page);
    // The page names all that its scripts import: nothing is asked for later, one after the other.
    for file in files.iter().filter(|file| file.ends_with(".js")) {
        let script = harness.get(file).text();
        for imported in script.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(files.contains(&format!("/static/{imported}").as_str()), "{file} imports {imported}");
        }
    }
    let targets = ["/", "/api/overview?range=24h", "/api/quality", "/api/operations/firing"];
    let weights: Vec<(&str, usize)> =
        targets.into_iter().chain(files).map(|target| (target, sent(target).body.len())).collect();
    let sum: usize = weights.iter().map(|(_, bytes)| bytes).sum();
    assert!(sum < 150_000, "{sum} bytes: {weights:?}");
    // All that draws, even before it is packed.
    let draws = |name: &str| {
        ["chart", "spark", "svg"].iter().any(|part| name.starts_with(&format!("/static/{part}")))
    };
    let charts = static_files(&page).into_iter().filter(|name| draws(name));
    let sizes: Vec<(&str, usize)> = charts.map(|name| (name, harness.get(name).body.len())).collect();
    assert!(sizes.len() > 8 && sizes.iter().map(|(_, bytes)| bytes).sum::<usize>() < 60_000, "{sizes:?}");
}

#[test]
fn a_file_is_sent_compressed_to_those_who_can_read_it() {
    let harness = Harness::start(config());
    let packed = harness.send("GET", "/static/overview.js", &[("Accept-Encoding", "gzip, br")], b"");
    assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("gzip")));
    let plain = harness.get("/static/overview.js");
    assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
    assert!(plain.text().contains("EventSource") && packed.body.len() * 2 < plain.body.len());
}
