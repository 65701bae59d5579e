//! What a person is told when PostgreSQL cannot be used, and how soon.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::net::TcpListener;
use std::time::{Duration, Instant};

use adpipe_testkit::eventually;
use adpipe_testkit::pgbouncer::PgBouncer;
use adpipe_testkit::postgres::Postgres;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::{Warehouse, WarehouseError, WarehouseRead};

const SOON: Duration = Duration::from_secs(10);

/// The failure to open a warehouse, which must come soon.
fn failure(url: &str, password: Option<&str>) -> WarehouseError {
    let settings = PostgresSettings::from_url(url).unwrap();
    let settings = match password {
        Some(password) => settings.password(password),
        None => settings,
    };
    let started = Instant::now();
    let error = PostgresWarehouse::open(settings).map(drop).unwrap_err();
    assert!(started.elapsed() < SOON, "{error} came after {:?}", started.elapsed());
    error
}

fn told(error: &WarehouseError, reason: &str, advice: &str, is_transient: bool) {
    let text = error.to_string();
    assert!(text.contains(reason) && text.contains(advice), "{text}");
    assert_eq!(error.is_transient(), is_transient, "{error:?}");
}

#[test]
fn nobody_there() {
    let port = adpipe_testkit::free_port();
    let error = failure(&format!("postgres://ann@127.0.0.1:{port}/x"), None);
    told(&error, "Connection refused", "start PostgreSQL", true);
}

#[test]
fn unknown_host() {
    let error = failure("postgres://ann@no-such-host.invalid/x?sslmode=disable", None);
    told(&error, "lookup", "correct the host", true);
}

#[test]
fn a_server_that_says_nothing() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let error = failure(&format!("postgres://ann@127.0.0.1:{port}/x"), None);
    told(&error, "no answer within", "check that the server is alive", true);
}

#[test]
fn a_server_without_tls() {
    let Some(server) = Postgres::shared("a_server_without_tls") else { return };
    let error = failure(&format!("{}?sslmode=require", server.url("postgres")), None);
    told(&error, "TLS", "sslmode=disable", false);
}

#[test]
fn missing_database_and_missing_rights() {
    let Some(server) = Postgres::shared("missing_database") else { return };
    told(&failure(&server.url("nowhere"), None), "\"nowhere\" does not exist", "createdb", false);
    let url = server.new_database();
    let database = url.rsplit('/').next().unwrap();
    server.psql(database, "create role powerless login");
    let error = failure(&server.url_of("powerless", database), None);
    told(&error, "permission denied", "roles.sql", false);
}

#[test]
fn wrong_password_and_no_password() {
    let Some(server) = Postgres::start("wrong_password") else { return };
    server.psql("postgres", "create role ann login superuser password 'right'");
    server.set_access("host all ann 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n");
    let url = server.url_of("ann", "postgres");
    // The server rereads its rules a moment after it is told to.
    eventually("the rules are read", || {
        PostgresWarehouse::open(PostgresSettings::from_url(&url).unwrap()).is_err()
    });
    told(&failure(&url, Some("wrong")), "password authentication failed", "PGPASSWORD", false);
    told(&failure(&url, None), "requires a password", "warehouse.password_file", false);
    told(&failure(&server.url_of("bob", "postgres"), None), "no pg_hba.conf entry", "pg_hba.conf", false);
    let settings = PostgresSettings::from_url(&url).unwrap().password("right");
    assert!(PostgresWarehouse::open(settings).is_ok());
}

#[test]
fn a_standby_reads_and_does_not_write() {
    let Some(server) = Postgres::start("a_standby") else { return };
    let url = server.url("postgres");
    PostgresWarehouse::open(PostgresSettings::from_url(&url).unwrap()).unwrap();
    server.psql("postgres", "create database fresh");
    server.restart_as_standby();
    let warehouse = PostgresWarehouse::open(PostgresSettings::from_url(&url).unwrap()).unwrap();
    assert_eq!(warehouse.offsets("ad_events_raw").unwrap(), []);
    told(&warehouse.stream_writer().map(drop).unwrap_err(), "standby", "name the primary", true);
    told(&warehouse.check().unwrap_err(), "standby", "name the primary", true);
    told(&failure(&server.url("fresh"), None), "standby", "name the primary", true);
}

