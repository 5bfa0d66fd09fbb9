//! The messages about certificates that no trusted authority issued.

use super::{ANOTHER_CA, Message};
use crate::x509::certificate::Known;

/// The message for a path that does not lead to a trusted certificate, because of `found`.
pub(super) fn unknown(path: &[Known], found: Option<&Known>) -> Message {
    let (Some(own), Some(found)) = (path.first(), found) else {
        let reason = "no trusted CA issued the server's certificate".to_owned();
        return (reason, Some(TRUST_THE_CA.into()));
    };
    let subject = own.subject();
    if own.is_self_issued() {
        let reason = format!(
            "the server's certificate ({subject}) is self-signed and not in the trust store"
        );
        return (reason, Some(TRUST_IT.into()));
    }
    if !std::ptr::eq(own, found) && found.no_authority().is_some() {
        let wrong = found.subject();
        let reason = format!(
            "the server's certificate ({subject}) was issued through {wrong}, which is not allowed to \
             sign certificates"
        );
        return (reason, Some(ANOTHER_CA.into()));
    }
    let (reason, issuer) = (not_trusted(own, found), found.issuer());
    let trust = format!("pass the certificate of {issuer} with --cacert FILE, {IF_RIGHT}");
    match path.len() {
        1 => (
            format!("{reason}; the server sent no intermediate certificate"),
            Some(format!("{trust}; if it is an intermediate CA, {SEND_CHAIN}").into()),
        ),
        _ => (reason, Some(trust.into())),
    }
}

/// The message for a path to an authority that only has the name of a trusted one.
pub(super) fn other_key(path: &[Known], found: Option<&Known>, why: &str) -> Message {
    let (Some(own), Some(top)) = (path.first(), path.last()) else { return unknown(path, found) };
    (format!("{}: {why}", not_trusted(own, top)), Some(CURRENT_CA.into()))
}

/// The message for a server whose intermediate certificate is neither trusted nor shown.
pub(super) fn not_shown(found: Option<&Known>) -> Message {
    let Some(own) = found else { return unknown(&[], None) };
    let (subject, issuer) = (own.subject(), own.issuer());
    let reason = format!(
        "the server's certificate ({subject}) was issued by {issuer}, which is not in the trust store, \
         and the native TLS library does not show that certificate"
    );
    let hint =
        format!("add the certificate of {issuer} to the file of --cacert, or use --tls rustls");
    (reason, Some(hint.into()))
}

fn not_trusted(own: &Known, top: &Known) -> String {
    let relation = if std::ptr::eq(own, top) { "was issued by" } else { "chains up to" };
    let (subject, issuer) = (own.subject(), top.issuer());
    format!("the server's certificate ({subject}) {relation} {issuer}, which is not trusted")
}

const CURRENT_CA: &str = "ask the CA's operator for its current certificate";
const SEND_CHAIN: &str = "configure the server to send its whole chain";
const IF_RIGHT: &str = "or as cacert in clouds.yaml, if this is the right CA";
const TRUST_IT: &str = "pass this certificate with --cacert FILE, or as cacert in clouds.yaml, if it \
                        is the right one";
const TRUST_THE_CA: &str = "pass the certificate of the server's CA with --cacert FILE, or as cacert in \
                            clouds.yaml";
