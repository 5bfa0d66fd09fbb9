//! The HTTP/1.1 client that the TLS transports share: connections, proxies, connection pool and
//! timeouts, built on hyper. The crate depends on no TLS library: it delegates each handshake to a
//! [`TlsBackend`], and [`TlsAcceptor`] is the equivalent for servers.

mod address;

mod options;

mod tls;

mod proxy;

mod tunnel;

mod fill;

mod connector;

mod client;

mod exchange;

mod failure;

pub use client::HyperTransport;
pub use failure::io_reason;
pub use options::ClientOptions;
pub use proxy::{Proxies, Proxy, ProxyError};
pub use tls::{
    HandshakeError, HandshakeFault, Inspection, Io, TlsAcceptor, TlsBackend, TlsSession,
    TlsSetupError, TlsStream,
};
