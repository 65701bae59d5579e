//! Each page as people see it: in both languages, light and dark, on a desk and on a phone; nothing
//! jumps, nothing complains, and what is on the screen stays where it is.
//!
//! `ADPIPE_PICTURES=FOLDER` keeps pictures of what it saw.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use adpipe_console::ConsoleConfig;
use adpipe_event::{FieldMap, FieldSource, Millis, Parser, Rules};
use adpipe_generate::{Config, Format, Generator};
use adpipe_log::{Headers, Topic};
use adpipe_runtime::Shutdown;
use adpipe_schedule::dag::{BUILT_IN, Dags};
use adpipe_testkit::postgres::Postgres;
use adpipe_transform::{Command, Project, ProjectFiles, RunOptions, Target};
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::{Schema, Warehouse};
use common::{
    Ending, Harness, add_alerts, append_to, browser, config, event, events, picture, script, token,
};
use serde_json::{Value, json};

/// Layout that moves by less than this is not felt (web.dev/cls).
const MOST_SHIFT: f64 = 0.1;

/// How long a page is watched after it was asked for, ms: its charts are there, and the first figures
/// have come again.
const WATCHED_MS: u32 = 1_600;

/// Adds up how far the layout has moved since the page began to load.
const SHIFT: &str = "new Promise((resolve) => {
  let [sum, worst, where] = [0, 0, ''];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.hadRecentInput) continue;
      sum += entry.value;
      if (entry.value > worst) [worst, where] = [entry.value, entry.sources.map(({ node }) =>
        `${node?.nodeName}#${node?.id ?? node?.parentElement?.id}.${node?.className}`).join(' ')];
    }
    resolve({ sum, where });
  }).observe({ type: 'layout-shift', buffered: true });
  setTimeout(() => resolve({ sum, where }), 200);
})";

fn append(harness: &Harness, payloads: &[Vec<u8>]) {
    append_to(harness, Topic::Raw, Headers::default(), payloads);
}

/// Errors of thirty causes; of the first there is one, of each further one a few more.
fn thirty_causes() -> Vec<Vec<u8>> {
    let fields = [
        "click",
        "hour",
        "banner_pos",
        "device_type",
        "device_conn_type",
        "site_id",
        "site_domain",
        "site_category",
        "app_id",
        "app_domain",
        "app_category",
        "device_id",
        "device_ip",
        "device_model",
        "id",
    ];
    let causes = fields.iter().flat_map(|field| [json!({ *field: null }), json!({ *field: [1] })]);
    causes
        .enumerate()
        .flat_map(|(index, more)| {
            (0..=index / 3).map(move |_| event(index as u64, &more)).collect::<Vec<_>>()
        })
        .collect()
}

/// The dead-letter role running while `test` runs.
fn at_work(harness: &Harness, test: impl FnOnce()) {
    let shutdown = Shutdown::new();
    std::thread::scope(|scope| {
        let _end = Ending(shutdown.clone());
        scope.spawn(|| adpipe_dlq::role::run(&harness.dlq, &shutdown).unwrap());
        test();
    });
}

fn await_open(harness: &Harness, count: u64) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let counts = harness.get("/api/dlq/summary").json()["counts"].clone();
        let open: u64 = counts.as_array().unwrap()[..3].iter().map(|count| count.as_u64().unwrap()).sum();
        if open == count {
            return;
        }
        assert!(std::time::Instant::now() < until, "{open} of {count} errors are open");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn built_in_dags() -> Dags {
    Dags::parse(BUILT_IN, Path::new("dags.toml"), &jiff::tz::TimeZone::UTC).unwrap()
}