#[test]
fn a_server_a_database_and_a_user_that_only_read() {
    let Some(server) = Postgres::shared("a_database_that_only_reads") else { return };
    let url = server.new_database();
    let database = url.rsplit('/').next().unwrap();
    PostgresWarehouse::open(PostgresSettings::from_url(&url).unwrap()).unwrap();
    let refused = |url: &str| {
        let settings = PostgresSettings::from_url(url).unwrap();
        let error = PostgresWarehouse::must_take_writes(&settings).unwrap_err();
        told(&error, "default_transaction_read_only is on", "turn it off", true);
        let warehouse = PostgresWarehouse::open(settings).unwrap();
        told(&warehouse.check().unwrap_err(), "default_transaction_read_only", "turn it off", true);
    };
    server.psql("postgres", &format!("alter database {database} set default_transaction_read_only = on"));
    refused(&url);
    server.psql("postgres", &format!("alter database {database} reset default_transaction_read_only"));
    PostgresWarehouse::must_take_writes(&PostgresSettings::from_url(&url).unwrap()).unwrap();
    server.psql("postgres", "create role careful login superuser");
    server.psql("postgres", "alter role careful set default_transaction_read_only = on");
    refused(&server.url_of("careful", database));
}

#[test]
fn a_database_in_another_encoding() {
    let Some(server) = Postgres::shared("a_database_in_another_encoding") else { return };
    for encoding in ["LATIN1", "SQL_ASCII", "EUC_KR", "WIN1252"] {
        let database = format!("in_{}", encoding.to_lowercase());
        server.psql(
            "postgres",
            &format!("create database {database} encoding '{encoding}' template template0"),
        );
        let url = server.url(&database);
        told(&failure(&url, None), encoding, "createdb -E UTF8 -T template0", false);
        let settings = PostgresSettings::from_url(&url).unwrap();
        told(&PostgresWarehouse::is_prepared(&settings).unwrap_err(), encoding, "createdb", false);
        assert_eq!(
            server.psql(&database, "select count(*) from pg_namespace where nspname = 'realtime'"),
            "0"
        );
    }
}

#[test]
fn a_pooler_that_shares_sessions() {
    let Some(server) = Postgres::shared("a_pooler_that_shares_sessions") else { return };
    for mode in ["transaction", "statement"] {
        let Some(pooler) = PgBouncer::start("a_pooler_that_shares_sessions", &server, mode) else { return };
        let database = server.new_database();
        let url = pooler.url(&database);
        told(&failure(&url, None), "shares sessions", "pool_mode = session", false);
        let settings = PostgresSettings::from_url(&url).unwrap();
        told(&PostgresWarehouse::is_prepared(&settings).unwrap_err(), "shares sessions", "session", false);
        told(&PostgresWarehouse::must_take_writes(&settings).unwrap_err(), "shares", "session", false);
        // Nothing of ours was left behind in the pool.
        assert_eq!(pooler.psql(&database, "show statement_timeout"), "0");
    }
}

#[test]
fn a_pooler_with_sessions_of_their_own_will_do() {
    let Some(server) = Postgres::shared("a_pooler_with_sessions") else { return };
    let Some(pooler) = PgBouncer::start("a_pooler_with_sessions", &server, "session") else { return };
    let database = server.new_database();
    let url = pooler.url(&database);
    for _ in 0..3 {
        let warehouse = PostgresWarehouse::open(PostgresSettings::from_url(&url).unwrap()).unwrap();
        warehouse.check().unwrap();
        warehouse.begin_at("ad_events_raw", 0, 0).unwrap();
        assert_eq!(warehouse.offsets("ad_events_raw").unwrap()[0].next_offset, 0);
    }
}

#[test]
fn a_full_disk_and_a_lost_connection_pass() {
    let Some(server) = Postgres::start("a_full_disk") else { return };
    let url = server.new_database();
    let database = url.rsplit('/').next().unwrap();
    let warehouse = PostgresWarehouse::open(PostgresSettings::from_url(&url).unwrap()).unwrap();
    warehouse.begin_at("ad_events_raw", 0, 0).unwrap();
    // A disk cannot be filled here; the server's word for it can be said.
    server.psql(
        database,
        "create function full_disk() returns trigger language plpgsql as $$ begin
             raise exception 'could not extend file' using errcode = '53100';
         end $$;
         create trigger full_disk before update on realtime.offsets execute function full_disk()",
    );
    let mut writer = warehouse.stream_writer().unwrap();
    let error = writer.begin().unwrap().claim("ad_events_raw", 0, 0, 1).unwrap_err();
    told(&error, "could not extend file", "free some disk space", true);
    server.psql(database, "drop trigger full_disk on realtime.offsets");

    let mut transaction = writer.begin().unwrap();
    transaction.claim("ad_events_raw", 0, 0, 1).unwrap();
    server.stop_immediately();
    let error = transaction.claim("ad_events_raw", 1, 0, 1).unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    drop(transaction);
    let error = warehouse.offsets("ad_events_raw").unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    server.start_again();
    assert_eq!(warehouse.offsets("ad_events_raw").unwrap()[0].next_offset, 0);
    let mut writer = warehouse.stream_writer().unwrap();
    let mut transaction = writer.begin().unwrap();
    transaction.claim("ad_events_raw", 0, 0, 1).unwrap();
    transaction.commit().unwrap();
    assert_eq!(warehouse.offsets("ad_events_raw").unwrap()[0].next_offset, 1);
}
