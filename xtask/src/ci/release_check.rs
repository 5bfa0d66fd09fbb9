//! `cargo xtask release-check`: the checks that take too long for `.ci/run`.

use crate::failure::Failure;
use crate::{cloud, demo, fips, man, page, test};

use super::monitoring;

/// Runs every check, and stops at the first that fails.
pub(crate) fn run() -> Result<(), Failure> {
    test::install_openssl()?;
    test::install_shells()?;
    cloud::start()?;
    super::test_single_stacks()?;
    fips::run()?;
    page::run()?;
    man::run(&man::Arguments::default())?;
    monitoring::run()?;
    demo::run()
}
