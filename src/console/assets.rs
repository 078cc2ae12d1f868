//! The style sheets, the script and the icon: part of the program, under names that hold a hash of their content.
//!
//! What must hold: an address never changes what it answers, so that browsers keep it for a year; a new program has new addresses.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

const CSS: &str = "text/css; charset=utf-8";
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static [u8],
    address: String,
}

static ASSETS: LazyLock<[Asset; 4]> = LazyLock::new(|| {
    [
        asset("tokens.css", CSS, include_bytes!("assets/tokens.css")),
        asset("console.css", CSS, include_bytes!("assets/console.css")),
        asset("console.js", "text/javascript; charset=utf-8", include_bytes!("assets/console.js")),
        asset("icon.svg", "image/svg+xml", include_bytes!("assets/icon.svg")),
    ]
});

fn asset(name: &'static str, kind: &'static str, body: &'static [u8]) -> Asset {
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    let hash = blake3::hash(body).to_hex();
    Asset { name, kind, body, address: format!("{stem}-{}.{ending}", &hash[..12]) }
}

/// The address of an asset below `/assets/`.
pub(super) fn address(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| &asset.address)
}

/// Answers an asset.
pub(super) async fn serve(Path(asked): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.address == asked) {
        Some(asset) => {
            let kind = HeaderValue::from_static(asset.kind);
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, KEPT)], asset.body).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
