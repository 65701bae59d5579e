//! The scheduler, by the real binary: killed, doubled, cancelled; alike on both databases.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::{Dice, eventually, seed};
use common::{Folder, adpipe_in, shown};
use serde_json::Value;

/// Killed with -9 when it goes out of scope.
struct Killed(Child);

impl Killed {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with DAGs of its own, on either database.
struct Site {
    folder: Folder,
    warehouse: String,
}

impl Site {
    fn new(warehouse: &str, dags: &str) -> Site {
        let folder = Folder::new();
        std::fs::create_dir(folder.join("config")).unwrap();
        std::fs::write(folder.join("config/dags.toml"), dags).unwrap();
        Site { folder, warehouse: warehouse.to_owned() }
    }

    fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = adpipe_in(self.folder.path());
        command
            .env("ADPIPE_SCHEDULER__LEASE", "3s")
            .env("ADPIPE_WAREHOUSE__URL", &self.warehouse)
            .args(arguments);
        command
    }

    fn scheduler(&self) -> Killed {
        Killed(self.adpipe(&["run", "scheduler"]).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Runs a command that prints JSON; gives its exit code, too.
    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.adpipe(arguments).output().unwrap();
        let value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("adpipe {arguments:?}: {error}: {}", shown(&output)));
        (output.status.code().unwrap(), value)
    }

    fn runs(&self, dag: &str) -> Vec<Value> {
        self.json(&["dag", "runs", dag, "--json"]).1.as_array().unwrap().clone()
    }

    fn newest_state(&self, dag: &str) -> String {
        let runs = self.runs(dag);
        runs.first().map_or_else(String::new, |run| run["state"].as_str().unwrap().to_owned())
    }

