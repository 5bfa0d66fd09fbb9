//! A server that asks for a client certificate and accepts clients without one.

#[cfg(not(any(windows, target_vendor = "apple")))]
mod server;

#[cfg(not(any(windows, target_vendor = "apple")))]
pub(crate) use server::acceptor;

/// native-tls has no such server. `library::IS_LIMITED` tells the suite so, which then asks for none.
#[cfg(any(windows, target_vendor = "apple"))]
pub(crate) fn acceptor(
    _: &str,
    _: &str,
    _: &str,
) -> std::sync::Arc<dyn transport_hyper::TlsAcceptor> {
    unreachable!("the suite needs this server only where `library::IS_LIMITED` is false")
}
