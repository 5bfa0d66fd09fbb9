//! Reasons for rejecting a server, with the same wording for every TLS library.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Pin, TlsVersion};
use crate::transport::{ClientCertificate, TransportError, TransportErrorKind};

mod alert;

pub(super) mod certificate;

pub use alert::Alert;
use certificate::Known;

/// The reason why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The server's certificate, or one above it, has expired.
    Expired,
    /// The server's certificate, or one above it, is not valid yet.
    NotYetValid,
    /// The certificate is not valid for the host.
    WrongName,
    /// No trusted authority that may sign certificates signed the certificate.
    UnknownIssuer,
    /// As [`UnknownIssuer`](Self::UnknownIssuer), but a certificate with the issuer's name is
    /// trusted. The text says which one and why it does not match, as the rest of a sentence.
    NotThatIssuer(String),
    /// The server presents a CA certificate that is not itself trusted as a server certificate.
    IsAuthority,
    /// This certificate (DER) is invalid in any role. The text is the reason, as the end of a
    /// sentence.
    Unfit(Vec<u8>, String),
    /// The server's certificate may not be used by servers, or a certificate above it may not sign
    /// for servers.
    WrongPurpose,
    /// A key is too short, or the algorithm of a signature is broken.
    Weak,
    /// Name constraints of an authority exclude this name.
    OutOfBounds,
    /// There are more authorities below an authority than its path length allows.
    TooLong,
    /// The chain has too many certificates, names or constraints to verify in reasonable time.
    TooMuch,
    /// A certificate has a critical extension that is not understood.
    UnknownExtension,
    /// This certificate (DER) is on a revocation list.
    Revoked(Vec<u8>),
    /// No revocation list covers this certificate (DER).
    NotCovered(Vec<u8>),
    /// The server's key is not one of the pinned keys.
    NotPinned,
    /// The server asked for a client certificate and ended the handshake with this alert.
    ClientCertificate(ClientCertificate, Alert),
    /// The server ended the handshake with this alert.
    Alert(Alert),
    /// The server's response is not TLS.
    NotTls,
    /// Client and server have no protocol version from this one on, or no cipher, in common.
    NothingInCommon(TlsVersion),
    /// The connection closed during the handshake. A retry can help.
    Closed(String),
    /// Any other reason, as a fragment of a sentence.
    Other(String),
}

/// The error for a failed handshake. `sent` are the certificates that the server sent, its own
/// first, as far as they are known; `above` are trusted certificates that may have issued them.
pub fn refusal(
    fault: &Fault,
    host: &str,
    endpoint: &str,
    sent: &[Vec<u8>],
    above: &[Vec<u8>],
) -> TransportError {
    let kind = match fault {
        Fault::Closed(_) => TransportErrorKind::Interrupted,
        _ => TransportErrorKind::Tls,
    };
    let path = certificate::path(sent, above);
    let (reason, hint) = match fault {
        Fault::UnknownIssuer => issuer(&certificate::path(sent, &[])),
        Fault::NotThatIssuer(why) => not_that_issuer(&certificate::path(sent, &[]), why),
        Fault::Unfit(der, why) => unfit(der, why, sent, &path),
        Fault::WrongName => names(host, &path),
        Fault::Expired | Fault::NotYetValid => dates(fault, &path),
        Fault::Weak => weakness(&path),
        Fault::NotPinned => pin(sent),
        Fault::ClientCertificate(..)
        | Fault::Alert(_)
        | Fault::NotTls
        | Fault::NothingInCommon(_)
        | Fault::Closed(_)
        | Fault::Other(_) => handshake(fault),
        _ => guilty(fault, &path),
    };
    let hint = hint.map(str::to_owned);
    TransportError { kind, endpoint: endpoint.to_owned(), reason, hint, source: None }
}

