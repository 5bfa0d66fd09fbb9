//! `cargo xtask fips`: tests the tool in FIPS mode, in a Debian 13 with OpenSSL's FIPS provider.

mod build;
mod checks;
mod openssl;
mod tool;

use std::time::Instant;

use crate::debian_root::Root;
use crate::failure::Failure;
use crate::output::say;
use crate::workspace;

use tool::Tool;

/// Creates the root, builds the tool in it with each stack that has a FIPS mode, and tests both.
pub(crate) fn run() -> Result<(), Failure> {
    let begin = Instant::now();
    let root = Root::make(&workspace::target()?.join("fips"), build::PACKAGES)?;
    openssl::activate(&root)?;
    build::bring_source(&root)?;
    let native = Tool::new(&root, build::build(&root, "native-tls")?);
    let rustls = Tool::new(&root, build::build(&root, "rustls-fips")?);

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
    build::test(&root, "glance-replicator-transport-native")?;
    say(format_args!("fips: all holds, after {:.0} s", begin.elapsed().as_secs_f64()));
    Ok(())
}