    /// The lines of a file in the site's folder; none when it is not there.
    fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Tries of a run, as `task/try state`.
fn tries(run: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let tries = run["tries"].as_array().unwrap();
    tries.iter().map(|one| format!("{}/{} {}", word(&one["task"]), one["try"], word(&one["state"]))).collect()
}

/// On SQLite, and on PostgreSQL where that is installed.
fn on_both(test: &str, check: impl Fn(&str)) {
    check("sqlite:data");
    if let Some(server) = Postgres::shared(test) {
        check(&server.new_database());
    }
}

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

const CHAIN: &str = r#"
[[dag]]
id = "daily"
schedule = "0 0 * * *"

[[dag.task]]
id = "make"
command = ["adpipe", "generate", "--rows", "20", "--out", "{date}.ndjson"]

[[dag.task]]
id = "second"
after = ["make"]
shell = "echo {try_number} {date} {data_interval_end} >> second; test {try_number} -ge 3"
retries = 2
retry_delay = "100ms"

[[dag.task]]
id = "third"
after = ["second"]
env = { WHO = "{task_id}" }
shell = "test -f {date}.ndjson && echo $WHO >> third"

[[dag]]
id = "follower"
after = "daily"

[[dag.task]]
id = "note"
shell = "echo {date} {data_interval_start} {data_interval_end} >> follower"

[[dag]]
id = "broken"

[[dag.task]]
id = "bad"
shell = "echo to the log; exit 7"

[[dag.task]]
id = "never"
after = ["bad"]
shell = "touch never"

[[dag.task]]
id = "nobody"
command = ["/nowhere/at/all"]
"#;

#[test]
fn a_run_by_hand_does_its_tasks_in_order_and_what_follows() {
    on_both("a_run_by_hand", |warehouse| {
        let site = Site::new(warehouse, CHAIN);
        let (code, runs) = site.json(&["dag", "run", "daily", "--date", "2026-01-31", "--json"]);
        assert_eq!(code, 0, "{runs}");
        let expected =
            ["make/1 success", "second/1 failed", "third/1 success", "second/2 failed", "second/3 success"];
        let mut seen = tries(&runs[0]);
        seen.sort();
        let mut expected = expected.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(seen, expected);
        let end = "2026-02-01T00:00:00Z";
        let second: Vec<String> = (1..=3).map(|number| format!("{number} 2026-01-31 {end}")).collect();
        assert_eq!(site.lines("second"), second);
        assert_eq!(site.lines("third"), ["third"]);
        // The command has worked off what followed, too.
        assert_eq!(site.newest_state("follower"), "success");
        assert_eq!(site.lines("follower"), ["2026-01-31 2026-01-31T00:00:00Z 2026-02-01T00:00:00Z"]);

        let (code, runs) = site.json(&["dag", "run", "broken", "--json"]);
        assert_eq!(code, 1);
        let mut seen = tries(&runs[0]);
        seen.sort();
        assert_eq!(seen, ["bad/1 failed", "never/1 upstream_failed", "nobody/1 failed"]);
        assert_eq!(runs[0]["state"], "failed");
        assert!(!site.folder.join("never").exists());
        let logs = site.adpipe(&["dag", "logs", "broken"]).output().unwrap();
        let logs = shown(&logs);
        assert!(logs.contains("to the log") && logs.contains("ended with exit code 7"), "{logs}");
        assert!(logs.contains("cannot start /nowhere/at/all"), "{logs}");

        let refused = site.adpipe(&["dag", "run", "daily", "--date", "2200-01-01"]).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
        assert!(shown(&refused).contains("has not begun yet"));
    });
}

#[test]
fn a_retry_leaves_out_what_has_succeeded() {
    let site = Site::new(
        "sqlite:data",
        "[[dag]]\nid = \"d\"\n[[dag.task]]\nid = \"a\"\nshell = \"echo a >> done\"\n\
         [[dag.task]]\nid = \"b\"\nafter = [\"a\"]\nshell = \"echo b >> done; test -f mended\"\n",
    );
    assert_eq!(site.json(&["dag", "run", "d", "--json"]).0, 1);
    assert_eq!(site.lines("done"), ["a", "b"]);
    std::fs::write(site.folder.join("mended"), "").unwrap();
    let (code, runs) = site.json(&["dag", "retry", "d", "--json"]);
    assert_eq!((code, &runs[0]["attempt"]), (0, &Value::from(2)), "{runs}");
    assert_eq!(site.lines("done"), ["a", "b", "b"]);
    assert_eq!(site.json(&["dag", "retry", "d", "--all", "--json"]).0, 0);
    assert_eq!(site.lines("done"), ["a", "b", "b", "a", "b"]);
    // Nothing to be retried.
    assert_eq!(site.adpipe(&["dag", "retry", "d"]).output().unwrap().status.code(), Some(1));
}

#[test]
fn a_backfill_runs_each_day_once_and_its_followers_at_the_end() {
    on_both("a_backfill", |warehouse| {
        let site = Site::new(warehouse, CHAIN);
        let range = ["--from", "2026-02-27", "--to", "2026-03-02"];
        let backfill = |more: &[&str]| {
            let mut arguments = vec!["dag", "backfill", "daily", "--json"];
            arguments.extend(range);
            arguments.extend(more);
            site.json(&arguments)
        };
        let (_, planned) = backfill(&["--dry-run"]);
        assert_eq!(planned.as_array().unwrap().len(), 4);
        let (code, done) = backfill(&[]);
        assert_eq!((code, done.as_array().unwrap().len()), (0, 4), "{done}");
        let days: Vec<String> =
            site.lines("second").iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
        let expected = ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"];
        assert_eq!(days, expected.iter().flat_map(|day| [*day; 3]).collect::<Vec<_>>());
        assert_eq!(site.lines("follower"), ["2026-02-27 2026-02-27T00:00:00Z 2026-03-03T00:00:00Z"]);
        // Again: nothing is left to be done, unless that is wanted.
        let (code, done) = backfill(&[]);
        assert_eq!((code, done.as_array().unwrap().len()), (0, 0));
        let (code, done) = backfill(&["--all"]);
        assert_eq!((code, done.as_array().unwrap().len()), (0, 4));
        assert_eq!(site.runs("daily").len(), 4);
        assert_eq!(site.lines("follower").len(), 2);
    });
}

const LONG: &str = r#"
[[dag]]
id = "long"
[[dag.task]]
id = "t"
shell = "echo $$ >> pids; sleep 300 & echo $! >> pids; wait"
retries = 1
retry_delay = "100ms"
timeout = "1h"

[[dag]]
id = "once"
[[dag.task]]
id = "t"
shell = "echo $$ >> pids; sleep 300"
timeout = "1h"
"#;

#[test]
fn kill_9_in_the_middle_of_a_task_leaves_no_process_and_the_run_goes_on() {
    on_both("kill_9_in_the_middle_of_a_task", |warehouse| {
        let site = Site::new(warehouse, LONG);
        let first = site.scheduler();
        for dag in ["long", "once"] {
            site.json(&["dag", "run", dag, "--no-wait", "--json"]);
        }
        eventually("the tasks are at work", || site.lines("pids").len() == 3);
        let pids = site.lines("pids");
        // kill -9. No task outlives its scheduler, with or without a new one.
        drop(first);
        eventually("the tasks have ended", || !pids.iter().any(|pid| is_alive(pid)));
        assert_eq!(
            (site.newest_state("long"), site.newest_state("once")),
            ("running".into(), "running".into())
        );

        let second = site.scheduler();
        // With a retry left the run continues, else it has failed.
        eventually("the task is tried again", || site.lines("pids").len() == 5);
        eventually("the other run is marked", || site.newest_state("once") == "failed");
        let run = &site.runs("long")[0];
        assert_eq!(tries(run), ["t/1 failed", "t/2 running"]);
        assert!(run["tries"][0]["message"].as_str().unwrap().contains("its scheduler ended"), "{run}");

        // Ended in order, the attempt costs no retry: there is none left, and it is tried again.
        let mut second = second;
        second.signal("TERM");
        assert!(second.0.wait().unwrap().success());
        assert!(!site.lines("pids").iter().any(|pid| is_alive(pid)), "a task outlived its scheduler");
        let _third = site.scheduler();
        eventually("the task is tried again", || site.lines("pids").len() == 7);
        let cancelled = site.adpipe(&["dag", "cancel", "long"]).output().unwrap();
        assert!(cancelled.status.success(), "{}", shown(&cancelled));
        eventually("it is cancelled", || site.newest_state("long") == "cancelled");
        assert_eq!(tries(&site.runs("long")[0])[2], "t/3 cancelled");
        assert!(!site.lines("pids").iter().any(|pid| is_alive(pid)), "a task outlived its run");
    });
}

#[test]
fn an_orphan_whose_watcher_was_killed_too_is_found_and_ended() {
    let site = Site::new("sqlite:data", LONG);
    let first = site.scheduler();
    site.json(&["dag", "run", "long", "--no-wait", "--json"]);
    eventually("the task is at work", || site.lines("pids").len() == 2);
    // The watcher may have to note the process yet: what it has not noted nobody could find.
    let log = site.runs("long")[0]["tries"][0]["log_file"].as_str().unwrap().to_owned();
    let process_file = site.folder.join(&log).with_extension("process");
    eventually("the process is noted", || std::fs::metadata(&process_file).is_ok_and(|file| file.len() > 0));
    let pids = site.lines("pids");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pids[0])).unwrap();
    let watcher = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().to_owned();
    // The scheduler first, so that it has no time to notice the end of the watcher.
    first.signal("STOP");
    assert!(Command::new("kill").args(["-9", &watcher]).status().unwrap().success());
    drop(first);
    assert!(pids.iter().all(|pid| is_alive(pid)), "the task was to be left alone");
    let _second = site.scheduler();
    eventually("the task is tried again", || site.lines("pids").len() == 4);
    assert!(!pids.iter().any(|pid| is_alive(pid)), "two tries at once");
}

