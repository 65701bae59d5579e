//! The pages of files and operations as people meet them: a real browser clicks through them.
//!
//! `ADPIPE_PICTURES=FOLDER` keeps pictures of what it saw.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::path::Path;
use std::time::Duration;

use adpipe_batch::{Archive, BackEnds, EtlConfig, Progress};
use adpipe_event::Millis;
use adpipe_generate::Format;
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use adpipe_testkit::browser::Browser;
use adpipe_testkit::eventually;
use adpipe_warehouse::{Schema, Warehouse};
use common::{Ending, Harness, add_alerts, browser, config, events, gzip, picture, script};

/// Nothing went wrong in the page, and nothing was asked of anybody else.
fn check(browser: &Browser, home: &str) {
    assert_eq!(browser.errors(), [] as [String; 0]);
    let outside = |address: &&String| {
        !["about:", "data:", "blob:"].iter().any(|own| address.starts_with(own)) && !address.starts_with(home)
    };
    assert_eq!(browser.requests().iter().filter(outside).collect::<Vec<_>>(), [] as [&String; 0]);
}

/// Reads what lies in a folder, as `adpipe etl` does.
fn read_files(harness: &Harness, raw_folder: &Path) {
    let archive = Archive::in_folder(&harness.folder.path().join("processed"));
    let metrics = Metrics::new("test").unwrap();
    let place = BackEnds {
        warehouse: harness.warehouse.as_ref(),
        log: harness.log.as_ref(),
        archive: &archive,
        metrics: &metrics,
    };
    let day = Duration::from_secs(86_400);
    let config = EtlConfig {
        raw_folder: raw_folder.to_path_buf(),
        named: Vec::new(),
        date: None,
        force: false,
        dry_run: false,
        max_record_bytes: 1 << 20,
        max_future: Duration::from_secs(3_600),
        fields: adpipe_event::FieldMap::default(),
        minutes: 7 * day,
        hot: day,
        close_after: Duration::from_secs(3_600),
        segment_rows: 1_000_000,
        merge_files: 8,
        max_errors: None,
    };
    adpipe_batch::run(&config, place, &Progress::new(), &Shutdown::new()).unwrap();
}

#[test]
fn files_are_clicked_through() {
    let Some(mut browser) = browser("files_are_clicked_through") else { return };
    let harness = Harness::start(config());
    let home = format!("http://{}", harness.address);
    browser.look(1_280, 900, false);
    browser.open(&format!("{home}/files?lang=en"));
    browser.wait_for_text("#none", "No file has been read yet");
    browser.wait_for_text("#status-text", "Live");

    let raw = harness.folder.path().join("raw");
    std::fs::create_dir(&raw).unwrap();
    std::fs::write(raw.join("good.csv"), events(400, Format::Csv)).unwrap();
    let packed = gzip(&events(3_000, Format::Csv));
    std::fs::write(raw.join("cut.csv.gz"), &packed[..packed.len() / 2]).unwrap();
    read_files(&harness, &raw);
    let shutdown = Shutdown::new();
    std::thread::scope(|scope| {
        let _end = Ending(shutdown.clone());
        scope.spawn(|| adpipe_dlq::role::run(&harness.dlq, &shutdown).unwrap());
        look_at_files(&harness, &mut browser, &home);
    });
    check(&browser, &home);
}

