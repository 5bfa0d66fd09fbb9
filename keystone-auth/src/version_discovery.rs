//! Asks a Glance which API versions it supports:
//! <https://docs.openstack.org/api-ref/image/versions/>.
//!
//! Only the versions in the response are used. Its links often have the wrong scheme or host and
//! are not needed: Glance serves `v2/` next to the version document.

use http::{Request, StatusCode, header};
use serde::Deserialize;
use url::Url;

use super::catalog::catalog_error;
use super::{SignInError, SignInErrorKind};
use crate::auth::exchange;
use glance_core::body::Body;
use glance_core::transport::{Optional, Transport, briefly};

#[derive(Deserialize)]
struct Document {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    id: String,
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

/// The highest minor version of API version 2 of the Glance at `base`; `None` if unknown, as behind
/// a proxy that admits only `v2/`. Sends one request with a short timeout and without a token,
/// because the answer is optional.
pub(super) async fn minor_version(
    transport: &dyn Transport,
    base: &Url,
) -> Result<Option<u32>, SignInError> {
    let server = format!("Glance at {base}");
    let url = format!("{}/", base.as_str().trim_end_matches('/'));
    let mut request =
        Request::get(url).header(header::ACCEPT, "application/json").body(Body::empty()).map_err(
            |_| catalog_error(format!("cannot create a request to {server}"), "check its address"),
        )?;
    request.extensions_mut().insert(Optional);
    let answer = match briefly(exchange(transport, request, &server)).await {
        Some(Ok(answer)) => answer,
        Some(Err(error)) => return Ok(unknown(&server, &error.to_string())),
        None => return Ok(unknown(&server, "no response in time")),
    };
    let status = answer.status();
    // Glance answers with 300 here, which is not a redirect.
    let document = match status {
        StatusCode::OK | StatusCode::MULTIPLE_CHOICES => {
            serde_json::from_slice::<Document>(answer.body()).ok()
        }
        _ => None,
    };
    let Some(Document { versions }) = document else {
        return Ok(unknown(
            &server,
            &format!("the response (status {}) is not a list of versions", status.as_u16()),
        ));
    };
    for href in versions.iter().flat_map(|version| &version.links).map(|link| &link.href) {
        if Url::parse(href).is_ok_and(|claimed| claimed.origin() != base.origin()) {
            tracing::debug!("{server} links to another origin; using the address from the catalog");
            break;
        }
    }
    let minors = versions.iter().filter_map(|version| minor(&version.id));
    minors.max().map(Some).ok_or_else(|| {
        SignInError::new(
            SignInErrorKind::Protocol,
            format!("{server} does not offer API version 2"),
            Some("check the endpoint: every supported Glance offers version 2"),
        )
    })
}

fn unknown(server: &str, why: &str) -> Option<u32> {
    tracing::info!("cannot read the API versions of {server}: {why}");
    None
}

/// The minor version of a version 2 id: 9 for `v2.9`.
fn minor(id: &str) -> Option<u32> {
    match id.strip_prefix("v2")?.strip_prefix('.') {
        Some(minor) => minor.parse().ok(),
        None => (id == "v2").then_some(0),
    }
}
