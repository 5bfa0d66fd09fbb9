//! Warnings about plain http, which others can read.

use url::{Host, Url};

use glance_core::TERMINAL;

/// Whether others can read what is sent to `url`: it uses http and is not on this machine.
pub fn is_exposed(url: &Url) -> bool {
    is_plain(url) && !is_loopback(url)
}

/// Whether `url` uses http.
pub fn is_plain(url: &Url) -> bool {
    url.scheme() == "http"
}

/// Warns the operator at the terminal, regardless of the log settings, that `what` can be read on
/// the way to `url`. Does nothing for https.
pub fn warn(url: &Url, what: &str) {
    if is_plain(url) {
        let origin = url.origin().ascii_serialization();
        tracing::warn!(
            target: TERMINAL,
            "{origin} is plain http: anyone on the network path can read {what}; use https"
        );
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        // RFC 6761, section 6.3.
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|it| it.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_beyond_this_machine_is_exposed() {
        for (url, exposed) in [
            ("http://g:9292/image", true),
            ("HTTP://G:9292", true),
            ("hTTp:\\\\g", true),
            ("http://192.0.2.1", true),
            ("http://localhost.example", true),
            ("http://127.0.0.1.example", true),
            ("http://user@g", true),
            ("https://g", false),
            ("HTTPS://g", false),
            ("http://localhost:9292", false),
            ("http://LOCALHOST", false),
            ("http://127.0.0.1:9292", false),
            ("http://127.1", false),
            ("http://[::1]:9292", false),
            ("http://[::ffff:127.0.0.1]", false),
            ("http://[::ffff:192.0.2.1]", true),
            ("http://0.0.0.0", true),
        ] {
            assert_eq!(is_exposed(&Url::parse(url).unwrap()), exposed, "{url}");
        }
    }
}
