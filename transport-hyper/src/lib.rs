//! The HTTP/1.1 client that the TLS transports share: connections, pool, proxy and timeouts over
//! hyper. It knows no TLS library and asks a [`TlsBackend`] for every handshake; [`TlsAcceptor`]
//! is the same for servers.

mod tls;

pub use tls::{Io, TlsAcceptor, TlsBackend};
