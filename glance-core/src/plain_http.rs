//! Plain http: who can read what goes over it, and what the operator is told of it.

use url::{Host, Url};

use crate::TERMINAL;

/// Whether others can read what goes to `url`: it is http, and not to this machine.
pub fn is_exposed(url: &Url) -> bool {
    is_plain(url) && !is_loopback(url)
}

/// Whether `url` is http, however its scheme is spelled.
pub fn is_plain(url: &Url) -> bool {
    url.scheme() == "http"
}

/// Tells the operator, whatever becomes of messages, that `what` can be read on the way to `url`;
/// nothing where it can't.
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
