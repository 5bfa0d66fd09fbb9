#![doc = include_str!("../README.md")]

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
