//! What is measured: each stage of the pipeline, and the whole.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use adpipe_event::{EventBatch, FieldMap, Format, Millis, Parser, RecordReader, Rules};
use adpipe_generate::{Config as GeneratorConfig, Generator};
use adpipe_ingest::RecordFeeder;
use adpipe_log::{EventLog, Topic};
use adpipe_runtime::Shutdown;
use adpipe_warehouse::{LatencyCounts, Warehouse, for_each_row};
use anyhow::bail;

use crate::host::{Host, Pipeline, WarehouseChoice};
use crate::measure::{Figure, measure};

/// Events a day of the data set whose shape is made: 40 million over ten days.
const EVENTS_A_DAY: u64 = 4_000_000;

const DAY_MS: i64 = 24 * 3_600_000;
const MAX_RECORD_BYTES: usize = 1 << 20;
const APPEND_RECORDS: usize = 10_000;
const HTTP_BODY_EVENTS: usize = 2_000;
const HTTP_CLIENTS: usize = 4;
const LATENCY_SECONDS: u64 = 10;

/// Events at the density of the data set, ending now; a share of them is bad.
fn generator(rows: u64, bad: f64, format: adpipe_generate::Format) -> anyhow::Result<Generator> {
    let now = Millis::now().0;
    let span_ms = (rows as i128 * i128::from(DAY_MS) / i128::from(EVENTS_A_DAY)).max(60_000) as i64;
    Ok(Generator::new(GeneratorConfig {
        seed: 42,
        start_ms: now - span_ms,
        end_ms: now,
        rows: Some(rows),
        now_ms: Some(now),
        bad,
        format,
        ..GeneratorConfig::default()
    })?)
}

fn generated(rows: u64, format: adpipe_generate::Format) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    generator(rows, 0.0, format)?.write_all(&mut bytes)?;
    Ok(bytes)
}

/// Bytes to columns, and next to it a plain loop that reads each line with a general JSON library and
/// looks at nothing but that it is an object.
pub fn parse(rows: u64) -> anyhow::Result<Vec<Figure>> {
    // What fits memory is enough: parsing does not get faster or slower with more.
    let rows = rows.min(500_000);
    let json = generated(rows, adpipe_generate::Format::Ndjson)?;
    let csv = generated(rows, adpipe_generate::Format::Csv)?;
    let plain = measure("parse NDJSON, plain loop", || {
        let mut objects = 0;
        for line in json.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let value: serde_json::Value = serde_json::from_slice(line)?;
            objects += u64::from(value.is_object());
        }
        Ok(objects)
    })?;
    let mut ours = measure("parse NDJSON", || parse_all(&json, Format::Ndjson))?;
    ours.note = format!("{:.1} x the plain loop", ours.events_per_second() / plain.events_per_second());
    let mut of_csv = measure("parse CSV", || parse_all(&csv, Format::Csv))?;
    of_csv.note = "split, parsed, validated, columnar".to_owned();
    Ok(vec![plain, ours, of_csv])
}

fn parse_all(bytes: &[u8], format: Format) -> anyhow::Result<u64> {
    let mut reader = RecordReader::new(bytes, format, MAX_RECORD_BYTES);
    let mut parser = Parser::new(Rules::default());
    let columns = reader.columns()?.cloned();
    let mut batch = EventBatch::new();
    let mut events = 0;
    let now = Millis::now();
    while let Some(record) = reader.next_record()? {
        let parsed = match &columns {
            Some(columns) => parser.parse_csv(columns, record.payload, now),
            None => parser.parse_json(record.payload, now),
        };
        batch.push(&parsed?.event);
        events += 1;
        if batch.len() == APPEND_RECORDS {
            batch.clear();
        }
    }
    Ok(events)
}

