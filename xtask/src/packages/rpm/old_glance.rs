//! Our packages next to RDO's `openstack-glance`, which owns a program of the same name.
//! packaging/README.md explains the decision that is tested here.

use super::Variant;
use crate::failure::Failure;
use crate::output::say;
use crate::packages::snapshot::Snapshot;
use crate::packages::system::{System, expect};

/// Neither package breaks the other, in both orders of installation. The package with the renamed
/// program fits next to the old one, and leaves nothing behind.
pub(super) fn check(
    system: &System,
    variant: &Variant,
    [named, renamed, ..]: &[String; 4],
) -> Result<(), Failure> {
    say(format_args!("packages: {} next to openstack-glance", variant.name));
    let old = build(system)?;
    let without = Snapshot::of(system)?;

    system.run(&["rpm", "--install", &old])?;
    let before = Snapshot::of(system)?;
    refused(system, named, "openstack-glance")?;
    before.expect_same(&Snapshot::of(system)?)?;
    old_works(system)?;
    system.run(&["rpm", "--install", renamed])?;
    old_works(system)?;
    expect(&system.run_as_user(&["glance-replicator-rs", "--version"])?, &[variant.library])?;
    system.run(&["rpm", "--verify", &variant.renamed()])?;
    system.run(&["rpm", "--erase", &variant.renamed()])?;
    old_works(system)?;
    before.expect_same(&Snapshot::of(system)?)?;
    system.run(&["rpm", "--erase", OLD])?;

    system.run(&["rpm", "--install", named])?;
    let before = Snapshot::of(system)?;
    refused(system, &old, variant.name)?;
    before.expect_same(&Snapshot::of(system)?)?;
    system.run(&["rpm", "--verify", variant.name])?;
    system.run(&["rpm", "--erase", variant.name])?;
    without.expect_same(&Snapshot::of(system)?)
}

/// Builds the stand-in for RDO's package.
fn build(system: &System) -> Result<String, Failure> {
    system.write("/tmp/openstack-glance.spec", SPEC)?;
    system.run(&["rpmbuild", "-bb", "--define", "_rpmdir /tmp", "/tmp/openstack-glance.spec"])?;
    Ok("/tmp/noarch/openstack-glance-32.0.0-1.noarch.rpm".to_owned())
}

/// rpm names both packages and refuses the second one.
fn refused(system: &System, file: &str, installed: &str) -> Result<(), Failure> {
    let said = system.refuses(&["rpm", "--install", file])?;
    expect(&said, &["openstack-glance", "conflicts with", installed])
}

/// The old program runs, and rpm finds every file of its package as it was packed.
fn old_works(system: &System) -> Result<(), Failure> {
    let said = system.run_as_user(&["glance-replicator"])?;
    expect(&said, &["the glance-replicator of openstack-glance"])?;
    system.run(&["rpm", "--verify", OLD]).map(drop)
}

const OLD: &str = "openstack-glance";

const SPEC: &str = include_str!("openstack-glance.txt");
