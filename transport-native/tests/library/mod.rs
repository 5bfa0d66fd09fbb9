//! What this crate's TLS library lacks.

/// Whether the library neither shows the certificates of servers that it rejects, nor whether a
/// server asked for a client certificate, and trusts no certificate that is not self-signed.
pub(crate) const IS_LIMITED: bool =
    cfg!(any(feature = "platform-tls", windows, target_vendor = "apple"));
