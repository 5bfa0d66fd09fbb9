//! One row of the table: a server, the client's certificate trust, and the expected result.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use glance_core::Transport;
use glance_core::body::Body;
use glance_core::transport::{TransportError, TransportErrorKind};
use http::Request;
use tls_policy::files::crl;
use tls_policy::{Certificate, Pin, RevocationList, Roots, TlsPolicy, bundle};
use transport_hyper::{ClientOptions, Proxies, TlsAcceptor, TlsSetupError};

use crate::suites::tls::forge::{HOST, Identity};
use crate::suites::tls::server::{Server, serve};

/// A TLS stack of this build.
pub(crate) struct Stack {
    pub(crate) name: &'static str,
    pub(crate) transport: fn(&TlsPolicy, ClientOptions) -> Made<dyn Transport>,
    pub(crate) acceptor: fn(&[u8], &[u8]) -> Made<dyn TlsAcceptor>,
}

type Made<T> = Result<Arc<T>, TlsSetupError>;

impl Stack {
    /// Whether the stack is native-tls, which can express less than the other stacks, shows no
    /// certificates of a server that it rejects, and only the server's own of others.
    pub(crate) fn is_limited(&self) -> bool {
        cfg!(feature = "platform-tls") && self.name == "native"
    }
}

/// The TLS stacks of this build. Every row must have the same result with all of them.
pub(crate) const STACKS: &[Stack] = &[
    #[cfg(feature = "rustls")]
    Stack {
        name: "rustls",
        transport: transport_rustls::transport,
        acceptor: transport_rustls::acceptor,
    },
    #[cfg(feature = "native-tls")]
    Stack {
        name: "native",
        transport: transport_native::transport,
        acceptor: transport_native::acceptor,
    },
];

/// A row of the table.
pub(crate) struct Row {
    name: &'static str,
    server: Server,
    policy: TlsPolicy,
    host: &'static str,
    expected: Expected,
    /// The words with which native-tls refuses what it cannot check completely.
    limit: Option<&'static str>,
}

