//! Credentials: the cloud that an argument names, or a token.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use keystone_auth::auth::{FixedToken, GivenToken, NoAuth};
use keystone_auth::{AuthPlugin, Cloud, Clouds, Environment, Overrides};
use secrecy::SecretString;
use url::Url;

use crate::args::{SignIn, suggestion};
use crate::error::CliError;
use crate::input_file;
use crate::output::{escaped, quoted};
use crate::resolve::address;
use crate::resolve::endpoint::{Side, environment};

/// The cloud `NAME` or `NAME@REGION`. Secrets that no file contains are asked for on the terminal,
/// if there is one.
pub(crate) fn cloud(
    clouds: &Clouds,
    word: &str,
    side: Side,
    options: &SignIn,
) -> Result<Option<Cloud>, CliError> {
    let said = overrides(side, options);
    let named = clouds.names().any(|name| name == word);
    match word.rsplit_once('@') {
        Some((name, region)) if !named => {
            Ok(clouds.cloud(name, &Overrides { region: Some(region.to_owned()), ..said })?)
        }
        _ => Ok(clouds.cloud(word, &said)?),
    }
}

/// The configured clouds.
pub(crate) fn clouds() -> Result<Clouds, CliError> {
    Ok(Clouds::load(Environment::of_process().asking(Arc::new(ask)))?)
}

/// The error for a cloud that is not configured.
pub(crate) fn no_cloud(clouds: &Clouds, word: &str) -> CliError {
    CliError::usage(format!("there is no cloud {}", quoted(word))).hint(absence(clouds, word))
}

/// The error for an argument that does not name a store.
pub(crate) fn unknown(clouds: &Clouds, word: &str) -> CliError {
    let (why, word) = (absence(clouds, word), address::shown(word));
    CliError::usage(format!("{} is not a cloud, a host:port, a URL or a path", quoted(&word)))
        .hint(format!("{why}; write a directory as ./{word} or dir:{word}"))
}

/// Why no cloud has this name, and which clouds there are: the one with a similar name, and the others
/// unless they are many.
fn absence(clouds: &Clouds, word: &str) -> String {
    let shown = address::shown(word);
    let name = shown.rsplit_once('@').map_or(&*shown, |(name, _)| name);
    let why = clouds.absence(name);
    let names: Vec<&str> = clouds.names().collect();
    let why = format!("{why}{}", suggestion(name, names.iter().copied()));
    let end = if why.ends_with('?') { " " } else { "; " };
    match names.len() {
        0 => why,
        1..=MOST_CLOUDS => format!("{why}{end}the clouds are {}", names.join(", ")),
        count => format!("{why}{end}`glance-replicator clouds` lists all {count} clouds"),
    }
}

/// The most clouds that a hint names.
const MOST_CLOUDS: usize = 10;

/// Fails if options for a cloud are given for this side, but `word` is not a cloud: they would have
/// no effect.
pub(crate) fn refuse_cloud_options(
    word: &str,
    side: Side,
    options: &SignIn,
) -> Result<(), CliError> {
    if overrides(side, options).is_empty() {
        return Ok(());
    }
    let what = format!(
        "--{side}-interface, --{side}-project and --{side}-endpoint-override \
         apply only to clouds, and {word:?} is not a cloud"
    );
    Err(CliError::usage(what).hint("leave these options out, or use a cloud in clouds.yaml"))
}

/// Fails if there are several targets and an option is for one target: a token must not be sent to
/// servers that it is not for.
pub(crate) fn refuse_options_of_one(options: &SignIn) -> Result<(), CliError> {
    let of_one = [
        (
            "--targettoken",
            options.targettoken.is_some(),
            "use --token, which applies to all servers",
        ),
        (
            "--target-token-file",
            options.target_token_file.is_some(),
            "use --token-file, which applies to all servers",
        ),
        (
            "--target-endpoint-override",
            options.target_endpoint_override.is_some(),
            "set image_endpoint_override of each cloud in clouds.yaml",
        ),
    ];
    match of_one.into_iter().find(|(_, is_there, _)| *is_there) {
        None => Ok(()),
        Some((option, _, hint)) => {
            let what = format!("{option} applies to one target, but there are several");
            Err(CliError::usage(what).hint(hint))
        }
    }
}

/// Like [`refuse_options_of_one`], for the environment variable with the token of servers named by
/// URL.
pub(crate) fn refuse_token_of_one(options: &SignIn) -> Result<(), CliError> {
    let (_, _, variable) = tokens(Side::Target, options);
    if environment(variable).is_none() {
        return Ok(());
    }
    let what = format!("{variable} is a token for one target, but there are several");
    Err(CliError::usage(what).hint("unset it, and use --token-file, which applies to all servers"))
}

