//! The certificates of the servers that a command talks to, for reports and metrics. The transport
//! passes on the certificate of each connection, so no further connection is opened.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use glance_core::transport::{ServerCertificate, Transport, TransportError};
use glance_core::{Body, clock};
use http::{Request, Response, Uri};
use serde_json::{Value, json};
use tls_policy::Summary;

/// The certificate of a server that a command talked to.
#[derive(Debug, Clone)]
pub(crate) struct StoreCertificate {
    /// The side of the store: `source` or `target`.
    pub(crate) side: String,
    /// The server, as `host:port`.
    pub(crate) server: String,
    /// The contents of the certificate.
    pub(crate) summary: Summary,
    /// The certificate as DER.
    der: Arc<[u8]>,
}

impl StoreCertificate {
    /// The end of the validity period, in seconds since the Unix epoch.
    pub(crate) fn expires(&self) -> u64 {
        self.summary.not_after.as_secs()
    }

    /// The number of whole days until the certificate expires; negative if it has expired.
    pub(crate) fn days_left(&self) -> i64 {
        days_between(clock::seconds(), self.expires())
    }

    /// An entry of the list `certificates` of a JSON report.
    pub(crate) fn to_json(&self) -> Value {
        let (_, expires) = self.summary.validity();
        json!({
            "side": self.side, "server": self.server,
            "subject": self.summary.subject, "issuer": self.summary.issuer,
            "expires": expires, "days_left": self.days_left(),
        })
    }
}

/// The number of whole days until a certificate expires; negative if it has expired.
pub(crate) fn days_left(one: &Summary) -> i64 {
    days_between(clock::seconds(), one.not_after.as_secs())
}

/// The number of whole days from one time to another, both in seconds.
fn days_between(from: u64, to: u64) -> i64 {
    let days = |seconds: u64| i64::try_from(seconds.div_ceil(DAY)).unwrap_or(i64::MAX);
    match to.checked_sub(from) {
        Some(left) => i64::try_from(left / DAY).unwrap_or(i64::MAX),
        None => -days(from - to),
    }
}

const DAY: u64 = 24 * 60 * 60;

/// The certificates that servers have shown since the command began, by side and server.
pub(crate) fn seen() -> Vec<StoreCertificate> {
    certificates().values().cloned().collect()
}

/// The list `certificates` of a JSON report.
pub(crate) fn seen_as_json() -> Value {
    seen().iter().map(StoreCertificate::to_json).collect()
}

/// Forgets the certificates of an earlier command of this process.
pub(crate) fn forget() {
    certificates().clear();
}

/// Notes the certificate (DER) of a server. A server may have got a new certificate.
pub(crate) fn note(side: impl Display, server: &Uri, der: &Arc<[u8]>) {
    let Some(host) = server.host() else { return };
    let server = format!("{host}:{}", server.port_u16().unwrap_or(443));
    let key = (side.to_string(), server);
    let mut certificates = certificates();
    if certificates.get(&key).is_some_and(|noted| noted.der == *der) {
        return;
    }
    if let Some(summary) = Summary::from_der(der) {
        let ((side, server), der) = (key.clone(), Arc::clone(der));
        certificates.insert(key, StoreCertificate { side, server, summary, der });
    }
}

/// A transport that notes the certificates of the servers of this side.
pub(crate) fn noting(side: impl Display, transport: Arc<dyn Transport>) -> Arc<dyn Transport> {
    Arc::new(Noting { side: side.to_string(), transport })
}

#[derive(Debug)]
struct Noting {
    side: String,
    transport: Arc<dyn Transport>,
}

#[async_trait]
impl Transport for Noting {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let server = request.uri().clone();
        let answer = self.transport.send(request).await?;
        if let Some(ServerCertificate(der)) = answer.extensions().get() {
            note(&self.side, &server, der);
        }
        Ok(answer)
    }
}

/// A panic of another thread does not invalidate the list.
fn certificates() -> MutexGuard<'static, Certificates> {
    CERTIFICATES.lock().unwrap_or_else(PoisonError::into_inner)
}

type Certificates = BTreeMap<(String, String), StoreCertificate>;

static CERTIFICATES: Mutex<Certificates> = Mutex::new(BTreeMap::new());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_negative_after_the_end() {
        for (from, to, days) in [
            (0, 30 * DAY, 30),
            (1, 30 * DAY, 29),
            (0, DAY - 1, 0),
            (DAY, DAY, 0),
            (1, 0, -1),
            (DAY + 1, 0, -2),
            (0, u64::MAX, i64::try_from(u64::MAX / DAY).unwrap()),
        ] {
            assert_eq!(days_between(from, to), days, "{from} to {to}");
        }
    }
}
