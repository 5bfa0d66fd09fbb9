//! The configuration of a client.

use std::time::Duration;

use glance_core::transport::IdleTimeouts;

use crate::proxy::Proxies;

/// Timeouts and proxies of a client. No timeout limits the total duration of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// Timeout for establishing a connection, handshakes included.
    pub connect_timeout: Duration,
    /// Timeout without progress: for the server to accept the next bytes of a request or to send
    /// the next bytes of a response.
    pub idle_timeout: Duration,
    /// Timeout for the response after the last byte of uploaded data: a store may need long to
    /// commit an image. Values below `idle_timeout` have no effect.
    pub commit_timeout: Duration,
    /// The proxies; none by default. Use [`Proxies::from_env`] to read them from the environment.
    pub proxies: Proxies,
}

impl Default for ClientOptions {
    fn default() -> Self {
        let silence = IdleTimeouts::default();
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: silence.idle,
            commit_timeout: silence.commit,
            proxies: Proxies::default(),
        }
    }
}
