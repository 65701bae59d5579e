//! What a scraper costs the stream processor: runs without one and with one, in turn, so that a machine
//! that slows down affects both.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use adpipe_console::MetricsServer;
use adpipe_runtime::Shutdown;
use anyhow::{Context, ensure};

use crate::host::{Host, Pipeline, WarehouseChoice};
use crate::measure::{Figure, measure};
use crate::stages::fill_log;

/// Runs of each kind.
const ROUNDS: usize = 3;

/// Scrapes in a row that show how long one takes.
const SCRAPES: u32 = 200;

/// Without a scraper, as Prometheus does by default with adpipe's configuration, and far too often.
const KINDS: [Option<Duration>; 3] = [None, Some(Duration::from_secs(15)), Some(Duration::from_secs(1))];

/// Measures each kind; gives the quickest run of each, and what one scrape takes.
pub fn scrape(host: &dyn Host, rows: u64) -> anyhow::Result<Vec<Figure>> {
    let mut runs: [Vec<Figure>; KINDS.len()] = Default::default();
    let mut alone = None;
    for round in 0..ROUNDS {
        for step in 0..KINDS.len() {
            // Each kind is first once: a run that follows another finds another machine.
            let kind = (round + step) % KINDS.len();
            let every = KINDS[kind];
            host.note(&format!("  round {} of {ROUNDS}: {}", round + 1, words(every)));
            let (figure, scrapes) = one_run(host, rows, every)?;
            runs[kind].push(figure);
            alone = Some(scrapes);
        }
    }
    let mut figures: Vec<Figure> = runs
        .into_iter()
        .filter_map(|mut runs| {
            // Others only ever make a run slower: the quickest says most about the work itself.
            runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
            (!runs.is_empty()).then(|| runs.swap_remove(0))
        })
        .collect();
    let base = figures.first().map(|figure| (figure.seconds, figure.cpu_seconds));
    if let Some((seconds, cpu_seconds)) = base {
        for figure in figures.iter_mut().skip(1) {
            figure.note = format!(
                "{:+.1} % time, {:+.1} % CPU; {}",
                (figure.seconds / seconds - 1.0) * 100.0,
                (figure.cpu_seconds / cpu_seconds - 1.0) * 100.0,
                figure.note
            );
        }
    }
    figures.extend(alone);
    Ok(figures)
}

fn words(every: Option<Duration>) -> String {
    match every {
        None => "stream, no scraper".to_owned(),
        Some(every) => format!("stream, scraped every {} s", every.as_secs()),
    }
}

/// The log's records into the warehouse beside a scraper; afterwards many scrapes in a row.
fn one_run(host: &dyn Host, rows: u64, every: Option<Duration>) -> anyhow::Result<(Figure, Figure)> {
    let pipeline = host.open("scrape", WarehouseChoice::Named)?.must_be_empty()?;
    fill_log(&pipeline, rows, 0.0)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let closing = Shutdown::new();
    let server = runtime.block_on(MetricsServer::bind("127.0.0.1", 0, pipeline.metrics.clone()))?;
    let address = server.address();
    let serving = runtime.spawn(server.serve(closing.clone()));
    let mut scraped = 0;
    let mut figure =
        measure(&words(every), || process(&pipeline, address, every, &mut scraped).map(|()| rows))?;
    figure.note = format!("the quickest of {ROUNDS} runs, {scraped} scrapes in it");
    let mut bytes = 0;
    let mut alone = measure("scrapes in a row", || {
        for _ in 0..SCRAPES {
            bytes = get(address)?;
        }
        Ok(u64::from(SCRAPES))
    })?;
    alone.note = format!(
        "{bytes} bytes, {:.2} ms of CPU each: {:.4} % of a core at one every 15 s",
        alone.cpu_seconds / f64::from(SCRAPES) * 1_000.0,
        alone.cpu_seconds / f64::from(SCRAPES) / 15.0 * 100.0
    );
    closing.trigger();
    runtime.block_on(serving).context("the listener panicked")?;
    Ok((figure, alone))
}

fn process(
    pipeline: &Pipeline,
    address: SocketAddr,
    every: Option<Duration>,
    scraped: &mut u32,
) -> anyhow::Result<()> {
    let stop = Shutdown::new();
    std::thread::scope(|scope| {
        let processor = scope.spawn(|| pipeline.run_stream(&stop));
        let switch = &stop;
        let scraper = every.map(|every| scope.spawn(move || scrape_every(address, every, switch)));
        let waited = pipeline.wait_until_committed(Duration::from_secs(600));
        stop.trigger();
        processor.join().map_err(|_| anyhow::anyhow!("the stream processor panicked"))??;
        if let Some(scraper) = scraper {
            *scraped = scraper.join().map_err(|_| anyhow::anyhow!("the scraper panicked"))??;
        }
        waited
    })
}

/// From the start on, so that a run shorter than the pause has one, too.
fn scrape_every(address: SocketAddr, every: Duration, stop: &Shutdown) -> anyhow::Result<u32> {
    let mut scraped = 0;
    while !stop.is_triggered() {
        let began = Instant::now();
        get(address)?;
        scraped += 1;
        stop.sleep(every.saturating_sub(began.elapsed()));
    }
    Ok(scraped)
}

/// One scrape; gives the length of the answer.
fn get(address: SocketAddr) -> anyhow::Result<usize> {
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(
        format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{address} does not answer /metrics");
    Ok(answer.len())
}
