//! Our package next to the packages of Glance: those of Debian, which do not have a program of our
//! name, and one with the files that Ubuntu's has. packaging/debian/README.source explains both.

use super::debian::no_broken_package;
use super::snapshot::Snapshot;
use super::system::{System, expect};
use crate::failure::Failure;
use crate::output::say;

/// Checks that neither package breaks the other, in both orders of installation.
pub(crate) fn check(system: &System, name: &str, file: &str) -> Result<(), Failure> {
    system.update()?;
    system.download(&[file])?;
    refused_next_to_ubuntu(system, name, file)?;
    next_to_debian(system, name, file)
}

/// Whichever package comes second is refused by dpkg, and the first one stays as it was.
fn refused_next_to_ubuntu(system: &System, name: &str, file: &str) -> Result<(), Failure> {
    say("packages: a Glance that has a program of the same name");
    system.write("/tmp/other/DEBIAN/control", UBUNTU_CONTROL)?;
    system.write("/tmp/other/usr/bin/glance-replicator", "#!/bin/sh\necho the old program\n")?;
    system.run(&["chmod", "0755", "/tmp/other/usr/bin/glance-replicator"])?;
    system.run(&["dpkg-deb", "--build", "--root-owner-group", "/tmp/other", "/tmp/other.deb"])?;

    system.run(&["dpkg", "--install", "/tmp/other.deb"])?;
    let before = Snapshot::of(system)?;
    let said = system.refuses(&["apt-get", "install", "-y", file])?;
    expect(&said, &["trying to overwrite '/usr/bin/glance-replicator'", OTHER])?;
    before.expect_same(&Snapshot::of(system)?)?;
    expect(&system.run(&["glance-replicator"])?, &["the old program"])?;
    no_broken_package(system, &[OTHER])?;
    system.run(&["dpkg", "--purge", OTHER])?;

    system.run(&["apt-get", "install", "-y", file])?;
    let before = Snapshot::of(system)?;
    let said = system.refuses(&["dpkg", "--install", "/tmp/other.deb"])?;
    expect(&said, &["trying to overwrite '/usr/bin/glance-replicator'", name])?;
    before.expect_same(&Snapshot::of(system)?)?;
    no_broken_package(system, &[name])?;
    system.run(&["apt-get", "purge", "-y", name]).map(drop)
}

/// Debian's packages and ours have no file in common. Glance comes second, and then first.
fn next_to_debian(system: &System, name: &str, file: &str) -> Result<(), Failure> {
    say("packages: Debian's Glance");
    // The services are not started in a root without systemd.
    system.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")?;
    system.run(&["chmod", "0755", "/usr/sbin/policy-rc.d"])?;
    system.run(&["apt-get", "install", "-y", file])?;
    system.install(&[&["--no-install-recommends"], GLANCE].concat())?;
    both_work(system, name)?;
    system.run(&["apt-get", "purge", "-y", name])?;

    let glance_alone = Snapshot::of(system)?;
    glance_works(system)?;
    system.run(&["apt-get", "install", "-y", file])?;
    both_work(system, name)?;
    system.run(&["apt-get", "purge", "-y", name])?;
    glance_works(system)?;
    glance_alone.expect_same(&Snapshot::of(system)?)
}

fn both_work(system: &System, name: &str) -> Result<(), Failure> {
    glance_works(system)?;
    no_broken_package(system, &[name])?;
    expect(&system.run_as_user(&["glance-replicator", "--version"])?, &["glance-replicator"])
}

/// Glance's files are as dpkg unpacked them, and its programs and the module of the old program run.
fn glance_works(system: &System) -> Result<(), Failure> {
    no_broken_package(system, GLANCE)?;
    system.run(&["glance-manage", "--version"])?;
    system.run(&["glance-api", "--version"])?;
    system.run(&["python3", "-c", "import glance.cmd.replicator"]).map(drop)
}

/// Debian's packages of Glance.
const GLANCE: &[&str] = &["glance-common", "glance-api", "python3-glance"];

/// The package in which Ubuntu has the program.
const OTHER: &str = "python3-glance";

const UBUNTU_CONTROL: &str = "\
Package: python3-glance
Version: 2:31.0.0-0ubuntu1
Architecture: all
Maintainer: The glance-replicator authors <glance-replicator@example.org>
Description: stand-in for the package of Ubuntu
";
