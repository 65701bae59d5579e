//! Every file that a person writes may begin with the byte order mark that Windows programs put there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use common::{Folder, Running};
use serde_json::Value;

const MARK: &str = "\u{feff}";

fn write(folder: &Folder, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("{MARK}{text}")).unwrap();
}

/// Copies the files of a folder of the repository, each with a mark in front.
fn copy_marked(folder: &Folder, from: &Path, to: &str) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{to}/{}", path.file_name().unwrap().to_str().unwrap());
        match std::fs::read_to_string(&path) {
            _ if path.is_dir() => copy_marked(folder, &path, &name),
            Ok(text) => write(folder, &name, &text),
            Err(_) => {}
        }
    }
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn configuration_alerts_dags_and_the_dbt_project_are_read_with_a_mark() {
    let folder = Folder::new();
    write(&folder, "adpipe.toml", "[retention]\nevents = \"3d\"\n");
    copy_marked(&folder, &repository().join("config"), "config");
    copy_marked(&folder, &repository().join("dbt"), "dbt");
    assert!(folder.run(&["config", "show"]).contains("3d"));
    assert!(folder.run(&["dag", "list"]).contains("dag_daily_etl"));
    folder.generate("events.ndjson", &["--rows", "500", "--start", "2026-03-01", "--end", "2026-03-02"]);
    folder.run(&["ingest", "--wait", "events.ndjson"]);
    folder.run(&["alerts", "list"]);
    let said = folder.run(&["transform", "build"]);
    assert!(said.contains("mart_daily_ctr") && !said.contains("failed"), "{said}");
}

#[test]
fn patches_payloads_exports_and_statements_are_read_with_a_mark() {
    let folder = Folder::new();
    let good = r#"{"id":"1","click":1,"hour":"14102105","banner_pos":1,"device_type":1,"device_conn_type":0,"site_id":"s","site_domain":"d","site_category":"c","app_id":"a","app_domain":"b","app_category":"e","device_id":"i","device_ip":"p","device_model":"m"}"#;
    let bad = |id: u32| good.replace("\"1\"", &format!("\"{id}\"")).replace(":1,\"hour", ":7,\"hour");
    std::fs::write(folder.join("bad.ndjson"), [bad(1), bad(2), bad(3)].join("\n")).unwrap();
    folder.run(&["ingest", "--wait", "bad.ndjson"]);
    let listed = folder.run(&["dlq", "list", "--json"]);
    let errors: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let id = |index: usize| errors[index]["error_id"].as_str().unwrap();
    write(&folder, "patch.json", r#"[{"op":"replace","path":"/click","value":0}]"#);
    folder.run(&["dlq", "edit", id(0), "--patch", "patch.json"]);
    write(&folder, "payload.json", &format!("{}\r\n", good.replace("\"1\"", "\"20\"")));
    folder.run(&["dlq", "edit", id(1), "--payload", "payload.json"]);
    folder.run(&["dlq", "export", "--status", "exhausted", "--out", "out.ndjson"]);
    let exported = std::fs::read_to_string(folder.join("out.ndjson")).unwrap();
    write(&folder, "back.ndjson", &exported.replace("\\\"click\\\":7", "\\\"click\\\":1"));
    folder.run(&["dlq", "import", "back.ndjson"]);
    let mut command = folder.adpipe(&["sql", "--json", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let statement = format!("{MARK}select count(*) as n from realtime.events");
    child.stdin.take().unwrap().write_all(statement.as_bytes()).unwrap();
    let rows: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(rows[0]["n"], 3);
    let utf16: Vec<u8> = format!("{MARK}{exported}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(folder.join("wide.ndjson"), utf16).unwrap();
    assert!(folder.fail(1, &["dlq", "import", "wide.ndjson"]).contains("UTF-16 text; save it as UTF-8"));
}

#[test]
fn a_token_in_a_file_has_no_mark() {
    let folder = Folder::new();
    write(&folder, "token", "abcdefghijklmnopqrst\r\n");
    let mut command = folder.adpipe(&["up"]);
    command.env("ADPIPE_CONSOLE__TOKEN_FILE", "token");
    let up = Running::start(command);
    assert_eq!(up.request("GET", "/?token=abcdefghijklmnopqrst", b"").0 / 100, 3);
    assert_eq!(up.request("GET", "/?token=abcdefghijklmnopqrsx", b"").0, 401);
}

#[test]
fn text_that_is_not_utf_8_is_named() {
    let folder = Folder::new();
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    std::fs::write(folder.join("adpipe.toml"), wide("\u{feff}[console]\nport = 0\n")).unwrap();
    let words = folder.fail(2, &["config", "show"]);
    assert!(
        words.contains("adpipe.toml") && words.contains("it is UTF-16 text; save it as UTF-8"),
        "{words}"
    );
    std::fs::write(folder.join("adpipe.toml"), b"[console]\n# caf\xe9\n").unwrap();
    assert!(folder.fail(2, &["config", "show"]).contains("it is not valid UTF-8 in line 2"));
    std::fs::remove_file(folder.join("adpipe.toml")).unwrap();
    std::fs::create_dir(folder.join("config")).unwrap();
    std::fs::write(folder.join("config/alerts.toml"), wide("# alerts\n")).unwrap();
    assert!(folder.fail(2, &["alerts", "list"]).contains("UTF-16 text"));
}
