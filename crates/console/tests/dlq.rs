//! The dead-letter queue's pages and API, over a real log and warehouse with the role running.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::time::{Duration, Instant};

use adpipe_log::{Headers, Topic, header};
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use adpipe_stream::{StreamConfig, processor};
use adpipe_testkit::raw_http::Answer;
use common::{Ending, Harness, append_to, config, event, token};
use serde_json::{Value, json};

/// The console, the processor and the queue running while `test` runs.
fn at_work(test: impl FnOnce(&Harness)) {
    let harness = Harness::start(config());
    let (metrics, shutdown) = (Metrics::new("test").unwrap(), Shutdown::new());
    std::thread::scope(|scope| {
        let _end = Ending(shutdown.clone());
        scope.spawn(|| {
            let (log, warehouse) = (harness.log.as_ref(), harness.warehouse.as_ref());
            processor::run(&StreamConfig::default(), log, warehouse, &metrics, &shutdown).unwrap();
        });
        scope.spawn(|| adpipe_dlq::role::run(&harness.dlq, &shutdown).unwrap());
        test(&harness);
    });
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn append(harness: &Harness, payloads: &[&[u8]]) {
    append_to(harness, Topic::Raw, Headers::default(), payloads);
}

fn post(harness: &Harness, path: &str, body: &Value) -> Answer {
    let token = token(harness, "/dlq");
    let headers = [("X-CSRF-Token", token.as_str()), ("X-Actor", "%EA%B9%80")];
    harness.send("POST", path, &headers, body.to_string().as_bytes())
}

fn list(harness: &Harness, query: &str) -> Vec<Value> {
    let answer = harness.get(&format!("/api/dlq/errors?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["errors"].as_array().unwrap().clone()
}

fn await_errors(harness: &Harness, query: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} errors of {query:?}"), || {
        let errors = list(harness, &format!("limit=200&{query}"));
        (errors.len() == count).then_some(errors)
    })
}

fn id_of(error: &Value) -> String {
    error["error_id"].as_str().unwrap().to_owned()
}

