//! The charts of the console in a real browser: what their scripts compute, and what a mouse, a
//! keyboard and a screen reader find.
//!
//! `ADPIPE_PICTURES=FOLDER` keeps pictures of what it saw.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use adpipe_event::Millis;
use adpipe_generate::{Config, Generator};
use adpipe_testkit::browser::Browser;
use adpipe_testkit::seed;
use adpipe_warehouse::Schema;
use common::{Harness, browser, config, picture, script};
use serde_json::{Value, json};

/// A console with three hours of events up to now.
fn with_events() -> Harness {
    let harness = Harness::start(config());
    let now = Millis::now().0;
    let made = Config { rows: Some(6_000), start_ms: now - 3 * 3_600_000, end_ms: now, ..Config::default() };
    let mut bytes = Vec::new();
    Generator::new(made).unwrap().write_all(&mut bytes).unwrap();
    assert_eq!(harness.post(&[], &bytes).status, 202);
    harness.process();
    harness
}

#[test]
fn numbers_times_and_labels_find_their_places() {
    let Some(mut browser) = browser("numbers_times_and_labels_find_their_places") else { return };
    let harness = Harness::start(config());
    let home = format!("http://{}", harness.address);
    // As JavaScript counts without a loss.
    let seed = seed() % 1_000_000;
    for zone in ["UTC", "Asia/Seoul", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"] {
        browser.open(&format!("{home}/?lang=en"));
        browser.evaluate(&format!("localStorage.setItem('adpipe.zone', '{zone}')"));
        browser.open(&format!("{home}/?lang=en"));
        let wrong = browser.evaluate(&format!("({})({seed})", include_str!("charts.js").trim()));
        let wrong = wrong.as_array().unwrap();
        assert!(
            wrong.is_empty(),
            "{zone}, seed {seed}: {} wrong, the first {:?}",
            wrong.len(),
            &wrong[..wrong.len().min(5)]
        );
    }
    assert_eq!(browser.errors(), [] as [String; 0]);
}

/// A chart with everything that there is, in a place of its own on the page.
const EVERYTHING: &str = "(async () => {
  const { drawChart } = await import('/static/chart.js');
  const place = Object.assign(document.createElement('div'), { className: 'chart', id: 'chart-test' });
  document.querySelector('main').append(place);
  const HOUR = 3_600_000, START = Date.UTC(2014, 9, 21);
  const points = Array.from({ length: 2_000 }, (_, index) => ({ x: START + index * HOUR, y: 0.17 + 0.02 * Math.sin(index / 9) }));
  const line = (tone, by) => ({ kind: 'line', tone, points: points.map(({ x, y }) => ({ x, y: y + by })) });
  window.zooms = []; window.selections = [];
  window.spec = {
    name: 'CTR', label: 'CTR: 15% to 19%', x: { from: START, to: points.at(-1).x },
    panes: [
      { share: 3, y: { from: 0, to: 0.3, format: (value) => value.toFixed(2) }, marks: [
        { kind: 'band', tone: 'one', points: points.map(({ x, y }) => ({ x, low: y - 0.01, high: y + 0.01 })) },
        line('one', 0), line('two', 0.01), line('three', 0.02), line('four', 0.03), line('five', 0.04),
        { ...line('muted', 0.02), dash: 'dashed' }, { kind: 'limit', y: 0.25, tone: 'warn' } ] },
      { y: { from: 0, to: 100, isWhole: true, format: String }, marks: [{ kind: 'bars', span: HOUR, tone: 'muted', points: points.map(({ x }) => ({ x, y: 50 })) }] } ],
    stops: points.map(({ x, y }, index) => ({ x, dots: [{ y, tone: 'one' }], read: () => ({ title: `hour ${index}`, lines: [{ name: 'CTR', value: y.toFixed(3), tone: 'one' }] }) })),
    legend: ['one', 'two', 'three', 'four', 'five'].map((tone) => ({ name: tone, tone })),
    spans: [
      { from: START + 100 * HOUR, to: START + 200 * HOUR, kind: 'doubt', label: 'in doubt' },
      { from: START + 1_900 * HOUR, to: START + 2_000 * HOUR, kind: 'incomplete', label: 'not complete' } ],
    markers: [{ x: START + 150.2 * HOUR, label: 'an alert', tone: 'warn' }],
    onZoom: (range) => window.zooms.push(range), onSelect: (stop) => window.selections.push(stop.x),
  };
  drawChart(place, window.spec);
  window.redraw = (more) => drawChart(place, Object.assign(window.spec, more));
})()";

const CURSOR: &str = "#chart-test .chart-cursor";

