//! Selects the proxy for a server, from the environment variables that other tools use.

use std::fmt;

use glance_core::transport::address::{endpoint, port};
use glance_core::transport::{TransportError, TransportErrorKind};
use http::{HeaderValue, StatusCode, Uri};
use hyper_util::client::proxy::matcher::Matcher;

/// The proxies to use; none by default. `Debug` shows no password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    exceptions: Vec<Exception>,
}

/// A variable whose value is not a supported proxy. The error omits the value, which may contain a
/// password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {reason}")]
pub struct ProxyError {
    /// The name of the variable.
    pub variable: &'static str,
    /// What is wrong with the value, as a fragment of a sentence.
    pub reason: &'static str,
    /// What the operator can do about it.
    pub hint: &'static str,
}

impl Proxies {
    /// Reads the proxies from environment variables: `https_proxy` for https servers, `http_proxy`
    /// for http servers, `all_proxy` for both, and `no_proxy` for exceptions (domain names
    /// including their subdomains, addresses, CIDR blocks or `*`, each with an optional `:port`).
    /// As in curl and requests, the lower-case name of a variable takes precedence over the
    /// upper-case one, and an empty value counts as unset.
    ///
    /// # Errors
    /// If a variable that would be used does not name an HTTP proxy.
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let value = |name| env(name).filter(|value| !value.trim().is_empty());
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| value(name).map(|value| (*name, value)))
        };
        let proxy = |names| match first(names) {
            Some((name, url)) => Proxy::parse(name, url.trim()).map(Some),
            None => Ok(None),
        };
        let exceptions = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default().1;
        let exceptions = exceptions.split([',', ' ']).filter(|entry| !entry.is_empty());
        Ok(Self {
            https: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            http: proxy(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])?,
            exceptions: exceptions.map(Exception::parse).collect(),
        })
    }

    /// Whether requests use no proxy.
    pub fn is_empty(&self) -> bool {
        self.https.is_none() && self.http.is_none()
    }

    /// The proxy for requests to `server`, if any.
    pub fn before(&self, server: &Uri) -> Option<&Proxy> {
        let https = server.scheme_str() == Some("https");
        let proxy = if https { &self.https } else { &self.http }.as_ref()?;
        let port = port(server);
        let exceptions = self.exceptions.iter();
        let hosts = exceptions.filter(|one| one.port.is_none_or(|only| only == port));
        let hosts: Vec<&str> = hosts.map(|one| one.hosts.as_str()).collect();
        let matcher = Matcher::builder().all(ANY_PROXY).no(hosts.join(",")).build();
        matcher.intercept(server).map(|_| proxy)
    }
}

/// A proxy. `Display` shows its address without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http://host:port` or `https://host:port`.
    pub(crate) uri: Uri,
    /// The value for `Proxy-Authorization`, marked as sensitive so that `Debug` hides it.
    pub(crate) credentials: Option<HeaderValue>,
    named_by: &'static str,
}

impl Proxy {
    fn parse(variable: &'static str, url: &str) -> Result<Self, ProxyError> {
        let malformed = ProxyError { variable, reason: MALFORMED, hint: SPELLING };
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let scheme = scheme.to_ascii_lowercase();
        if scheme.starts_with("socks") {
            return Err(ProxyError { variable, reason: SOCKS, hint: ONLY_HTTP });
        }
        // If a password contained one of these, part of it would be parsed as the host and shown.
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) || authority.matches('@').count() > 1 {
            return Err(malformed);
        }
        let matcher = Matcher::builder().all(format!("{scheme}://{authority}")).build();
        let found = matcher.intercept(&ANY_SERVER.parse().map_err(|_| malformed)?);
        let found = found.filter(|found| has_address(found.uri())).ok_or(malformed)?;
        let credentials = found.basic_auth().cloned();
        Ok(Self { uri: found.uri().clone(), credentials, named_by: variable })
    }

    /// Whether the connection to the proxy uses TLS.
    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// The error for a proxy that rejects a request or tunnel to `server` with `status`.
    pub(crate) fn refusal(&self, status: StatusCode, server: &str) -> TransportError {
        let (variable, code) = (self.named_by, status.as_u16());
        let (reason, hint) = match (code, &self.credentials) {
            // tinyproxy answers 401 to a wrong password.
            (401 | 407, Some(_)) => (
                format!("the proxy rejected the user and password ({code})"),
                format!("correct the user and password in {variable}"),
            ),
            (401 | 407, None) => (
                format!("the proxy requires a user and password ({code})"),
                format!("write {variable} as http://user:password@host:port"),
            ),
            (403 | 405, _) => (
                format!("the proxy responded {status} to the request for {server}"),
                format!("ask the proxy's administrator to allow {server}, or {BYPASS}"),
            ),
            _ => (
                format!("the proxy responded {status} to the request for {server}"),
                format!("check that the proxy can reach {server}, or {BYPASS}"),
            ),
        };
        let kind = match code {
            401 | 403 | 405 | 407 => TransportErrorKind::Refused,
            _ => TransportErrorKind::Connect,
        };
        TransportError::new(kind, self.to_string(), reason).hint(hint)
    }

    /// The error for a proxy that cannot be reached or does not respond properly.
    pub(crate) fn failure(&self, reason: String) -> TransportError {
        TransportError::new(TransportErrorKind::Connect, self.to_string(), reason)
            .hint(self.advice())
    }

    /// The hint for a proxy that cannot be reached.
    pub(crate) fn advice(&self) -> String {
        format!("check that the proxy is up and {} is correct, or {BYPASS}", self.named_by)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {} ({})", endpoint(&self.uri), self.named_by)
    }
}

