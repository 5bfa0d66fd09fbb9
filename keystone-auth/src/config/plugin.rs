//! Creates the auth plugin for the `auth_type` of a cloud.

use std::sync::Arc;

use super::ConfigError;
use super::options::{
    APPLICATION_CREDENTIAL, DEFAULT_DOMAIN, FEDERATION, KEYSTONE, OAUTH2, OIDC, Options, USER,
};
use super::settings::Settings;
use crate::auth::{
    AuthPlugin, FixedToken, Flow, HttpBasic, Keystone, Method, NoAuth, OAuth2ClientCredential,
    Oidc, OidcClient, OidcGrant,
};
use crate::{ApplicationCredential, Scope};

type Plugin = Result<Arc<dyn AuthPlugin>, ConfigError>;

/// The configured plugin.
pub(super) fn plugin(settings: &Settings, kind: &str) -> Plugin {
    match kind {
        "none" => no_auth(settings),
        "http_basic" => http_basic(settings),
        "admin_token" | "token_endpoint" => fixed_token(settings),
        "password" | "token" => keystone(settings, kind, &[kind], DEFAULT_DOMAIN),
        "v3password" | "v3token" | "v3applicationcredential" | "v3totp" => {
            keystone(settings, kind, &[kind], &[])
        }
        "v3multifactor" => {
            let methods = auth_methods(settings)?;
            let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
            keystone(settings, kind, &methods, &["auth_methods"])
        }
        "v3oidcpassword"
        | "v3oidcclientcredentials"
        | "v3oidcaccesstoken"
        | "v3oidcdeviceauthz" => oidc(settings, kind),
        "v3oauth2clientcredential" => oauth2(settings),
        other => match instead(other) {
            Some(instead) => {
                settings.fail(&format!("the auth_type `{other}` is not supported"), instead)
            }
            None => settings.fail(&format!("`{other}` is not an auth_type"), KINDS),
        },
    }
}

/// Fails if a project set for one run would have no effect.
pub(super) fn check_project_counts(settings: &Settings, kind: &str) -> Result<(), ConfigError> {
    let own = match kind {
        "none"
        | "http_basic"
        | "admin_token"
        | "token_endpoint"
        | "v3applicationcredential"
        | "v3oauth2clientcredential" => true,
        "v3multifactor" => auth_methods(settings)?.iter().any(|m| m == "v3applicationcredential"),
        _ => false,
    };
    match own {
        false => Ok(()),
        true => settings.fail(
            &format!(
                "--source-project or --target-project has no effect: auth_type `{kind}` is bound \
                 to one project"
            ),
            "remove the option, or use a cloud that signs in to that project",
        ),
    }
}

/// The name of the plugin.
pub(super) fn kind(settings: &Settings) -> Result<String, ConfigError> {
    match (settings.node("auth_type"), settings.text("auth_type")?) {
        // An explicit null, which keystoneauth treats as `none`.
        (Some(_), None) => Ok("none".into()),
        (_, Some(none)) if none == "None" => Ok("none".into()),
        (_, Some(kind)) => Ok(kind),
        (None, None) => Ok(settings.text("auth_plugin")?.unwrap_or_else(|| "password".into())),
    }
}

/// What to suggest in place of a plugin of keystoneauth that this tool does not support.
fn instead(kind: &str) -> Option<&'static str> {
    match kind {
        "v2password" | "v2token" => Some(
            "set `auth_type: password` and the domains of user and project: v2 no longer exists",
        ),
        "v3oidcauthcode" | "v3websso" => Some(
            "set `auth_type: v3oidcdeviceauthz`, which needs no browser here, or create an \
             application credential",
        ),
        "v3oauth2mtlsclientcredential" => Some(
            "set `auth_type: v3oauth2clientcredential`, or create an application credential and set \
             `auth_type: v3applicationcredential`",
        ),
        "v3adfspassword" | "v3fedkerb" | "v3kerberos" | "v3oauth1" | "v3samlpassword"
        | "v3tokenlessauth" => {
            Some("create an application credential and set `auth_type: v3applicationcredential`")
        }
        _ => None,
    }
}

