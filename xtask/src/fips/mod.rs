//! `cargo xtask fips`: tests the tool in FIPS mode, in a Debian 13 with OpenSSL's FIPS provider.

mod checks;
mod openssl;
mod root;
mod tool;

use std::time::Instant;

use crate::failure::Failure;
use crate::output::say;
use crate::workspace;

use root::Root;
use tool::Tool;

/// Creates the root, builds the tool in it with each stack that has a FIPS mode, and tests both.
pub(crate) fn run() -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("FIPS mode is tried in a root directory: it needs root"));
    }
    let begin = Instant::now();
    let root = Root::make(&workspace::target()?.join("fips"))?;
    openssl::activate(&root)?;
    root.bring_source()?;
    let native = Tool::new(&root, root.build("native-tls")?);
    let rustls = Tool::new(&root, root.build("rustls-fips")?);

    checks::set_stage(&root, &native.with(openssl::DEBIAN))?;
    checks::what_is_not_in_fips_mode_does_not_start(&native)?;
    for tool in [&native, &rustls] {
        checks::images_are_copied_without_md5(&root, tool)?;
        checks::an_image_with_md5_alone_is_refused(&root, tool)?;
        checks::servers_without_approved_algorithms_are_refused(&root, tool)?;
    }
    // The servers refused above are refused only for their algorithms.
    checks::the_same_servers_are_reached_outside_fips_mode(&root, &native.with(openssl::DEBIAN))?;
    // In FIPS mode, certificate trust is the same as outside.
    root.test("glance-replicator-transport-native")?;
    say(format_args!("fips: all holds, after {:.0} s", begin.elapsed().as_secs_f64()));
    Ok(())
}