#[test]
fn two_schedulers_run_each_task_once_and_one_takes_over_from_the_other() {
    on_both("two_schedulers", |warehouse| {
        let dags = "[[dag]]\nid = \"d\"\n[[dag.task]]\nid = \"t\"\nshell = \"echo {run_id} >> done\"\n\
                    [[dag.task]]\nid = \"u\"\nafter = [\"t\"]\nshell = \"echo {run_id} >> done; sleep 0.05\"\n";
        let site = Site::new(warehouse, dags);
        let (first, second) = (site.scheduler(), site.scheduler());
        for _ in 0..10 {
            site.json(&["dag", "run", "d", "--no-wait", "--json"]);
        }
        let all_done = |count: usize| {
            let runs = site.runs("d");
            runs.len() == count && runs.iter().all(|run| run["state"] == "success")
        };
        eventually("all is done", || all_done(10));
        let mut lines = site.lines("done");
        assert_eq!(lines.len(), 20);
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 10, "each run twice: by its two tasks");

        // Whichever is active: when both have been killed in turn, somebody has taken over.
        drop(first);
        site.json(&["dag", "run", "d", "--no-wait", "--json"]);
        eventually("the other one takes over", || all_done(11));
        let third = site.scheduler();
        drop(second);
        site.json(&["dag", "run", "d", "--no-wait", "--json"]);
        eventually("the third one takes over", || all_done(12));
        drop(third);
        assert_eq!(site.lines("done").len(), 24);
    });
}

