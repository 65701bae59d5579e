//! A real Airflow runs the four DAGs: the same commands, to the same end, as adpipe's own scheduler.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use adpipe_testkit::airflow::{Airflow, said};
use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::slack::Slack;
use common::{ADPIPE, Folder, shown};
use serde_json::Value;

/// The interval worked on, and the moment it is due.
const DAY: &str = "2026-03-10";
const DUE: &str = "2026-03-11";

/// The commands of the DAGs that this adpipe may not have yet.
const COMMANDS: [&[&str]; 6] = [
    &["etl"],
    &["transform", "build"],
    &["transform", "test"],
    &["transform", "docs"],
    &["dlq", "retry"],
    &["alerts", "check"],
];

const RESULTS: [&str; 2] = [
    "select count(*) as n, sum(impressions) as impressions, sum(clicks) as clicks from realtime.metrics_hourly",
    "select count(*) as n from realtime.events",
];

/// A warehouse with events, and an `adpipe` that keeps account of its calls in the file `calls`.
struct Site {
    folder: Folder,
    warehouse: String,
}

impl Site {
    fn new(warehouse: &str) -> Site {
        let site = Site { folder: Folder::new(), warehouse: warehouse.to_owned() };
        let start = format!("{DAY}T00:00:00");
        let end = format!("{DUE}T00:00:00");
        site.folder
            .generate("day.ndjson", &["--rows", "5000", "--seed", "4", "--start", &start, "--end", &end]);
        assert!(site.adpipe(&["ingest", "--wait", "day.ndjson"]).output().unwrap().status.success());
        site
    }

    fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env("ADPIPE_LOG__URL", format!("sqlite:{}", self.folder.join("data").display()))
            .env("ADPIPE_WAREHOUSE__URL", &self.warehouse);
    }

    fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(ADPIPE);
        self.prepare(&mut command);
        command.args(arguments);
        command
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.adpipe(arguments).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown(&output)))
    }

    fn results(&self) -> Vec<Value> {
        RESULTS.iter().map(|sql| self.json(&["sql", "--json", sql])).collect()
    }

    /// A folder with an `adpipe` that notes its arguments and then is the real one; for a command
    /// that this adpipe does not have, a stand-in that reads the warehouse and succeeds. It fails
    /// with code 1 when the first argument but one is in the file `fail`.
    fn programs(&self) -> PathBuf {
        let bin = self.folder.join("bin");
        std::fs::create_dir(&bin).unwrap();
        let mut script = format!(
            "#!/bin/sh\ncd {place}\necho \"$*\" >> calls\n\
             test -f fail && test \"$(cat fail)\" = \"$2\" && {{ echo '3 errors need a person'; exit 1; }}\n",
            place = self.folder.path().display()
        );
        for command in COMMANDS.iter().filter(|command| !exists(command)) {
            let words = command.join(" ");
            println!("STAND-IN for adpipe {words}: this adpipe does not have it");
            script += &format!(
                "case \"$*\" in \"{words}\"*) echo 'stand-in for adpipe {words}'\n\
                 exec {ADPIPE} sql 'select count(*) from realtime.events' ;; esac\n"
            );
        }
        script += &format!("exec {ADPIPE} \"$@\"\n");
        let path = bin.join("adpipe");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        bin
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn exists(command: &[&str]) -> bool {
    let output = Command::new(ADPIPE).args(command).arg("--help").output().unwrap();
    output.status.success()
}

fn with_path(command: &mut Command, bin: &Path) {
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", bin.display()));
}

#[test]
fn airflow_runs_the_four_dags_and_tells_slack_of_a_failure() {
    let test = "airflow_runs_the_four_dags";
    let Some(server) = Postgres::shared(test) else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../airflow").canonicalize().unwrap();
    let Some(airflow) = Airflow::start(test, &root.join("dags"), &root.join("requirements.txt")) else {
        return;
    };

    // Neither an error nor a warning.
    assert_eq!(airflow.imports(), ["DAGS dag_daily_etl dag_dbt_run dag_dlq_alert dag_dlq_retry"]);

    let site = Site::new(&server.new_database());
    let bin = site.programs();
    let slack = Slack::start();
    let run = |dag: &str| -> Output {
        let mut command = airflow.command(&["dags", "test", dag, DUE]);
        site.prepare(&mut command);
        with_path(&mut command, &bin);
        let connection = format!("{{\"conn_type\": \"slackwebhook\", \"password\": \"{}\"}}", slack.url());
        command.env("AIRFLOW_CONN_SLACK_ADPIPE", connection);
        command.output().unwrap()
    };
    for dag in ["dag_daily_etl", "dag_dbt_run", "dag_dlq_retry", "dag_dlq_alert"] {
        let output = run(dag);
        assert!(output.status.success(), "{dag}: {}", said(&output));
        assert!(said(&output).contains("state=success"), "{dag}: {}", said(&output));
    }
    assert_eq!(slack.posted(), Vec::<String>::new());

    // The built-in scheduler, on the embedded warehouse.
    let own = Site::new("sqlite:data");
    let own_bin = own.programs();
    std::fs::create_dir(own.folder.join("config")).unwrap();
    let dags = include_str!("../../../config/dags.toml");
    // This adpipe may not have all the commands; the one on the path stands in for them.
    let dags = dags.replace("[\"adpipe\",", &format!("[\"{}\",", own_bin.join("adpipe").display()));
    std::fs::write(own.folder.join("config/dags.toml"), dags).unwrap();
    for dag in ["dag_daily_etl", "dag_dlq_retry", "dag_dlq_alert"] {
        let mut command = own.adpipe(&["dag", "run", dag, "--date", DAY]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{dag}: {}", shown(&output));
    }
    assert_eq!(site.calls(), own.calls(), "Airflow and the scheduler do not run the same");
    assert_eq!(site.calls().len(), 6);
    assert_eq!(site.results(), own.results());

    // A task that fails: Airflow shows it, Slack is told.
    std::fs::write(site.folder.join("fail"), "check").unwrap();
    let output = run("dag_dlq_alert");
    assert!(!output.status.success() && said(&output).contains("state=failed"), "{}", said(&output));
    let posted = slack.posted();
    assert_eq!(posted.len(), 1, "{posted:?}");
    assert!(posted[0].contains("dag_dlq_alert.check failed"), "{posted:?}");
}
