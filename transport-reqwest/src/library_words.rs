//! What TLS libraries say about a server that they refuse.

use tls_policy::TlsVersion;
use tls_policy::fault::Fault;

/// Words of rustls and of OpenSSL, and what they mean.
pub(crate) const FAULTS: &[(&str, Fault)] = &[
    ("certificate expired", Fault::Expired),
    ("certificate has expired", Fault::Expired),
    ("certificate not valid yet", Fault::NotYetValid),
    ("certificate is not yet valid", Fault::NotYetValid),
    ("certificate not valid for name", Fault::WrongName),
    ("ostname mismatch", Fault::WrongName),
    ("IP address mismatch", Fault::WrongName),
    ("UnknownIssuer", Fault::UnknownIssuer),
    // The trusted CA of that name has another key.
    ("BadSignature", Fault::UnknownIssuer),
    ("certificate signature failure", Fault::UnknownIssuer),
    ("unable to get local issuer certificate", Fault::UnknownIssuer),
    ("unable to get issuer certificate", Fault::UnknownIssuer),
    ("unable to verify the first certificate", Fault::UnknownIssuer),
    ("self-signed certificate", Fault::UnknownIssuer),
    ("self signed certificate", Fault::UnknownIssuer),
    ("CaUsedAsEndEntity", Fault::IsAuthority),
    ("does not allow extended key usage", Fault::WrongPurpose),
    ("unsuitable certificate purpose", Fault::WrongPurpose),
    ("key too weak", Fault::Weak),
    ("InvalidContentType", Fault::NotTls),
    ("wrong version number", Fault::NotTls),
    ("packet length too long", Fault::NotTls),
    ("peer is incompatible", Fault::NothingInCommon(TlsVersion::V1_2)),
    ("unsupported protocol", Fault::NothingInCommon(TlsVersion::V1_2)),
];