/// What a screen reader says of the cursor.
fn said(browser: &mut Browser) -> String {
    browser
        .evaluate(&format!("document.querySelector('{CURSOR}').ariaValueText"))
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_chart_is_used_by_mouse_and_by_keyboard_alike() {
    let Some(mut browser) = browser("a_chart_is_used_by_mouse_and_by_keyboard_alike") else { return };
    let harness = Harness::start(config());
    let home = format!("http://{}", harness.address);
    browser.look(1_440, 900, false);
    browser.open(&format!("{home}/?lang=en"));
    browser.wait_for("!document.querySelector('[data-waits]')");
    browser.evaluate(EVERYTHING);

    // The whole is one picture with a name; what is in it is read by a slider.
    let named = "[...document.querySelectorAll('#chart-test [role]')].map((one) => [one.getAttribute('role'), one.getAttribute('aria-label')])";
    assert_eq!(browser.evaluate(named), json!([["img", "CTR: 15% to 19%"], ["slider", "CTR"]]));
    // Two thousand points are thinned out to what the screen can show.
    let longest = "Math.max(...[...document.querySelectorAll('#chart-test path')].map((path) => path.getAttribute('d').split('L').length))";
    let longest = browser.evaluate(longest).as_u64().unwrap();
    assert!((1_000..2 * 4 * 1_440).contains(&longest), "{longest} points");
    let marks = "['band', 'line', 'bars', 'limit'].map((kind) => document.querySelectorAll(`#chart-test .${kind}.mark`).length)";
    assert_eq!(browser.evaluate(marks), json!([1, 6, 1, 1]));
    let behind = "[...document.querySelectorAll('#chart-test .spans > path, #chart-test .marker')].map((one) => one.getAttribute('class'))";
    assert_eq!(browser.evaluate(behind), json!(["span-doubt", "span-incomplete", "marker tone-warn"]));

    // By mouse: what is under it, a click, a range.
    browser.hover(CURSOR, 0.5, 0.5);
    browser.wait_for_text("#chart-test .chart-tip", "hour 1000");
    browser.hover(CURSOR, 150.0 / 1_999.0, 0.5);
    browser.wait_for_text("#chart-test .chart-tip", "in doubt");
    browser.wait_for_text("#chart-test .chart-tip", "an alert");
    picture(&mut browser, "chart-everything");
    browser.click(CURSOR);
    browser.wait_for("window.selections.length === 1");
    assert_eq!(browser.evaluate("window.selections[0] === window.spec.stops[1000].x"), true);
    browser.drag(CURSOR, 0.25, 0.75);
    browser.wait_for("window.zooms.length === 1");
    let quarters = "[0.25, 0.75].map((part) => window.spec.x.from + part * (window.spec.x.to - window.spec.x.from)).every((at, index) => Math.abs(at - Object.values(window.zooms[0])[index]) < 4 * 3_600_000)";
    assert_eq!(browser.evaluate(quarters), true, "{}", browser.evaluate("window.zooms"));
    assert_eq!(browser.evaluate("window.selections.length"), 1, "what was dragged was not clicked");

    // By keyboard the same.
    browser.evaluate(&format!("document.querySelector('{CURSOR}').focus({{ focusVisible: true }})"));
    browser.press("End");
    let end = said(&mut browser);
    assert!(end.starts_with("hour 1999, CTR 0.") && end.ends_with(", not complete"), "{end}");
    browser.press("Home");
    browser.press("PageUp");
    browser.press("ArrowRight");
    browser.press("ArrowLeft");
    browser.press("ArrowUp");
    assert!(said(&mut browser).starts_with("hour 11, CTR 0."), "{}", said(&mut browser));
    assert_eq!(browser.evaluate("document.querySelector('#chart-test .chart-tip').hidden"), false);
    browser.press("Enter");
    assert_eq!(browser.evaluate("window.selections[1] === window.spec.stops[11].x"), true);
    for _ in 0..3 {
        browser.press("Shift+ArrowRight");
    }
    assert!(
        said(&mut browser).starts_with("2014-10-21 11:00 to 2014-10-21 14:00: hour 14"),
        "{}",
        said(&mut browser)
    );
    browser.press("Escape");
    assert!(said(&mut browser).starts_with("hour 14"), "Escape forgets the range first");
    browser.press("Shift+ArrowLeft");
    browser.press("Enter");
    let marked = "JSON.stringify(window.zooms[1]) === JSON.stringify({ from: window.spec.stops[13].x, to: window.spec.stops[14].x })";
    assert_eq!(browser.evaluate(marked), true);

    // New figures leave the cursor where it is; what is zoomed is shown whole by Escape or the button.
    browser.evaluate("window.redraw({ isZoomed: true })");
    browser.press("ArrowRight");
    assert!(said(&mut browser).starts_with("hour 14"), "{}", said(&mut browser));
    browser.press("Escape");
    browser.click("#chart-test .chart-whole");
    assert_eq!(browser.evaluate("window.zooms.slice(2)"), json!([null, null]));
    assert_eq!(browser.errors(), [] as [String; 0]);
}

/// A matrix of weekdays and hours.
const MATRIX: &str = "(async () => {
  const { drawChart } = await import('/static/chart.js');
  const place = Object.assign(document.createElement('div'), { className: 'chart', id: 'chart-test' });
  document.querySelector('main').append(place);
  const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
  const all = Array.from({ length: 24 }, (_, hour) => days.map((day, row) => ({ hour, day, row }))).flat();
  window.selections = [];
  drawChart(place, {
    name: 'CTR by weekday and hour', label: 'CTR by weekday and hour: highest Mon 12', x: { names: Array.from({ length: 24 }, (_, hour) => String(hour)) },
    panes: [{ y: { from: 0, to: 7, isBare: true, ticks: days.map((label, row) => ({ at: row + 0.5, label })) },
      marks: [{ kind: 'cells', cells: all.map(({ hour, row }) => ({ from: hour, to: hour + 1, low: row, high: row + 1, strength: hour / 24 })) }] }],
    stops: all.map(({ hour, day, row }) => ({ x: hour + 0.5, y: row + 0.5, box: { from: hour, to: hour + 1, low: row, high: row + 1 },
      read: () => ({ title: `${day} ${hour}`, lines: [] }) })),
    onSelect: (stop) => window.selections.push([stop.x, stop.y]),
  });
})()";

