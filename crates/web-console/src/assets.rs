//! The stylesheet, the script and the icon. They are served under a name that holds the hash of their content, so a
//! browser keeps them for a year and still never uses an old one.

use std::{fmt::Write, sync::LazyLock};

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

struct Asset {
    path: String,
    content_type: &'static str,
    content: &'static str,
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("console", "css", "text/css; charset=utf-8", include_str!("../assets/console.css"))
});
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("console", "js", "text/javascript; charset=utf-8", include_str!("../assets/console.js"))
});
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")));

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str, content: &'static str) -> Self {
        let mut path = format!("/assets/{name}-");
        for byte in &Sha256::digest(content)[..6] {
            // Writing to a string does not fail.
            let _ = write!(path, "{byte:02x}");
        }
        path.push('.');
        path.push_str(extension);
        Self { path, content_type, content }
    }
}

pub(crate) fn style() -> &'static str {
    &STYLE.path
}

pub(crate) fn script() -> &'static str {
    &SCRIPT.path
}

pub(crate) fn icon() -> &'static str {
    &ICON.path
}

/// `GET /assets/{name}`.
pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    let found = [&STYLE, &SCRIPT, &ICON]
        .into_iter()
        .find(|asset| asset.path.strip_prefix("/assets/").is_some_and(|path| path == name));
    match found {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, asset.content_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.content,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// All of them: address and content.
pub(crate) fn all() -> [(&'static str, &'static str); 3] {
    [&STYLE, &SCRIPT, &ICON].map(|asset| (asset.path.as_str(), asset.content))
}
