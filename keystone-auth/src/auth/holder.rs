//! Whose token a sign-in obtained, for messages about missing permissions.

use std::fmt;

use serde::Deserialize;

use crate::catalog::{Entry, text_or_nothing};

/// The user of a token, with the project and the roles that the token is for. `Display` is meant for
/// messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHolder {
    /// The name of the user, or else the id.
    pub user: String,
    /// The project, such as `demo (3f2a…)`; `None` if the token is for a domain or the whole cloud.
    pub project: Option<String>,
    /// The names of the roles.
    pub roles: Vec<String>,
}

impl fmt::Display for TokenHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", self.user)?;
        if let Some(project) = &self.project {
            write!(f, ", project {project}")?;
        }
        match self.roles.as_slice() {
            [] => f.write_str(", no role"),
            [one] => write!(f, ", role {one}"),
            several => write!(f, ", roles {}", several.join(", ")),
        }
    }
}

/// A user, a project or a role in Keystone's description of a token.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Named {
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub(super) id: String,
    #[serde(default, deserialize_with = "text_or_nothing")]
    name: String,
}

impl Entry for Named {
    fn is_useful(&self) -> bool {
        !self.name.is_empty()
    }
}

impl Named {
    fn shown(&self) -> String {
        match (self.name.as_str(), self.id.as_str()) {
            ("", id) => id.to_owned(),
            (name, "") => name.to_owned(),
            (name, id) => format!("{name} ({id})"),
        }
    }
}

/// The holder of a token with this user, project and roles.
pub(super) fn holder(user: &Named, project: Option<&Named>, roles: &[Named]) -> TokenHolder {
    let user = if user.name.is_empty() { &user.id } else { &user.name };
    let mut roles: Vec<String> = roles.iter().map(|role| role.name.clone()).collect();
    roles.sort();
    TokenHolder { user: user.clone(), project: project.map(Named::shown), roles }
}