#[test]
fn a_matrix_is_walked_in_both_directions() {
    let Some(mut browser) = browser("a_matrix_is_walked_in_both_directions") else { return };
    let harness = Harness::start(config());
    let home = format!("http://{}", harness.address);
    browser.look(1_440, 900, false);
    browser.open(&format!("{home}/?lang=en"));
    browser.wait_for("!document.querySelector('[data-waits]')");
    browser.evaluate(MATRIX);
    browser.evaluate(&format!("document.querySelector('{CURSOR}').focus({{ focusVisible: true }})"));
    browser.press("Home");
    for (key, cell) in [
        ("ArrowRight", "Mon 1"),
        ("ArrowUp", "Tue 1"),
        ("ArrowRight", "Tue 2"),
        ("ArrowDown", "Mon 2"),
        ("ArrowDown", "Mon 2"),
        ("Shift+ArrowLeft", "Mon 1"),
        ("End", "Sun 23"),
        ("ArrowRight", "Sun 23"),
        ("ArrowUp", "Sun 23"),
    ] {
        browser.press(key);
        assert_eq!(said(&mut browser), cell, "after {key}");
    }
    // The middle of the matrix is Thursday, at the border between 11 and 12.
    browser.hover(CURSOR, 0.51, 0.5);
    browser.wait_for_text("#chart-test .chart-tip", "Thu 12");
    browser.click(CURSOR);
    browser.wait_for("window.selections.length === 1");
    assert_eq!(browser.evaluate("window.selections[0][1]"), 3.5);
    picture(&mut browser, "chart-matrix");
    assert_eq!(browser.errors(), [] as [String; 0]);
}

#[test]
fn a_chart_fits_its_place_and_its_colours_the_page() {
    let Some(mut browser) = browser("a_chart_fits_its_place_and_its_colours_the_page") else { return };
    let harness = Harness::start(config());
    let home = format!("http://{}", harness.address);
    browser.look(1_440, 900, false);
    browser.open(&format!("{home}/?lang=ko"));
    browser.wait_for("!document.querySelector('[data-waits]')");
    browser.evaluate(EVERYTHING);
    let colour = "getComputedStyle(document.querySelector('#chart-test .tone-one .stroke')).stroke";
    let light = browser.evaluate(colour);
    let before = browser.evaluate("document.querySelector('#chart-test .stroke').getAttribute('d')");
    browser.look(380, 900, true);
    browser.wait_for("document.querySelector('#chart-test svg').viewBox.baseVal.width < 380");
    assert_ne!(browser.evaluate(colour), light);
    assert_ne!(browser.evaluate("document.querySelector('#chart-test .stroke').getAttribute('d')"), before);
    // No name of an axis is cut off or lies over another.
    let boxes = "[...document.querySelectorAll('#chart-test .axes text')].map((name) => name.getBoundingClientRect())";
    let inside = format!(
        "(() => {{ const place = document.querySelector('#chart-test').getBoundingClientRect(); \
        return {boxes}.every((box) => box.left >= place.left - 1 && box.right <= place.right + 1 && box.bottom <= place.bottom + 1); }})()"
    );
    assert_eq!(browser.evaluate(&inside), true);
    let apart = format!(
        "(() => {{ const all = {boxes}; return all.every((one, index) => all.slice(index + 1).every((other) => \
        one.right <= other.left || other.right <= one.left || one.bottom <= other.top + 1 || other.bottom <= one.top + 1)); }})()"
    );
    assert_eq!(browser.evaluate(&apart), true);
    assert!(!browser.overflows_sideways());
    // A tip at either end stays inside, too.
    for across in [0.01, 0.99] {
        browser.hover(CURSOR, across, 0.5);
        browser.wait_for("!document.querySelector('#chart-test .chart-tip').hidden");
        assert!(!browser.overflows_sideways());
    }
    picture(&mut browser, "chart-everything-phone");
    assert_eq!(browser.errors(), [] as [String; 0]);
}