/// Records into the log, each append durable before the next.
pub fn ingest(host: &dyn Host, rows: u64) -> anyhow::Result<Figure> {
    let pipeline = host.open("ingest", WarehouseChoice::Embedded)?.must_be_empty()?;
    let mut figure = measure("ingest NDJSON → log, durable", || fill_log(&pipeline, rows, 0.0))?;
    figure.note = if pipeline.has_embedded_log {
        format!("{:.0} MB on disk", folder_mb(&pipeline.folder))
    } else {
        pipeline.log.location()
    };
    Ok(figure)
}

/// Appends so many records, of which a share is bad; durable when it returns.
pub(crate) fn fill_log(pipeline: &Pipeline, rows: u64, bad: f64) -> anyhow::Result<u64> {
    let mut generator = generator(rows, bad, adpipe_generate::Format::Ndjson)?;
    let mut feeder = RecordFeeder::of_body(&FieldMap::default(), None);
    let mut line = Vec::new();
    let mut appended = 0;
    loop {
        while feeder.records().len() < APPEND_RECORDS {
            line.clear();
            if generator.next_record(&mut line).is_none() || !feeder.add_payload(&line) {
                break;
            }
        }
        if feeder.records().is_empty() {
            return Ok(appended);
        }
        appended += feeder.records().len() as u64;
        pipeline.log.append(Topic::Raw, feeder.take(), None)?.wait()?;
    }
}

/// The log's records into the warehouse, all committed.
pub fn stream(host: &dyn Host, rows: u64) -> anyhow::Result<Figure> {
    let pipeline = host.open("stream", WarehouseChoice::Named)?.must_be_empty()?;
    fill_log(&pipeline, rows, 0.0)?;
    let mut figure = measure("stream: log → committed", || {
        let work = || pipeline.wait_until_committed(Duration::from_secs(600));
        beside(|stop| pipeline.run_stream(stop), work).map(|()| rows)
    })?;
    figure.note = if pipeline.has_embedded_warehouse {
        format!("{:.0} MB of warehouse", folder_mb(&pipeline.folder.join("realtime.db")))
    } else {
        pipeline.warehouse.location()
    };
    Ok(figure)
}

/// Does `work` while a role is played.
pub(crate) fn beside<T>(
    role: impl FnOnce(&Shutdown) -> anyhow::Result<()> + Send,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let stop = Shutdown::new();
    std::thread::scope(|scope| {
        let player = scope.spawn(|| role(&stop));
        let done = work();
        stop.trigger();
        player.join().map_err(|_| anyhow::anyhow!("a role panicked"))??;
        done
    })
}

/// Until the stream processor has taken all that is in the log.
fn wait_until_committed(
    log: &dyn EventLog,
    warehouse: &dyn Warehouse,
    limit: Duration,
) -> anyhow::Result<()> {
    let started = Instant::now();
    while started.elapsed() < limit {
        let lag = adpipe_stream::backlog::lag(log, warehouse)?;
        if lag.iter().all(|partition| partition.records == 0) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("the processor did not finish within {} s", limit.as_secs())
}

impl Pipeline {
    /// Until the stream processor has taken all that is in the log.
    pub(crate) fn wait_until_committed(&self, limit: Duration) -> anyhow::Result<()> {
        wait_until_committed(self.log.as_ref(), self.warehouse.as_ref(), limit)
    }
}

/// Bodies of NDJSON over loopback into a whole `adpipe up`, answered once durable.
pub fn http(host: &dyn Host, rows: u64) -> anyhow::Result<Figure> {
    let running = host.start("http")?;
    let url = running.url();
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let json = generated(rows, adpipe_generate::Format::Ndjson)?;
    let bodies = bodies_of(&json);
    let mut figure = measure("HTTP NDJSON → log, durable", || {
        std::thread::scope(|scope| {
            let (bodies, address) = (&bodies, &address);
            let clients: Vec<_> = (0..HTTP_CLIENTS)
                .map(|client| {
                    scope.spawn(move || post_all(address, bodies.iter().skip(client).step_by(HTTP_CLIENTS)))
                })
                .collect();
            for client in clients {
                client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            }
            anyhow::Ok(rows)
        })
    })?;
    figure.note = format!("{HTTP_CLIENTS} clients, the whole `adpipe up` counting beside it");
    wait_until_committed(running.log(), running.warehouse(), Duration::from_secs(600))?;
    running.end()?;
    Ok(figure)
}

fn bodies_of(json: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    let (mut start, mut lines) = (0, 0);
    for (at, byte) in json.iter().enumerate() {
        if *byte == b'\n' {
            lines += 1;
            if lines == HTTP_BODY_EVENTS {
                bodies.push(&json[start..=at]);
                (start, lines) = (at + 1, 0);
            }
        }
    }
    if start < json.len() {
        bodies.push(&json[start..]);
    }
    bodies
}

fn post_all<'a>(address: &str, bodies: impl Iterator<Item = &'a &'a [u8]>) -> anyhow::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    for body in bodies {
        loop {
            let head = format!(
                "POST /v1/events HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            connection.write_all(head.as_bytes())?;
            connection.write_all(body)?;
            match read_status(&mut connection)? {
                202 => break,
                429 => std::thread::sleep(Duration::from_millis(20)),
                other => bail!("the console answered {other}"),
            }
        }
    }
    Ok(())
}

