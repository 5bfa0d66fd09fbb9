//! The HTTP/1.1 client that the TLS transports share: connections, proxies, connection pool and
//! timeouts, built on hyper. The crate depends on no TLS library: it delegates each handshake to a
//! [`TlsBackend`], and [`TlsAcceptor`] is the equivalent for servers.
//! `transport-rustls` and `transport-native` implement both; their crate documentation has examples.
//!
//! # Example
//! The proxies are part of the options, because this crate does not read the environment:
//! ```
//! use std::time::Duration;
//!
//! use transport_hyper::{ClientOptions, Proxies};
//!
//! let proxies = Proxies::from_env(&|name| std::env::var(name).ok())?;
//! let options = ClientOptions { connect_timeout: Duration::from_secs(5), proxies, ..Default::default() };
//! assert_eq!(options.idle_timeout, Duration::from_secs(300));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod options;

mod tls;

mod proxy;

mod tunnel;

mod fill;

mod connector;
mod dial;

mod client;

mod failure;

pub use client::HyperTransport;
pub use options::ClientOptions;
pub use proxy::{Proxies, Proxy, ProxyError};
pub use tls::{
    HandshakeError, HandshakeFault, Inspection, Io, TlsAcceptor, TlsBackend, TlsSession,
    TlsSetupError, TlsStream,
};
