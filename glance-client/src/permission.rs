//! What is missing when a Glance refuses a request: a token, a role, or the right to write at all.

use keystone_auth::auth::TokenHolder;

/// The credentials that a refused request carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credentials {
    /// None.
    Missing,
    /// Those of the session.
    Sent,
    /// New ones, after Glance had refused the session's.
    Renewed,
}

/// The hint for a request that was answered with 401.
pub(super) fn unauthenticated(credentials: Credentials) -> &'static str {
    match credentials {
        Credentials::Missing => NO_TOKEN,
        Credentials::Sent => NEW_TOKEN,
        Credentials::Renewed => OTHER_KEYSTONE,
    }
}

/// The hint for a request that was answered with 403: the missing permission, the project, and the
/// user, as far as they are known. `said` is the explanation of the server.
pub(super) fn forbidden(operation: &str, said: &str, holder: Option<&TokenHolder>) -> String {
    let others = OTHER_CAUSES.iter().find(|(words, _)| said.contains(words));
    if let Some((_, hint)) = others {
        return (*hint).to_owned();
    }
    let (missing, role, alternative) = match policy_rule(said) {
        _ if matches!(operation, CREATE_NAMESPACE | CHANGE_NAMESPACE) => {
            (METADEF_ADMIN.to_owned(), ADMIN, NO_METADEFS)
        }
        Some(rule) => {
            (format!("the policy rule {rule} denies this"), role_for(rule), instead(rule))
        }
        None if said.contains(OTHER_OWNER) => {
            ("only administrators may create images for other projects".to_owned(), ADMIN, OWNER)
        }
        None => (format!("this sign-in may not {operation}"), "", ""),
    };
    let place = match holder.and_then(|holder| holder.project.as_ref()) {
        Some(project) => format!("in project {project}"),
        None => "in the project of the sign-in".to_owned(),
    };
    let ask = match role {
        "" => format!("ask for a role {place} that permits this"),
        role => format!("ask for the role {role} {place}"),
    };
    // The project is named above.
    let user = holder.map(|holder| TokenHolder { project: None, ..holder.clone() });
    let user = user.map(|user| format!(" ({user})")).unwrap_or_default();
    format!("{ask}{alternative}: {missing}{user}")
}

/// The policy rule that Glance names: `You are not authorized to complete RULE action.`
fn policy_rule(said: &str) -> Option<&str> {
    let rest = &said[said.find(COMPLETE)? + COMPLETE.len()..];
    let rule = rest.split(' ').next()?;
    let is_name = rule.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
    (is_name && !rule.is_empty()).then_some(rule)
}

/// The role that the rule requires in Glance's default policy:
/// <https://docs.openstack.org/glance/latest/configuration/glance_policy.html>.
fn role_for(rule: &str) -> &'static str {
    match rule {
        "download_image" => "reader",
        rule if rule.starts_with("get_") && rule != "get_image_location" => "reader",
        "publicize_image" | "copy_image" | "set_image_location" | "get_image_location" => ADMIN,
        _ => "member",
    }
}

/// What the operator can do without the role.
fn instead(rule: &str) -> &'static str {
    match rule {
        "publicize_image" | "communitize_image" => {
            ", or leave the visibility out with --dontreplicate visibility"
        }
        "copy_image" => ", or leave out --also-store",
        _ => "",
    }
}

/// Operations that only administrators may carry out.
pub(super) const CREATE_NAMESPACE: &str = "create the namespace";
pub(super) const CHANGE_NAMESPACE: &str = "change the namespace";

const ADMIN: &str = "admin";
const OWNER: &str = ", or choose the owner with --owner caller";
const METADEF_ADMIN: &str =
    "only administrators may change metadata definitions (policy rule metadef_admin)";
const NO_METADEFS: &str = ", or leave metadata definitions out";
const COMPLETE: &str = "not authorized to complete ";
const OTHER_OWNER: &str = "not permitted to create images owned by";

const NO_TOKEN: &str = "pass a token with --token-file FILE or OS_TOKEN, or name a cloud of clouds.yaml \
    instead of a URL: no token was sent";
const NEW_TOKEN: &str = "get a new token: this one is wrong, has expired or was revoked";
const OTHER_KEYSTONE: &str = "check that this Glance belongs to the Keystone of the sign-in, and read the log of \
    the Glance: it refuses new tokens, too";

/// Words of refusals that no role permits, and their hints.
const OTHER_CAUSES: &[(&str, &str)] = &[
    (
        "This server is read-only",
        "use another target, or have the operator of this server start `serve` with --writable",
    ),
    (
        "metadata definitions are read-only",
        "use another target: `serve` does not accept metadata definitions",
    ),
    (
        "is protected and cannot be deleted",
        "set `protected` of this image to false first, if it may be deleted",
    ),
    ("is read-only", "leave this field out with --dontreplicate FIELD"),
    ("is reserved", "leave this field out with --dontreplicate FIELD"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> TokenHolder {
        TokenHolder {
            user: "alice".to_owned(),
            project: Some("demo (77)".to_owned()),
            roles: vec!["member".to_owned(), "reader".to_owned()],
        }
    }

    #[test]
    fn the_hint_names_the_role_the_project_and_the_rule() {
        let said = "403 Forbidden: You are not authorized to complete publicize_image action.";
        assert_eq!(
            forbidden("change the record", said, Some(&alice())),
            "ask for the role admin in project demo (77), or leave the visibility out with \
             --dontreplicate visibility: the policy rule publicize_image denies this (user alice, \
             roles member, reader)"
        );
        let said = "403 Forbidden: You are not authorized to complete get_images action.";
        assert_eq!(
            forbidden("list the images", said, None),
            "ask for the role reader in the project of the sign-in: the policy rule get_images denies \
             this"
        );
        let said = "403 Forbidden: Access was denied to this resource. You are not permitted to create \
            images owned by '0'";
        let hint = forbidden("create the record", said, Some(&alice()));
        assert!(
            hint.starts_with("ask for the role admin in project demo (77), or choose"),
            "{hint}"
        );
        let hint = forbidden("create the record", "403 Forbidden", Some(&alice()));
        assert!(
            hint.starts_with("ask for a role in project demo (77) that permits this: "),
            "{hint}"
        );
        assert!(hint.contains("this sign-in may not create the record (user alice,"), "{hint}");
    }

    #[test]
    fn what_no_role_permits_is_not_blamed_on_a_role() {
        for (said, hint) in [
            ("403 Forbidden: This server is read-only. Its operator can start it.", "--writable"),
            ("403 Forbidden: Image 1 is protected and cannot be deleted.", "`protected`"),
            ("403 Forbidden: Attribute 'checksum' is read-only.", "--dontreplicate"),
        ] {
            let found = forbidden("create the record", said, Some(&alice()));
            assert!(found.contains(hint) && !found.contains("role"), "{found}");
        }
    }

    #[test]
    fn words_of_a_server_are_no_rule() {
        for said in ["not authorized to complete \u{1b}[2J action", "not authorized to complete "] {
            assert_eq!(policy_rule(said), None, "{said}");
        }
    }
}
