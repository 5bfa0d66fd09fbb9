//! What can be wrong with a server's certificate or with a handshake.

use glance_core::transport::ClientCertificate;

use crate::TlsVersion;

mod alert;

pub use alert::Alert;

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
    /// The TLS library shows only the server's own certificate, and the trust store does not contain
    /// the certificate that issued it.
    NotShown,
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
