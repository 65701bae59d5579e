//! Accepts connections, serves each of them, and ends them all in time.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::app::ended;
use crate::config::ConsoleConfig;
use crate::stall::StallGuard;

/// Bytes read ahead for a connection. hyper's own limit is 400 KiB, which a thousand slow
/// connections would turn into 400 MiB.
const READ_AHEAD_BYTES: usize = 32 << 10;

/// After a failed accept (mostly: too many open files) this long nothing is accepted.
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// An answer that is not taken for this long ends its connection.
const WRITE_STALL: Duration = Duration::from_secs(30);

/// How long open connections may go on when the console ends.
const LAST_CALL: Duration = Duration::from_millis(800);

/// What a client still sends after its answer is read and dropped, until it pauses for this long
/// (less when the console ends) or has had this time or sent this much. Closing at once would
/// reset the connection, and a reset can overtake the answer.
const LINGER_PAUSE: Duration = Duration::from_millis(500);
const LAST_LINGER_PAUSE: Duration = Duration::from_millis(200);
const LINGER_TIME: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 << 20;

type BoxedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Serves until `closing` turns true, then ends what is open.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    config: &ConsoleConfig,
    mut closing: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(config.header_timeout).max_buf_size(READ_AHEAD_BYTES);
    let service = TowerToHyperService::new(router);
    let places = Arc::new(Semaphore::new(config.max_connections.max(1)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            // Those that have ended are let go, or the set would grow for ever.
            Some(_) = connections.join_next() => continue,
            () = ended(&mut closing) => break,
        };
        match accepted {
            Ok((stream, place)) => {
                let connection = serve_connection(stream, http.clone(), service.clone(), closing.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted; resting");
                sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    let deadline = Instant::now() + LAST_CALL;
    while let Ok(Some(_)) = timeout_at(deadline, connections.join_next()).await {}
    if !connections.is_empty() {
        tracing::warn!(connections = connections.len(), "connections were cut at the end");
    }
    connections.abort_all();
}

/// The next connection, once there is a place for it; others wait in the system's queue.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Answers are written whole; waiting to fill packets would only delay them.
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn serve_connection(
    stream: TcpStream,
    http: http1::Builder,
    service: TowerToHyperService<Router>,
    mut closing: watch::Receiver<bool>,
) {
    let answer = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        // Boxed, because taking the socket back asks for a future that can be moved.
        let answer: BoxedFuture<_> = Box::pin(service.call(request));
        answer
    });
    let io = TokioIo::new(StallGuard::new(stream, WRITE_STALL));
    let mut connection = http.serve_connection(io, answer);
    let served = tokio::select! {
        served = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => served,
        () = ended(&mut closing) => {
            Pin::new(&mut connection).graceful_shutdown();
            std::future::poll_fn(|context| connection.poll_without_shutdown(context)).await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
    let stream = connection.into_parts().io.into_inner().into_stream();
    let pause = if *closing.borrow() { LAST_LINGER_PAUSE } else { LINGER_PAUSE };
    linger(stream, pause).await;
}

/// Says that nothing more comes, and waits a little for the other side to say the same.
async fn linger(mut stream: TcpStream, pause: Duration) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let deadline = Instant::now() + LINGER_TIME;
    let mut dropped = 0;
    // On the heap: within the future it would be part of every connection from its start.
    let mut bytes = vec![0; 16 << 10];
    while Instant::now() < deadline && dropped < LINGER_BYTES {
        match timeout(pause, stream.read(&mut bytes)).await {
            Ok(Ok(count @ 1..)) => dropped += count,
            _ => return,
        }
    }
}
