//! Why no TLS connection was made, in a few words.

/// Why no TLS connection was made. `Display` shows the reason in a few words, for a headline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The server's certificate, or one above it, has expired.
    #[error("certificate expired")]
    Expired,
    /// The server's certificate, or one above it, is not valid yet.
    #[error("certificate not valid yet")]
    NotYetValid,
    /// The certificate is not valid for the host.
    #[error("host name does not match the certificate")]
    WrongName,
    /// The certificate is self-signed, and not in the trust store.
    #[error("certificate not trusted (self-signed)")]
    SelfSigned,
    /// The trust store has no authority that issued the certificate.
    #[error("certificate not trusted")]
    NotTrusted,
    /// A certificate has a defect, or may not be used for this purpose.
    #[error("certificate not acceptable")]
    Unacceptable,
    /// A certificate has a weak key, or a signature that can be forged.
    #[error("certificate too weak")]
    Weak,
    /// A certificate has been revoked.
    #[error("certificate revoked")]
    Revoked,
    /// The revocation lists do not say whether a certificate has been revoked.
    #[error("revocation list missing")]
    RevocationUnknown,
    /// The server's key is not one of the pinned keys.
    #[error("public key does not match the pin")]
    NotPinned,
    /// The server requires a client certificate, and none was sent.
    #[error("client certificate required")]
    ClientCertificateMissing,
    /// The server rejected the client certificate.
    #[error("client certificate rejected")]
    ClientCertificateRejected,
    /// The server does not speak TLS.
    #[error("the server does not speak TLS")]
    NotTls,
    /// Client and server have no TLS version, or no cipher, in common.
    #[error("no TLS version or cipher in common")]
    NothingInCommon,
    /// The handshake failed for another reason.
    #[error("TLS handshake failed")]
    Handshake,
}

impl TlsFailure {
    /// Whether a handshake ended before the server's certificate could be judged.
    pub(super) fn is_before_trust(self) -> bool {
        use TlsFailure::{
            ClientCertificateMissing, ClientCertificateRejected, Handshake, NotTls, NothingInCommon,
        };
        matches!(
            self,
            ClientCertificateMissing
                | ClientCertificateRejected
                | Handshake
                | NotTls
                | NothingInCommon
        )
    }
}
