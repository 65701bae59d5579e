//! Errors come back: by themselves, by an edit, by a bulk action; and each event counts once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::time::Duration;

use adpipe_dlq::actions::{self, Actor};
use adpipe_dlq::jobs::{self, Outcomes, Work};
use adpipe_dlq::patch::Patch;
use adpipe_dlq::repair::{self, Edit};
use adpipe_dlq::report::story;
use adpipe_dlq::{DlqError, DlqSettings, Filter, Status};
use adpipe_testkit::{eventually, eventually_some};
use adpipe_warehouse::{Dialect, Schema};
use common::{Rig, event, from_now, on_both, quick};

const SOMEBODY: Actor<'_> = Actor { name: "test", job_id: None };

fn click(value: i64) -> impl FnOnce(&mut serde_json::Map<String, serde_json::Value>) {
    move |event| {
        event.insert("click".to_owned(), value.into());
    }
}

fn patch(json: &str) -> Patch {
    Patch::from_json(json).unwrap()
}

fn await_job(rig: &Rig, job_id: &str) -> jobs::Job {
    eventually_some("the job is done", || {
        let job = jobs::get(&rig.dlq, job_id).unwrap();
        (!job.is_open() && jobs::outcomes(&rig.dlq, job_id).unwrap().waiting == 0).then_some(job)
    })
}

#[test]
fn an_event_of_the_future_heals_by_itself() {
    on_both("an_event_of_the_future_heals_by_itself", quick(), |rig| {
        rig.start(1);
        rig.send(&[event("early", &from_now(4_000), |_| {})]);
        rig.await_status(Status::Pending, 1);
        let error = rig.errors(&Filter::default()).remove(0);
        assert_eq!((error.error_type.as_str(), error.retry_count), ("future", 0));
        rig.await_status(Status::Resolved, 1);
        let healed = story(&rig.dlq, &error.error_id).unwrap();
        assert_eq!(healed.error.resolution.as_deref(), Some("applied"));
        // It waited for its time and was not tried in vain.
        assert_eq!(healed.tries.len(), 1);
        assert_eq!(healed.tries[0].actor, "adpipe");
        assert_eq!(rig.number("select count(*) from realtime.events where event_id = 'early'"), 1);
        rig.verify();
    });
}

/// Has the database itself refuse one event.
fn refuse(rig: &Rig, id: &str) {
    let sql = match rig.warehouse.dialect() {
        Dialect::Sqlite => format!(
            "create trigger realtime.refuse before insert on events when new.event_id = '{id}'
             begin select raise(abort, 'not this one'); end;"
        ),
        Dialect::Postgres => {
            format!("alter table realtime.events add constraint refuse check (event_id <> '{id}')")
        }
    };
    rig.execute(Schema::Realtime, &sql);
}

fn accept_again(rig: &Rig) {
    let sql = match rig.warehouse.dialect() {
        Dialect::Sqlite => "drop trigger realtime.refuse",
        Dialect::Postgres => "alter table realtime.events drop constraint refuse",
    };
    rig.execute(Schema::Realtime, sql);
}

#[test]
fn one_record_that_the_database_refuses_is_isolated_and_tried_again() {
    let settings = DlqSettings { max_retries: 3, ..quick() };
    on_both("one_record_that_the_database_refuses", settings, |rig| {
        refuse(rig, "r500");
        rig.start(1);
        let payloads: Vec<Vec<u8>> =
            (0..1_000).map(|number| event(&format!("r{number}"), "14102100", click(1))).collect();
        rig.send(&payloads);
        rig.await_number("select count(*) from realtime.events", 999);
        rig.await_status(Status::Exhausted, 1);
        let error = rig.errors(&Filter::default()).remove(0);
        assert_eq!((error.error_type.as_str(), error.retry_count), ("sink", 3));
        let tries = story(&rig.dlq, &error.error_id).unwrap().tries;
        assert!(tries.iter().all(|one| one.outcome.as_deref() == Some("failed")), "{tries:?}");
        rig.verify();

        accept_again(rig);
        assert_eq!(actions::retry(&rig.dlq, std::slice::from_ref(&error.error_id), SOMEBODY).unwrap(), 1);
        rig.await_status(Status::Resolved, 1);
        assert_eq!(rig.number("select count(*) from realtime.events"), 1_000);
        let tries = story(&rig.dlq, &error.error_id).unwrap().tries;
        assert_eq!((tries.len(), tries[3].actor.as_str()), (4, "test"));
        rig.verify();
    });
}

