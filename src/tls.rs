//! HTTP clients, with the one implementation of TLS's cryptography that this program is built with.
//!
//! Every client is made by [`client`]: a client of reqwest needs the cryptography chosen before it is built. It is `ring`, because
//! it builds in seconds where the other choice, a C library, took a third of a newcomer's first build.

use std::sync::Once;

use reqwest::ClientBuilder;

/// Chooses the cryptography for this process. Later calls change nothing.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It fails only where another choice was made before, which serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
    });
}

/// An HTTP client, still to be built.
#[expect(clippy::disallowed_methods, reason = "the one place where clients are made")]
pub fn client() -> ClientBuilder {
    install();
    reqwest::Client::builder()
}