fn look_at_files(harness: &Harness, browser: &mut Browser, home: &str) {
    // They come by themselves.
    browser.wait_for("document.querySelectorAll('#list tr').length === 2");
    assert_eq!(browser.evaluate("document.querySelector('#none').hidden"), true);
    picture(browser, "files");
    browser.click("#filters [data-state=damaged]");
    browser.wait_for("document.querySelectorAll('#list tr').length === 1");
    browser.wait_for_text("#list", "cut.csv.gz");
    assert_eq!(browser.evaluate("location.search"), "?state=damaged");
    // The language changes, the filter stays.
    browser.click(".languages [lang=ko]");
    browser.wait_for_text("h1", "파일과 아카이브");
    browser.wait_for_text("#list", "cut.csv.gz");
    assert!(browser.evaluate("location.search").as_str().unwrap().contains("state=damaged"));
    browser.open(&format!("{home}/files?lang=en"));
    browser.fill("#text", "GOOD");
    browser.wait_for("document.querySelectorAll('#list tr').length === 1");
    browser.wait_for_text("#list", "good.csv");

    browser.click("#list .open");
    browser.wait_for("document.querySelector('#list .open').getAttribute('aria-expanded') === 'true'");
    browser.wait_for_text("#list .report", "Unknown fields");
    let invalid: usize = browser.text("#list .invalid a").parse().unwrap();
    assert!(invalid > 0);
    // The report stands after its file, and tells what became of the errors.
    assert_eq!(browser.evaluate("document.querySelector('#list').children[1].className"), "report");
    let stored = || {
        harness.get("/api/dlq/errors?limit=200&topic=file:good.csv").json()["errors"]
            .as_array()
            .unwrap()
            .len()
    };
    eventually("the errors are in the queue", || stored() >= invalid);
    browser.click("#list .open");
    browser.wait_for("document.querySelectorAll('#list tr').length === 1");
    browser.click("#list .open");
    browser.wait_for_text("#list .report", "exhausted");
    picture(browser, "files-report");
    browser.click("#list .invalid a");
    browser.wait_for(&format!("document.querySelectorAll('tbody#list tr').length === {}", invalid.min(50)));
    browser.wait_for_text("#list", "good.csv");
}

#[test]
fn operations_are_clicked_through() {
    let Some(mut browser) = browser("operations_are_clicked_through") else { return };
    let harness = Harness::start(config());
    let home = format!("http://{}", harness.address);
    let warehouse: &dyn Warehouse = harness.warehouse.as_ref();
    browser.look(1_280, 900, false);
    browser.open(&format!("{home}/operations?lang=en"));
    browser.wait_for_text("#no-monitor", "No monitor is running");
    browser.wait_for_text("#no-alerts", "No alert is pending or firing");

    let now = Millis::now();
    add_alerts(warehouse, now);
    let readings: Vec<String> = (0..40)
        .flat_map(|step| {
            let at = Millis(now.0 - step * 60_000);
            [("throughput", 6_000.0), ("latency", 0.2), ("error_share", 0.03), ("lag", 10.0)]
                .map(|(signal, value)| format!("('{at}', '{signal}', '{{}}', {value})"))
        })
        .collect();
    script(warehouse, Schema::Ops, &format!("insert into ops.readings values {}", readings.join(", ")));
    assert_eq!(harness.post(&[], &events(3_000, Format::Ndjson)).status, 202);
    harness.process();

    // Every page says that something critical fires, and leads to it.
    browser.open(&format!("{home}/"));
    browser.wait_for_text("#firing", "3.42 % of the records are invalid");
    // The tiles go by the table of alerts and by the monitor.
    browser.wait_for_text("#note-error-rate", "above 1.00\u{a0}% (ErrorRateHigh)");
    browser.wait_for("document.querySelector('#tile-error-rate').classList.contains('warn')");
    browser.wait_for_text("#note-latency", "(LatencyHigh, ");
    browser.wait_for("!document.querySelector('#tile-latency').classList.contains('warn')");
    browser.click("#firing a");
    browser.wait_for_text("#alerts", "ErrorRateHigh");
    browser.wait_for("document.querySelectorAll('#alerts > li').length === 4");
    browser.wait_for("document.querySelector('#no-monitor').hidden");
    // Of the three that fire somebody is on one.
    browser.wait_for("document.querySelector('#firing-count').textContent === '2'");
    browser.wait_for_text("#note-firing-count", "acknowledged or silenced: 1");
    browser.wait_for_text("#note-unsent", "Slack is not set up");
    for chart in ["throughput", "error_share", "latency", "heat", "lag"] {
        browser.wait_for(&format!("document.querySelector('#chart-{chart} .pane')"));
    }
    browser.wait_for(
        "document.querySelector('#panel-error_share .lines').textContent.includes('ErrorRateHigh > 1.00\u{a0}%')",
    );
    browser.click(".ranges [data-range='1h']");
    browser.wait_for("location.search === '?range=1h' && document.querySelector('[data-range=\"1h\"]').ariaCurrent === 'true'");
    assert_eq!(
        browser.evaluate("document.querySelector('#alerts a').getAttribute('href')"),
        "/dlq/errors?group=f00d"
    );
    picture(&mut browser, "operations");

    browser.fill("#actor", "kim");
    let alert = |name: &str| format!("[aria-label=\"{name}\"]");
    browser.click(&format!("{} .do-acknowledge", alert("ErrorRateHigh")));
    browser.wait_for_text("#acknowledge-title", "ErrorRateHigh");
    browser.wait_for_text("#acknowledge-actor", "console:kim");
    picture(&mut browser, "operations-acknowledge");
    // Escape does nothing; the button is pressed again with the keyboard.
    browser.press("Escape");
    browser.wait_for("!document.querySelector('#acknowledge').open");
    browser.click(&format!("{} .do-acknowledge", alert("ErrorRateHigh")));
    browser.fill("#acknowledge-note", "on it");
    browser.press("Enter");
    browser.wait_for_text(&format!("{} .taken", alert("ErrorRateHigh")), "console:kim");
    browser.wait_for_text(&format!("{} .taken", alert("ErrorRateHigh")), "on it");
    browser.wait_for("document.querySelector('#firing-count').textContent === '1'");
    let known = "document.querySelector('[aria-label=\"ErrorRateHigh\"]').dataset.known === 'yes'";
    browser.wait_for(known);

    browser.click(&format!("{} .do-silence", alert("SourceStale source=s")));
    browser.fill("#silence-comment", "the source is late today");
    assert_eq!(browser.evaluate("document.querySelector('#silence-rule').value"), "SourceStale");
    browser.click("#silence-form .primary");
    browser.wait_for_text("#silences", "the source is late today");
    browser.wait_for_text(&format!("{} .silenced", alert("SourceStale source=s")), "silenced until");
    browser.wait_for_text("#silences", "source=s");
    browser.click("#silences button");
    browser.wait_for("document.querySelector('#silences-part').hidden");
    browser.wait_for_text("#history", "LatencyHigh");

    // Nobody is told twice of what somebody has taken on.
    browser.open(&format!("{home}/files"));
    browser.wait_for("(await (await fetch('/api/operations/firing')).json()).count === 0");
    browser.wait_for("document.querySelector('#firing').hidden");
    check(&browser, &home);
}

