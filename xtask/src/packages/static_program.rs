//! The static program: run without any library of a system, and used as on a system without packages.

use std::fs;
use std::process::Command;

use super::system::{System, expect};
use crate::debian_root::Root;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{output, succeed};
use crate::workspace;

/// Unpacks the tarball, and copies images between two servers with the program.
pub(crate) fn run() -> Result<(), Failure> {
    let title = concat!("glance-replicator-", env!("CARGO_PKG_VERSION"), "-x86_64-linux-musl");
    let tarball = workspace::target()?.join("dist").join(format!("{title}.tar.gz"));
    let directory = workspace::target()?.join("packages-static");
    let root = Root::make(&directory, &["openssl"])?;
    let system = System::copy(&root, &directory.join("copy"))?;
    let place = system.path("/opt");
    succeed(Command::new("tar").arg("-xf").arg(&tarball).arg("-C").arg(&place))?;
    let folder = place.join(title);
    // The directory that becomes the root has neither a loader nor libraries.
    let mut version = Command::new("chroot");
    let version = output(version.arg(&folder).args(["/bin/glance-replicator", "--version"]))?;
    say(version.trim_end());
    expect(&version, &[env!("CARGO_PKG_VERSION"), "rustls"])?;
    let size = fs::metadata(folder.join("bin/glance-replicator"));
    say(format_args!("the program has {} kB", size.context(|| title)?.len() / 1000));
    let test = system.bring(&workspace::root().join("packaging/debian/tests/copy"))?;
    let path = format!("PATH=/opt/{title}/bin:/usr/bin:/bin");
    expect(
        &system.run_as_user(&["env", &path, "sh", &test])?,
        &["2 copied and verified", "passed"],
    )?;
    system.remove()?;
    say("packages: the static program passes");
    Ok(())
}
