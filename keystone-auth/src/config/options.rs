//! The options of auth plugins, named as in keystoneauth's plugins.

use secrecy::SecretString;
use url::Url;

use super::ConfigError;
use super::settings::Settings;
use crate::{Domain, Scope, User};

/// The options of one auth plugin.
pub(super) struct Options<'a> {
    settings: &'a Settings<'a>,
    /// The name of the plugin, as in `auth_type`.
    kind: &'a str,
}

impl<'a> Options<'a> {
    /// Fails if `auth` contains a key that none of `known` lists, because it would have no effect.
    pub(super) fn new(
        settings: &'a Settings<'a>,
        kind: &'a str,
        known: &[&[&str]],
    ) -> Result<Self, ConfigError> {
        let known = known.concat();
        match settings.auth.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(Self { settings, kind }),
            Some(key) => settings.fail(
                &format!("`auth.{key}` is not an option of auth_type `{kind}`"),
                "correct the spelling or the auth_type, or remove the option",
            ),
        }
    }

    pub(super) fn fail<T>(&self, reason: &str, hint: &str) -> Result<T, ConfigError> {
        self.settings.fail(reason, hint)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        Ok(self.settings.option(key)?.map(str::to_owned))
    }

    pub(super) fn required(&self, key: &str) -> Result<String, ConfigError> {
        match self.text(key)? {
            Some(text) => Ok(text),
            None => self.missing(key),
        }
    }

    pub(super) fn secret(&self, key: &str) -> Result<SecretString, ConfigError> {
        match self.settings.option(key)? {
            Some(text) => Ok(SecretString::from(text)),
            None => match self.settings.environment.ask(self.settings.name, key) {
                Some(secret) => Ok(secret),
                None => self.missing(key),
            },
        }
    }

    fn missing<T>(&self, key: &str) -> Result<T, ConfigError> {
        self.fail(
            &format!("auth_type `{}` requires `auth.{key}`, which is missing", self.kind),
            &format!(
                "set it in clouds.yaml or secure.yaml, or as OS_{} in the environment",
                key.to_uppercase()
            ),
        )
    }

    /// A URL. It must not contain a password, because messages show it.
    pub(super) fn url(&self, key: &str) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        check_url(self.settings, key, &text)?;
        Ok(Some(text))
    }

    pub(super) fn required_url(&self, key: &str) -> Result<String, ConfigError> {
        match self.url(key)? {
            Some(url) => Ok(url),
            None => self.missing(key),
        }
    }

    /// The URL of Keystone, which may refer to other settings in braces.
    pub(super) fn auth_url(&self) -> Result<String, ConfigError> {
        let url = self.settings.format("auth_url", &self.required("auth_url")?)?;
        check_url(self.settings, "auth_url", &url)?;
        Ok(url)
    }

    pub(super) fn user(&self) -> Result<User, ConfigError> {
        if let Some(id) = self.text("user_id")? {
            return Ok(User::Id(id));
        }
        let name = match self.text("username")? {
            Some(name) => name,
            None => match self.text("user_name")? {
                Some(name) => name,
                None => self.missing("username")?,
            },
        };
        Ok(User::Name { name, domain: self.owner_domain("user")? })
    }

    /// The scope of the token. At most one scope may be configured.
    pub(super) fn scope(&self) -> Result<Scope, ConfigError> {
        let mut scopes = Vec::new();
        if let Some(id) = self.text("project_id")? {
            scopes.push(Scope::ProjectId(id));
        } else if let Some(name) = self.text("project_name")? {
            scopes.push(Scope::ProjectName { name, domain: self.owner_domain("project")? });
        }
        scopes.extend(self.domain("domain")?.map(Scope::Domain));
        scopes.extend(self.text("trust_id")?.map(Scope::Trust));
        scopes.extend(self.system_scope()?);
        scopes.extend(self.unscoped()?);
        match (scopes.pop(), scopes.is_empty()) {
            (None, _) => Ok(Scope::Default),
            (Some(scope), true) => Ok(scope),
            (Some(_), false) => self.fail(
                "more than one scope is set",
                "set only one of a project, a domain, system_scope, trust_id and unscoped",
            ),
        }
    }

    fn system_scope(&self) -> Result<Option<Scope>, ConfigError> {
        match self.text("system_scope")?.as_deref() {
            None => Ok(None),
            Some("all") => Ok(Some(Scope::System)),
            Some(_) => self.fail("the only system_scope is `all`", "set `system_scope: all`"),
        }
    }

    fn unscoped(&self) -> Result<Option<Scope>, ConfigError> {
        match self.text("unscoped")?.map(|text| super::yaml::truth(&text)) {
            None | Some(Some(false)) => Ok(None),
            Some(Some(true)) => Ok(Some(Scope::Unscoped)),
            Some(None) => self.fail("`unscoped` is neither true nor false", "set `unscoped: true`"),
        }
    }

    /// The domain of the user or project: its own key, or one that applies to both.
    fn owner_domain(&self, owner: &str) -> Result<Domain, ConfigError> {
        for prefix in [&format!("{owner}_domain"), "default_domain"] {
            if let Some(domain) = self.domain(prefix)? {
                return Ok(domain);
            }
        }
        self.fail(
            &format!("`auth.{owner}_domain_name` is missing"),
            &format!("set `{owner}_domain_name: Default`, if the cloud's domain has no other name"),
        )
    }

    fn domain(&self, prefix: &str) -> Result<Option<Domain>, ConfigError> {
        if let Some(id) = self.text(&format!("{prefix}_id"))? {
            return Ok(Some(Domain::Id(id)));
        }
        Ok(self.text(&format!("{prefix}_name"))?.map(Domain::Name))
    }
}

/// Fails unless `url` is valid and contains no secret.
pub(super) fn check_url(settings: &Settings, key: &str, url: &str) -> Result<(), ConfigError> {
    match Url::parse(url) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => settings.fail(
            &format!("`{key}` contains a user or a password"),
            "remove the part before the `@`; put passwords in secure.yaml",
        ),
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => Ok(()),
        _ => settings
            .fail(&format!("`{key}` is not a URL"), "write it as https://HOST[:PORT][/PATH]"),
    }
}

/// The options of all plugins for Keystone v3.
pub(super) const KEYSTONE: &[&str] = &[
    "auth_url",
    "domain_id",
    "domain_name",
    "project_domain_id",
    "project_domain_name",
    "project_id",
    "project_name",
    "system_scope",
    "trust_id",
    "unscoped",
];

/// The domain of both user and project; an option of plugins without a version in their names.
pub(super) const DEFAULT_DOMAIN: &[&str] = &["default_domain_id", "default_domain_name"];

/// The options that identify a user.
pub(super) const USER: &[&str] =
    &["user_domain_id", "user_domain_name", "user_id", "user_name", "username"];

/// The options of application credentials.
pub(super) const APPLICATION_CREDENTIAL: &[&str] =
    &["application_credential_id", "application_credential_name", "application_credential_secret"];

/// The options of federation with an identity provider.
pub(super) const FEDERATION: &[&str] = &["identity_provider", "protocol"];

/// The options of an `OpenID` Connect client.
pub(super) const OIDC: &[&str] = &[
    "access_token_endpoint",
    "access_token_type",
    "client_id",
    "client_secret",
    "discovery_endpoint",
    "openid_scope",
];

/// The options of OAuth 2.0 by Keystone itself.
pub(super) const OAUTH2: &[&str] = &["oauth2_client_id", "oauth2_client_secret", "oauth2_endpoint"];
