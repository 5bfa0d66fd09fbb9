//! What our packages require of other packages.

use std::fmt::Write as _;

use crate::failure::Failure;
use crate::packages::system::System;

/// The requirements of a package that is not installed.
pub(super) fn of(system: &System, file: &str) -> Result<String, Failure> {
    system.run(&["rpm", "--query", "--requires", "--package", file])
}

/// Installs a package that provides the libraries of Debian which our packages require, and owns the
/// directories that they share with others, as the packages of an RPM distribution do: rpm knows
/// nothing of Debian's packages. Fails if ours require anything else.
pub(super) fn provide(system: &System, requirements: &str) -> Result<(), Failure> {
    system.write("/tmp/libraries.spec", &spec(requirements)?)?;
    system.run(&["rpmbuild", "-bb", "--define", "_rpmdir /tmp", "/tmp/libraries.spec"])?;
    system.run(&["rpm", "--install", "/tmp/noarch/libraries-1-1.noarch.rpm"]).map(drop)
}

/// The spec file of that package.
fn spec(requirements: &str) -> Result<String, Failure> {
    let mut text = SPEC.to_owned();
    for line in requirements.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        if LIBRARIES.iter().any(|library| name.starts_with(library)) {
            let _ = writeln!(text, "Provides: {line}");
        } else if !BY_RPM.iter().any(|start| name.starts_with(start)) {
            return Err(Failure::new(format!("a package requires {line}")));
        }
    }
    let directories = DIRECTORIES.join(" ");
    let _ = write!(text, "\n%description\nA stand-in for a test.\n");
    let _ = write!(text, "\n%install\ncd %{{buildroot}} && mkdir -p {directories}\n");
    let _ = writeln!(text, "\n%files\n%dir /{}", DIRECTORIES.join("\n%dir /"));
    Ok(text)
}

const SPEC: &str = "\
Name: libraries
Version: 1
Release: 1
Summary: The libraries of Debian
License: Apache-2.0
BuildArch: noarch
Provides: /bin/sh
";

/// The libraries that a package of the tool may require.
const LIBRARIES: &[&str] = &[
    "ld-linux-x86-64.so.2(",
    "libc.so.6(",
    "libcrypto.so.3(",
    "libgcc_s.so.1(",
    "libm.so.6(",
    "libssl.so.3(",
    "libzstd.so.1(",
    "rtld(GNU_HASH)",
];

/// The directories that the packages `filesystem`, `fish` and `systemd` of Fedora own.
const DIRECTORIES: &[&str] = &[
    "usr/lib/systemd",
    "usr/lib/systemd/system",
    "usr/lib/sysusers.d",
    "usr/share/bash-completion",
    "usr/share/bash-completion/completions",
    "usr/share/fish",
    "usr/share/fish/vendor_completions.d",
    "usr/share/licenses",
    "usr/share/man/man5",
    "usr/share/man/man7",
    "usr/share/zsh",
    "usr/share/zsh/site-functions",
];

/// What rpm provides itself, or makes from the package.
const BY_RPM: &[&str] =
    &["config(", "group(glance-replicator)", "rpmlib(", "user(glance-replicator)"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_provided_and_everything_else_is_an_error() {
        let text =
            spec("libc.so.6(GLIBC_2.34)(64bit)\nrpmlib(PayloadIsZstd) <= 5.4.18-1\n").unwrap();
        assert!(text.contains("\nProvides: libc.so.6(GLIBC_2.34)(64bit)\n"), "{text}");
        assert!(!text.contains("rpmlib"), "{text}");
        let error = spec("libssl.so.3()(64bit)\npython3\n").unwrap_err();
        assert_eq!(error.to_string(), "a package requires python3");
    }
}