#[test]
fn a_group_is_repaired_by_one_edit_and_counted_once() {
    on_both("a_group_is_repaired_by_one_edit_and_counted_once", quick(), |rig| {
        rig.start(1);
        // Some of them were counted already under the same id and hour; others cannot be mended so.
        let mut payloads: Vec<Vec<u8>> = (0..600)
            .map(|number| event(&format!("g{number}"), &format!("141021{:02}", number % 24), click(5)))
            .collect();
        payloads.extend(
            (0..100)
                .map(|number| event(&format!("g{number}"), &format!("141021{:02}", number % 24), click(1))),
        );
        payloads.extend((0..50).map(|number| {
            event(&format!("h{number}"), "14102100", |event| {
                event.insert("click".to_owned(), 5.into());
                event.remove("site_id");
            })
        }));
        rig.send(&payloads);
        rig.await_status(Status::Exhausted, 650);
        rig.await_number("select count(*) from realtime.events", 100);
        assert!(rig.rows("select 1 from errors.retry_history").is_empty(), "it was tried by itself");

        let filter = Filter { field: vec!["click".to_owned(), "site_id".to_owned()], ..Filter::default() };
        let edit = patch(r#"[{"op":"replace","path":"/click","value":1}]"#);
        let run = repair::dry_run(&rig.dlq, &filter, &edit, 10_000).unwrap();
        assert_eq!((run.looked_at, run.valid, run.still_invalid, run.is_complete), (650, 600, 50, true));
        assert_eq!(run.reasons, vec![("site_id is missing".to_owned(), 50)]);
        assert_eq!(rig.number("select count(*) from errors.dlq_errors where edited_payload is not null"), 0);

        let job = jobs::create(&rig.dlq, &filter, &Work::Edit(edit), 20, "test").unwrap();
        let job = await_job(rig, &job.job_id);
        assert_eq!((job.state.as_str(), job.changed, job.skipped), ("done", 600, 50), "{job:?}");
        let outcomes = jobs::outcomes(&rig.dlq, &job.job_id).unwrap();
        assert_eq!(outcomes, Outcomes { applied: 500, already_counted: 100, failed: 0, waiting: 0 });
        rig.await_status(Status::Resolved, 600);
        assert_eq!(rig.number("select count(*) from realtime.events"), 600);
        for hour in 0..24 {
            let sql = format!(
                "select coalesce(sum(impressions), 0) from realtime.metrics_hourly where window_start = '2014-10-21 {hour:02}:00:00'"
            );
            assert_eq!(rig.number(&sql), 25, "{sql}");
        }
        rig.verify();
    });
}

#[test]
fn a_canary_that_fails_leaves_the_rest_alone() {
    on_both("a_canary_that_fails_leaves_the_rest_alone", quick(), |rig| {
        rig.start(1);
        rig.send(
            &(0..300).map(|number| event(&format!("k{number}"), "14102100", click(9))).collect::<Vec<_>>(),
        );
        rig.await_status(Status::Exhausted, 300);
        let filter = Filter { status: vec![Status::Exhausted], ..Filter::default() };
        let job = jobs::create(&rig.dlq, &filter, &Work::Retry, 20, "test").unwrap();
        let job = await_job(rig, &job.job_id);
        assert_eq!((job.state.as_str(), job.changed), ("stopped", 20), "{job:?}");
        assert_eq!(jobs::outcomes(&rig.dlq, &job.job_id).unwrap().failed, 20);
        assert_eq!(
            jobs::failures(&rig.dlq, &job.job_id).unwrap(),
            vec![("click # is out of range #..=#".to_owned(), 20)]
        );
        assert_eq!(rig.number("select count(*) from errors.dlq_errors where retry_count > 0"), 20);
        rig.await_status(Status::Exhausted, 300);
        rig.verify();
    });
}

#[test]
fn two_keepers_try_each_error_once() {
    on_both("two_keepers_try_each_error_once", quick(), |rig| {
        rig.start(3);
        rig.send(
            &(0..2_000).map(|number| event(&format!("t{number}"), "14102100", click(9))).collect::<Vec<_>>(),
        );
        rig.await_status(Status::Exhausted, 2_000);
        let job = jobs::create(&rig.dlq, &Filter::default(), &Work::Retry, 0, "test").unwrap();
        let job = await_job(rig, &job.job_id);
        assert_eq!((job.state.as_str(), job.changed), ("done", 2_000));
        rig.await_status(Status::Exhausted, 2_000);
        assert_eq!(rig.number("select count(*) from errors.retry_history"), 2_000);
        let sent = rig.log.ranges(adpipe_log::Topic::Retry).unwrap()[0].next.0;
        assert_eq!(sent, 2_000, "some were sent twice");
        rig.verify();
    });
}

#[test]
fn what_was_taken_and_never_sent_is_sent_again() {
    let settings = DlqSettings { lease: Duration::from_millis(300), ..quick() };
    on_both("what_was_taken_and_never_sent_is_sent_again", settings, |rig| {
        rig.start(1);
        rig.send(&[event("lost", "14102100", click(9))]);
        rig.await_status(Status::Exhausted, 1);
        rig.stop_roles();
        let id = rig.errors(&Filter::default()).remove(0).error_id;
        repair::edit(
            &rig.dlq,
            &id,
            &Edit::Patch(patch(r#"[{"op":"add","path":"/click","value":0}]"#)),
            true,
            SOMEBODY,
        )
        .unwrap();
        // As it lies when its sender dies between taking it and sending it.
        rig.execute(Schema::Errors, &format!(
            "update errors.dlq_errors set status = 'retrying', retry_count = 1, next_retry_at = null, lease_until = '2020-01-01 00:00:00', state_sum = null where error_id = '{id}';
             insert into errors.retry_history (error_id, attempt, started_at, backoff_ms, actor) values ('{id}', 1, '2020-01-01 00:00:00', 0, 'test');
             update errors.groups set pending = pending - 1, retrying = retrying + 1;"
        ));
        rig.start_role();
        rig.await_status(Status::Resolved, 1);
        assert_eq!(story(&rig.dlq, &id).unwrap().tries.len(), 1);
        assert_eq!(rig.number("select count(*) from realtime.events"), 1);
        rig.verify();
    });
}

#[test]
fn edits_discards_and_their_undoing_are_on_record() {
    on_both("edits_discards_and_their_undoing_are_on_record", quick(), |rig| {
        rig.start(1);
        rig.send(&[event("one", "14102100", click(3)), b"not json".to_vec()]);
        rig.await_status(Status::Exhausted, 2);
        let of = |error_type: &str| Filter { error_type: vec![error_type.to_owned()], ..Filter::default() };
        let id = rig.errors(&of("validation")).remove(0).error_id;
        let ids = std::slice::from_ref(&id);
        let mend = Edit::Patch(patch(r#"[{"op":"replace","path":"/click","value":1}]"#));

        assert!(actions::discard(&rig.dlq, ids, "  ", SOMEBODY).is_err());
        assert_eq!(actions::discard(&rig.dlq, ids, "a test", SOMEBODY).unwrap(), 1);
        assert_eq!(actions::discard(&rig.dlq, ids, "again", SOMEBODY).unwrap(), 0);
        assert_eq!(actions::retry(&rig.dlq, ids, SOMEBODY).unwrap(), 0);
        assert!(matches!(repair::edit(&rig.dlq, &id, &mend, true, SOMEBODY), Err(DlqError::Refused(_))));
        assert_eq!(actions::undo_discard(&rig.dlq, ids, SOMEBODY).unwrap(), 1);
        assert_eq!(story(&rig.dlq, &id).unwrap().error.status, "exhausted");

        repair::edit(&rig.dlq, &id, &mend, false, SOMEBODY).unwrap();
        let edited = story(&rig.dlq, &id).unwrap();
        assert!(String::from_utf8(edited.raw_payload).unwrap().contains("\"click\":3"));
        assert!(String::from_utf8(edited.edited_payload.unwrap()).unwrap().contains("\"click\":1"));
        repair::edit(&rig.dlq, &id, &Edit::Undo, false, SOMEBODY).unwrap();
        assert_eq!(story(&rig.dlq, &id).unwrap().edited_payload, None);
        repair::edit(&rig.dlq, &id, &mend, true, SOMEBODY).unwrap();
        rig.await_number("select count(*) from errors.dlq_errors where status = 'resolved'", 1);
        let acts: Vec<String> =
            story(&rig.dlq, &id).unwrap().acts.into_iter().map(|act| act.action).collect();
        assert_eq!(acts, ["discard", "undo_discard", "edit", "undo_edit", "edit", "retry"]);

        // What is not JSON is replaced as a whole.
        let broken = rig.errors(&of("parse")).remove(0).error_id;
        assert!(matches!(repair::edit(&rig.dlq, &broken, &mend, true, SOMEBODY), Err(DlqError::Refused(_))));
        let whole = Edit::Payload(event("two", "14102100", click(1)));
        repair::edit(&rig.dlq, &broken, &whole, true, SOMEBODY).unwrap();
        rig.await_status(Status::Resolved, 2);
        assert_eq!(rig.number("select count(*) from realtime.events"), 2);
        rig.verify();
    });
}

#[test]
fn a_row_of_a_csv_file_is_repaired_as_json() {
    on_both("a_row_of_a_csv_file_is_repaired_as_json", quick(), |rig| {
        let columns = "id,click,hour,banner_pos,device_type,device_conn_type,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,device_ip,device_model,C14";
        let headers = adpipe_log::Headers::default()
            .with(adpipe_log::header::FORMAT, "csv")
            .with(adpipe_log::header::COLUMNS, columns);
        rig.start(1);
        let row = b"18446744073709551615,x,14102103,1,1,0,\"a \"\"b\"\"\",d,c,a,b,e,f,g,h,".to_vec();
        rig.append(adpipe_log::Topic::Raw, vec![(row, headers)]);
        rig.await_status(Status::Exhausted, 1);
        let id = rig.errors(&Filter::default()).remove(0).error_id;
        let edit = Edit::Patch(patch(
            r#"[{"op":"test","path":"/click","value":"x"},{"op":"replace","path":"/click","value":1}]"#,
        ));
        repair::edit(&rig.dlq, &id, &edit, true, SOMEBODY).unwrap();
        rig.await_status(Status::Resolved, 1);
        let found = rig.rows("select event_id, site_id, click from realtime.events").remove(0);
        assert_eq!(found[0].to_string(), "18446744073709551615");
        assert_eq!(found[1].to_string(), "a \"b\"");
        rig.verify();
    });
}

#[test]
fn automatic_retries_pause_while_most_fail() {
    let settings =
        DlqSettings { max_retries: 50, breaker_pause: Duration::from_secs(30), breaker_tries: 30, ..quick() };
    on_both("automatic_retries_pause_while_most_fail", settings, |rig| {
        let sql = match rig.warehouse.dialect() {
            Dialect::Sqlite => {
                "create trigger realtime.refuse before insert on events when new.site_id = 'no'
                 begin select raise(abort, 'no'); end;"
            }
            Dialect::Postgres => "alter table realtime.events add constraint refuse check (site_id <> 'no')",
        };
        rig.execute(Schema::Realtime, sql);
        rig.start(1);
        rig.send(
            &(0..40)
                .map(|number| {
                    event(&format!("p{number}"), "14102100", |event| {
                        event.insert("site_id".to_owned(), "no".into());
                    })
                })
                .collect::<Vec<_>>(),
        );
        rig.await_number("select count(*) from errors.dlq_errors", 40);
        eventually("each was tried", || {
            rig.number("select count(*) from errors.retry_history where outcome = 'failed'") >= 40
        });
        // Forty errors with pauses of 200 ms at most would be tried hundreds of times in two seconds.
        std::thread::sleep(Duration::from_secs(2));
        let tries = rig.number("select count(*) from errors.retry_history");
        assert!(tries < 160, "{tries} tries");
        // A person's wish goes through anyway.
        let id = rig.errors(&Filter::default()).remove(0).error_id;
        actions::retry(&rig.dlq, std::slice::from_ref(&id), SOMEBODY).unwrap();
        let asked =
            format!("select count(*) from errors.retry_history where error_id = '{id}' and actor = 'test'");
        rig.await_number(&asked, 1);
    });
}

#[test]
fn a_bulk_action_can_be_cancelled() {
    on_both("a_bulk_action_can_be_cancelled", DlqSettings { retries_per_second: 100, ..quick() }, |rig| {
        rig.start(1);
        rig.send(
            &(0..3_000).map(|number| event(&format!("x{number}"), "14102100", click(9))).collect::<Vec<_>>(),
        );
        rig.await_status(Status::Exhausted, 3_000);
        rig.stop_roles();
        let job =
            jobs::create(&rig.dlq, &Filter::default(), &Work::Discard("all".to_owned()), 0, "test").unwrap();
        assert!(jobs::turn(&rig.dlq, "a").unwrap());
        // Nobody else works on it meanwhile.
        assert!(!jobs::turn(&rig.dlq, "b").unwrap());
        assert!(jobs::cancel(&rig.dlq, &job.job_id, "test").unwrap());
        assert!(!jobs::cancel(&rig.dlq, &job.job_id, "test").unwrap());
        assert!(!jobs::turn(&rig.dlq, "a").unwrap());
        let job = jobs::get(&rig.dlq, &job.job_id).unwrap();
        assert_eq!((job.state.as_str(), job.total), ("cancelled", 3_000));
        assert!(job.changed > 0 && job.changed < 3_000);
        rig.await_status(Status::Discarded, job.changed);
        // What comes later is not part of a bulk action that began before.
        let filter = Filter { status: vec![Status::Exhausted], ..Filter::default() };
        let rest = jobs::create(&rig.dlq, &filter, &Work::Discard("rest".to_owned()), 0, "test").unwrap();
        rig.start_role();
        await_job(rig, &rest.job_id);
        rig.await_status(Status::Discarded, 3_000);
        let undo = jobs::create(&rig.dlq, &Filter::default(), &Work::UndoDiscard, 0, "test").unwrap();
        await_job(rig, &undo.job_id);
        rig.await_status(Status::Exhausted, 3_000);
        rig.verify();
    });
}

#[test]
fn a_canary_does_not_wait_for_next_month() {
    on_both("a_canary_does_not_wait_for_next_month", quick(), |rig| {
        rig.start(1);
        let payloads: Vec<Vec<u8>> =
            (0..3).map(|number| event(&format!("f{number}"), &from_now(30 * 86_400_000), |_| {})).collect();
        rig.send(&payloads);
        rig.await_status(Status::Pending, 3);
        rig.send(&[event("bad", "14102100", click(9))]);
        rig.await_status(Status::Exhausted, 1);
        let job = jobs::create(&rig.dlq, &Filter::default(), &Work::Retry, 2, "test").unwrap();
        let job = await_job(rig, &job.job_id);
        assert_eq!((job.state.as_str(), job.changed), ("stopped", 2), "{job:?}");
        let outcomes = jobs::outcomes(&rig.dlq, &job.job_id).unwrap();
        assert_eq!(outcomes, Outcomes { failed: 2, ..Outcomes::default() });
        let (not_due, first) = jobs::not_due(&rig.dlq, &job.job_id).unwrap();
        assert!(not_due == 2 && first.is_some(), "{not_due} {first:?}");
        rig.verify();
    });
}
