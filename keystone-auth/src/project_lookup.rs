//! Looks up the projects of one Keystone by id and by name:
//! <https://docs.openstack.org/api-ref/identity/v3/#projects>.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::keystone::{Found, Keystone};
use super::{Session, SignInError};
use glance_core::project::Project;

/// The projects of one Keystone, as far as they are visible to the signed-in user. Results are
/// cached, and concurrent lookups of one project share a single request.
///
/// A Keystone that cannot be queried is an error. A project that does not exist, or is not visible
/// to the user, is `None`.
#[derive(Debug)]
pub struct Projects {
    /// `None` if the projects come from a list.
    keystone: Option<Keystone>,
    listed: Vec<Project>,
    by_id: Kept<String, Option<Project>>,
    by_name: Kept<(Option<String>, String), Vec<Project>>,
    domains: Kept<String, Option<String>>,
    own: OnceCell<Vec<Project>>,
}

impl Projects {
    /// Looks up projects in the Keystone at `auth_url`, with or without `/v3`, authenticated by
    /// `session`.
    ///
    /// # Errors
    /// If `auth_url` is not a valid Keystone URL.
    pub fn new(session: Arc<Session>, auth_url: &str) -> Result<Self, SignInError> {
        let keystone = Some(Keystone::new(session, auth_url)?);
        Ok(Self { keystone, ..Self::known(Vec::new()) })
    }

    /// A fixed list of projects, such as the one in a dump.
    pub fn known(listed: Vec<Project>) -> Self {
        Self {
            keystone: None,
            listed,
            by_id: Kept::default(),
            by_name: Kept::default(),
            domains: Kept::default(),
            own: OnceCell::new(),
        }
    }

    /// The project with this id.
    pub async fn by_id(&self, id: &str) -> Result<Option<Project>, SignInError> {
        let Some(keystone) = &self.keystone else {
            return Ok(self.listed.iter().find(|project| project.id == id).cloned());
        };
        let ask = async || {
            let found = match keystone.project(id).await? {
                Some(found) => self.named(keystone, found).await?,
                None => None,
            };
            match found {
                Some(found) => Ok(Some(found)),
                None => Ok(self.own(keystone).await?.iter().find(|own| own.id == id).cloned()),
            }
        };
        self.by_id.get(id.to_owned(), ask).await
    }

    /// The projects with this name: at most one if `domain` names their domain, otherwise up to one
    /// per domain.
    pub async fn by_name(
        &self,
        domain: Option<&str>,
        name: &str,
    ) -> Result<Vec<Project>, SignInError> {
        let fits = |project: &&Project| {
            project.name == name && domain.is_none_or(|domain| project.domain == domain)
        };
        let Some(keystone) = &self.keystone else {
            return Ok(self.listed.iter().filter(fits).cloned().collect());
        };
        let ask = async || {
            let Some(found) = keystone.projects(name).await? else {
                return Ok(self.own(keystone).await?.iter().filter(fits).cloned().collect());
            };
            let mut named = Vec::new();
            for found in found {
                named.extend(self.named(keystone, found).await?.filter(|project| fits(&project)));
            }
            Ok(named)
        };
        let key = (domain.map(str::to_owned), name.to_owned());
        self.by_name.get(key, ask).await
    }

    /// Whether all projects are visible, not only the user's own.
    pub async fn are_all(&self) -> Result<bool, SignInError> {
        match &self.keystone {
            // A user who may search for a nonexistent project may search for any.
            Some(keystone) => Ok(keystone.projects("glance-replicator").await?.is_some()),
            None => Ok(true),
        }
    }

