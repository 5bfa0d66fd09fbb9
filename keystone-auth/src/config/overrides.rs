//! The operator's settings for one run, which override the configuration of a cloud.

use super::yaml::{Map, Node};

/// Settings for one run. Each overrides the corresponding setting of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The region; one of those that the cloud lists, if it lists any.
    pub region: Option<String>,
    /// The interface: `public`, `internal` or `admin`.
    pub interface: Option<String>,
    /// The project to sign in to: an id if it has 32 hexadecimal digits, as Keystone's ids do;
    /// otherwise a name, in the domain configured for projects or for the user. Replaces any other
    /// scope.
    pub project: Option<String>,
    /// The endpoint of Glance, instead of the one in the catalog.
    pub endpoint: Option<String>,
}

impl Overrides {
    /// Only a region, if one is given.
    pub fn region(region: Option<&str>) -> Self {
        Self { region: region.map(str::to_owned), ..Self::default() }
    }

    /// Whether there are no overrides.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Overrides the settings outside `auth`.
    pub(super) fn lay_over(&self, root: &mut Map) {
        if let Some(interface) = &self.interface {
            root.remove("image_interface");
            root.insert("interface".into(), Node::text(interface));
        }
        if let Some(endpoint) = &self.endpoint {
            root.insert("image_endpoint_override".into(), Node::text(endpoint));
        }
    }

    /// Overrides the scope. A domain that was the scope becomes the domain of user and project.
    pub(super) fn lay_over_scope(&self, auth: &mut Map, root: &mut Map) {
        let Some(project) = &self.project else { return };
        for map in [&mut *auth, root] {
            for key in ["project_id", "project_name", "system_scope", "trust_id", "unscoped"] {
                map.remove(key);
            }
        }
        let is_id = project.len() == 32 && project.bytes().all(|byte| byte.is_ascii_hexdigit());
        let key = if is_id { "project_id" } else { "project_name" };
        auth.insert(key.into(), Node::text(project));
        let is_domain =
            |key: &String| key.starts_with("project_domain_") || key.starts_with("default_domain_");
        if !auth.keys().any(is_domain) {
            for part in ["id", "name"] {
                if let Some(domain) = auth.get(&format!("user_domain_{part}")).cloned() {
                    auth.insert(format!("project_domain_{part}"), domain);
                }
            }
        }
    }
}
