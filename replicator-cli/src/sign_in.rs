//! Who the operator is: the cloud that a word names, or a token from elsewhere.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use glance_core::identity::auth::{FixedToken, GivenToken, NoAuth};
use glance_core::identity::{AuthPlugin, Cloud, Clouds, Environment, Overrides};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use url::Url;

use crate::address;
use crate::args::SignIn;
use crate::endpoint::{Side, environment};
use crate::error::CliError;
use crate::print::escaped;

/// A cloud by its name, or by its name and a region: `NAME@REGION`. What it needs and no file holds
/// is asked for on the terminal, if there is one.
pub(crate) fn cloud(word: &str, side: Side, options: &SignIn) -> Result<Option<Cloud>, CliError> {
    let clouds = Clouds::load(Environment::of_process().asking(Arc::new(ask)))?;
    let said = overrides(side, options);
    let named = clouds.names().any(|name| name == word);
    match word.rsplit_once('@') {
        Some((name, region)) if !named => match said.region.as_deref() {
            Some(other) if other != region => {
                let what = format!("{word:?} names another region than --{side}-region {other}");
                Err(CliError::usage(what).hint("leave one of them out"))
            }
            _ => Ok(clouds.cloud(name, &Overrides { region: Some(region.to_owned()), ..said })?),
        },
        _ => Ok(clouds.cloud(word, &said)?),
    }
}

/// What a word is that names nothing.
pub(crate) fn unknown(word: &str) -> CliError {
    let clouds = Clouds::load(Environment::of_process());
    let names: Vec<&str> = clouds.iter().flat_map(Clouds::names).collect();
    let known = match names.is_empty() {
        true => "no clouds.yaml was found".to_owned(),
        false => format!("the clouds are {}", names.join(", ")),
    };
    let word = address::shown(word);
    CliError::usage(format!("{word:?} is no cloud, no host:port, no URL and no path"))
        .hint(format!("{known}; a directory is written as ./{word} or dir:{word}"))
}

/// Fails when this side is told about a cloud, but is none: it would be without effect.
pub(crate) fn refuse_cloud_options(
    word: &str,
    side: Side,
    options: &SignIn,
) -> Result<(), CliError> {
    if overrides(side, options).is_empty() {
        return Ok(());
    }
    let what = format!(
        "--{side}-region, --{side}-interface, --{side}-project and --{side}-endpoint-override \
         are for clouds, and {word:?} is none"
    );
    Err(CliError::usage(what).hint("leave them out, or name a cloud of clouds.yaml"))
}

/// Fails when there are several targets, and options are about one: a token must not get to servers
/// that it is not for.
pub(crate) fn refuse_options_of_one(options: &SignIn) -> Result<(), CliError> {
    let of_one = [
        ("--targettoken", options.targettoken.is_some(), "--token is for all servers"),
        ("--target-token-file", options.target_token_file.is_some(), "--token-file is for all"),
        ("--target-region", options.target_region.is_some(), "write each target as NAME@REGION"),
        (
            "--target-endpoint-override",
            options.target_endpoint_override.is_some(),
            "set image_endpoint_override of each cloud in clouds.yaml",
        ),
    ];
    match of_one.into_iter().find(|(_, is_there, _)| *is_there) {
        None => Ok(()),
        Some((option, _, hint)) => {
            let what = format!("{option} is about one target, and there are several");
            Err(CliError::usage(what).hint(hint))
        }
    }
}

/// The same of the variable, which servers read that are named by URL.
pub(crate) fn refuse_token_of_one(options: &SignIn) -> Result<(), CliError> {
    let (_, _, variable) = tokens(Side::Target, options);
    if environment(variable).is_none() {
        return Ok(());
    }
    let what = format!("{variable} is a token for one target, and there are several");
    Err(CliError::usage(what).hint("unset it; --token-file is for all servers"))
}

/// Fails when this side is given a token, but is a cloud: it would be without effect.
pub(crate) fn refuse_token_of_side(
    word: &str,
    side: Side,
    options: &SignIn,
) -> Result<(), CliError> {
    let (flag, file, _) = tokens(side, options);
    if flag.is_none() && file.is_none() {
        return Ok(());
    }
    let what = format!("the token for the {side} has no effect: cloud {word} signs in by itself");
    Err(CliError::usage(what)
        .hint("leave it out, say `auth_type: token` in clouds.yaml, or name the server by its URL"))
}