    /// Whether both refer to the same Keystone or share its database: they have the same URL, or
    /// `other` knows projects of this one by the same id, name and domain.
    pub async fn are_those_of(&self, other: &Self) -> Result<bool, SignInError> {
        if let (Some(here), Some(there)) = (&self.keystone, &other.keystone) {
            if here.address() == there.address() {
                return Ok(true);
            }
        }
        let here = match &self.keystone {
            Some(keystone) => self.own(keystone).await?,
            None => &self.listed,
        };
        for project in here.iter().take(ENOUGH) {
            if other.by_id(&project.id).await?.as_ref() == Some(project) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All projects found so far, in the order of ids.
    pub fn seen(&self) -> Vec<Project> {
        let by_id = self.by_id.values().into_iter().flatten();
        let all = by_id.chain(self.by_name.values().into_iter().flatten());
        let all: BTreeMap<String, Project> =
            all.map(|project| (project.id.clone(), project)).collect();
        all.into_values().collect()
    }

    /// The projects in which the user has a role, or those of a fixed list.
    pub async fn of_user(&self) -> Result<Vec<Project>, SignInError> {
        match &self.keystone {
            Some(keystone) => Ok(self.own(keystone).await?.to_vec()),
            None => Ok(self.listed.clone()),
        }
    }

    /// The projects in which the user has a role; every user may list these.
    async fn own(&self, keystone: &Keystone) -> Result<&[Project], SignInError> {
        let ask = async || {
            let mut own = Vec::new();
            for found in keystone.own_projects().await? {
                own.extend(self.named(keystone, found).await?);
            }
            Ok(own)
        };
        self.own.get_or_try_init(ask).await.map(Vec::as_slice)
    }

    /// Adds the domain's name to a project; `None` if the domain is not visible.
    async fn named(
        &self,
        keystone: &Keystone,
        Found { id, name, domain_id }: Found,
    ) -> Result<Option<Project>, SignInError> {
        // A domain is represented as a project, but owns no images.
        let Some(domain_id) = domain_id else { return Ok(None) };
        let domain =
            self.domains.get(domain_id.clone(), async || keystone.domain(&domain_id).await);
        let domain = domain.await?;
        if domain.is_none() {
            tracing::debug!("cannot read the name of domain {domain_id} (project {name})");
        }
        Ok(domain.map(|domain| Project { id, name, domain }))
    }
}

/// The number of projects to compare before two Keystones are considered different.
const ENOUGH: usize = 10;

/// A cache of results by query.
#[derive(Debug)]
struct Kept<K, V>(Mutex<HashMap<K, Arc<OnceCell<V>>>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    /// The cached result, or that of `ask`. Concurrent calls wait for the first one.
    async fn get<F>(&self, key: K, ask: impl FnOnce() -> F) -> Result<V, SignInError>
    where
        F: Future<Output = Result<V, SignInError>>,
    {
        let cell = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(kept.entry(key).or_default())
        };
        cell.get_or_try_init(ask).await.cloned()
    }

    fn values(&self) -> Vec<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.values().filter_map(|cell| cell.get().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bytes::Bytes;
    use http::{Request, Response};
    use serde_json::{Value, json};

    use super::*;
    use crate::SignInErrorKind;
    use crate::auth::{AuthHeaders, AuthPlugin, Grant};
    use glance_core::body::Body;
    use glance_core::transport::{Transport, TransportError};

    /// A Keystone with two projects of one name; its responses depend on the user.
    #[derive(Debug, Default)]
    struct Double {
        asked: Mutex<Vec<String>>,
        /// Whether the token belongs to an ordinary user, not an administrator.
        plain: bool,
        /// Statuses with which the next requests are answered first.
        failing: Mutex<Vec<u16>>,
    }

    #[async_trait]
    impl Transport for Double {
        async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
            assert!(request.headers()["x-auth-token"].is_sensitive());
            let path = request.uri().path_and_query().unwrap().to_string();
            self.asked.lock().unwrap().push(path.clone());
            tokio::task::yield_now().await;
            let failing = self.failing.lock().unwrap().pop();
            let (status, body) =
                failing.map_or_else(|| self.answer(&path), |status| (status, Value::Null));
            let body = Body::from(Bytes::from(body.to_string()));
            Ok(Response::builder().status(status).body(body).unwrap())
        }
    }

    impl Double {
        fn answer(&self, path: &str) -> (u16, Value) {
            let one = json!({"id": "p1", "name": "web", "domain_id": "d1"});
            let other = json!({"id": "p2", "name": "web", "domain_id": "d2"});
            match (path, self.plain) {
                ("/v3/projects/p1", false) => (200, json!({"project": one})),
                ("/v3/projects/d1", false) => {
                    let domain = json!({"id": "d1", "name": "One", "domain_id": null});
                    (200, json!({"project": domain}))
                }
                ("/v3/projects" | "/v3/projects/", false) => (200, json!({"projects": [one]})),
                ("/v3/projects?name=web", false) => (200, json!({"projects": [one, other]})),
                (list, false) if list.starts_with("/v3/projects?") => {
                    (200, json!({"projects": []}))
                }
                ("/v3/domains/d1", _) => (200, json!({"domain": {"id": "d1", "name": "One"}})),
                ("/v3/domains/d2", false) => (200, json!({"domain": {"id": "d2", "name": "Two"}})),
                ("/v3/auth/projects", _) => (200, json!({"projects": [one, other]})),
                ("/v3/auth/domains", _) => (200, json!({"domains": []})),
                (_, true) => (403, Value::Null),
                (_, false) => (404, Value::Null),
            }
        }
    }

    /// Returns a different token every time.
    #[derive(Debug, Default)]
    struct Tokens(Mutex<u32>);

    #[async_trait]
    impl AuthPlugin for Tokens {
        async fn sign_in(&self, _: &dyn Transport) -> Result<Grant, SignInError> {
            let mut number = self.0.lock().unwrap();
            *number += 1;
            Ok(Grant::lasting(AuthHeaders::token(format!("token-{number}").into())?, None))
        }
    }

    fn projects(double: &Arc<Double>) -> Projects {
        let session = Session::new(double.clone(), Arc::new(Tokens::default()));
        Projects::new(Arc::new(session), "https://ks/").unwrap()
    }

    fn one() -> Project {
        Project { id: "p1".into(), name: "web".into(), domain: "One".into() }
    }

    #[tokio::test]
    async fn many_waiters_make_one_request() {
        let double = Arc::new(Double::default());
        let projects = Arc::new(projects(&double));
        let ask = |_| {
            let projects = Arc::clone(&projects);
            tokio::spawn(async move { projects.by_id("p1").await.unwrap() })
        };
        for found in futures_util::future::join_all((0..20).map(ask)).await {
            assert_eq!(found.unwrap(), Some(one()));
        }
        assert_eq!(*double.asked.lock().unwrap(), ["/v3/projects/p1", "/v3/domains/d1"]);
        assert_eq!(projects.seen(), [one()]);
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_asked_for_again() {
        let double = Arc::new(Double::default());
        let projects = projects(&double);
        for id in ["gone", "d1", "", "..", "a/b"] {
            assert_eq!(projects.by_id(id).await.unwrap(), None, "{id}");
        }
        assert!(projects.by_name(Some("One"), "gone").await.unwrap().is_empty());
        let asked = double.asked.lock().unwrap().len();
        projects.by_id("gone").await.unwrap();
        projects.by_name(Some("One"), "gone").await.unwrap();
        assert_eq!(double.asked.lock().unwrap().len(), asked);
        let strange = |path: &String| !path.starts_with("/v3/") || path.contains("..");
        assert!(!double.asked.lock().unwrap().iter().any(strange));
        assert!(projects.seen().is_empty());
    }

    #[tokio::test]
    async fn a_name_is_looked_for_in_its_domain() {
        let double = Arc::new(Double::default());
        let projects = projects(&double);
        assert_eq!(projects.by_name(Some("One"), "web").await.unwrap(), [one()]);
        assert_eq!(projects.by_name(None, "web").await.unwrap().len(), 2);
        assert!(projects.by_name(Some("Three"), "web").await.unwrap().is_empty());
        assert!(projects.are_all().await.unwrap());
    }

    #[tokio::test]
    async fn who_may_not_look_finds_the_own_projects() {
        let double = Arc::new(Double { plain: true, ..Double::default() });
        let projects = projects(&double);
        assert_eq!(projects.by_id("p1").await.unwrap(), Some(one()));
        assert_eq!(projects.by_name(Some("One"), "web").await.unwrap(), [one()]);
        // The project has no name here, because its domain is not visible.
        assert_eq!(projects.by_id("p2").await.unwrap(), None);
        assert!(!projects.are_all().await.unwrap());
        let own = |path: &&String| *path == "/v3/auth/projects";
        assert_eq!(double.asked.lock().unwrap().iter().filter(own).count(), 1);
    }

    #[tokio::test]
    async fn a_keystone_that_fails_is_an_error_and_asked_again() {
        let double = Arc::new(Double { failing: vec![503].into(), ..Double::default() });
        let projects = projects(&double);
        let error = projects.by_id("p1").await.unwrap_err();
        assert_eq!(error.kind, SignInErrorKind::Protocol);
        assert_eq!(error.reason, "Keystone at https://ks/v3/projects/p1 returned status 503");
        assert_eq!(projects.by_id("p1").await.unwrap(), Some(one()));
        // A rejected token is replaced.
        double.failing.lock().unwrap().push(401);
        assert_eq!(projects.by_name(Some("One"), "web").await.unwrap(), [one()]);
    }

    #[tokio::test]
    async fn two_keystones_are_one_by_address_or_by_what_they_know() {
        let double = Arc::new(Double::default());
        let here = projects(&double);
        assert!(here.are_those_of(&projects(&double)).await.unwrap());
        let dump = Projects::known(vec![one()]);
        assert!(dump.are_those_of(&here).await.unwrap());
        assert!(here.are_those_of(&dump).await.unwrap());
        let other = Projects::known(vec![Project { name: "db".into(), ..one() }]);
        assert!(!other.are_those_of(&here).await.unwrap());
        assert!(!here.are_those_of(&other).await.unwrap());
        assert!(!Projects::known(Vec::new()).are_those_of(&here).await.unwrap());
    }
}
