//! What every TLS library's refusal is called, so that both stacks say the same of a server.

use crate::transport::{TransportError, TransportErrorKind};

/// Why a server is not trusted, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    reason: String,
    hint: Option<String>,
}

impl Refusal {
    /// The certificate's time is over.
    pub fn expired(subject: &str, until: &str) -> Self {
        Self {
            reason: format!("the certificate of {subject:?} expired on {until}"),
            hint: Some(
                "the server's operator must renew it; is this machine's clock right?".into(),
            ),
        }
    }

    /// The certificate's time has not begun.
    pub fn not_yet_valid(subject: &str, from: &str) -> Self {
        Self {
            reason: format!("the certificate of {subject:?} is not valid before {from}"),
            hint: Some("is this machine's clock right?".into()),
        }
    }

    /// The certificate is for other names.
    pub fn wrong_name(host: &str, names: &[String]) -> Self {
        let carried = match names {
            [] => "it carries no names at all (the common name does not count)".to_owned(),
            names => format!("it is for {}", names.join(", ")),
        };
        Self {
            reason: format!("the certificate is not for the name {host:?}: {carried}"),
            hint: Some("use a name of the certificate, or have the server's replaced".into()),
        }
    }

    /// What answers there does not speak TLS.
    pub fn not_tls() -> Self {
        Self {
            reason: "the server does not speak TLS".to_owned(),
            hint: Some(
                "is it the right port? A server without HTTPS is named by http://, and everybody \
                 on the way can read the token then"
                    .into(),
            ),
        }
    }

    /// Any other refusal, in the library's words.
    pub fn other(reason: String) -> Self {
        Self { reason, hint: None }
    }

    /// The refusal of a server, named as `https://host:port`.
    pub fn at(self, endpoint: &str) -> TransportError {
        TransportError {
            kind: TransportErrorKind::Tls,
            endpoint: endpoint.to_owned(),
            reason: self.reason,
            hint: self.hint,
            source: None,
        }
    }
}

/// The chain that the server sent ends at a certificate whose issuer is not trusted. `sent`
/// counts its certificates; `subject` and `issuer` are those of the last.
pub fn unknown_issuer(sent: usize, subject: &str, issuer: &str) -> Refusal {
    let named = "name the CA's certificate with --cacert FILE (or cacert: in clouds.yaml)";
    if subject == issuer {
        let reason = match sent {
            1 => format!("its self-signed certificate {subject:?} was not issued by a trusted CA"),
            _ => format!("its chain ends at {subject:?}, which is not issued by a trusted CA"),
        };
        return Refusal { reason, hint: Some(named.to_owned()) };
    }
    let (missing, remedy) = match sent {
        1 => (
            ", and the server sent no intermediate certificate",
            "; if the CA is trusted already, have the server send its intermediate certificates",
        ),
        _ => ("", ""),
    };
    Refusal {
        reason: format!(
            "its certificate {subject:?} was issued by {issuer:?}, which is not trusted{missing}"
        ),
        hint: Some(format!("{named}{remedy}")),
    }
}
