//! Queries Keystone about projects and domains.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::auth::{AuthHeaders, LIST, exchange_within, keystone_base, unexpected};
use super::{Session, SignInError, SignInErrorKind};
use glance_core::body::Body;

/// One Keystone, and the session for querying it.
#[derive(Debug)]
pub(super) struct Keystone {
    session: Arc<Session>,
    /// The URL with `/v3`.
    base: Url,
}

/// A project as Keystone describes it.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) name: String,
    /// `None` for a domain, which Keystone represents as a project.
    pub(super) domain_id: Option<String>,
}

#[derive(Deserialize)]
struct Domain {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct OneProject {
    project: Found,
}

#[derive(Deserialize)]
struct ProjectList {
    projects: Vec<Found>,
}

#[derive(Deserialize)]
struct OneDomain {
    domain: Domain,
}

#[derive(Deserialize)]
struct DomainList {
    domains: Vec<Domain>,
}

impl Keystone {
    pub(super) fn new(session: Arc<Session>, auth_url: &str) -> Result<Self, SignInError> {
        Ok(Self { session, base: keystone_base(auth_url)? })
    }

    /// The normalized URL, the same for every spelling.
    pub(super) fn address(&self) -> &Url {
        &self.base
    }

    /// The project with this id, if it exists and is visible to the user.
    pub(super) async fn project(&self, id: &str) -> Result<Option<Found>, SignInError> {
        // The owner of an image can be any text; it must not change the path of the request.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if id.is_empty() || !id.chars().all(plain) {
            return Ok(None);
        }
        let answer: Option<OneProject> = self.get(&["projects", id], None).await?;
        Ok(answer.map(|answer| answer.project))
    }

    /// The projects with this name in all domains; `None` if only an administrator may search.
    pub(super) async fn projects(&self, name: &str) -> Result<Option<Vec<Found>>, SignInError> {
        let answer: Option<ProjectList> = self.get(&["projects"], Some(name)).await?;
        Ok(answer.map(|answer| answer.projects))
    }

    /// The projects in which the user has a role.
    pub(super) async fn own_projects(&self) -> Result<Vec<Found>, SignInError> {
        let answer: Option<ProjectList> = self.get(&["auth", "projects"], None).await?;
        Ok(answer.map(|answer| answer.projects).unwrap_or_default())
    }

    /// The name of a domain, if it exists and is visible to the user.
    pub(super) async fn domain(&self, id: &str) -> Result<Option<String>, SignInError> {
        let answer: Option<OneDomain> = self.get(&["domains", id], None).await?;
        if let Some(OneDomain { domain }) = answer {
            return Ok(Some(domain.name));
        }
        let own: Option<DomainList> = self.get(&["auth", "domains"], None).await?;
        let mut own = own.map(|answer| answer.domains).unwrap_or_default().into_iter();
        Ok(own.find(|domain| domain.id == id).map(|domain| domain.name))
    }

    /// Sends a GET, and repeats it once with a new token after a 401. `None` if the item does not
    /// exist or is not visible.
    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        name: Option<&str>,
    ) -> Result<Option<T>, SignInError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        let server = format!("Keystone at {url}");
        if let Some(name) = name {
            url.query_pairs_mut().append_pair("name", name);
        }
        let proof = self.session.proof().await?;
        let mut answer = self.send(&url, &server, &proof).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && !proof.is_none() {
            let proof = self.session.renew(&proof).await?;
            answer = self.send(&url, &server, &proof).await?;
        }
        match answer.status() {
            StatusCode::OK => serde_json::from_slice(answer.body()).map(Some).map_err(|_| {
                let hint = "check that auth_url is a Keystone v3";
                let reason = format!("the response is not from {server}");
                SignInError::new(SignInErrorKind::Protocol, reason, Some(hint))
            }),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(None),
            _ => Err(unexpected(&answer, &server, "auth_url").answered(answer.headers())),
        }
    }

    async fn send(
        &self,
        url: &Url,
        server: &str,
        proof: &AuthHeaders,
    ) -> Result<Response<Bytes>, SignInError> {
        let mut request = Request::get(url.as_str()).header(header::ACCEPT, "application/json");
        for (name, value) in proof.headers(url)? {
            request = request.header(name, value);
        }
        let request = request.body(Body::empty()).map_err(|_| {
            let reason = format!("cannot create a request to {server}");
            SignInError::new(SignInErrorKind::Protocol, reason, Some("check auth_url"))
        })?;
        exchange_within(LIST, self.session.transport(), request, server).await
    }
}