type Message = (String, Option<&'static str>);

/// The message for a fault that does not concern a server certificate.
fn handshake(fault: &Fault) -> Message {
    match fault {
        Fault::ClientCertificate(shown, alert) => {
            let what = match shown {
                ClientCertificate::Missing => {
                    "the server asked for a client certificate, and got none"
                }
                ClientCertificate::Shown => "the server does not take the client certificate",
            };
            (format!("{what} (alert: {alert})"), Some(shown.hint()))
        }
        Fault::Alert(alert) => {
            (format!("the server ended the handshake (alert: {alert})"), Some(OTHER))
        }
        Fault::NothingInCommon(TlsVersion::V1_2) => (
            "the server offers no TLS version or cipher that is safe".to_owned(),
            Some("the server must speak TLS 1.2 or 1.3"),
        ),
        Fault::NothingInCommon(TlsVersion::V1_3) => (
            "the server offers no TLS 1.3, the oldest version asked for".to_owned(),
            Some("the server must speak TLS 1.3; or leave --tls-min-version out"),
        ),
        Fault::Closed(what) => (format!("closed during the TLS handshake: {what}"), None),
        Fault::Other(what) => (what.clone(), Some(OTHER)),
        _ => (
            "the server does not speak TLS; it may be plain http".to_owned(),
            Some("check the port, or have the server serve https"),
        ),
    }
}

const OTHER: &str = "have the server checked by `openssl s_client -connect HOST:PORT`";

/// The message for a fault of one certificate of the path: the certificate, the fault, and the
/// remedy.
fn guilty(fault: &Fault, path: &[Known]) -> Message {
    let find = |is_guilty: &dyn Fn(&Known) -> bool| {
        let found = path.iter().find(|one| is_guilty(one));
        (found, found.map_or_else(|| "a certificate of its chain".to_owned(), Known::to_string))
    };
    match fault {
        Fault::WrongPurpose => {
            let (found, who) = find(&|one| !one.has_purpose());
            let own =
                found.is_none_or(|one| path.first().is_some_and(|own| std::ptr::eq(own, one)));
            let what = if own { "may not be used by a server" } else { "is not for servers" };
            (format!("{who} {what} (key usage)"), Some(FOR_SERVERS))
        }
        Fault::OutOfBounds => {
            let who = find(&Known::has_name_constraints).1;
            (format!("{who} may not sign for this name (name constraints)"), Some(ANOTHER_CA))
        }
        Fault::IsAuthority => {
            let who = find(&|_| true).1;
            (format!("{who} is an authority's (CA:TRUE), and is not listed"), Some(NO_CA))
        }
        Fault::TooMuch => (
            "its chain has too many certificates, names or name constraints to verify".to_owned(),
            Some("the server needs a certificate of a smaller chain"),
        ),
        Fault::TooLong => {
            let fewer = |(below, one): (usize, &Known)| {
                let limit = one.path_length().map(usize::from)?;
                (limit + 1 < below).then(|| one.to_string())
            };
            let who = path.iter().enumerate().find_map(fewer);
            let who = who.unwrap_or_else(|| "an authority of its chain".to_owned());
            (format!("there are more authorities below than {who} allows"), Some(ANOTHER_CA))
        }
        Fault::UnknownExtension => {
            let unknown = |one: &Known| one.unknown_extension().or_else(|| one.policies());
            let (found, who) = find(&|one| unknown(one).is_some());
            let which = found.and_then(unknown);
            let which = which.map(|oid| format!(" ({oid})")).unwrap_or_default();
            let reason = format!("{who} has a critical extension{which} that is not known");
            (reason, Some("the server needs a certificate without it"))
        }
        Fault::Revoked(der) => {
            let who = find(&|one| one.is(der)).1;
            let hint = "take it out of service: the server needs a new certificate";
            (format!("{who} has been revoked"), Some(hint))
        }
        Fault::NotCovered(der) => {
            let (found, who) = find(&|one| one.is(der));
            let by = found.map(|one| format!(" of {}", one.issuer())).unwrap_or_default();
            let reason = format!("no revocation list{by} in the given files covers {who}");
            (reason, Some("add the lists of all authorities between the server and the root"))
        }
        _ => weakness(path),
    }
}

fn dates(fault: &Fault, path: &[Known]) -> Message {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let late = *fault == Fault::Expired;
    let is_guilty = |one: &&Known| match late {
        // OpenSSL treats the last second of the validity period as expired.
        true => one.not_after() <= now,
        false => one.not_before() > now,
    };
    let Some(guilty) = path.iter().find(is_guilty) else {
        let what = "a certificate of its chain has expired, or is not valid yet";
        return (what.to_owned(), Some(RENEW));
    };
    match late {
        true => (format!("{guilty} expired on {}", date(guilty.not_after())), Some(RENEW)),
        false => (
            format!("{guilty} is not valid before {}", date(guilty.not_before())),
            Some("is this machine's clock right?"),
        ),
    }
}

const RENEW: &str = "renew the certificate; or is this machine's clock right?";
const NO_CA: &str = "the server needs a certificate with CA:FALSE; \
                     or name this one with --cacert FILE, if it is the right one";
const FOR_SERVERS: &str = "the server needs a certificate for server authentication";
const ANOTHER_CA: &str = "the server needs a certificate of an authority that may sign it";

/// The message for a weak key or for a signature with a broken digest.
fn weakness(path: &[Known]) -> Message {
    let found = path.iter().find_map(|one| match (one.weak_key(), one.weak_signature()) {
        (Some(what), _) => Some(format!("{one} {what}")),
        (_, Some(name)) => Some(format!("{one} is signed by way of {name}, which can be forged")),
        _ => None,
    });
    let reason = found.unwrap_or_else(|| {
        "its certificate, or one above it, has a key or signature that is weak, or not known to this \
         TLS library"
            .to_owned()
    });
    (reason, Some("the server needs a certificate with RSA 2048 or ECDSA P-256 and SHA-256"))
}

/// The message for an invalid certificate, with its name if the name can be read.
fn unfit(der: &[u8], why: &str, sent: &[Vec<u8>], path: &[Known]) -> Message {
    let who = match path.iter().find(|one| one.is(der)) {
        Some(one) => one.to_string(),
        None if sent.first().is_some_and(|own| own == der) => "its certificate".to_owned(),
        None => "a certificate that it sent".to_owned(),
    };
    (format!("{who} {why}"), Some("have the certificate issued anew without this"))
}

fn pin(sent: &[Vec<u8>]) -> Message {
    let has = sent.first().and_then(|own| Pin::of(own));
    let has = has.map_or_else(String::new, |pin| format!(": it is {pin}"));
    (format!("its key is none of those pinned{has}"), Some(NEW_PIN))
}

const NEW_PIN: &str = "if the server has a new key, and it is the right one, pin that one as well";

fn names(host: &str, path: &[Known]) -> Message {
    let names = path.first().map(Known::names).unwrap_or_default();
    if names.is_empty() {
        let reason = format!("its certificate names no host (no subjectAltName), not {host}");
        return (reason, Some("the server needs a certificate with a subjectAltName"));
    }
    let shown = match names.get(..NAMES) {
        Some(first) if names.len() > NAMES => {
            format!("{} and {} more", first.join(", "), names.len() - NAMES)
        }
        _ => names.join(", "),
    };
    let reason = format!("its certificate is for {shown}, not for {host}");
    (reason, Some("use a name of the certificate, or add this one to it"))
}

/// The number of names of a certificate that a message shows; some certificates have hundreds.
const NAMES: usize = 8;

fn issuer(sent: &[Known]) -> Message {
    let (Some(own), Some(top)) = (sent.first(), sent.last()) else {
        return ("nobody that is trusted signed its certificate".to_owned(), Some(NAME_THE_CA));
    };
    if own.is_self_issued() {
        let reason =
            format!("its certificate ({}) is signed by itself, and is not listed", own.subject());
        return (reason, Some("name the certificate with --cacert FILE, if it is the right one"));
    }
    if let Some(wrong) = sent.iter().skip(1).find(|one| one.no_authority().is_some()) {
        let (own, wrong) = (own.subject(), wrong.subject());
        let reason =
            format!("its certificate ({own}) stands below {wrong}, which may not sign others");
        return (reason, Some(ANOTHER_CA));
    }
    let mut reason = not_trusted(own, top);
    if sent.len() == 1 {
        reason += "; the server sent no intermediate certificate";
    }
    (reason, Some(NAME_THE_CA))
}

fn not_trusted(own: &Known, top: &Known) -> String {
    let leads = if std::ptr::eq(own, top) { "is signed by" } else { "leads to" };
    format!("its certificate ({}) {leads} {}, which is not trusted", own.subject(), top.issuer())
}

fn not_that_issuer(sent: &[Known], why: &str) -> Message {
    let (Some(own), Some(top)) = (sent.first(), sent.last()) else { return issuer(sent) };
    (format!("{}: {why}", not_trusted(own, top)), Some(CURRENT_CA))
}

const CURRENT_CA: &str = "ask the CA's operator for its current certificate";

const NAME_THE_CA: &str = "name the CA with --cacert FILE, or have the server send its whole chain";

pub(super) fn date(since_epoch: Duration) -> String {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}
