//! Certificate trust and client certificates, from the options of a side, its cloud and the
//! environment.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use keystone_auth::{Cloud, SignInError};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tls_policy::files::crl;
use tls_policy::{
    self, ClientIdentity, Roots, TlsFileError, TlsPolicy, TlsVersion, TrustSource, pin,
};

use crate::args::{MinVersion, Trust, shell_word};
use crate::error::CliError;
use crate::input_file;
use crate::output::escaped;
use crate::resolve::endpoint::{Side, environment};

pub(crate) mod effect;

/// The TLS settings of a cloud.
#[derive(Debug, Default)]
pub(crate) struct CloudTls {
    pub(crate) name: String,
    pub(crate) cacert: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl CloudTls {
    pub(crate) fn of(cloud: &Cloud) -> Self {
        let (cacert, cert, key) = (cloud.cacert.clone(), cloud.cert.clone(), cloud.key.clone());
        Self { name: cloud.name.clone(), cacert, cert, key }
    }
}

/// The TLS policy of a side, and the setting that names its root certificates: the command line,
/// then the cloud, then the environment, then the system.
pub(crate) fn policy(
    options: &Trust,
    side: Side,
    cloud: &CloudTls,
) -> Result<(TlsPolicy, TrustSource), CliError> {
    refuse_insecurity()?;
    let (flag, own, pins) = match side {
        Side::Source => ("--source-cacert", &options.source_cacert, &options.source_pin),
        Side::Target => ("--target-cacert", &options.target_cacert, &options.target_pin),
    };
    let of_cloud = format!("cacert of cloud {}", cloud.name);
    let named = [
        (flag, own.clone()),
        ("--cacert", options.cacert.clone()),
        (of_cloud.as_str(), cloud.cacert.clone()),
    ];
    let by = check_bundle(&named)?;
    let resolved = tls_policy::resolve(&named, &environment);
    let (mut policy, mut source) = resolved.map_err(|error| {
        let by = by.map(|by| format!(" ({by})")).unwrap_or_default();
        CliError::usage(format!("cannot use the CA bundle{by}"))
            .caused_by(error)
            .hint("name a file or a directory of CA certificates in PEM")
    })?;
    if options.system_roots {
        policy.roots = with_system(policy.roots);
        source.and_system = true;
    }
    policy.identity = identity(options, side, cloud)?;
    if let Some(path) = &options.crl {
        policy.revocation = revocation_lists(path)?;
    }
    if let Some(pins) = pins {
        policy.pins = pin::parse(pins)
            .map_err(|error| CliError::usage("cannot use the pin").caused_by(error))?;
    }
    policy.min_version = match options.tls_min_version {
        None | Some(MinVersion::V1_2) => TlsVersion::V1_2,
        Some(MinVersion::V1_3) => TlsVersion::V1_3,
    };
    tracing::debug!("{side:?}: trusting {source}");
    Ok((policy, source))
}

/// The error of the sign-in to a cloud. The hint of an untrusted certificate names the entry of the
/// cloud, the option for its side, and the command that shows the certificates.
pub(crate) fn sign_in_error(
    error: SignInError,
    cloud: &Cloud,
    side: Side,
    options: &Trust,
) -> CliError {
    let error = CliError::from(error);
    let Some((before, after)) = error.hint.as_deref().and_then(|it| it.split_once(IN_CLOUDS))
    else {
        return error;
    };
    if options.cacert.is_some() && cloud.cacert.is_some() {
        let name = escaped(&cloud.name);
        return error.hint(format!(
            "--cacert replaces the cacert of the cloud {name}: give it for the other side alone \
             (--source-cacert, --target-cacert), or leave it out"
        ));
    }
    let before = match side {
        Side::Source => before.to_owned(),
        Side::Target => before.replace("--cacert FILE", "--target-cacert FILE"),
    };
    let entry = format!("cacert of the cloud {} in {}", escaped(&cloud.name), cloud.place);
    let word = shell_word(&cloud.name);
    let shown = format!("`glance-replicator doctor {word}` shows the certificates");
    let hint = format!("{before}{entry}{after}; {shown}");
    error.hint(hint)
}

/// How the hints of [`tls_policy::verdict`] name the setting of a cloud.
const IN_CLOUDS: &str = "cacert in clouds.yaml";

fn revocation_lists(path: &Path) -> Result<Vec<crl::RevocationList>, CliError> {
    input_file::check("--crl", path)?;
    crl::load(path)
        .map_err(|error| CliError::usage("cannot use the revocation lists").caused_by(error))
}

/// The setting that names the trust store, if one does. Fails if its value is not a path.
fn check_bundle(named: &[(&str, Option<PathBuf>)]) -> Result<Option<String>, CliError> {
    let of_environment = |by: &&'static str| Some((*by, environment(by)?.into()));
    let by_others = VARIABLES.iter().filter_map(of_environment);
    let all = named.iter().filter_map(|(by, path)| Some((*by, path.clone()?)));
    match all.chain(by_others).find(|(_, path)| !path.as_os_str().is_empty()) {
        Some((by, path)) => input_file::check(by, &path).map(|()| Some(by.to_owned())),
        None => Ok(None),
    }
}

fn with_system(roots: Roots) -> Roots {
    match roots {
        Roots::Bundle(all) => Roots::SystemAnd(all),
        other => other,
    }
}

/// Fails if an environment variable is set that disables verification in other tools.
fn refuse_insecurity() -> Result<(), CliError> {
    let harmless = |value: &String| {
        matches!(value.trim().to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off")
    };
    match environment("OS_INSECURE") {
        Some(value) if !harmless(&value) => {
            Err(CliError::usage("OS_INSECURE is set, but there is no insecure mode")
                .hint("unset it, and name the CA of the server with --cacert FILE or OS_CACERT"))
        }
        _ => Ok(()),
    }
}

/// The client certificate and its key. Both come from the first of these places that names either:
/// the options of the side, the options for both sides, the cloud, `OS_CERT` and `OS_KEY`.
fn identity(
    options: &Trust,
    side: Side,
    cloud: &CloudTls,
) -> Result<Option<ClientIdentity>, CliError> {
    let (names, own) = match side {
        Side::Source => {
            (["--source-cert", "--source-key"], (&options.source_cert, &options.source_key))
        }
        Side::Target => {
            (["--target-cert", "--target-key"], (&options.target_cert, &options.target_key))
        }
    };
    let of_environment =
        (environment("OS_CERT").map(PathBuf::from), environment("OS_KEY").map(PathBuf::from));
    let choices = [
        (names, own),
        (["--cert", "--key"], (&options.cert, &options.key)),
        (["cert of the cloud", "key of the cloud"], (&cloud.cert, &cloud.key)),
        (["OS_CERT", "OS_KEY"], (&of_environment.0, &of_environment.1)),
    ];
    let is_said = |(_, (cert, key)): &(_, (&Option<PathBuf>, &Option<PathBuf>))| {
        cert.is_some() || key.is_some()
    };
    let Some(([by_cert, by_key], (cert, key))) = choices.into_iter().find(is_said) else {
        return Ok(None);
    };
    if let Some(key) = key {
        input_file::check(by_key, key)?;
    }
    let Some(cert) = cert else {
        return Err(CliError::usage(format!("{by_key} is given without a client certificate"))
            .hint("name the certificate with --cert FILE"));
    };
    input_file::check(by_cert, cert)?;
    load_identity(cert, key.as_deref(), options.key_passphrase_file.as_deref()).map(Some)
}

fn load_identity(
    cert: &Path,
    key: Option<&Path>,
    passphrase_file: Option<&Path>,
) -> Result<ClientIdentity, CliError> {
    if let Some(file) = passphrase_file {
        input_file::check_secret("--key-passphrase-file", file)?;
    }
    ClientIdentity::load(cert, key, &|key: &Path| passphrase(passphrase_file, key))
        .map_err(|error| CliError::usage("cannot use the client certificate").caused_by(error))
}

/// The passphrase of an encrypted key, from a file or from the terminal.
fn passphrase(file: Option<&Path>, key: &Path) -> Result<SecretString, TlsFileError> {
    if let Some(file) = file {
        let unreadable = |error| TlsFileError::unreadable(file, error);
        let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(unreadable)?;
        return Ok(text.trim_end_matches(['\r', '\n']).into());
    }
    if !std::io::stdin().is_terminal() {
        let what = "the key is encrypted; put its passphrase in a file (--key-passphrase-file)";
        return Err(TlsFileError::new(key, None, what));
    }
    let question = format!("Passphrase of {}: ", key.display());
    let answer = rpassword::prompt_password(escaped(&question));
    answer.map(SecretString::from).map_err(|error| TlsFileError::unreadable(key, error))
}

/// The environment variables that name a trust store, in the order of [`tls_policy::resolve`].
const VARIABLES: &[&str] = &["OS_CACERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"];