/// Has a data test fail on the minutes of an hour.
fn doubt(harness: &Harness, hour: Millis) {
    let (id, name, now) = ("test.adpipe.minutes_match_hours", "minutes_match_hours", Millis::now());
    let sql = format!(
        "insert into ops.data_tests values ('run', '{id}', '{name}', 'test', null, null, 'error', 'fail', 1, null, 'builtin', '{now}', 0.1);
         insert into ops.data_test_failures (test_id, row_key, row_data, first_run, first_seen, last_run, last_seen)
         values ('{id}', 'a', '{{\"first\": \"{hour}\", \"next\": \"{}\"}}', 'run', '{now}', 'run', '{now}')",
        Millis(hour.0 + 3_600_000)
    );
    script(harness.warehouse.as_ref(), Schema::Ops, &sql);
}

#[test]
fn the_trend_marks_what_is_uncertain_and_zooms() {
    let Some(mut browser) = browser("the_trend_marks_what_is_uncertain_and_zooms") else { return };
    let harness = with_events();
    let home = format!("http://{}", harness.address);
    let hour_ago = Millis(Millis::now().0 - 3_600_000).floor_hour();
    doubt(&harness, hour_ago);
    browser.look(1_440, 900, false);
    browser.open(&format!("{home}/?lang=en"));
    browser
        .wait_for("document.querySelector('#chart-trend .pane') && !document.querySelector('[data-waits]')");
    // The hour that a failing test names is hatched, and the cursor says so.
    browser.wait_for(
        "document.querySelector('#chart-trend .span-doubt')?.getAttribute('fill').startsWith('url(#hatch')",
    );
    let at = format!(
        "({} + 1_800_000 - document.querySelector('#chart-trend svg').dataset.from) / (({{ from, to }}) => to - from)(document.querySelector('#chart-trend svg').dataset)",
        hour_ago.0
    );
    let across = browser.evaluate(&at).as_f64().unwrap();
    browser.hover("#chart-trend .chart-cursor", across, 0.5);
    browser.wait_for_text("#chart-trend .chart-tip", "in doubt: a data test fails");
    // What is filling hangs on the rest by a dotted line, before a grey ground.
    browser.wait_for("document.querySelector('#chart-trend .span-incomplete')");
    browser.wait_for("document.querySelector('#chart-trend .hollow') && document.querySelector('#chart-trend .stroke.dotted')");
    let ends: Value = browser.evaluate(
        "(({ from, to }) => [Number(from), Number(to)])(document.querySelector('#chart-trend svg').dataset)",
    );
    browser.drag("#chart-trend .chart-cursor", 0.3, 0.6);
    browser.wait_for("document.querySelector('#chart-trend svg').dataset.from > 0 && !document.querySelector('#chart-trend .chart-whole').hidden");
    let zoomed: Value = browser.evaluate(
        "(({ from, to }) => [Number(from), Number(to)])(document.querySelector('#chart-trend svg').dataset)",
    );
    assert!(
        zoomed[0].as_i64() > ends[0].as_i64() && zoomed[1].as_i64() < ends[1].as_i64(),
        "{zoomed} in {ends}"
    );
    // Another range is seen whole.
    browser.click(".ranges [data-range='1h']");
    browser.wait_for("document.querySelector('#chart-trend .chart-whole').hidden");
    // Bars say the same to all, each with its interval.
    browser.evaluate("document.querySelector('#chart-device .chart-cursor').focus({ focusVisible: true })");
    browser.press("Home");
    let bar = browser.evaluate("document.activeElement.ariaValueText");
    assert!(
        bar.as_str().unwrap().starts_with("Device type 0, CTR ")
            && bar.as_str().unwrap().contains("95 % interval "),
        "{bar}"
    );
    assert_eq!(browser.errors(), [] as [String; 0]);
}