fn detail(harness: &Harness, id: &str) -> Value {
    let answer = harness.get(&format!("/api/dlq/errors/{id}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn bytes_of(view: &Value) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(view["base64"].as_str().unwrap()).unwrap()
}

#[test]
fn errors_of_every_type_are_listed_filtered_and_marked() {
    at_work(|harness| {
        let future = adpipe_event::Millis(adpipe_event::Millis::now().0 + 86_400_000).to_string();
        let payloads: [Vec<u8>; 6] = [
            b"<script>alert(1)</script>".to_vec(),
            b"{\"id\":\"\xff\xfe\"}".to_vec(),
            event(1, &json!({"click": "may,be"})),
            event(2, &json!({"banner_pos": 120})),
            event(3, &json!({"hour": null})),
            event(4, &json!({"hour": future})),
        ];
        append(harness, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
        await_errors(harness, "", 6);
        for (query, count) in [
            ("error_type=parse", 2),
            ("error_type=schema,validation", 3),
            ("error_type=schema&error_type=parse", 4),
            ("error_type=future&status=pending", 1),
            ("status=exhausted", 5),
            ("field=banner_pos", 1),
            ("field=-", 2),
            ("text=%3Cscript%3E", 1),
            ("topic=ad_events", 6),
            ("topic=file:", 0),
            ("since=2099-01-01T00:00", 0),
            ("until=2099-01-01", 6),
        ] {
            assert_eq!(list(harness, query).len(), count, "{query}");
        }
        for query in ["status=open", "since=soon", "nonsense=1", "limit=0", "after=x"] {
            let answer = harness.get(&format!("/api/dlq/errors?{query}"));
            assert_eq!(answer.status, 422, "{query}");
            assert!(!answer.error().is_empty());
        }
        let bad_part = |query: &str| {
            let detail = detail(harness, &id_of(&list(harness, query)[0]));
            let (bytes, mark) = (bytes_of(&detail["received"]), &detail["received"]["mark"]);
            let range = mark
                .as_array()
                .map(|mark| mark[0].as_u64().unwrap() as usize..mark[1].as_u64().unwrap() as usize);
            (range.map(|range| bytes[range].to_vec()), bytes, detail)
        };
        assert_eq!(bad_part("field=banner_pos").0.unwrap(), b"120");
        assert_eq!(bad_part("field=click").0.unwrap(), b"\"may,be\"");
        assert_eq!(bad_part("text=%3Cscript").0.unwrap(), b"<");
        let (mark, bytes, unreadable) = bad_part("error_type=parse&text=UTF-8");
        assert_eq!((mark.unwrap(), bytes), (b"\xff".to_vec(), payloads[1].clone()));
        assert_eq!(unreadable["received"]["is_utf8"], false);
        assert_eq!(bad_part("error_type=schema&field=hour").0, None);

        let summary = harness.get("/api/dlq/summary").json();
        let counts: Vec<u64> =
            summary["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect();
        assert_eq!(counts, [1, 0, 5, 0, 0]);
        let groups = summary["groups"].as_array().unwrap();
        assert_eq!((groups.len(), &summary["group_count"]), (6, &json!(6)));
        let new: u64 = groups.iter().map(|group| group["hours"][23].as_u64().unwrap()).sum();
        // Some may have failed within the hour before.
        assert!(new <= 6 && summary["oldest"].as_i64().unwrap() > 0);
        let backlog = eventually("a sample of the backlog", || {
            let backlog = harness.get("/api/dlq/backlog?range=24h").json();
            (!backlog["points"].as_array().unwrap().is_empty()).then_some(backlog)
        });
        assert!(backlog["from"].as_i64().unwrap() < backlog["at"].as_i64().unwrap());
        assert_eq!(harness.get("/api/dlq/backlog?range=1y").status, 422);
    });
}

#[test]
fn what_acts_demands_the_token_and_is_recorded_with_its_actor() {
    at_work(|harness| {
        append(harness, &[&event(1, &json!({"click": 7}))]);
        let id = id_of(&await_errors(harness, "", 1)[0]);
        let body = json!({"ids": [id]}).to_string();
        let edit = format!("/api/dlq/errors/{id}/edit");
        let (undo_edit, check) =
            (format!("/api/dlq/errors/{id}/undo-edit"), format!("/api/dlq/errors/{id}/check"));
        for path in [
            "/api/dlq/retry",
            "/api/dlq/discard",
            "/api/dlq/undo-discard",
            "/api/dlq/edit",
            "/api/dlq/dry-run",
            "/api/dlq/jobs",
            "/api/dlq/jobs/x/cancel",
            &edit,
            &undo_edit,
            &check,
        ] {
            for headers in [&[][..], &[("X-CSRF-Token", "0123456789abcdef0123456789abcdef")][..]] {
                assert_eq!(harness.send("POST", path, headers, body.as_bytes()).status, 403, "{path}");
            }
            assert_eq!(harness.get(path).status, if path == "/api/dlq/jobs" { 200 } else { 405 }, "{path}");
        }
        assert_eq!(detail(harness, &id)["acts"].as_array().unwrap().len(), 0);

        assert_eq!(post(harness, "/api/dlq/discard", &json!({"ids": [id]})).error(), "a reason is required");
        let discarded = post(harness, "/api/dlq/discard", &json!({"ids": [id], "reason": "a test click"}));
        assert_eq!(discarded.json(), json!({"changed": 1, "left_alone": 0}));
        let again = post(harness, "/api/dlq/discard", &json!({"ids": [id], "reason": "x"}));
        assert_eq!(again.status, 409);
        assert!(again.error().contains("discarded"), "{}", again.error());
        let now = detail(harness, &id);
        assert_eq!(now["allowed"], json!(["undo_discard"]));
        assert_eq!(
            (&now["acts"][0]["actor"], &now["acts"][0]["reason"]),
            (&json!("console:김"), &json!("a test click"))
        );
        assert_eq!(post(harness, &edit, &json!({"payload": "{}"})).status, 409);
        assert_eq!(post(harness, "/api/dlq/undo-discard", &json!({"ids": [id]})).status, 200);
        assert_eq!(detail(harness, &id)["error"]["status"], "exhausted");

        let stranger = "01900000-0000-7000-8000-000000000000";
        assert_eq!(post(harness, "/api/dlq/retry", &json!({"ids": [stranger]})).status, 404);
        assert_eq!(post(harness, "/api/dlq/retry", &json!({"ids": ["x"]})).status, 404);
        assert_eq!(post(harness, "/api/dlq/retry", &json!({"ids": []})).status, 422);
        assert_eq!(post(harness, "/api/dlq/retry", &json!({"id": "x"})).status, 422);
        assert_eq!(harness.get(&format!("/api/dlq/errors/{stranger}")).status, 404);
        let token = token(harness, "/dlq");
        let headers = [("X-CSRF-Token", token.as_str()), ("X-Actor", "a%0Ab")];
        assert_eq!(harness.send("POST", "/api/dlq/retry", &headers, body.as_bytes()).status, 422);
    });
}

#[test]
fn one_error_is_edited_checked_and_counted() {
    at_work(|harness| {
        append(harness, &[&event(1, &json!({"click": "0", "banner_pos": 3}))]);
        let id = id_of(&await_errors(harness, "", 1)[0]);
        let check = |input: Value| post(harness, &format!("/api/dlq/errors/{id}/check"), &input);
        let cast = r#"[{"op":"cast","path":"/click","to":"integer"}]"#;
        let checked = check(json!({"patch": cast})).json();
        assert_eq!((&checked["outcome"], &checked["verdict"]["is_valid"]), (&json!("valid"), &json!(true)));
        assert_eq!(
            checked["changes"]["changed"],
            json!([{"field": "click", "before": "\"0\"", "after": "0"}])
        );
        let set = r#"[{"op":"add","path":"/click","value":5}]"#;
        let checked = check(json!({"patch": set})).json();
        assert_eq!(
            (&checked["outcome"], &checked["verdict"]["field"]),
            (&json!("still_invalid"), &json!("click"))
        );
        assert_eq!(
            check(json!({"patch": r#"[{"op":"remove","path":"/nope"}]"#})).json()["outcome"],
            "does_not_fit"
        );
        assert!(check(json!({"patch": "[{]"})).error().contains("line 1"));
        assert_eq!(check(json!({"patch": "[]"})).status, 422);
        assert_eq!(check(json!({})).status, 422);
        let whole = check(json!({"payload": "no json"})).json();
        assert_eq!(
            (&whole["outcome"], &whole["verdict"]["error_type"]),
            (&json!("still_invalid"), &json!("parse"))
        );
        assert_eq!(detail(harness, &id)["acts"].as_array().unwrap().len(), 0, "a check changes nothing");

        let path = format!("/api/dlq/errors/{id}/edit");
        assert_eq!(post(harness, &path, &json!({"patch": set})).status, 200);
        let edited = detail(harness, &id);
        assert_eq!(edited["allowed"], json!(["retry", "edit", "undo_edit", "discard"]));
        assert_eq!(edited["changes"]["changed"][0]["after"], "5");
        let file = harness.get(&format!("/api/dlq/errors/{id}/payload?which=edited"));
        assert!(file.text().contains("\"click\":5"));
        assert_eq!(post(harness, &format!("/api/dlq/errors/{id}/undo-edit"), &json!({})).status, 200);
        assert_eq!(harness.get(&format!("/api/dlq/errors/{id}/payload?which=edited")).status, 404);
        assert_eq!(post(harness, &path, &json!({"patch": cast, "send_again": true})).status, 200);
        let resolved = eventually("the retry", || {
            let detail = detail(harness, &id);
            (detail["error"]["status"] == "resolved").then_some(detail)
        });
        assert_eq!(resolved["error"]["resolution"], "applied");
        assert_eq!(resolved["allowed"], json!([]));
        assert_eq!(resolved["verdict"], Value::Null);
        let tries = resolved["tries"].as_array().unwrap();
        assert_eq!((tries.len(), &tries[0]["actor"]), (1, &json!("console:김")));
        let acts: Vec<&str> =
            resolved["acts"].as_array().unwrap().iter().map(|act| act["action"].as_str().unwrap()).collect();
        assert_eq!(acts, ["edit", "undo_edit", "edit", "retry"]);
        assert_eq!(post(harness, "/api/dlq/retry", &json!({"ids": [id]})).status, 409);
        assert_eq!(harness.get("/api/dlq/summary").json()["resolved_today"], 1);
        let valid = |answer: Answer| answer.json()["totals"]["valid"].as_u64();
        eventually("the event in the figures", || {
            (valid(harness.get("/api/overview")) == Some(1)).then_some(())
        });
    });
}

#[test]
fn a_csv_row_is_repaired_as_a_row_and_what_would_fail_is_not_sent_unasked() {
    at_work(|harness| {
        let columns = "id,click,hour,banner_pos,device_type,device_conn_type,site_id,site_domain,site_category,\
                       app_id,app_domain,app_category,device_id,device_ip,device_model";
        let headers = Headers::default().with(header::FORMAT, "csv").with(header::COLUMNS, columns);
        append_to(harness, Topic::Raw, headers, &[b"7,9,14102100,0,1,0,s,d,c,a,b,e,f,g,h,"]);
        let id = id_of(&await_errors(harness, "", 1)[0]);
        let (edit, check) = (format!("/api/dlq/errors/{id}/edit"), format!("/api/dlq/errors/{id}/check"));
        assert_eq!(detail(harness, &id)["format"], "csv");

        let bad = "7,9,14102100,0,1,0,s,d,c,a,b,e,f,g,h";
        let checked = post(harness, &check, &json!({"payload": bad})).json();
        assert_eq!(
            (&checked["outcome"], &checked["verdict"]["field"]),
            (&json!("still_invalid"), &json!("click"))
        );
        let refused = post(harness, &edit, &json!({"payload": bad, "send_again": true}));
        assert_eq!((refused.status, &refused.json()["changed"]), (200, &json!(0)));
        assert_eq!(refused.json()["verdict"]["is_valid"], false);
        let before = detail(harness, &id);
        assert_eq!((before["acts"].as_array().unwrap().len(), &before["edited"]), (0, &Value::Null));
        // Asked, it is saved and sent.
        let forced = post(harness, &edit, &json!({"payload": bad, "send_again": true, "force": true}));
        assert_eq!(forced.json()["changed"], 1);
        eventually("the failed try", || {
            let detail = detail(harness, &id);
            (detail["error"]["status"] == "exhausted" && detail["tries"][0]["outcome"] == "failed")
                .then_some(())
        });

        let good = bad.replacen("7,9", "7,1", 1);
        let checked = post(harness, &check, &json!({"payload": good})).json();
        assert_eq!(checked["outcome"], "valid");
        assert_eq!(post(harness, &edit, &json!({"payload": good, "send_again": true})).json()["changed"], 1);
        let resolved = eventually("the retry", || {
            let detail = detail(harness, &id);
            (detail["error"]["status"] == "resolved").then_some(detail)
        });
        assert_eq!(resolved["error"]["resolution"], "applied");
        assert_eq!(bytes_of(&resolved["edited"]), good.as_bytes());
        assert_eq!(post(harness, &edit, &json!({"payload": bad, "send_again": true})).status, 409);
    });
}

#[test]
fn errors_that_nobody_has_stored_are_on_the_page() {
    let harness = Harness::start(config());
    assert_eq!(harness.get("/api/dlq/summary").json()["waiting"], 0);
    append_to(&harness, Topic::Error, Headers::default(), &[b"one", b"two"]);
    eventually("the errors that wait", || {
        (harness.get("/api/dlq/summary").json()["waiting"] == 2).then_some(())
    });
    assert_eq!(harness.get("/api/dlq/errors").json()["waiting"], 2);
    for page in ["/dlq", "/dlq/errors"] {
        assert!(harness.get(page).text().contains("id=\"waiting\""), "{page}");
    }
    let shutdown = Shutdown::new();
    std::thread::scope(|scope| {
        scope.spawn(|| adpipe_dlq::role::run(&harness.dlq, &shutdown).unwrap());
        let look = || (harness.get("/api/dlq/summary").json()["waiting"] == 0).then_some(());
        let started = Instant::now();
        while look().is_none() && started.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
        }
        shutdown.trigger();
    });
    assert_eq!(harness.get("/api/dlq/errors").json()["errors"].as_array().unwrap().len(), 2);
}

#[test]
fn a_group_is_edited_after_a_dry_run_and_a_bulk_action_is_watched() {
    at_work(|harness| {
        let mut payloads: Vec<Vec<u8>> = (0..60).map(|id| event(id, &json!({"click": "1"}))).collect();
        // The edit mends the click of this one and not the rest.
        payloads.push(event(60, &json!({"click": "1", "banner_pos": 500})));
        append(harness, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let errors = await_errors(harness, "field=click", 61);
        let filter = json!({"group": [errors[0]["fingerprint"]]});
        let patch = r#"[{"op":"cast","path":"/click","to":"integer"}]"#;
        let run = post(harness, "/api/dlq/dry-run", &json!({"filter": filter, "patch": patch})).json();
        assert_eq!((&run["looked_at"], &run["is_complete"]), (&json!(61), &json!(true)));
        assert_eq!((&run["valid"], &run["still_invalid"]), (&json!(60), &json!(1)));
        assert_eq!(run["samples"].as_array().unwrap().len(), 3);
        assert_eq!(run["reasons"].as_array().unwrap().len(), 1);
        let named: Vec<String> = errors[..5].iter().map(id_of).collect();
        let run = post(harness, "/api/dlq/dry-run", &json!({"ids": named, "patch": patch})).json();
        assert_eq!((&run["looked_at"], &run["is_complete"]), (&json!(5), &json!(true)));
        assert_eq!(list(harness, "status=exhausted&limit=200").len(), 61, "a dry run changes nothing");

        let done = post(harness, "/api/dlq/edit", &json!({"ids": named[..2], "patch": patch})).json();
        assert_eq!(done["changed"].as_u64().unwrap() + done["left_alone"].as_u64().unwrap(), 2);

        let count = harness.get("/api/dlq/count?kind=edit&field=click&since=2020-01-01").json();
        assert_eq!(count["is_complete"], true);
        let new = json!({"kind": "edit", "filter": filter, "patch": patch, "canary": 10});
        let job = post(harness, "/api/dlq/jobs", &new).json();
        assert_eq!((&job["state"], &job["actor"]), (&json!("canary"), &json!("console:김")));
        let path = format!("/api/dlq/jobs/{}", job["job_id"].as_str().unwrap());
        let done = eventually("the bulk action", || {
            let job = harness.get(&path).json();
            let is_done = job["state"] == "done" && job["outcomes"]["waiting"] == 0;
            (is_done && job["outcomes"]["applied"] == job["changed"]).then_some(job)
        });
        assert_eq!(done["skipped"], 1);
        assert_eq!(done["is_open"], false);
        await_errors(harness, "status=resolved", 60);
        let left = list(harness, "status=exhausted");
        assert_eq!((left.len(), &left[0]["is_edited"]), (1, &json!(false)));
        assert_eq!(post(harness, &format!("{path}/cancel"), &json!({})).status, 409);
        assert_eq!(harness.get("/api/dlq/jobs").json()["jobs"].as_array().unwrap().len(), 1);
        for wrong in [
            json!({"kind": "burn", "filter": {}}),
            json!({"kind": "edit", "filter": {}}),
            json!({"kind": "discard", "filter": {}}),
            json!({"kind": "retry", "filter": {"odd": 1}}),
        ] {
            assert_eq!(post(harness, "/api/dlq/jobs", &wrong).status, 422, "{wrong}");
        }
        assert_eq!(harness.get("/api/dlq/jobs/x").status, 404);
    });
}

#[test]
fn a_list_is_paged_by_its_keys() {
    at_work(|harness| {
        let payloads: Vec<Vec<u8>> = (0..130)
            .map(|id| event(id, &if id % 2 == 0 { json!({"click": 9}) } else { json!({"banner_pos": "x"}) }))
            .collect();
        append(harness, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
        await_errors(harness, "", 130);
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = harness.get(&format!("/api/dlq/errors?limit=40{after}")).json();
            seen.extend(page["errors"].as_array().unwrap().iter().map(id_of));
            assert_eq!(page["total"], 130);
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        sorted.reverse();
        assert_eq!((seen.len(), seen), (130, sorted));
    });
}

#[test]
fn a_search_without_time_still_comes_to_its_end() {
    use adpipe_dlq::Filter;
    use adpipe_dlq::search::{Direction, walk};
    at_work(|harness| {
        let causes =
            [json!({"click": 9}), json!({"banner_pos": "x"}), json!({"hour": null}), json!({"device_ip": 1})];
        let payloads: Vec<Vec<u8>> = (0..400).map(|id| event(id, &causes[id as usize % 4])).collect();
        append(harness, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
        eventually("400 errors", || {
            (harness.get("/api/dlq/errors?limit=1").json()["total"] == 400).then_some(())
        });
        for direction in [Direction::NewestFirst, Direction::OldestFirst] {
            for (text, expected) in [("nowhere", 0), ("example.com", 400), ("\"399\"", 1)] {
                let filter = Filter { text: Some(text.to_owned()), ..Filter::default() };
                let (mut seen, mut reached) = (Vec::new(), None::<String>);
                for round in 0.. {
                    assert!(round < 200, "{text} goes round in a circle");
                    let mut search = walk(&harness.dlq, &filter, direction).unwrap();
                    if let Some(reached) = &reached {
                        search.skip_to(reached);
                    }
                    let (ids, more) = search.next_within(&harness.dlq, 1_000, Some(Duration::ZERO)).unwrap();
                    seen.extend(ids);
                    reached = more;
                    if reached.is_none() {
                        break;
                    }
                }
                let mut ordered = seen.clone();
                ordered.sort();
                ordered.dedup();
                if direction == Direction::NewestFirst {
                    ordered.reverse();
                }
                assert_eq!((seen.len(), &seen), (expected, &ordered), "{text}");
            }
        }
    });
}

#[test]
fn a_poison_message_is_cut_on_the_page_and_whole_in_the_file() {
    at_work(|harness| {
        let mut poison = vec![b'['; 10 << 20];
        poison[100_000..100_004].copy_from_slice(b"\0\xff\xfe<");
        append(harness, &[&poison]);
        let id = id_of(&await_errors(harness, "", 1)[0]);
        let answer = harness.get(&format!("/api/dlq/errors/{id}"));
        assert!(answer.body.len() < 200_000, "{} bytes", answer.body.len());
        let received = &answer.json()["received"];
        assert_eq!((&received["bytes"], &received["is_utf8"]), (&json!(10 << 20), &json!(false)));
        assert_eq!(bytes_of(received).len(), 64 << 10);
        let file = harness.get(&format!("/api/dlq/errors/{id}/payload"));
        assert!(file.body == poison, "{} bytes", file.body.len());
        assert_eq!(file.header("content-type"), Some("application/octet-stream"));
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        let disposition = file.header("content-disposition").unwrap();
        assert_eq!(disposition, format!("attachment; filename=\"{id}.bin\""));
    });
}

#[test]
fn pages_hold_nothing_of_a_payload_and_speak_both_languages() {
    at_work(|harness| {
        append(harness, &[b"<script>alert(1)</script><img src=x onerror=alert(2)>"]);
        let id = id_of(&await_errors(harness, "", 1)[0]);
        for path in
            ["/dlq".to_owned(), "/dlq/errors?text=%3Cscript%3Ealert".to_owned(), format!("/dlq/errors/{id}")]
        {
            for (language, word) in [("en", "Dead-letter queue"), ("ko", "데드 레터 큐")] {
                let page = harness.send("GET", &path, &[("Accept-Language", language)], b"");
                assert_eq!(page.status, 200, "{path}");
                let html = page.text();
                assert!(
                    html.contains(word) && !html.contains("alert(") && !html.contains("onerror"),
                    "{path}"
                );
                let policy = page.header("content-security-policy").unwrap();
                assert!(policy.contains("script-src 'self';") && !html.contains("<script>"));
                assert!(html.contains(&format!("aria-current=\"page\">{word}</a>")), "{path}");
            }
        }
        let accept = [("Accept", "text/html"), ("Accept-Language", "en")];
        for id in ["01900000-0000-7000-8000-000000000000", "%3Cscript%3E"] {
            let gone = harness.send("GET", &format!("/dlq/errors/{id}"), &accept, b"");
            assert!(gone.status == 404 && gone.text().contains("No such error"));
        }
        assert!(harness.get("/").text().contains("Open the dead-letter queue"));
        for name in ["dlq.css", "dlq.js", "dlq-list.js", "dlq-error.js", "dlq-shared.js"] {
            let file = harness.get(&format!("/static/{name}"));
            assert!(file.status == 200 && !file.text().contains("innerHTML"), "{name}");
        }
    });
}
