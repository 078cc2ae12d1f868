//! `syncline healthcheck` tells an orchestrator that has no HTTP client of its own how the worker is.

use std::process::{Command, Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{TestDb, WorkerProcess, program};

/// Exit code and everything that was said.
async fn healthcheck(address: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program());
    command.arg("healthcheck").args(arguments).env_clear().env("SYNCLINE__HTTP__ADDRESS", address);
    command.current_dir("/").stdin(Stdio::null());
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (status.code(), [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_alive_and_ready_until_it_is_gone() {
    let db = TestDb::new().await;
    let mut worker = WorkerProcess::start(db.url(), &[]).await;
    let address = worker.address().to_owned();
    let (code, said) = healthcheck(&address, &[]).await;
    assert_eq!((code, said.trim()), (Some(0), r#"{"status":"alive"}"#));
    let (code, said) = healthcheck(&address, &["--ready"]).await;
    assert_eq!(code, Some(0), "{said}");
    // The flag wins over the configuration.
    let (code, said) = healthcheck("none", &["--address", &address]).await;
    assert_eq!(code, Some(0), "{said}");
    // One that listens on every address is found on the loopback.
    let everywhere = address.replace("127.0.0.1", "0.0.0.0");
    assert_eq!(healthcheck(&everywhere, &[]).await.0, Some(0));
    worker.kill();
    let (code, said) = healthcheck(&address, &[]).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("no worker answers") && said.contains("help: "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_takes_no_work_is_not_ready_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let body = r#"{"status":"draining","reason":"is stopping and takes no more work"}"#;
            let answer = format!(
                "HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            // Closing before the request has been read would be a reset, which takes the answer along.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
        }
    });
    let (code, said) = healthcheck(&address, &["--ready"]).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("/readyz answered 503") && said.contains("draining"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (code, said) = healthcheck(&address, &["--timeout-seconds", "1"]).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("did not answer within 1 s"), "{said}");
    drop(listener);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_to_ask_is_a_mistake_of_the_configuration() {
    for (address, words) in [("none", "serves no probes"), ("127.0.0.1:0", "port 0")] {
        let (code, said) = healthcheck(address, &[]).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words) && said.contains("SYNCLINE__HTTP__ADDRESS"), "{said}");
    }
}
