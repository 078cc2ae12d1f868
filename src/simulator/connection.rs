//! Connections that can be reset on purpose.
//!
//! A fault that only drops the answer looks like a polite close; networks are not polite. Every accepted connection carries
//! a switch, and a request that meets the fault turns it: the socket is closed with a TCP reset.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// The switch of one connection, given to its requests.
#[derive(Clone, Debug)]
pub(super) struct Connection(Arc<AtomicBool>);

impl Connection {
    /// Breaks the connection at its next read or write.
    pub(super) fn reset(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Accepts connections that can be reset.
pub(super) struct Resettable(pub(super) TcpListener);

/// One such connection.
pub(super) struct Stream {
    inner: TcpStream,
    broken: Connection,
}

impl Stream {
    fn check(&self) -> io::Result<()> {
        if !self.broken.0.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Closing a socket that lingers for no time sends RST instead of FIN.
        self.inner.set_zero_linger()?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl Listener for Resettable {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        let (inner, address) = Listener::accept(&mut self.0).await;
        // Small answers must not wait for more to send; a connection that refuses the option still works.
        let _ = inner.set_nodelay(true);
        (Stream { inner, broken: Connection(Arc::default()) }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Resettable>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Resettable>) -> Self {
        stream.io().broken.clone()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