#[test]
fn no_page_is_wider_than_a_phone() {
    let Some(mut browser) = browser("no_page_is_wider_than_a_phone") else { return };
    let harness = Harness::start(config());
    let home = format!("http://{}", harness.address);
    assert_eq!(harness.post(&[], &events(500, Format::Ndjson)).status, 202);
    harness.process();
    let raw = harness.folder.path().join("raw");
    std::fs::create_dir(&raw).unwrap();
    let long = "a-very-long-file-name-that-somebody-thought-was-a-good-idea-2014-10-28T00-00-00.csv";
    std::fs::write(raw.join(long), events(400, Format::Csv)).unwrap();
    read_files(&harness, &raw);
    let now = Millis::now();
    add_alerts(harness.warehouse.as_ref(), now);
    script(
        harness.warehouse.as_ref(),
        Schema::Ops,
        &format!(
            "insert into ops.processes values ('node-with-a-long-name.example:4711:1767225600', 'node-with-a-long-name.example', 4711, \
             'stream dlq scheduler console monitor', '1.2.3', '{now}', '{now}', null)"
        ),
    );
    for (language, is_dark) in [("en", false), ("ko", true)] {
        browser.look(380, 800, is_dark);
        for page in ["/", "/operations", "/dlq", "/dlq/errors", "/files", "/quality", "/dags"] {
            browser.open(&format!("{home}{page}?lang={language}"));
            browser.wait_for("document.querySelector('#status').dataset.state === 'live'");
            if page == "/files" {
                browser.click("#list .open");
                browser.wait_for("document.querySelector('#list .report dl')");
            }
            picture(&mut browser, &format!("phone-{language}-{}", page.replace('/', "")));
            assert!(!browser.overflows_sideways(), "{page} in {language}");
        }
    }
    check(&browser, &home);
}