/// One entry of `no_proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    /// The pattern for [`Matcher`], without port and brackets, which it does not support.
    hosts: String,
    /// The port to which the entry is limited, if any.
    port: Option<u16>,
}

impl Exception {
    fn parse(entry: &str) -> Self {
        let (host, port) = match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            // An entry with more than one colon is an IPv6 address.
            None if entry.matches(':').count() == 1 => {
                entry.split_once(':').map_or((entry, None), |(host, port)| (host, Some(port)))
            }
            None => (entry, None),
        };
        // In [`Matcher`], `*` matches all names, but no addresses.
        let hosts = if host == "*" { "*,0.0.0.0/0,::/0" } else { host }.to_owned();
        match port.map(str::parse) {
            None => Self { hosts, port: None },
            Some(Ok(port)) => Self { hosts, port: Some(port) },
            Some(Err(_)) => Self { hosts: entry.to_owned(), port: None },
        }
    }
}

/// Whether the URI has a host, and a numeric port if it has a port at all.
fn has_address(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let whole = uri.authority().is_some_and(|authority| authority.as_str() == host);
    !host.is_empty() && (whole || uri.port_u16().is_some_and(|port| port > 0))
}

/// Placeholders for the side of a match that does not matter.
const ANY_PROXY: &str = "http://proxy";
const ANY_SERVER: &str = "https://server";

const MALFORMED: &str = "is not the URL of an HTTP proxy";
const SPELLING: &str = "write http://host:port, https://host:port or http://user:password@host:port, with \
    special characters in user and password as %XX (%40 for @)";