#[test]
fn a_stopped_scheduler_that_wakes_up_changes_nothing() {
    on_both("a_stopped_scheduler", |warehouse| {
        let site = Site::new(warehouse, LONG);
        let first = site.scheduler();
        site.json(&["dag", "run", "long", "--no-wait", "--json"]);
        eventually("the task is at work", || site.lines("pids").len() == 2);
        let pids = site.lines("pids");
        first.signal("STOP");
        // It is alive, so the second one waits for the whole lease.
        let _second = site.scheduler();
        eventually("the task is tried again", || site.lines("pids").len() == 4);
        assert!(!pids.iter().any(|pid| is_alive(pid)), "two tries at once");
        first.signal("CONT");
        site.json(&["dag", "run", "once", "--no-wait", "--json"]);
        eventually("the other run is at work", || site.lines("pids").len() == 5);
        let run = &site.runs("long")[0];
        assert_eq!(tries(run), ["t/1 failed", "t/2 running"]);
        let alive = site.lines("pids").iter().filter(|pid| is_alive(pid)).count();
        assert_eq!(alive, 3);
    });
}

#[test]
fn a_task_that_takes_too_long_is_ended() {
    let dags = "[[dag]]\nid = \"d\"\ntimeout = \"3s\"\n[[dag.task]]\nid = \"deaf\"\ntimeout = \"1s\"\n\
                shell = \"trap '' TERM; echo $$ >> pids; sleep 300 & wait; sleep 300\"\n\
                [[dag.task]]\nid = \"slow\"\nshell = \"sleep 300\"\nretries = 5\n";
    let site = Site::new("sqlite:data", dags);
    let (code, runs) = site.json(&["dag", "run", "d", "--json"]);
    assert_eq!(code, 1);
    let messages: Vec<&str> =
        runs[0]["tries"].as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap()).collect();
    assert!(messages.contains(&"took longer than 1s"), "{runs}");
    assert!(messages.contains(&"the run took too long"), "{runs}");
    assert_eq!(runs[0]["state"], "failed");
    assert!(!site.lines("pids").iter().any(|pid| is_alive(pid)));
}

