//! Why a server is not trusted, in the same words whatever the TLS library.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::transport::{TransportError, TransportErrorKind};

/// What the TLS library found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The server's certificate, or one above it, has expired.
    Expired,
    /// The server's certificate, or one above it, is not valid yet.
    NotYetValid,
    /// The certificate is not for the host.
    WrongName,
    /// Nobody that is trusted signed the certificate.
    UnknownIssuer,
    /// The certificate may not be used by a server.
    WrongPurpose,
    /// What the server sends is not TLS.
    NotTls,
    /// Client and server share no version or method.
    NothingInCommon,
    /// The connection closed during the handshake. A retry can help.
    Closed(String),
    /// Anything else, a fragment of a sentence.
    Other(String),
}

/// The error of a handshake that failed. `chain` is what the server sent, its own certificate
/// first, as far as it is known.
pub fn refusal(fault: Fault, host: &str, endpoint: &str, chain: &[Vec<u8>]) -> TransportError {
    let parsed: Vec<_> = chain.iter().map_while(|der| Parsed::from_der(der)).collect();
    let kind = match fault {
        Fault::Closed(_) => TransportErrorKind::Interrupted,
        _ => TransportErrorKind::Tls,
    };
    let (reason, hint) = match fault {
        Fault::Expired | Fault::NotYetValid => dates(&fault, &parsed),
        Fault::WrongName => names(host, &parsed),
        Fault::UnknownIssuer => issuer(&parsed),
        Fault::WrongPurpose => {
            let reason = "its certificate may not be used by a server (key usage)";
            (reason.to_owned(), Some("the server needs a certificate for server authentication"))
        }
        Fault::NotTls => {
            let reason = "the server does not speak TLS; it may be plain http";
            (reason.to_owned(), Some("check the port, or have the server serve https"))
        }
        Fault::NothingInCommon => {
            let reason = "the server offers no TLS version or cipher that is safe";
            (reason.to_owned(), Some("the server must speak TLS 1.2 or 1.3"))
        }
        Fault::Closed(what) => (format!("closed during the TLS handshake: {what}"), None),
        Fault::Other(what) => (what, None),
    };
    let hint = hint.map(str::to_owned);
    TransportError { kind, endpoint: endpoint.to_owned(), reason, hint, source: None }
}

type Words = (String, Option<&'static str>);

fn dates(fault: &Fault, chain: &[Parsed]) -> Words {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let late = *fault == Fault::Expired;
    let guilty = |c: &&Parsed| if late { c.not_after < now } else { c.not_before > now };
    let who = |guilty: &Parsed| match chain.first() {
        Some(leaf) if std::ptr::eq(leaf, guilty) => "its certificate".to_owned(),
        _ => format!("the certificate of its authority {}", guilty.subject),
    };
    let reason = match (chain.iter().find(guilty), late) {
        (Some(cert), true) => format!("{} expired on {}", who(cert), date(cert.not_after)),
        (Some(cert), false) => {
            format!("{} is not valid before {}", who(cert), date(cert.not_before))
        }
        (None, _) => {
            "an authority that signed its certificate has expired, or is not valid yet".to_owned()
        }
    };
    let hint = if late {
        "renew the certificate; or is this machine's clock right?"
    } else {
        "is this machine's clock right?"
    };
    (reason, Some(hint))
}

fn names(host: &str, chain: &[Parsed]) -> Words {
    let presented = chain.first().map(|leaf| leaf.names.join(", ")).unwrap_or_default();
    if presented.is_empty() {
        let reason = format!("its certificate names no host (no subjectAltName), not {host}");
        return (reason, Some("the server needs a certificate with a subjectAltName"));
    }
    let reason = format!("its certificate is for {presented}, not for {host}");
    (reason, Some("use a name of the certificate, or add this one to it"))
}

fn issuer(chain: &[Parsed]) -> Words {
    let Some(leaf) = chain.first() else {
        return ("nobody that is trusted signed its certificate".to_owned(), Some(NAME_THE_CA));
    };
    if leaf.issuer == leaf.subject {
        let reason = "its certificate is signed by itself, and is not listed".to_owned();
        return (reason, Some("name the certificate with --cacert FILE, if it is the right one"));
    }
    let top = chain.last().unwrap_or(leaf);
    let mut reason = format!("its certificate is signed by {}, which is not trusted", top.issuer);
    if chain.len() == 1 {
        reason += "; the server sent no intermediate certificate";
    }
    (reason, Some(NAME_THE_CA))
}

const NAME_THE_CA: &str = "name the CA with --cacert FILE, or have the server send its whole chain";

/// What messages say about a certificate.
struct Parsed {
    subject: String,
    issuer: String,
    names: Vec<String>,
    not_before: Duration,
    not_after: Duration,
}

impl Parsed {
    fn from_der(der: &[u8]) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
        let names = match certificate.get::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0.iter().filter_map(name).collect(),
            _ => Vec::new(),
        };
        Some(Self {
            subject: certificate.subject.to_string(),
            issuer: certificate.issuer.to_string(),
            names,
            not_before: certificate.validity.not_before.to_unix_duration(),
            not_after: certificate.validity.not_after.to_unix_duration(),
        })
    }
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => {
                <[u8; 16]>::try_from(bytes).ok().map(|b| std::net::Ipv6Addr::from(b).to_string())
            }
        },
        _ => None,
    }
}

fn date(since_epoch: Duration) -> String {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}
