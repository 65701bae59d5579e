//! Accepts connections, serves each of them, and ends them all in time.

use std::net::SocketAddr;
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
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::client::Client;
use super::fair::{FairPermit, FairSemaphore};
use super::handles;
use super::stall::StallGuard;

/// A request's header, with its address.
const MAX_HEADER_BYTES: usize = 32 << 10;

/// Bytes read ahead for a connection. hyper's own limit is 400 KiB, which a thousand slow
/// connections would turn into 400 MiB.
const READ_AHEAD_BYTES: usize = 32 << 10;

/// After a failed accept (mostly: too many open files) this long nothing is accepted.
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// Connections without a permit: when all are taken, this many wait for one, for so long, and as many
/// more are refused at once. Further ones wait in the system's queue.
const WAITING: usize = 64;
const PERMIT_PATIENCE: Duration = Duration::from_secs(2);

/// How long open connections may continue when the server ends.
const LAST_CALL: Duration = Duration::from_millis(800);

/// What a client still sends after its answer is read and dropped, until it pauses for this long
/// (less when the server ends) or has had this time or sent this much. Closing at once would
/// reset the connection, and a reset can overtake the answer.
const LINGER_PAUSE: Duration = Duration::from_millis(500);
const LAST_LINGER_PAUSE: Duration = Duration::from_millis(200);
const LINGER_TIME: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 << 20;

type BoxedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the system holds of a connection's answers (it doubles this): by itself it would hold
/// megabytes for each client that does not read.
const SEND_BUFFER_BYTES: u32 = 128 << 10;

/// Connections that wait in the system's queue.
const BACKLOG: u32 = 1_024;

/// How much of this process a server may take.
#[derive(Debug, Clone, Copy)]
pub struct ServerConfig {
    /// Open connections; a few more wait shortly for one to end, others are answered 503.
    pub max_connections: usize,
    /// A request's header must be complete within this time.
    pub header_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig { max_connections: 1_024, header_timeout: Duration::from_secs(10) }
    }
}

/// Resolves when the server ends.
pub async fn ended(closing: &mut watch::Receiver<bool>) {
    // An error would say that the sender, and with it the server, is gone: ended as well. The value is
    // dropped at once, because holding it blocks the sender.
    drop(closing.wait_for(|closing| *closing).await);
}

/// Listens on the first of these addresses that can be had.
///
/// # Errors
/// Why the last of them cannot be had.
pub fn listen(addresses: &[SocketAddr]) -> std::io::Result<TcpListener> {
    let mut failure = std::io::Error::new(std::io::ErrorKind::InvalidInput, "the name has no address");
    for address in addresses {
        let listening = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
            socket.bind(*address)?;
            socket.listen(BACKLOG)
        };
        match listening() {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Serves until `closing` turns true, then ends what is open.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: ServerConfig,
    mut closing: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(config.header_timeout).max_buf_size(READ_AHEAD_BYTES);
    http.max_header_size(MAX_HEADER_BYTES);
    let service = TowerToHyperService::new(router);
    let permits = FairSemaphore::new(handles::connections(config.max_connections.max(1)));
    let guests = Arc::new(Semaphore::new(2 * WAITING));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &guests) => accepted,
            // Those that have ended are dropped, or the set would grow for ever.
            Some(_) = connections.join_next() => continue,
            () = ended(&mut closing) => break,
        };
        match accepted {
            Ok((stream, peer, guest)) => {
                let (http, service, closing) = (http.clone(), service.clone(), closing.clone());
                let (client, permits) = (Client::of(peer.ip()), permits.clone());
                let is_crowded = guests.available_permits() < WAITING;
                connections.spawn(async move {
                    let patience = if is_crowded { Duration::ZERO } else { PERMIT_PATIENCE };
                    let Some(permit) = acquire(permits, client, patience, closing.clone()).await else {
                        return refuse(stream).await;
                    };
                    drop(guest);
                    serve_connection(stream, client, http, service, closing).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted; pausing");
                sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    let deadline = Instant::now() + LAST_CALL;
    while let Ok(Some(_)) = timeout_at(deadline, connections.join_next()).await {}
    if !connections.is_empty() {
        tracing::warn!(connections = connections.len(), "open connections were closed at shutdown");
    }
    connections.abort_all();
}

/// The next connection, once there is room for a guest.
async fn accept(
    listener: &TcpListener,
    guests: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let guest = Arc::clone(guests).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Answers are written whole; waiting to fill packets would only delay them.
    stream.set_nodelay(true)?;
    Ok((stream, peer, guest))
}

/// A permit, if one comes free in time.
async fn acquire(
    permits: FairSemaphore,
    client: Client,
    patience: Duration,
    mut closing: watch::Receiver<bool>,
) -> Option<FairPermit> {
    tokio::select! {
        permit = permits.acquire(client, patience) => permit,
        () = ended(&mut closing) => None,
    }
}

/// Says that all permits are taken. The request is not waited for: it could take its time.
async fn refuse(mut stream: TcpStream) {
    let body = r#"{"error":"too many connections are open already; try again shortly"}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    if timeout(LINGER_PAUSE, stream.write_all(answer.as_bytes())).await.is_ok() {
        linger(stream, LAST_LINGER_PAUSE).await;
    }
}

async fn serve_connection(
    stream: TcpStream,
    client: Client,
    http: http1::Builder,
    service: TowerToHyperService<Router>,
    mut closing: watch::Receiver<bool>,
) {
    let answer = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(client);
        // Boxed, because taking the socket back asks for a future that can be moved.
        let answer: BoxedFuture<_> = Box::pin(service.call(request));
        answer
    });
    let io = TokioIo::new(StallGuard::new(stream));
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
