//! Opening a port: the one that was configured, or the next free one where nobody configured any.
//!
//! What must hold: an address that somebody asked for is taken or refused, never replaced; what is found is kept, so that two
//! processes that start at once do not meet at one port.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// How many ports after the default one are tried.
const PORTS_TRIED: u16 = 50;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process listens there.
    #[error(
        "the {of} address {address} is in use: stop the process that uses it, or choose another address (port 0 \
            takes any free port)"
    )]
    Taken {
        /// Whose address: `admin`, `API`.
        of: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system does not let this process listen there.
    #[error(
        "cannot listen on the {of} address {address}: check that this machine has the address and that the port is \
            above 1023"
    )]
    Listen {
        /// Whose address: `admin`, `API`.
        of: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Listens on `wanted`, or on the first address after it that nobody listens on if the address `may_move`: several processes
/// of one machine need no configuration. Answers where, the real port when 0 was asked for.
///
/// # Errors
/// When the address is taken (with the next [`PORTS_TRIED`] ports, if it may move) or cannot be used.
pub async fn open(of: &'static str, wanted: SocketAddr, may_move: bool) -> Result<(TcpListener, SocketAddr), Error> {
    let mut address = wanted;
    loop {
        match bind(of, address).await {
            Err(Error::Taken { .. }) if may_move && address.port() < wanted.port().saturating_add(PORTS_TRIED) => {
                address.set_port(address.port() + 1);
            }
            found => {
                let listener = found?;
                let address = listener.local_addr().map_err(|source| Error::Listen { of, address: wanted, source })?;
                return Ok((listener, address));
            }
        }
    }
}

async fn bind(of: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::Taken { of, address, source },
        _ => Error::Listen { of, address, source },
    })
}
