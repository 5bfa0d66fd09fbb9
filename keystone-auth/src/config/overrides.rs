//! What an operator says of a cloud for one run, over what its configuration says.

use super::yaml::{Map, Node};

/// Settings of one run: each replaces what the configuration says of the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The region; one of those that the cloud lists, if it lists any.
    pub region: Option<String>,
    /// The interface: `public`, `internal` or `admin`.
    pub interface: Option<String>,
    /// The project to sign in to: by its id where it is 32 hexadecimal digits, as Keystone makes
    /// them, else by its name, in the domain that the cloud says for projects or for its user. It
    /// replaces any other scope.
    pub project: Option<String>,
    /// Where Glance is, in place of what the catalogue says.
    pub endpoint: Option<String>,
}

impl Overrides {
    /// Nothing but a region, where one is asked for.
    pub fn region(region: Option<&str>) -> Self {
        Self { region: region.map(str::to_owned), ..Self::default() }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Replaces the settings beside `auth`.
    pub(super) fn lay_over(&self, root: &mut Map) {
        if let Some(interface) = &self.interface {
            root.remove("image_interface");
            root.insert("interface".into(), Node::text(interface));
        }
        if let Some(endpoint) = &self.endpoint {
            root.insert("image_endpoint_override".into(), Node::text(endpoint));
        }
    }

    /// Replaces the scope. A domain that was the scope becomes that of user and project.
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
