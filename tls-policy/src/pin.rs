//! Pinned public keys of servers, checked in addition to all other checks.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};
use x509_cert::der::{Decode, Encode};

/// The SHA-256 of a server's public key (its `SubjectPublicKeyInfo`, DER).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

/// A text that is not a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a pin; write it as sha256//AAAA…=, as for curl")]
pub struct PinError(String);

impl Pin {
    /// The pin of a certificate (DER); `None` if the certificate cannot be parsed.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
        let key = certificate.tbs_certificate.subject_public_key_info.to_der().ok()?;
        Some(Self(Sha256::digest(key).into()))
    }
}

/// Parses pins in curl's format: `sha256//` and base64, several separated by `;`.
///
/// # Errors
/// When a part is not a pin. An empty text is also an error, because it would pin nothing.
pub fn parse(text: &str) -> Result<Vec<Pin>, PinError> {
    text.split(';').map(str::parse).collect()
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let digest = text.trim().strip_prefix("sha256//").and_then(decode);
        digest.map(Self).ok_or_else(|| PinError(text.to_owned()))
    }
}

fn decode(base64: &str) -> Option<[u8; 32]> {
    BASE64_STANDARD.decode(base64).ok()?.try_into().ok()
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256//{}", BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_written_as_curl_does() {
        let text = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let both = parse(&format!("{text};{text}")).unwrap();
        assert_eq!(both.len(), 2);
        assert_eq!(both[0].to_string(), text);
        for wrong in ["", "sha256//", "sha256//AAAA", "sha1//47DE", "47DEQpj8HBSa"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
