//! The same data in two places; one is transformed by adpipe, the other by the real dbt.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adpipe_testkit::postgres::Postgres;
use adpipe_transform::dbt::DbtSettings;
use adpipe_transform::{Command, Project, ProjectFiles, RunOptions, RunResults, Target, TransformError};
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Schema, Warehouse, query_table};

/// Adpipe's own project.
pub fn own_project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dbt")
}

/// A project of these tests.
pub fn test_project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects").join(name)
}

/// An empty warehouse.
pub struct Place {
    pub warehouse: Arc<dyn Warehouse>,
    pub environment: Vec<(String, String)>,
    pub kind: &'static str,
    folder: tempfile::TempDir,
    _server: Option<Arc<Postgres>>,
}

impl Place {
    pub fn sqlite() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let warehouse = SqliteWarehouse::open(&data).unwrap();
        Place {
            warehouse: Arc::new(warehouse),
            environment: vec![("DBT_ADPIPE_DATA".to_owned(), data.display().to_string())],
            kind: "sqlite",
            folder,
            _server: None,
        }
    }

    pub fn postgres(test: &str) -> Option<Place> {
        let server = Postgres::shared(test)?;
        let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
        let environment = settings.environment();
        let warehouse = PostgresWarehouse::open(settings).unwrap();
        Some(Place {
            warehouse: Arc::new(warehouse),
            environment,
            kind: "postgres",
            folder: tempfile::tempdir().unwrap(),
            _server: Some(server),
        })
    }

    /// Two of one kind.
    pub fn pair(test: &str, kind: &str) -> Option<(Place, Place)> {
        match kind {
            "sqlite" => Some((Place::sqlite(), Place::sqlite())),
            _ => Some((Place::postgres(test)?, Place::postgres(test)?)),
        }
    }

    pub fn script(&self, schema: Schema, sql: &str) {
        let mut session = self.warehouse.session(schema).unwrap();
        let mut transaction = session.begin().unwrap();
        transaction.script(sql).unwrap();
        transaction.commit().unwrap();
    }

    /// Runs the built-in engine and keeps what the tests found.
    pub fn adpipe(&self, project: &Path, options: &Options) -> Result<RunResults, TransformError> {
        let files = ProjectFiles::read(project)?;
        let target = Target { full_refresh: options.full_refresh, ..Target::new(self.warehouse.dialect()) };
        let project = Project::load(&files, &target, options.vars)?;
        let results = adpipe_transform::run(
            self.warehouse.as_ref(),
            &project,
            &target,
            &options.run(),
            &|| false,
            &|_, _, _, _| {},
        )?;
        adpipe_transform::history::keep(self.warehouse.as_ref(), &results)?;
        Ok(results)
    }

    /// Runs the real dbt and keeps what the tests found.
    pub fn dbt(&self, program: &Path, project: &Path, options: &Options) -> RunResults {
        let target_path = self.folder.path().join("target");
        std::fs::create_dir_all(&target_path).unwrap();
        let settings = DbtSettings {
            program: program.display().to_string(),
            project: project.to_path_buf(),
            target: self.kind.to_owned(),
            target_path,
            full_refresh: options.full_refresh,
            vars: options.vars.to_owned(),
            environment: self.environment.clone(),
        };
        let log = std::sync::Mutex::new(Vec::new());
        let results = adpipe_transform::dbt::run(
            self.warehouse.as_ref(),
            &settings,
            &options.run(),
            &|| false,
            &|line| {
                log.lock().unwrap().push(line.to_owned());
            },
        );
        let results = results.unwrap_or_else(|error| panic!("{error}\n{}", log.lock().unwrap().join("\n")));
        adpipe_transform::history::keep(self.warehouse.as_ref(), &results).unwrap();
        results
    }

    /// Every table and view of the transformations with its rows, sorted.
    pub fn rows(&self) -> BTreeMap<String, Vec<String>> {
        let sql = match self.kind {
            "sqlite" => {
                "select name from analytics.sqlite_master where type in ('table', 'view') and name <> 'schema_migrations'"
            }
            _ => "select table_name::text from information_schema.tables where table_schema = 'analytics'",
        };
        let names = query_table(self.warehouse.as_ref(), sql, &[]).unwrap();
        let mut all = BTreeMap::new();
        for row in &names.rows {
            let name = row[0].as_str().unwrap().to_owned();
            let found =
                query_table(self.warehouse.as_ref(), &format!("select * from analytics.\"{name}\""), &[])
                    .unwrap();
            let mut rows: Vec<String> = found.rows.iter().map(|row| format!("{row:?}")).collect();
            rows.sort();
            rows.insert(0, found.columns.join(", "));
            all.insert(name, rows);
        }
        all
    }
}