/// A console with something on every page.
fn full(config: ConsoleConfig) -> Harness {
    let harness = Harness::start(ConsoleConfig { dags: built_in_dags(), ..config });
    let warehouse: &dyn Warehouse = harness.warehouse.as_ref();
    let now = Millis::now();
    let made = Config {
        rows: Some(6_000),
        start_ms: now.0 - 3 * 3_600_000,
        end_ms: now.0,
        bad: 0.02,
        duplicates: 0.02,
        ..Config::default()
    };
    let mut bytes = Vec::new();
    Generator::new(made).unwrap().write_all(&mut bytes).unwrap();
    assert_eq!(harness.post(&[], &bytes).status, 202);
    append(&harness, &thirty_causes());
    harness.process();
    let target = Target::new(warehouse.dialect());
    let project = Project::load(&ProjectFiles::embedded(), &target, "").unwrap();
    let options = RunOptions { command: Command::Build, select: Vec::new(), exclude: Vec::new() };
    let results =
        adpipe_transform::run(warehouse, &project, &target, &options, &|| false, &|_, _, _, _| {}).unwrap();
    adpipe_transform::history::keep(warehouse, &results).unwrap();
    add_alerts(warehouse, now);
    let readings: Vec<String> = (0..120)
        .flat_map(|step| {
            let at = Millis(now.0 - step * 15_000);
            [
                ("throughput", if step == 100 { 900_000.0 } else { 6_000.0 }),
                ("latency", 0.2),
                ("error_share", 0.03),
                ("lag", 10.0),
            ]
            .map(|(signal, value)| format!("('{at}', '{signal}', '{{}}', {value})"))
        })
        .collect();
    script(warehouse, Schema::Ops, &format!("insert into ops.readings values {}", readings.join(", ")));
    harness
}

fn first_error(harness: &Harness) -> String {
    harness.get("/api/dlq/errors?limit=1").json()["errors"][0]["error_id"].as_str().unwrap().to_owned()
}

#[test]
fn each_page_holds_still_in_eight_ways() {
    let Some(mut browser) = browser("each_page_holds_still_in_eight_ways") else { return };
    let harness = full(config());
    let home = format!("http://{}", harness.address);
    at_work(&harness, || {
        browser.open(&format!("{home}/dlq"));
        browser.wait_for("document.querySelectorAll('#groups tr').length === 25");
        let error = format!("/dlq/errors/{}", first_error(&harness));
        let pages = [
            "/",
            "/operations",
            "/dlq",
            "/dlq/errors",
            &error,
            "/files",
            "/quality",
            "/dags",
            "/runbook",
            "/none",
        ];
        let mut moved = Vec::new();
        for (language, is_dark, width) in [
            ("en", false, 1_440),
            ("en", false, 380),
            ("en", true, 1_440),
            ("en", true, 380),
            ("ko", false, 1_440),
            ("ko", false, 380),
            ("ko", true, 1_440),
            ("ko", true, 380),
        ] {
            browser.look(width, 900, is_dark);
            for page in pages {
                browser.open(&format!("{home}{page}?lang={language}"));
                let is_live = !["/runbook", "/none"].contains(&page);
                if is_live {
                    browser.wait_for("document.querySelector('#status').dataset.state === 'live'");
                    browser.wait_for("!document.querySelector('[data-waits]')");
                    browser.wait_for("[...document.querySelectorAll('.chart:not([hidden])')].every((chart) => chart.querySelector('.pane'))");
                }
                browser.wait_for(&format!("performance.now() > {}", if is_live { WATCHED_MS } else { 0 }));
                let shift = browser.evaluate(SHIFT);
                let shade = if is_dark { "dark" } else { "light" };
                let place = if page == error { "dlq_error" } else { page.trim_start_matches('/') };
                let name = format!("{language}-{shade}-{width}-{}", place.replace('/', "_"));
                picture(&mut browser, &name);
                if shift["sum"].as_f64().unwrap() >= MOST_SHIFT {
                    moved.push(format!("{name}: {shift}"));
                }
                assert!(!browser.overflows_sideways(), "{name} is wider than the screen");
            }
        }
        assert_eq!(moved, [] as [String; 0]);
        // That there is no such page is what the browser was asked to find out.
        let errors: Vec<&String> = browser.errors().iter().filter(|error| !error.contains("/none")).collect();
        assert_eq!(errors, [] as [&String; 0]);
    });
}

