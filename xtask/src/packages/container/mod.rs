//! The container image, built from the tarballs of `cargo xtask dist`, and used with a read-only root.

mod engine;
mod image;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::debian_root::Root;
use crate::dist::vendor;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::succeed;
use crate::workspace;

use engine::Engine;
use image::Image;

/// Builds the image with each TLS library, and uses it.
pub(crate) fn run() -> Result<(), Failure> {
    let target = workspace::target()?;
    let directory = target.join("packages-container");
    let context = unpack(&target.join("dist"), &directory)?;
    let engine = Engine::new(&directory.join("buildah"))?;
    // No registry is needed: the base is a Debian 13 in which the build requirements are installed.
    let base = Root::make(&directory, PACKAGES)?;
    engine.import(&base.path("/"), BASE)?;
    for (variant, library) in [("rustls", "rustls"), ("openssl", "OpenSSL")] {
        say(format_args!("packages: the container image with {library}"));
        let name = format!("glance-replicator-{variant}");
        let arguments = [("BASE", BASE), ("VARIANT", variant), ("CARGOFLAGS", "--frozen")];
        engine.build(&context, &name, &arguments)?;
        check_configuration(&engine, &name)?;
        let image = Image::new(engine.mount(&name)?, &directory.join("volume"))?;
        image.check_files()?;
        image.check_version(&[env!("CARGO_PKG_VERSION"), library])?;
        image.check_sync()?;
    }
    say("packages: the container images pass");
    Ok(())
}

/// Unpacks the source with the vendored crates, as packaging/README.md says.
fn unpack(dist: &Path, directory: &Path) -> Result<PathBuf, Failure> {
    let title = concat!("glance-replicator-", env!("CARGO_PKG_VERSION"));
    let source = directory.join(title);
    if source.exists() {
        fs::remove_dir_all(&source).context(|| source.display().to_string())?;
    }
    fs::create_dir_all(directory).context(|| directory.display().to_string())?;
    for (tarball, to) in [("tar.gz", directory), ("vendor.tar.xz", source.as_path())] {
        let separator = if tarball == "tar.gz" { "." } else { "-" };
        let file = dist.join(format!("{title}{separator}{tarball}"));
        if !file.exists() {
            return Err(Failure::new(format!("no {}: run cargo xtask dist", file.display())));
        }
        succeed(Command::new("tar").arg("-xf").arg(file).arg("-C").arg(to))?;
    }
    let configuration = source.join(".cargo/config.toml");
    let text = fs::read_to_string(&configuration).context(|| "cannot read cargo's settings")?;
    fs::write(&configuration, text + "\n" + &vendor::settings("vendor"))
        .context(|| "cannot write cargo's settings")?;
    Ok(source)
}

/// The image runs the program as an ordinary user, without a shell around it.
fn check_configuration(engine: &Engine, image: &str) -> Result<(), Failure> {
    let found = engine.configuration(image)?;
    for (field, expected) in [
        ("User", json!("65532:65532")),
        ("Entrypoint", json!(["/usr/bin/glance-replicator"])),
        ("Cmd", json!(null)),
        ("WorkingDir", json!("/var/lib/glance-replicator")),
    ] {
        if found[field] != expected {
            return Err(Failure::new(format!("the image's {field} is {}", found[field])));
        }
    }
    Ok(())
}

const BASE: &str = "glance-replicator-base";

/// What the Containerfile installs.
const PACKAGES: &[&str] = &[
    "ca-certificates",
    "cargo",
    "gcc",
    "libc6-dev",
    "libssl-dev",
    "libzstd-dev",
    "make",
    "pkg-config",
    "tzdata",
];
