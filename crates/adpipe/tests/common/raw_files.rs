//! Raw files, and `adpipe etl` on them.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{Folder, shown};

pub const HEADER: &str = "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,\
device_id,device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21";

/// One row; its id says which.
pub fn row(id: &str) -> String {
    format!("{id},1,14102105,1005,0,s,d,c,a,b,e,i,p,m,1,0,1,2,3,4,5,6,7,8")
}

pub fn csv(ids: impl IntoIterator<Item = u32>) -> String {
    let rows: Vec<String> = ids.into_iter().map(|id| row(&id.to_string())).collect();
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

/// A pipeline with raw files of its own.
pub struct Etl {
    pub folder: Folder,
}

impl Etl {
    pub fn new() -> Etl {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.join("data/raw")).unwrap();
        Etl { folder }
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.join("data/raw").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Runs it; must end with this code. Gives the report.
    pub fn run(&self, code: i32, arguments: &[&str]) -> Value {
        let all: Vec<&str> = ["etl", "--json"].iter().chain(arguments).copied().collect();
        let output = self.folder.adpipe(&all).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn verify(&self) {
        let verdict = self.folder.run(&["verify", "--deep"]);
        assert!(verdict.contains("zero residue"), "{verdict}");
    }

    /// Errors by file and row, each with its type; repeats once.
    pub fn errors(&self) -> Vec<(String, String, String)> {
        use adpipe_log::{EventLog, Offset, Topic, header};
        let log = adpipe_log::sqlite::SqliteLog::open(&self.folder.join("data")).unwrap();
        let mut errors = Vec::new();
        let mut next = Offset(0);
        loop {
            let batches = log.read(Topic::Error, 0, next, 4 << 20).unwrap();
            let Some(last) = batches.last() else { break };
            next = last.next_offset();
            for record in batches.iter().flat_map(|batch| batch.iter()) {
                let text = |name| record.headers.text(name).unwrap_or_default().to_owned();
                assert_eq!(text(header::ERROR_PARTITION), "0");
                assert_eq!(text(header::ROW), text(header::ERROR_OFFSET));
                errors.push((
                    text(header::ERROR_TOPIC),
                    text(header::ERROR_OFFSET),
                    text(header::ERROR_TYPE),
                ));
            }
        }
        errors.sort();
        errors.dedup();
        errors
    }

    pub fn row(&self, sql: &str) -> Value {
        self.folder.row(sql)
    }
}

pub fn file<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["files"].as_array().unwrap().iter().find(|file| file["file"] == name).expect(name)
}

/// State, rows, valid, duplicates and invalid of a file in this run.
pub fn outcome<'a>(report: &'a Value, name: &str) -> (&'a str, u64, u64, u64, u64) {
    let file = file(report, name);
    let count = |key: &str| file["this_run"][key].as_u64().unwrap();
    (file["state"].as_str().unwrap(), count("rows"), count("valid"), count("duplicates"), count("invalid"))
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}
