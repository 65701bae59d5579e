//! A socket that gives up on a peer which does not take what it is sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// In each such span the peer takes all that there is for it, or at least this many bytes: what is
/// taken a byte at a time would be held for hours.
const SPAN: Duration = Duration::from_secs(30);
const LEAST_BYTES: usize = 256 << 10;

/// hyper limits how slowly a request may come; this limits how slowly an answer may be taken.
pub(super) struct StallGuard {
    stream: TcpStream,
    span: Duration,
    /// Runs while something waits to be written, and how much was written meanwhile.
    stalled: Option<(Pin<Box<Sleep>>, usize)>,
}

impl StallGuard {
    pub fn new(stream: TcpStream) -> StallGuard {
        StallGuard { stream, span: SPAN, stalled: None }
    }

    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn judge(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = written {
            if let (Some((_, taken)), Ok(count)) = (&mut self.stalled, &outcome) {
                *taken += count;
                if *taken >= LEAST_BYTES {
                    self.stalled = None;
                }
            }
            return Poll::Ready(outcome);
        }
        let span = self.span;
        let (stalled, _) = self.stalled.get_or_insert_with(|| (Box::pin(sleep(span)), 0));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for StallGuard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for StallGuard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when everything has been written: nothing is waited for any more.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stalled = None;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A guarded socket and its peer.
    async fn pair(span: Duration) -> (StallGuard, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (StallGuard { span, ..StallGuard::new(stream) }, peer)
    }

    #[tokio::test]
    async fn bytes_taken_one_by_one_are_not_enough() {
        let (mut guard, mut peer) = pair(Duration::from_millis(400)).await;
        let dripping = tokio::spawn(async move {
            let mut few = [0; 16];
            while let Ok(1..) = peer.read(&mut few).await {
                sleep(Duration::from_millis(5)).await;
            }
        });
        let error = guard.write_all(&vec![0; 64 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(guard);
        dripping.abort();
    }

    #[tokio::test]
    async fn a_slow_but_honest_peer_gets_everything() {
        let (mut guard, mut peer) = pair(Duration::from_millis(400)).await;
        let reading = tokio::spawn(async move {
            let (mut all, mut part) = (0, vec![0; 512 << 10]);
            while let Ok(count @ 1..) = peer.read(&mut part).await {
                all += count;
                sleep(Duration::from_millis(5)).await;
            }
            all
        });
        guard.write_all(&vec![0; 32 << 20]).await.unwrap();
        drop(guard);
        assert_eq!(reading.await.unwrap(), 32 << 20);
    }
}