fn no_auth(settings: &Settings) -> Plugin {
    let options = Options::new(settings, "none", &[&["endpoint"]])?;
    Ok(Arc::new(NoAuth { endpoint: options.url("endpoint")? }))
}

fn http_basic(settings: &Settings) -> Plugin {
    let known = ["endpoint", "password", "user_name", "username"];
    let options = Options::new(settings, "http_basic", &[&known])?;
    let username = match options.text("username")? {
        Some(username) => username,
        None => options.required("user_name")?,
    };
    if username.contains(':') {
        return options.fail(
            "`username` contains a colon",
            "remove the colon: HTTP Basic does not allow it (RFC 7617)",
        );
    }
    let password = options.secret("password")?;
    Ok(Arc::new(HttpBasic { username, password, endpoint: options.url("endpoint")? }))
}

fn fixed_token(settings: &Settings) -> Plugin {
    let options = Options::new(settings, "admin_token", &[&["endpoint", "token", "url"]])?;
    let endpoint = match options.url("endpoint")? {
        Some(endpoint) => Some(endpoint),
        None => options.url("url")?,
    };
    Ok(Arc::new(FixedToken { token: options.secret("token")?, endpoint }))
}

fn keystone(settings: &Settings, kind: &str, methods: &[&str], more: &[&str]) -> Plugin {
    let mut known = vec![KEYSTONE, more];
    for method in methods {
        known.extend(method_options(method));
    }
    let options = Options::new(settings, kind, &known)?;
    let methods: Vec<Method> =
        methods.iter().map(|name| method(&options, name)).collect::<Result<_, _>>()?;
    let auth_url = options.auth_url()?;
    // Keystone rejects a scope in addition to an application credential, which has its own.
    let own = methods.iter().any(|method| matches!(method, Method::ApplicationCredential { .. }));
    let scope = if own { Scope::Default } else { options.scope()? };
    Ok(Arc::new(Keystone { auth_url, methods, scope }))
}

fn method_options(name: &str) -> Vec<&'static [&'static str]> {
    match name {
        "password" | "v3password" => vec![USER, &["password"]],
        "token" | "v3token" => vec![&["token"]],
        "v3totp" => vec![USER, &["passcode"]],
        "v3applicationcredential" => vec![USER, APPLICATION_CREDENTIAL],
        _ => Vec::new(),
    }
}

fn method(options: &Options, name: &str) -> Result<Method, ConfigError> {
    match name {
        "password" | "v3password" => {
            Ok(Method::Password { user: options.user()?, password: options.secret("password")? })
        }
        "token" | "v3token" => Ok(Method::Token { token: options.secret("token")? }),
        "v3totp" => {
            Ok(Method::Totp { user: options.user()?, passcode: options.secret("passcode")? })
        }
        "v3applicationcredential" => Ok(Method::ApplicationCredential {
            credential: match options.text("application_credential_id")? {
                Some(id) => ApplicationCredential::Id(id),
                None => ApplicationCredential::Name {
                    name: options.required("application_credential_name")?,
                    user: options.user()?,
                },
            },
            secret: options.secret("application_credential_secret")?,
        }),
        other => options.fail(
            &format!("`{other}` in `auth_methods` is not a factor"),
            "set some of v3password, v3token, v3totp and v3applicationcredential",
        ),
    }
}

/// The factors: a list, or a comma-separated string.
fn auth_methods(settings: &Settings) -> Result<Vec<String>, ConfigError> {
    let said = settings.option_list("auth_methods")?.unwrap_or_default();
    let names = said.iter().flat_map(|names| names.split(','));
    let names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    match names.is_empty() {
        false => Ok(names),
        true => settings.fail(
            "auth_type `v3multifactor` requires `auth_methods`, which is missing",
            "list the factors, such as `auth_methods: [v3password, v3totp]`",
        ),
    }
}

