//! A way to the database that can fall silent: connections stay open and nothing comes through, as when a firewall has
//! forgotten them, or the peer was taken away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use url::Url;

/// The way; it ends with this value.
pub struct SilentWay {
    address: SocketAddr,
    state: Arc<State>,
    task: AbortHandle,
}

#[derive(Default)]
struct State {
    /// Connections so far.
    opened: AtomicU64,
    /// Connections with a smaller number than this are silent.
    silent_below: AtomicU64,
    /// How many of the next connections are reset at once.
    to_reset: AtomicU64,
}

impl SilentWay {
    /// A way to the server of `url`.
    pub async fn to(url: &str) -> Self {
        let url = Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let task = tokio::spawn(serve(listener, server, Arc::clone(&state))).abort_handle();
        Self { address, state, task }
    }

    /// `url` by this way.
    pub fn url(&self, url: &str) -> String {
        let mut url = Url::parse(url).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    /// Makes every open connection silent for ever; later ones are not.
    pub fn silence_open(&self) {
        self.state.silent_below.store(self.opened(), Ordering::SeqCst);
    }

    /// Makes every connection silent, later ones too.
    pub fn silence_all(&self) {
        self.state.silent_below.store(u64::MAX, Ordering::SeqCst);
    }

    /// Resets the next connections as soon as they are made.
    pub fn reset_next(&self, count: u64) {
        self.state.to_reset.store(count, Ordering::SeqCst);
    }

    /// How many connections were made so far.
    pub fn opened(&self) -> u64 {
        self.state.opened.load(Ordering::SeqCst)
    }
}

impl Drop for SilentWay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: String, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let number = state.opened.fetch_add(1, Ordering::SeqCst);
        let reset = state.to_reset.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if reset.is_ok() {
            // Closed with something unread, or without lingering: the peer sees a reset.
            client.set_zero_linger().unwrap();
            drop(client);
            continue;
        }
        let (server, state) = (server.clone(), Arc::clone(&state));
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            server.set_nodelay(true).unwrap();
            client.set_nodelay(true).unwrap();
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            tokio::join!(carry(from_client, to_server, &state, number), carry(from_server, to_client, &state, number));
        });
    }
}

/// Carries bytes, or swallows them; a silent connection is not even closed.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, number: u64) {
    let mut bytes = vec![0; 16 * 1024];
    let is_silent = || number < state.silent_below.load(Ordering::SeqCst);
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        if count == 0 && !is_silent() {
            let _ = to.shutdown().await;
            return;
        }
        if count == 0 {
            return std::future::pending().await;
        }
        if !is_silent() && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