/// Fails if a token is given for this side, but `word` is a cloud: the token would have no effect.
pub(crate) fn refuse_token_of_side(
    word: &str,
    side: Side,
    options: &SignIn,
) -> Result<(), CliError> {
    let (flag, file, _) = tokens(side, options);
    if flag.is_none() && file.is_none() {
        return Ok(());
    }
    let what =
        format!("the token for the {side} has no effect: cloud {word} has its own credentials");
    Err(CliError::usage(what)
        .hint("leave it out, set `auth_type: token` in clouds.yaml, or give the URL of the server"))
}

/// The sign-in to a server named by URL: a token or none. The second value is the URL of the
/// Keystone that issued the token, if known.
pub(crate) fn auth(
    side: Side,
    options: &SignIn,
) -> Result<(Arc<dyn AuthPlugin>, Option<String>), CliError> {
    if let Some(token) = token(side, options)? {
        tracing::debug!("{side}: the validity of the token is unknown, and so is its Keystone");
        return Ok((Arc::new(FixedToken { token, endpoint: None }), None));
    }
    let Some(token) = ["OS_TOKEN", "OS_AUTH_TOKEN"].into_iter().find_map(environment) else {
        return Ok((Arc::new(NoAuth::default()), None));
    };
    let token = SecretString::from(token);
    Ok(match environment("OS_AUTH_URL") {
        // The token and the URL belong together. Other tokens are not sent to that Keystone,
        // because they may belong to another cloud.
        Some(auth_url) => {
            let keystone = Some(auth_url.clone());
            (Arc::new(GivenToken { token, auth_url }), keystone)
        }
        None => (Arc::new(FixedToken { token, endpoint: None }), None),
    })
}

/// The URL of the Keystone for the token of a server named by URL.
pub(crate) fn keystone_of_token(side: Side, options: &SignIn) -> Option<Url> {
    let (flag, file, variable) = tokens(side, options);
    let own = flag.or(options.token.as_ref()).is_some()
        || file.is_some()
        || options.token_file.is_some()
        || environment(variable).is_some();
    let is_given = ["OS_TOKEN", "OS_AUTH_TOKEN"].into_iter().find_map(environment).is_some();
    let auth_url = environment("OS_AUTH_URL").filter(|_| is_given && !own)?;
    Url::parse(&auth_url).ok()
}

/// The token given for this side: by a token option, else by a token file, else by the environment
/// variable of the side. `OS_TOKEN` is not read here.
fn token(side: Side, options: &SignIn) -> Result<Option<SecretString>, CliError> {
    let (flag, file, variable) = tokens(side, options);
    if let Some(token) = flag.or(options.token.as_ref()) {
        tracing::warn!("other users can see a token on the command line; use --token-file");
        return Ok(Some(token.clone()));
    }
    let shared = options.token_file.as_deref().map(|path| ("--token-file", path));
    if let Some((option, path)) = file.or(shared) {
        return read_token(option, path).map(Some);
    }
    Ok(environment(variable).map(SecretString::from))
}

/// The token in the file that this option names, without the line ending.
pub(crate) fn read_token(option: &str, path: &Path) -> Result<SecretString, CliError> {
    input_file::check_secret(option, path)?;
    let bytes = input_file::read(option, path)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| CliError::usage(format!("the token file {} is not text", path.display())))?;
    match text.trim() {
        "" => Err(CliError::usage(format!("the token file {} is empty", path.display()))),
        token => Ok(SecretString::from(token)),
    }
}

/// The token option of this side, its file option and its environment variable.
fn tokens(
    side: Side,
    options: &SignIn,
) -> (Option<&SecretString>, Option<(&'static str, &Path)>, &'static str) {
    let (flag, option, file, variable) = match side {
        Side::Source => (
            &options.sourcetoken,
            "--source-token-file",
            &options.source_token_file,
            "GLANCE_REPLICATOR_SOURCE_TOKEN",
        ),
        Side::Target => (
            &options.targettoken,
            "--target-token-file",
            &options.target_token_file,
            "GLANCE_REPLICATOR_TARGET_TOKEN",
        ),
    };
    (flag.as_ref(), file.as_deref().map(|path| (option, path)), variable)
}

/// The options that override the configuration of this side's cloud.
fn overrides(side: Side, options: &SignIn) -> Overrides {
    let (interface, project, endpoint) = match side {
        Side::Source => {
            (&options.source_interface, &options.source_project, &options.source_endpoint_override)
        }
        Side::Target => {
            (&options.target_interface, &options.target_project, &options.target_endpoint_override)
        }
    };
    Overrides {
        region: None,
        interface: interface.clone(),
        project: project.clone(),
        endpoint: endpoint.clone(),
    }
}

/// Asks for a secret on the terminal; `None` if there is no terminal.
fn ask(cloud: &str, option: &str) -> Option<SecretString> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let question = format!("{option} of cloud {cloud}: ");
    let answer = rpassword::prompt_password(escaped(&question)).ok()?;
    (!answer.is_empty()).then(|| answer.into())
}