#[test]
fn causes_keep_their_places_until_somebody_asks() {
    let Some(mut browser) = browser("causes_keep_their_places_until_somebody_asks") else { return };
    let harness = Harness::start(config());
    let home = format!("http://{}", harness.address);
    let causes = thirty_causes();
    append(&harness, &causes);
    harness.process();
    at_work(&harness, || {
        await_open(&harness, causes.len() as u64);
        browser.look(1_440, 900, false);
        browser.open(&format!("{home}/dlq?lang=en"));
        browser.wait_for("document.querySelectorAll('#groups tr').length === 25");
        browser.wait_for_text("#cause-page", "Page 1 of 2");
        let order = "[...document.querySelectorAll('#groups tr')].map((row) => row.dataset.key).join()";
        let counts =
            "[...document.querySelectorAll('#groups .open-count')].map((count) => Number(count.textContent))";
        let shown: Vec<u64> = serde_json::from_value(browser.evaluate(counts)).unwrap();
        assert!(shown.is_sorted_by(|a, b| a >= b), "{shown:?}");
        assert!(browser.evaluate("document.documentElement.scrollHeight < 3000") == true);
        let before = browser.evaluate(order);

        // The smallest cause becomes the largest: its figure grows where it stands.
        browser.click("#causes-after");
        browser.wait_for("document.querySelectorAll('#groups tr').length === 5");
        assert_eq!(browser.evaluate("location.search"), "?lang=en&page=2");
        let five =
            "[...document.querySelectorAll('#groups tr')].slice(0, 5).map((row) => row.dataset.key).join()";
        let kept = browser.evaluate(five);
        append(&harness, &vec![event(1, &json!({ "click": null })); 40]);
        harness.process();
        await_open(&harness, causes.len() as u64 + 40);
        browser.wait_for("[...document.querySelectorAll('#groups .open-count')].some((count) => Number(count.textContent) > 40)");
        assert_eq!(browser.evaluate(five), kept);
        browser.click("#causes-before");
        browser.wait_for("document.querySelectorAll('#groups tr').length === 25");
        browser.wait_for("Number(document.querySelector('#groups .open-count').textContent) > 40");
        assert_ne!(browser.evaluate(order), before, "another page is asked for anew");

        let before = browser.evaluate(order);
        append(&harness, &vec![event(2, &json!({ "device_model": [1] })); 90]);
        harness.process();
        browser.wait_for("!document.querySelector('#sort-again').disabled");
        assert_eq!(browser.evaluate(order), before);
        browser.click("#sort-again");
        browser.wait_for(&format!("{order} !== {before}"));
        browser.wait_for("document.querySelector('#sort-again').disabled");
        assert!(browser.text("#groups tr:first-child").contains("device_model"));

        // What is begun is shown where somebody looks, however far down that is.
        browser.evaluate("scrollTo(0, document.body.scrollHeight / 2)");
        browser.click("#groups tr:nth-child(12) .do-discard");
        browser.fill("#confirm-reason", "not ours");
        browser.click("#confirm-yes");
        browser.wait_for_text("#jobs", "Discard");
        browser.wait_for("(({ top, bottom }) => top >= 0 && bottom <= innerHeight + 1)(document.querySelector('#jobs-panel').getBoundingClientRect())");
        // The dry run's counts and buttons stay in sight.
        browser.click("#groups tr:nth-child(2) .do-edit");
        browser.fill("#edit-many .step input:nth-of-type(1)", "note");
        browser.click("#edit-many-dry");
        browser.wait_for_text("#edit-many-counts", "would fail again");
        browser.wait_for("(({ top, bottom }) => top >= 0 && bottom <= innerHeight)(document.querySelector('#edit-many .foot').getBoundingClientRect())");
        picture(&mut browser, "dlq-dry-run");
    });
    assert_eq!(browser.errors(), [] as [String; 0]);
}

#[test]
fn a_token_is_entered_in_a_form_and_leads_back() {
    let Some(mut browser) = browser("a_token_is_entered_in_a_form_and_leads_back") else { return };
    let harness = Harness::start(ConsoleConfig { token: Some("s3cret".to_owned()), ..config() });
    let home = format!("http://{}", harness.address);
    browser.look(1_440, 900, false);
    browser.open(&format!("{home}/dlq?closed=true&lang=ko"));
    browser.wait_for_text("h1", "토큰을 입력하세요");
    browser.open(&format!("{home}/dlq?closed=true&lang=en"));
    browser.wait_for_text("h1", "Enter the token");
    let accent =
        browser.evaluate("getComputedStyle(document.querySelector('button.primary')).backgroundColor");
    assert_eq!(accent, "rgb(11, 99, 197)", "the style sheet is there");
    picture(&mut browser, "token");
    browser.fill("#token", "guess");
    browser.press("Enter");
    browser.wait_for_text("#token-problem", "This is not the token");
    picture(&mut browser, "token-wrong");
    browser.fill("#token", "s3cret");
    browser.press("Enter");
    browser.wait_for("location.pathname === '/dlq'");
    assert_eq!(browser.evaluate("location.search"), "?closed=true&lang=en");
    browser.wait_for("document.querySelector('#status').dataset.state === 'live'");
}