fn oidc(settings: &Settings, kind: &str) -> Plugin {
    let more: &[&str] = match kind {
        "v3oidcpassword" => &["idp_otp_key", "password", "username"],
        "v3oidcaccesstoken" => &["access_token"],
        "v3oidcdeviceauthz" => &["code_challenge_method", "device_authorization_endpoint"],
        _ => &[],
    };
    let client: &[&str] = if kind == "v3oidcaccesstoken" { &[] } else { OIDC };
    let options = Options::new(settings, kind, &[KEYSTONE, FEDERATION, client, more])?;
    let auth_url = options.auth_url()?;
    let flow = match kind {
        "v3oidcaccesstoken" => Flow::AccessToken { token: options.secret("access_token")? },
        _ => Flow::Client { client: oidc_client(&options)?, grant: grant(&options, kind)? },
    };
    Ok(Arc::new(Oidc {
        auth_url,
        identity_provider: options.required("identity_provider")?,
        protocol: options.required("protocol")?,
        flow,
        scope: options.scope()?,
    }))
}

fn grant(options: &Options, kind: &str) -> Result<OidcGrant, ConfigError> {
    match kind {
        "v3oidcpassword" => {
            if options.text("idp_otp_key")?.is_some() {
                return options.fail(
                    "`idp_otp_key` requires a code from the terminal, which is not supported",
                    "remove it, or set `auth_type: v3oidcdeviceauthz`",
                );
            }
            let username = options.required("username")?;
            Ok(OidcGrant::Password { username, password: options.secret("password")? })
        }
        "v3oidcdeviceauthz" => Ok(OidcGrant::Device {
            endpoint: options.url("device_authorization_endpoint")?,
            code_challenge: match options.text("code_challenge_method")?.as_deref() {
                None => false,
                Some("S256") => true,
                Some(_) => {
                    return options.fail(
                        "`code_challenge_method` is not S256",
                        "set `S256` or remove it: `plain` protects nothing",
                    );
                }
            },
        }),
        _ => {
            // Allowed only for clients with a secret (RFC 6749, section 4.4).
            options.secret("client_secret")?;
            Ok(OidcGrant::ClientCredentials)
        }
    }
}

fn oidc_client(options: &Options) -> Result<OidcClient, ConfigError> {
    let client = OidcClient {
        id: options.required("client_id")?,
        secret: options.text("client_secret")?.map(Into::into),
        scope: options.text("openid_scope")?.unwrap_or_else(|| "openid profile".into()),
        token_endpoint: options.url("access_token_endpoint")?,
        discovery_endpoint: options.url("discovery_endpoint")?,
        token_type: match options.text("access_token_type")?.as_deref() {
            None | Some("access_token") => "access_token",
            Some("id_token") => "id_token",
            Some(_) => {
                return options.fail(
                    "`access_token_type` is neither access_token nor id_token",
                    "set one of the two, or remove it",
                );
            }
        },
    };
    match client.token_endpoint.is_none() && client.discovery_endpoint.is_none() {
        true => options.fail(
            "neither access_token_endpoint nor discovery_endpoint is set",
            "set discovery_endpoint to the provider's `/.well-known/openid-configuration` URL",
        ),
        false => Ok(client),
    }
}

fn oauth2(settings: &Settings) -> Plugin {
    let options = Options::new(settings, "v3oauth2clientcredential", &[KEYSTONE, OAUTH2])?;
    Ok(Arc::new(OAuth2ClientCredential {
        auth_url: options.auth_url()?,
        endpoint: options.required_url("oauth2_endpoint")?,
        client_id: options.required("oauth2_client_id")?,
        client_secret: options.secret("oauth2_client_secret")?,
    }))
}

const KINDS: &str = "set one of none, http_basic, admin_token, password, token, v3password, \
                     v3token, v3applicationcredential, v3totp, v3multifactor, v3oidcpassword, \
                     v3oidcclientcredentials, v3oidcaccesstoken, v3oidcdeviceauthz, \
                     v3oauth2clientcredential";
