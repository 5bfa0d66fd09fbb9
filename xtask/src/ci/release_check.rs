//! `cargo xtask release-check`: builds the files of a release, and runs the checks that take too long for
//! `.ci/run`.

use crate::cluster::Subject;
use crate::failure::Failure;
use crate::{cloud, cluster, demo, dist, docs, fips, library, man, packages, page, test};

use super::monitoring;

/// Runs every check, and stops at the first that fails.
pub(crate) fn run() -> Result<(), Failure> {
    // First, because a checkout with changes is refused.
    dist::run(&dist::Arguments { check_reproducible: true })?;
    packages::run(packages::Subject::All)?;
    test::install_openssl()?;
    test::install_programs()?;
    cloud::start()?;
    super::test_single_stacks()?;
    fips::run()?;
    page::run()?;
    man::run(&man::Arguments::default())?;
    docs::check()?;
    library::crates::run()?;
    monitoring::run()?;
    cluster::run(Subject::All)?;
    demo::run()
}