const SOCKS: &str = "is a SOCKS proxy, which is not supported";
const ONLY_HTTP: &str = "set an http:// or https:// proxy, or unset the variable";
const BYPASS: &str = "list the server in NO_PROXY to reach it directly";

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(environment: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        let environment = environment.to_vec();
        Proxies::from_env(&|name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    /// The proxy for `server`, formatted, or an empty string.
    fn before(environment: &[(&str, &str)], server: &str) -> String {
        let proxies = proxies(environment).unwrap();
        let proxy = proxies.before(&server.parse().unwrap());
        proxy.map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn exceptions() {
        for (no_proxy, server, direct) in [
            ("glance.test", "https://glance.test", true),
            ("glance.test", "https://GLANCE.test:9292", true),
            ("GLANCE.test", "https://glance.test", true),
            ("glance.test", "https://a.b.glance.test", true),
            ("glance.test", "https://notglance.test", false),
            ("glance.test", "https://glance.test.evil", false),
            (".glance.test", "https://a.glance.test", true),
            (".glance.test", "https://glance.test", true),
            (".glance.test", "https://notglance.test", false),
            ("test", "https://glance.test", true),
            ("other.test,glance.test", "https://glance.test", true),
            (" other.test , glance.test ", "https://glance.test", true),
            ("other.test glance.test", "https://glance.test", true),
            ("", "https://glance.test", false),
            (",,", "https://glance.test", false),
            ("*", "https://glance.test", true),
            ("*", "https://192.0.2.1", true),
            ("*", "https://[2001:db8::1]", true),
            ("*:9292", "https://192.0.2.1:9292", true),
            ("*:9292", "https://192.0.2.1", false),
            ("192.0.2.1", "https://192.0.2.1:9292", true),
            ("192.0.2.1", "https://192.0.2.10", false),
            ("192.0.2.0/24", "https://192.0.2.200", true),
            ("192.0.2.0/24", "https://192.0.3.1", false),
            ("192.0.2.0/24", "https://glance.test", false),
            ("192.0.2.0/24:9292", "https://192.0.2.200:9292", true),
            ("192.0.2.0/24:9292", "https://192.0.2.200:5000", false),
            ("2001:db8::1", "https://[2001:db8::1]:9292", true),
            ("2001:db8::1", "https://[2001:DB8:0::1]", true),
            ("2001:db8::1", "https://[2001:db8::2]", false),
            ("[2001:db8::1]", "https://[2001:db8::1]", true),
            ("[2001:db8::1]:9292", "https://[2001:db8::1]:9292", true),
            ("[2001:db8::1]:9292", "https://[2001:db8::1]", false),
            ("2001:db8::/32", "https://[2001:db8:5::1]", true),
            ("2001:db8::/32", "https://[2001:db9::1]", false),
            ("glance.test:9292", "https://glance.test:9292", true),
            ("glance.test:9292", "https://a.glance.test:9292", true),
            ("glance.test:9292", "https://glance.test:5000", false),
            ("glance.test:443", "https://glance.test", true),
            ("glance.test:80", "https://glance.test", false),
            ("glance.test:80", "http://glance.test", true),
            ("glance.test:x", "https://glance.test", false),
            ("glance.test:99999", "https://glance.test", false),
            ("localhost", "https://127.0.0.1", false),
        ] {
            let found = before(&[("ALL_PROXY", "http://p"), ("NO_PROXY", no_proxy)], server);
            assert_eq!(found.is_empty(), direct, "{no_proxy:?} for {server}");
        }
        assert!(!before(&[("ALL_PROXY", "http://p")], "https://localhost").is_empty());
    }

    #[test]
    fn variables() {
        let all = [
            ("https_proxy", "http://a"),
            ("HTTPS_PROXY", "b:3128"),
            ("http_proxy", "https://c"),
            ("HTTP_PROXY", "HTTP://d:1/"),
            ("all_proxy", "e"),
            ("ALL_PROXY", "http://[::1]:1"),
        ];
        for (skip, server, expected) in [
            (0, "https://s", "the proxy http://a:80 (https_proxy)"),
            (1, "https://s", "the proxy http://b:3128 (HTTPS_PROXY)"),
            (2, "https://s", "the proxy http://e:80 (all_proxy)"),
            (2, "http://s", "the proxy https://c:443 (http_proxy)"),
            (3, "http://s", "the proxy http://d:1 (HTTP_PROXY)"),
            (4, "http://s", "the proxy http://e:80 (all_proxy)"),
            (5, "https://s", "the proxy http://[::1]:1 (ALL_PROXY)"),
            (6, "https://s", ""),
        ] {
            assert_eq!(before(&all[skip..], server), expected);
        }
        assert_eq!(before(&[("HTTP_PROXY", "http://d")], "https://s"), "");
        let empty = [("https_proxy", ""), ("HTTPS_PROXY", "http://b")];
        assert_eq!(before(&empty, "https://s"), "the proxy http://b:80 (HTTPS_PROXY)");
        let small = [("ALL_PROXY", "p"), ("no_proxy", "a"), ("NO_PROXY", "b")];
        assert_eq!(before(&small, "https://a"), "");
        assert_eq!(before(&small, "https://b"), "the proxy http://p:80 (ALL_PROXY)");
    }

    #[test]
    fn what_is_no_http_proxy_is_refused_by_the_variable() {
        for (url, reason) in [
            ("socks5://u:hush@p:1080", SOCKS),
            ("socks5h://p:1080", SOCKS),
            ("SOCKS4://p:1080", SOCKS),
            ("socks://p:1080", SOCKS),
            ("ftp://u:hush@p", MALFORMED),
            ("http://", MALFORMED),
            ("http://:3128", MALFORMED),
            ("http://u:hush@", MALFORMED),
            ("http://u:hush@:3128", MALFORMED),
            ("http://p:port", MALFORMED),
            ("http://p:99999", MALFORMED),
            ("http://p:0", MALFORMED),
            ("http://p:", MALFORMED),
            ("http://p/path", MALFORMED),
            ("http://u:hu sh@p:3128", MALFORMED),
            ("http://u:hu@sh@p:3128", MALFORMED),
            ("http://u:12/hush@p:3128", MALFORMED),
            ("http://u:12?hush@p:3128", MALFORMED),
            ("http://u:12#hush@p:3128", MALFORMED),
        ] {
            let error = proxies(&[("HTTPS_PROXY", url)]).unwrap_err();
            assert_eq!((error.variable, error.reason), ("HTTPS_PROXY", reason), "{url}");
            assert!(error.to_string().starts_with("HTTPS_PROXY "));
            assert!(!format!("{error:?} {error}").contains("hu"), "{error:?}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let proxies = proxies(&[("HTTPS_PROXY", "http://bob:hush@p:3128")]).unwrap();
        let shown = format!("{proxies:?} {:#?} {}", proxies, proxies.https.as_ref().unwrap());
        let encoded = "Ym9iOmh1c2g=";
        for secret in ["hush", "bob", encoded, &format!("{:?}", encoded.as_bytes())] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let credentials = proxies.https.unwrap().credentials.unwrap();
        assert_eq!(credentials, format!("Basic {encoded}"));
    }
}
