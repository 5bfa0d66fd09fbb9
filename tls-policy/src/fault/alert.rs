//! TLS alerts that a server sends to end a handshake.

use std::fmt;

use super::Fault;
use crate::TlsVersion;
use glance_core::transport::ClientCertificate;

/// A TLS alert, by its number (RFC 8446, 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert(pub u8);

impl Alert {
    /// Finds the alert that a TLS library's error message names. Libraries write the names with
    /// spaces, with underscores, or in camel case.
    pub fn in_message(message: &str) -> Option<Self> {
        let letters = |text: &str| -> String {
            text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase()
        };
        let message = letters(message);
        let said = &message[message.find("alert")?..];
        let known = NAMES.iter().find(|(_, name)| said.contains(&letters(name)))?;
        Some(Self(known.0))
    }

    /// The fault that this alert from the server means. `asked` is set if the server asked for a
    /// client certificate.
    pub fn fault(self, asked: Option<ClientCertificate>, min_version: TlsVersion) -> Fault {
        match (asked, self.0) {
            (Some(asked), _) => Fault::ClientCertificate(asked, self),
            (None, HANDSHAKE_FAILURE | PROTOCOL_VERSION | INSUFFICIENT_SECURITY) => {
                Fault::NothingInCommon(min_version)
            }
            (None, _) => Fault::Alert(self),
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;
const INSUFFICIENT_SECURITY: u8 = 71;

const NAMES: &[(u8, &str)] = &[
    (10, "unexpected message"),
    (20, "bad record mac"),
    (22, "record overflow"),
    (HANDSHAKE_FAILURE, "handshake failure"),
    (42, "bad certificate"),
    (43, "unsupported certificate"),
    (44, "certificate revoked"),
    (45, "certificate expired"),
    (46, "certificate unknown"),
    (47, "illegal parameter"),
    (48, "unknown ca"),
    (49, "access denied"),
    (50, "decode error"),
    (51, "decrypt error"),
    (PROTOCOL_VERSION, "protocol version"),
    (INSUFFICIENT_SECURITY, "insufficient security"),
    (80, "internal error"),
    (86, "inappropriate fallback"),
    (90, "user canceled"),
    (109, "missing extension"),
    (110, "unsupported extension"),
    (112, "unrecognized name"),
    (116, "certificate required"),
    (120, "no application protocol"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_every_library_are_understood() {
        for said in [
            "received fatal alert: CertificateRequired",
            "routines:ssl3_read_bytes:tlsv13 alert certificate required:ssl/record.c:9:SSL alert number 116",
        ] {
            assert_eq!(Alert::in_message(said), Some(Alert(116)), "{said}");
        }
        assert_eq!(Alert::in_message("received fatal alert: UnknownCA"), Some(Alert(48)));
        assert_eq!(Alert::in_message("connection reset by peer"), None);
        assert_eq!(Alert(48).to_string(), "unknown ca");
    }
}
