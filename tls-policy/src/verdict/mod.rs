//! Reasons for rejecting a server, with the same wording for every TLS library.

use std::borrow::Cow;

use glance_core::transport::{ClientCertificate, TlsFailure, TransportError, TransportErrorKind};

use crate::fault::{Alert, Fault};
use crate::messages::first_of;
use crate::time::date;
use crate::x509::certificate::{self, Known};
use crate::{Pin, TlsVersion};

mod culprit;
mod issuer;

use culprit::culprit;

/// The error for a failed handshake. `sent` are the certificates that the server sent, its own
/// first, as far as they are known; `above` are trusted certificates that may have issued them.
pub fn refusal(
    fault: &Fault,
    host: &str,
    endpoint: &str,
    sent: &[Vec<u8>],
    above: &[Vec<u8>],
) -> TransportError {
    let path = path(fault, sent, above);
    let kind = match fault {
        Fault::Closed(_) => TransportErrorKind::Interrupted,
        _ => TransportErrorKind::Tls(failure(fault, &path)),
    };
    let (reason, hint) = message(fault, host, sent, &path);
    let error = TransportError::new(kind, endpoint, reason);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The index in `sent` of the certificate that is at fault, if it is one of them.
pub fn at_fault(fault: &Fault, sent: &[Vec<u8>], above: &[Vec<u8>]) -> Option<usize> {
    let path = path(fault, sent, above);
    let found = culprit(fault, &path);
    match (found, fault) {
        (Some(found), _) => sent.iter().position(|der| found.is(der)),
        // A certificate that cannot be read is not part of the path.
        (None, Fault::Unfit(der, _)) => sent.iter().position(|one| one == der),
        (None, _) => None,
    }
}

/// The path that explains the fault. If no trusted certificate fits, only what the server sent
/// explains it.
fn path(fault: &Fault, sent: &[Vec<u8>], above: &[Vec<u8>]) -> Vec<Known> {
    match fault {
        Fault::UnknownIssuer | Fault::NotThatIssuer(_) => certificate::path(sent, &[]),
        _ => certificate::path(sent, above),
    }
}

fn failure(fault: &Fault, path: &[Known]) -> TlsFailure {
    match fault {
        Fault::Expired => TlsFailure::Expired,
        Fault::NotYetValid => TlsFailure::NotYetValid,
        Fault::WrongName => TlsFailure::WrongName,
        Fault::UnknownIssuer if path.first().is_some_and(Known::is_self_issued) => {
            TlsFailure::SelfSigned
        }
        Fault::UnknownIssuer | Fault::NotThatIssuer(_) | Fault::NotShown | Fault::IsAuthority => {
            TlsFailure::NotTrusted
        }
        Fault::Weak => TlsFailure::Weak,
        Fault::Revoked(_) => TlsFailure::Revoked,
        Fault::NotCovered(_) => TlsFailure::RevocationUnknown,
        Fault::NotPinned => TlsFailure::NotPinned,
        Fault::ClientCertificate(ClientCertificate::Missing, _) => {
            TlsFailure::ClientCertificateMissing
        }
        Fault::ClientCertificate(ClientCertificate::Shown, _) => {
            TlsFailure::ClientCertificateRejected
        }
        Fault::NotTls => TlsFailure::NotTls,
        Fault::NothingInCommon(_) => TlsFailure::NothingInCommon,
        Fault::Alert(_) | Fault::Closed(_) | Fault::Other(_) => TlsFailure::Handshake,
        Fault::Unfit(..)
        | Fault::WrongPurpose
        | Fault::OutOfBounds
        | Fault::TooLong
        | Fault::TooMuch
        | Fault::UnknownExtension => TlsFailure::Unacceptable,
    }
}

/// The reason and the hint.
type Message = (String, Option<Cow<'static, str>>);

fn message(fault: &Fault, host: &str, sent: &[Vec<u8>], path: &[Known]) -> Message {
    let found = culprit(fault, path);
    match fault {
        Fault::Expired => expired(found),
        Fault::NotYetValid => not_yet_valid(found),
        Fault::WrongName => names(host, path),
        Fault::UnknownIssuer => issuer::unknown(path, found),
        Fault::NotThatIssuer(why) => issuer::other_key(path, found, why),
        Fault::NotShown => issuer::not_shown(found),
        Fault::IsAuthority => is_authority(found),
        Fault::Unfit(der, why) => unfit(der, why, sent, found),
        Fault::WrongPurpose => purpose(path, found),
        Fault::Weak => weakness(found),
        Fault::OutOfBounds => name_constraints(found),
        Fault::TooLong => path_length(found),
        Fault::TooMuch => (TOO_MUCH.to_owned(), Some(SMALLER_CHAIN.into())),
        Fault::UnknownExtension => extension(found),
        Fault::Revoked(_) => revoked(found),
        Fault::NotCovered(_) => not_covered(found),
        Fault::NotPinned => pin(sent),
        Fault::ClientCertificate(shown, alert) => client_certificate(*shown, *alert),
        Fault::Alert(alert) => {
            (format!("the server ended the TLS handshake (alert: {alert})"), Some(S_CLIENT.into()))
        }
        Fault::NotTls => {
            (NOT_TLS.to_owned(), Some("check the port, or enable https on the server".into()))
        }
        Fault::NothingInCommon(min_version) => nothing_in_common(*min_version),
        Fault::Closed(what) => {
            (format!("TLS handshake not completed: {what}"), Some(CLOSED.into()))
        }
        Fault::Other(what) => (what.clone(), Some(S_CLIENT.into())),
    }
}

const TOO_MUCH: &str =
    "the server's chain has too many certificates, names or name constraints to verify";
const NOT_TLS: &str = "the server does not speak TLS; the port may be plain http";

const ANOTHER_CA: &str =
    "get a certificate from a CA that is allowed to issue certificates for this server";
const CLOSED: &str = "check the port, and that the server and the load balancers in front of it accept TLS \
                      connections";
const NEW_PIN: &str =
    "find out why the server's key changed; if the change is legitimate, add the new pin";
const NO_CA: &str = "install a certificate with CA:FALSE on the server; \
                     or trust this certificate with --cacert FILE, if it is the right one";
const RENEW: &str = "renew the certificate, or correct this machine's clock";
const S_CLIENT: &str = "check the server with `openssl s_client -connect HOST:PORT`";
const SMALLER_CHAIN: &str = "install a certificate with a smaller chain on the server";

/// The name of a certificate of the path in a message, if it was found.
fn name_of(found: Option<&Known>) -> String {
    found.map_or_else(|| "a certificate in the server's chain".to_owned(), Known::to_string)
}

fn expired(found: Option<&Known>) -> Message {
    match found {
        Some(one) => (format!("{one} expired on {}", date(one.not_after())), Some(RENEW.into())),
        None => (NOT_NOW.to_owned(), Some(RENEW.into())),
    }
}

fn not_yet_valid(found: Option<&Known>) -> Message {
    match found {
        Some(one) => (
            format!("{one} is not valid before {}", date(one.not_before())),
            Some(
                "check this machine's clock; if it is right, install a certificate that is already \
                 valid"
                    .into(),
            ),
        ),
        None => (NOT_NOW.to_owned(), Some(RENEW.into())),
    }
}

const NOT_NOW: &str = "a certificate in the server's chain has expired or is not valid yet";

fn names(host: &str, path: &[Known]) -> Message {
    let Some(own) = path.first() else {
        let reason = format!("the server's certificate is not valid for {host}");
        return (reason, Some(OTHER_NAME.into()));
    };
    let names = own.names();
    if names.is_empty() {
        let reason = format!(
            "the server's certificate has no subjectAltName, so it is not valid for {host}"
        );
        return (reason, Some("reissue the certificate with a subjectAltName".into()));
    }
    let shown = first_of(&names);
    let reason = format!("the server's certificate is valid for {shown}, not for {host}");
    (reason, Some(OTHER_NAME.into()))
}

const OTHER_NAME: &str =
    "use a name from the certificate, or reissue the certificate with this name";

fn is_authority(found: Option<&Known>) -> Message {
    let who = name_of(found);
    (format!("{who} is a CA certificate (CA:TRUE) and not in the trust store"), Some(NO_CA.into()))
}

/// The message for an invalid certificate, with its name if the name can be read.
fn unfit(der: &[u8], why: &str, sent: &[Vec<u8>], found: Option<&Known>) -> Message {
    let who = match found {
        None if sent.first().is_some_and(|own| own == der) => "the server's certificate".to_owned(),
        found => name_of(found),
    };
    (format!("{who} {why}"), Some("reissue the certificate without this defect".into()))
}

fn purpose(path: &[Known], found: Option<&Known>) -> Message {
    let is_authority =
        found.is_some_and(|found| path.iter().skip(1).any(|one| found.is(one.der())));
    let (what, hint) = match is_authority {
        false => (
            "is not valid for servers",
            "install a certificate for server authentication on the server",
        ),
        true => (
            "must not issue certificates for servers",
            "get a server certificate from another CA: this CA may not sign server certificates",
        ),
    };
    let reason = format!("{} {what} (key usage)", name_of(found));
    (reason, Some(hint.into()))
}

/// The message for a weak key or for a signature with a broken digest.
fn weakness(found: Option<&Known>) -> Message {
    let weakness = found.and_then(|one| match (one.weak_key(), one.weak_signature()) {
        (Some(what), _) => Some(format!("{one} {what}")),
        (_, Some(name)) => Some(format!("{one} is signed with {name}, which can be forged")),
        _ => None,
    });
    let reason = weakness.unwrap_or_else(|| {
        "a certificate in the server's chain has a key or signature that is weak, or unsupported by \
         this TLS library"
            .to_owned()
    });
    (reason, Some("reissue the certificate with RSA 2048 or ECDSA P-256, and SHA-256".into()))
}

fn name_constraints(found: Option<&Known>) -> Message {
    let who = name_of(found);
    (
        format!("{who} must not issue certificates for this name (name constraints)"),
        Some(ANOTHER_CA.into()),
    )
}

fn path_length(found: Option<&Known>) -> Message {
    let who = found.map_or_else(|| "one of its CA certificates".to_owned(), Known::to_string);
    let reason = format!("the server's chain has more intermediate CAs than {who} allows");
    (reason, Some(ANOTHER_CA.into()))
}

fn extension(found: Option<&Known>) -> Message {
    let which = found.and_then(Known::unsupported_extension);
    let which = which.map(|oid| format!(" ({oid})")).unwrap_or_default();
    let reason = format!("{} has an unsupported critical extension{which}", name_of(found));
    (reason, Some("reissue the certificate without this extension".into()))
}

fn revoked(found: Option<&Known>) -> Message {
    let who = name_of(found);
    let hint = "take the certificate out of service, and install a new one";
    (format!("{who} has been revoked"), Some(hint.into()))
}

fn not_covered(found: Option<&Known>) -> Message {
    let from = found.map(|one| format!(" of {}", one.issuer())).unwrap_or_default();
    let who = name_of(found);
    let reason =
        format!("the revocation list files contain no current, valid list{from} for {who}");
    (reason, Some("add the revocation lists of all CAs between the server and the root".into()))
}

fn pin(sent: &[Vec<u8>]) -> Message {
    let has = sent.first().and_then(|own| Pin::of(own));
    let has = has.map_or_else(String::new, |pin| format!(": the server's pin is {pin}"));
    (format!("the server's key does not match any given pin{has}"), Some(NEW_PIN.into()))
}

fn client_certificate(shown: ClientCertificate, alert: Alert) -> Message {
    let what = match shown {
        ClientCertificate::Missing => "the server asked for a client certificate, but got none",
        ClientCertificate::Shown => "the server rejected the client certificate",
    };
    (format!("{what} (alert: {alert})"), Some(shown.hint().into()))
}

fn nothing_in_common(min_version: TlsVersion) -> Message {
    let (reason, hint) = match min_version {
        TlsVersion::V1_2 => (
            "the server offers no secure TLS version or cipher",
            "enable TLS 1.2 or 1.3 on the server",
        ),
        TlsVersion::V1_3 => (
            "the server does not offer TLS 1.3, the required minimum version",
            "enable TLS 1.3 on the server, or remove --tls-min-version",
        ),
    };
    (reason.to_owned(), Some(hint.into()))
}
