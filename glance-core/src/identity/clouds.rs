//! Makes a [`Cloud`] of what `clouds.yaml` says.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::catalogue;
use super::files::{self, Config, Env};
use super::yaml::{Node, truth};
use super::{ApplicationCredential, Auth, ConfigError, Domain, Scope, User};

/// A cloud of `clouds.yaml`. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// Its name in the file.
    pub name: String,
    /// The file that names it.
    pub file: PathBuf,
    /// The region, where one was asked for or the file says one.
    pub region: Option<String>,
    /// The file of CA certificates to trust instead of the system's.
    pub cacert: Option<PathBuf>,
    /// Where Glance is, in place of what the catalogue says; without `/v2`.
    pub image_endpoint_override: Option<String>,
    /// Which of the catalogue's endpoints to use: `public`, `internal` or `admin`.
    pub interface: String,
    /// How to sign in.
    pub auth: Auth,
}

impl Cloud {
    /// The cloud called `name`, in `region` where one is asked for. `None` when no file names it.
    ///
    /// `env` looks up environment variables: those that say where files are. Others, such as
    /// `OS_PASSWORD`, are never mixed into a cloud of the file.
    pub fn find(
        name: &str,
        region: Option<&str>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(Config { file, root }) = files::load(env)? else { return Ok(None) };
        let cloud = match root.get("clouds") {
            None => return Ok(None),
            Some(Node::Map(clouds)) => clouds.get(name),
            Some(_) => return Err(no_map(file)),
        };
        let Some(cloud) = cloud else { return Ok(None) };
        let mut entry = Entry { name, file, root: cloud.clone() };
        let region = entry.choose_region(region)?;
        entry.cloud(region, env).map(Some)
    }

    /// The names of all clouds, in alphabetical order.
    pub fn names(env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>, ConfigError> {
        let Some(Config { file, root }) = files::load(env)? else { return Ok(Vec::new()) };
        match root.get("clouds") {
            None => Ok(Vec::new()),
            Some(Node::Map(clouds)) => Ok(clouds.keys().cloned().collect()),
            Some(_) => Err(no_map(file)),
        }
    }
}

fn no_map(file: PathBuf) -> ConfigError {
    ConfigError {
        file,
        reason: "`clouds:` is no map of clouds".into(),
        hint: Some("write each cloud as `NAME:` with its settings indented below".into()),
    }
}

/// The settings of one cloud.
struct Entry<'a> {
    name: &'a str,
    file: PathBuf,
    root: Node,
}