/// The contrast of two colours as WCAG 2.2 defines it, of what the browser has computed.
const CONTRAST: &str = "((element) => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const solid = (node) => { const found = parts(getComputedStyle(node).backgroundColor); return found[3] === 0 ? solid(node.parentElement) : found; };
  const light = (colour) => colour.slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const border = light(parts(getComputedStyle(element).borderTopColor));
  return Math.min(...[solid(element), solid(element.parentElement)].map(light)
    .map((other) => (Math.max(border, other) + 0.05) / (Math.min(border, other) + 0.05)));
})";

#[test]
fn what_can_be_pressed_or_filled_in_has_an_edge() {
    let Some(mut browser) = browser("what_can_be_pressed_or_filled_in_has_an_edge") else { return };
    let harness = Harness::start(config());
    let home = format!("http://{}", harness.address);
    for is_dark in [false, true] {
        browser.look(1_440, 900, is_dark);
        for (page, selectors) in [
            ("/dlq/errors", vec!["[name=field]", "#clear", "#show-keys", "#actor"]),
            ("/operations", vec!["#new-silence", "#actor", "#silence-rule"]),
            ("/", vec!["#until", "#newest", "#zone"]),
        ] {
            browser.open(&format!("{home}{page}"));
            browser.wait_for("!document.querySelector('[data-waits]')");
            for selector in selectors {
                let contrast = browser.evaluate(&format!("{CONTRAST}(document.querySelector('{selector}'))"));
                assert!(contrast.as_f64().unwrap() >= 3.0, "{page} {selector}, dark: {is_dark}: {contrast}");
            }
        }
    }
}

#[test]
fn a_payload_is_formatted_and_says_what_was_received() {
    let Some(mut browser) = browser("a_payload_is_formatted_and_says_what_was_received") else { return };
    let harness = Harness::start(config());
    let home = format!("http://{}", harness.address);
    let payload = br#"{"id":12345678901234567890123,"click":7,"note":"a, \"b\": {c}","list":[],"click":9}"#;
    append(&harness, &[payload.to_vec()]);
    harness.process();
    at_work(&harness, || {
        await_open(&harness, 1);
        browser.open(&format!("{home}/dlq/errors/{}?lang=en", first_error(&harness)));
        browser.wait_for("document.querySelector('#received pre')");
        let shown = browser.evaluate("document.querySelector('#received pre').textContent");
        assert_eq!(
            shown,
            "{\n  \"id\": 12345678901234567890123,\n  \"click\": 7,\n  \"note\": \"a, \\\"b\\\": {c}\",\n  \"list\": [],\n  \"click\": 9\n}"
        );
        let marked = browser.evaluate("document.querySelector('#received mark')?.textContent ?? null");
        let field = browser.text("#kind");
        assert!(marked == "9" || !field.contains("click"), "{field}: {marked}");
        browser.click("#received-tools .as-text");
        browser.wait_for("document.querySelector('#received pre').textContent.startsWith('{\"id\":1234')");
        // The reason is there in Korean, too.
        browser.open(&format!("{home}/dlq/errors/{}?lang=ko", first_error(&harness)));
        browser.wait_for("/[가-힣]/.test(document.querySelector('#message').textContent)");
    });
    assert_eq!(browser.errors(), [] as [String; 0]);
}

