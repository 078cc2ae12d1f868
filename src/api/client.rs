//! Who is at the other end of a request: their address, and whether their browser speaks HTTPS to the host that it names.
//!
//! What must hold: what a header says of it is believed only from a proxy of `serve.trusted_proxies`, and only in the headers of
//! `serve.forwarded_by`; everybody else can write such headers.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use super::shared::Shared;
use crate::config::{ForwardedBy, ServeConfig};

/// The other end of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address; none where a server was not asked over the network.
    pub address: Option<String>,
    /// Whether the browser speaks HTTPS, to the proxy or to here.
    pub is_https: bool,
    /// The host and port that the browser names.
    pub host: String,
}

impl FromRequestParts<Shared> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers, &parts.extensions, &shared.config))
    }
}

/// What a proxy says of the request that it passes on.
#[derive(Debug, Default)]
struct Said {
    hops: Vec<String>,
    proto: Option<String>,
    host: Option<String>,
}

impl Client {
    /// The client of a request.
    pub fn of(headers: &HeaderMap, extensions: &Extensions, config: &ServeConfig) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical());
        let said = match (peer.is_some_and(|peer| config.trusts(peer)), config.forwarded_by) {
            (false, _) => Said::default(),
            (true, ForwardedBy::XForwarded) => x_forwarded(headers),
            (true, ForwardedBy::Forwarded) => forwarded(headers),
        };
        let host = headers.get("host").and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
        let is_https = match config.public() {
            Some(public) => public.scheme() == "https",
            None => said.proto.as_deref().is_some_and(|proto| proto.eq_ignore_ascii_case("https")),
        };
        let address = outermost(peer, &said.hops, config).map(|address| address.to_string());
        Self { address, is_https, host: said.host.filter(|host| !host.is_empty()).unwrap_or(host) }
    }

    /// Whether the browser is on this machine, by the host that it names.
    pub fn is_local(&self) -> bool {
        is_this_machine(&self.host)
    }
}

/// Whether a host, with or without a port, is this machine's own name.
pub(super) fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// The first address, from here on outwards, that is no proxy of ours.
fn outermost(peer: Option<IpAddr>, hops: &[String], config: &ServeConfig) -> Option<IpAddr> {
    let mut found = peer?;
    for hop in hops.iter().rev() {
        if !config.trusts(found) {
            break;
        }
        // A proxy may hide an address; the last that is known is as far as can be seen.
        let Some(next) = address(hop) else { break };
        found = next;
    }
    Some(found)
}

/// An address as proxies write it: also with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let plain = text.parse().ok().or_else(|| text.parse::<SocketAddr>().map(|socket| socket.ip()).ok());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    plain.or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim).collect()
}

fn x_forwarded(headers: &HeaderMap) -> Said {
    // The last one is what the proxy next to us says.
    let last = |name: &str| values(headers, name).last().map(|text| (*text).to_owned());
    Said {
        hops: values(headers, "x-forwarded-for").into_iter().map(str::to_owned).collect(),
        proto: last("x-forwarded-proto"),
        host: last("x-forwarded-host"),
    }
}

fn forwarded(headers: &HeaderMap) -> Said {
    let mut said = Said::default();
    for element in values(headers, "forwarded") {
        let mut hop = String::new();
        for (name, value) in element.split(';').filter_map(|pair| pair.trim().split_once('=')) {
            let value = value.trim_matches('"').to_owned();
            match name.to_ascii_lowercase().as_str() {
                "for" => hop = value,
                "proto" => said.proto = Some(value),
                "host" => said.host = Some(value),
                _ => {}
            }
        }
        said.hops.push(hop);
    }
    said
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seen(peer: &str, config: &ServeConfig, pairs: &[(&'static str, &str)]) -> Client {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 40_000)));
        Client::of(&headers, &extensions, config)
    }

    fn trusting(networks: &str, forwarded_by: ForwardedBy) -> ServeConfig {
        ServeConfig { trusted_proxies: networks.to_owned(), forwarded_by, ..ServeConfig::default() }
    }

    #[test]
    fn only_trusted_proxies_say_who_is_behind_them() {
        let pairs = &[
            ("host", "inside:8080"),
            ("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "syncline.example.com"),
            ("forwarded", "for=9.9.9.9;proto=http"),
        ];
        let config = trusting("10.0.0.0/8", ForwardedBy::XForwarded);
        let client = seen("10.0.0.1", &config, pairs);
        assert_eq!(client.address.as_deref(), Some("203.0.113.9"), "what stands before it, a stranger can write");
        assert_eq!((client.is_https, client.host.as_str()), (true, "syncline.example.com"));
        for (peer, config) in [("203.0.113.7", &config), ("10.0.0.1", &ServeConfig::default())] {
            let client = seen(peer, config, pairs);
            assert_eq!(client, Client { address: Some(peer.to_owned()), is_https: false, host: "inside:8080".into() });
        }
        let odd = seen("10.0.0.1", &config, &[("x-forwarded-for", "unknown"), ("host", "a")]);
        assert_eq!(odd.address.as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn the_header_forwarded_is_read_where_it_is_chosen() {
        let config = trusting("10.0.0.0/8", ForwardedBy::Forwarded);
        let pairs = &[
            ("host", "inside"),
            ("forwarded", r#"for="[2001:db8::7]:4711";proto=https;host=syncline.example.com, for=10.0.0.2"#),
            ("x-forwarded-for", "6.6.6.6"),
        ];
        let client = seen("::ffff:10.0.0.1", &config, pairs);
        assert_eq!(client.address.as_deref(), Some("2001:db8::7"));
        assert!(client.is_https && client.host == "syncline.example.com");
    }

    #[test]
    fn the_public_address_decides_whether_it_is_https() {
        let config = ServeConfig { public_url: Some("https://syncline.example.com".into()), ..ServeConfig::default() };
        assert!(seen("10.0.0.1", &config, &[("host", "inside")]).is_https);
    }
}
