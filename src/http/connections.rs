//! The connections of a port: a bounded number, each with bounded time.
//!
//! Whoever reaches the port may open connections and say nothing, send a header byte by byte, or read no answer. Each of them
//! would keep a descriptor, and a process without descriptors reaches neither Jira nor its database.
//!
//! What must hold: at most [`Limits::most`] connections are open, whatever is done to the port; a probe is answered while it is done,
//! because a new connection takes the place of the one that has waited longest for its own request; what a client does not do
//! in its time ends its connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Connections that may be open at once. Probes, Prometheus and a person use three or four.
pub const MOST: usize = 64;
/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections that may be open at once.
    pub most: usize,
    /// For the head of a request; also how long it may keep a connection without one.
    pub head: Duration,
    /// From the head of a request to the head of its answer, a slow body included.
    pub request: Duration,
    /// To take something more of an answer.
    pub write: Duration,
    /// To take the rest of an answer when the server stops.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { most: MOST, head: seconds(10), request: seconds(15), write: seconds(10), stop: seconds(1) }
    }
}

/// An answer under way that is older gives way to a new connection, when every connection is at its answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// The head of a request, in bytes. hyper takes no less than 8,192.
const HEAD_BYTES: usize = 16 * 1024;
/// How long to wait when the system gives no connection: it has no descriptor left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// A connection that is open.
struct Open {
    since: Instant,
    /// Whether a request of it is being answered.
    is_answering: Arc<AtomicBool>,
    drop_it: CancellationToken,
}

/// Those that are open, by the order in which they came.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<Vec<Open>>>);

impl Registry {
    /// Takes a place for a new connection, from another one if need be; none when every other one is busy.
    fn admit(&self, most: usize) -> Option<(Arc<AtomicBool>, CancellationToken)> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|one| !one.drop_it.is_cancelled());
        if open.len() >= most {
            let idle = open.iter().position(|one| !one.is_answering.load(Ordering::Relaxed));
            let stuck = || open.iter().position(|one| one.since.elapsed() > ANSWERED_WITHIN);
            let place = idle.or_else(stuck)?;
            open.remove(place).drop_it.cancel();
        }
        let (is_answering, drop_it) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        open.push(Open { since: Instant::now(), is_answering: Arc::clone(&is_answering), drop_it: drop_it.clone() });
        Some((is_answering, drop_it))
    }
}

/// Serves `app` on `listener` until `stop`, then answers what has been asked.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, stop: CancellationToken) {
    serve_with(listener, app, limits, Registry::default(), stop).await;
}

async fn serve_with(listener: TcpListener, app: Router, limits: Limits, registry: Registry, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        // Without a place the stream is closed here.
        if let Some((is_answering, drop_it)) = registry.admit(limits.most) {
            tasks.spawn(serve_one(stream, peer, app.clone(), limits, is_answering, drop_it, stop.clone()));
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

async fn serve_one(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    limits: Limits,
    is_answering: Arc<AtomicBool>,
    drop_it: CancellationToken,
    stop: CancellationToken,
) {
    // Small answers must not wait for more to send; a connection that refuses the option still works.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let (app, is_answering) = (app.clone(), Arc::clone(&is_answering));
        async move {
            let _answering = Answering::of(is_answering);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = timeout(limits.request, app.oneshot(request.map(axum::body::Body::new))).await;
            Ok::<Response, Infallible>(match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(never)) => match never {},
                Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
            })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Limited::new(stream, limits.write)), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        () = drop_it.cancelled() => {}
        // What a client does wrong is its own affair: nothing is logged, so that nobody fills the log from outside.
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(limits.stop, connection).await;
        }
    }
    // Gone from the registry, whichever way it ended.
    drop_it.cancel();
}

/// Marks a connection for as long as a request of it is being answered.
struct Answering(Arc<AtomicBool>);

impl Answering {
    fn of(mark: Arc<AtomicBool>) -> Self {
        mark.store(true, Ordering::Relaxed);
        Self(mark)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A stream whose reader must take something of an answer in time.
struct Limited {
    inner: TcpStream,
    limit: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Limited {
    fn new(inner: TcpStream, limit: Duration) -> Self {
        Self { inner, limit, stalled: None }
    }

    /// Passes an outcome on; one that is pending for too long is an error.
    fn within<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Limited {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Limited {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.within(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.within(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.within(cx, outcome)
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