#[test]
fn the_overview_looks_at_any_time_in_any_zone() {
    let Some(mut browser) = browser("the_overview_looks_at_any_time_in_any_zone") else { return };
    let harness = Harness::start(config());
    let home = format!("http://{}", harness.address);
    // 2014, whose minutes are gone, and now.
    let at = |text: &str| Millis::parse_sql(text).unwrap().0;
    let past = Config {
        rows: Some(2_000),
        start_ms: at("2014-10-21 00:00:00"),
        end_ms: at("2014-10-22 00:00:00"),
        ..Config::default()
    };
    let mut bytes = Vec::new();
    Generator::new(past).unwrap().write_all(&mut bytes).unwrap();
    assert_eq!(harness.post(&[], &bytes).status, 202);
    let now = Millis::now().0;
    let live =
        Config { seed: 2, rows: Some(2_000), start_ms: now - 1_800_000, end_ms: now, ..Config::default() };
    let mut bytes = Vec::new();
    Generator::new(live).unwrap().write_all(&mut bytes).unwrap();
    assert_eq!(harness.post(&[], &bytes).status, 202);
    harness.process();
    script(
        harness.warehouse.as_ref(),
        Schema::Realtime,
        "delete from realtime.metrics where window_start < '2020-01-01'",
    );

    browser.look(1_440, 900, false);
    browser.open(&format!("{home}/?lang=en"));
    browser.wait_for_text("#span", &Millis(now).to_string()[..10]);
    browser.wait_for("document.querySelector('#newest').ariaPressed === 'true'");
    // The last point is still filling.
    browser.wait_for("document.querySelector('#table-trend').textContent.includes('so far')");
    browser.evaluate("(() => { const field = document.querySelector('#until'); field.value = '2014-10-21T12:00'; field.dispatchEvent(new Event('change')); })()");
    browser.wait_for_text("#span", "2014-10-20 12:00 – 2014-10-21 12:00");
    assert_eq!(browser.evaluate("location.search"), "?range=24h&to=2014-10-21T12%3A00");
    browser.wait_for("document.querySelectorAll('#table-trend tr').length === 13");
    browser.wait_for("document.querySelector('#chart-trend .line .stroke')?.getAttribute('d')");
    let first = browser.evaluate(
        "new Date(Number(document.querySelector('#chart-trend svg').dataset.from)).getUTCFullYear()",
    );
    assert_eq!(first, 2014);
    picture(&mut browser, "overview-2014");

    browser.evaluate("localStorage.setItem('adpipe.zone', 'Asia/Seoul')");
    browser.open(&format!("{home}/?lang=en&range=24h&to=2014-10-21T12:00"));
    browser.wait_for_text("#span", "2014-10-20 21:00 – 2014-10-21 21:00");
    browser.wait_for_text("#zone-note", "Asia/Seoul");
    assert_eq!(browser.evaluate("document.querySelector('#until').value"), "2014-10-21T21:00");
    browser.click("#newest");
    browser.wait_for(
        "document.querySelectorAll('#table-trend tr').length > 1 && !location.search.includes('to=')",
    );
    assert_eq!(browser.errors(), [] as [String; 0]);
}

