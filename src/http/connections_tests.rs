#![allow(clippy::unwrap_used)]

use axum::routing::{get, put};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    registry: Registry,
}

/// Short enough to be waited for, in tests of what happens when they pass.
const SHORT: Limits = Limits {
    most: MOST,
    head: Duration::from_millis(300),
    request: Duration::from_millis(300),
    write: Duration::from_millis(300),
    stop: Duration::from_millis(300),
};

async fn served(limits: Limits) -> Served {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/", get(|| async { "well" }))
        .route("/large", get(|| async { vec![b'x'; 64 * 1024 * 1024] }))
        .route("/echo", put(|text: String| async { text }));
    let stop = CancellationToken::new();
    let registry = Registry::default();
    let task = tokio::spawn(serve_with(listener, app, limits, registry.clone(), stop.clone()));
    Served { address, stop, task, registry }
}

impl Served {
    async fn open(&self, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// Asks on a connection of its own, as a probe does.
    async fn probe(&self) -> String {
        let mut stream = self.open("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// Sockets that were accepted on the port and are open.
#[cfg(target_os = "linux")]
fn accepted(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let ours = format!(":{port:04X}");
    // Established, with an owner in this process: a closed one has no inode any more.
    let is_ours = |line: &&str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        cells.get(1).is_some_and(|local| local.ends_with(&ours))
            && cells.get(3) == Some(&"01")
            && cells.get(9) != Some(&"0")
    };
    table.lines().filter(is_ours).count()
}

#[tokio::test]
async fn half_open_requests_take_no_more_than_the_places_there_are() {
    let served = served(Limits::default()).await;
    let mut held = Vec::new();
    for number in 0..300 {
        held.push(served.open("GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await);
        if number % 50 == 49 {
            let answer = served.probe().await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("well"), "after {number}: {answer}");
        }
    }
    #[cfg(target_os = "linux")]
    {
        let open = accepted(served.address.port());
        assert!((MOST / 2..=MOST + 2).contains(&open), "{open} sockets");
    }
    // The oldest was dropped: its client reads the end.
    let mut rest = Vec::new();
    let read = held[0].read_to_end(&mut rest).await;
    assert!(read.is_err() || rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    served.stop.cancel();
    served.task.await.unwrap();
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_its_connection() {
    let served = served(SHORT).await;
    let mut slow = served.open("GET / HT").await;
    let mut silent = served.open("").await;
    let mut rest = Vec::new();
    for stream in [&mut slow, &mut silent] {
        stream.read_to_end(&mut rest).await.unwrap();
    }
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408() {
    let served = served(SHORT).await;
    let mut slow = served.open("PUT /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nab").await;
    let mut answer = vec![0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
}

#[tokio::test]
async fn who_takes_no_answer_loses_the_connection() {
    let served = served(SHORT).await;
    let mut stuck = served.open("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // Nothing is read until the server has given up: then what is in flight comes, and the end before the whole.
    let is_gone = || {
        let open = served.registry.0.lock().unwrap();
        !open.is_empty() && open.iter().all(|one| one.drop_it.is_cancelled())
    };
    while !is_gone() {
        sleep(Duration::from_millis(5)).await;
    }
    let mut rest = Vec::new();
    let read = stuck.read_to_end(&mut rest).await;
    assert!(rest.len() < 64 * 1024 * 1024, "{read:?} {}", rest.len());
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let served = served(Limits::default()).await;
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(64 * 1024));
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    // The server may close before it has taken all of it.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_connection_at_its_answer_gives_way_only_when_it_is_old() {
    let registry = Registry::default();
    let first: Vec<_> = (0..MOST).map(|_| registry.admit(MOST).unwrap()).collect();
    first.iter().for_each(|(is_answering, _)| is_answering.store(true, Ordering::Relaxed));
    assert!(registry.admit(MOST).is_none(), "every one is being answered");
    first[7].0.store(false, Ordering::Relaxed);
    let (mark, _) = registry.admit(MOST).unwrap();
    assert!(first[7].1.is_cancelled(), "the idle one gives way");
    mark.store(true, Ordering::Relaxed);
    assert!(registry.admit(MOST).is_none(), "every one is being answered again");
    registry.0.lock().unwrap()[0].since -= ANSWERED_WITHIN * 2;
    assert!(registry.admit(MOST).is_some() && first[0].1.is_cancelled(), "the one at an old answer gives way");
}
