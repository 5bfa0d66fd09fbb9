//! A server that asks for a client certificate and accepts clients without one.

#[cfg(not(any(windows, target_vendor = "apple")))]
mod server;

#[cfg(not(any(windows, target_vendor = "apple")))]
pub(crate) use server::acceptor;

/// native-tls has no such server.
#[cfg(any(windows, target_vendor = "apple"))]
pub(crate) fn acceptor(
    _: &str,
    _: &str,
    _: &str,
) -> std::sync::Arc<dyn transport_hyper::TlsAcceptor> {
    unimplemented!("native-tls cannot ask a client for a certificate")
}