/// Reads an answer with a Content-Length and gives its status.
fn read_status(connection: &mut TcpStream) -> anyhow::Result<u16> {
    let mut answer = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let count = connection.read(&mut piece)?;
        if count == 0 {
            bail!("the console closed the connection");
        }
        answer.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some(head_end) = text.find("\r\n\r\n") else { continue };
        let head = text[..head_end].to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        if answer.len() >= head_end + 4 + length {
            return Ok(text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0));
        }
    }
}

/// From append to commit, at a fixed rate, as the account in the warehouse has it.
pub fn latency(host: &dyn Host, rate: u32) -> anyhow::Result<Figure> {
    let pipeline = host.open("latency", WarehouseChoice::Named)?.must_be_empty()?;
    let rows = u64::from(rate) * LATENCY_SECONDS;
    let mut figure = measure(&format!("latency at {rate} events/s"), || {
        let work = || {
            send_steadily(&pipeline, rate, rows)?;
            pipeline.wait_until_committed(Duration::from_secs(60))
        };
        beside(|stop| pipeline.run_stream(stop), work).map(|()| rows)
    })?;
    let mut latency = LatencyCounts::default();
    let sql = "select latency_counts from realtime.commits";
    for_each_row(pipeline.warehouse.as_ref(), sql, &[], |row| latency.add_text(row.get("latency_counts")?))?;
    let quantile = |q| latency.quantile_ms(q).unwrap_or(0.0);
    figure.note = format!("p50 {:.0} ms, p99 {:.0} ms", quantile(0.5), quantile(0.99));
    Ok(figure)
}

fn send_steadily(pipeline: &Pipeline, rate: u32, rows: u64) -> anyhow::Result<()> {
    let now = Millis::now().0;
    let mut generator = Generator::new(GeneratorConfig {
        seed: 43,
        start_ms: now - DAY_MS,
        end_ms: now,
        rows: None,
        now_ms: Some(now),
        ..GeneratorConfig::default()
    })?;
    let started = Instant::now();
    let mut feeder = RecordFeeder::of_body(&FieldMap::default(), None);
    let mut line = Vec::new();
    let mut sent = 0;
    while sent < rows {
        let due = ((started.elapsed().as_secs_f64() * f64::from(rate)) as u64).min(rows);
        while sent < due {
            line.clear();
            generator.next_at(Millis::now().0, &mut line);
            let fits = feeder.add_payload(&line);
            debug_assert!(fits, "a tenth of a second fits a buffer");
            sent += 1;
        }
        if !feeder.records().is_empty() {
            pipeline.log.append(Topic::Raw, feeder.take(), None)?.wait()?;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn folder_mb(path: &Path) -> f64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let bytes = match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| size(&entry.path())).sum(),
        Err(_) => size(path),
    };
    bytes as f64 / 1e6
}