/// How to sign in to a server that is named by URL: by a token, or not at all. With it, the address
/// of the Keystone that gave the token, where that is known.
pub(crate) fn auth(
    side: Side,
    options: &SignIn,
) -> Result<(Arc<dyn AuthPlugin>, Option<String>), CliError> {
    if let Some(token) = token(side, options)? {
        tracing::debug!("{side}: how long its token lives is not known, nor whom to ask");
        return Ok((Arc::new(FixedToken { token, endpoint: None }), None));
    }
    let Some(token) = ["OS_TOKEN", "OS_AUTH_TOKEN"].into_iter().find_map(environment) else {
        return Ok((Arc::new(NoAuth::default()), None));
    };
    let token = SecretString::from(token);
    Ok(match environment("OS_AUTH_URL") {
        // The two belong together. No other token goes to that Keystone: it may be another cloud's.
        Some(auth_url) => {
            let keystone = Some(auth_url.clone());
            (Arc::new(GivenToken { token, auth_url }), keystone)
        }
        None => (Arc::new(FixedToken { token, endpoint: None }), None),
    })
}

/// The Keystone that is asked about the token of a server that is named by URL.
pub(crate) fn keystone_of_token(side: Side, options: &SignIn) -> Option<Url> {
    let (flag, file, variable) = tokens(side, options);
    let own = flag.or(options.token.as_ref()).is_some()
        || file.or(options.token_file.as_deref()).is_some()
        || environment(variable).is_some();
    let is_given = ["OS_TOKEN", "OS_AUTH_TOKEN"].into_iter().find_map(environment).is_some();
    let auth_url = environment("OS_AUTH_URL").filter(|_| is_given && !own)?;
    Url::parse(&auth_url).ok()
}

/// This side's token, from where it is said alone: an option, a file, its variable.
fn token(side: Side, options: &SignIn) -> Result<Option<SecretString>, CliError> {
    let (flag, file, variable) = tokens(side, options);
    if let Some(token) = flag.or(options.token.as_ref()) {
        tracing::warn!("a token on the command line is visible to others; better name a file");
        return Ok(Some(token.clone()));
    }
    if let Some(path) = file.or(options.token_file.as_deref()) {
        return read_token(path).map(Some);
    }
    Ok(environment(variable).map(SecretString::from))
}

/// The token in a file, without the line's end.
pub(crate) fn read_token(path: &Path) -> Result<SecretString, CliError> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
        CliError::usage(format!("cannot read the token file {}", path.display())).caused_by(error)
    })?;
    match text.trim() {
        "" => Err(CliError::usage(format!("the token file {} is empty", path.display()))),
        token => Ok(SecretString::from(token)),
    }
}

/// What is said of this side's token: itself, its file, its variable.
fn tokens(side: Side, options: &SignIn) -> (Option<&SecretString>, Option<&Path>, &'static str) {
    let (flag, file, variable) = match side {
        Side::Source => {
            (&options.sourcetoken, &options.source_token_file, "GLANCE_REPLICATOR_SOURCE_TOKEN")
        }
        Side::Target => {
            (&options.targettoken, &options.target_token_file, "GLANCE_REPLICATOR_TARGET_TOKEN")
        }
    };
    (flag.as_ref(), file.as_deref(), variable)
}

/// What the command line says of this side's cloud.
fn overrides(side: Side, options: &SignIn) -> Overrides {
    let (region, interface, project, endpoint) = match side {
        Side::Source => (
            &options.source_region,
            &options.source_interface,
            &options.source_project,
            &options.source_endpoint_override,
        ),
        Side::Target => (
            &options.target_region,
            &options.target_interface,
            &options.target_project,
            &options.target_endpoint_override,
        ),
    };
    Overrides {
        region: region.clone(),
        interface: interface.clone(),
        project: project.clone(),
        endpoint: endpoint.clone(),
    }
}

/// Asks whoever sits at the terminal.
fn ask(cloud: &str, option: &str) -> Option<SecretString> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let question = format!("{option} of cloud {cloud}: ");
    let answer = rpassword::prompt_password(escaped(&question)).ok()?;
    (!answer.is_empty()).then(|| answer.into())
}
