//! OpenSSL configurations in the root: with the FIPS provider active, and nearly so.

use std::fs;
use std::process::Stdio;

use crate::debian_root::Root;
use crate::failure::{Context, Failure};
use crate::shell::succeed;

/// The path of a configuration inside the root.
pub(crate) type Configuration = &'static str;

/// The default configuration of the root: FIPS mode.
pub(crate) const FIPS: Configuration = "/etc/ssl/openssl.cnf";
/// Debian's default: no FIPS provider.
pub(crate) const DEBIAN: Configuration = "/etc/ssl/openssl-debian.cnf";
/// The configuration asks for FIPS mode without loading the provider.
pub(crate) const WITHOUT_PROVIDER: Configuration = "/etc/ssl/openssl-without-provider.cnf";
/// The FIPS provider is preferred, but the default provider serves the algorithms it lacks.
pub(crate) const PREFERRED: Configuration = "/etc/ssl/openssl-preferred.cnf";

/// Activates the FIPS provider, as docs/build.md says.
pub(crate) fn activate(root: &Root) -> Result<(), Failure> {
    let debian = root.path(DEBIAN);
    if !debian.exists() {
        fs::copy(root.path(FIPS), &debian).context(|| debian.display().to_string())?;
    }
    let module = format!("{}/fips.so", modules(root)?);
    let mut install = root.command("openssl");
    install.args(["fipsinstall", "-quiet", "-module", &module, "-out", "/etc/ssl/fipsmodule.cnf"]);
    succeed(install.env("OPENSSL_CONF", DEBIAN))?;
    let half = "fips = fips_sect\n";
    for (path, text) in [
        (FIPS, ACTIVE.to_owned()),
        (WITHOUT_PROVIDER, ACTIVE.replace(half, "")),
        (PREFERRED, ACTIVE.replace("fips=yes", "?fips=yes").replace("base", "default")),
    ] {
        fs::write(root.path(path), text).context(|| path.to_owned())?;
    }
    Ok(())
}

/// The directory of OpenSSL's modules.
fn modules(root: &Root) -> Result<String, Failure> {
    let mut version = root.command("openssl");
    let output = version.args(["version", "-m"]).stderr(Stdio::inherit()).output();
    let output = output.context(|| "cannot run openssl")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let directory = said.split('"').nth(1).map(str::to_owned);
    directory.ok_or_else(|| Failure::new(format!("openssl version -m said {said:?}")))
}

const ACTIVE: &str = "\
openssl_conf = openssl_init

.include /etc/ssl/fipsmodule.cnf

[openssl_init]
providers = provider_sect
alg_section = algorithm_sect

[provider_sect]
fips = fips_sect
base = base_sect

[base_sect]
activate = 1

[algorithm_sect]
default_properties = fips=yes
";