impl Entry<'_> {
    fn fail<T>(&self, reason: &str, hint: &str) -> Result<T, ConfigError> {
        Err(ConfigError {
            file: self.file.clone(),
            reason: format!("cloud `{}`: {reason}", self.name),
            hint: Some(hint.into()),
        })
    }

    /// The text of a key; an empty one is as good as none.
    fn text(&self, node: &Node, key: &str) -> Result<Option<String>, ConfigError> {
        match node.get(key) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => self.fail(&format!("`{key}` is no text"), "write one value after the colon"),
        }
    }

    fn auth_text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.root.get("auth") {
            None => Ok(None),
            Some(auth @ Node::Map(_)) => self.text(auth, key),
            Some(_) => self.fail("`auth` is no map", "write its settings indented below `auth:`"),
        }
    }

    fn required(&self, key: &str) -> Result<String, ConfigError> {
        match self.auth_text(key)? {
            Some(text) => Ok(text),
            None => self.fail(
                &format!("`auth.{key}` is missing"),
                "say it in clouds.yaml or secure.yaml; profiles of vendors are not read",
            ),
        }
    }

    /// Settles the region, and lays the settings that its entry brings over the cloud's.
    fn choose_region(&mut self, asked: Option<&str>) -> Result<Option<String>, ConfigError> {
        let said = self.text(&self.root, "region_name")?;
        let wanted = asked.map(str::to_owned).or(said);
        let listed = match self.root.get("regions") {
            None => return Ok(wanted),
            Some(Node::List(regions)) => regions.clone(),
            Some(_) => return self.fail("`regions` is no list", "write each region as `- NAME`"),
        };
        let mut names = Vec::new();
        for region in listed {
            let name = match &region {
                Node::Text(name) => Some(name.clone()),
                region => self.text(region, "name")?,
            };
            let Some(name) = name else {
                return self
                    .fail("a region in `regions` has no name", "write `- NAME` or `- name: NAME`");
            };
            // Without a wish it is the first.
            if wanted.as_ref().is_none_or(|wanted| *wanted == name) {
                if let Some(values @ Node::Map(_)) = region.get("values") {
                    self.root.merge(values.clone());
                }
                return Ok(Some(name));
            }
            names.push(name);
        }
        match wanted {
            None => Ok(None),
            Some(wanted) => self.fail(
                &format!("it has no region `{wanted}`"),
                &format!("`regions` lists: {}", names.join(", ")),
            ),
        }
    }

    fn cloud(&self, region: Option<String>, env: Env) -> Result<Cloud, ConfigError> {
        self.check_verification()?;
        let auth = self.auth()?;
        let mut endpoint = self.text(&self.root, "image_endpoint_override")?;
        if endpoint.is_none() && matches!(auth, Auth::None | Auth::Token { .. }) {
            endpoint = self.auth_text("endpoint")?;
        }
        if let Some(endpoint) = &endpoint {
            self.check_url("image_endpoint_override", endpoint)?;
        }
        Ok(Cloud {
            name: self.name.into(),
            file: self.file.clone(),
            region,
            cacert: self.text(&self.root, "cacert")?.map(|path| files::expand(env, &path)),
            image_endpoint_override: endpoint.map(|endpoint| catalogue::normalise(&endpoint)),
            interface: self.interface()?,
            auth,
        })
    }

    /// There is no way around verification; a file that asks for one must not seem to get it.
    fn check_verification(&self) -> Result<(), ConfigError> {
        for (key, safe) in [("verify", true), ("insecure", false)] {
            let Some(text) = self.text(&self.root, key)? else { continue };
            match truth(&text) {
                Some(value) if value == safe => {}
                Some(value) => {
                    return self.fail(
                        &format!("it says `{key}: {value}`, but there is no insecure mode"),
                        &format!(
                            "remove `{key}` and name the CA of the server with `cacert: FILE`"
                        ),
                    );
                }
                None => {
                    return self.fail(
                        &format!("`{key}` is neither true nor false"),
                        &format!("remove `{key}`; a CA is named with `cacert: FILE`"),
                    );
                }
            }
        }
        Ok(())
    }

    fn interface(&self) -> Result<String, ConfigError> {
        let said = match self.root.get("interface") {
            Some(Node::List(preferred)) => match preferred.first() {
                Some(Node::Text(first)) => Some(first.clone()),
                _ => None,
            },
            _ => self.text(&self.root, "interface")?,
        };
        let said = said.unwrap_or_else(|| "public".into());
        match said.strip_suffix("URL").unwrap_or(&said) {
            known @ ("public" | "internal" | "admin") => Ok(known.into()),
            other => self.fail(
                &format!("there is no interface `{other}`"),
                "say `public`, `internal` or `admin`",
            ),
        }
    }

    /// A URL is named in messages, so it may hold no password.
    fn check_url(&self, key: &str, url: &str) -> Result<(), ConfigError> {
        match Url::parse(url) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => self.fail(
                &format!("`{key}` holds a user or a password"),
                "remove what stands before the `@`; passwords belong in secure.yaml",
            ),
            Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => Ok(()),
            _ => self.fail(&format!("`{key}` is no URL"), "write it as https://HOST[:PORT][/PATH]"),
        }
    }

    fn auth(&self) -> Result<Auth, ConfigError> {
        let kind = self.text(&self.root, "auth_type")?.unwrap_or_else(|| "password".into());
        match kind.as_str() {
            "none" => Ok(Auth::None),
            "admin_token" => Ok(Auth::Token { token: SecretString::from(self.required("token")?) }),
            "password" | "v3password" => Ok(Auth::Password {
                auth_url: self.auth_url()?,
                user: self.user()?,
                password: SecretString::from(self.required("password")?),
                scope: self.scope()?,
            }),
            "v3applicationcredential" => Ok(Auth::ApplicationCredential {
                auth_url: self.auth_url()?,
                credential: self.application_credential()?,
                secret: SecretString::from(self.required("application_credential_secret")?),
            }),
            other => self.fail(
                &format!("the auth_type `{other}` is not supported"),
                "make an application credential and say `auth_type: v3applicationcredential`",
            ),
        }
    }

    fn auth_url(&self) -> Result<String, ConfigError> {
        let url = self.required("auth_url")?;
        self.check_url("auth.auth_url", &url)?;
        Ok(url)
    }

    fn application_credential(&self) -> Result<ApplicationCredential, ConfigError> {
        match self.auth_text("application_credential_id")? {
            Some(id) => Ok(ApplicationCredential::Id(id)),
            None => Ok(ApplicationCredential::Name {
                name: self.required("application_credential_name")?,
                user: self.user()?,
            }),
        }
    }

    fn user(&self) -> Result<User, ConfigError> {
        if let Some(id) = self.auth_text("user_id")? {
            return Ok(User::Id(id));
        }
        Ok(User::Name { name: self.required("username")?, domain: self.owner_domain("user")? })
    }

    fn scope(&self) -> Result<Scope, ConfigError> {
        if let Some(id) = self.auth_text("project_id")? {
            return Ok(Scope::ProjectId(id));
        }
        if let Some(name) = self.auth_text("project_name")? {
            return Ok(Scope::ProjectName { name, domain: self.owner_domain("project")? });
        }
        Ok(self.domain("domain")?.map_or(Scope::Unscoped, Scope::Domain))
    }

    /// The domain of the user or of the project: its own key, or one that stands for both.
    fn owner_domain(&self, owner: &str) -> Result<Domain, ConfigError> {
        for prefix in [&format!("{owner}_domain"), "domain", "default_domain"] {
            if let Some(domain) = self.domain(prefix)? {
                return Ok(domain);
            }
        }
        self.fail(
            &format!("`auth.{owner}_domain_name` is missing"),
            &format!("say `{owner}_domain_name: Default`, if the cloud's domain has no other name"),
        )
    }

    fn domain(&self, prefix: &str) -> Result<Option<Domain>, ConfigError> {
        if let Some(id) = self.auth_text(&format!("{prefix}_id"))? {
            return Ok(Some(Domain::Id(id)));
        }
        Ok(self.auth_text(&format!("{prefix}_name"))?.map(Domain::Name))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::ExposeSecret;

    use super::*;

    const AUTH: &str = "auth: {auth_url: 'https://ks:5000', username: u, password: 0123, \
                        project_name: p, domain_name: D}";

    fn find(cloud: &str, region: Option<&str>) -> Result<Cloud, ConfigError> {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("c.yaml");
        fs::write(&file, format!("clouds:\n  a: {{{cloud}}}\n  b: {{}}\n")).unwrap();
        let env = |name: &str| match name {
            "OS_CLIENT_CONFIG_FILE" => Some(file.display().to_string()),
            "HOME" => Some("/h".into()),
            _ => None,
        };
        assert_eq!(Cloud::names(&env).unwrap(), ["a", "b"]);
        assert!(Cloud::find("c", None, &env).unwrap().is_none());
        Cloud::find("a", region, &env).map(Option::unwrap)
    }

    #[test]
    fn a_password_cloud() {
        let extra = "interface: internalURL, cacert: ~/ca.pem, region_name: R, \
                     image_endpoint_override: 'https://g/image/v2/', verify: 'Yes', insecure: off";
        let cloud = find(&format!("{AUTH}, {extra}"), None).unwrap();
        assert_eq!(cloud.interface, "internal");
        assert_eq!(cloud.cacert, Some("/h/ca.pem".into()));
        assert_eq!(cloud.region.as_deref(), Some("R"));
        assert_eq!(cloud.image_endpoint_override.as_deref(), Some("https://g/image"));
        assert!(!format!("{cloud:?}").contains("0123"));
        let Auth::Password { user, password, scope, .. } = cloud.auth else { panic!() };
        let domain = Domain::Name("D".into());
        assert_eq!(password.expose_secret(), "0123");
        assert_eq!(user, User::Name { name: "u".into(), domain: domain.clone() });
        assert_eq!(scope, Scope::ProjectName { name: "p".into(), domain });
    }

    #[test]
    fn there_is_no_insecure_mode() {
        for insecure in [
            "verify: false",
            "verify: 'False'",
            "verify: no",
            "verify: \"off\"",
            "insecure: true",
            "insecure: 'yes'",
            "insecure: On",
            "regions: [{name: R, values: {verify: no}}]",
        ] {
            let error = find(&format!("{AUTH}, {insecure}"), None).unwrap_err();
            assert!(error.reason.contains("no insecure mode"), "{insecure}: {error}");
            assert!(error.hint.unwrap().contains("cacert"), "{insecure}");
        }
        assert!(find(&format!("{AUTH}, verify: maybe"), None).is_err());
    }

    #[test]
    fn regions_are_a_closed_list() {
        let cloud = format!("{AUTH}, regions: [A, {{name: B, values: {{interface: admin}}}}]");
        assert_eq!(find(&cloud, None).unwrap().region.as_deref(), Some("A"));
        let b = find(&cloud, Some("B")).unwrap();
        assert_eq!((b.region.as_deref(), b.interface.as_str()), (Some("B"), "admin"));
        let error = find(&cloud, Some("C")).unwrap_err();
        assert!(error.hint.unwrap().contains("A, B"));
        assert_eq!(find(AUTH, Some("C")).unwrap().region.as_deref(), Some("C"));
    }

    #[test]
    fn other_ways_to_sign_in() {
        let id = "auth_type: v3applicationcredential, auth: {auth_url: 'https://ks', \
                  application_credential_id: i, application_credential_secret: hush}";
        let cloud = find(id, None).unwrap();
        assert!(matches!(&cloud.auth, Auth::ApplicationCredential {
            credential: ApplicationCredential::Id(id), .. } if id == "i"));
        assert!(!format!("{cloud:?}").contains("hush"));
        let fixed = "auth_type: admin_token, auth: {token: hush, endpoint: 'https://g/v2'}";
        let cloud = find(fixed, None).unwrap();
        assert_eq!(cloud.image_endpoint_override.as_deref(), Some("https://g"));
        assert!(!format!("{cloud:?}").contains("hush"));
        assert!(matches!(find("auth_type: none", None).unwrap().auth, Auth::None));
        let error = find("auth_type: v3kerberos", None).unwrap_err();
        assert!(error.reason.contains("v3kerberos"));
        assert!(error.hint.unwrap().contains("application credential"));
    }

    #[test]
    fn errors_name_file_and_key_but_no_secret() {
        for (auth, key) in [
            ("auth: {username: u, password: hush}", "auth_url"),
            ("auth: {auth_url: 'https://ks', username: u, password: hush}", "user_domain_name"),
            ("auth: {auth_url: 'https://u:hush@ks', user_id: u, password: hush}", "auth_url"),
            ("auth: {auth_url: ks, user_id: u, password: hush}", "auth_url"),
            ("auth: {auth_url: 'https://ks', user_id: u, password: [hush]}", "password"),
            ("auth: hush", "auth"),
        ] {
            let error = find(auth, None).unwrap_err();
            let text = format!("{error} {:?}", error.hint);
            assert!(
                text.contains(key) && text.contains("c.yaml") && !text.contains("hush"),
                "{text}"
            );
        }
    }
}
