//! The server that a URI names.

use http::Uri;

/// Formats the server of a URI for messages: `https://host:port`.
pub fn endpoint(uri: &Uri) -> String {
    let host = uri.host().unwrap_or("(no host)");
    format!("{}://{host}:{}", uri.scheme_str().unwrap_or("http"), port(uri))
}

/// The port of a URI, or the default port of its scheme.
pub fn port(uri: &Uri) -> u16 {
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    uri.port_u16().unwrap_or(usual)
}
