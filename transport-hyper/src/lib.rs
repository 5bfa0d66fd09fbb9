//! The HTTP/1.1 client that the TLS transports share: connections, proxies, pool and timeouts over
//! hyper. It knows no TLS library and asks a [`TlsBackend`] for every handshake; [`TlsAcceptor`]
//! is the same for servers.

mod tls;

mod proxy;

mod tunnel;

mod fill;

mod connector;

mod client;

mod exchange;

mod failure;

pub use client::{HyperTransport, Options};
pub use failure::io_reason;
pub use proxy::{Proxies, Proxy, ProxyError};
pub use tls::{
    Finding, Inspection, Io, Refusal, Secured, Session, TlsAcceptor, TlsBackend, TlsSetupError,
};