enum Expected {
    Accepted,
    /// Refused, with these words in the reason.
    Refused(Vec<String>),
    /// Accepted by this stack only; the others refuse with these words.
    AcceptedOnlyBy(&'static str, Vec<String>),
}

/// A server that a client with these trusted certificates must accept.
pub(crate) fn accepted(name: &'static str, identity: &Identity, trusted: &[&str]) -> Row {
    row(name, identity, trusted, Expected::Accepted)
}

/// A server that must be refused, with these words in the reason.
pub(crate) fn refused(
    name: &'static str,
    identity: &Identity,
    trusted: &[&str],
    words: &[&str],
) -> Row {
    row(name, identity, trusted, Expected::Refused(owned(words)))
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn row(name: &'static str, identity: &Identity, trusted: &[&str], expected: Expected) -> Row {
    let server = Server::Tls(Box::new(identity.clone()), String::new());
    let policy = TlsPolicy::new(Roots::Bundle(certificates(&trusted.concat())));
    Row { name, server, policy, host: HOST, expected, limit: None }
}

impl Row {
    /// Connects to this host name.
    pub(crate) fn at(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    /// Connects to another server.
    pub(crate) fn served_by(self, server: Server) -> Self {
        Self { server, ..self }
    }

    /// Passes these options to `s_server`.
    pub(crate) fn served_with(mut self, more: &str) -> Self {
        if let Server::Tls(_, options) = &mut self.server {
            more.clone_into(options);
        }
        self
    }

    /// Adds these revocation lists to the policy.
    pub(crate) fn with_lists(self, lists: &[&str]) -> Self {
        let lists = revocation_lists(&lists.concat());
        self.under(|policy| policy.revocation = lists)
    }

    /// The policy trusts a certificate that another one issued, but not that other one.
    pub(crate) fn without_root(mut self) -> Self {
        self.limit = Some("trusts self-signed certificates only");
        self
    }

    /// The server sends the certificate that issued its own, and the policy does not trust it.
    pub(crate) fn with_intermediate(mut self) -> Self {
        self.limit = Some(NOT_SHOWN);
        self
    }

    /// Pins the key of this certificate.
    pub(crate) fn pinning(mut self, pem: &str) -> Self {
        self.policy.pins = certificates(pem).iter().filter_map(|one| Pin::of(&one.der)).collect();
        self
    }

    /// Changes the policy.
    pub(crate) fn under(mut self, change: impl FnOnce(&mut TlsPolicy)) -> Self {
        change(&mut self.policy);
        if !self.policy.revocation.is_empty() {
            self.limit = Some("cannot check revocation lists");
        }
        self
    }

    /// A deliberate difference: only this stack accepts the server.
    pub(crate) fn but_accepted_by(mut self, stack: &'static str) -> Self {
        if let Expected::Refused(words) = self.expected {
            self.expected = Expected::AcceptedOnlyBy(stack, words);
        }
        self
    }

    /// Runs the row. Returns its failure, if there is one.
    pub(crate) async fn failure(&self) -> Option<String> {
        let mut refusals = Vec::new();
        for stack in STACKS {
            if let (true, Some(words)) = (stack.is_limited(), self.limit) {
                let said = self.limited(stack).await;
                if !said.contains(words) {
                    return Some(format!("{} ({}): {said}", self.name, stack.name));
                }
                continue;
            }
            let (outcome, arrived) = ask(stack, self.server.clone(), &self.policy, self.host).await;
            match self.judged(stack, outcome, &arrived) {
                Ok(refusal) => refusals.extend(refusal),
                Err(what) => return Some(format!("{} ({}): {what}", self.name, stack.name)),
            }
        }
        refusals.dedup();
        let alike = refusals.len() <= 1;
        (!alike).then(|| format!("{}: the stacks differ: {refusals:#?}", self.name))
    }

    /// Compares a result with the expected one. Returns the texts of a correct refusal.
    fn judged(
        &self,
        stack: &Stack,
        outcome: Result<String, TransportError>,
        arrived: &[u8],
    ) -> Result<Option<[String; 3]>, String> {
        let words = match (&self.expected, &outcome) {
            (Expected::Accepted, Ok(_)) if arrived.is_empty() => {
                return Err("nothing arrived, though it was answered".to_owned());
            }
            (Expected::Accepted, Ok(_)) => return Ok(None),
            (Expected::AcceptedOnlyBy(name, _), Ok(_)) if *name == stack.name => return Ok(None),
            (Expected::AcceptedOnlyBy(name, _), Err(error)) if *name == stack.name => {
                return Err(format!("refused: {error}"));
            }
            (Expected::Refused(words) | Expected::AcceptedOnlyBy(_, words), _) => words,
            (Expected::Accepted, Err(error)) => return Err(format!("refused: {error}")),
        };
        let Err(error) = outcome else { return Err("accepted".to_owned()) };
        if !arrived.is_empty() {
            return Err(format!("{} bytes arrived", arrived.len()));
        }
        let is_foreign =
            stack.is_limited() && OF_NATIVE_TLS.iter().any(|words| error.reason.contains(words));
        let mut missing = words.iter().filter(|word| !error.reason.contains(*word));
        if let Some(word) = missing.next().filter(|_| !is_foreign) {
            return Err(format!("no {word:?} in {:?}", error.reason));
        }
        let hint = error.hint.clone().unwrap_or_default();
        let has_remedy = !hint.is_empty();
        match error.kind {
            TransportErrorKind::Tls(_) if has_remedy => {}
            TransportErrorKind::Interrupted => {}
            _ => return Err(format!("not a refusal with a remedy: {error:?}")),
        }
        Ok((!is_foreign).then(|| [error.headline().into_owned(), error.reason, hint]))
    }

    /// The refusal by a stack that cannot check the server completely, or what it did instead.
    async fn limited(&self, stack: &Stack) -> String {
        if let Err(error) = (stack.transport)(&self.policy, ClientOptions::default()) {
            return error.to_string();
        }
        match ask(stack, self.server.clone(), &self.policy, self.host).await {
            (Err(error), arrived) if arrived.is_empty() => error.reason,
            (outcome, arrived) => format!("{outcome:?}, and {} bytes arrived", arrived.len()),
        }
    }
}

/// How native-tls refuses a server where the other stacks find another reason: in the words of its
/// library, by an alert to the server, or because it does not show the certificate at fault.
const OF_NATIVE_TLS: [&str; 3] = [" rejected the server: ", "SSL alert", NOT_SHOWN];
const NOT_SHOWN: &str = "does not show that certificate";

/// Requests a document from a new server. Returns the answer, and the bytes that arrived.
pub(crate) async fn ask(
    stack: &Stack,
    server: Server,
    policy: &TlsPolicy,
    host: &str,
) -> (Result<String, TransportError>, Vec<u8>) {
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let opened = serve(server, ip.unwrap_or(Ipv4Addr::LOCALHOST.into())).await;
    let outcome = get(stack, policy, host, opened.port).await.map_err(|mut error| {
        // Only host names need the proxy that the test provides.
        if let Some((reason, _)) = error.reason.split_once(" (through the proxy") {
            error.reason = reason.to_owned();
        }
        error
    });
    (outcome, opened.arrived().await)
}

/// Requests a document from the server at this port, under this host name.
pub(crate) async fn get(
    stack: &Stack,
    policy: &TlsPolicy,
    host: &str,
    port: u16,
) -> Result<String, TransportError> {
    let is_name = host.trim_matches(['[', ']']).parse::<IpAddr>().is_err();
    let proxy =
        |name: &str| (is_name && name == "https_proxy").then(|| format!("127.0.0.1:{port}"));
    let options =
        ClientOptions { proxies: Proxies::from_env(&proxy).unwrap(), ..ClientOptions::default() };
    let transport = (stack.transport)(policy, options).unwrap();
    let request = Request::get(format!("https://{host}:{port}/")).body(Body::empty()).unwrap();
    let body = transport.send(request).await?.into_body().collect(1 << 20).await.unwrap();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

/// Parses the certificates of a PEM text.
pub(crate) fn certificates(pem: &str) -> Vec<Certificate> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), pem).unwrap();
    bundle::load(file.path()).unwrap()
}

/// Parses the revocation lists of a PEM text.
pub(crate) fn revocation_lists(pem: &str) -> Vec<RevocationList> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), pem).unwrap();
    crl::load(file.path()).unwrap()
}

/// Fails the test with every row whose result is not the expected one.
pub(crate) async fn check(rows: Vec<Row>) {
    let mut failures = Vec::new();
    for row in &rows {
        failures.extend(row.failure().await);
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), rows.len(), failures.join("\n"));
}