#[test]
fn what_is_wrong_with_the_dags_is_told_at_once() {
    let site = Site::new("sqlite:data", "[[dag]]\nid = \"d\"\nschedule = \"often\"\n");
    for arguments in [&["dag", "list"][..], &["run", "scheduler"], &["up"]] {
        let output = site.adpipe(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(shown(&output).contains("config/dags.toml:3: \"often\""), "{}", shown(&output));
    }
    assert!(!Path::new(&site.folder.join("data/log.db")).exists(), "it left something behind");
    std::fs::remove_file(site.folder.join("config/dags.toml")).unwrap();
    let (_, list) = site.json(&["dag", "list", "--json"]);
    let ids: Vec<&str> =
        list["dags"].as_array().unwrap().iter().map(|dag| dag["dag"].as_str().unwrap()).collect();
    assert_eq!(ids, ["dag_daily_etl", "dag_dbt_run", "dag_dlq_retry", "dag_dlq_alert"]);
}

#[test]
fn a_database_that_restarts_in_the_middle_of_a_task_costs_nothing() {
    let Some(server) = Postgres::start("a_database_that_restarts") else { return };
    let dags = "[[dag]]\nid = \"d\"\n[[dag.task]]\nid = \"t\"\n\
                shell = \"echo t >> done; until test -f go; do sleep 0.05; done\"\n\
                [[dag.task]]\nid = \"u\"\nafter = [\"t\"]\nshell = \"echo u >> done\"\n";
    let site = Site::new(&server.new_database(), dags);
    let mut command = site.adpipe(&["run", "scheduler"]);
    // A third of it is how long the database may be away.
    command.env("ADPIPE_SCHEDULER__LEASE", "5min");
    let _scheduler = Killed(command.stdout(Stdio::null()).spawn().unwrap());
    site.json(&["dag", "run", "d", "--no-wait", "--json"]);
    eventually("the task is at work", || site.lines("done").len() == 1);
    server.stop_immediately();
    // It ends while nobody can be told.
    std::fs::write(site.folder.join("go"), "").unwrap();
    let log_end = || {
        let mut search = Command::new("grep");
        search.current_dir(site.folder.path()).args(["-qr", "ended with exit code 0", "data/task-logs"]);
        search.status().unwrap().success()
    };
    eventually("the task has ended", log_end);
    server.start_again();
    eventually("the run goes on", || site.newest_state("d") == "success");
    assert_eq!(site.lines("done"), ["t", "u"]);
}

#[test]
fn kills_at_random_never_make_two_tries_at_once_nor_lose_a_run() {
    let seed = seed();
    on_both("kills_at_random", |warehouse| {
        let mut dice = Dice(seed);
        // The lock lasts as long as the task's process, however that ends.
        let task = "shell = \"\"\"echo {run_id} {task_id} {try_number} >> tries
            flock -n {task_id}.lock sh -c 'sleep 0.3' || echo {run_id} {task_id} >> overlaps\"\"\"
            retries = 1000\nretry_delay = \"1ms\"\nretry_backoff = 1.0\n";
        let dags = format!(
            "[[dag]]\nid = \"d\"\n[[dag.task]]\nid = \"a\"\n{task}[[dag.task]]\nid = \"b\"\n{task}\
             [[dag.task]]\nid = \"c\"\nafter = [\"a\", \"b\"]\n{task}"
        );
        let site = Site::new(warehouse, &dags);
        let mut schedulers = vec![site.scheduler(), site.scheduler()];
        for _ in 0..12 {
            site.json(&["dag", "run", "d", "--no-wait", "--json"]);
            let before = site.lines("tries").len();
            eventually("a task is at work", || site.lines("tries").len() > before);
            std::thread::sleep(Duration::from_millis(dice.below(300)));
            // One of them, or both; which of them is active nobody knows.
            for _ in 0..=dice.below(2) {
                schedulers.remove(dice.below(schedulers.len() as u64) as usize);
            }
            schedulers.resize_with(2, || site.scheduler());
        }
        let all_done = || {
            let runs = site.runs("d");
            runs.len() == 12 && runs.iter().all(|run| run["state"] == "success")
        };
        eventually("every run succeeds", all_done);
        assert_eq!(site.lines("overlaps"), Vec::<String>::new(), "seed {seed}");
        // No try was started twice, and no task again after it had succeeded.
        let mut started = site.lines("tries");
        let count = started.len();
        started.sort();
        started.dedup();
        assert_eq!(started.len(), count, "seed {seed}: a try ran twice");
        for run in site.runs("d") {
            for task in ["a", "b", "c"] {
                let tries = tries(&run);
                let of_task = tries.iter().filter(|one| one.starts_with(&format!("{task}/")));
                let states: Vec<&str> = of_task.map(|one| one.split(' ').nth(1).unwrap()).collect();
                let (last, before) = states.split_last().unwrap();
                assert!(*last == "success" && before.iter().all(|state| *state == "failed"), "{run}");
            }
        }
        println!("{count} tries of 36 tasks");
        assert!(count >= 36 + 4, "seed {seed}: the kills do not hit any task");
    });
}