/// What to run.
#[derive(Clone)]
pub struct Options {
    pub command: Command,
    pub select: Vec<String>,
    pub full_refresh: bool,
    pub vars: &'static str,
}

impl Options {
    pub fn of(command: Command) -> Options {
        Options { command, select: Vec::new(), full_refresh: false, vars: "" }
    }

    pub fn select(mut self, selector: &str) -> Options {
        self.select.push(selector.to_owned());
        self
    }

    fn run(&self) -> RunOptions {
        RunOptions { command: self.command, select: self.select.clone(), exclude: Vec::new() }
    }
}

/// Status and failures of each node.
pub fn verdicts(results: &RunResults) -> BTreeMap<String, String> {
    results
        .results
        .iter()
        .map(|result| {
            let failures = if result.kind.ends_with("test") { result.failures.unwrap_or(0) } else { 0 };
            (result.id.clone(), format!("{} {failures}", result.status.name()))
        })
        .collect()
}

/// Fails with what differs and not with all of both.
pub fn assert_same<V: PartialEq + std::fmt::Debug>(
    what: &str,
    ours: &BTreeMap<String, V>,
    theirs: &BTreeMap<String, V>,
) {
    let keys: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let different: Vec<String> = keys
        .into_iter()
        .filter(|key| ours.get(*key) != theirs.get(*key))
        .map(|key| {
            let cut = |value: Option<&V>| format!("{value:?}").chars().take(1_500).collect::<String>();
            format!("{key}\n  adpipe: {}\n  dbt:    {}", cut(ours.get(key)), cut(theirs.get(key)))
        })
        .collect();
    assert!(different.is_empty(), "{what} differ:\n{}", different.join("\n"));
}

/// The tests that did not pass.
pub fn failed(results: &RunResults) -> Vec<String> {
    let mut names: Vec<String> = results
        .results
        .iter()
        .filter(|result| result.status.is_bad() || result.status == adpipe_transform::Status::Warn)
        .map(|result| result.name.clone())
        .collect();
    names.sort();
    names
}

/// Events of `hours` hours from 2014-10-21 on, and the metrics that adpipe would have made of them.
pub fn fill(place: &Place, hours: usize, events_per_hour: usize, seed: u64) {
    let mut dice = seed;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    let mut events = Vec::new();
    for hour in 0..hours {
        let time = |minute: u64| format!("2014-10-{:02} {:02}:{minute:02}:00", 21 + hour / 24, hour % 24);
        for event in 0..events_per_hour {
            let click = u64::from(roll(6) == 0);
            let (position, device, connection) =
                (roll(3), [0, 1, 4, 5][roll(4) as usize], [0, 2, 3, 5][roll(4) as usize]);
            let (site, app) = (format!("site{}", roll(5)), format!("app{}", roll(4)));
            events.push(format!(
                "('{}', '{hour}-{event}', '{}', {click}, {position}, {device}, {connection}, 's', 'd', '{site}', 'a', 'd', '{app}', 'i', 'p', 'm', '2014-11-01 00:00:00')",
                time(0),
                time(roll(60)),
            ));
        }
    }
    let by_minute = match place.kind {
        "sqlite" => "event_time",
        _ => "date_trunc('minute', event_time, 'UTC')",
    };
    if place.kind == "postgres" {
        place.script(
            Schema::Realtime,
            "create table realtime.events_all partition of realtime.events for values from (minvalue) to (maxvalue)",
        );
    }
    for events in events.chunks(500) {
        place.script(
            Schema::Realtime,
            &format!(
                "insert into realtime.events (event_hour, event_id, event_time, click, banner_pos, device_type, device_conn_type, \
                 site_id, site_domain, site_category, app_id, app_domain, app_category, device_id, device_ip, device_model, ingested_at) values {}",
                events.join(",\n")
            ),
        );
    }
    let dimensions = "banner_pos, device_type, device_conn_type, site_category, app_category";
    for (table, time) in [("metrics", by_minute), ("metrics_hourly", "event_hour")] {
        place.script(
            Schema::Realtime,
            &format!(
                "insert into realtime.{table} select {time}, {dimensions}, count(*), sum(click) from realtime.events group by {time}, {dimensions}"
            ),
        );
    }
}