#[test]
fn after_a_repair_the_marts_can_be_rebuilt() {
    let Some(mut browser) = browser("after_a_repair_the_marts_can_be_rebuilt") else { return };
    let harness = Harness::start(ConsoleConfig { dags: built_in_dags(), ..config() });
    let home = format!("http://{}", harness.address);
    append(&harness, &[event(1, &json!({ "click": null }))]);
    harness.process();
    at_work(&harness, || {
        await_open(&harness, 1);
        let order = json!({ "kind": "edit", "filter": {}, "patch": r#"[{"op":"add","path":"/click","value":0}]"#, "canary": 0 });
        let token = token(&harness, "/dlq");
        let headers = [("X-CSRF-Token", token.as_str())];
        let begun = harness.send("POST", "/api/dlq/jobs", &headers, order.to_string().as_bytes());
        assert_eq!(begun.status, 200, "{}", begun.text());
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        // The record that is sent again is counted as any other.
        while harness.get("/api/dlq/jobs").json()["jobs"][0]["outcomes"]["applied"] != 1 {
            harness.process();
            assert!(std::time::Instant::now() < until, "{}", harness.get("/api/dlq/jobs").text());
        }
        browser.open(&format!("{home}/dlq?lang=en"));
        browser.wait_for_text("#jobs .marts", "The marts show them after their next build");
        browser.click("#jobs .do-marts");
        browser.wait_for_text("#toast", "of dag_dbt_run is queued");
    });
    let runs = harness.get("/api/dags/dag_dbt_run").json();
    assert_eq!(runs["columns"].as_array().unwrap().len(), 1, "{runs}");
    assert_eq!(browser.errors(), [] as [String; 0]);
}

/// What the hours know of a day of 2014 whose minutes are gone, and what the newest minutes know.
fn is_there_at_any_time(harness: &Harness, warehouse: &dyn Warehouse) {
    let at = |text: &str| Millis::parse_sql(text).unwrap().0;
    let (day, now) = (at("2014-10-21 00:00:00"), Millis::now().0);
    for (seed, start_ms, end_ms) in [(1, day, day + 86_400_000), (2, now - 1_800_000, now)] {
        let made = Config { seed, rows: Some(2_000), start_ms, end_ms, ..Config::default() };
        let mut bytes = Vec::new();
        Generator::new(made).unwrap().write_all(&mut bytes).unwrap();
        assert_eq!(harness.post(&[], &bytes).status, 202);
    }
    harness.process_into(warehouse);
    script(warehouse, Schema::Realtime, "delete from realtime.metrics where window_start < '2020-01-01'");

    let newest = harness.get("/api/overview?range=24h").json();
    assert_eq!(newest["oldest"], json!(day));
    assert_eq!((&newest["step"], &newest["to"]), (&json!(900_000), &newest["newest"]));
    assert_eq!(newest["trend"].as_array().unwrap().last().unwrap()["is_partial"], true);
    let past = harness.get("/api/overview?range=24h&to=2014-10-21T12:00").json();
    let trend = past["trend"].as_array().unwrap();
    assert_eq!(
        (trend.len(), &past["step"], &past["to"]),
        (12, &json!(3_600_000), &json!(day + 12 * 3_600_000))
    );
    assert!(trend.iter().all(|point| point["is_partial"] == false), "{past}");
    let sum = |rows: &Value| -> u64 {
        rows.as_array().unwrap().iter().map(|row| row["impressions"].as_u64().unwrap()).sum()
    };
    assert_eq!(sum(&past["trend"]), sum(&past["by_device"]));
    assert_eq!(sum(&past["trend"]), sum(&past["by_banner"]));
    assert!((500..1_500).contains(&sum(&past["trend"])), "half of the day: {}", sum(&past["trend"]));
}

#[test]
fn the_past_is_there() {
    let harness = Harness::start(config());
    is_there_at_any_time(&harness, harness.warehouse.as_ref());
}

#[test]
fn the_past_is_there_on_postgresql() {
    let Some(server) = Postgres::shared("the_past_is_there_on_postgresql") else { return };
    let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
    let warehouse: Arc<dyn Warehouse> = Arc::new(PostgresWarehouse::open(settings).unwrap());
    let harness = Harness::start_with(config(), |services| services.warehouse = Arc::clone(&warehouse));
    is_there_at_any_time(&harness, warehouse.as_ref());
}

#[test]
fn addresses_lead_to_what_they_name() {
    let Some(mut browser) = browser("addresses_lead_to_what_they_name") else { return };
    let harness = full(config());
    let home = format!("http://{}", harness.address);
    browser.open(&format!("{home}/dags?lang=en&dag=no_such_dag"));
    browser.wait_for_text("#no-dag", "There is no DAG no_such_dag");
    assert_eq!(browser.evaluate("document.querySelector('#dag').hidden"), true);
    browser.open(&format!("{home}/dags?lang=en&dag=dag_dlq_retry&run=gone"));
    browser.wait_for_text("#no-run", "dag_dlq_retry has no run gone");
    assert_eq!(browser.evaluate("document.querySelector('#problem').hidden"), true);
    browser.open(&format!("{home}/dags?lang=ko&dag=dag_dlq_retry"));
    browser.wait_for_text("#dag-about", "재시도할 때가 된 오류");
    browser.open(&format!("{home}/files?lang=en&report=1:0123456789abcdef:gone.csv"));
    browser.wait_for_text("#no-report", "The report of gone.csv is not on this page");
    browser.open(&format!("{home}/quality?lang=en&test=nobody"));
    browser.wait_for_text("#no-test", "There is no test nobody");
    let quality = harness.get("/api/quality").json();
    let id = quality["tests"][3]["id"].as_str().unwrap().to_owned();
    browser.open(&format!("{home}/quality?lang=en&test={id}"));
    browser.wait_for(&format!("document.querySelector('[data-id=\"{id}\"] details').open"));
    browser.click(&format!("[data-id=\"{id}\"] summary"));
    browser.wait_for("!location.search.includes('test=')");

    // An alert is read out by its name, and not again with each new figure.
    browser.open(&format!("{home}/files?lang=en"));
    browser.wait_for_text("#firing", "of the records are invalid");
    browser
        .wait_for("document.querySelector('#firing-said').textContent === 'Critical alerts: ErrorRateHigh'");
    assert_eq!(browser.evaluate("document.querySelector('#firing').getAttribute('role')"), Value::Null);
    browser.open(&format!("{home}/runbook?lang=ko#errorratehigh"));
    browser.wait_for_text(".runbook", "규칙에 어긋나는 레코드");
    // That there is no such run is what the browser was asked to find out.
    let errors: Vec<&String> =
        browser.errors().iter().filter(|error| !error.contains("/runs/gone")).collect();
    assert_eq!(errors, [] as [&String; 0]);
}

#[test]
fn a_limit_is_named_above_the_curve_and_a_peak_does_not_set_the_scale() {
    let Some(mut browser) = browser("a_limit_is_named_above_the_curve") else { return };
    let harness = full(config());
    let home = format!("http://{}", harness.address);
    browser.look(1_440, 900, false);
    browser.open(&format!("{home}/operations?lang=en"));
    browser.wait_for("document.querySelector('#chart-throughput .pane')");
    // Half an hour was measured: the range fits it.
    browser.wait_for("document.querySelector('[data-range=\"1h\"]').ariaCurrent === 'true'");
    browser.wait_for_text("#panel-throughput .lines", "a peak of 900,000 is beyond the scale");
    browser.wait_for_text("#panel-error_share .lines", "ErrorRateHigh > 1.00\u{a0}%");
    // What stands in a chart stands at its axes.
    assert_eq!(
        browser.evaluate("document.querySelectorAll('.chart-drawing text:not(.axes text)').length"),
        0
    );
    browser.wait_for("Number(document.querySelector('#chart-throughput [data-high]').dataset.high) < 50000");
    assert_eq!(browser.errors(), [] as [String; 0]);
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let harness = Harness::start(config());
    harness.post(&[], &events(3_000, Format::Ndjson));
    harness.process();
    at_work(&harness, || {
        await_open(&harness, harness.records(Topic::Error).len() as u64);
        for target in ["/api/overview", "/api/dlq/summary", "/dlq", "/api/quality"] {
            is_sent_once(&harness, target);
        }
    });
    for page in ["/", "/operations", "/dlq", "/dlq/errors", "/files", "/quality", "/dags"] {
        let sent = harness.send("GET", page, &[("Accept-Encoding", "gzip")], b"");
        assert!(sent.body.len() < 8_000, "{page}: {} bytes", sent.body.len());
    }
    assert_eq!(harness.get("/api/overview?to=soon").status, 400);
    let past = harness.get("/api/overview?to=2010-01-01T00:00").json();
    assert_eq!(
        (&past["trend"], &past["to"]),
        (&json!([]), &json!(Millis::parse_sql("2010-01-01 00:00:00").unwrap().0))
    );
}

/// Who shows that it has an answer gets none; who reads gzip gets that.
fn is_sent_once(harness: &Harness, target: &str) {
    let first = harness.get(target);
    let etag = first.header("etag").unwrap_or_else(|| panic!("{target}: {}", first.head)).to_owned();
    let packed = harness.send("GET", target, &[("Accept-Encoding", "gzip, br")], b"");
    assert_eq!(packed.header("content-encoding"), Some("gzip"), "{target}");
    assert!(packed.body.len() < first.body.len(), "{target}");
    let again = harness.send("GET", target, &[("If-None-Match", &etag), ("Accept-Encoding", "gzip")], b"");
    assert_eq!((again.status, again.body.len()), (304, 0), "{target}");
    if target.starts_with("/api/dlq") {
        let read_at = again.header("x-at").unwrap().parse::<i64>().unwrap();
        assert!(read_at >= first.json()["at"].as_i64().unwrap());
    }
}

/// What is wrong with made-up bad records and a few others: as the parser says it, and as the queue masks it.
fn all_messages() -> BTreeSet<String> {
    let names = [("click", vec!["is_click".to_owned(), "clicked".to_owned()])];
    let sources = names.map(|(field, names)| (field, FieldSource { names, default: None }));
    let mapped = FieldMap::new(sources).unwrap();
    let mut messages = BTreeSet::new();
    for fields in [FieldMap::default(), mapped] {
        let mut parser = Parser::new(Rules { fields, ..Rules::default() });
        let made = Config { rows: Some(4_000), bad: 1.0, seed: 7, ..Config::default() };
        let mut bytes = Vec::new();
        Generator::new(made).unwrap().write_all(&mut bytes).unwrap();
        let own = [
            event(1, &json!({ "hour": "99010100" })),
            event(1, &json!({ "hour": "2014-10-21T24:00" })),
            event(1, &json!({ "hour": "2014-10-21T10:61" })),
            event(1, &json!({ "hour": "2014-02-30T00:00" })),
            event(1, &json!({ "event_time": "2026-01-03T00:00" })),
        ];
        for record in bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).chain(own) {
            if let Err(error) = parser.parse_json(&record, Millis::now()) {
                messages.insert(error.message);
            }
        }
    }
    assert!(messages.len() > 50, "{messages:?}");
    let masked: Vec<String> = messages.iter().map(|message| adpipe_dlq::mask(message)).collect();
    messages.extend(masked);
    messages
}

#[test]
fn what_is_wrong_with_a_record_is_said_in_korean() {
    let Some(mut browser) = browser("what_is_wrong_with_a_record_is_said_in_korean") else { return };
    let harness = Harness::start(config());
    browser.open(&format!("http://{}/dlq?lang=ko", harness.address));
    let messages = serde_json::to_string(&all_messages()).unwrap();
    let untold = browser.evaluate(&format!(
        "import('/static/messages.js').then(({{ inWords }}) => {messages}.filter((message) => !/[가-힣]/.test(inWords(message))))"
    ));
    assert_eq!(untold, json!([]));
}

/// The queue's own message of an alert, with what the monitor found next to the value.
#[test]
fn facts_beside_an_alert_are_in_the_language_of_the_page() {
    let Some(mut browser) = browser("facts_beside_an_alert_are_in_the_language_of_the_page") else { return };
    let harness = full(config());
    let context = json!({
        "why": "source_silent", "appended_per_minute": 0, "waiting": 5, "more_waiting": 1, "warehouse_answers_in_ms": 3,
        "last_week_per_minute": 12, "p50_seconds": 0.2, "p99_seconds": 0.3, "last_commit": "2026-01-02 03:04:05", "open": 7,
        "host": "h", "roles": "stream", "free_bytes": 5_000, "size_bytes": 9_000, "error": "e", "hour": "2026-01-02 03:00:00",
        "since": "2026-01-02 03:04:05", "newest": "2026-01-02 03:04:05",
        "causes": [{ "fingerprint": "f", "message": "the row has # cells and the header #", "open": 1 }],
    });
    script(harness.warehouse.as_ref(), Schema::Ops, &format!("update ops.alerts set context = '{context}'"));
    let home = format!("http://{}", harness.address);
    browser.look(380, 900, false);
    browser.open(&format!("{home}/operations?lang=ko"));
    browser.wait_for_text("#alerts .context", "들어오는 이벤트가 없습니다");
    let facts = browser.text("#alerts .context");
    assert!(!facts.contains('_') && !facts.contains("cells"), "{facts}");
    for word in ["waiting", "commit", "appended", "since", "free", "error"] {
        assert!(!facts.contains(word), "{word} is English: {facts}");
    }
    // Where Slack is not set up the tile has no figure, and does not make the page wider than a phone.
    assert_eq!(browser.text("#unsent"), "–");
    browser.wait_for_text("#note-unsent", "Slack이 설정되지 않음");
    assert!(!browser.overflows_sideways());
    browser.open(&format!("{home}/operations?lang=en"));
    browser.wait_for_text("#alerts .context", "No events arrive. · appended: 0 a minute");
}
