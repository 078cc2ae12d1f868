//! `syncline healthcheck`: asks the worker of this machine (or container) how it is, for orchestrators that can only run a
//! program. An image without a shell has no `curl`.
//!
//! What must hold: it needs no database, and it ends within its time limit, whatever the worker does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Error, Output};
use crate::config::Config;

/// The answers are one line of JSON; what is longer is not ours.
const ANSWER_LIMIT_BYTES: u64 = 16 * 1024;

/// Check whether the worker on this machine is alive; exit code 3 if it is not
#[derive(Debug, clap::Args)]
pub struct HealthcheckArgs {
    /// Also check readiness: a worker is not ready while it starts, drains, or has lost the database
    #[arg(long)]
    ready: bool,
    /// The address of the worker's probes [default: http.address of the configuration]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    /// Time limit for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout_seconds: u64,
}

/// Executes the command.
///
/// # Errors
/// [`Exit::Unhealthy`](super::Exit) when the worker is not well or does not answer, [`Exit::Usage`](super::Exit) when the
/// configuration leaves nobody to ask.
pub async fn run(args: HealthcheckArgs, config: &Config, output: Output) -> Result<(), Error> {
    let address = reachable(address(&args, config)?);
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let limit = Duration::from_secs(args.timeout_seconds);
    let answer = match timeout(limit, ask(address, path)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(problem)) => {
            return Err(Error::unhealthy(format!("no worker answers at http://{address}{path}: {problem}"))
                .help("start one with `syncline worker`, or give the address of its probes with --address"));
        }
        Err(_) => {
            let silence = format!("the worker at http://{address}{path} did not answer within {} s", limit.as_secs());
            return Err(Error::unhealthy(silence).help("it hangs or lacks CPU time: check its log, then restart it"));
        }
    };
    match parse(&answer) {
        Some((200, body)) => output.print(body),
        Some((status, body)) => Err(Error::unhealthy(format!("{path} answered {status}: {body}"))),
        None => Err(Error::unhealthy(format!("the process at {address} is not a worker: it does not speak HTTP"))
            .help("give the address of the worker's probes with --address")),
    }
}

fn address(args: &HealthcheckArgs, config: &Config) -> Result<SocketAddr, Error> {
    let help = "set SYNCLINE__HTTP__ADDRESS to the worker's address, or give --address";
    match args.address.or(config.http.address) {
        None => Err(Error::usage("http.address is none: the worker serves no probes").help(help)),
        Some(address) if address.port() == 0 => {
            Err(Error::usage("http.address has port 0, so the worker's port is unknown").help(help))
        }
        Some(address) => Ok(address),
    }
}

/// A worker that listens on every address is asked on the loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// One request on a connection of its own. No HTTP client: it would read proxy settings and certificates first.
async fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Status and body. The admin server sends bodies whole, with their length.
fn parse(answer: &str) -> Option<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, body.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_noise() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parse(answer), Some((503, "{}")));
        for noise in ["", "HTTP/1.1", "HTTP/1.1 2", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 xyz\r\n\r\n"] {
            assert_eq!(parse(noise), None, "{noise:?}");
        }
    }

    #[test]
    fn a_worker_that_listens_everywhere_is_asked_on_the_loopback() {
        for (listens, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("[2001:db8::7]:80", "[2001:db8::7]:80"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap(), "{listens}");
        }
    }
}
