//! The projects of one Keystone, by id and by name:
//! <https://docs.openstack.org/api-ref/identity/v3/#projects>.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::keystone::{Found, Keystone};
use super::{Project, Session, SignInError};

/// The projects of one Keystone, as far as it lets the signed-in user look. What was asked once is
/// not asked again, and however many wait for one project make one request.
///
/// A Keystone that can't be asked is an error. A project that is not there, or that the user may
/// not see, is none.
#[derive(Debug)]
pub struct Projects {
    /// None where the projects are those of a list.
    keystone: Option<Keystone>,
    listed: Vec<Project>,
    by_id: Kept<String, Option<Project>>,
    by_name: Kept<(Option<String>, String), Vec<Project>>,
    domains: Kept<String, Option<String>>,
    own: OnceCell<Vec<Project>>,
}

impl Projects {
    /// The projects of the Keystone at `auth_url`, with or without `/v3`, that `session` signs in
    /// to.
    ///
    /// # Errors
    /// When `auth_url` is no address of a Keystone.
    pub fn new(session: Arc<Session>, auth_url: &str) -> Result<Self, SignInError> {
        let keystone = Some(Keystone::new(session, auth_url)?);
        Ok(Self { keystone, ..Self::known(Vec::new()) })
    }

    /// These projects and no others, such as those that a dump brings with it.
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

    /// The projects with this name: in a domain of this name at most one, else one of each domain.
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

    /// Whether every project can be found here, not only the user's own.
    pub async fn are_all(&self) -> Result<bool, SignInError> {
        match &self.keystone {
            // Whoever may look for one that is not there may look for any.
            Some(keystone) => Ok(keystone.projects("glance-replicator").await?.is_some()),
            None => Ok(true),
        }
    }

    /// Whether the two are the same Keystone, or one database: it has the same address, or knows
    /// projects from here by the same id and name.
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

    /// Every project that was found so far, in the order of ids.
    pub fn seen(&self) -> Vec<Project> {
        let by_id = self.by_id.values().into_iter().flatten();
        let all = by_id.chain(self.by_name.values().into_iter().flatten());
        let all: BTreeMap<String, Project> =
            all.map(|project| (project.id.clone(), project)).collect();
        all.into_values().collect()
    }

    /// The projects in which the user has a role, which everybody may list.
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

    /// The project with its domain's name, where the user may see that.
    async fn named(
        &self,
        keystone: &Keystone,
        Found { id, name, domain_id }: Found,
    ) -> Result<Option<Project>, SignInError> {
        // Domains are projects too, but own no images.
        let Some(domain_id) = domain_id else { return Ok(None) };
        let domain =
            self.domains.get(domain_id.clone(), async || keystone.domain(&domain_id).await);
        let domain = domain.await?;
        if domain.is_none() {
            tracing::debug!("the name of domain {domain_id}, of project {name}, can't be seen");
        }
        Ok(domain.map(|domain| Project { id, name, domain }))
    }
}

/// Projects that are compared before two Keystones are taken for different ones.
const ENOUGH: usize = 10;

/// Answers that are kept by their questions.
#[derive(Debug)]
struct Kept<K, V>(Mutex<HashMap<K, Arc<OnceCell<V>>>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    /// The answer, by `ask` unless it is there. Who comes while somebody asks waits for that.
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
